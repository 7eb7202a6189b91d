//! `apply`: the only code that changes an operation's state, for live events and for replay alike (I5).
//!
//! Total: every event in every state either gives the next state or is an [`IllegalEvent`], and then nothing has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dsl::plan::{Action, EdgeKind, Plan};
use dsl::value::Value;

use super::event::{Entry, Event, JOURNAL_FORMAT, OLDEST_FORMAT, Outcome};
use super::life::{Activity, Life};
use super::node::{Done, Failure, FailureClass, Gate, HERE, NodeEvent, NodeId, NodeState, Skip, Undo, Unknown};
use super::state::{Derived, IllegalEvent, Locks, MayRun, Node, Operation, Phase, StepNodes};

impl Operation {
    /// The operation that its first entry, `Created`, makes.
    pub fn create(plan: Arc<Plan>, entry: &Entry) -> Result<Operation, IllegalEvent> {
        let illegal = |why: String| IllegalEvent { seq: entry.seq, event: format!("{:?}", entry.event), why };
        let Event::Created { format, operation, plan: plan_digest, by, hosts, locks, .. } = &entry.event else {
            return Err(illegal("a journal begins with `created`".to_owned()));
        };
        if !(OLDEST_FORMAT..=JOURNAL_FORMAT).contains(format) {
            let range = format!("{OLDEST_FORMAT} to {JOURNAL_FORMAT}");
            return Err(illegal(format!("its format is {format}, and this engine reads {range}")));
        }
        if entry.seq != 1 {
            return Err(illegal("`created` is entry 1".to_owned()));
        }
        let mut operation = Operation {
            id: *operation,
            by: by.clone(),
            format: *format,
            plan_digest: plan_digest.clone(),
            hosts: hosts.iter().map(|(slot, host)| (slot.clone(), Box::new(host.clone()))).collect(),
            locks: if locks.is_empty() { Locks::Held(Vec::new()) } else { Locks::Wanted(locks.clone()) },
            deadline_at_ms: deadline(&plan, entry.at_ms),
            life: Life::Processing(if locks.is_empty() { Activity::Active } else { Activity::Queued }),
            nodes: Vec::with_capacity(plan.steps.len()),
            seq: 1,
            created_at_ms: entry.at_ms,
            at_ms: entry.at_ms,
            steps: Vec::with_capacity(plan.steps.len()),
            by_id: Vec::new(),
            derived: Derived::default(),
            begun: false,
            epoch: 0,
            plan,
        };
        operation.lay_out(entry.at_ms).map_err(illegal)?;
        Ok(operation)
    }

    /// Makes the nodes of every step whose keys are known: one per slot of its role, or one from here (D2).
    fn lay_out(&mut self, at_ms: u64) -> Result<(), String> {
        let plan = Arc::clone(&self.plan);
        for (index, step) in plan.steps.iter().enumerate() {
            let first = self.nodes.len();
            self.steps.push(StepNodes { first, count: 0, expanded: step.each.is_none(), dependents: Vec::new() });
            match &step.role {
                _ if step.each.is_some() => {}
                None => self.push_node(index, HERE.to_owned(), None, None, at_ms),
                Some(role) => {
                    let role = plan.roles.get(role).ok_or_else(|| format!("the plan has no role `{role}`"))?;
                    for slot in &role.slots {
                        if !self.hosts.contains_key(slot) {
                            return Err(format!("no host fills slot `{slot}`"));
                        }
                        self.push_node(index, slot.clone(), Some(slot.clone()), None, at_ms);
                    }
                }
            }
            for edge in &step.needs {
                if edge.step >= index {
                    return Err(format!("step `{}` has an edge that does not point backwards", step.id));
                }
                if edge.kind == EdgeKind::Keyed && self.steps[edge.step].count != self.steps[index].count {
                    return Err(format!("step `{}` has a keyed edge to a step of another role", step.id));
                }
                self.steps[edge.step].dependents.push((index, edge.kind));
            }
        }
        // Most have one: room for four would be more than all else of a step.
        self.steps.iter_mut().for_each(|step| step.dependents.shrink_to_fit());
        self.sort_names();
        self.derived = self.derive();
        Ok(())
    }

    fn push_node(&mut self, step: usize, key: String, slot: Option<String>, element: Option<Value>, at_ms: u64) {
        let id = NodeId { step: self.plan.steps[step].id.clone(), key };
        let host = slot.as_ref().and_then(|slot| self.hosts.get(slot));
        self.steps[step].count += 1;
        self.nodes.push(Node {
            id,
            step,
            generation: host.map_or(0, |host| host.generation),
            slot,
            element,
            state: NodeState::Waiting,
            attempts: 0,
            tries: 0,
            since_ms: at_ms,
            started_ms: 0,
            incarnation: 1,
            may_run: BTreeSet::new(),
            touched: false,
            epoch: 0,
        });
    }

    /// The keys of a step's `each` became known: its nodes are made.
    fn expand(&mut self, id: &str, keys: &[String], elements: &[Value], at_ms: u64) -> Result<(), String> {
        let plan = Arc::clone(&self.plan);
        let step =
            plan.steps.iter().position(|step| step.id == id).ok_or_else(|| format!("there is no step `{id}`"))?;
        if self.steps[step].expanded {
            return Err(format!("step `{id}` was expanded before"));
        }
        if !self.is_expandable(step) {
            return Err(format!("something that step `{id}` needs is not over"));
        }
        if !elements.is_empty() && elements.len() != keys.len() {
            return Err("it has more or fewer elements than keys".to_owned());
        }
        if keys.iter().collect::<BTreeSet<_>>().len() != keys.len() {
            return Err("a key stands in it twice".to_owned());
        }
        for edge in plan.steps[step].needs.iter().filter(|edge| edge.kind == EdgeKind::Keyed) {
            if !self.nodes_of(edge.step).iter().map(|node| &node.id.key).eq(keys) {
                return Err(format!("step `{}` has other keys", plan.steps[edge.step].id));
            }
        }
        let role = plan.steps[step].role.as_ref().and_then(|role| plan.roles.get(role));
        let slot = role.and_then(|role| role.slots.first());
        self.steps[step].first = self.nodes.len();
        self.steps[step].expanded = true;
        for (at, key) in keys.iter().enumerate() {
            let element = elements.get(at).cloned().unwrap_or_else(|| Value::Text(key.clone()));
            self.push_node(step, key.clone(), slot.cloned(), Some(element), at_ms);
        }
        self.sort_names();
        for offset in 0..keys.len() {
            let index = self.steps[step].first + offset;
            let unmet = plan.steps[step].needs.iter().filter(|edge| !self.is_met(edge, offset)).count();
            self.derived.unmet.push(u32::try_from(unmet).unwrap_or(u32::MAX));
            if unmet == 0 {
                self.derived.ready.insert(index);
            }
        }
        if keys.is_empty() {
            self.free_all_behind(step);
        }
        Ok(())
    }

    /// Whether all that must be over before the elements of a step's `each` can be told is over.
    pub(super) fn is_expandable(&self, step: usize) -> bool {
        !self.steps[step].expanded
            && self.plan.steps[step].needs.iter().all(|edge| match edge.kind {
                EdgeKind::Keyed => self.steps[edge.step].expanded,
                EdgeKind::Barrier => self.is_met(edge, 0),
            })
    }

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
            Event::Succeeded { node, attempt, out, .. } => {
                let done = self.done(node, *attempt, out.clone())?;
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
                    Unknown::Rebooted | Unknown::Vanished => node.touched = true,
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
                let done = self.done(node, self.nodes[index].attempts, BTreeMap::new())?;
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
                self.node_mut(node)?.touched = false;
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
                self.again(at_ms, |state| match state {
                    NodeState::UndoFailed { .. } => true,
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
                let done = self.done(node, self.nodes[index].attempts, BTreeMap::new())?;
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
                let done = self.done(node, self.nodes[index].attempts, out.clone())?;
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
    /// still there. It is no success any more.
    fn forget_undone(&mut self, at_ms: u64) -> Result<(), String> {
        for index in self.derived.undo_failed.clone() {
            self.step_node(index, NodeEvent::Reset, at_ms)?;
            self.nodes[index].tries = 0;
            self.nodes[index].touched = true;
        }
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

    fn done(&self, id: &NodeId, attempt: u32, out: BTreeMap<String, Value>) -> Result<Done, String> {
        Ok(Done { attempt, out, generation: self.nodes[self.index(id)?].generation })
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

    /// Changes one node and what follows from it.
    fn step_node(&mut self, index: usize, event: NodeEvent, at_ms: u64) -> Result<(), String> {
        let node = &self.nodes[index];
        let Some(next) = node.state.next(event) else {
            return Err(format!("`{}` is {}", node.id, node.state.word()));
        };
        let before = std::mem::replace(&mut self.nodes[index].state, next);
        self.nodes[index].since_ms = at_ms;
        let phase = self.phase_of(self.nodes[index].step);
        self.derived.forget(index, phase, &before);
        self.derived.note(index, phase, &self.nodes[index].state);
        match (before.satisfies(), self.nodes[index].state.satisfies()) {
            (false, true) => self.satisfy(index),
            (true, false) => self.unsatisfy(index),
            (true, true) | (false, false) => {}
        }
        if matches!(self.nodes[index].state, NodeState::Waiting) && self.derived.unmet[index] == 0 {
            self.derived.ready.insert(index);
        }
        // A pause is complete when the last running node has ended.
        if self.derived.running.is_empty()
            && let Life::Processing(activity) | Life::RollingBack(activity) | Life::Finishing { activity, .. } =
                &mut self.life
            && let Activity::Pausing { by, why } = activity
        {
            *activity = Activity::Paused { by: by.clone(), why: why.clone() };
        }
        Ok(())
    }

    fn satisfy(&mut self, index: usize) {
        let step = self.nodes[index].step;
        self.derived.satisfied[step] += 1;
        let complete = self.derived.satisfied[step] == self.steps[step].count;
        for dependent in self.freed_by(index, complete) {
            self.meet(dependent);
        }
    }

    /// One more edge of a node is satisfied.
    fn meet(&mut self, index: usize) {
        self.derived.unmet[index] -= 1;
        if self.derived.unmet[index] == 0 && matches!(self.nodes[index].state, NodeState::Waiting) {
            self.derived.ready.insert(index);
        }
    }

    /// A step that has no nodes is over as soon as that is known.
    fn free_all_behind(&mut self, step: usize) {
        for (dependent, kind) in self.steps[step].dependents.clone() {
            let nodes = self.steps[dependent].first..self.steps[dependent].first + self.steps[dependent].count;
            if kind == EdgeKind::Barrier {
                nodes.for_each(|index| self.meet(index));
            }
        }
    }

    fn unsatisfy(&mut self, index: usize) {
        let step = self.nodes[index].step;
        let was_complete = self.derived.satisfied[step] == self.steps[step].count;
        self.derived.satisfied[step] -= 1;
        for dependent in self.freed_by(index, was_complete) {
            self.derived.unmet[dependent] += 1;
            self.derived.ready.remove(&dependent);
        }
    }

    /// The nodes with an edge that changes with node `index`: keyed ones, and those behind a barrier that `index` completes.
    fn freed_by(&self, index: usize, complete: bool) -> Vec<usize> {
        let step = self.nodes[index].step;
        let offset = index - self.steps[step].first;
        let mut freed = Vec::new();
        for &(dependent, kind) in &self.steps[step].dependents {
            let nodes = &self.steps[dependent];
            match kind {
                EdgeKind::Keyed if nodes.expanded => freed.push(nodes.first + offset),
                EdgeKind::Barrier if complete => freed.extend(nodes.first..nodes.first + nodes.count),
                EdgeKind::Keyed | EdgeKind::Barrier => {}
            }
        }
        freed
    }
}

fn deadline(plan: &Plan, from_ms: u64) -> Option<u64> {
    plan.deadline_ms.map(|deadline_ms| from_ms.saturating_add(deadline_ms))
}

/// Whether an action is a gate.
fn gate(action: &Action) -> Gate {
    match action {
        Action::Run { .. }
        | Action::Shell { .. }
        | Action::Script { .. }
        | Action::Upload { .. }
        | Action::Wait { .. } => Gate::No,
        Action::Gate { .. } => Gate::Yes,
    }
}
