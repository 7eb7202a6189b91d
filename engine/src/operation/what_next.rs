//! What may happen next: a pure function of the state, of what is in flight in this process, and of the time.
//!
//! In flight is whatever an executor of this process works on. It is not part of the state: after a restart nothing is,
//! and a node that is `Running` with nobody working on it is one to re-attach to.

use std::collections::BTreeSet;

use dsl::eval::eval;
use dsl::plan::{Action, Interrupted, OnFailure, RetryOn};
use dsl::value::Value;

use super::event::{CancelMode, FailedBecause, UndoSkip};
use super::life::{Activity, Life};
use super::node::{Failure, FailureClass, NodeState, Unknown};
use super::scope::CoreScope;
use super::state::Operation;

/// Something to do, by node index. Each one gives an event or puts its node in flight, so asking again ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `when` is false.
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
    /// Begin an undo.
    Undo(usize),
    /// Pass a node over in a rollback.
    SkipUndo(usize, UndoSkip),
    /// An undo failed: a person must look.
    PauseForUndo(usize),
    /// Kill what an attempt runs.
    Kill(usize),
    /// A failed step asks for a rollback.
    RollBack,
    /// Every node succeeded or was skipped.
    Complete,
    /// It stops here.
    FailTemp(FailedBecause),
    /// Everything is undone.
    RolledBack,
}

/// Failed nodes that the end of an operation names; the nodes themselves tell of all of them.
const NAMED_FAILURES: usize = 100;

/// What may happen next. `in_flight` says whether an executor of this process works on a node.
pub fn what_next(operation: &Operation, in_flight: &dyn Fn(usize) -> bool, now_ms: u64) -> Vec<Command> {
    let mut commands = Vec::new();
    match &operation.life {
        Life::Processing(activity) => {
            pick_up(operation, in_flight, &mut commands);
            match activity {
                Activity::Active => forward(operation, in_flight, now_ms, &mut commands),
                Activity::Pausing { .. } | Activity::Paused { .. } => {}
                Activity::Cancelling { mode } => cancelling(operation, *mode, in_flight, &mut commands),
            }
        }
        Life::RollingBack(activity) => {
            pick_up(operation, in_flight, &mut commands);
            match activity {
                Activity::Active => backward(operation, in_flight, &mut commands),
                Activity::Pausing { .. } | Activity::Paused { .. } => {}
                Activity::Cancelling { mode } => cancelling(operation, *mode, in_flight, &mut commands),
            }
        }
        Life::Completed { .. } | Life::FailedTemp { .. } | Life::Failed { .. } | Life::RolledBack => {}
    }
    commands
}

/// When something becomes possible by time alone, UTC milliseconds.
pub(super) fn wake_at(operation: &Operation) -> Option<u64> {
    if operation.life != Life::Processing(Activity::Active) || stopping(operation) {
        return None;
    }
    operation
        .derived
        .backoff
        .iter()
        .filter_map(|&index| match operation.nodes[index].state {
            NodeState::Backoff { until_ms, .. } => Some(until_ms),
            _ => None,
        })
        .min()
}

/// Running nodes that nobody works on: this process was not the one that started them.
fn pick_up(operation: &Operation, in_flight: &dyn Fn(usize) -> bool, commands: &mut Vec<Command>) {
    for &index in operation.derived.running.iter().filter(|&&index| !in_flight(index)) {
        let node = &operation.nodes[index];
        match (&node.state, &operation.step_of(node).action) {
            (NodeState::Running { .. }, Action::Upload { .. } | Action::Wait { .. }) => {
                commands.push(Command::LostWithEngine(index));
            }
            (NodeState::Running { .. }, Action::Run { .. } | Action::Shell { .. } | Action::Script { .. })
            | (NodeState::Undoing { .. }, _) => commands.push(Command::Reattach(index)),
            // A gate waits for a person, not for us.
            _ => {}
        }
    }
}

fn forward(operation: &Operation, in_flight: &dyn Fn(usize) -> bool, now_ms: u64, commands: &mut Vec<Command>) {
    if let Some(&index) = operation.derived.undo_failed.first() {
        commands.push(Command::PauseForUndo(index));
        return;
    }
    for &index in operation.derived.failed.iter() {
        if let NodeState::Failed { failure, .. } = &operation.nodes[index].state
            && let Some(wait_ms) = retry_after(operation, index, failure)
        {
            commands.push(Command::Retry(index, wait_ms));
        }
    }
    if !commands.is_empty() {
        return; // The failures that remain afterwards are final.
    }
    not_reached(operation, commands);
    for &index in &operation.derived.indeterminate {
        if !in_flight(index) {
            resolve(operation, index, commands);
        }
    }
    if !commands.is_empty() {
        return;
    }
    if !stopping(operation) {
        for &index in &operation.derived.ready {
            commands.push(if when_is_false(operation, index) {
                Command::SkipWhenFalse(index)
            } else {
                Command::Start(index)
            });
        }
        for &index in &operation.derived.backoff {
            if matches!(operation.nodes[index].state, NodeState::Backoff { until_ms, .. } if until_ms <= now_ms) {
                commands.push(Command::Start(index));
            }
        }
        if !commands.is_empty() {
            return;
        }
    }
    let rests = operation.derived.running.is_empty() && operation.derived.indeterminate.is_empty();
    if rests && operation.derived.failed.is_empty() && operation.derived.over == operation.nodes.len() {
        commands.push(Command::Complete);
    } else if rests && !operation.derived.failed.is_empty() && (stopping(operation) || nothing_left(operation)) {
        commands.push(if wants_rollback(operation) {
            Command::RollBack
        } else {
            let failed = operation.derived.failed.iter().take(NAMED_FAILURES);
            Command::FailTemp(FailedBecause::Nodes(failed.map(|&index| operation.nodes[index].id.clone()).collect()))
        });
    }
}

/// Everything behind a final failure, through `NotReached` nodes, is not reached (I3).
fn not_reached(operation: &Operation, commands: &mut Vec<Command>) {
    let mut seen = BTreeSet::new();
    let mut from: Vec<usize> = operation.derived.failed.iter().copied().collect();
    while let Some(index) = from.pop() {
        for dependent in operation.dependents_of(index) {
            // A node that is marked already may have one behind it that is not: a long write may be kept in part.
            if matches!(operation.nodes[dependent].state, NodeState::Waiting | NodeState::NotReached)
                && seen.insert(dependent)
            {
                from.push(dependent);
            }
        }
    }
    let waiting = |index: &usize| matches!(operation.nodes[*index].state, NodeState::Waiting);
    commands.extend(seen.into_iter().filter(waiting).map(Command::NotReached));
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
        match &node.state {
            NodeState::Succeeded(done) if due => {
                let gone = operation.hosts.get(&node.id.key).is_none_or(|host| host.generation != done.generation);
                commands.push(if step.undo.is_none() {
                    Command::SkipUndo(index, UndoSkip::NoUndo)
                } else if gone {
                    Command::SkipUndo(index, UndoSkip::HostGone) // D7
                } else {
                    Command::Undo(index)
                });
            }
            NodeState::Indeterminate { .. } if due && step.undo.is_some() => commands.push(Command::Undo(index)),
            _ => {}
        }
    }
}

fn cancelling(operation: &Operation, mode: CancelMode, in_flight: &dyn Fn(usize) -> bool, commands: &mut Vec<Command>) {
    if operation.derived.running.is_empty() {
        commands.push(Command::FailTemp(FailedBecause::Cancelled));
    } else if mode == CancelMode::Forceful {
        commands.extend(operation.derived.running.iter().filter(|&&index| in_flight(index)).map(|&i| Command::Kill(i)));
    }
}

/// Whether a failure with `on_failure: Stop` or `Rollback` keeps everything else from starting.
fn stopping(operation: &Operation) -> bool {
    operation.derived.failed.iter().any(|&index| match operation.step_of(&operation.nodes[index]).on_failure {
        OnFailure::Stop | OnFailure::Rollback => true,
        OnFailure::Continue => false,
    })
}

fn wants_rollback(operation: &Operation) -> bool {
    let failed = operation.derived.failed.iter();
    failed.into_iter().any(|&index| operation.step_of(&operation.nodes[index]).on_failure == OnFailure::Rollback)
}

fn nothing_left(operation: &Operation) -> bool {
    operation.derived.over == operation.nodes.len()
}

/// A `when` that cannot be evaluated is not false: the attempt starts and fails with the reason.
fn when_is_false(operation: &Operation, index: usize) -> bool {
    let node = &operation.nodes[index];
    let Some(when) = &operation.step_of(node).when else { return false };
    matches!(eval(when, &CoreScope { operation, node: Some(node) }), Ok(Value::Bool(false)))
}

/// How long to wait before the next attempt, or nothing where the failure is final.
fn retry_after(operation: &Operation, index: usize, failure: &Failure) -> Option<u64> {
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
        (RetryOn::Connection | RetryOn::Timeout | RetryOn::Exit(_), _) => false,
    });
    if !class_matches {
        return None;
    }
    let factor = retry.factor.max(1.0).powi(i32::try_from(node.tries - 1).unwrap_or(i32::MAX));
    let wait = retry.wait_ms as f64 * factor;
    // Saturates: an infinite product is the cap.
    Some(if wait >= retry.cap_ms as f64 { retry.cap_ms } else { wait as u64 })
}
