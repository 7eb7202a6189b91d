//! The log: the truth of the store.
//!
//! [`payload`] is what a commit says, [`frame`] how it is framed, [`segment`] the files that hold frames, [`recover`]
//! reads them back at opening, [`tail`] appends to them, and [`writer`] is the one thread that does. [`copy`] goes through
//! them for what is live, and [`generation`] writes that as a log of its own.

pub(crate) mod copy;
pub(crate) mod frame;
pub(crate) mod generation;
pub(crate) mod payload;
pub(crate) mod recover;
pub(crate) mod segment;
pub(crate) mod tail;
pub(crate) mod window;
pub(crate) mod writer;
