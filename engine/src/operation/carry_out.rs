//! From what follows by itself ([`what_next`]) to the events that say so and the effects that they intend.

use std::collections::BTreeMap;

use dsl::eval::render;
use dsl::plan::Otherwise;
use dsl::value::Value;

use super::decision::{Effect, FlightTask};
use super::driver::{Batch, Driver, Flight};
use super::event::{CancelMode, Decision as Meaning, Event, FailedBecause, Outcome};
use super::life::{Activity, Life};
use super::node::{NodeState, Skip, Unknown};
use super::scope::CoreScope;
use super::state::{IllegalEvent, Phase};
use super::what_next::{Command, what_next};

impl Driver {
    /// Carries out what follows by itself, until nothing more does.
    pub(super) fn settle(&mut self, batch: &mut Batch<'_, '_>) -> Result<(), IllegalEvent> {
        loop {
            self.blocked.clear();
            let flights = &self.flights;
            let now_ms = batch.world.now_ms.max(self.operation.at_ms);
            let commands = what_next(&self.operation, &|index| flights.contains_key(&index), now_ms);
            let mut moved = false;
            let failures = self.failures();
            for command in commands {
                moved |= self.carry_out(command, batch)?;
                // What was recorded may have failed at once, and that may keep the others from beginning.
                if self.failures() > failures {
                    break;
                }
            }
            if !moved {
                return Ok(());
            }
        }
    }

    fn failures(&self) -> usize {
        self.operation.derived.failed.len() + self.operation.derived.undo_failed.len()
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
                let jitter = self.operation.step_of(&self.operation.nodes[index]).retry.jitter;
                let wait_ms = wait_ms.saturating_add((wait_ms as f64 * jitter * (batch.world.jitter)()) as u64);
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
                    // It was begun by an entry that was kept, and ended by one that was not.
                    NodeState::Undoing { .. } if self.operation.restores_a_record(index) => {
                        self.put_back(index, batch)?;
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
                let untraceable = self.operation.step_of(&self.operation.nodes[index]).action.is_untraceable();
                let why = if untraceable { Unknown::Unanswered } else { Unknown::InEngine };
                self.emit(Event::Indeterminate { node, attempt, why }, batch)?;
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

    /// Begins an attempt, unless another holds one of its locks.
    fn start(&mut self, index: usize, batch: &mut Batch<'_, '_>) -> Result<bool, IllegalEvent> {
        if !self.takes_locks(index, batch) {
            return Ok(false);
        }
        let node = self.id(index);
        let attempt = self.operation.nodes[index].attempts + 1;
        let at = self.operation.runs_at(&self.operation.nodes[index]);
        let host = at.and_then(|slot| self.operation.hosts.get(slot));
        let generation = host.map_or(0, |host| host.generation);
        let incarnation = self.incarnation;
        self.emit(Event::Started { node: node.clone(), attempt, generation, incarnation }, batch)?;
        if self.operation.step_of(&self.operation.nodes[index]).action.is_record() {
            return self.record(index, batch).map(|()| true);
        }
        // A gate waits for a person, not for an executor.
        if let NodeState::Running { .. } = self.operation.nodes[index].state {
            self.flights.insert(index, Flight { attempt, task: FlightTask::Work });
            batch.effects.push(Effect::Do { node, attempt });
        }
        Ok(true)
    }

    /// Begins an undo, unless another holds one of its locks.
    pub(super) fn begin_undo(&mut self, index: usize, batch: &mut Batch<'_, '_>) -> Result<bool, IllegalEvent> {
        // Something in front of it in the same list may have paused the operation.
        if !self.may_undo() || !self.takes_locks(index, batch) {
            return Ok(false);
        }
        let node = self.id(index);
        let attempt = self.operation.nodes[index].attempts + 1;
        let incarnation = self.incarnation;
        self.emit(Event::UndoStarted { node: node.clone(), attempt, incarnation }, batch)?;
        if self.operation.restores_a_record(index) {
            return self.put_back(index, batch).map(|()| true);
        }
        self.flights.insert(index, Flight { attempt, task: FlightTask::Work });
        batch.effects.push(Effect::Undo { node, attempt });
        Ok(true)
    }

    /// The body is over: the steps of `finally` follow, or the end.
    fn conclude(&mut self, outcome: Outcome, batch: &mut Batch<'_, '_>) -> Result<(), IllegalEvent> {
        let more = self.operation.steps_of(Phase::Finally).next().is_some();
        let finishing = matches!(self.operation.life, Life::Finishing { .. });
        self.emit(if more && !finishing { Event::Finally { outcome } } else { Event::Ended { outcome } }, batch)
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
}
