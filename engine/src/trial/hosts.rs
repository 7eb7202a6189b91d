//! Model hosts: what real ones do by the contract of remote jobs, and nothing more.
//!
//! A job claims its name (node and attempt), has its effect, and leaves an exit record; it knows nothing of engines and goes on
//! when one dies. A node's effect is a flag: `do` sets it, `undo` takes it away, the probe tells it.

use std::collections::{BTreeMap, BTreeSet};

use crate::operation::{FailureClass, NodeId};

/// A job's name.
pub type Name = (NodeId, u32);

/// All hosts of a run.
#[derive(Debug, Default)]
pub struct Hosts {
    jobs: BTreeMap<Name, Job>,
    there: BTreeSet<NodeId>,
    /// What began, in this order.
    pub began: Vec<Began>,
}

/// Something that began on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Began {
    /// Of which node.
    pub node: NodeId,
    /// Whether it is an undo.
    pub undo: bool,
    /// Whether the node's effect was there already.
    pub over: bool,
}

#[derive(Debug, Clone, Copy)]
struct Job {
    undo: bool,
    record: Record,
}

/// What is known of a job on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// Somebody asked for it before it began: it can never begin.
    Void,
    /// It runs.
    Running,
    /// It ended well.
    Succeeded,
    /// It failed.
    Failed(FailureClass),
    /// The host restarted while it ran.
    Rebooted,
}

impl Hosts {
    /// A job's start arrives. False where its name is taken.
    pub fn begin(&mut self, name: &Name, undo: bool) -> bool {
        if self.jobs.contains_key(name) {
            return false;
        }
        self.jobs.insert(name.clone(), Job { undo, record: Record::Running });
        self.note(&name.0, undo);
        true
    }

    /// Something begins that is no job of the host: it lives in the engine.
    pub fn note(&mut self, node: &NodeId, undo: bool) {
        self.began.push(Began { node: node.clone(), undo, over: self.is_there(node) });
    }

    /// The job's effect happens, if it still runs. Tells whether it does.
    pub fn effect(&mut self, name: &Name) -> bool {
        let Some(job) = self.jobs.get(name).filter(|job| job.record == Record::Running) else { return false };
        self.set(&name.0, !job.undo);
        true
    }

    /// A node's effect comes or goes.
    pub fn set(&mut self, node: &NodeId, there: bool) {
        if there {
            self.there.insert(node.clone());
        } else {
            self.there.remove(node);
        }
    }

    /// The job ends so, if it still runs.
    pub fn end(&mut self, name: &Name, record: Record) {
        if let Some(job) = self.jobs.get_mut(name).filter(|job| job.record == Record::Running) {
            job.record = record;
        }
    }

    /// What re-attaching finds. Asking takes the name of a job that never began.
    pub fn find(&mut self, name: &Name) -> Record {
        self.jobs.entry(name.clone()).or_insert(Job { undo: false, record: Record::Void }).record
    }

    /// The probe's answer.
    pub fn is_there(&self, node: &NodeId) -> bool {
        self.there.contains(node)
    }

    /// All effects that are there.
    pub fn effects(&self) -> &BTreeSet<NodeId> {
        &self.there
    }
}
