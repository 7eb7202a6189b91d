//! The driver: from what was learnt to what is committed and what is begun. Pure; the runner and the simulation share it.
//!
//! Invariant: [`Driver::decide`] gives effects only together with the events that intend them; whoever calls it makes the
//! events durable first (I1). A result of an attempt that is not the live one changes nothing (I4).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dsl::value::Value;

use super::decision::{Decision, Effect, FlightTask, Input, NodeOutcome, Rest, World};
use super::event::{CancelMode, Decision as Meaning, Entry, Event};
use super::life::{Activity, Life};
use super::node::{Failure, FailureClass, NodeId, NodeState, Proof, Skip};
use super::records::{Record, RecordKey, written};
use super::state::{IllegalEvent, Operation};
use super::verb::{Refused, Verb};
use super::what_next::wake_at;

/// The output, a Bool, by which a program says whether it changed something.
const CHANGED: &str = "changed";

/// The probe found the effect of an attempt of ours.
fn found(node: NodeId, attempt: u32) -> Event {
    Event::Succeeded {
        node,
        attempt,
        out: BTreeMap::new(),
        changed: true,
        proof: Proof::Probe,
        output: None,
        records: Vec::new(),
    }
}

/// An operation in the hands of a process.
#[derive(Debug)]
pub struct Driver {
    pub(super) operation: Operation,
    /// Nodes that an executor of this process works on.
    pub(super) flights: HashMap<usize, Flight>,
    /// Nodes whose kill was asked for.
    pub(super) kills: BTreeSet<usize>,
    /// The locks that nodes hold: those that run, or of which nobody knows whether they do.
    pub(super) held: BTreeMap<usize, Vec<String>>,
    /// Nodes that could begin but for a lock that another holds, and its name.
    pub(super) blocked: BTreeMap<usize, String>,
    /// Incarnation of the store: part of every attempt that begins.
    pub(super) incarnation: u32,
}

/// What an executor of this process works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flight {
    pub attempt: u32,
    pub task: FlightTask,
}

impl Driver {
    /// Takes an operation in hand: just created, or replayed.
    pub fn new(operation: Operation, incarnation: u32) -> Driver {
        let mut driver = Driver {
            operation,
            flights: HashMap::new(),
            kills: BTreeSet::new(),
            held: BTreeMap::new(),
            blocked: BTreeMap::new(),
            incarnation,
        };
        let held = driver.holders().into_iter().map(|index| (index, driver.locks_of(index)));
        driver.held = held.filter(|(_, locks)| !locks.is_empty()).collect();
        driver
    }

    /// The state.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Folds in what was learnt and says what follows.
    pub fn decide(&mut self, inputs: Vec<Input>, world: &mut World<'_>) -> Result<Decision, IllegalEvent> {
        let mut batch = Batch::new(world);
        let mut outdated = None;
        for input in inputs {
            match input {
                Input::Go => {}
                Input::Locked => {
                    if self.operation.life == Life::Processing(Activity::Queued) {
                        self.emit(Event::Locked, &mut batch)?;
                    }
                }
                Input::Outdated { why } => {
                    if self.operation.life == Life::Processing(Activity::Queued) {
                        let (mode, by) = (CancelMode::Graceful, "engine".to_owned());
                        outdated = Some(why.clone());
                        self.emit(Event::CancelAsked { mode, by, why }, &mut batch)?;
                    }
                }
                Input::Node { node, attempt, outcome } => self.learn(&node, attempt, outcome, &mut batch)?,
                Input::Found { node, attempt, incarnation } => {
                    self.emit(Event::Found { node, attempt, incarnation }, &mut batch)?;
                }
            }
        }
        self.settle(&mut batch)?;
        // What it was made of will not come back: resumed, it would only be cancelled again, and hold its locks until then.
        if let (Some(why), Life::FailedTemp { .. }) = (outdated, &self.operation.life) {
            self.emit(Event::FailAsked { by: "engine".to_owned(), why: format!("{why}; run it again") }, &mut batch)?;
        }
        Ok(self.decision(batch))
    }

    /// Does what a person asks, if it is legal now.
    pub fn verb(
        &mut self,
        verb: &Verb,
        by: &str,
        why: &str,
        world: &mut World<'_>,
    ) -> Result<Result<Decision, Refused>, IllegalEvent> {
        let events = match self.operation.verb(verb, by, why) {
            Ok(events) => events,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut batch = Batch::new(world);
        for event in events {
            self.emit(event, &mut batch)?;
        }
        self.settle(&mut batch)?;
        Ok(Ok(self.decision(batch)))
    }

    fn decision(&mut self, batch: Batch<'_, '_>) -> Decision {
        let gave = self.give_back();
        let wake_at_ms = wake_at(&self.operation, batch.world.now_ms.max(self.operation.at_ms));
        let rest = match self.operation.life.activity() {
            None => Rest::Ended,
            Some(_) if !self.flights.is_empty() || wake_at_ms.is_some() || !self.blocked.is_empty() => Rest::Busy,
            Some(Activity::Queued) => Rest::Busy,
            Some(Activity::Paused { .. }) => Rest::Waits,
            Some(Activity::Active | Activity::Pausing { .. } | Activity::Cancelling { .. }) => {
                if self.operation.open_gates().next().is_none() { Rest::Stuck } else { Rest::Waits } // I6
            }
        };
        let blocked = self.blocked.iter().map(|(&index, lock)| (self.id(index), lock.clone())).collect();
        Decision { entries: batch.entries, effects: batch.effects, wake_at_ms, rest, took: batch.took, gave, blocked }
    }

    pub(super) fn emit(&mut self, event: Event, batch: &mut Batch<'_, '_>) -> Result<(), IllegalEvent> {
        let entry = Entry {
            seq: self.operation.seq + 1,
            at_ms: batch.world.now_ms.max(self.operation.at_ms), // D6
            event,
        };
        self.operation.apply(&entry)?;
        batch.recorded.extend(written(self.operation.id, &entry).map(|(change, record)| (change.key.clone(), record)));
        batch.entries.push(entry);
        Ok(())
    }

    fn learn(
        &mut self,
        node: &NodeId,
        attempt: u32,
        outcome: NodeOutcome,
        batch: &mut Batch<'_, '_>,
    ) -> Result<(), IllegalEvent> {
        let Ok(index) = self.operation.index(node) else { return Ok(()) };
        if !self.operation.life.is_live() {
            return Ok(()); // It was abandoned while this ran.
        }
        if self.flights.get(&index) != Some(&Flight { attempt, task: outcome.task() }) {
            return Ok(()); // A stale attempt is fenced off by its number (I4).
        }
        if outcome != NodeOutcome::Reattached {
            self.flights.remove(&index);
            self.kills.remove(&index);
        }
        let id = node.clone();
        let undoing = matches!(self.operation.nodes[index].state, NodeState::Undoing { .. });
        let event = match (outcome, undoing) {
            (NodeOutcome::Succeeded { out, changed, output }, false) => {
                // A program says by an output of that name what nobody else can know.
                let changed = match out.get(CHANGED) {
                    Some(Value::Bool(said)) => *said,
                    _ => changed,
                };
                Event::Succeeded { node: id, attempt, out, changed, proof: Proof::Action, output, records: Vec::new() }
            }
            // What an earlier attempt may have done is ours, and is undone with the rest.
            (NodeOutcome::AlreadySo, false) if self.operation.nodes[index].touched => found(id, attempt),
            (NodeOutcome::AlreadySo, false) => Event::Skipped { node: id, why: Skip::AlreadySo },
            (NodeOutcome::Failed { failure, output }, false) => Event::Failed { node: id, attempt, failure, output },
            (NodeOutcome::Reattached, false) => Event::Reattached { node: id, attempt },
            (NodeOutcome::Unknown(why), false) => Event::Indeterminate { node: id, attempt, why },
            (NodeOutcome::ProbedThere, false) => found(id, attempt),
            (NodeOutcome::ProbedNotThere, false) => Event::Decided {
                node: id,
                attempt,
                decision: Meaning::Rerun,
                by: "engine".to_owned(),
                why: "the probe says that the effect is not there".to_owned(),
            },
            (NodeOutcome::ProbedUnknown(failure), false) => Event::Failed { node: id, attempt, failure, output: None },
            (NodeOutcome::Succeeded { .. } | NodeOutcome::AlreadySo, true) => {
                Event::Undone { node: id, attempt, records: Vec::new() }
            }
            (NodeOutcome::Failed { failure, .. } | NodeOutcome::ProbedUnknown(failure), true) => {
                Event::UndoFailed { node: id, attempt, failure }
            }
            (NodeOutcome::Reattached, true) => return Ok(()),
            // An undo is repeatable by contract: an unknown outcome of it means once more.
            (NodeOutcome::Unknown(_) | NodeOutcome::ProbedThere | NodeOutcome::ProbedNotThere, true) => {
                let failure = Failure {
                    class: FailureClass::Other,
                    message: format!("the undo of `{node}` was interrupted and nothing says how it ended"),
                    hint: Some("resume the operation to run the undo again".to_owned()),
                };
                if self.may_undo() {
                    // Its locks are still held by it.
                    return self.begin_undo(index, batch).map(|_| ());
                }
                Event::UndoFailed { node: id, attempt, failure }
            }
        };
        self.emit(event, batch)
    }

    pub(super) fn may_undo(&self) -> bool {
        matches!(self.operation.life.activity(), Some(Activity::Active))
    }

    pub(super) fn id(&self, index: usize) -> NodeId {
        self.operation.nodes[index].id.clone()
    }
}

pub(super) struct Batch<'a, 'w> {
    pub world: &'a mut World<'w>,
    pub entries: Vec<Entry>,
    pub effects: Vec<Effect>,
    pub took: Vec<(String, NodeId)>,
    /// Records as these entries leave them.
    pub recorded: BTreeMap<RecordKey, Option<Record>>,
}

impl<'a, 'w> Batch<'a, 'w> {
    fn new(world: &'a mut World<'w>) -> Batch<'a, 'w> {
        Batch { world, entries: Vec::new(), effects: Vec::new(), took: Vec::new(), recorded: BTreeMap::new() }
    }
}
