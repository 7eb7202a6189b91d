//! Where an operation lies in the store: its journal, its summary, its plan.
//!
//! Keys: `j/` + operation (16 bytes) + sequence of the first (8 bytes, big-endian) holds the [`Entry`]s of one commit as a
//! JSON list, or one of them as itself; `o/` + operation holds its [`Summary`] as JSON, rewritten in the commit of the event
//! that changes it (D10). Operation ids are UUIDs of version 7, so key order is order of creation. `l/` + the name of a lock
//! holds its [`LockRecord`]: `l/o/` those of operations, `l/n/` those of nodes. `p/` + operation marks one that was pruned and of
//! which something may be left. `r/` is what [`crate::records`] says of instances: it changes with the entries that say so.
//!
//! What one commit says is one row: a key costs the log and the index more than an entry does. A long or large commit is
//! several rows ([`ROW_ENTRIES`], [`ROW_BYTES`]).

use dsl::plan::Plan;
use serde::{Deserialize, Serialize};
use store::{Batch, Digest, Store};
use uuid::Uuid;

use crate::error::{Error, Kind};
use crate::operation::{Change, Entry, Etsi, Event, JOURNAL_FORMAT, Locks, NodeId, Operation, replay, written};
use crate::plans::Plans;
use crate::records;

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
            Some(Activity::Queued) => Some(match &operation.locks {
                Locks::Wanted(locks) | Locks::Held(locks) => format!("waits for {}", locks.join(", ")),
            }),
            Some(Activity::Active) => operation.open_gates().next().map(|gate| format!("`{gate}` awaits approval")),
            Some(Activity::Cancelling { .. }) | None => None,
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
    /// Whether it goes on when a process takes it in hand, without anybody asking for more.
    pub fn goes_on_by_itself(&self) -> bool {
        self.open && self.state != Etsi::FailedTemp.to_string()
    }

    /// Whether its journal is damaged.
    pub fn is_quarantined(&self) -> bool {
        self.state == QUARANTINED
    }

    /// The summary of an operation that cannot be read.
    pub fn quarantined(id: Uuid, error: &Error) -> Summary {
        Summary {
            id,
            workflow: "?".to_owned(),
            state: QUARANTINED.to_owned(),
            waits_for: Some(error.to_string()),
            open: false,
            created_at_ms: 0,
            by: "?".to_owned(),
        }
    }
}

/// The state of an operation whose journal is damaged (I11).
const QUARANTINED: &str = "QUARANTINED";

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockRecord {
    /// The operation.
    pub operation: Uuid,
    /// The node of it, for a lock of a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
}

/// What changes together with entries.
#[derive(Debug, Default)]
pub struct Beside<'a> {
    /// The summary, where it changed.
    pub summary: Option<&'a Summary>,
    /// Locks that were taken.
    pub took: Vec<(String, LockRecord)>,
    /// Locks that were given back.
    pub gave: Vec<(String, LockRecord)>,
}

/// Bytes and entries of one commit, well below the store's own limits.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
const BATCH_ENTRIES: usize = 1_024;
/// Entries and bytes of one row; an entry that is larger has a row of its own.
const ROW_ENTRIES: usize = 64;
const ROW_BYTES: usize = 64 * 1024;
/// Entries of one page of a scan.
const PAGE: usize = store::limits::SCAN_ENTRIES as usize;

const OPERATIONS: &[u8] = b"o/";
const PRUNED: &[u8] = b"p/";
pub(crate) const JOURNAL: &[u8] = b"j/";
const LOCKS: &[u8] = b"l/";

pub(crate) fn lock_key(lock: &str, record: &LockRecord) -> Vec<u8> {
    let kind = if record.node.is_some() { b"n/" } else { b"o/" };
    [LOCKS, kind, lock.as_bytes()].concat()
}

/// All locks that are held, by name.
pub fn locks(store: &Store) -> Result<Vec<(String, LockRecord)>, Error> {
    let mut all = Vec::new();
    for found in store.walk(LOCKS) {
        let (key, row) = found?;
        let name = key.get(LOCKS.len() + 2..).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
        let record: LockRecord = decode(Uuid::nil(), "the record of a lock", &row.value)?;
        all.push((name.to_owned(), record));
    }
    Ok(all)
}

pub(crate) fn journal_prefix(id: Uuid) -> Vec<u8> {
    [JOURNAL, id.as_bytes()].concat()
}

fn entry_key(id: Uuid, seq: u64) -> Vec<u8> {
    [journal_prefix(id).as_slice(), &seq.to_be_bytes()].concat()
}

pub(crate) fn summary_key(id: Uuid) -> Vec<u8> {
    [OPERATIONS, id.as_bytes()].concat()
}

pub(crate) fn pruned_key(id: Uuid) -> Vec<u8> {
    [PRUNED, id.as_bytes()].concat()
}

/// Operations that were pruned and of which rows may be left, or damage in the log.
pub(crate) fn half_pruned(store: &Store) -> Result<Vec<Uuid>, Error> {
    let mut all = Vec::new();
    for found in store.walk(PRUNED) {
        let (key, _) = found?;
        all.extend(key.strip_prefix(PRUNED).and_then(|id| Uuid::from_slice(id).ok()));
    }
    Ok(all)
}

fn is_pruned(store: &Store, id: Uuid) -> Result<bool, Error> {
    Ok(store.get(&pruned_key(id))?.is_some())
}

/// A part of what is to be committed, which leaves the journal valid.
#[derive(Debug)]
pub struct Commit<'a> {
    batch: Batch,
    /// What its entries make of records; the batch does it too.
    changes: Vec<&'a Change>,
}

impl Commit<'_> {
    /// The batch, with all that must still be so for it to be written: of each record, what was there when its change was decided.
    pub fn ready(self, store: &Store) -> Result<Batch, Error> {
        records::expect(store, self.batch, &self.changes)
    }
}

/// The commits that make `entries` durable, with what changes beside them: one, unless they are many or large. What an entry makes
/// of records is in the commit that has the entry (D10).
///
/// The summary goes with the first of them where that creates the operation, so that no journal is without one, and else with
/// the last. Locks are taken with the first and given back with the last: a list that is kept in part holds too much rather
/// than too little.
pub fn commits<'a>(id: Uuid, entries: &'a [Entry], beside: Beside<'_>) -> Result<Vec<Commit<'a>>, Error> {
    let new = || Commit { batch: Batch::new(Some(*id.as_bytes())), changes: Vec::new() };
    let (mut done, mut commit, mut bytes, mut count) = (Vec::new(), new(), 0, 0);
    for (lock, record) in &beside.took {
        commit.put(lock_key(lock, record), encode(record)?);
    }
    let mut rest = entries;
    while let Some(first) = rest.first() {
        let (row, size) = row(rest)?;
        // What a row makes of records is in it too, so it is never larger than that.
        let row_bytes =
            if rest[..size].iter().any(|entry| !entry.event.changes().is_empty()) { 2 } else { 1 } * row.len();
        if !commit.batch.is_empty() && (bytes + row_bytes > BATCH_BYTES || count + size > BATCH_ENTRIES) {
            done.push(std::mem::replace(&mut commit, new()));
            (bytes, count) = (0, 0);
        }
        let key = entry_key(id, first.seq);
        (bytes, count) = (bytes + row_bytes, count + size);
        commit.batch = std::mem::take(&mut commit.batch).expect_absent(&key);
        commit.put(key, row);
        for (change, record) in rest[..size].iter().flat_map(|entry| written(id, entry)) {
            commit.changes.push(change);
            let key = records::key(&change.key);
            match record {
                Some(record) => commit.put(key, encode(&record)?),
                None => commit.delete(key),
            }
        }
        rest = &rest[size..];
    }
    for (lock, record) in &beside.gave {
        commit.delete(lock_key(lock, record));
    }
    done.push(commit);
    let creates = entries.first().is_some_and(|entry| entry.seq == 1);
    let at = if creates { 0 } else { done.len() - 1 };
    if let Some(summary) = beside.summary {
        done[at].put(summary_key(id), encode(summary)?);
    }
    done.retain(|commit| !commit.batch.is_empty());
    Ok(done)
}

impl Commit<'_> {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.batch = std::mem::take(&mut self.batch).put(key, value);
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.batch = std::mem::take(&mut self.batch).delete(key);
    }
}

/// The row that `entries` begin with, and how many of them it holds.
fn row(entries: &[Entry]) -> Result<(Vec<u8>, usize), Error> {
    let mut row = vec![b'['];
    for (size, entry) in entries.iter().take(ROW_ENTRIES).enumerate() {
        let before = row.len();
        if size > 0 {
            row.push(b',');
        }
        encode_into(&mut row, entry)?;
        if size > 0 && row.len() > ROW_BYTES {
            row.truncate(before);
            row.push(b']');
            return Ok((row, size));
        }
    }
    row.push(b']');
    Ok((row, entries.len().min(ROW_ENTRIES)))
}

/// The entries of a row, in order.
pub(crate) fn decode_row(id: Uuid, bytes: &[u8]) -> Result<Vec<Entry>, Error> {
    const WHAT: &str = "an entry of its journal";
    match bytes.first() {
        Some(b'{') => Ok(vec![decode(id, WHAT, bytes)?]),
        _ => decode(id, WHAT, bytes),
    }
}

/// Entries of a journal after `seq`, at most `limit`.
pub fn entries(store: &Store, id: Uuid, after: u64, limit: usize) -> Result<Vec<Entry>, Error> {
    // Whoever read whole commits goes on where a row begins. Else nothing follows yet, or it lies within the row that began last.
    let begins = after == 0 || has(store, id, after + 1)?;
    let mut from = if begins { entry_key(id, after) } else { before_row_of(store, id, after)? };
    let mut found = Vec::new();
    while found.is_empty() {
        let rows = store.scan(&journal_prefix(id), Some(&from), limit)?;
        let Some((last, _)) = rows.last() else { break };
        from.clone_from(last);
        for (_, row) in &rows {
            found.extend(decode_row(id, &row.value)?.into_iter().filter(|entry| entry.seq > after));
            if found.len() >= limit {
                break;
            }
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// What to scan behind, to find the row that entry `seq` lies in. It reads keys only: whoever watches asks this after each commit.
fn before_row_of(store: &Store, id: Uuid, seq: u64) -> Result<Vec<u8>, Error> {
    let early = entry_key(id, seq.saturating_sub(ROW_ENTRIES as u64));
    let mut keys = store.keys(&journal_prefix(id), Some(&early), ROW_ENTRIES)?;
    keys.retain(|key| *key <= entry_key(id, seq));
    let row = keys.len().checked_sub(2).map(|before| keys.swap_remove(before));
    Ok(row.unwrap_or(early))
}

/// Whether an entry with this sequence begins a row: whether anything was committed after the one in front of it.
pub(crate) fn has(store: &Store, id: Uuid, seq: u64) -> Result<bool, Error> {
    Ok(store.get(&entry_key(id, seq))?.is_some())
}

/// The whole journal of an operation.
pub fn all_entries(store: &Store, id: Uuid) -> Result<Vec<Entry>, Error> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let from = entry_key(id, all.last().map_or(0, |entry| entry.seq));
        for (_, row) in store.scan(&journal_prefix(id), Some(&from), PAGE)? {
            all.extend(decode_row(id, &row.value)?);
        }
        // A journal has no gaps: where nothing follows, it ends. That is cheaper to ask than an empty page.
        if !has(store, id, all.last().map_or(0, |entry| entry.seq) + 1)? {
            return Ok(all);
        }
    }
}

/// The plan with that digest.
pub fn plan(store: &Store, digest: &str) -> Result<Plan, Error> {
    let digest: Digest =
        digest.parse().map_err(|_| Error::new(Kind::Quarantined, format!("`{digest}` is no digest of a plan")))?;
    let bytes = store.blobs().get(&digest).map_err(|error| {
        Error::new(Kind::Quarantined, format!("its plan cannot be read: {error}"))
            .hint("restore the blob from a backup of the data folder")
    })?;
    Plan::from_json(&bytes).map_err(|error| match error {
        dsl::PlanError::NeedsEngine { .. } => Error::new(Kind::NeedsEngine, format!("its plan: {error}"))
            .hint("use that version of Anneal, or a later one"),
        _ => Error::new(Kind::Quarantined, format!("its plan: {error}"))
            .hint("restore the blob from a backup of the data folder"),
    })
}

/// An operation as its journal tells of it.
pub fn load(store: &Store, plans: &Plans, id: Uuid) -> Result<Operation, Error> {
    let not_found =
        || Error::new(Kind::NotFound, format!("there is no operation `{id}`")).hint("`anneal ops` lists them");
    let damaged = store.damaged().iter().find(|damage| damage.operation == Some(*id.as_bytes()));
    if is_pruned(store, id)? {
        return Err(not_found());
    }
    if let Some(damage) = damaged {
        return Err(Error::new(Kind::Quarantined, format!("its journal is damaged: {damage}"))
            .hint("the other operations are not touched by this; restore a backup of the data folder"));
    }
    let entries = all_entries(store, id)?;
    let Some(Entry { event: Event::Created { format, plan: digest, .. }, .. }) = entries.first() else {
        return Err(if entries.is_empty() {
            not_found()
        } else {
            Error::new(Kind::Quarantined, "its journal does not begin with `created`")
        });
    };
    if *format > JOURNAL_FORMAT {
        return Err(Error::new(Kind::NeedsEngine, format!("its journal has format {format}, newer than ours"))
            .hint("use the version of Anneal that wrote it, or a later one"));
    }
    let plan = plans.get(digest, || plan(store, digest))?;
    replay(plan, &entries).map_err(|error| {
        Error::new(Kind::Quarantined, error.to_string())
            .hint("the other operations are not touched by this; restore a backup of the data folder")
    })
}

/// The summaries of all operations, oldest first.
pub fn summaries(store: &Store) -> Result<Vec<Summary>, Error> {
    let mut all = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.keys(OPERATIONS, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else {
            quarantine(store, &mut all)?;
            return Ok(all);
        };
        after = Some(last.clone());
        for key in &page {
            let id = key.strip_prefix(OPERATIONS).and_then(|id| Uuid::from_slice(id).ok()).unwrap_or_default();
            // I11: one that cannot be read is shown as such, and the others as they are.
            match summary(store, id) {
                Ok(Some(summary)) => all.push(summary),
                Ok(None) => {}
                Err(error) => all.push(Summary::quarantined(id, &error)),
            }
        }
    }
}

/// Whether an operation may still go on. One that cannot be read may: nothing of it is thrown away.
pub fn is_open(store: &Store, id: Uuid) -> Result<bool, Error> {
    let damaged = store.damaged().iter().any(|damage| damage.operation.is_none_or(|of| of == *id.as_bytes()));
    Ok(summary(store, id)?.map_or(damaged, |summary| summary.open))
}

pub(crate) fn summary(store: &Store, id: Uuid) -> Result<Option<Summary>, Error> {
    store.get(&summary_key(id))?.map(|row| decode(id, "its summary", &row.value)).transpose()
}

/// Marks the operations whose journal is damaged; one whose summary was lost with it is added (I11).
fn quarantine(store: &Store, all: &mut Vec<Summary>) -> Result<(), Error> {
    for id in store.damaged().iter().filter_map(|damage| damage.operation).map(Uuid::from_bytes) {
        if is_pruned(store, id)? {
            continue;
        }
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
    Ok(())
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    encode_into(&mut bytes, value).map(|()| bytes)
}

fn encode_into<T: Serialize>(bytes: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    serde_json::to_writer(bytes, value)
        .map_err(|error| Error::new(Kind::Internal, "a record cannot be written").source(error))
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(id: Uuid, what: &str, bytes: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        // The store's checksums are right: what is JSON and yet not understood was written by somebody who knows more.
        if error.is_data() {
            let not_understood = error.to_string();
            // Without all that we would have understood.
            let brief = not_understood.split(", expected").next().unwrap_or_default();
            let message =
                format!("operation {id}: {what} is of a newer Anneal, this one does not understand it: {brief}");
            return Error::new(Kind::NeedsEngine, message)
                .hint("use the version of Anneal that wrote it, or a later one; nothing was changed");
        }
        Error::new(Kind::Quarantined, format!("operation {id}: {what} cannot be read: {error}"))
            .hint("the other operations are not touched by this; restore a backup of the data folder")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Failure, FailureClass};

    fn failed(seq: u64, bytes: usize) -> Entry {
        let failure = Failure { class: FailureClass::Other, message: "x".repeat(bytes), hint: None };
        let node = crate::operation::NodeId { step: "s".to_owned(), key: "k".to_owned() };
        Entry { seq, at_ms: 0, event: Event::Failed { node, attempt: 1, failure, output: None } }
    }

    fn summary() -> Summary {
        Summary { open: true, ..Summary::quarantined(Uuid::nil(), &Error::new(Kind::Internal, "")) }
    }

    /// Puts and deletes of each batch.
    fn sizes(entries: &[Entry], summary: Option<&Summary>) -> Vec<usize> {
        let commits = commits(Uuid::nil(), entries, Beside { summary, ..Beside::default() }).unwrap();
        commits.iter().map(|commit| commit.batch.len()).collect()
    }

    #[test]
    fn a_usual_step_is_one_commit_with_its_summary() {
        assert_eq!(sizes(&[failed(2, 10), failed(3, 10)], Some(&summary())).len(), 1);
        assert_eq!(sizes(&[], None), Vec::<usize>::new());
    }

    #[test]
    fn many_or_large_entries_become_several_commits_below_the_stores_limits() {
        let many: Vec<Entry> = (2..5_002).map(|seq| failed(seq, 10)).collect();
        assert!(sizes(&many, None).iter().all(|len| *len as u64 <= store::limits::BATCH_ENTRIES));
        assert!(sizes(&many, None).iter().sum::<usize>() <= 5_000 / ROW_ENTRIES + 5, "a row holds many entries");
        let large: Vec<Entry> = (2..22).map(|seq| failed(seq, 500_000)).collect();
        let commits = commits(Uuid::nil(), &large, Beside::default()).unwrap();
        let sizes = commits.iter().map(|commit| commit.batch.size_bytes());
        assert!(commits.len() >= 4 && sizes.max() < Some(store::limits::BATCH_BYTES));
    }

    #[test]
    fn any_page_of_a_journal_is_what_was_committed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap().store;
        let (id, mut random) = (Uuid::now_v7(), fastrand::Rng::with_seed(3));
        let mut all: Vec<Entry> = Vec::new();
        // As the first format had it: an entry is a row.
        let first = failed(1, 10);
        let old = Batch::new(None).put(entry_key(id, 1), encode(&first).unwrap());
        store.commit_blocking(old).unwrap();
        all.push(first);
        while all.len() < 400 {
            let seq = all.len() as u64 + 1;
            let bytes = if random.u8(..4) == 0 { ROW_BYTES / 3 } else { 10 };
            let commit: Vec<Entry> = (seq..seq + random.u64(1..150)).map(|seq| failed(seq, bytes)).collect();
            for commit in commits(id, &commit, Beside::default()).unwrap() {
                store.commit_blocking(commit.ready(&store).unwrap()).unwrap();
            }
            all.extend(commit);
        }
        assert_eq!(all_entries(&store, id).unwrap(), all);
        for after in 0..=all.len() {
            let limit = random.usize(1..200);
            let page = entries(&store, id, after as u64, limit).unwrap();
            let expected = &all[after..];
            assert!(page == expected[..page.len()] && page.len() <= limit, "after {after}, at most {limit}");
            assert_eq!(page.is_empty(), expected.is_empty(), "only an empty page is the end");
        }
    }

    #[test]
    fn no_journal_is_without_a_summary_even_where_it_is_cut_after_its_first_commit() {
        let entries: Vec<Entry> = (1..3_001).map(|seq| failed(seq, 10)).collect();
        let (with, without) = (sizes(&entries, Some(&summary())), sizes(&entries, None));
        assert_eq!((with[0], with.last()), (without[0] + 1, without.last()));
    }
}
