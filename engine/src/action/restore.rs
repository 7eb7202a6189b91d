//! `Restore`: an undo that puts back the files that an action kept, or removes those that were not there.
//!
//! The records say which files those are, so nothing that might have changed meanwhile is evaluated again. Where there is no
//! record, no file was changed. It is a job like any other: it survives its connection, and to repeat it is harmless.

/// The script; its arguments are the operation and the name of the node.
pub const SCRIPT: &str = include_str!("restore.sh");
