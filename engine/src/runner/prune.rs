//! Forgetting operations that have ended for good, and the blobs that nothing refers to any more.
//!
//! Invariant: an operation is there whole or not at all. Where it is too large for one commit, the first one takes its summary
//! and leaves a mark (`p/` + operation); whoever prunes next ends what was begun.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use store::{Batch, Digest, Store};
use uuid::Uuid;

use super::clock::now_ms;
use super::engine::{Engine, Shared, blocking};
use crate::error::{Error, Kind};
use crate::journal::{self, LockRecord, Summary};
use crate::limits::{BLOB_GRACE_MS, PRUNE_ROWS};
use crate::operation::{Entry, Event};

/// Which operations stay. Those that have not ended for good stay in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// So many of those that have ended, the newest.
    pub keep: Option<usize>,
    /// Those that ended less than this ago.
    pub older_than_ms: Option<u64>,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What went, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruned {
    /// Operations, oldest first.
    pub operations: Vec<Uuid>,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// Why no blobs went, where that is so.
    pub blobs_stay: Option<String>,
}

impl Engine {
    /// Forgets operations that have ended for good, except those that are to stay, and then blobs that nothing refers to.
    pub async fn prune(&self, retention: Retention) -> Result<Pruned, Error> {
        if retention.keep.is_none() && retention.older_than_ms.is_none() {
            let error = Error::new(Kind::Invalid, "nothing says which operations are to stay");
            return Err(error.hint("say how many, or how old the others must be"));
        }
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let operations = chosen(&shared, retention)?;
            forget(&shared, operations, retention.dry_run)
        })
        .await
    }

    /// Forgets an operation that cannot be read any more, with the locks that are recorded for it.
    pub async fn prune_quarantined(&self, id: Uuid, dry_run: bool) -> Result<Pruned, Error> {
        let shared = Arc::clone(&self.shared);
        if shared.is_in_hand(id) {
            return Err(Error::new(Kind::Refused, "the operation is being worked on").hint("`anneal show` shows it"));
        }
        blocking(move || match journal::load(&shared.store, &shared.plans, id) {
            Err(error) if error.kind == Kind::Quarantined => forget(&shared, vec![id], dry_run),
            Err(error) => Err(error),
            Ok(_) => Err(Error::new(Kind::Refused, "the operation is not quarantined")
                .hint("one that has ended goes with `anneal ops prune --keep N` or `--older-than AGE`")),
        })
        .await
    }
}

/// The operations that go.
fn chosen(shared: &Shared, retention: Retention) -> Result<Vec<Uuid>, Error> {
    let ended = |one: &Summary| !one.open && !one.is_quarantined() && !shared.is_in_hand(one.id);
    let mut ids: Vec<Uuid> =
        journal::summaries(&shared.store)?.iter().filter(|one| ended(one)).map(|one| one.id).collect();
    ids.truncate(ids.len().saturating_sub(retention.keep.unwrap_or(0)));
    let Some(age) = retention.older_than_ms else { return Ok(ids) };
    let before = now_ms().saturating_sub(age);
    let mut old = Vec::new();
    for id in ids {
        if last_ms(&shared.store, id)?.is_none_or(|at_ms| at_ms < before) {
            old.push(id);
        }
    }
    Ok(old)
}

/// When an operation ended; `None` where its journal does not say.
fn last_ms(store: &Store, id: Uuid) -> Result<Option<u64>, Error> {
    let (mut after, mut last) = (None, None);
    while let Some(key) = store.keys(&journal::journal_prefix(id), after.as_deref(), PRUNE_ROWS)?.pop() {
        after = Some(key.clone());
        last = Some(key);
    }
    let Some(row) = last.map(|key| store.get(&key)).transpose()?.flatten() else { return Ok(None) };
    Ok(journal::decode_row(id, &row.value)?.last().map(|entry: &Entry| entry.at_ms))
}

fn forget(shared: &Shared, operations: Vec<Uuid>, dry_run: bool) -> Result<Pruned, Error> {
    let store = &shared.store;
    if !dry_run {
        let mut deletion = Deletion { store, batch: Batch::new(None) };
        let mut all = journal::half_pruned(store)?;
        all.extend(&operations);
        for &id in &all {
            // None is left of one that ended properly.
            store.sealed().delete(&id)?;
            deletion.operation(id, &locks_of(shared, id))?;
        }
        deletion.flush()?;
        let mut locks = shared.locks();
        for id in all {
            locks.give_back(id);
            let nodes = locks.nodes_of(id);
            locks.give_back_nodes(id, &nodes);
        }
        drop(locks);
        shared.freed.send_modify(|count| *count += 1);
    }
    let gone: HashSet<Uuid> = operations.iter().copied().collect();
    let mut pruned = Pruned { operations, ..Pruned::default() };
    let blocks = journal::summaries(store)?.into_iter().find(|one| one.is_quarantined() && !gone.contains(&one.id));
    let used = match blocks {
        Some(one) => Err(format!("operation {} is quarantined: what it refers to is not known", one.id)),
        None => used(store, &gone).map_err(|error| error.to_string()),
    };
    match used {
        Ok(used) => sweep(store, &used, dry_run, &mut pruned)?,
        Err(why) => pruned.blobs_stay = Some(why),
    }
    Ok(pruned)
}

fn locks_of(shared: &Shared, id: Uuid) -> Vec<Vec<u8>> {
    // What the table does not know no record has.
    let (own, nodes) = {
        let locks = shared.locks();
        (locks.own(id), locks.nodes_of(id))
    };
    let own = own.into_iter().map(|lock| journal::lock_key(&lock, &LockRecord::of_operation(id)));
    let nodes =
        nodes.into_iter().map(|(lock, node)| journal::lock_key(&lock, &LockRecord { operation: id, node: Some(node) }));
    own.chain(nodes).collect()
}

/// Rows on their way out, in batches of a bounded size.
struct Deletion<'a> {
    store: &'a Store,
    batch: Batch,
}

impl Deletion<'_> {
    fn operation(&mut self, id: Uuid, locks: &[Vec<u8>]) -> Result<(), Error> {
        let (prefix, mark) = (journal::journal_prefix(id), journal::pruned_key(id));
        let mut rows = self.store.keys(&prefix, None, PRUNE_ROWS)?;
        if rows.len() + locks.len() >= PRUNE_ROWS {
            self.batch = std::mem::replace(&mut self.batch, Batch::new(None)).put(&mark, b"");
            self.delete([journal::summary_key(id)]);
            self.flush()?;
            while rows.len() == PRUNE_ROWS {
                self.delete(rows);
                self.flush()?;
                rows = self.store.keys(&prefix, None, PRUNE_ROWS)?;
            }
            for locks in locks.chunks(PRUNE_ROWS) {
                self.delete(locks);
                self.flush()?;
            }
        } else {
            self.delete(locks);
        }
        self.delete(rows);
        self.delete([journal::summary_key(id)]);
        // The damage in the log goes with the next compaction only; until then the mark says that nothing is missed.
        if self.store.damaged().iter().any(|damage| damage.operation == Some(*id.as_bytes())) {
            self.batch = std::mem::replace(&mut self.batch, Batch::new(None)).put(&mark, b"");
        } else {
            self.delete([mark]);
        }
        if self.batch.len() >= PRUNE_ROWS { self.flush() } else { Ok(()) }
    }

    fn delete(&mut self, keys: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        for key in keys {
            self.batch = std::mem::replace(&mut self.batch, Batch::new(None)).delete(key);
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let batch = std::mem::replace(&mut self.batch, Batch::new(None));
        if !batch.is_empty() {
            self.store.commit_blocking(batch)?;
        }
        Ok(())
    }
}

/// The first 64 bits of the digests of blobs that something may refer to: two that share them both stay.
fn used(store: &Store, except: &HashSet<Uuid>) -> Result<HashSet<u64>, Error> {
    let there: HashSet<u64> = store.blobs().digests()?.iter().map(|digest| short(&digest.hex())).collect();
    let (mut used, mut plans) = (HashSet::new(), HashSet::new());
    for row in store.walk(journal::JOURNAL) {
        let (key, row) = row?;
        let id = key.get(journal::JOURNAL.len()..).and_then(|key| Uuid::from_slice(key.get(..16)?).ok());
        let Some(id) = id.filter(|id| !except.contains(id)) else { continue };
        note(&row.value, &there, &mut used);
        if key.ends_with(&1_u64.to_be_bytes())
            && let Some(Entry { event: Event::Created { plan, .. }, .. }) = journal::decode_row(id, &row.value)?.first()
        {
            plans.insert(plan.clone());
        }
    }
    for plan in plans {
        let bad = || Error::new(Kind::Quarantined, format!("`{plan}` is no digest of a plan"));
        let digest: Digest = plan.parse().map_err(|_| bad())?;
        note(&store.blobs().get(&digest)?, &there, &mut used);
    }
    Ok(used)
}

/// Whatever looks like the digest of a blob that is there counts as one: scripts in a plan, outputs in a journal.
fn note(bytes: &[u8], there: &HashSet<u64>, used: &mut HashSet<u64>) {
    for word in bytes.split(|byte| !byte.is_ascii_hexdigit()).filter(|word| word.len() == 64) {
        let short = short(&String::from_utf8_lossy(word));
        if there.contains(&short) {
            used.insert(short);
        }
    }
}

fn short(hex: &str) -> u64 {
    hex.get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or_default()
}

fn sweep(store: &Store, used: &HashSet<u64>, dry_run: bool, pruned: &mut Pruned) -> Result<(), Error> {
    let (blobs, bytes) = (Cell::new(0), Cell::new(0));
    let keep = |digest: &Digest| {
        if used.contains(&short(&digest.hex())) {
            return true;
        }
        if dry_run {
            blobs.set(blobs.get() + 1);
            bytes.set(bytes.get() + store.blobs().size(digest).unwrap_or(0));
        }
        dry_run
    };
    let swept = store.blobs().sweep(&keep, Duration::from_millis(BLOB_GRACE_MS))?;
    pruned.blobs = swept.count + blobs.get();
    pruned.bytes = swept.bytes + bytes.get();
    Ok(())
}
