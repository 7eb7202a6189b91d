//! Where an operation lies in the store: its journal, its summary, its plan.
//!
//! Keys: `j/` + operation (16 bytes) + sequence (8 bytes, big-endian) holds one [`Entry`] as JSON; `o/` + operation holds
//! its [`Summary`] as JSON, rewritten in the commit of the event that changes it (D10). Operation ids are UUIDs of version
//! 7, so key order is order of creation.

use std::sync::Arc;

use dsl::plan::Plan;
use serde::{Deserialize, Serialize};
use store::{Batch, Digest, Store};
use uuid::Uuid;

use crate::error::{Error, Kind};
use crate::operation::{Entry, Event, Operation, replay};

/// What lists show of an operation without reading its journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The operation.
    pub id: Uuid,
    /// Name of its workflow.
    pub workflow: String,
    /// State by ETSI SOL003, such as `PROCESSING`.
    pub state: String,
    /// What it waits for, where it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Whether it may go on by itself or by a verb.
    pub open: bool,
    /// UTC milliseconds.
    pub created_at_ms: u64,
    /// Who asked for it.
    pub by: String,
}

impl Summary {
    /// The summary of an operation as it stands.
    pub fn of(operation: &Operation) -> Summary {
        use crate::operation::Activity;
        let waits_for = match operation.life.activity() {
            Some(Activity::Paused { why, .. } | Activity::Pausing { why, .. }) => Some(why.clone()),
            Some(Activity::Active | Activity::Cancelling { .. }) | None => None,
        };
        Summary {
            id: operation.id,
            workflow: operation.plan.workflow.clone(),
            state: operation.life.etsi(operation.begun()).to_string(),
            waits_for,
            open: !operation.life.is_final(),
            created_at_ms: operation.created_at_ms,
            by: operation.by.clone(),
        }
    }
}

impl Summary {
    /// The summary of an operation that cannot be read.
    pub fn quarantined(id: Uuid, error: &Error) -> Summary {
        Summary {
            id,
            workflow: "?".to_owned(),
            state: "QUARANTINED".to_owned(),
            waits_for: Some(error.to_string()),
            open: false,
            created_at_ms: 0,
            by: "?".to_owned(),
        }
    }
}

/// Entries of one page of a scan.
const PAGE: usize = store::limits::SCAN_ENTRIES as usize;

const OPERATIONS: &[u8] = b"o/";

fn journal_prefix(id: Uuid) -> Vec<u8> {
    [b"j/".as_slice(), id.as_bytes()].concat()
}

fn entry_key(id: Uuid, seq: u64) -> Vec<u8> {
    [journal_prefix(id).as_slice(), &seq.to_be_bytes()].concat()
}

fn summary_key(id: Uuid) -> Vec<u8> {
    [OPERATIONS, id.as_bytes()].concat()
}

/// The batch that makes `entries` durable, with the summary where it changed.
pub fn batch(id: Uuid, entries: &[Entry], summary: Option<&Summary>) -> Result<Batch, Error> {
    let mut batch = Batch::new(Some(*id.as_bytes()));
    for entry in entries {
        batch = batch.expect_absent(entry_key(id, entry.seq)).put(entry_key(id, entry.seq), encode(entry)?);
    }
    if let Some(summary) = summary {
        batch = batch.put(summary_key(id), encode(summary)?);
    }
    Ok(batch)
}

/// Entries of a journal after `seq`, at most `limit`.
pub fn entries(store: &Store, id: Uuid, after: u64, limit: usize) -> Result<Vec<Entry>, Error> {
    let rows = store.scan(&journal_prefix(id), Some(&entry_key(id, after)), limit)?;
    rows.iter().map(|(_, row)| decode(id, "an entry of its journal", &row.value)).collect()
}

/// The whole journal of an operation.
pub fn all_entries(store: &Store, id: Uuid) -> Result<Vec<Entry>, Error> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let page = entries(store, id, all.last().map_or(0, |entry| entry.seq), PAGE)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// The plan with that digest.
pub fn plan(store: &Store, digest: &str) -> Result<Plan, Error> {
    let digest: Digest = digest
        .parse()
        .map_err(|_| Error::new(Kind::Quarantined, format!("`{digest}` is no digest of a plan")))?;
    let bytes = store.blobs().get(&digest).map_err(|error| {
        Error::new(Kind::Quarantined, format!("its plan cannot be read: {error}"))
            .hint("restore the blob from a backup of the data folder")
    })?;
    Plan::from_json(&bytes).map_err(|error| match error {
        dsl::PlanError::NeedsEngine { .. } => {
            Error::new(Kind::NeedsEngine, format!("its plan: {error}")).hint("use that version of Anneal, or a later one")
        }
        _ => Error::new(Kind::Quarantined, format!("its plan: {error}"))
            .hint("restore the blob from a backup of the data folder"),
    })
}

/// An operation as its journal tells of it.
pub fn load(store: &Store, id: Uuid) -> Result<Operation, Error> {
    let damaged = store.damaged().iter().find(|damage| damage.operation == Some(*id.as_bytes()));
    if let Some(damage) = damaged {
        return Err(Error::new(Kind::Quarantined, format!("its journal is damaged: {damage}"))
            .hint("the other operations are not touched by this; restore a backup of the data folder"));
    }
    let entries = all_entries(store, id)?;
    let Some(Entry { event: Event::Created { plan: digest, .. }, .. }) = entries.first() else {
        return Err(if entries.is_empty() {
            Error::new(Kind::NotFound, format!("there is no operation `{id}`")).hint("`anneal ops` lists them")
        } else {
            Error::new(Kind::Quarantined, "its journal does not begin with `created`")
        });
    };
    let plan = plan(store, digest)?;
    replay(Arc::new(plan), &entries).map_err(|error| {
        Error::new(Kind::Quarantined, error.to_string())
            .hint("the other operations are not touched by this; restore a backup of the data folder")
    })
}

/// The summaries of all operations, oldest first.
pub fn summaries(store: &Store) -> Result<Vec<Summary>, Error> {
    let mut all = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(OPERATIONS, after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            quarantine(store, &mut all);
            return Ok(all);
        };
        after = Some(last.clone());
        for (key, row) in &page {
            let id = key.strip_prefix(OPERATIONS).and_then(|id| Uuid::from_slice(id).ok()).unwrap_or_default();
            // I11: one that cannot be read is shown as such, and the others as they are.
            all.push(decode(id, "its summary", &row.value).unwrap_or_else(|error: Error| Summary::quarantined(id, &error)));
        }
    }
}

/// Whether an operation may still go on. One that cannot be read may: nothing of it is thrown away.
pub fn is_open(store: &Store, id: Uuid) -> Result<bool, Error> {
    let damaged = store.damaged().iter().any(|damage| damage.operation.is_none_or(|of| of == *id.as_bytes()));
    match store.get(&summary_key(id))? {
        None => Ok(damaged),
        Some(row) => Ok(decode::<Summary>(id, "its summary", &row.value).map_or(true, |summary| summary.open)),
    }
}

/// Marks the operations whose journal is damaged; one whose summary was lost with it is added (I11).
fn quarantine(store: &Store, all: &mut Vec<Summary>) {
    for id in store.damaged().iter().filter_map(|damage| damage.operation).map(Uuid::from_bytes) {
        let error = Error::new(Kind::Quarantined, "its journal is damaged");
        let quarantined = Summary::quarantined(id, &error);
        match all.binary_search_by_key(&id, |summary| summary.id) {
            Ok(at) => {
                let Summary { workflow, created_at_ms, by, .. } = all[at].clone();
                all[at] = Summary { workflow, created_at_ms, by, ..quarantined };
            }
            Err(at) => all.insert(at, quarantined),
        }
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::new(Kind::Internal, "a record cannot be written").source(error))
}

fn decode<'a, T: Deserialize<'a>>(id: Uuid, what: &str, bytes: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::new(Kind::Quarantined, format!("operation {id}: {what} cannot be read: {error}"))
            .hint("it may have been written by a newer Anneal: use that version, or restore a backup")
    })
}
