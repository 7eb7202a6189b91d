//! `apply`: the only code that changes an operation's state, for live events and for replay alike (I5).
//!
//! Total: every event in every state either gives the next state or is an [`IllegalEvent`], and then nothing has changed.

use std::collections::BTreeMap;

use dsl::plan::Action;
use dsl::value::Value;

use super::event::{Entry, Event, Outcome};
use super::lay_out::deadline;
use super::life::{Activity, Life};
use super::node::{Done, Failure, FailureClass, Gate, NodeEvent, NodeId, NodeState, Skip, Undo, Unknown};
use super::state::{IllegalEvent, Locks, MayRun, Node, Operation, Phase};

impl Operation {
    /// Folds one entry into the state.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), IllegalEvent> {
        let illegal =
            |why: &str| IllegalEvent { seq: entry.seq, event: format!("{:?}", entry.event), why: why.to_owned() };
        if entry.seq != self.seq + 1 {
            return Err(illegal("the journal has a gap in front of it"));
        }
        if entry.at_ms < self.at_ms {
            return Err(illegal("it is older than the entry in front of it")); // D6
        }
        self.apply_event(&entry.event, entry.at_ms).map_err(|why| illegal(&why))?;
        self.seq = entry.seq;
        self.at_ms = entry.at_ms;
        Ok(())
    }

    fn apply_event(&mut self, event: &Event, at_ms: u64) -> Result<(), String> {
        match event {
            Event::Created { .. } => Err("the operation exists already".to_owned()),
            Event::Locked => match (&self.locks, &self.life) {
                (Locks::Wanted(locks), Life::Processing(Activity::Queued)) => {
                    self.locks = Locks::Held(locks.clone());
                    self.life = Life::Processing(Activity::Active);
                    Ok(())
                }
                _ => Err("it waits for no locks".to_owned()),
            },
            Event::Expanded { step, keys, elements } => self.expand(step, keys, elements, at_ms),
            Event::Started { node, attempt, generation, incarnation } => {
                let index = self.index(node)?;
                self.may_start(index)?;
                self.fresh_attempt(index, *attempt)?;
                self.edges_satisfied(index)?; // I3
                let gate = gate(&self.plan.steps[self.nodes[index].step].action);
                self.step_node(index, NodeEvent::Started(*attempt, gate), at_ms)?;
                self.nodes[index].attempts = *attempt;
                self.nodes[index].tries += 1;
                self.nodes[index].generation = *generation;
                self.nodes[index].incarnation = *incarnation;
                self.nodes[index].started_ms = at_ms;
                self.nodes[index].epoch = self.epoch;
                self.begun = true;
                Ok(())
            }
            Event::Found { node, attempt, incarnation } => {
                if !matches!(self.life, Life::Processing(_)) {
                    return Err("it does not go forward".to_owned());
                }
                let index = self.index(node)?;
                if *attempt <= self.nodes[index].attempts {
                    return Err(format!("attempt {attempt} is not newer"));
                }
                self.step_node(index, NodeEvent::Found(*attempt), at_ms)?;
                let node = &mut self.nodes[index];
                node.attempts = *attempt;
                node.incarnation = *incarnation;
                node.epoch = self.epoch;
                node.touched = true;
                self.begun = true;
                Ok(())
            }
            Event::Reattached { node, attempt } => self.node_event(node, NodeEvent::Reattached(*attempt), at_ms),
            Event::Succeeded { node, attempt, out, changed, .. } => {
                let done = self.done(node, *attempt, out.clone(), *changed)?;
                self.node_event(node, NodeEvent::Succeeded(done), at_ms)?;
                // An attempt, and the question to a probe, first end what may still run.
                self.node_mut(node)?.may_run.clear();
                Ok(())
            }
            Event::Failed { node, attempt, failure, .. } => {
                self.node_event(node, NodeEvent::Failed(*attempt, failure.clone()), at_ms)?;
                // Where the host was not reached or the probe gave no answer, `do` did not begin.
                let node = self.node_mut(node)?;
                if !matches!(failure.class, FailureClass::Connection | FailureClass::ProbeUnknown) {
                    node.touched = true;
                }
                if matches!(failure.class, FailureClass::Exit(_)) {
                    node.may_run.clear();
                }
                Ok(())
            }
            Event::Indeterminate { node, attempt, why } => {
                self.node_event(node, NodeEvent::Indeterminate(*attempt, *why), at_ms)?;
                let node = self.node_mut(node)?;
                match why {
                    Unknown::NeverBegan | Unknown::InEngine => {}
                    Unknown::Rebooted | Unknown::Vanished | Unknown::Unanswered => node.touched = true,
                    Unknown::Unreachable => {
                        node.touched = true;
                        node.may_run.insert(MayRun { attempt: *attempt, undo: false });
                    }
                }
                Ok(())
            }
            Event::Skipped { node, why } => {
                self.node_event(node, NodeEvent::Skipped(why.clone()), at_ms)?;
                if *why == Skip::AlreadySo {
                    self.node_mut(node)?.may_run.clear();
                }
                Ok(())
            }
            Event::NotReached { node } => self.node_event(node, NodeEvent::NotReached, at_ms),
            Event::RetryAt { node, attempt, at_ms: until } => {
                self.node_event(node, NodeEvent::RetryAt(*attempt, *until), at_ms)
            }
            Event::HostReplaced { slot, host } => {
                let known = self.hosts.get_mut(slot).ok_or_else(|| format!("no host fills slot `{slot}`"))?;
                if host.generation <= known.generation {
                    return Err("its generation is not newer".to_owned());
                }
                **known = host.clone();
                Ok(())
            }
            Event::Approved { node, .. } => {
                let index = self.index(node)?;
                // A person's word changes nothing by itself.
                let done = self.done(node, self.nodes[index].attempts, BTreeMap::new(), false)?;
                self.step_node(index, NodeEvent::Approved(done), at_ms)
            }
            Event::Rejected { node, by, why } => {
                let message = format!("rejected by {by}: {why}");
                let failure = Failure { class: FailureClass::Other, message, hint: None };
                self.node_event(node, NodeEvent::Rejected(failure), at_ms)
            }
            Event::UndoStarted { node, attempt, incarnation } => {
                let index = self.index(node)?;
                match (&self.life, &self.nodes[index].state) {
                    (
                        Life::RollingBack(Activity::Active),
                        NodeState::Waiting
                        | NodeState::Backoff { .. }
                        | NodeState::Failed { .. }
                        | NodeState::NotReached,
                    ) if !self.has_leftovers(index) => return Err("it left nothing to undo".to_owned()),
                    (Life::RollingBack(Activity::Active), _) => {
                        if !self.settled_behind(index) {
                            return Err("a node that depends on it is not undone yet".to_owned()); // I7
                        }
                    }
                    (
                        Life::Processing(Activity::Active) | Life::Finishing { activity: Activity::Active, .. },
                        NodeState::Indeterminate { .. } | NodeState::Undoing { what: Undo::Half, .. },
                    ) => {}
                    (life, state) => {
                        return Err(format!("a node that is {} is not undone in {life:?}", state.word()));
                    }
                }
                self.fresh_attempt(index, *attempt)?;
                // The undo before this one was interrupted, and nobody knows whether it has ended.
                let before = match self.nodes[index].state {
                    NodeState::Undoing { attempt, .. } => Some(MayRun { attempt, undo: true }),
                    _ => None,
                };
                self.nodes[index].may_run.extend(before);
                self.step_node(index, NodeEvent::UndoStarted(*attempt), at_ms)?;
                self.nodes[index].attempts = *attempt;
                self.nodes[index].incarnation = *incarnation;
                self.nodes[index].started_ms = at_ms;
                Ok(())
            }
            Event::Undone { node, attempt } => {
                self.node_event(node, NodeEvent::Undone(*attempt), at_ms)?;
                let node = self.node_mut(node)?;
                node.touched = false;
                node.may_run.clear();
                Ok(())
            }
            Event::UndoFailed { node, attempt, failure } => {
                self.node_event(node, NodeEvent::UndoFailed(*attempt, failure.clone()), at_ms)?;
                let node = self.node_mut(node)?;
                match failure.class {
                    FailureClass::Exit(_) => node.may_run.clear(),
                    _ => drop(node.may_run.insert(MayRun { attempt: *attempt, undo: true })),
                }
                Ok(())
            }
            Event::UndoSkipped { node, .. } => {
                self.node_event(node, NodeEvent::UndoSkipped, at_ms)?;
                let node = self.node_mut(node)?;
                node.touched = false;
                // Nothing was done, so nothing took time.
                node.started_ms = 0;
                Ok(())
            }
            Event::PauseAsked { by, why } => {
                let (by, why) = (by.clone(), why.clone());
                self.change_activity(|activity, idle| match activity {
                    Activity::Active if idle => Ok(Activity::Paused { by, why }),
                    Activity::Active => Ok(Activity::Pausing { by, why }),
                    Activity::Queued => Err("it has not begun".to_owned()),
                    Activity::Pausing { .. } | Activity::Paused { .. } => Err("it is paused already".to_owned()),
                    Activity::Cancelling { .. } => Err("it is being cancelled".to_owned()),
                })
            }
            Event::Resumed { .. } => {
                self.change_activity(|activity, _| match activity {
                    Activity::Pausing { .. } | Activity::Paused { .. } => Ok(Activity::Active),
                    Activity::Active | Activity::Queued => Err("it is not paused".to_owned()),
                    Activity::Cancelling { .. } => Err("it is being cancelled".to_owned()),
                })?;
                // What a person skipped or marked meanwhile may let more be reached. Format 1 had no such verbs.
                let reach = self.format > 1 && !matches!(self.life, Life::RollingBack(_));
                // An undo that failed in a rollback which was broken off is not tried again by what comes last.
                let undoes = !matches!(self.life, Life::Finishing { .. });
                self.again(at_ms, |state| match state {
                    NodeState::UndoFailed { .. } => undoes,
                    NodeState::NotReached => reach,
                    _ => false,
                })
            }
            Event::Retried { .. } => {
                if !matches!(self.life, Life::FailedTemp { .. }) {
                    return Err("only an operation in FAILED_TEMP is retried".to_owned());
                }
                self.life = Life::Processing(match &self.locks {
                    Locks::Held(_) => Activity::Active,
                    Locks::Wanted(_) => Activity::Queued,
                });
                self.deadline_at_ms = deadline(&self.plan, at_ms);
                self.epoch += 1;
                if self.format > 1 {
                    self.forget_undone(at_ms)?;
                }
                self.again(at_ms, |state| {
                    matches!(
                        state,
                        NodeState::Failed { .. }
                            | NodeState::NotReached
                            | NodeState::Backoff { .. }
                            | NodeState::AwaitingApproval { .. }
                            | NodeState::Undone
                    )
                })
            }
            Event::Decided { node, decision, .. } => {
                let index = self.index(node)?;
                let done = self.done(node, self.nodes[index].attempts, BTreeMap::new(), true)?;
                // An attempt that certainly did nothing is not one of those that `retry` counts.
                let did_nothing = matches!(
                    self.nodes[index].state,
                    NodeState::Indeterminate { why: Unknown::NeverBegan | Unknown::InEngine, .. }
                );
                self.step_node(index, NodeEvent::Decided(*decision, done), at_ms)?;
                self.nodes[index].tries -= u32::from(did_nothing);
                Ok(())
            }
            Event::Marked { node, out, .. } => {
                self.rests("marked")?;
                let index = self.index(node)?;
                let done = self.done(node, self.nodes[index].attempts, out.clone(), true)?;
                self.step_node(index, NodeEvent::Marked(done), at_ms)?;
                self.nodes[index].touched = true;
                Ok(())
            }
            Event::CancelAsked { mode, by, why } => {
                let asked = Activity::Cancelling { mode: *mode, by: by.clone(), why: why.clone() };
                self.change_activity(|activity, _| match activity {
                    Activity::Queued | Activity::Active | Activity::Pausing { .. } | Activity::Paused { .. } => {
                        Ok(asked)
                    }
                    // A graceful cancel may become a forceful one, not the other way.
                    Activity::Cancelling { mode: super::CancelMode::Graceful, .. } => Ok(asked),
                    Activity::Cancelling { mode: super::CancelMode::Forceful, .. } => {
                        Err("it is being cancelled already".to_owned())
                    }
                })
            }
            Event::RollbackAsked { .. } => match (&self.life, self.derived.running.is_empty()) {
                (Life::Processing(_) | Life::FailedTemp { .. }, true) => {
                    self.life = Life::RollingBack(Activity::Active);
                    Ok(())
                }
                (_, false) => Err("something still runs".to_owned()),
                (_, true) => Err("there is nothing to roll back now".to_owned()),
            },
            Event::FailAsked { by, why } => match &self.life {
                Life::FailedTemp { .. } => {
                    self.life = Life::Failed { why: format!("given up by {by}: {why}") };
                    Ok(())
                }
                _ => Err("only an operation in FAILED_TEMP is given up".to_owned()),
            },
            Event::Killed { by, why } => {
                if !self.life.is_live() {
                    return Err("it has ended".to_owned());
                }
                self.life = Life::Failed { why: format!("abandoned by {by}: {why}; jobs may still run on hosts") };
                Ok(())
            }
            Event::Reset { nodes, .. } => self.reset(nodes, at_ms),
            Event::Finally { outcome } => match &self.life {
                _ if !self.derived.running.is_empty() => Err("something still runs".to_owned()),
                Life::Processing(_) | Life::RollingBack(_) => {
                    self.life = Life::Finishing { outcome: outcome.clone(), activity: Activity::Active };
                    Ok(())
                }
                _ => Err("it does not end now".to_owned()),
            },
            Event::Ended { outcome } => self.end(outcome),
        }
    }

    fn reset(&mut self, nodes: &[NodeId], at_ms: u64) -> Result<(), String> {
        self.rests("reset")?;
        self.epoch += 1;
        let indices = nodes.iter().map(|id| self.index(id)).collect::<Result<Vec<_>, _>>()?;
        for &index in &indices {
            if self.nodes[index].state.next(NodeEvent::Reset).is_none() {
                return Err(format!("`{}` is {}", self.nodes[index].id, self.nodes[index].state.word()));
            }
        }
        for index in indices {
            // What it did is ours, when it is found there or undone later.
            let did = |state: &NodeState| matches!(state, NodeState::Succeeded(_) | NodeState::UndoFailed { .. });
            self.nodes[index].touched |= did(&self.nodes[index].state);
            self.step_node(index, NodeEvent::Reset, at_ms)?;
            self.nodes[index].tries = 0;
        }
        Ok(())
    }

    /// Going forward again after a rollback that was broken off: of what an undo that failed left, nobody knows whether it is
    /// still there. It is no success any more, also where the undo was about to be tried again.
    fn forget_undone(&mut self, at_ms: u64) -> Result<(), String> {
        let undone_in_part = |index: &usize| match &self.nodes[*index].state {
            NodeState::UndoFailed { .. } => true,
            NodeState::Succeeded(done) => done.attempt < self.nodes[*index].attempts,
            _ => false,
        };
        let indices: Vec<usize> = (0..self.nodes.len()).filter(undone_in_part).collect();
        for index in indices {
            self.step_node(index, NodeEvent::Reset, at_ms)?;
            self.nodes[index].tries = 0;
            self.nodes[index].touched = true;
        }
        Ok(())
    }

    /// Sets going again every node whose state is `which`.
    fn again(&mut self, at_ms: u64, which: impl Fn(&NodeState) -> bool) -> Result<(), String> {
        for index in 0..self.nodes.len() {
            if which(&self.nodes[index].state) {
                self.step_node(index, NodeEvent::Again, at_ms)?;
                self.nodes[index].tries = 0;
            }
        }
        Ok(())
    }

    fn end(&mut self, outcome: &Outcome) -> Result<(), String> {
        if !self.derived.running.is_empty() {
            return Err("something still runs".to_owned());
        }
        self.life = match (&self.life, outcome) {
            (
                Life::Processing(_) | Life::Finishing { outcome: Outcome::Completed { .. }, .. },
                Outcome::Completed { outputs },
            ) => {
                let all = self.nodes.iter().all(|node| node.state.satisfies());
                if !all || !self.steps.iter().all(|nodes| nodes.expanded) {
                    return Err("not every node succeeded".to_owned());
                }
                Life::Completed { outputs: outputs.clone() }
            }
            (Life::Processing(_) | Life::RollingBack(_) | Life::Finishing { .. }, Outcome::FailedTemp { reason }) => {
                Life::FailedTemp { reason: reason.clone() }
            }
            (Life::RollingBack(_) | Life::Finishing { outcome: Outcome::RolledBack, .. }, Outcome::RolledBack) => {
                Life::RolledBack
            }
            _ => return Err("it does not end like this now".to_owned()),
        };
        Ok(())
    }

    fn rests(&self, what: &str) -> Result<(), String> {
        match self.life {
            Life::FailedTemp { .. } | Life::Processing(Activity::Paused { .. }) if self.derived.running.is_empty() => {
                Ok(())
            }
            _ => Err(format!("only nodes of an operation that rests are {what}")),
        }
    }

    fn change_activity(
        &mut self,
        change: impl FnOnce(&Activity, bool) -> Result<Activity, String>,
    ) -> Result<(), String> {
        let idle = self.derived.running.is_empty();
        match &mut self.life {
            Life::Processing(activity) | Life::RollingBack(activity) | Life::Finishing { activity, .. } => {
                *activity = change(activity, idle)?;
                Ok(())
            }
            Life::Completed { .. } | Life::FailedTemp { .. } | Life::Failed { .. } | Life::RolledBack => {
                Err("it has ended".to_owned())
            }
        }
    }

    fn may_start(&self, index: usize) -> Result<(), String> {
        match (&self.life, self.phase_of(self.nodes[index].step)) {
            (Life::Processing(Activity::Active), Phase::Body) => Ok(()),
            (Life::Finishing { activity: Activity::Active, .. }, Phase::Finally) => Ok(()),
            _ => Err("it is not started now".to_owned()),
        }
    }

    pub(super) fn index(&self, id: &NodeId) -> Result<usize, String> {
        self.place_of(id).ok_or_else(|| format!("there is no node `{id}`"))
    }

    fn node_mut(&mut self, id: &NodeId) -> Result<&mut Node, String> {
        let index = self.index(id)?;
        Ok(&mut self.nodes[index])
    }

    fn done(&self, id: &NodeId, attempt: u32, out: BTreeMap<String, Value>, changed: bool) -> Result<Done, String> {
        Ok(Done { attempt, out, changed, generation: self.nodes[self.index(id)?].generation })
    }

    /// Attempt numbers only grow, one by one (I4).
    fn fresh_attempt(&self, index: usize, attempt: u32) -> Result<(), String> {
        let last = self.nodes[index].attempts;
        if attempt == last + 1 { Ok(()) } else { Err(format!("attempt {attempt} does not follow attempt {last}")) }
    }

    fn edges_satisfied(&self, index: usize) -> Result<(), String> {
        if self.derived.unmet[index] == 0 { Ok(()) } else { Err("an edge of it is not satisfied".to_owned()) }
    }

    fn node_event(&mut self, id: &NodeId, event: NodeEvent, at_ms: u64) -> Result<(), String> {
        let index = self.index(id)?;
        self.step_node(index, event, at_ms)
    }
}

/// Whether an action is a gate.
fn gate(action: &Action) -> Gate {
    match action {
        Action::Run { .. }
        | Action::Shell { .. }
        | Action::Script { .. }
        | Action::Upload { .. }
        | Action::WriteFiles { .. }
        | Action::PatchFile { .. }
        | Action::Download(_)
        | Action::Copy(_)
        | Action::Reboot { .. }
        | Action::Facts
        | Action::Restore
        | Action::Assert { .. }
        | Action::Local { .. }
        | Action::Http(_)
        | Action::Notify(_)
        | Action::Wait { .. } => Gate::No,
        Action::Gate { .. } => Gate::Yes,
    }
}
