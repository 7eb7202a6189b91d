//! Executors: one unit of work each, on one node; they report and never touch the state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::call::{Call, Task, Work};
use super::context::Context;
use super::live::Sink;
use crate::action;
use crate::host::Host;
use crate::limits::SWEEP_MS;
use crate::operation::{Effect, Failure, NodeId, NodeOutcome, Unknown};

/// What carries out effects: hosts in earnest, something else in a benchmark.
pub trait Executor: Send + Sync + 'static {
    /// Carries one effect out. `None` where somebody else reports (a kill: the killed job's executor does).
    fn perform(&self, context: Arc<Context>, task: Task, reporter: Reporter)
    -> BoxFuture<'static, Option<NodeOutcome>>;

    /// Removes what an attempt wrote that put out a secret, once that is recorded: here nothing.
    fn forget(&self, _context: Arc<Context>, _call: Call) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Removes what it left on hosts, once an operation has ended for good: here nothing. `used` names the slots it worked on,
    /// and as which users.
    fn finish(&self, _context: Arc<Context>, _used: BTreeSet<(String, Option<String>)>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What an executor reports of an attempt. In a box: a channel has room for 32 of what it carries from its beginning, and
/// thousands of operations each have one.
pub(super) type Report = Box<(NodeId, u32, NodeOutcome)>;

/// Where an executor reports what happens before the end.
#[derive(Debug, Clone)]
pub struct Reporter {
    pub(super) to: mpsc::Sender<Report>,
    pub(super) node: NodeId,
    pub(super) attempt: u32,
}

impl Reporter {
    /// Tells that a running job was found again.
    pub async fn reattached(&self) {
        // The task that listens ends only with its operation; then nobody wants to know.
        let _ = self.to.send(Box::new((self.node.clone(), self.attempt, NodeOutcome::Reattached))).await;
    }
}

/// Carries effects out on hosts.
#[derive(Debug, Default)]
pub struct HostExecutor;

impl Executor for HostExecutor {
    fn perform(
        &self,
        context: Arc<Context>,
        task: Task,
        reporter: Reporter,
    ) -> BoxFuture<'static, Option<NodeOutcome>> {
        Box::pin(async move {
            let call = match task.call {
                Ok(call) => call,
                Err(failure) => return unrendered(&task.effect, failure),
            };
            let Some(host) = call.slot.as_ref().and_then(|slot| context.host(slot)) else {
                return unrendered(&task.effect, super::call::other(format!("`{}` has no host", call.node)));
            };
            if let Effect::Kill { .. } = task.effect {
                action::job::kill(host, &call).await;
                return None;
            }
            let live = context.board.sink(call.node.clone(), call.attempt, &context.redactor, call.silent);
            let outcome = match task.effect {
                Effect::Do { .. } | Effect::Undo { .. } => begin(&context, host, &call, &live, &reporter).await,
                Effect::Reattach { .. } => action::job::reattach(&context, host, &call, &live, &reporter).await,
                Effect::Probe { .. } | Effect::Kill { .. } => probe(&context, host, &call).await,
            };
            context.board.clear(&call.node);
            Some(outcome)
        })
    }

    /// Best effort: with the operation's end its job folders go anyway.
    fn forget(&self, context: Arc<Context>, call: Call) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Some(host) = call.slot.as_ref().and_then(|slot| context.host(slot)) else { return };
            if let Err(error) = host.forget_output(&call.job, call.as_user.as_deref()).await {
                tracing::warn!(node = %call.node, error = error.code(), "what it wrote stays in its job folder for now");
            }
        })
    }

    /// The job folders go, and then the connections.
    fn finish(&self, context: Arc<Context>, used: BTreeSet<(String, Option<String>)>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let operation = context.id;
            let sweeps = used.iter().filter_map(|(slot, user)| {
                let host = context.host(slot)?;
                Some(async move {
                    let sweep = host.sweep(operation, user.as_deref());
                    match tokio::time::timeout(Duration::from_millis(SWEEP_MS), sweep).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            tracing::warn!(%operation, host = %slot, %error, "its job folder is left behind");
                        }
                        Err(_) => tracing::warn!(%operation, host = %slot, "no answer; its job folder is left behind"),
                    }
                })
            });
            futures::future::join_all(sweeps).await;
            for (_, host) in context.hosts() {
                host.close().await;
            }
        })
    }
}

/// What an effect comes to that cannot even be rendered: nothing that ran is called failed by that.
pub(super) fn unrendered(effect: &Effect, failure: Failure) -> Option<NodeOutcome> {
    match effect {
        Effect::Do { .. } | Effect::Undo { .. } => Some(NodeOutcome::Failed { failure, output: None }),
        Effect::Probe { .. } => Some(NodeOutcome::ProbedUnknown(failure)),
        Effect::Reattach { node, .. } => {
            tracing::error!(%node, why = failure.message, "a job cannot be looked for");
            Some(NodeOutcome::Unknown(Unknown::Unreachable))
        }
        Effect::Kill { node, .. } => {
            tracing::error!(%node, why = failure.message, "a job cannot be killed");
            None
        }
    }
}

/// The question how an attempt ended. One that may still be at work is ended first, or the answer would be of this moment only.
async fn probe(context: &Context, host: &Host, call: &Call) -> NodeOutcome {
    match action::job::end_earlier(host, call).await {
        Some(failure) => NodeOutcome::ProbedUnknown(failure),
        None => action::probe::after(context, host, call).await,
    }
}

/// `do` or `undo` from its beginning: first what may still run of an earlier attempt is ended, then the probe is asked.
async fn begin(context: &Context, host: &Host, call: &Call, live: &Sink, reporter: &Reporter) -> NodeOutcome {
    if let Some(failure) = action::job::end_earlier(host, call).await {
        return NodeOutcome::Failed { failure, output: None };
    }
    if let Some(outcome) = action::probe::before(context, host, call).await {
        return outcome;
    }
    match &call.work {
        Some(Work::Job(job)) => action::job::run(context, host, call, job, live, reporter).await,
        Some(Work::Upload { from, to, mode }) => action::upload::upload(host, call, from, to, *mode, live).await,
        Some(Work::Write(files)) => action::write::outcome(action::write::write(host, call, files, live).await),
        Some(Work::Patch(file)) => action::write::outcome(action::patch::patch(host, call, file, live).await),
        Some(Work::Facts { epoch }) => action::facts::ask(context, host, call, *epoch).await,
        Some(Work::Wait { until, within, every }) => action::wait::wait(host, until, *within, *every, live).await,
        None => NodeOutcome::Failed { failure: super::call::other("there is nothing to do".to_owned()), output: None },
    }
}
