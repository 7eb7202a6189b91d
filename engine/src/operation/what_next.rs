//! What may happen next: a pure function of the state, of what is in flight in this process, and of the time.
//!
//! In flight is whatever an executor of this process works on. It is not part of the state: after a restart nothing is,
//! and a node that is `Running` with nobody working on it is one to re-attach to.

use std::collections::BTreeSet;

use dsl::eval::eval;
use dsl::plan::{Action, Interrupted, OnFailure, Otherwise, RetryOn};
use dsl::value::Value;

use super::each::elements;
use super::event::{CancelMode, FailedBecause, UndoSkip};
use super::group::{Admission, Standing};
use super::life::{Activity, Life};
use super::node::{Failure, FailureClass, NodeState, Unknown};
use super::scope::CoreScope;
use super::starts::Starts;
use super::state::{Behind, Operation, Phase};

/// Something to do, by node index. Each one gives an event, puts its node in flight, or waits for a lock; so asking again ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The elements of a step's `each`, by the step's index.
    Expand(usize, Vec<String>, Vec<Value>),
    /// `when` is false, or `finally` does not want it after this end.
    SkipWhenFalse(usize),
    /// A parent did not succeed.
    NotReached(usize),
    /// Begin an attempt.
    Start(usize),
    /// Set the time of the next attempt: the wait in milliseconds, before jitter.
    Retry(usize, u64),
    /// Find a running attempt again.
    Reattach(usize),
    /// The attempt lived in the engine: it is over.
    LostWithEngine(usize),
    /// Run an attempt with an unknown outcome again.
    Rerun(usize, &'static str),
    /// Ask the probe how an attempt ended.
    Probe(usize),
    /// Only a person can say how an attempt ended.
    AskPerson(usize),
    /// Nobody answered at a gate in time.
    NoAnswer(usize, Otherwise),
    /// Begin an undo.
    Undo(usize),
    /// Pass a node over in a rollback.
    SkipUndo(usize, UndoSkip),
    /// An undo failed: a person must look.
    PauseForUndo(usize),
    /// Kill what an attempt runs.
    Kill(usize),
    /// The operation took too long.
    DeadlinePassed,
    /// A failed step asks for a rollback.
    RollBack,
    /// Every node of the body succeeded or was skipped.
    Complete,
    /// It stops here.
    FailTemp(FailedBecause),
    /// Everything is undone.
    RolledBack,
    /// The steps of `finally` are over.
    Finished,
}

/// Failed nodes that the end of an operation names; the nodes themselves tell of all of them.
const NAMED_FAILURES: usize = 100;

/// What may happen next. `in_flight` says whether an executor of this process works on a node.
pub fn what_next(operation: &Operation, in_flight: &dyn Fn(usize) -> bool, now_ms: u64) -> Vec<Command> {
    let mut commands = Vec::new();
    let Some(activity) = operation.life.activity() else { return commands };
    pick_up(operation, in_flight, &mut commands);
    match activity {
        Activity::Active => match &operation.life {
            Life::Processing(_) if operation.deadline_at_ms.is_some_and(|at_ms| at_ms <= now_ms) => {
                commands.push(Command::DeadlinePassed);
            }
            Life::Processing(_) => forward(operation, Phase::Body, in_flight, now_ms, &mut commands),
            Life::Finishing { .. } => forward(operation, Phase::Finally, in_flight, now_ms, &mut commands),
            _ => backward(operation, in_flight, &mut commands),
        },
        Activity::Queued | Activity::Pausing { .. } | Activity::Paused { .. } => {}
        Activity::Cancelling { mode, by, why } => cancelling(operation, *mode, (by, why), in_flight, &mut commands),
    }
    commands
}

/// When something becomes possible by time alone, UTC milliseconds.
pub(super) fn wake_at(operation: &Operation, now_ms: u64) -> Option<u64> {
    let phase = match &operation.life {
        Life::Processing(Activity::Active) => Phase::Body,
        Life::Finishing { activity: Activity::Active, .. } => Phase::Finally,
        _ => return None,
    };
    let deadline = operation.deadline_at_ms.filter(|_| phase == Phase::Body);
    let gates =
        operation.of_phase(&operation.derived.gates, phase).filter_map(|index| Some(answer_by(operation, index)?.0));
    // What is due already and did not follow waits for something else, not for the time.
    let ahead = |at_ms: &u64| *at_ms > now_ms;
    if stopping(operation, phase) {
        return deadline.filter(ahead);
    }
    let backoff = operation.of_phase(&operation.derived.backoff, phase);
    let backoff = backoff.filter_map(|index| match operation.nodes[index].state {
        NodeState::Backoff { until_ms, .. } => Some(until_ms),
        _ => None,
    });
    let paused = Starts::new(operation, phase, now_ms).paused_until();
    gates.chain(backoff).chain(deadline).chain(paused).filter(ahead).min()
}

/// Until when a gate is open, and what no answer means.
fn answer_by(operation: &Operation, index: usize) -> Option<(u64, Otherwise)> {
    let node = &operation.nodes[index];
    match operation.step_of(node).action {
        Action::Gate { within_ms: Some(within_ms), otherwise, .. } => {
            Some((node.since_ms.saturating_add(within_ms), otherwise))
        }
        _ => None,
    }
}

/// Running nodes that nobody works on: this process was not the one that started them.
fn pick_up(operation: &Operation, in_flight: &dyn Fn(usize) -> bool, commands: &mut Vec<Command>) {
    for &index in operation.derived.running.iter().filter(|&&index| !in_flight(index)) {
        let node = &operation.nodes[index];
        let action = &operation.step_of(node).action;
        match &node.state {
            NodeState::Running { .. } if action.is_in_engine() || action.is_untraceable() => {
                commands.push(Command::LostWithEngine(index))
            }
            NodeState::Running { .. } | NodeState::Undoing { .. } => commands.push(Command::Reattach(index)),
            _ => {}
        }
    }
}

fn forward(
    operation: &Operation,
    phase: Phase,
    in_flight: &dyn Fn(usize) -> bool,
    now_ms: u64,
    commands: &mut Vec<Command>,
) {
    let derived = &operation.derived;
    if let Some(index) = operation.of_phase(&derived.undo_failed, phase).next() {
        commands.push(Command::PauseForUndo(index));
        return;
    }
    for index in operation.of_phase(&derived.failed, phase) {
        if let NodeState::Failed { failure, .. } = &operation.nodes[index].state
            && let Some(wait_ms) = retry_after(operation, index, failure)
        {
            commands.push(Command::Retry(index, wait_ms));
        }
    }
    if !commands.is_empty() {
        return; // The failures that remain afterwards are final.
    }
    let cut_off = not_reached(operation, phase, commands);
    for index in operation.of_phase(&derived.indeterminate, phase) {
        if !in_flight(index) {
            resolve(operation, index, commands);
        }
    }
    for index in operation.of_phase(&derived.gates, phase) {
        if let Some((_, otherwise)) = answer_by(operation, index).filter(|(by_ms, _)| *by_ms <= now_ms) {
            commands.push(Command::NoAnswer(index, otherwise));
        }
    }
    if !commands.is_empty() {
        return;
    }
    if !stopping(operation, phase) {
        match expand(operation, phase) {
            Ok(expanded) => commands.extend(expanded),
            // Nothing more begins, and what runs may end.
            Err(_) if !at_rest(operation, phase) => return,
            Err(reason) => {
                return commands.push(match phase {
                    Phase::Body => Command::FailTemp(reason),
                    Phase::Finally => Command::Finished,
                });
            }
        }
        if commands.is_empty() {
            Starts::new(operation, phase, now_ms).commands(commands);
        }
        if !commands.is_empty() {
            return;
        }
    }
    end(operation, phase, cut_off, commands);
}

fn at_rest(operation: &Operation, phase: Phase) -> bool {
    operation.derived.running.is_empty() && operation.of_phase(&operation.derived.indeterminate, phase).next().is_none()
}

/// How it ends, where nothing more follows. `cut_off` are the steps whose elements will never be known.
fn end(operation: &Operation, phase: Phase, cut_off: usize, commands: &mut Vec<Command>) {
    if !at_rest(operation, phase) {
        return;
    }
    let total = operation.steps_of(phase).map(|step| operation.steps[step].count).sum::<usize>();
    let unexpanded = operation.steps_of(phase).filter(|&step| !operation.steps[step].expanded).count();
    let all_over = operation.derived.over.of(phase) == total && unexpanded == cut_off;
    if phase == Phase::Finally {
        if all_over {
            commands.push(Command::Finished);
        }
        return;
    }
    let failed: Vec<usize> = operation.of_phase(&operation.derived.failed, phase).collect();
    if failed.is_empty() {
        if all_over {
            commands.push(Command::Complete);
        }
    } else if stopping(operation, phase) || all_over {
        commands.push(if wants_rollback(operation, &failed) {
            Command::RollBack
        } else {
            Command::FailTemp(failed_nodes(operation, failed))
        });
    }
}

/// The reason that names nodes that failed.
pub(super) fn failed_nodes(operation: &Operation, failed: impl IntoIterator<Item = usize>) -> FailedBecause {
    let failed = failed.into_iter().take(NAMED_FAILURES);
    FailedBecause::Nodes(failed.map(|index| operation.nodes[index].id.clone()).collect())
}

impl Operation {
    /// Why an operation that has just been made could only be given up: elements of an `each` are known, and no keys.
    pub fn cannot_begin(&self) -> Option<String> {
        expand(self, Phase::Body).err().map(|reason| self.because(&reason))
    }
}

/// The steps whose elements can be told now.
fn expand(operation: &Operation, phase: Phase) -> Result<Vec<Command>, FailedBecause> {
    let mut commands = Vec::new();
    for step in operation.steps_of(phase).filter(|&step| operation.is_expandable(step)) {
        match elements(operation, step) {
            Ok((keys, elements)) => commands.push(Command::Expand(step, keys, elements)),
            Err(why) => {
                return Err(FailedBecause::Each { step: operation.plan.steps[step].id.clone(), why });
            }
        }
    }
    Ok(commands)
}

/// Everything behind a final failure, through nodes that are not reached, is not reached (I3), unless a failure will do for it;
/// so are the nodes of hosts that a group lets in no more. Gives how many steps will never know their elements.
fn not_reached(operation: &Operation, phase: Phase, commands: &mut Vec<Command>) -> usize {
    let mut seen = BTreeSet::new();
    let mut cut_off = BTreeSet::new();
    let mut from: Vec<usize> = operation.of_phase(&operation.derived.failed, phase).collect();
    if phase == Phase::Body {
        for index in shut_out(operation) {
            if seen.insert(index) {
                from.push(index);
            }
        }
    }
    let mut steps: Vec<usize> = Vec::new();
    loop {
        while let Some(index) = from.pop() {
            for dependent in operation.dependents_by(index, |behind| !behind.settled) {
                // A node that is marked already may have one behind it that is not: a long write may be kept in part.
                if matches!(operation.nodes[dependent].state, NodeState::Waiting | NodeState::NotReached)
                    && seen.insert(dependent)
                {
                    from.push(dependent);
                }
            }
            let behind = operation.steps[operation.nodes[index].step].dependents.iter();
            let unexpanded = |behind: &&Behind| !behind.settled && !operation.steps[behind.step].expanded;
            for behind in behind.filter(unexpanded) {
                if cut_off.insert(behind.step) {
                    steps.push(behind.step);
                }
            }
        }
        // Behind a step without nodes are all nodes of those that wait for it. It has no end that one could wait for.
        let Some(step) = steps.pop() else { break };
        for &Behind { step: dependent, .. } in &operation.steps[step].dependents {
            if !operation.steps[dependent].expanded && cut_off.insert(dependent) {
                steps.push(dependent);
            }
            let nodes = &operation.steps[dependent];
            for index in nodes.first..nodes.first + nodes.count {
                if matches!(operation.nodes[index].state, NodeState::Waiting | NodeState::NotReached)
                    && seen.insert(index)
                {
                    from.push(index);
                }
            }
        }
    }
    let waiting = |index: &usize| matches!(operation.nodes[*index].state, NodeState::Waiting);
    commands.extend(seen.into_iter().filter(waiting).map(Command::NotReached));
    cut_off.len()
}

/// Nodes of hosts that have not entered a group that lets nobody in any more.
fn shut_out(operation: &Operation) -> Vec<usize> {
    let mut nodes = Vec::new();
    for (index, group) in operation.plan.groups.iter().enumerate().filter(|(_, group)| group.stop_after.is_some()) {
        let mut standing = Standing::of(operation, index);
        if !standing.closed(group) {
            continue;
        }
        for (step, _) in operation.plan.steps.iter().enumerate().filter(|(_, step)| step.group == Some(index)) {
            let first = operation.steps[step].first;
            for (offset, node) in operation.nodes_of(step).iter().enumerate() {
                let closed = standing.admit(group, &node.id.key, true, 0) == Admission::Closed;
                if closed && matches!(node.state, NodeState::Waiting | NodeState::NotReached) {
                    nodes.push(first + offset);
                }
            }
        }
    }
    nodes
}

/// What an unknown outcome means, by the step's `interrupted`.
fn resolve(operation: &Operation, index: usize, commands: &mut Vec<Command>) {
    let node = &operation.nodes[index];
    let NodeState::Indeterminate { why, .. } = &node.state else { return };
    let step = operation.step_of(node);
    commands.push(match (why, step.interrupted) {
        (Unknown::NeverBegan, _) => Command::Rerun(index, "it never began on the host"),
        (Unknown::InEngine, _) => Command::Rerun(index, "it ended with the engine, and is harmless to repeat"),
        (_, Interrupted::Rerun) => Command::Rerun(index, "interrupted: Rerun"),
        (_, Interrupted::Probe) => Command::Probe(index),
        (_, Interrupted::Reattach) if step.probe.is_some() => Command::Probe(index),
        (_, Interrupted::UndoThenRerun) if step.undo.is_some() => Command::Undo(index),
        (_, Interrupted::Reattach | Interrupted::UndoThenRerun | Interrupted::Ask) => Command::AskPerson(index),
    });
}

impl Operation {
    /// The steps of `finally` that failed.
    pub(super) fn finally_failed(&self) -> Option<FailedBecause> {
        let failed: Vec<usize> = self.of_phase(&self.derived.failed, Phase::Finally).collect();
        (!failed.is_empty()).then(|| failed_nodes(self, failed))
    }

    /// Whether only a person can say how a node's attempt ended.
    pub(super) fn asks_a_person(&self, index: usize) -> bool {
        let mut commands = Vec::new();
        resolve(self, index, &mut commands);
        matches!(commands[..], [Command::AskPerson(_)])
    }
}

fn backward(operation: &Operation, in_flight: &dyn Fn(usize) -> bool, commands: &mut Vec<Command>) {
    if let Some(&index) = operation.derived.undo_failed.first() {
        commands.push(Command::PauseForUndo(index));
        return;
    }
    let settled = operation.settled();
    if settled.iter().all(|&settled| settled) {
        commands.push(Command::RolledBack);
        return;
    }
    for (index, node) in operation.nodes.iter().enumerate() {
        let due = !in_flight(index) && operation.dependents_of(index).all(|dependent| settled[dependent]);
        let step = operation.step_of(node);
        if !due || step.finally.is_some() {
            continue;
        }
        let at = operation.runs_at(node);
        let host = at.and_then(|slot| operation.hosts.get(slot));
        let gone = |generation: u32| at.is_some() && host.is_none_or(|host| host.generation != generation);
        match &node.state {
            NodeState::Succeeded(done) => commands.push(if step.undo.is_none() {
                Command::SkipUndo(index, UndoSkip::NoUndo)
            } else if gone(done.generation) {
                Command::SkipUndo(index, UndoSkip::HostGone) // D7
            } else {
                Command::Undo(index)
            }),
            NodeState::Indeterminate { .. } if step.undo.is_some() => commands.push(Command::Undo(index)),
            NodeState::Waiting | NodeState::Backoff { .. } | NodeState::Failed { .. } | NodeState::NotReached
                if operation.has_leftovers(index) =>
            {
                commands.push(if gone(node.generation) {
                    Command::SkipUndo(index, UndoSkip::HostGone)
                } else {
                    Command::Undo(index)
                });
            }
            _ => {}
        }
    }
}

fn cancelling(
    operation: &Operation,
    mode: CancelMode,
    (by, why): (&str, &str),
    in_flight: &dyn Fn(usize) -> bool,
    commands: &mut Vec<Command>,
) {
    if operation.derived.running.is_empty() {
        commands.push(Command::FailTemp(FailedBecause::CancelledBy { by: by.to_owned(), why: why.to_owned() }));
    } else if mode == CancelMode::Forceful {
        commands.extend(operation.derived.running.iter().filter(|&&index| in_flight(index)).map(|&i| Command::Kill(i)));
    }
}

/// Whether a failure with `on_failure: Stop` or `Rollback` keeps everything else from starting. Nothing does in `finally`.
pub(super) fn stopping(operation: &Operation, phase: Phase) -> bool {
    phase == Phase::Body
        && operation.of_phase(&operation.derived.failed, phase).any(|index| {
            match operation.step_of(&operation.nodes[index]).on_failure {
                OnFailure::Stop | OnFailure::Rollback => true,
                OnFailure::Continue => false,
            }
        })
}

fn wants_rollback(operation: &Operation, failed: &[usize]) -> bool {
    failed.iter().any(|&index| operation.step_of(&operation.nodes[index]).on_failure == OnFailure::Rollback)
}

/// A `when` that cannot be evaluated is not false: the attempt starts and fails with the reason.
pub(super) fn when_is_false(operation: &Operation, index: usize) -> bool {
    let node = &operation.nodes[index];
    let Some(when) = &operation.step_of(node).when else { return false };
    matches!(eval(when, &CoreScope { operation, node: Some(node) }), Ok(Value::Bool(false)))
}

/// How long to wait before the next attempt, or nothing where the failure is final.
pub(super) fn retry_after(operation: &Operation, index: usize, failure: &Failure) -> Option<u64> {
    let node = &operation.nodes[index];
    let retry = &operation.step_of(node).retry;
    if node.tries == 0 || node.tries >= retry.times {
        return None;
    }
    let class_matches = retry.on.iter().any(|on| match (on, failure.class) {
        (RetryOn::Any, _) => true,
        (RetryOn::Connection, FailureClass::Connection) => true,
        (RetryOn::Timeout, FailureClass::Timeout) => true,
        (RetryOn::Exit(codes), FailureClass::Exit(code)) => codes.contains(&code),
        (RetryOn::Status(statuses), FailureClass::Status(status)) => statuses.contains(&status),
        (RetryOn::Connection | RetryOn::Timeout | RetryOn::Exit(_) | RetryOn::Status(_), _) => false,
    });
    if !class_matches {
        return None;
    }
    let factor = retry.factor.max(1.0).powi(i32::try_from(node.tries - 1).unwrap_or(i32::MAX));
    let wait = retry.wait_ms as f64 * factor;
    // Saturates: an infinite product is the cap.
    Some(if wait >= retry.cap_ms as f64 { retry.cap_ms } else { wait as u64 })
}
