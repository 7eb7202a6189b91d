//! What a journal tells, by an oracle that is too simple to be wrong: it knows the plan and reads one event after the other, and
//! nothing of the engine's own state. It judges the order of steps, groups and their batches, skips, what is not reached, the
//! end, and the order of undoing.
//!
//! What an edge asks for has its place in [`Oracle::parents`] and [`Oracle::satisfies`].

mod groups;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use dsl::plan::{Edge, EdgeKind, OnFailure, OnState, Plan};
use engine::operation::{Entry, Event, FailedBecause, FailureClass, HERE, NodeId, Outcome, Skip, Unknown};

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    /// Nothing is at work, and it may begin.
    Waiting,
    Running,
    AtGate,
    Succeeded,
    Skipped,
    Failed,
    /// How its attempt ended is not known.
    Unknown,
    NotReached,
    /// The undo of an attempt whose end is not known, before it runs again.
    UndoingHalf,
    Undoing,
    UndoFailed,
    Undone,
}

/// Reads a journal from its beginning.
pub struct Oracle<'a> {
    plan: &'a Plan,
    nodes: BTreeMap<NodeId, Is>,
    /// The keys of steps with `each`, as far as they are known.
    expanded: BTreeMap<String, Vec<String>>,
    /// The last attempt of each node, and those that may have left something.
    attempts: BTreeMap<NodeId, u32>,
    touched: BTreeSet<NodeId>,
    /// Nodes whose next attempt has its time.
    retried_at: BTreeMap<NodeId, u64>,
    /// Nodes that began since a person last set it going again.
    begun: BTreeSet<NodeId>,
    /// When each node last changed.
    at_ms: BTreeMap<NodeId, u64>,
    /// How the body ended, where the steps of `finally` run.
    last: Option<Outcome>,
    rolling_back: bool,
    /// A person or the deadline has put an end to it.
    cancelled: bool,
}

/// Judges a journal.
pub fn judge(plan: &Plan, journal: &[Entry]) -> Result<(), String> {
    let mut oracle = Oracle::new(plan);
    for entry in journal {
        oracle.read(entry).map_err(|why| format!("the oracle, at entry {}, {:?}: {why}", entry.seq, entry.event))?;
    }
    Ok(())
}

impl<'a> Oracle<'a> {
    fn new(plan: &'a Plan) -> Oracle<'a> {
        Oracle {
            plan,
            nodes: BTreeMap::new(),
            expanded: BTreeMap::new(),
            attempts: BTreeMap::new(),
            touched: BTreeSet::new(),
            retried_at: BTreeMap::new(),
            begun: BTreeSet::new(),
            at_ms: BTreeMap::new(),
            last: None,
            rolling_back: false,
            cancelled: false,
        }
    }

    fn is(&self, id: &NodeId) -> Is {
        self.nodes.get(id).copied().unwrap_or(Is::Waiting)
    }

    fn step(&self, id: &NodeId) -> usize {
        self.plan.steps.iter().position(|step| step.id == id.step).expect("a step of the plan")
    }

    /// The nodes of a step; `None` where its elements are not known.
    fn nodes_of(&self, step: usize) -> Option<Vec<NodeId>> {
        let step = &self.plan.steps[step];
        let keys = match (&step.each, &step.role) {
            (Some(_), _) => self.expanded.get(&step.id)?.clone(),
            (None, Some(role)) => self.plan.roles[role].slots.clone(),
            (None, None) => vec![HERE.to_owned()],
        };
        Some(keys.into_iter().map(|key| NodeId { step: step.id.clone(), key }).collect())
    }

    /// What a node waits for, by edge; `None` for a step whose elements are not known.
    fn parents(&self, id: &NodeId) -> Vec<(&'a Edge, Option<Vec<NodeId>>)> {
        let needs = &self.plan.steps[self.step(id)].needs;
        let of = |edge: &'a Edge| {
            let nodes = self.nodes_of(edge.step);
            let keyed = |nodes: Vec<NodeId>| match edge.kind {
                EdgeKind::Barrier => nodes,
                EdgeKind::Keyed => nodes.into_iter().filter(|parent| parent.key == id.key).collect(),
            };
            (edge, nodes.map(keyed))
        };
        needs.iter().map(of).collect()
    }

    /// Whether an edge to it is satisfied: by its success, or by its end.
    fn satisfies(&self, parent: &NodeId, settled: bool) -> bool {
        match self.is(parent) {
            Is::Succeeded | Is::Skipped => true,
            Is::Failed | Is::NotReached => settled,
            _ => false,
        }
    }

    fn may_begin(&self, id: &NodeId) -> Result<(), String> {
        for (edge, nodes) in self.parents(id) {
            let Some(nodes) = nodes else {
                return Err(format!("the elements of {} are not known", self.plan.steps[edge.step].id));
            };
            if let Some(parent) = nodes.iter().find(|parent| !self.satisfies(parent, edge.settled)) {
                return Err(format!("{parent} is {:?}", self.is(parent)));
            }
        }
        Ok(())
    }

    /// Whether a node can never be reached as things are: something that it waits for has failed, or cannot be reached.
    fn is_cut_off(&self, id: &NodeId) -> bool {
        self.is_shut_out(id) || self.parents(id).into_iter().any(|(edge, nodes)| self.is_edge_cut_off(edge, nodes))
    }

    /// The same of a step whose elements are not known.
    fn is_step_cut_off(&self, step: usize) -> bool {
        let needs = &self.plan.steps[step].needs;
        needs.iter().any(|edge| self.is_edge_cut_off(edge, self.nodes_of(edge.step)))
    }

    /// Whether what is behind an edge never comes. An end comes always, but not to a step whose elements are never known.
    fn is_edge_cut_off(&self, edge: &Edge, nodes: Option<Vec<NodeId>>) -> bool {
        let Some(nodes) = nodes else { return self.is_step_cut_off(edge.step) };
        let never = |parent: &NodeId| match self.is(parent) {
            Is::Failed | Is::NotReached => true,
            Is::Waiting => self.is_cut_off(parent),
            _ => false,
        };
        !edge.settled && nodes.iter().any(never)
    }

    fn started(&mut self, id: &NodeId, attempt: u32, now_ms: u64) -> Result<(), String> {
        let step = &self.plan.steps[self.step(id)];
        if self.is(id) != Is::Waiting {
            return Err(format!("I2: it is {:?}", self.is(id)));
        }
        self.may_begin(id)?;
        if let Some(at_ms) = self.retried_at.remove(id).filter(|at_ms| now_ms < *at_ms) {
            return Err(format!("it is tried again {} ms too soon", at_ms - now_ms));
        }
        match (step.finally, &self.last) {
            (None, None) if !self.rolling_back => {}
            (Some(on_state), Some(outcome)) if wanted(on_state, outcome) => {}
            (_, last) => return Err(format!("it does not run after {last:?} (rolling back: {})", self.rolling_back)),
        }
        let stops = |id: &NodeId| {
            let step = &self.plan.steps[self.step(id)];
            step.finally.is_none() && step.on_failure != OnFailure::Continue
        };
        let failed = self.nodes.iter().find(|(id, is)| **is == Is::Failed && stops(id));
        if let (Some((failed, _)), None) = (failed, step.finally) {
            return Err(format!("{failed} has failed, which stops all"));
        }
        if let Some(parallel) = step.parallel {
            let at_work = self.nodes.iter().filter(|(other, is)| other.step == id.step && **is == Is::Running).count();
            if at_work >= parallel as usize {
                return Err(format!("{at_work} are at work; parallel is {parallel}"));
            }
        }
        if let Some(group) = step.group.filter(|group| !self.has_entered(*group, &id.key)) {
            self.may_enter(group, id, now_ms)?;
        }
        self.numbered(id, attempt)?;
        self.begun.insert(id.clone());
        self.nodes.insert(id.clone(), if step.role.is_none() { Is::AtGate } else { Is::Running });
        Ok(())
    }

    fn numbered(&mut self, id: &NodeId, attempt: u32) -> Result<(), String> {
        let last = self.attempts.insert(id.clone(), attempt).unwrap_or(0);
        if attempt == last + 1 { Ok(()) } else { Err(format!("I4: attempt {attempt} after {last}")) }
    }

    /// Whether something of a node is there that an undo would take away.
    fn is_there(&self, id: &NodeId) -> bool {
        let has_undo = self.plan.steps[self.step(id)].undo.is_some();
        let is = self.is(id);
        let at_work = matches!(is, Is::Running | Is::Undoing | Is::UndoingHalf | Is::UndoFailed | Is::Unknown);
        has_undo && (is == Is::Succeeded || at_work || self.touched.contains(id) && is != Is::Skipped)
    }

    /// I7: whatever depends on a node, through whatever lies between, is undone before it.
    fn undo_started(&mut self, id: &NodeId, attempt: u32) -> Result<(), String> {
        let half = !self.rolling_back;
        if half && !matches!(self.is(id), Is::Unknown | Is::UndoingHalf) {
            return Err(format!("I7: it is undone while the operation goes forward, and is {:?}", self.is(id)));
        }
        if self.rolling_back {
            let known = self.nodes.keys().chain(&self.touched).cloned().collect::<BTreeSet<_>>();
            if let Some(later) = known.iter().find(|later| self.is_there(later) && self.depends_on(later, id)) {
                return Err(format!("I7: {later}, which depends on it, is {:?}", self.is(later)));
            }
        }
        self.numbered(id, attempt)?;
        self.nodes.insert(id.clone(), if half { Is::UndoingHalf } else { Is::Undoing });
        Ok(())
    }

    fn depends_on(&self, later: &NodeId, id: &NodeId) -> bool {
        if self.plan.steps[self.step(later)].finally.is_some() {
            return false;
        }
        let parents = self.parents(later).into_iter().filter_map(|(_, nodes)| nodes).flatten();
        parents.into_iter().any(|parent| parent == *id || self.depends_on(&parent, id))
    }

    /// An end that came by itself left nothing that could have gone on, and nothing unsaid that cannot.
    fn ended(&self, outcome: &Outcome) -> Result<(), String> {
        let by_itself = match outcome {
            Outcome::Completed { .. } => true,
            Outcome::FailedTemp { reason: FailedBecause::Nodes(_) } => !self.cancelled,
            Outcome::FailedTemp { .. } | Outcome::RolledBack => false,
        };
        if !by_itself {
            return Ok(());
        }
        let body = (0..self.plan.steps.len()).filter(|step| self.plan.steps[*step].finally.is_none());
        let nodes: Vec<NodeId> = body.filter_map(|step| self.nodes_of(step)).flatten().collect();
        for id in &nodes {
            let is = self.is(id);
            let good = match outcome {
                Outcome::Completed { .. } => matches!(is, Is::Succeeded | Is::Skipped),
                Outcome::FailedTemp { .. } => is != Is::Waiting || !self.is_cut_off(id),
                Outcome::RolledBack => true,
            };
            if !good {
                return Err(format!("{id} is {is:?}"));
            }
        }
        let stops = |id: &&NodeId| {
            self.is(id) == Is::Failed && self.plan.steps[self.step(id)].on_failure != OnFailure::Continue
        };
        if matches!(outcome, Outcome::FailedTemp { .. }) && nodes.iter().find(stops).is_none() {
            // Only other branches failed: all that could be reached was.
            if let Some(id) = nodes.iter().find(|id| self.is(id) == Is::Waiting && self.may_begin(id).is_ok()) {
                return Err(format!("{id} could have begun"));
            }
        }
        Ok(())
    }

    fn set(&mut self, id: &NodeId, is: Is) -> Result<(), String> {
        self.nodes.insert(id.clone(), is);
        Ok(())
    }

    fn again(&mut self, which: &[Is]) {
        self.nodes.values_mut().filter(|is| which.contains(is)).for_each(|is| *is = Is::Waiting);
    }

    fn read(&mut self, entry: &Entry) -> Result<(), String> {
        let judged = self.judge(&entry.event, entry.at_ms);
        if let Some(id) = subject(&entry.event) {
            self.at_ms.insert(id.clone(), entry.at_ms);
        }
        judged
    }

    fn judge(&mut self, event: &Event, now_ms: u64) -> Result<(), String> {
        match event {
            Event::Created { .. } | Event::Locked | Event::Reattached { .. } | Event::HostReplaced { .. } => Ok(()),
            Event::PauseAsked { .. } | Event::FailAsked { .. } => Ok(()),
            Event::Expanded { step, keys, .. } => {
                self.expanded.insert(step.clone(), keys.clone());
                Ok(())
            }
            Event::Started { node, attempt, .. } => self.started(node, *attempt, now_ms),
            Event::Found { node, attempt, .. } => {
                self.attempts.insert(node.clone(), *attempt);
                self.touched.insert(node.clone());
                self.begun.insert(node.clone());
                self.set(node, Is::Running)
            }
            Event::Succeeded { node, .. } | Event::Approved { node, .. } => self.set(node, Is::Succeeded),
            Event::Marked { node, .. } => {
                self.touched.insert(node.clone());
                self.set(node, Is::Succeeded)
            }
            Event::Failed { node, failure, .. } => {
                if !matches!(failure.class, FailureClass::Connection | FailureClass::ProbeUnknown) {
                    self.touched.insert(node.clone());
                }
                self.set(node, Is::Failed)
            }
            Event::Rejected { node, .. } => self.set(node, Is::Failed),
            Event::Indeterminate { node, why, .. } => {
                if !matches!(why, Unknown::NeverBegan | Unknown::InEngine) {
                    self.touched.insert(node.clone());
                }
                self.set(node, Is::Unknown)
            }
            Event::Skipped { node, why } => {
                let step = &self.plan.steps[self.step(node)];
                let of_group = self.plan.groups.iter().any(|group| group.gate == Some(self.step(node)));
                match why {
                    Skip::WhenFalse if step.when.is_none() && step.finally.is_none() && !of_group => {
                        return Err("it has no `when`".to_owned());
                    }
                    Skip::WhenFalse => self.may_begin(node)?,
                    Skip::AlreadySo if step.probe.is_none() => return Err("it has no probe".to_owned()),
                    Skip::AlreadySo | Skip::ByOperator { .. } => {}
                }
                self.set(node, Is::Skipped)
            }
            Event::NotReached { node } => {
                if self.is(node) != Is::Waiting || !self.is_cut_off(node) {
                    return Err(format!("it is {:?}, and nothing that it waits for has failed", self.is(node)));
                }
                self.set(node, Is::NotReached)
            }
            Event::RetryAt { node, at_ms, .. } => {
                self.retried_at.insert(node.clone(), *at_ms);
                self.set(node, Is::Waiting)
            }
            Event::UndoStarted { node, attempt, .. } => self.undo_started(node, *attempt),
            Event::Undone { node, .. } => {
                self.touched.remove(node);
                let half = self.is(node) == Is::UndoingHalf;
                self.set(node, if half { Is::Waiting } else { Is::Undone })
            }
            Event::UndoFailed { node, .. } => self.set(node, Is::UndoFailed),
            Event::UndoSkipped { node, .. } => {
                self.touched.remove(node);
                self.set(node, Is::Undone)
            }
            Event::Resumed { .. } => {
                if !self.rolling_back {
                    self.again(&[Is::NotReached]);
                }
                // Going forward, only an attempt whose end is not known was undone. What comes last tries no undo again.
                if !self.rolling_back && self.last.is_none() {
                    self.nodes.values_mut().filter(|is| **is == Is::UndoFailed).for_each(|is| *is = Is::Unknown);
                }
                Ok(())
            }
            Event::Retried { .. } => {
                self.again(&[Is::Failed, Is::NotReached, Is::AtGate, Is::Undone, Is::UndoFailed]);
                self.retried_at.clear();
                self.set_out()
            }
            Event::Reset { nodes, .. } => {
                self.retried_at.retain(|id, _| !nodes.contains(id));
                self.nodes.extend(nodes.iter().map(|id| (id.clone(), Is::Waiting)));
                self.begun.clear();
                Ok(())
            }
            Event::Decided { node, decision, .. } => self.set(
                node,
                match decision {
                    engine::operation::Decision::Rerun => Is::Waiting,
                    engine::operation::Decision::Done => Is::Succeeded,
                },
            ),
            Event::CancelAsked { .. } | Event::Killed { .. } => {
                self.cancelled = true;
                Ok(())
            }
            Event::RollbackAsked { .. } => {
                self.rolling_back = true;
                Ok(())
            }
            Event::Finally { outcome } => {
                self.ended(outcome)?;
                self.rolling_back = false;
                self.last = Some(outcome.clone());
                Ok(())
            }
            Event::Ended { outcome } => {
                let judged = if self.last.is_none() { self.ended(outcome) } else { Ok(()) };
                self.rolling_back = false;
                judged
            }
        }
    }

    /// A person has set it going again.
    fn set_out(&mut self) -> Result<(), String> {
        self.begun.clear();
        (self.last, self.rolling_back, self.cancelled) = (None, false, false);
        Ok(())
    }
}

/// Whether a step of `finally` runs after this end.
fn wanted(on_state: OnState, outcome: &Outcome) -> bool {
    let cancelled =
        matches!(outcome, Outcome::FailedTemp { reason: FailedBecause::Cancelled | FailedBecause::CancelledBy { .. } });
    match on_state {
        OnState::Always => true,
        OnState::Succeeded => matches!(outcome, Outcome::Completed { .. }),
        OnState::Cancelled => cancelled,
        OnState::Failed => !cancelled && !matches!(outcome, Outcome::Completed { .. }),
    }
}

/// The node that an event is about.
fn subject(event: &Event) -> Option<&NodeId> {
    match event {
        Event::Started { node, .. }
        | Event::Found { node, .. }
        | Event::Reattached { node, .. }
        | Event::Succeeded { node, .. }
        | Event::Failed { node, .. }
        | Event::Indeterminate { node, .. }
        | Event::Skipped { node, .. }
        | Event::NotReached { node }
        | Event::RetryAt { node, .. }
        | Event::Approved { node, .. }
        | Event::Rejected { node, .. }
        | Event::UndoStarted { node, .. }
        | Event::Undone { node, .. }
        | Event::UndoFailed { node, .. }
        | Event::UndoSkipped { node, .. }
        | Event::Decided { node, .. }
        | Event::Marked { node, .. } => Some(node),
        Event::Created { .. }
        | Event::Locked
        | Event::Expanded { .. }
        | Event::HostReplaced { .. }
        | Event::PauseAsked { .. }
        | Event::Resumed { .. }
        | Event::Retried { .. }
        | Event::CancelAsked { .. }
        | Event::RollbackAsked { .. }
        | Event::FailAsked { .. }
        | Event::Killed { .. }
        | Event::Reset { .. }
        | Event::Finally { .. }
        | Event::Ended { .. } => None,
    }
}
