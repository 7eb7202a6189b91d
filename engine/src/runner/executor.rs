//! Executors: one unit of work each, on one node; they report and never touch the state.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::call::{Task, Work};
use super::context::Context;
use crate::action;
use crate::operation::{Effect, NodeId, NodeOutcome};

/// What carries out effects: hosts in earnest, something else in a benchmark.
pub trait Executor: Send + Sync + 'static {
    /// Carries one effect out. `None` where somebody else reports (a kill: the killed job's executor does).
    fn perform(&self, context: Arc<Context>, task: Task, reporter: Reporter) -> BoxFuture<'static, Option<NodeOutcome>>;
}

/// Where an executor reports what happens before the end.
#[derive(Debug, Clone)]
pub struct Reporter {
    pub(super) to: mpsc::Sender<(NodeId, u32, NodeOutcome)>,
    pub(super) node: NodeId,
    pub(super) attempt: u32,
}

impl Reporter {
    /// Tells that a running job was found again.
    pub async fn reattached(&self) {
        // The task that listens ends only with its operation; then nobody wants to know.
        let _ = self.to.send((self.node.clone(), self.attempt, NodeOutcome::Reattached)).await;
    }
}

/// Carries effects out on hosts.
#[derive(Debug, Default)]
pub struct HostExecutor;

impl Executor for HostExecutor {
    fn perform(&self, context: Arc<Context>, task: Task, reporter: Reporter) -> BoxFuture<'static, Option<NodeOutcome>> {
        Box::pin(async move {
            let call = match task.call {
                Ok(call) => call,
                Err(failure) => return Some(NodeOutcome::Failed { failure, output: None }),
            };
            let slot = call.node.key.clone();
            let Some(host) = context.host(&slot) else {
                let failure = super::call::other(format!("no host fills slot `{slot}`"));
                return Some(NodeOutcome::Failed { failure, output: None });
            };
            let live = context.board.sink(call.node.clone(), call.attempt, &context.redactor);
            let outcome = match task.effect {
                Effect::Do { .. } => match action::probe::before(host, &call).await {
                    Some(outcome) => Some(outcome),
                    None => Some(act(&context, host, &call, &live, &reporter).await),
                },
                Effect::Undo { .. } => Some(act(&context, host, &call, &live, &reporter).await),
                Effect::Reattach { .. } => Some(action::job::reattach(&context, host, &call, &live, &reporter).await),
                Effect::Probe { .. } => Some(action::probe::after(host, &call).await),
                Effect::Kill { .. } => {
                    action::job::kill(host, &call).await;
                    None
                }
            };
            context.board.clear(&call.node);
            outcome
        })
    }
}

async fn act(
    context: &Context,
    host: &crate::host::Host,
    call: &super::call::Call,
    live: &super::live::Sink,
    reporter: &Reporter,
) -> NodeOutcome {
    match &call.work {
        Work::Job(job) => action::job::run(context, host, call, job, live, reporter).await,
        Work::Upload { from, to, mode } => action::upload::upload(host, call, from, to, *mode, live).await,
        Work::Wait { until, within, every } => action::wait::wait(host, until, *within, *every, live).await,
    }
}
