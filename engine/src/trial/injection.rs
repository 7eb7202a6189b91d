//! What is done to a node.

use dsl::plan::{Action, Plan, RetryOn, Step};

use super::report::Column;
use crate::operation::{FailureClass, NodeId};

/// What is done to a node in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injection {
    /// Every attempt fails, until a person resumes the operation.
    Error {
        /// How.
        class: FailureClass,
        /// Whether its effect is there nevertheless.
        effect: bool,
    },
    /// At a gate: the person says no.
    Rejected,
    /// Its work is done, and then its timeout ends it.
    TimedOut,
    /// Its work is done, and then nobody can reach the host to see.
    Lost,
    /// The engine dies, and comes back.
    Crash(Moment),
    /// Its host restarts while it runs.
    Reboot {
        /// Whether its effect was there by then.
        effect: bool,
    },
}

/// A moment in the life of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Its intent is not written yet.
    BeforeWrite,
    /// Its intent is written, and nothing has begun.
    AfterWrite,
    /// It runs; its effect is not there yet.
    Running,
    /// It runs; its effect is there.
    Done,
    /// It has ended, and its end is not written yet.
    BeforeRecord,
}

impl Injection {
    /// All that is done to a node.
    pub fn of(plan: &Plan, node: &NodeId) -> Vec<Injection> {
        let Some(step) = plan.steps.iter().find(|step| step.id == node.step) else { return Vec::new() };
        let crash = |moments: &[Moment]| moments.iter().map(|&moment| Injection::Crash(moment)).collect::<Vec<_>>();
        let ends = [Moment::BeforeWrite, Moment::AfterWrite, Moment::BeforeRecord];
        let all = [Moment::BeforeWrite, Moment::AfterWrite, Moment::Running, Moment::Done, Moment::BeforeRecord];
        let reboots = [false, true].map(|effect| Injection::Reboot { effect });
        match step.action {
            Action::Gate { .. } => [vec![Injection::Rejected], crash(&ends)].concat(),
            // It has no effect, and looks again whatever happens to its host.
            Action::Wait { .. } | Action::Facts => {
                let timeout = Injection::Error { class: FailureClass::Timeout, effect: false };
                [vec![timeout], crash(&[&ends[..], &[Moment::Running]].concat())].concat()
            }
            Action::Upload { .. }
            | Action::WriteFiles { .. }
            | Action::PatchFile { .. }
            | Action::Download(_)
            | Action::Copy(_) => [errors(step), crash(&all), reboots.to_vec()].concat(),
            // That its host restarts, and cannot be reached meanwhile, is what it is there for.
            Action::Reboot { .. } => [errors(step), crash(&all)].concat(),
            // It says no, or nothing.
            Action::Assert { .. } => {
                let error = Injection::Error { class: FailureClass::Other, effect: false };
                [vec![error], crash(&[&ends[..], &[Moment::Running]].concat())].concat()
            }
            // It happens with the write that says so, and fails only where it would fail without us.
            Action::Record(_) | Action::Forget(_) => crash(&ends),
            Action::Http(_) => [answers(step), crash(&all)].concat(),
            Action::Notify(_) if step.action.site().is_none() => [answers(step), crash(&all)].concat(),
            Action::Run { .. }
            | Action::Shell { .. }
            | Action::Script { .. }
            | Action::Local { .. }
            | Action::Notify(_)
            | Action::Restore => {
                let mut injections = [errors(step), vec![Injection::Lost], crash(&all), reboots.to_vec()].concat();
                // Else it is one more error.
                if step.retry.times > 1 && retries(step, FailureClass::Timeout) {
                    injections.push(Injection::TimedOut);
                }
                injections
            }
        }
    }

    /// Whether it is an error that is injected.
    pub fn is_error(self) -> bool {
        matches!(self, Injection::Error { .. } | Injection::Rejected)
    }

    /// The columns of the table that it counts for.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Injection::Error { .. } | Injection::Rejected => &[Column::Error],
            Injection::TimedOut | Injection::Lost => &[Column::Repeat],
            Injection::Crash(_) => &[Column::Crash],
            Injection::Reboot { effect: false } => &[Column::Reboot],
            Injection::Reboot { effect: true } => &[Column::Repeat, Column::Reboot],
        }
    }

    /// It happens, as a sentence about the node.
    pub fn words(self) -> String {
        let so_far = |effect| if effect { "after its effect" } else { "before its effect" };
        match self {
            Injection::Error { class: FailureClass::Connection, .. } => "its host cannot be reached".to_owned(),
            Injection::Error { class: FailureClass::Timeout, effect } => {
                format!("its timeout ends it {}", so_far(effect))
            }
            Injection::Error { class: FailureClass::Exit(code), effect } => {
                format!("it fails with exit code {code} {}", so_far(effect))
            }
            Injection::Error { class: FailureClass::Status(status), .. } => format!("the answer is {status}"),
            Injection::Error { effect, .. } => format!("it fails {}", so_far(effect)),
            Injection::Rejected => "it is rejected".to_owned(),
            Injection::TimedOut => "its timeout ends it when its work is done".to_owned(),
            Injection::Lost => "its host cannot be reached any more when its work is done".to_owned(),
            Injection::Crash(Moment::BeforeWrite) => "the engine dies before it is begun".to_owned(),
            Injection::Crash(Moment::AfterWrite) => "the engine dies as it is begun".to_owned(),
            Injection::Crash(Moment::Running) => "the engine dies while it runs".to_owned(),
            Injection::Crash(Moment::Done) => "the engine dies when its effect is there".to_owned(),
            Injection::Crash(Moment::BeforeRecord) => "the engine dies before its end is written".to_owned(),
            Injection::Reboot { effect } => format!("its host restarts {}", so_far(effect)),
        }
    }
}

/// The errors of a step: one that `retry` does not mend, and one of each class that it tries again.
fn errors(step: &Step) -> Vec<Injection> {
    let mut classes = vec![FailureClass::Connection];
    let codes = step.retry.on.iter().filter_map(|on| match on {
        RetryOn::Exit(codes) => codes.first().copied(),
        RetryOn::Connection | RetryOn::Timeout | RetryOn::Status(_) | RetryOn::Any => None,
    });
    classes.extend(codes.map(FailureClass::Exit));
    // The first code that is no success and that `retry` does not name, so that it is final at once.
    let other = (1..).find(|&code| !retries_code(step, code) && !step.success().contains(&code)).unwrap_or(1);
    classes.push(FailureClass::Exit(other));
    let errors = classes.into_iter().flat_map(|class| {
        // What was not reached has no effect.
        let effects: &[bool] = if class == FailureClass::Connection { &[false] } else { &[false, true] };
        effects.iter().map(move |&effect| Injection::Error { class, effect })
    });
    errors.collect()
}

/// The errors of a request: no connection, and answers that say no – one that `retry` does not mend, and one that it tries again.
fn answers(step: &Step) -> Vec<Injection> {
    let retried = step.retry.on.iter().filter_map(|on| match on {
        RetryOn::Status(statuses) => statuses.first().copied(),
        RetryOn::Connection | RetryOn::Timeout | RetryOn::Exit(_) | RetryOn::Any => None,
    });
    let mut classes: Vec<FailureClass> = retried.map(FailureClass::Status).collect();
    classes.extend([FailureClass::Connection, FailureClass::Status(403)]);
    classes.into_iter().map(|class| Injection::Error { class, effect: false }).collect()
}

fn retries_code(step: &Step, code: i32) -> bool {
    step.retry.on.iter().any(|on| matches!(on, RetryOn::Exit(codes) if codes.contains(&code)))
}

/// Whether `retry` tries this class of failures again.
pub(super) fn retries(step: &Step, class: FailureClass) -> bool {
    step.retry.on.iter().any(|on| match (on, class) {
        (RetryOn::Any, _)
        | (RetryOn::Connection, FailureClass::Connection)
        | (RetryOn::Timeout, FailureClass::Timeout) => true,
        (RetryOn::Exit(codes), FailureClass::Exit(code)) => codes.contains(&code),
        (RetryOn::Status(statuses), FailureClass::Status(status)) => statuses.contains(&status),
        (RetryOn::Connection | RetryOn::Timeout | RetryOn::Exit(_) | RetryOn::Status(_), _) => false,
    })
}
