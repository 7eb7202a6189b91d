//! Releasing a store that was restored: what was begun after the backup is recorded, then operations may go on (I2).
//!
//! Invariant: the store is released last. Killed before that, it is held, and releasing it again finds what is not recorded yet.
//! What the job folders leave open is a person's to decide: such an operation is stopped with the reason, and goes on by a verb.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::clock::now_ms;
use super::create::lock_words;
use super::engine::{Engine, Found, blocking};
use super::locks::OfOperation;
use super::reconcile::Reconciled;
use crate::error::{Error, Kind};
use crate::journal::{self, Beside, LockRecord, Summary};
use crate::operation::{Activity, CancelMode, CoreScope, Entry, Event, Life, Locks, NodeId, Operation, Places, Verb};

const BY: &str = "engine";

/// What a release came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Released {
    /// Whether the store was held until now.
    pub was_held: bool,
    /// Whether it is held still: some host could not be asked.
    pub held: bool,
    /// The open operations, and what was found of them.
    pub operations: Vec<Reconciled>,
    /// Those that do not go on by themselves.
    pub left: Vec<LeftAlone>,
}

/// An operation that a person must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftAlone {
    /// The operation.
    pub operation: Uuid,
    /// Why.
    pub why: String,
}

impl Reconciled {
    /// Why it does not go on by itself, if so.
    pub fn why_left(&self) -> Option<String> {
        let names = |all: &[String]| all.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let mut why = Vec::new();
        if let Some((slot, said)) = self.unreachable.first_key_value() {
            let more = self.unreachable.len() - 1;
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            why.push(format!("`{slot}` could not be asked what was begun there{more}: {said}"));
        }
        if !self.undone.is_empty() {
            why.push("it was being rolled back after the backup".to_owned());
        }
        if self.ended {
            why.push(format!("its job folder is gone on {}: it has most likely ended since", names(&self.no_trace)));
        }
        if !self.strange.is_empty() {
            why.push(format!("its journal has no place for jobs that were begun: {}", names(&self.strange)));
        }
        (!why.is_empty()).then(|| why.join("; "))
    }
}

impl Released {
    /// What was found, with nothing done yet.
    pub fn of(operations: Vec<Reconciled>, held: bool) -> Released {
        let left = |one: &Reconciled| Some(LeftAlone { operation: one.operation, why: one.why_left()? });
        Released { was_held: held, held, left: operations.iter().filter_map(left).collect(), operations }
    }
}

impl Engine {
    /// Takes into the journals what was begun on hosts since the backup, and releases the store. Nothing goes on by that alone.
    ///
    /// Where a host could not be asked the store stays held, unless by `force`: then operations on it are stopped.
    pub async fn release(&self, force: bool) -> Result<Released, Error> {
        let _taking = self.shared.taking.lock().await;
        if self.shared.store.held().is_none() {
            return Ok(Released::of(Vec::new(), false));
        }
        let operations = self.reconcile().await?;
        let mut unrecorded = Vec::new();
        for reconciled in &operations {
            let again = !reconciled.unreachable.is_empty() && !force;
            match self.record(reconciled, again).await {
                Ok(why) => unrecorded.extend(why.map(|why| (reconciled.operation, why))),
                Err(error) if error.kind == Kind::Store => return Err(error),
                // I11: the others are recorded all the same.
                Err(error) => unrecorded.push((reconciled.operation, error.to_string())),
            }
        }
        let held = !force && operations.iter().any(|reconciled| !reconciled.unreachable.is_empty());
        if !held {
            let store = self.shared.store.clone();
            blocking(move || Ok(store.release()?)).await?;
        }
        let mut released = Released { held, ..Released::of(operations, true) };
        let left: BTreeSet<Uuid> = released.left.iter().map(|one| one.operation).collect();
        let more = unrecorded.into_iter().filter(|(id, _)| !left.contains(id));
        released.left.extend(more.map(|(operation, why)| LeftAlone { operation, why }));
        Ok(released)
    }

    /// Records what was found of an operation; stops it where a person must decide, unless it is to be looked at `again`. Gives
    /// why something could not be recorded.
    async fn record(&self, reconciled: &Reconciled, again: bool) -> Result<Option<String>, Error> {
        let why_left = reconciled.why_left().filter(|_| !again);
        if reconciled.found.is_empty() && why_left.is_none() {
            return Ok(None);
        }
        let mut record = self.begin_record(reconciled.operation).await?;
        let why_not = record.found(reconciled).err();
        if why_not.is_some() {
            record.give_back();
            record = self.begin_record(reconciled.operation).await?;
        }
        if let Some(why) = why_not.as_ref().or(why_left.as_ref()) {
            record.stop(why, !reconciled.undone.is_empty())?;
        }
        if !record.entries.is_empty()
            && let Err(error) = self.commit_record(&record).await
        {
            record.give_back();
            return Err(error);
        }
        Ok(why_not)
    }

    async fn begin_record(&self, id: Uuid) -> Result<Record<'_>, Error> {
        let Found { operation, .. } = self.read(id).await?;
        Ok(Record { engine: self, operation, entries: Vec::new(), took: Vec::new() })
    }

    async fn commit_record(&self, record: &Record<'_>) -> Result<(), Error> {
        let summary = Summary::of(&record.operation);
        let beside = Beside { summary: Some(&summary), took: record.took.clone(), gave: Vec::new() };
        for commit in journal::commits(record.operation.id, &record.entries, beside)? {
            self.shared.store.commit(commit.ready(&self.shared.store)?).await?;
        }
        Ok(())
    }
}

/// What is about to be recorded of an operation.
struct Record<'a> {
    engine: &'a Engine,
    operation: Operation,
    entries: Vec<Entry>,
    took: Vec<(String, LockRecord)>,
}

impl Record<'_> {
    fn event(&mut self, event: Event) -> Result<(), Error> {
        let entry = Entry { seq: self.operation.seq + 1, at_ms: now_ms().max(self.operation.at_ms), event };
        self.operation.apply(&entry).map_err(|illegal| Error::new(Kind::Internal, illegal.to_string()))?;
        self.entries.push(entry);
        Ok(())
    }

    /// What is not recorded is not held.
    fn give_back(&self) {
        let mut locks = self.engine.shared.locks();
        let nodes = self.took.iter().filter_map(|(lock, record)| Some((lock.clone(), record.node.clone()?)));
        locks.give_back_nodes(self.operation.id, &nodes.collect::<Vec<_>>());
        if self.took.iter().any(|(_, record)| record.node.is_none()) {
            locks.give_back(self.operation.id);
        }
    }

    /// The attempts that were found. An operation that had stopped was set going again after the backup. Else says why not.
    fn found(&mut self, reconciled: &Reconciled) -> Result<(), String> {
        if reconciled.found.is_empty() {
            return Ok(());
        }
        if matches!(self.operation.life, Life::FailedTemp { .. }) {
            let why = "it went on after the backup";
            let events = self.operation.verb(&Verb::Retry, BY, why).unwrap_or_else(|_| {
                // Of some node nobody knew how it ended; a person said so after the backup.
                vec![Event::Retried { by: BY.to_owned(), why: why.to_owned() }]
            });
            for event in events {
                self.event(event).map_err(|error| error.to_string())?;
            }
        }
        self.takes_its_locks()?;
        for found in &reconciled.found {
            let (node, attempt, incarnation) = (found.node.clone(), found.attempt, found.incarnation);
            self.take_locks_of(&node);
            self.event(Event::Found { node, attempt, incarnation }).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Where it waited for its own locks at the time of the backup, it got them since.
    fn takes_its_locks(&mut self) -> Result<(), String> {
        let (Locks::Wanted(wanted), Some(Activity::Queued)) = (&self.operation.locks, self.operation.life.activity())
        else {
            return Ok(());
        };
        let (id, wanted) = (self.operation.id, wanted.clone());
        self.engine.shared.locks().take(id, &wanted).map_err(|held| {
            format!(
                "it was begun after the backup, when operation {} had given up {}",
                held.operation,
                lock_words(&held.lock)
            )
        })?;
        self.took.extend(wanted.into_iter().map(|lock| (lock, LockRecord::of_operation(id))));
        self.event(Event::Locked).map_err(|error| error.to_string())
    }

    /// The locks of a node that is at work, as far as nobody else holds them by now.
    fn take_locks_of(&mut self, id: &NodeId) {
        let Some(node) = self.operation.node(id) else { return };
        let scope = CoreScope { operation: &self.operation, node: Some(node) };
        let names = self.operation.step_of(node).locks.iter();
        let names: Vec<String> = names.filter_map(|lock| Some(dsl::eval::render(lock, &scope).ok()?.text)).collect();
        let mut table = self.engine.shared.locks();
        let mut places = OfOperation { table: &mut table, operation: self.operation.id };
        if places.take(id, &names, &[]).is_ok() {
            let record = LockRecord { operation: self.operation.id, node: Some(id.clone()) };
            self.took.extend(names.into_iter().map(|lock| (lock, record.clone())));
        }
    }

    /// Stops it, where it would go on by itself: a rollback can follow a cancel only, all else can follow a pause.
    fn stop(&mut self, why: &str, rolls_back: bool) -> Result<(), Error> {
        let (by, why) = (BY.to_owned(), why.to_owned());
        let cancels = rolls_back && matches!(self.operation.life, Life::Processing(_));
        let event = match self.operation.life.activity() {
            None | Some(Activity::Cancelling { .. }) => return Ok(()),
            Some(Activity::Queued) => Event::CancelAsked { mode: CancelMode::Graceful, by, why },
            Some(_) if cancels => Event::CancelAsked { mode: CancelMode::Graceful, by, why },
            Some(Activity::Active) => Event::PauseAsked { by, why },
            Some(Activity::Pausing { .. } | Activity::Paused { .. }) => return Ok(()),
        };
        self.event(event)
    }
}
