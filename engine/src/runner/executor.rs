//! Executors: one unit of work each, on one node; they report and never touch the state.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::call::{Call, Task, Work};
use super::context::Context;
use super::live::Sink;
use crate::action;
use crate::host::{Host, JobId, remove_part};
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

    /// Removes what it left on hosts, once an operation has ended for good: here nothing.
    fn finish(&self, _context: Arc<Context>, _left: Left) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Where an operation that has ended may have left something.
#[derive(Debug, Default)]
pub struct Left {
    /// The slots it worked on, and as which users; with the uploads and copies there that did not come to their end: node and
    /// target.
    pub used: BTreeMap<(String, Option<String>), Vec<Transfer>>,
    /// The downloads that did not.
    pub here: Vec<Transfer>,
}

/// A file on its way: of which node, and its target.
pub type Transfer = (JobId, String);

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
            if let Effect::Kill { .. } = task.effect {
                // What is at work in the engine only ends by its timeout.
                if let Some(host) = host_at(&context, &call.slot) {
                    action::job::kill(host, &call).await;
                }
                return None;
            }
            let live = context.board.sink(call.node.clone(), call.attempt, &context.redactor, call.silent);
            let outcome = match (&task.effect, host_at(&context, &call.slot)) {
                (Effect::Do { .. } | Effect::Undo { .. }, host) => begin(&context, host, &call, &live, &reporter).await,
                (Effect::Reattach { .. }, Some(host)) if call.reboots.is_some() => {
                    action::reboot::find(&context, host, &call, &live, &reporter).await
                }
                (Effect::Reattach { .. }, Some(host)) => {
                    action::job::reattach(&context, host, &call, &live, &reporter).await
                }
                (Effect::Reattach { .. }, None) => NodeOutcome::Unknown(Unknown::Unanswered),
                (Effect::Probe { .. } | Effect::Kill { .. }, _) => probe(&context, &call).await,
            };
            context.board.clear(&call.node);
            Some(outcome)
        })
    }

    /// Best effort: with the operation's end its job folders go anyway.
    fn forget(&self, context: Arc<Context>, call: Call) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Some(host) = host_at(&context, &call.slot) else { return };
            if let Err(error) = host.forget_output(&call.job, call.as_user.as_deref()).await {
                tracing::warn!(node = %call.node, error = error.code(), "what it wrote stays in its job folder for now");
            }
        })
    }

    /// The job folders go and what transfers left, and then the connections.
    fn finish(&self, context: Arc<Context>, left: Left) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let operation = context.id;
            for (id, to) in &left.here {
                if let Err(error) = remove_part(id, Path::new(to)) {
                    tracing::warn!(%operation, to, %error, "what was brought of it so far is left beside it");
                }
            }
            let sweeps = left.used.iter().filter_map(|((slot, user), transfers)| {
                let host = context.host(slot)?;
                Some(async move {
                    let sweep = host.sweep_with(operation, user.as_deref(), transfers);
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

fn host_at<'c>(context: &'c Context, slot: &Option<String>) -> Option<&'c Host> {
    context.host(slot.as_ref()?)
}

fn no_host(call: &Call) -> Failure {
    super::call::other(format!("`{}` has no host", call.node))
}

/// The question how an attempt ended. One that may still be at work is ended first, or the answer would be of this moment only.
async fn probe(context: &Context, call: &Call) -> NodeOutcome {
    match (action::job::end_earlier(context, call).await, host_at(context, &call.probe_slot)) {
        (Some(failure), _) => NodeOutcome::ProbedUnknown(failure),
        (None, None) => NodeOutcome::ProbedUnknown(no_host(call)),
        (None, Some(host)) => action::probe::after(context, host, call).await,
    }
}

/// `do` or `undo` from its beginning: first what may still run of an earlier attempt is ended, then the probe is asked.
async fn begin(context: &Context, host: Option<&Host>, call: &Call, live: &Sink, reporter: &Reporter) -> NodeOutcome {
    let failed = |failure| NodeOutcome::Failed { failure, output: None };
    if let Some(failure) = action::job::end_earlier(context, call).await {
        return failed(failure);
    }
    if call.probe.is_some() {
        let Some(host) = host_at(context, &call.probe_slot) else { return failed(no_host(call)) };
        if let Some(outcome) = action::probe::before(context, host, call).await {
            return outcome;
        }
    }
    match (&call.work, host) {
        (Some(Work::Assert(None)), _) => {
            NodeOutcome::Succeeded { out: Default::default(), changed: false, output: None }
        }
        (Some(Work::Assert(Some(wrong))), _) => failed(super::call::other(wrong.clone())),
        (Some(Work::Http(http)), _) => action::http::request(context, call, http, live).await,
        (Some(Work::Webhook(webhook)), _) => action::notify::webhook(context, call, webhook, live).await,
        (Some(Work::Mail(mail)), _) => action::notify::mail(call, mail, live).await,
        (Some(Work::Job(job)), Some(host)) => action::job::run(context, host, call, job, live, reporter).await,
        (Some(Work::Upload { from, to, mode }), Some(host)) => {
            action::upload::upload(host, call, from, to, *mode, live).await
        }
        (Some(Work::Write(files)), Some(host)) => {
            action::write::outcome(action::write::write(host, call, files, live).await)
        }
        (Some(Work::Patch(file)), Some(host)) => {
            action::write::outcome(action::patch::patch(host, call, file, live).await)
        }
        (Some(Work::Wait { until, within, every }), Some(host)) => {
            action::wait::wait(context, host, until, *within, *every, live).await
        }
        (Some(Work::Download(file)), Some(host)) => action::download::download(host, call, file, live).await,
        (Some(Work::Copy(file)), Some(host)) => action::copy::copy(context, host, call, file, live).await,
        (Some(Work::Facts { epoch }), Some(host)) => action::facts::ask(context, host, call, *epoch).await,
        (Some(Work::Reboot), Some(host)) => action::reboot::reboot(context, host, call, live, reporter).await,
        (
            Some(
                Work::Job(_)
                | Work::Upload { .. }
                | Work::Write(_)
                | Work::Patch(_)
                | Work::Download(_)
                | Work::Copy(_)
                | Work::Reboot
                | Work::Facts { .. }
                | Work::Wait { .. },
            ),
            None,
        ) => failed(no_host(call)),
        (None, _) => failed(super::call::other("there is nothing to do".to_owned())),
    }
}
