//! An operation's state: the fold of its journal and nothing else.
//!
//! The counters and sets beside the nodes (what is ready, what runs, what failed) are derived from the nodes by the same
//! `apply`, so that the next decision costs what changed and not what there is. [`Operation::check`] recomputes them from
//! nothing; the simulation calls it after every event.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use dsl::plan::{Edge, EdgeKind, Plan};
use dsl::value::Value;
use uuid::Uuid;

use super::hosts::HostRecord;
use super::life::{Activity, Life};
use super::node::{NodeId, NodeState};
use super::records::{Record, RecordKey};
use super::what_next::retry_after;

/// One run of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// Who asked for it.
    pub by: String,
    /// The format that its journal began with.
    pub format: u32,
    /// What it runs.
    pub plan: Arc<Plan>,
    /// Digest of the plan's blob.
    pub plan_digest: String,
    /// Its hosts, by slot.
    pub hosts: BTreeMap<String, Box<HostRecord>>,
    /// What no other operation may hold while this one is open (D8).
    pub locks: Locks,
    /// When it is cancelled if it has not ended, UTC milliseconds.
    pub deadline_at_ms: Option<u64>,
    /// Where it stands.
    pub life: Life,
    /// Its nodes, step by step in the plan's order.
    pub nodes: Vec<Node>,
    /// Events folded so far.
    pub seq: u64,
    /// When it was created, UTC milliseconds.
    pub created_at_ms: u64,
    /// When the last event happened, UTC milliseconds.
    pub at_ms: u64,
    /// Where the nodes of each step are.
    pub(super) steps: Vec<StepNodes>,
    /// Where the nodes are, in the order of their names. Not the names themselves: thousands of operations are in hand.
    pub(super) by_id: Vec<usize>,
    pub(super) derived: Derived,
    /// Whether any node was ever started.
    pub(super) begun: bool,
    /// How often a person set it going again after a rest: hosts enter groups anew.
    pub(super) epoch: u32,
    /// Records that it changed: by which entry it last wrote each, or none where it removed it.
    pub(super) written: BTreeMap<RecordKey, Option<u64>>,
}

/// The locks of an operation (D8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locks {
    /// It waits for them; sorted, not empty.
    Wanted(Vec<String>),
    /// It has them; sorted, perhaps none.
    Held(Vec<String>),
}

/// A node of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// Index of its step in the plan.
    pub step: usize,
    /// The slot of the host that it is for, and runs on unless its step says `run_at`; none where it runs from here.
    pub slot: Option<String>,
    /// The element of `each` that it is for.
    pub element: Option<Value>,
    /// How it stands.
    pub state: NodeState,
    /// The highest attempt number given out; never restarts (I4).
    pub attempts: u32,
    /// Attempts that count against `retry`, since it was last set going by a person.
    pub tries: u32,
    /// When its state last changed, UTC milliseconds.
    pub since_ms: u64,
    /// When its last attempt was started, UTC milliseconds; 0 before the first.
    pub started_ms: u64,
    /// Generation of the host that the last attempt was started on.
    pub generation: u32,
    /// Incarnation of the store that started the last attempt.
    pub incarnation: u32,
    /// Attempts whose jobs may still be at work: nobody could reach the host to see. They are ended before anything follows (I4).
    pub may_run: BTreeSet<MayRun>,
    /// Whether an attempt that is over may have left its effect: then a probe that finds it found ours.
    pub touched: bool,
    /// The epoch in which it was last started.
    pub(crate) epoch: u32,
    /// What was there of records before it first changed them: what its undo puts back.
    pub(crate) kept: Vec<Kept>,
}

/// What a record said before a node first changed it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub key: RecordKey,
    pub before: Option<Record>,
    /// The entry by which the node first changed it.
    pub seq: u64,
}

/// An attempt whose job may still be at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MayRun {
    /// Which.
    pub attempt: u32,
    /// Whether it is an undo.
    pub undo: bool,
}

/// The nodes of one step: `first..first + count`, in the order of its role's slots or of its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StepNodes {
    pub first: usize,
    pub count: usize,
    /// False while the elements of its `each` are not known.
    pub expanded: bool,
    /// Steps that wait for this one.
    pub dependents: Vec<Behind>,
}

/// A step that waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behind {
    /// Index of the step that waits.
    pub step: usize,
    /// How nodes are matched.
    pub kind: EdgeKind,
    /// Whether a failure will do.
    pub settled: bool,
}

/// What follows from the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Derived {
    /// For each node: edges that are not satisfied yet.
    pub unmet: Vec<u32>,
    /// For each step: nodes that satisfy their edges.
    pub satisfied: Vec<usize>,
    /// For each step: nodes that satisfy the edges for which a failure will do.
    pub settled: Vec<usize>,
    /// Waiting with no unmet edge.
    pub ready: BTreeSet<usize>,
    /// Running or undoing.
    pub running: BTreeSet<usize>,
    /// Awaiting approval.
    pub gates: BTreeSet<usize>,
    pub backoff: BTreeSet<usize>,
    pub indeterminate: BTreeSet<usize>,
    pub failed: BTreeSet<usize>,
    pub undo_failed: BTreeSet<usize>,
    /// Neither waiting nor on their way, in the body and in `finally`: the rest of the nodes is what is left to do.
    pub over: Counts,
}

/// A number for each phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub body: usize,
    pub finally: usize,
}

/// The parts of an operation that come one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The steps of the workflow.
    Body,
    /// Those of its `finally`.
    Finally,
}

impl Counts {
    pub fn of(&self, phase: Phase) -> usize {
        match phase {
            Phase::Body => self.body,
            Phase::Finally => self.finally,
        }
    }

    fn of_mut(&mut self, phase: Phase) -> &mut usize {
        match phase {
            Phase::Body => &mut self.body,
            Phase::Finally => &mut self.finally,
        }
    }
}

/// An event that cannot happen in the state it meets: a bug, or a journal that is not this operation's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IllegalEvent {
    /// Position of the event.
    pub seq: u64,
    /// What it was.
    pub event: String,
    /// Why it cannot be.
    pub why: String,
}

impl fmt::Display for IllegalEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} cannot happen here: {} ({})", self.seq, self.why, self.event)
    }
}

impl std::error::Error for IllegalEvent {}

impl Operation {
    /// The node of that name.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.place_of(id).map(|index| &self.nodes[index])
    }

    pub(super) fn place_of(&self, id: &NodeId) -> Option<usize> {
        let found = self.by_id.binary_search_by(|&index| self.nodes[index].id.cmp(id));
        found.ok().map(|at| self.by_id[at])
    }

    /// To be called whenever nodes were made.
    pub(super) fn sort_names(&mut self) {
        self.by_id = (0..self.nodes.len()).collect();
        self.by_id.sort_unstable_by(|&a, &b| self.nodes[a].id.cmp(&self.nodes[b].id));
    }

    /// The plan's step of a node.
    pub fn step_of(&self, node: &Node) -> &dsl::plan::Step {
        &self.plan.steps[node.step]
    }

    /// The slot of the host that a node runs on: its own, or that of the role of `run_at`. None where it runs from here.
    pub fn runs_at<'a>(&'a self, node: &'a Node) -> Option<&'a String> {
        match &self.step_of(node).run_at {
            Some(role) => self.plan.roles.get(role).and_then(|role| role.slots.first()),
            None => node.slot.as_ref(),
        }
    }

    /// The nodes of a step, by its index in the plan.
    pub fn nodes_of(&self, step: usize) -> &[Node] {
        let nodes = &self.steps[step];
        &self.nodes[nodes.first..nodes.first + nodes.count]
    }

    /// Whether any node was ever started (`STARTING` against `PROCESSING`).
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// How often a person set it going again after a rest.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The node of a step with this key, by the step's index in the plan.
    pub(super) fn node_of(&self, step: usize, key: &str) -> Option<&Node> {
        let id = &self.plan.steps.get(step)?.id;
        let names = |node: &Node| (node.id.step.as_str().cmp(id), node.id.key.as_str().cmp(key));
        let found = self.by_id.binary_search_by(|&index| {
            let (step, key) = names(&self.nodes[index]);
            step.then(key)
        });
        found.ok().map(|at| &self.nodes[self.by_id[at]])
    }

    /// How many nodes are over, of how many.
    pub fn progress(&self) -> (usize, usize) {
        (self.derived.over.body + self.derived.over.finally, self.nodes.len())
    }

    /// The gates that await approval. Once the operation goes back, or has come to its last steps, an answer changes nothing.
    pub fn open_gates(&self) -> impl Iterator<Item = &NodeId> {
        let asks = match &self.life {
            Life::Processing(activity) => !matches!(activity, Activity::Cancelling { .. }),
            _ => false,
        };
        self.derived.gates.iter().filter(move |_| asks).map(|&index| &self.nodes[index].id)
    }

    /// The phase of a step, by its index in the plan.
    pub(super) fn phase_of(&self, step: usize) -> Phase {
        if self.plan.steps[step].finally.is_some() { Phase::Finally } else { Phase::Body }
    }

    /// The nodes of a set that belong to a phase.
    pub(super) fn of_phase<'a>(&'a self, set: &'a BTreeSet<usize>, phase: Phase) -> impl Iterator<Item = usize> + 'a {
        set.iter().copied().filter(move |&index| self.phase_of(self.nodes[index].step) == phase)
    }

    /// The steps of a phase.
    pub(super) fn steps_of(&self, phase: Phase) -> impl Iterator<Item = usize> + '_ {
        (0..self.steps.len()).filter(move |&step| self.phase_of(step) == phase)
    }

    /// Whether an edge to a step is satisfied for the node at this place of its own step (I3).
    pub(super) fn is_met(&self, edge: &Edge, offset: usize) -> bool {
        self.is_met_by(&self.derived, edge, offset)
    }

    fn is_met_by(&self, derived: &Derived, edge: &Edge, offset: usize) -> bool {
        let parent = &self.steps[edge.step];
        let enough = if edge.settled { &derived.settled } else { &derived.satisfied };
        match edge.kind {
            EdgeKind::Keyed => parent.expanded && self.meets(parent.first + offset, edge.settled),
            EdgeKind::Barrier => parent.expanded && enough[edge.step] == parent.count,
        }
    }

    /// Whether a node satisfies an edge (I3).
    pub(super) fn meets(&self, index: usize, settled: bool) -> bool {
        let state = &self.nodes[index].state;
        state.satisfies() || (settled && self.is_over_without_success(index))
    }

    /// Whether a node failed for good, or was not reached: enough for who waits for its end only (`Settled`).
    fn is_over_without_success(&self, index: usize) -> bool {
        match &self.nodes[index].state {
            NodeState::Failed { failure, .. } => retry_after(self, index, failure).is_none(),
            NodeState::NotReached => true,
            NodeState::Waiting
            | NodeState::Running { .. }
            | NodeState::AwaitingApproval { .. }
            | NodeState::Backoff { .. }
            | NodeState::Indeterminate { .. }
            | NodeState::Succeeded(_)
            | NodeState::Skipped(_)
            | NodeState::Undoing { .. }
            | NodeState::Undone
            | NodeState::UndoFailed { .. } => false,
        }
    }

    /// Indices of the nodes that wait for `index`.
    pub(super) fn dependents_of(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        self.dependents_by(index, |_| true)
    }

    /// Indices of the nodes that wait for `index` by edges that are `which`.
    pub(super) fn dependents_by<'a>(
        &'a self,
        index: usize,
        which: impl Fn(&Behind) -> bool + 'a,
    ) -> impl Iterator<Item = usize> + 'a {
        let step = self.nodes[index].step;
        let offset = index - self.steps[step].first;
        self.steps[step].dependents.iter().filter(move |behind| which(behind)).flat_map(move |behind| {
            let nodes = &self.steps[behind.step];
            match behind.kind {
                EdgeKind::Keyed if nodes.expanded => nodes.first + offset..nodes.first + offset + 1,
                // Its nodes are not there yet.
                EdgeKind::Keyed => 0..0,
                EdgeKind::Barrier => nodes.first..nodes.first + nodes.count,
            }
        })
    }

    /// Recomputes what follows from the nodes, from nothing.
    pub(super) fn derive(&self) -> Derived {
        let mut derived = Derived {
            unmet: vec![0; self.nodes.len()],
            satisfied: vec![0; self.steps.len()],
            settled: vec![0; self.steps.len()],
            ..Derived::default()
        };
        for (index, node) in self.nodes.iter().enumerate() {
            derived.satisfied[node.step] += usize::from(self.meets(index, false));
            derived.settled[node.step] += usize::from(self.meets(index, true));
            derived.note(index, self.phase_of(node.step), &node.state);
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let offset = index - self.steps[node.step].first;
            for edge in &self.plan.steps[node.step].needs {
                derived.unmet[index] += u32::from(!self.is_met_by(&derived, edge, offset));
            }
            if derived.unmet[index] == 0 && matches!(node.state, NodeState::Waiting) {
                derived.ready.insert(index);
            }
        }
        derived
    }

    /// Asserts that the derived sets are what the nodes say.
    pub fn check(&self) -> Result<(), String> {
        let fresh = self.derive();
        if fresh == self.derived { Ok(()) } else { Err(format!("derived {:?}, should be {fresh:?}", self.derived)) }
    }
}

impl Derived {
    /// Enters a node into the set of its state.
    pub fn note(&mut self, index: usize, phase: Phase, state: &NodeState) {
        match state {
            NodeState::Waiting => {}
            NodeState::Running { .. } | NodeState::Undoing { .. } => {
                self.running.insert(index);
            }
            NodeState::AwaitingApproval { .. } => {
                self.gates.insert(index);
            }
            NodeState::Backoff { .. } => {
                self.backoff.insert(index);
            }
            NodeState::Indeterminate { .. } => {
                self.indeterminate.insert(index);
            }
            NodeState::Failed { .. } => {
                self.failed.insert(index);
                *self.over.of_mut(phase) += 1;
            }
            NodeState::UndoFailed { .. } => {
                self.undo_failed.insert(index);
            }
            NodeState::Succeeded(_) | NodeState::Skipped(_) | NodeState::NotReached | NodeState::Undone => {
                *self.over.of_mut(phase) += 1;
            }
        }
    }

    /// Takes a node out of the set of its state.
    pub fn forget(&mut self, index: usize, phase: Phase, state: &NodeState) {
        match state {
            NodeState::Waiting => {
                self.ready.remove(&index);
            }
            NodeState::Running { .. } | NodeState::Undoing { .. } => {
                self.running.remove(&index);
            }
            NodeState::AwaitingApproval { .. } => {
                self.gates.remove(&index);
            }
            NodeState::Backoff { .. } => {
                self.backoff.remove(&index);
            }
            NodeState::Indeterminate { .. } => {
                self.indeterminate.remove(&index);
            }
            NodeState::Failed { .. } => {
                self.failed.remove(&index);
                *self.over.of_mut(phase) -= 1;
            }
            NodeState::UndoFailed { .. } => {
                self.undo_failed.remove(&index);
            }
            NodeState::Succeeded(_) | NodeState::Skipped(_) | NodeState::NotReached | NodeState::Undone => {
                *self.over.of_mut(phase) -= 1;
            }
        }
    }
}
