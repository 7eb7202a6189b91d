//! One operation in the hands of this process: the loop that learns, commits, and only then begins.
//!
//! Invariant: the state in memory never runs ahead of what others can see – what is shown comes from the store – and an
//! effect begins only after the commit that intends it was acknowledged (I1). Where a commit fails, the state in memory is
//! thrown away: what is in the store is what happened.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::call;
use super::clock::Clock;
use super::context::Context;
use super::engine::Shared;
use super::executor::Reporter;
use crate::error::{Error, Kind};
use crate::journal::{self, Summary};
use crate::limits::REPORTS;
use crate::operation::{Decided, Driver, Effect, Entry, Input, NodeId, NodeOutcome, Rest, Unknown, Verb};

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
    /// It let go of it: the operation can be resumed.
    LetGo,
    /// It had to stop, for this reason; the operation can be resumed.
    Broken(String),
}

/// What an operation in hand is told from outside.
pub(super) enum Message {
    /// A person asks for something.
    Verb { verb: Verb, by: String, why: String, reply: oneshot::Sender<Result<(), Error>> },
    /// Let go of it: jobs go on on their hosts.
    LetGo,
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
    /// The summary as it was last committed by this hand.
    summary: Option<Summary>,
    clock: Clock,
    wake_at_ms: Option<u64>,
}

/// Takes an operation out of those in hand when its task ends, however it ends.
pub(super) struct Held {
    pub shared: Arc<Shared>,
    pub id: Uuid,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.forget(self.id);
    }
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
        let clock = Clock::from(driver.operation().at_ms);
        Hand {
            clock,
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
            Some(message) => Ok(self.told(message).await?.unwrap_or(rest)),
            None => Ok(rest),
        }
    }

    /// Works until the operation rests.
    pub async fn work(mut self, mut rest: Rest, held: Held) {
        let standing = loop {
            match rest {
                Rest::Busy => {}
                // What was asked meanwhile is answered before we go.
                Rest::Waits | Rest::Ended => match self.inbox.try_recv() {
                    Ok(message) => match self.told(message).await {
                        Ok(Some(next)) => {
                            rest = next;
                            continue;
                        }
                        Ok(None) => break Standing::AtRest,
                        Err(error) => break Standing::Broken(error.to_string()),
                    },
                    Err(_) => break Standing::AtRest,
                },
                Rest::Stuck => break Standing::Broken(self.stuck()),
            }
            match self.wait().await {
                Ok(Some(next)) => rest = next,
                Ok(None) => break Standing::LetGo,
                Err(error) => break Standing::Broken(error.to_string()),
            }
        };
        self.inbox.close();
        self.executors.shutdown().await;
        // Only what is durable counts: after a commit that failed, the state in memory is thrown away. And asked of an
        // operation that had ended before, a verb changes nothing: then there is nothing to clean up.
        let ended = standing == Standing::AtRest && self.driver.operation().life.is_final();
        if ended && self.summary.is_some() {
            self.clean_up().await;
        }
        let seq = self.driver.operation().seq;
        drop(held);
        // With the sender gone watchers know that nothing more comes.
        self.seen.send_replace(Update { seq, rest: standing });
    }

    /// Waits for something to happen and takes the step that follows from it. `None` when the engine closes.
    async fn wait(&mut self) -> Result<Option<Rest>, Error> {
        let wake = self.wake_at_ms.map(|at| Duration::from_millis(at.saturating_sub(self.clock.now_ms())));
        let sleep = async {
            match wake {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(report) = self.reports.recv() => {
                let mut inputs = vec![input(report)];
                while let Ok(report) = self.reports.try_recv() {
                    inputs.push(input(report));
                }
                self.step(Vec::new(), inputs).await.map(Some)
            }
            Some(message) = self.inbox.recv() => self.told(message).await,
            () = sleep => self.step(Vec::new(), vec![Input::Go]).await.map(Some),
        }
    }

    /// Does what it is told. `None` when that is to let go.
    async fn told(&mut self, message: Message) -> Result<Option<Rest>, Error> {
        match message {
            Message::Verb { verb, by, why, reply } => self.verb(verb, &by, &why, reply).await.map(Some),
            Message::LetGo => Ok(None),
        }
    }

    async fn step(&mut self, before: Vec<Entry>, inputs: Vec<Input>) -> Result<Rest, Error> {
        let decided = self
            .driver
            .decide(inputs, self.clock.now_ms(), &mut fastrand::f64)
            .map_err(|illegal| Error::new(Kind::Internal, illegal.to_string()))?;
        self.carry_out(before, decided).await
    }

    async fn verb(
        &mut self,
        verb: Verb,
        by: &str,
        why: &str,
        reply: oneshot::Sender<Result<(), Error>>,
    ) -> Result<Rest, Error> {
        let decided = self
            .driver
            .verb(&verb, by, why, self.clock.now_ms(), &mut fastrand::f64)
            .map_err(|illegal| Error::new(Kind::Internal, illegal.to_string()))?;
        let (answer, rest) = match decided {
            Ok(decided) => match self.carry_out(Vec::new(), decided).await {
                Ok(rest) => (Ok(()), Ok(rest)),
                Err(error) => (Err(error.again()), Err(error)),
            },
            Err(refused) => {
                let refused = Error::new(Kind::Refused, refused.why).hint(refused.hint);
                (Err(refused), self.step(Vec::new(), vec![Input::Go]).await)
            }
        };
        // Whoever asked may have gone; the verb counts all the same.
        let _ = reply.send(answer);
        rest
    }

    /// Commits, shows, begins.
    async fn carry_out(&mut self, mut before: Vec<Entry>, decided: Decided) -> Result<Rest, Error> {
        before.extend(decided.entries);
        self.commit(&before).await?;
        let now = self.clock.now_ms();
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
        // A long list becomes several commits, each of which leaves the journal valid.
        for batch in journal::batches(id, entries, changed.then_some(&summary))? {
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
        let task = call::task(self.driver.operation(), &self.context, effect.clone(), now_ms);
        let reporter = Reporter { to: self.report_to.clone(), node: node.clone(), attempt };
        let work = self.shared.executor.perform(Arc::clone(&self.context), task, reporter.clone());
        let shared = Arc::clone(&self.shared);
        let redactor = self.context.redactor.clone();
        self.executors.spawn(async move {
            // The semaphore is never closed. A kill does not wait behind those that it is to end.
            let _permit = match effect {
                Effect::Kill { .. } => None,
                _ => shared.permits.acquire().await.ok(),
            };
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
                let _ = reporter.to.send((node, attempt, outcome)).await;
            }
        });
    }

    /// Nothing of an operation that has ended for good is left: its secrets (D9), what its executors keep for it.
    async fn clean_up(&self) {
        // Without secrets there is no file of them.
        if !self.context.vault.is_empty() {
            let (store, id) = (self.shared.store.clone(), self.context.id);
            match tokio::task::spawn_blocking(move || store.sealed().delete(&id)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::error!(operation = %id, %error, "its sealed secrets could not be deleted"),
                Err(error) => tracing::error!(operation = %id, %error, "its sealed secrets could not be deleted"),
            }
        }
        let users = self
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
        self.shared.executor.finish(Arc::clone(&self.context), users).await;
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

/// A panic says nothing of what the job does on its host.
fn after_panic(effect: &Effect, outcome: NodeOutcome) -> NodeOutcome {
    match effect {
        Effect::Do { .. } | Effect::Undo { .. } => NodeOutcome::Unknown(Unknown::Unreachable),
        Effect::Probe { .. } | Effect::Reattach { .. } | Effect::Kill { .. } => outcome,
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
