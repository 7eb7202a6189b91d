//! `anneal plan`: what a run would do, node by node, without doing it.
//!
//! A run is supposed ([`course`]): every node whose turn it is gets a [`Verdict`], and its dependents follow, in the order in which
//! a run would come to them and through the same [`Operation`](crate::operation::Operation). What depends on the host is asked of
//! the host ([`ask`]): probes, files, logins, ports. What depends on the output of a step that would run is not known, and says so:
//! an expression that reads such an output has no value here ([`scope`]), and one that does not come to read it has its own.
//!
//! Invariants:
//! - Hosts are asked what reads only: nothing is written on them, no job is begun. Nothing is stored here, but a host's key where
//!   that was asked for.
//! - Never a false "no change": what is so now counts as so only where nothing before it would change anything. A run that
//!   meets the host as it is now, and in which nothing fails, does what was said.
//! - No secret is in a report (I8): a line into which one flowed is replaced, and where that cannot be told, all of them.

mod ask;
mod course;
mod difference;
mod mask;
mod question;
mod report;
mod run;
mod scope;
#[cfg(test)]
mod tests;
mod words;

pub use report::{Bytes, Content, Counts, FileChange, Report, Row, Verdict};
pub use run::Preview;
