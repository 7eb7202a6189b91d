//! The driver: from what was learnt to what is committed and what is begun. Pure; the runner and the simulation share it.
//!
//! Invariant: [`Driver::decide`] gives effects only together with the events that intend them; whoever calls it makes the
//! events durable first (I1). A result of an attempt that is not the live one changes nothing (I4).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dsl::eval::render;
use dsl::plan::Otherwise;
use dsl::value::Value;

use super::event::{CancelMode, Decision as Meaning, Entry, Event, FailedBecause, Outcome};
use super::life::{Activity, Life};
use super::node::{Failure, FailureClass, NodeId, NodeState, OutputRef, Proof, Skip, Unknown};
use super::places::Places;
use super::scope::CoreScope;
use super::state::{IllegalEvent, Operation, Phase};
use super::verb::{Refused, Verb};
use super::what_next::{Command, wake_at, what_next};

/// An operation in the hands of a process.
#[derive(Debug)]
pub struct Driver {
    operation: Operation,
    /// Nodes that an executor of this process works on.
    flights: HashMap<usize, Flight>,
    /// Nodes whose kill was asked for.
    kills: BTreeSet<usize>,
    /// The locks that nodes hold: those that run, or of which nobody knows whether they do.
    held: BTreeMap<usize, Vec<String>>,
    /// Nodes that could begin but for a lock that another holds, and its name.
    blocked: BTreeMap<usize, String>,
    /// Incarnation of the store: part of every attempt that begins.
    incarnation: u32,
}

/// What an executor of this process works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flight {
    attempt: u32,
    task: FlightTask,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FlightTask {
    /// `do` or `undo`, from its beginning or found again.
    Work,
    /// The question how an attempt ended.
    Probe,
}

/// Something that was learnt.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time has passed, or the operation was just created or recovered.
    Go,
    /// The locks of the operation were taken for it: recorded in the same commit as what follows (D8).
    Locked,
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
        for input in inputs {
            match input {
                Input::Go => {}
                Input::Locked => {
                    if self.operation.life == Life::Processing(Activity::Queued) {
                        self.emit(Event::Locked, &mut batch)?;
                    }
                }
                Input::Node { node, attempt, outcome } => self.learn(&node, attempt, outcome, &mut batch)?,
                Input::Found { node, attempt, incarnation } => {
                    self.emit(Event::Found { node, attempt, incarnation }, &mut batch)?;
                }
            }
        }
        self.settle(&mut batch)?;
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

    /// Nodes that hold their locks: at work, or of unknown outcome because their host cannot be reached. What is given up, or
    /// tried again later, holds none: a node that waits while it holds something could wait for ever.
    fn holders(&self) -> BTreeSet<usize> {
        let operation = &self.operation;
        if operation.life.is_final() {
            return BTreeSet::new();
        }
        let lost = operation.derived.indeterminate.iter().filter(|&&index| {
            matches!(operation.nodes[index].state, NodeState::Indeterminate { why: Unknown::Unreachable, .. })
        });
        operation.derived.running.iter().chain(lost).copied().collect()
    }

    /// The locks that its nodes hold, of those that are recorded for it; the others are left over from a write that was kept
    /// in part.
    pub fn left_over(&self, recorded: Vec<(String, NodeId)>) -> Vec<(String, NodeId)> {
        let holds = |(lock, node): &(String, NodeId)| {
            let locks = self.operation.index(node).ok().and_then(|index| self.held.get(&index));
            locks.is_some_and(|locks| locks.contains(lock))
        };
        recorded.into_iter().filter(|record| !holds(record)).collect()
    }

    fn locks_of(&self, index: usize) -> Vec<String> {
        let node = &self.operation.nodes[index];
        let scope = CoreScope { operation: &self.operation, node: Some(node) };
        let locks = self.operation.step_of(node).locks.iter();
        // One that cannot be told fails the attempt, where it is rendered again.
        let names: BTreeSet<String> = locks.filter_map(|lock| Some(render(lock, &scope).ok()?.text)).collect();
        names.into_iter().collect()
    }

    fn give_back(&mut self) -> Vec<(String, NodeId)> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let holders = self.holders();
        let mut gave = Vec::new();
        let operation = &self.operation;
        self.held.retain(|index, locks| {
            if holders.contains(index) {
                return true;
            }
            gave.extend(locks.drain(..).map(|lock| (lock, operation.nodes[*index].id.clone())));
            false
        });
        gave
    }

    fn emit(&mut self, event: Event, batch: &mut Batch<'_, '_>) -> Result<(), IllegalEvent> {
        let entry = Entry {
            seq: self.operation.seq + 1,
            at_ms: batch.world.now_ms.max(self.operation.at_ms), // D6
            event,
        };
        self.operation.apply(&entry)?;
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
            (NodeOutcome::Succeeded { out, output }, false) => {
                Event::Succeeded { node: id, attempt, out, proof: Proof::Action, output }
            }
            // What an earlier attempt may have done is ours, and is undone with the rest.
            (NodeOutcome::AlreadySo, false) if self.operation.nodes[index].touched => {
                Event::Succeeded { node: id, attempt, out: BTreeMap::new(), proof: Proof::Probe, output: None }
            }
            (NodeOutcome::AlreadySo, false) => Event::Skipped { node: id, why: Skip::AlreadySo },
            (NodeOutcome::Failed { failure, output }, false) => Event::Failed { node: id, attempt, failure, output },
            (NodeOutcome::Reattached, false) => Event::Reattached { node: id, attempt },
            (NodeOutcome::Unknown(why), false) => Event::Indeterminate { node: id, attempt, why },
            (NodeOutcome::ProbedThere, false) => {
                Event::Succeeded { node: id, attempt, out: BTreeMap::new(), proof: Proof::Probe, output: None }
            }
            (NodeOutcome::ProbedNotThere, false) => Event::Decided {
                node: id,
                attempt,
                decision: Meaning::Rerun,
                by: "engine".to_owned(),
                why: "the probe says that the effect is not there".to_owned(),
            },
            (NodeOutcome::ProbedUnknown(failure), false) => Event::Failed { node: id, attempt, failure, output: None },
            (NodeOutcome::Succeeded { .. } | NodeOutcome::AlreadySo, true) => Event::Undone { node: id, attempt },
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

    fn may_undo(&self) -> bool {
        matches!(self.operation.life.activity(), Some(Activity::Active))
    }

    /// Carries out what follows by itself, until nothing more does.
    fn settle(&mut self, batch: &mut Batch<'_, '_>) -> Result<(), IllegalEvent> {
        loop {
            self.blocked.clear();
            let flights = &self.flights;
            let now_ms = batch.world.now_ms.max(self.operation.at_ms);
            let commands = what_next(&self.operation, &|index| flights.contains_key(&index), now_ms);
            let mut moved = false;
            for command in commands {
                moved |= self.carry_out(command, batch)?;
            }
            if !moved {
                return Ok(());
            }
        }
    }

    fn carry_out(&mut self, command: Command, batch: &mut Batch<'_, '_>) -> Result<bool, IllegalEvent> {
        match command {
            Command::Expand(step, keys, elements) => {
                // What a key says itself is not said again.
                let plain = keys.iter().zip(&elements).all(|(key, element)| *element == Value::Text(key.clone()));
                let elements = if plain { Vec::new() } else { elements };
                let step = self.operation.plan.steps[step].id.clone();
                self.emit(Event::Expanded { step, keys, elements }, batch)?;
            }
            Command::SkipWhenFalse(index) => {
                let node = self.id(index);
                self.emit(Event::Skipped { node, why: Skip::WhenFalse }, batch)?;
            }
            Command::NotReached(index) => {
                let node = self.id(index);
                self.emit(Event::NotReached { node }, batch)?;
            }
            Command::Start(index) => return self.start(index, batch),
            Command::Retry(index, wait_ms) => {
                let (node, attempt) = (self.id(index), self.operation.nodes[index].attempts);
                // Up to a quarter longer, so that many failures at once do not come back at once.
                let wait_ms = wait_ms.saturating_add((wait_ms as f64 * 0.25 * (batch.world.jitter)()) as u64);
                let at_ms = batch.world.now_ms.max(self.operation.at_ms).saturating_add(wait_ms);
                self.emit(Event::RetryAt { node, attempt, at_ms }, batch)?;
            }
            Command::Reattach(index) => {
                let node = self.id(index);
                match self.operation.nodes[index].state {
                    NodeState::Running { attempt } => {
                        self.flights.insert(index, Flight { attempt, task: FlightTask::Work });
                        batch.effects.push(Effect::Reattach { node, attempt, undo: false });
                    }
                    NodeState::Undoing { attempt, .. } => {
                        self.flights.insert(index, Flight { attempt, task: FlightTask::Work });
                        batch.effects.push(Effect::Reattach { node, attempt, undo: true });
                    }
                    _ => return Ok(false),
                }
            }
            Command::LostWithEngine(index) => {
                let (node, attempt) = (self.id(index), self.operation.nodes[index].attempts);
                self.emit(Event::Indeterminate { node, attempt, why: Unknown::InEngine }, batch)?;
            }
            Command::Rerun(index, why) => {
                let (node, attempt) = (self.id(index), self.operation.nodes[index].attempts);
                let (by, why) = ("engine".to_owned(), why.to_owned());
                self.emit(Event::Decided { node, attempt, decision: Meaning::Rerun, by, why }, batch)?;
            }
            Command::Probe(index) => {
                let (node, attempt) = (self.id(index), self.operation.nodes[index].attempts);
                self.flights.insert(index, Flight { attempt, task: FlightTask::Probe });
                batch.effects.push(Effect::Probe { node, attempt });
            }
            Command::AskPerson(index) => {
                let why = format!("nobody knows how `{}` ended, and only a person can say", self.id(index));
                // The first of several pauses the operation; the others wait with it.
                if self.operation.life.activity() == Some(&Activity::Active) {
                    self.emit(Event::PauseAsked { by: "engine".to_owned(), why }, batch)?;
                }
            }
            Command::NoAnswer(index, otherwise) => {
                let (node, by) = (self.id(index), "engine".to_owned());
                let why = "nobody answered in time".to_owned();
                self.emit(
                    match otherwise {
                        Otherwise::Approve => Event::Approved { node, by, why },
                        Otherwise::Reject => Event::Rejected { node, by, why },
                    },
                    batch,
                )?;
            }
            Command::DeadlinePassed => {
                let after = dsl::duration::show(self.operation.plan.deadline_ms.unwrap_or_default());
                let (by, why) = ("engine".to_owned(), format!("its deadline of {after} has passed"));
                self.emit(Event::CancelAsked { mode: CancelMode::Forceful, by, why }, batch)?;
            }
            Command::Undo(index) => return self.begin_undo(index, batch),
            Command::SkipUndo(index, why) => {
                let node = self.id(index);
                self.emit(Event::UndoSkipped { node, why }, batch)?;
            }
            Command::PauseForUndo(index) => {
                let why = format!("the undo of `{}` failed", self.id(index));
                self.emit(Event::PauseAsked { by: "engine".to_owned(), why }, batch)?;
            }
            Command::Kill(index) => {
                let attempt = self.operation.nodes[index].attempts;
                if !self.kills.insert(index) {
                    return Ok(false);
                }
                batch.effects.push(Effect::Kill { node: self.id(index), attempt });
            }
            Command::RollBack => {
                let why = "a failed step says `on_failure: Rollback`".to_owned();
                self.emit(Event::RollbackAsked { by: "engine".to_owned(), why }, batch)?;
            }
            Command::Complete => {
                let outcome = match self.outputs() {
                    Ok(outputs) => Outcome::Completed { outputs },
                    Err(why) => Outcome::FailedTemp { reason: FailedBecause::Outputs(why) },
                };
                self.conclude(outcome, batch)?;
            }
            Command::FailTemp(reason) => self.conclude(Outcome::FailedTemp { reason }, batch)?,
            Command::RolledBack => self.conclude(Outcome::RolledBack, batch)?,
            Command::Finished => {
                let Life::Finishing { outcome, .. } = self.operation.life.clone() else { return Ok(false) };
                let outcome = match (outcome, self.operation.finally_failed()) {
                    (Outcome::Completed { .. }, Some(reason)) => Outcome::FailedTemp { reason },
                    (outcome, _) => outcome,
                };
                self.emit(Event::Ended { outcome }, batch)?;
            }
        }
        Ok(true)
    }

    /// The body is over: the steps of `finally` follow, or the end.
    fn conclude(&mut self, outcome: Outcome, batch: &mut Batch<'_, '_>) -> Result<(), IllegalEvent> {
        let more = self.operation.steps_of(Phase::Finally).next().is_some();
        let finishing = matches!(self.operation.life, Life::Finishing { .. });
        self.emit(if more && !finishing { Event::Finally { outcome } } else { Event::Ended { outcome } }, batch)
    }

    /// Takes a node's locks, or notes the one that another holds.
    fn takes_locks(&mut self, index: usize, batch: &mut Batch<'_, '_>) -> bool {
        let locks = self.locks_of(index);
        if locks.is_empty() {
            return true;
        }
        let node = self.id(index);
        // What comes last, and what is undone, does not wait for a node of which nobody could learn whether it still runs: nobody
        // will before the end.
        let finally = self.operation.phase_of(self.operation.nodes[index].step) == Phase::Finally;
        let lost: Vec<usize> = if finally || matches!(self.operation.life, Life::RollingBack(_)) {
            let running = &self.operation.derived.running;
            self.held.keys().copied().filter(|other| *other != index && !running.contains(other)).collect()
        } else {
            Vec::new()
        };
        let over_from: Vec<NodeId> = lost.iter().map(|&index| self.id(index)).collect();
        if let Err(lock) = batch.world.places.take(&node, &locks, &over_from) {
            self.blocked.insert(index, lock);
            return false;
        }
        for index in lost {
            self.held.entry(index).and_modify(|held| held.retain(|lock| !locks.contains(lock)));
        }
        if self.held.insert(index, locks.clone()).is_none() {
            batch.took.extend(locks.into_iter().map(|lock| (lock, node.clone())));
        }
        true
    }

    /// Begins an attempt, unless another holds one of its locks.
    fn start(&mut self, index: usize, batch: &mut Batch<'_, '_>) -> Result<bool, IllegalEvent> {
        if !self.takes_locks(index, batch) {
            return Ok(false);
        }
        let node = self.id(index);
        let attempt = self.operation.nodes[index].attempts + 1;
        let host = self.operation.nodes[index].slot.as_ref().and_then(|slot| self.operation.hosts.get(slot));
        let generation = host.map_or(0, |host| host.generation);
        let incarnation = self.incarnation;
        self.emit(Event::Started { node: node.clone(), attempt, generation, incarnation }, batch)?;
        // A gate waits for a person, not for an executor.
        if let NodeState::Running { .. } = self.operation.nodes[index].state {
            self.flights.insert(index, Flight { attempt, task: FlightTask::Work });
            batch.effects.push(Effect::Do { node, attempt });
        }
        Ok(true)
    }

    /// Begins an undo, unless another holds one of its locks.
    fn begin_undo(&mut self, index: usize, batch: &mut Batch<'_, '_>) -> Result<bool, IllegalEvent> {
        // Something in front of it in the same list may have paused the operation.
        if !self.may_undo() || !self.takes_locks(index, batch) {
            return Ok(false);
        }
        let node = self.id(index);
        let attempt = self.operation.nodes[index].attempts + 1;
        let incarnation = self.incarnation;
        self.emit(Event::UndoStarted { node: node.clone(), attempt, incarnation }, batch)?;
        self.flights.insert(index, Flight { attempt, task: FlightTask::Work });
        batch.effects.push(Effect::Undo { node, attempt });
        Ok(true)
    }

    fn outputs(&self) -> Result<BTreeMap<String, String>, String> {
        let scope = CoreScope { operation: &self.operation, node: None };
        let plan = &self.operation.plan;
        plan.outputs
            .iter()
            .map(|(name, template)| match render(template, &scope) {
                Ok(rendered) => Ok((name.clone(), rendered.text)),
                Err(error) => Err(format!("output `{name}`: {error}")),
            })
            .collect()
    }

    fn id(&self, index: usize) -> NodeId {
        self.operation.nodes[index].id.clone()
    }
}

impl NodeOutcome {
    fn task(&self) -> FlightTask {
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

struct Batch<'a, 'w> {
    world: &'a mut World<'w>,
    entries: Vec<Entry>,
    effects: Vec<Effect>,
    took: Vec<(String, NodeId)>,
}

impl<'a, 'w> Batch<'a, 'w> {
    fn new(world: &'a mut World<'w>) -> Batch<'a, 'w> {
        Batch { world, entries: Vec::new(), effects: Vec::new(), took: Vec::new() }
    }
}
