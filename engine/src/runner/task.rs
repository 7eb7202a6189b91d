//! One operation in the hands of this process: the loop that learns, commits, and only then begins.
//!
//! Invariant: the state in memory never runs ahead of what others can see – what is shown comes from the store – and an
//! effect begins only after the commit that intends it was acknowledged (I1). Where a commit fails, the state in memory is
//! thrown away: what is in the store is what happened.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::call;
use super::clock::now_ms;
use super::context::Context;
use super::engine::Shared;
use super::executor::Reporter;
use crate::error::{Error, Kind};
use crate::journal::{self, Summary};
use crate::limits::{REPORTS, SWEEP_MS};
use crate::operation::{Decided, Driver, Effect, Entry, Input, NodeId, NodeOutcome, Rest, Verb};

/// Entries of one commit; a longer list becomes several, each of which leaves the journal valid.
const ENTRIES_PER_COMMIT: usize = 1_024;

/// What watchers of an operation are told: look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The last durable entry.
    pub seq: u64,
    /// Whether this process still works on it.
    pub rest: Standing,
}

/// Whether this process works on an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Busy,
    /// It does not: the operation has ended or waits for a person.
    AtRest,
    /// It had to stop, for this reason; the operation can be resumed.
    Broken(String),
}

/// What a person asks of an operation.
pub(super) struct Message {
    pub verb: Verb,
    pub by: String,
    pub why: String,
    pub reply: oneshot::Sender<Result<(), Error>>,
}

/// One operation in hand.
pub(super) struct Hand {
    shared: Arc<Shared>,
    driver: Driver,
    context: Arc<Context>,
    inbox: mpsc::Receiver<Message>,
    reports: mpsc::Receiver<(NodeId, u32, NodeOutcome)>,
    report_to: mpsc::Sender<(NodeId, u32, NodeOutcome)>,
    seen: watch::Sender<Update>,
    executors: JoinSet<()>,
    summary: Option<Summary>,
    wake_at_ms: Option<u64>,
}

impl Hand {
    pub fn new(
        shared: Arc<Shared>,
        driver: Driver,
        context: Arc<Context>,
        inbox: mpsc::Receiver<Message>,
        seen: watch::Sender<Update>,
    ) -> Hand {
        let (report_to, reports) = mpsc::channel(REPORTS);
        Hand {
            shared,
            driver,
            context,
            inbox,
            reports,
            report_to,
            seen,
            executors: JoinSet::new(),
            summary: None,
            wake_at_ms: None,
        }
    }

    /// The first step: `before` are entries that are in the state already and not yet durable (`Created`).
    pub async fn begin(&mut self, before: Vec<Entry>, verb: Option<Message>) -> Result<Rest, Error> {
        let rest = self.step(before, vec![Input::Go]).await?;
        match verb {
            Some(message) => self.verb(message).await,
            None => Ok(rest),
        }
    }

    /// Works until the operation rests.
    pub async fn work(mut self, mut rest: Rest) {
        let standing = loop {
            match rest {
                Rest::Busy => {}
                Rest::Waits | Rest::Ended => break Standing::AtRest,
                Rest::Stuck => break Standing::Broken(self.stuck()),
            }
            match self.wait().await {
                Ok(Some(next)) => rest = next,
                Ok(None) => return, // The engine is closing; the operation goes on when it is opened again.
                Err(error) => break Standing::Broken(error.to_string()),
            }
        };
        // Asked of an operation that had ended before, a verb changes nothing, and there is nothing to clean up.
        if self.summary.is_some() && self.driver.operation().life.is_final() {
            self.clean_up().await;
        }
        self.executors.shutdown().await;
        self.shared.forget(self.context.id);
        let seq = self.driver.operation().seq;
        // With the sender gone watchers know that nothing more comes.
        self.seen.send_replace(Update { seq, rest: standing });
    }

    /// Waits for something to happen and takes the step that follows from it. `None` when the engine closes.
    async fn wait(&mut self) -> Result<Option<Rest>, Error> {
        let wake = self.wake_at_ms.map(|at| Duration::from_millis(at.saturating_sub(now_ms())));
        let sleep = async {
            match wake {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        let mut closing = self.shared.closing.subscribe();
        tokio::select! {
            Some(report) = self.reports.recv() => {
                let mut inputs = vec![input(report)];
                while let Ok(report) = self.reports.try_recv() {
                    inputs.push(input(report));
                }
                self.step(Vec::new(), inputs).await.map(Some)
            }
            Some(message) = self.inbox.recv() => self.verb(message).await.map(Some),
            () = sleep => self.step(Vec::new(), vec![Input::Go]).await.map(Some),
            () = async { while !*closing.borrow_and_update() && closing.changed().await.is_ok() {} } => {
                self.executors.shutdown().await;
                Ok(None)
            }
        }
    }

    async fn step(&mut self, before: Vec<Entry>, inputs: Vec<Input>) -> Result<Rest, Error> {
        let decided = self
            .driver
            .decide(inputs, now_ms(), &mut fastrand::f64)
            .map_err(|illegal| Error::new(Kind::Internal, illegal.to_string()))?;
        self.carry_out(before, decided).await
    }

    async fn verb(&mut self, message: Message) -> Result<Rest, Error> {
        let Message { verb, by, why, reply } = message;
        let decided = self
            .driver
            .verb(&verb, &by, &why, now_ms(), &mut fastrand::f64)
            .map_err(|illegal| Error::new(Kind::Internal, illegal.to_string()))?;
        // Whoever asked may have gone; the verb counts all the same.
        match decided {
            Ok(decided) => {
                let rest = self.carry_out(Vec::new(), decided).await?;
                let _ = reply.send(Ok(()));
                Ok(rest)
            }
            Err(refused) => {
                let _ = reply.send(Err(Error::new(Kind::Refused, refused.why).hint(refused.hint)));
                self.step(Vec::new(), vec![Input::Go]).await
            }
        }
    }

    /// Commits, shows, begins.
    async fn carry_out(&mut self, mut before: Vec<Entry>, decided: Decided) -> Result<Rest, Error> {
        before.extend(decided.entries);
        self.commit(&before).await?;
        let now = now_ms();
        for effect in decided.effects {
            self.spawn(effect, now);
        }
        while self.executors.try_join_next().is_some() {}
        self.wake_at_ms = decided.wake_at_ms;
        Ok(decided.rest)
    }

    async fn commit(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let operation = self.driver.operation();
        let summary = Summary::of(operation);
        let changed = self.summary.as_ref() != Some(&summary);
        let (id, seq) = (operation.id, operation.seq);
        let chunks = entries.chunks(ENTRIES_PER_COMMIT).count();
        for (index, chunk) in entries.chunks(ENTRIES_PER_COMMIT).enumerate() {
            let last = index + 1 == chunks;
            let batch = journal::batch(id, chunk, (last && changed).then_some(&summary))?;
            self.shared.store.commit(batch).await?;
        }
        if !entries.is_empty() {
            self.summary = Some(summary);
            self.seen.send_replace(Update { seq, rest: Standing::Busy });
        }
        Ok(())
    }

    fn spawn(&mut self, effect: Effect, now_ms: u64) {
        let (node, attempt) = match &effect {
            Effect::Do { node, attempt }
            | Effect::Reattach { node, attempt, .. }
            | Effect::Probe { node, attempt }
            | Effect::Undo { node, attempt }
            | Effect::Kill { node, attempt } => (node.clone(), *attempt),
        };
        let task = call::task(self.driver.operation(), &self.context, effect, now_ms);
        let reporter = Reporter { to: self.report_to.clone(), node: node.clone(), attempt };
        let work = self.shared.executor.perform(Arc::clone(&self.context), task, reporter.clone());
        let shared = Arc::clone(&self.shared);
        let redactor = self.context.redactor.clone();
        self.executors.spawn(async move {
            // The semaphore is never closed.
            let _permit = shared.permits.acquire().await;
            if let Some(outcome) = work.await {
                let outcome = redacted(outcome, &redactor);
                // The task that listens ends only with its operation; then nobody wants to know.
                let _ = reporter.to.send((node, attempt, outcome)).await;
            }
        });
    }

    /// Nothing of an operation that has ended for good is left: its secrets, its job folders (D9).
    async fn clean_up(&self) {
        let (store, id) = (self.shared.store.clone(), self.context.id);
        match tokio::task::spawn_blocking(move || store.sealed().delete(&id)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(operation = %id, %error, "its sealed secrets could not be deleted"),
            Err(error) => tracing::error!(operation = %id, %error, "its sealed secrets could not be deleted"),
        }
        let users: std::collections::BTreeSet<(String, Option<String>)> = self
            .driver
            .operation()
            .nodes
            .iter()
            .filter(|node| node.attempts > 0)
            .map(|node| {
                let scope = crate::operation::CoreScope { operation: self.driver.operation(), node: Some(node) };
                let user = self.driver.operation().step_of(node).as_user.as_ref();
                let user = user.and_then(|user| dsl::eval::render(user, &scope).ok());
                (node.id.key.clone(), user.map(|user| user.text.to_string()))
            })
            .collect();
        let sweeps = users.iter().filter_map(|(slot, user)| {
            let host = self.context.host(slot)?;
            Some(async move {
                let sweep = host.sweep(id, user.as_deref());
                match tokio::time::timeout(Duration::from_millis(SWEEP_MS), sweep).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(operation = %id, host = %slot, %error, "its job folder is left behind"),
                    Err(_) => tracing::warn!(operation = %id, host = %slot, "no answer; its job folder is left behind"),
                }
            })
        });
        futures::future::join_all(sweeps).await;
        for (_, host) in self.context.hosts() {
            host.close().await;
        }
    }

    /// I6: nothing runs and nothing is awaited.
    fn stuck(&self) -> String {
        let operation = self.driver.operation();
        let words: Vec<String> =
            operation.nodes.iter().map(|node| format!("{} {}", node.id, node.state.word())).take(50).collect();
        tracing::error!(operation = %operation.id, ?words, "an operation is stuck: a bug in Anneal");
        "it is stuck, which is a bug in Anneal: nothing runs and nothing is awaited; \
         please report it with the output of `anneal show`"
            .to_owned()
    }
}

fn input((node, attempt, outcome): (NodeId, u32, NodeOutcome)) -> Input {
    Input::Node { node, attempt, outcome }
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
