//! The locks that operations and their nodes hold, over the whole store (D8).
//!
//! Two kinds, which have nothing to do with each other: those of an operation (`instance/NAME`, `lock/NAME`), taken all or
//! none and kept until it has ended for good, and those of a step's nodes, kept while one is at work.
//!
//! Invariant: what the table says was granted is recorded in the commit that uses it, and given back only when the commit
//! that ends the use is durable. So the records, read at opening, are what a dead process held.

use std::collections::{BTreeMap, BTreeSet};

use store::Store;
use uuid::Uuid;

use crate::error::Error;
use crate::journal::{LockRecord, locks};
use crate::operation::{NodeId, Places};

/// Who holds what.
#[derive(Debug, Default)]
pub(super) struct Table {
    operations: BTreeMap<String, Uuid>,
    nodes: BTreeMap<String, (Uuid, NodeId)>,
    /// Operations that wait for their locks; the older ones come first.
    waiting: BTreeMap<Uuid, BTreeSet<String>>,
}

/// A lock that another operation holds, or waits for since longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBy {
    /// The lock.
    pub lock: String,
    /// By which operation.
    pub operation: Uuid,
}

impl Table {
    /// What the records of a store say.
    pub fn read(store: &Store) -> Result<Table, Error> {
        let mut table = Table::default();
        for (lock, record) in locks(store)? {
            match record.node {
                None => drop(table.operations.insert(lock, record.operation)),
                Some(node) => drop(table.nodes.insert(lock, (record.operation, node))),
            }
        }
        Ok(table)
    }

    /// Takes all locks of an operation or none; who waits longer for one of them comes first.
    pub fn take(&mut self, operation: Uuid, locks: &[String]) -> Result<(), HeldBy> {
        for lock in locks {
            if let Some(&holder) = self.operations.get(lock).filter(|holder| **holder != operation) {
                return Err(HeldBy { lock: lock.clone(), operation: holder });
            }
            let before = self.waiting.range(..operation).find(|(_, wanted)| wanted.contains(lock));
            if let Some((&holder, _)) = before {
                return Err(HeldBy { lock: lock.clone(), operation: holder });
            }
        }
        self.waiting.remove(&operation);
        self.operations.extend(locks.iter().map(|lock| (lock.clone(), operation)));
        Ok(())
    }

    /// Notes that an operation waits for its locks.
    pub fn wait(&mut self, operation: Uuid, locks: &[String]) {
        self.waiting.insert(operation, locks.iter().cloned().collect());
    }

    /// Notes that an operation does not wait any more.
    pub fn waits_no_more(&mut self, operation: Uuid) {
        self.waiting.remove(&operation);
    }

    /// Takes an operation's own locks from it, and its place among those that wait.
    pub fn give_back(&mut self, operation: Uuid) {
        self.waiting.remove(&operation);
        self.operations.retain(|_, holder| *holder != operation);
    }

    /// Takes locks of nodes from them.
    pub fn give_back_nodes(&mut self, operation: Uuid, gave: &[(String, NodeId)]) {
        for (lock, node) in gave {
            if self.nodes.get(lock).is_some_and(|(holder, of)| *holder == operation && of == node) {
                self.nodes.remove(lock);
            }
        }
    }

    /// The locks that nodes of an operation hold.
    pub fn nodes_of(&self, operation: Uuid) -> Vec<(String, NodeId)> {
        let ours = self.nodes.iter().filter(|(_, (holder, _))| *holder == operation);
        ours.map(|(lock, (_, node))| (lock.clone(), node.clone())).collect()
    }

    /// The locks that an operation holds itself.
    pub fn own(&self, operation: Uuid) -> Vec<String> {
        self.operations.iter().filter(|(_, holder)| **holder == operation).map(|(lock, _)| lock.clone()).collect()
    }

    /// The operation that holds a lock of its own.
    pub fn holder_of(&self, lock: &str) -> Option<Uuid> {
        self.operations.get(lock).copied()
    }

    /// Who holds a lock of a step.
    pub fn holder(&self, lock: &str) -> Option<(Uuid, NodeId)> {
        self.nodes.get(lock).cloned()
    }
}

/// The locks of nodes as one operation asks for them.
pub(super) struct OfOperation<'a> {
    pub table: &'a mut Table,
    pub operation: Uuid,
}

impl Places for OfOperation<'_> {
    fn take(&mut self, node: &NodeId, locks: &[String], over_from: &[NodeId]) -> Result<Vec<String>, String> {
        let ours = (self.operation, node.clone());
        let free =
            |holder: &(Uuid, NodeId)| *holder == ours || (holder.0 == self.operation && over_from.contains(&holder.1));
        match locks.iter().find(|lock| self.table.nodes.get(*lock).is_some_and(|holder| !free(holder))) {
            Some(lock) => Err(lock.clone()),
            None => {
                let new = locks.iter().filter(|lock| self.table.nodes.get(*lock) != Some(&ours));
                let new: Vec<String> = new.cloned().collect();
                self.table.nodes.extend(new.iter().map(|lock| (lock.clone(), ours.clone())));
                Ok(new)
            }
        }
    }
}

impl LockRecord {
    /// The record of a lock that an operation holds itself.
    pub(super) fn of_operation(operation: Uuid) -> LockRecord {
        LockRecord { operation, node: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_operation_gets_all_its_locks_or_none_and_whoever_waits_longer_comes_first() {
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        let mut table = Table::default();
        table.take(a, &names(&["x"])).unwrap();
        table.wait(b, &names(&["x", "y"]));
        assert_eq!(table.take(b, &names(&["x", "y"])), Err(HeldBy { lock: "x".to_owned(), operation: a }));
        // `y` is free, but b waits for it.
        assert_eq!(table.take(c, &names(&["y"])), Err(HeldBy { lock: "y".to_owned(), operation: b }));
        table.give_back(a);
        table.take(b, &names(&["x", "y"])).unwrap();
        assert_eq!(table.take(c, &names(&["y"])), Err(HeldBy { lock: "y".to_owned(), operation: b }));
        table.give_back(b);
        table.take(c, &names(&["y"])).unwrap();
    }

    #[test]
    fn a_node_that_holds_a_lock_gets_it_again_and_another_does_not() {
        let mut table = Table::default();
        let node = |step: &str| NodeId { step: step.to_owned(), key: "k".to_owned() };
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        OfOperation { table: &mut table, operation: a }.take(&node("s"), &names(&["l"]), &[]).unwrap();
        OfOperation { table: &mut table, operation: a }.take(&node("s"), &names(&["l"]), &[]).unwrap();
        assert_eq!(
            OfOperation { table: &mut table, operation: a }.take(&node("t"), &names(&["l"]), &[]),
            Err("l".to_owned())
        );
        assert_eq!(
            OfOperation { table: &mut table, operation: b }.take(&node("s"), &names(&["l"]), &[]),
            Err("l".to_owned())
        );
        table.give_back_nodes(b, &[("l".to_owned(), node("s"))]);
        assert!(table.holder("l").is_some(), "another's lock cannot be given back");
        table.give_back_nodes(a, &[("l".to_owned(), node("s"))]);
        OfOperation { table: &mut table, operation: b }.take(&node("s"), &names(&["l"]), &[]).unwrap();
    }
}
