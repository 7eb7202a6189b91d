//! Releasing a store that was restored: what was begun after the backup is recorded, then operations may go on (I2).
//!
//! Invariant: the store is released last. Killed before that, it is held, and releasing it again finds what is not recorded yet.
//! What the job folders leave open is a person's to decide: such an operation is stopped with the reason, and goes on by a verb.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::clock::now_ms;
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
        for reconciled in &operations {
            let unknown = !reconciled.unreachable.is_empty() && !force;
            self.record(reconciled, unknown).await?;
        }
        let held = !force && operations.iter().any(|reconciled| !reconciled.unreachable.is_empty());
        if !held {
            let store = self.shared.store.clone();
            blocking(move || Ok(store.release()?)).await?;
        }
        Ok(Released { held, ..Released::of(operations, true) })
    }

    /// Records what was found of an operation; stops it where a person must decide, unless it is to be looked at `again`.
    async fn record(&self, reconciled: &Reconciled, again: bool) -> Result<(), Error> {
        let why_left = reconciled.why_left().filter(|_| !again);
        if reconciled.found.is_empty() && why_left.is_none() {
            return Ok(());
        }
        let Found { operation, .. } = self.read(reconciled.operation).await?;
        let mut record = Record { engine: self, operation, entries: Vec::new(), took: Vec::new() };
        let recorded = record.found(reconciled).and_then(|()| match &why_left {
            Some(why) => record.stop(why, !reconciled.undone.is_empty()),
            None => Ok(()),
        });
        let Record { operation, entries, took, .. } = record;
        let done = match recorded {
            Ok(()) if entries.is_empty() => return Ok(()),
            Ok(()) => {
                let summary = Summary::of(&operation);
                let beside = Beside { summary: Some(&summary), took: took.clone(), gave: Vec::new() };
                self.commit_all(operation.id, &entries, beside).await
            }
            Err(error) => Err(error),
        };
        if done.is_err() {
            let mut locks = self.shared.locks();
            let nodes = took.iter().filter_map(|(lock, record)| Some((lock.clone(), record.node.clone()?)));
            locks.give_back_nodes(operation.id, &nodes.collect::<Vec<_>>());
            if took.iter().any(|(_, record)| record.node.is_none()) {
                locks.give_back(operation.id);
            }
        }
        done
    }

    async fn commit_all(&self, id: Uuid, entries: &[Entry], beside: Beside<'_>) -> Result<(), Error> {
        for batch in journal::batches(id, entries, beside)? {
            self.shared.store.commit(batch).await?;
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

    /// The attempts that were found. An operation that had stopped was set going again after the backup.
    fn found(&mut self, reconciled: &Reconciled) -> Result<(), Error> {
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
                self.event(event)?;
            }
        }
        if !self.takes_its_locks()? || !matches!(self.operation.life, Life::Processing(_)) {
            return Ok(());
        }
        for found in &reconciled.found {
            let (node, attempt, incarnation) = (found.node.clone(), found.attempt, found.incarnation);
            self.take_locks_of(&node);
            self.event(Event::Found { node, attempt, incarnation })?;
        }
        Ok(())
    }

    /// Where it waited for its own locks at the time of the backup, it got them since.
    fn takes_its_locks(&mut self) -> Result<bool, Error> {
        let (Locks::Wanted(wanted), Some(Activity::Queued)) = (&self.operation.locks, self.operation.life.activity())
        else {
            return Ok(true);
        };
        let (id, wanted) = (self.operation.id, wanted.clone());
        if self.engine.shared.locks().take(id, &wanted).is_err() {
            return Ok(false);
        }
        self.took.extend(wanted.into_iter().map(|lock| (lock, LockRecord::of_operation(id))));
        self.event(Event::Locked)?;
        Ok(true)
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
