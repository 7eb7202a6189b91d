//! The locks that operations share: a table in the memory of an engine, and its records in the store. A model of what the
//! runner does, by the slowest obvious means.

use std::collections::BTreeMap;

use engine::operation::{NodeId, Places};

/// Who holds what.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Locks of operations.
    pub operations: BTreeMap<String, usize>,
    /// Locks of nodes.
    pub nodes: BTreeMap<String, (usize, NodeId)>,
}

/// The table as one operation asks it.
pub struct OfOperation<'a> {
    /// The table.
    pub table: &'a mut Table,
    /// Which operation.
    pub operation: usize,
}

impl Places for OfOperation<'_> {
    fn take(&mut self, node: &NodeId, locks: &[String], over_from: &[NodeId]) -> Result<Vec<String>, String> {
        let ours = (self.operation, node.clone());
        for lock in locks {
            if self
                .table
                .nodes
                .get(lock)
                .is_some_and(|holder| *holder != ours && !(holder.0 == self.operation && over_from.contains(&holder.1)))
            {
                return Err(lock.clone());
            }
        }
        let mut new = Vec::new();
        for lock in locks {
            if self.table.nodes.insert(lock.clone(), ours.clone()) != Some(ours.clone()) {
                new.push(lock.clone());
            }
        }
        Ok(new)
    }
}

impl Table {
    /// Takes all locks of an operation, or none.
    pub fn take_all(&mut self, operation: usize, locks: &[String]) -> bool {
        let free = locks.iter().all(|lock| self.operations.get(lock).is_none_or(|holder| *holder == operation));
        if free {
            self.operations.extend(locks.iter().map(|lock| (lock.clone(), operation)));
        }
        free
    }

    /// Records that these were taken.
    pub fn took(&mut self, operation: usize, took: &[(String, NodeId)]) {
        for (lock, node) in took {
            self.nodes.insert(lock.clone(), (operation, node.clone()));
        }
    }

    /// Gives these back.
    pub fn gave(&mut self, operation: usize, gave: &[(String, NodeId)]) {
        for (lock, node) in gave {
            if self.nodes.get(lock) == Some(&(operation, node.clone())) {
                self.nodes.remove(lock);
            }
        }
    }

    /// Gives an operation's own locks back.
    pub fn ended(&mut self, operation: usize) {
        self.operations.retain(|_, holder| *holder != operation);
    }

    /// What nodes of an operation hold.
    pub fn nodes_of(&self, operation: usize) -> Vec<(String, NodeId)> {
        let ours = self.nodes.iter().filter(|(_, (holder, _))| *holder == operation);
        ours.map(|(lock, (_, node))| (lock.clone(), node.clone())).collect()
    }
}
