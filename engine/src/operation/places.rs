//! What operations share: the named locks of steps. Whoever gets a no is told when to ask again.
//!
//! A node takes all its locks at once or none, and waits without holding any: so nobody waits in a circle.

use super::node::NodeId;
use super::records::{Record, RecordKey, Records};

/// The locks that the nodes of all operations of a store hold. The runner has the real one, the simulation its own.
pub trait Places {
    /// Takes all these locks for a node of this operation, or none; again for one that has them, and over from those nodes of
    /// the operation. Gives those that it did not have before; or the name of one that another holds.
    fn take(&mut self, node: &NodeId, locks: &[String], over_from: &[NodeId]) -> Result<Vec<String>, String>;
}

/// For an operation that shares nothing with others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Records for Alone {
    fn get(&self, _: &RecordKey) -> Result<Option<Record>, String> {
        Ok(None)
    }
}

impl Places for Alone {
    fn take(&mut self, _: &NodeId, locks: &[String], _: &[NodeId]) -> Result<Vec<String>, String> {
        Ok(locks.to_vec())
    }
}
