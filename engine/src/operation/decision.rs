//! What a driver is told and what it answers.

use std::collections::BTreeMap;

use dsl::value::Value;

use super::event::Entry;
use super::node::{Failure, NodeId, OutputRef, Unknown};
use super::places::Places;
use super::records::Records;

/// Something that was learnt.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time has passed, or the operation was just created or recovered.
    Go,
    /// The locks of the operation were taken for it: recorded in the same commit as what follows (D8).
    Locked,
    /// While it waited for its locks, what it was created from has changed.
    Outdated {
        /// What, as a sentence.
        why: String,
    },
    /// An attempt that the journal does not know was found on its host.
    Found {
        /// Of which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
        /// Incarnation of the store that began it.
        incarnation: u32,
    },
    /// An executor reports.
    Node {
        /// Of which node.
        node: NodeId,
        /// Of which attempt.
        attempt: u32,
        /// What.
        outcome: NodeOutcome,
    },
}

/// What an executor reports.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeOutcome {
    /// The action did what it should.
    Succeeded {
        /// Values for later steps.
        out: BTreeMap<String, Value>,
        /// Whether it did something that was not so before.
        changed: bool,
        /// What the program wrote.
        output: Option<OutputRef>,
    },
    /// The probe found the effect there before `do`.
    AlreadySo,
    /// It failed.
    Failed {
        /// How.
        failure: Failure,
        /// What the program wrote.
        output: Option<OutputRef>,
    },
    /// The running job was found again; its end follows.
    Reattached,
    /// Nobody knows how it ended.
    Unknown(Unknown),
    /// The probe, asked after an unknown outcome, found the effect.
    ProbedThere,
    /// The probe, asked after an unknown outcome, did not find it.
    ProbedNotThere,
    /// The probe, asked after an unknown outcome, gave no answer.
    ProbedUnknown(Failure),
}

/// Something to begin, once the events that came with it are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the probe, then do the action.
    Do {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
    },
    /// Find the attempt's job again and wait for its end.
    Reattach {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
        /// Whether it is an undo.
        undo: bool,
    },
    /// Ask the probe how the attempt ended.
    Probe {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
    },
    /// Undo the node.
    Undo {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
    },
    /// Kill the attempt's job and verify it.
    Kill {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
    },
}

impl Effect {
    /// Which node it is of.
    pub fn node(&self) -> &NodeId {
        match self {
            Effect::Do { node, .. }
            | Effect::Reattach { node, .. }
            | Effect::Probe { node, .. }
            | Effect::Undo { node, .. }
            | Effect::Kill { node, .. } => node,
        }
    }
}

/// What follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// To be committed in one batch, in this order.
    pub entries: Vec<Entry>,
    /// To be begun afterwards.
    pub effects: Vec<Effect>,
    /// When to ask again if nothing else happens, UTC milliseconds.
    pub wake_at_ms: Option<u64>,
    /// Whether anything is going on.
    pub rest: Rest,
    /// Locks that nodes took: to be recorded with the entries.
    pub took: Vec<(String, NodeId)>,
    /// Locks that nodes gave back: others may have them once the entries are durable.
    pub gave: Vec<(String, NodeId)>,
    /// Nodes that wait for a lock that another holds, and its name: to be asked again when one was given back.
    pub blocked: Vec<(NodeId, String)>,
}

/// What is handed in from outside: the time, chance, and what operations share.
pub struct World<'a> {
    /// UTC milliseconds.
    pub now_ms: u64,
    /// Gives numbers in `0.0..1.0`, drawn at the edge (D6).
    pub jitter: &'a mut dyn FnMut() -> f64,
    /// The locks of steps.
    pub places: &'a mut dyn Places,
    /// What is recorded of instances.
    pub records: &'a dyn Records,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("now_ms", &self.now_ms).finish_non_exhaustive()
    }
}

/// Whether an operation moves (I6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Something is in flight, or a time is awaited.
    Busy,
    /// It waits for a person, with a stated reason.
    Waits,
    /// It has ended.
    Ended,
    /// Nothing runs and nothing is awaited: a bug. The operation is quarantined.
    Stuck,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlightTask {
    /// `do` or `undo`, from its beginning or found again.
    Work,
    /// The question how an attempt ended.
    Probe,
}

impl NodeOutcome {
    pub(super) fn task(&self) -> FlightTask {
        match self {
            NodeOutcome::Succeeded { .. }
            | NodeOutcome::AlreadySo
            | NodeOutcome::Failed { .. }
            | NodeOutcome::Reattached
            | NodeOutcome::Unknown(_) => FlightTask::Work,
            NodeOutcome::ProbedThere | NodeOutcome::ProbedNotThere | NodeOutcome::ProbedUnknown(_) => FlightTask::Probe,
        }
    }
}
