//! Effects of an operation in hand begin here, each with an executor of its own, and what executors keep is cleaned up.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use dsl::plan::Action;

use super::call::{self, Call, Work};
use super::executor::{Left, Reporter};
use super::task::Hand;
use crate::action::copy::FileToCopy;
use crate::limits::SWEEP_MS;
use crate::operation::{CoreScope, Effect, Entry, Event, NodeOutcome, NodeState, Unknown};

impl Hand {
    pub(super) fn spawn(&mut self, effect: Effect, now_ms: u64) {
        let (node, attempt) = match &effect {
            Effect::Do { node, attempt }
            | Effect::Reattach { node, attempt, .. }
            | Effect::Probe { node, attempt }
            | Effect::Undo { node, attempt }
            | Effect::Kill { node, attempt } => (node.clone(), *attempt),
        };
        let task = call::task(self.driver.operation(), &self.context, effect.clone(), now_ms);
        let (slot, source) = match &task.call {
            Ok(Call { slot, work: Some(Work::Copy(copy)), .. }) => (slot.as_ref(), Some(&copy.source)),
            Ok(call) => (call.slot.as_ref(), None),
            Err(_) => (None, None),
        };
        let on_hosts = self.context.places_at([slot, source]);
        let reporter = Reporter { to: self.report_to.clone(), node: node.clone(), attempt };
        let work = self.shared.executor.perform(Arc::clone(&self.context), task, reporter.clone());
        let shared = Arc::clone(&self.shared);
        let redactor = self.context.redactor.clone();
        self.executors.spawn(async move {
            // The semaphores are never closed. A kill does not wait behind those that it is to end.
            let mut permits = Vec::new();
            if !matches!(effect, Effect::Kill { .. }) {
                for places in on_hosts.iter().map(|places| &**places).chain([&shared.permits]) {
                    permits.push(places.acquire().await);
                }
            }
            let outcome = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(outcome) => outcome,
                Err(_) => {
                    super::executor::unrendered(&effect, call::other("a bug in Anneal: please report it".to_owned()))
                        .map(|outcome| after_panic(&effect, outcome))
                }
            };
            if let Some(outcome) = outcome {
                let outcome = redacted(outcome, &redactor);
                // The task that listens ends only with its operation; then nobody wants to know.
                let _ = reporter.to.send(Box::new((node, attempt, outcome))).await;
            }
        });
    }

    /// What a step wrote that put out a secret is not left on its host longer than it is needed (I8).
    pub(super) fn forget_output(&mut self, entries: &[Entry], now_ms: u64) {
        while self.forgetting.try_join_next().is_some() {}
        for entry in entries {
            let (Event::Succeeded { node, attempt, .. } | Event::Failed { node, attempt, .. }) = &entry.event else {
                continue;
            };
            let operation = self.driver.operation();
            if !operation.node(node).is_some_and(|node| operation.step_of(node).is_silent()) {
                continue;
            }
            let effect = Effect::Reattach { node: node.clone(), attempt: *attempt, undo: false };
            if let Ok(call) = call::task(operation, &self.context, effect, now_ms).call {
                self.forgetting.spawn(self.shared.executor.forget(Arc::clone(&self.context), call));
            }
        }
    }

    pub(super) async fn end_forgetting(&mut self) {
        let all = async { while self.forgetting.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_millis(SWEEP_MS), all).await.is_err() {
            tracing::warn!(operation = %self.context.id, "no answer; what a step wrote stays in its job folder for now");
        }
    }

    /// Nothing of an operation that has ended for good is left: its secrets (D9), what its executors keep for it.
    pub(super) async fn clean_up(&self, now_ms: u64) {
        let left = self.left(now_ms);
        let (store, id, vault) = (self.shared.store.clone(), self.context.id, self.context.vault.clone());
        match tokio::task::spawn_blocking(move || vault.forget(&store, id)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(operation = %id, %error, "its sealed secrets could not be deleted"),
            Err(error) => tracing::error!(operation = %id, %error, "its sealed secrets could not be deleted"),
        }
        // Of an operation that was abandoned something may still be at work in its folders.
        let at_work = self.driver.operation().nodes.iter().any(|node| matches!(node.state, NodeState::Running { .. }));
        if !at_work {
            self.shared.executor.finish(Arc::clone(&self.context), left).await;
        }
    }

    /// Where it may have left something.
    fn left(&self, now_ms: u64) -> Left {
        let operation = self.driver.operation();
        let mut left = Left::default();
        for node in operation.nodes.iter().filter(|node| node.attempts > 0) {
            let (scope, step) = (CoreScope { operation, node: Some(node) }, operation.step_of(node));
            let user = step.as_user.as_ref().and_then(|user| dsl::eval::render(user, &scope).ok());
            let user = user.map(|user| user.text.to_string());
            for action in [Some(&step.action), step.undo.as_ref()].into_iter().flatten() {
                if let Some(slot) = call::slot_of(action, operation.runs_at(node)) {
                    left.used.entry((slot, user.clone())).or_default();
                }
            }
            let transfers = matches!(step.action, Action::Upload { .. } | Action::Copy(_) | Action::Download(_));
            // A first attempt that succeeded left nothing.
            if !transfers || (node.attempts == 1 && matches!(node.state, NodeState::Succeeded { .. })) {
                continue;
            }
            // What cannot be rendered was not begun either.
            let effect = Effect::Do { node: node.id.clone(), attempt: node.attempts };
            let Ok(call) = call::task(operation, &self.context, effect, now_ms).call else { continue };
            match (call.work, call.slot) {
                (Some(Work::Download(file)), _) => left.here.push((call.job, file.to)),
                (Some(Work::Upload { to, .. } | Work::Copy(FileToCopy { to, .. })), Some(slot)) => {
                    left.used.entry((slot, call.as_user)).or_default().push((call.job, to));
                }
                _ => {}
            }
        }
        left
    }
}

/// A panic says nothing of what the job does on its host.
fn after_panic(effect: &Effect, outcome: NodeOutcome) -> NodeOutcome {
    match effect {
        Effect::Do { .. } | Effect::Undo { .. } => NodeOutcome::Unknown(Unknown::Unreachable),
        Effect::Probe { .. } | Effect::Reattach { .. } | Effect::Kill { .. } => outcome,
    }
}

/// The one place through which every failure passes on its way to the journal (I8).
fn redacted(outcome: NodeOutcome, redactor: &crate::redact::Redactor) -> NodeOutcome {
    let clean = |failure: crate::operation::Failure| crate::operation::Failure {
        message: redactor.text(&failure.message),
        hint: failure.hint.map(|hint| redactor.text(&hint)),
        ..failure
    };
    match outcome {
        NodeOutcome::Failed { failure, output } => NodeOutcome::Failed { failure: clean(failure), output },
        NodeOutcome::ProbedUnknown(failure) => NodeOutcome::ProbedUnknown(clean(failure)),
        // `out` and output were filtered where they were taken.
        NodeOutcome::Succeeded { .. }
        | NodeOutcome::AlreadySo
        | NodeOutcome::Reattached
        | NodeOutcome::Unknown(_)
        | NodeOutcome::ProbedThere
        | NodeOutcome::ProbedNotThere => outcome,
    }
}
