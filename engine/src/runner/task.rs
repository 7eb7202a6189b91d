//! One operation in the hands of this process: the loop that learns, commits, and only then begins.
//!
//! Invariant: the state in memory never runs ahead of what others can see – what is shown comes from the store – and an
//! effect begins only after the commit that intends it was acknowledged (I1). Where a commit fails, the state in memory is
//! thrown away: what is in the store is what happened.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::clock::Clock;
use super::context::Context;
use super::engine::Shared;
use super::executor::Report;
use super::locks::OfOperation;
use super::standing::{Standing, Update, Waits};
use crate::error::{Error, Kind};
use crate::journal::{self, Beside, LockRecord, Summary};
use crate::limits::REPORTS;
use crate::operation::{Activity, Decided, Driver, Entry, Event, Input, Locks, NodeId, NodeOutcome, Rest, Verb, World};
use crate::records;

/// What an operation in hand is told from outside.
pub(super) enum Message {
    /// A person asks for something.
    Verb { verb: Verb, by: String, why: String, reply: oneshot::Sender<Result<(), Error>> },
    /// Let go of it: jobs go on on their hosts.
    LetGo,
}

/// One operation in hand.
pub(super) struct Hand {
    pub(super) shared: Arc<Shared>,
    pub(super) driver: Driver,
    pub(super) context: Arc<Context>,
    inbox: mpsc::Receiver<Box<Message>>,
    reports: mpsc::Receiver<Report>,
    pub(super) report_to: mpsc::Sender<Report>,
    seen: watch::Sender<Update>,
    pub(super) executors: JoinSet<()>,
    /// Output of attempts that put out a secret, on its way off their hosts.
    pub(super) forgetting: JoinSet<()>,
    /// The summary as it is in the store.
    summary: Option<Summary>,
    /// Whether this hand committed anything.
    wrote: bool,
    clock: Clock,
    wake_at_ms: Option<u64>,
    /// Locks that are recorded for it and that it does not hold: given back with its next commit.
    left_over: Vec<(String, NodeId)>,
    /// Locks of others that it waits for.
    waits: Vec<Waits>,
    /// Says when locks were given back.
    freed: watch::Receiver<u64>,
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

/// How an operation is taken in hand.
#[derive(Debug, Default)]
pub(super) struct Begin {
    /// Entries that are in the state already and not yet durable (`Created`).
    pub before: Vec<Entry>,
    /// Its own locks were taken for it.
    pub locked: bool,
    /// What was found on its hosts that its journal does not know.
    pub found: Vec<Input>,
}

impl Hand {
    pub fn new(
        shared: Arc<Shared>,
        driver: Driver,
        context: Arc<Context>,
        inbox: mpsc::Receiver<Box<Message>>,
        seen: watch::Sender<Update>,
        summary: Option<Summary>,
    ) -> Hand {
        let (report_to, reports) = mpsc::channel(REPORTS);
        let clock = Clock::from(driver.operation().at_ms);
        let freed = shared.freed.subscribe();
        Hand {
            freed,
            left_over: Vec::new(),
            waits: Vec::new(),
            clock,
            shared,
            driver,
            context,
            inbox,
            reports,
            report_to,
            seen,
            executors: JoinSet::new(),
            forgetting: JoinSet::new(),
            summary,
            wrote: false,
            wake_at_ms: None,
        }
    }

    /// The first step: what it is taken in hand for, and what follows. `before` may come with its locks taken already. A verb
    /// comes first, so that nothing is started by whoever asks for a pause or an end.
    pub async fn begin(&mut self, begin: Begin, verb: Option<Box<Message>>) -> Result<Rest, Error> {
        // What a write that was kept in part left over.
        let left_over = self.shared.locks().nodes_of(self.context.id);
        self.left_over = self.driver.left_over(left_over);
        if let Some(message) = verb {
            return match self.told(message).await? {
                Some(rest) => Ok(rest),
                None => self.step(begin.before, vec![Input::Go]).await,
            };
        }
        let input = if begin.locked { Input::Locked } else { Input::Go };
        let inputs = begin.found.into_iter().chain([input]).collect();
        self.step(begin.before, inputs).await
    }

    /// Works until the operation rests.
    pub async fn work(mut self: Box<Self>, mut rest: Rest, held: Held) {
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
        self.end_forgetting().await;
        // Only what is durable counts: after a commit that failed, the state in memory is thrown away. And asked of an
        // operation that had ended before, a verb changes nothing: then there is nothing to clean up.
        let ended = standing == Standing::AtRest && self.driver.operation().life.is_final();
        if ended && self.wrote {
            Box::pin(self.clean_up(self.clock.now_ms())).await;
        }
        let seq = self.driver.operation().seq;
        drop(held);
        // With the sender gone watchers know that nothing more comes.
        self.seen.send_replace(Update { seq, rest: standing, waits: Vec::new() });
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
                let mut inputs = vec![input(*report)];
                while let Ok(report) = self.reports.try_recv() {
                    inputs.push(input(*report));
                }
                self.step(Vec::new(), inputs).await.map(Some)
            }
            Some(message) = self.inbox.recv() => self.told(message).await,
            () = sleep => self.step(Vec::new(), vec![Input::Go]).await.map(Some),
            // The sender lives as long as the engine.
            Ok(()) = self.freed.changed(), if !self.waits.is_empty() => {
                let input = self.ready();
                self.step(Vec::new(), vec![input]).await.map(Some)
            }
        }
    }

    /// Does what it is told. `None` when that is to let go.
    async fn told(&mut self, message: Box<Message>) -> Result<Option<Rest>, Error> {
        match *message {
            Message::Verb { verb, by, why, reply } => Box::pin(self.verb(verb, &by, &why, reply)).await.map(Some),
            Message::LetGo => Ok(None),
        }
    }

    /// In a box: thousands of operations wait, and what only a step needs is not kept for each of them meanwhile.
    fn step(&mut self, before: Vec<Entry>, inputs: Vec<Input>) -> BoxFuture<'_, Result<Rest, Error>> {
        Box::pin(async move {
            let decided = {
                let mut locks = self.shared.locks();
                self.freed.mark_unchanged(); // Whatever is given back from here on is heard of.
                let places = &mut OfOperation { table: &mut locks, operation: self.context.id };
                let (now_ms, records) = (self.clock.now_ms(), &self.shared.store);
                self.driver.decide(inputs, &mut World { now_ms, jitter: &mut fastrand::f64, places, records })
            };
            let decided = decided.map_err(|illegal| Error::new(Kind::Internal, illegal.to_string()))?;
            self.carry_out(before, decided).await
        })
    }

    async fn verb(
        &mut self,
        verb: Verb,
        by: &str,
        why: &str,
        reply: oneshot::Sender<Result<(), Error>>,
    ) -> Result<Rest, Error> {
        let decided = {
            let mut locks = self.shared.locks();
            self.freed.mark_unchanged(); // Whatever is given back from here on is heard of.
            let places = &mut OfOperation { table: &mut locks, operation: self.context.id };
            let (now_ms, records) = (self.clock.now_ms(), &self.shared.store);
            self.driver.verb(&verb, by, why, &mut World { now_ms, jitter: &mut fastrand::f64, places, records })
        };
        let decided = decided.map_err(|illegal| Error::new(Kind::Internal, illegal.to_string()))?;
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

    /// Takes the operation's own locks, if it waits for them and they are free now.
    fn takes_its_locks(&mut self) -> bool {
        match (&self.driver.operation().locks, self.driver.operation().life.activity()) {
            (Locks::Wanted(wanted), Some(Activity::Queued)) => {
                self.shared.locks().take(self.context.id, wanted).is_ok()
            }
            _ => false,
        }
    }

    /// What follows from locks that were given back. One that waited for its own may have been overtaken: what records said when it
    /// was created, somebody may have changed since.
    fn ready(&mut self) -> Input {
        if !self.takes_its_locks() {
            return Input::Go;
        }
        match records::check(&self.shared.store, &self.driver.operation().plan) {
            Ok(()) => Input::Locked,
            Err(error) => {
                self.shared.locks().give_back(self.context.id);
                Input::Outdated { why: error.message }
            }
        }
    }

    /// What it waits for of others now.
    fn waits(&self, blocked: &[(NodeId, String)]) -> Vec<Waits> {
        let mut table = self.shared.locks();
        let operation = self.driver.operation();
        if let (Locks::Wanted(wanted), Some(Activity::Queued)) = (&operation.locks, operation.life.activity()) {
            table.wait(operation.id, wanted);
            return match table.take(operation.id, wanted) {
                // They became free this moment: whoever frees locks says so, and so do we.
                Ok(()) => {
                    table.give_back(operation.id);
                    self.shared.freed.send_modify(|count| *count += 1);
                    vec![Waits { node: None, lock: wanted.join(", "), held_by: None }]
                }
                Err(held) => vec![Waits { node: None, lock: held.lock, held_by: Some(held.operation) }],
            };
        }
        table.waits_no_more(operation.id);
        let waits = blocked.iter().map(|(node, lock)| Waits {
            node: Some(node.clone()),
            lock: lock.clone(),
            held_by: table.holder(lock).map(|(operation, _)| operation),
        });
        waits.collect()
    }

    /// Commits, shows, begins.
    async fn carry_out(&mut self, mut before: Vec<Entry>, decided: Decided) -> Result<Rest, Error> {
        before.extend(decided.entries);
        let id = self.context.id;
        let took = &decided.took;
        let mut gave = decided.gave;
        // Some of it may have been taken again meanwhile.
        gave.extend(self.driver.left_over(std::mem::take(&mut self.left_over)));
        if let Err(error) = self.commit(&before, took, &gave).await {
            // What was not recorded is not held. What is recorded stays held: its node may be at work.
            self.shared.locks().give_back_nodes(id, &decided.took);
            return Err(error);
        }
        let ended = self.driver.operation().life.is_final();
        if !gave.is_empty() || ended {
            let mut locks = self.shared.locks();
            locks.give_back_nodes(id, &gave);
            if ended {
                locks.give_back(id);
            }
            drop(locks);
            self.shared.freed.send_modify(|count| *count += 1);
        }
        let waits = self.waits(&decided.blocked);
        if waits != self.waits {
            self.waits = waits;
            self.seen.send_modify(|update| update.waits.clone_from(&self.waits));
        }
        let now = self.clock.now_ms();
        self.forget_output(&before, now);
        for effect in decided.effects {
            self.spawn(effect, now);
        }
        while self.executors.try_join_next().is_some() {}
        self.wake_at_ms = decided.wake_at_ms;
        Ok(decided.rest)
    }

    async fn commit(
        &mut self,
        entries: &[Entry],
        took: &[(String, NodeId)],
        gave: &[(String, NodeId)],
    ) -> Result<(), Error> {
        let operation = self.driver.operation();
        let summary = Summary::of(operation);
        let changed = self.summary.as_ref() != Some(&summary);
        let (id, seq) = (operation.id, operation.seq);
        let record =
            |(lock, node): &(String, NodeId)| (lock.clone(), LockRecord { operation: id, node: Some(node.clone()) });
        let mut beside = Beside {
            summary: changed.then_some(&summary),
            took: took.iter().map(record).collect(),
            gave: gave.iter().map(record).collect(),
        };
        let own = self.shared.locks().own(id);
        let own = own.into_iter().map(|lock| (lock, LockRecord::of_operation(id)));
        if operation.life.is_final() {
            beside.gave.extend(own);
        } else if entries.iter().any(|entry| entry.event == Event::Locked) {
            beside.took.extend(own);
        }
        let recorded = entries.iter().any(|entry| !entry.event.changes().is_empty());
        let created = entries.first().is_some_and(|entry| entry.seq == 1);
        // Between looking at records and the commit nobody changes one.
        let _turn = match recorded || created && !records::Wants::of(&operation.plan)?.is_empty() {
            true => Some(self.shared.recording.lock().await),
            false => None,
        };
        if created {
            records::check(&self.shared.store, &operation.plan)?;
        }
        // A long list becomes several commits, each of which leaves the journal valid.
        for commit in journal::commits(id, entries, beside)? {
            self.shared.store.commit(commit.ready(&self.shared.store)?).await?;
        }
        if changed {
            self.summary = Some(summary);
        }
        if !entries.is_empty() {
            self.wrote = true;
            self.seen.send_modify(|update| {
                update.seq = seq;
                update.rest = Standing::Busy;
            });
        }
        Ok(())
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
