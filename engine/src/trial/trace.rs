//! What a run came to: how the operation came to rest, what began on hosts, what is left there.

use std::collections::BTreeSet;
use std::fmt;

use super::hosts::Began;
use super::world::World;
use crate::operation::{Event, NodeId};

/// How an operation came to rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Completed,
    /// It stopped, for this reason.
    Stopped(String),
    RolledBack,
    /// It waits for a person to say what became of these.
    Asks(Vec<NodeId>),
    /// What may not be.
    Bug(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Completed => f.write_str("it completes"),
            End::Stopped(why) => f.write_str(why),
            End::RolledBack => f.write_str("it is rolled back"),
            End::Asks(nodes) => {
                let nodes: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
                write!(f, "a person must say what became of {}", nodes.join(", "))
            }
            End::Bug(why) => f.write_str(why),
        }
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Ended {
    /// How it came to rest before a person did anything but open gates.
    pub first: End,
    /// How it came to rest at last.
    pub end: End,
    /// All nodes.
    pub nodes: Vec<NodeId>,
    /// Nodes that were begun.
    pub exercised: BTreeSet<NodeId>,
    /// Nodes of which a probe told that the effect is there, or is not, before anybody resumed.
    pub probed: BTreeSet<NodeId>,
    /// What began on hosts before anybody resumed.
    pub began: Vec<Began>,
    /// Effects that are there at the end.
    pub left: BTreeSet<NodeId>,
    /// Succeeded nodes that were begun again, but those of `finally`.
    pub again: Vec<NodeId>,
}

/// What the journal and the hosts tell when it is over.
impl World<'_> {
    pub(super) fn exercised(&self) -> BTreeSet<NodeId> {
        let started = self.journal.iter().filter_map(|entry| match &entry.event {
            Event::Started { node, .. } => Some(node.clone()),
            _ => None,
        });
        started.collect()
    }

    fn in_finally(&self, node: &NodeId) -> bool {
        self.step(node).is_some_and(|step| step.finally.is_some())
    }

    /// What `finally` did stays by its meaning.
    pub(super) fn left(&self) -> BTreeSet<NodeId> {
        self.hosts.effects().iter().filter(|node| !self.in_finally(node)).cloned().collect()
    }

    /// `finally` comes again by its meaning.
    pub(super) fn again(&self) -> Vec<NodeId> {
        let (mut succeeded, mut again) = (BTreeSet::new(), Vec::new());
        for entry in &self.journal {
            match &entry.event {
                Event::Succeeded { node, .. } | Event::Approved { node, .. } if !self.in_finally(node) => {
                    succeeded.insert(node);
                }
                Event::UndoStarted { node, .. } | Event::UndoSkipped { node, .. } => {
                    succeeded.remove(node);
                }
                // What came behind a failure comes again with it: `Settled`.
                Event::Reset { nodes, .. } => succeeded.retain(|node| !nodes.contains(node)),
                Event::Started { node, .. } if succeeded.contains(node) => again.push(node.clone()),
                _ => {}
            }
        }
        again
    }
}
