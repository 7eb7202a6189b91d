//! The index: which keys there are and where their values lie in the log.
//!
//! Most of it is kept in sled, in one tree; what the last commits changed is kept in memory ([`recent`]) and handed to
//! sled in large batches, because each batch costs sled two writes. Together they show every commit that was answered.
//!
//! The index is never the truth: it holds nothing that the log does not say, sled may lag behind the log, and it may be
//! lost. So nothing waits for it to be flushed, and whenever there is doubt about it, it is deleted and made again. A
//! failure of sled while the store runs is treated like a failed flush: nothing more is acknowledged, because readers
//! would not see it.
//!
//! Under each key lies an [`entry`]. Under the empty key, which no batch may use, lies the [`position`]: how far sled
//! knows the log, and how many entries it must hold with which sum. It is written in the same batch as the entries, so
//! it tells at the next opening whether the tree is one that we wrote.

pub(crate) mod entry;
pub(crate) mod guard;
pub(crate) mod opening;
pub(crate) mod position;
pub(crate) mod recent;

use std::collections::HashSet;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Mutex, RwLock, RwLockReadGuard};

use uuid::Uuid;

use crate::error::{Error, ErrorKind};
use crate::limits::RECENT_ENTRIES;
use crate::log::recover::Place;
use position::{POSITION_KEY, Position, Tally};
use recent::{Changes, Merged, Recent};

pub(crate) struct Index {
    /// `None` only while the index is dropped.
    tree: Option<sled::Db>,
    folder: PathBuf,
    store: Uuid,
    generation: u64,
    /// What sled holds.
    tally: Mutex<Tally>,
    /// Held for reading by a page of a scan, so that it shows whole commits only.
    recent: RwLock<Recent>,
}

/// Keys with their entries, in order.
pub(crate) type Page = Vec<(Vec<u8>, sled::IVec)>;

impl Index {
    /// A key's entry.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, Error> {
        if key.is_empty() {
            return Ok(None); // the position's key is nobody's
        }
        if let Some(change) = self.recent().changes.get(key) {
            return Ok(change.clone());
        }
        // What was recent is in sled before it is taken out of memory, so it cannot be missed in between.
        self.guarded(|tree| tree.get(key))
    }

    /// A key's version.
    pub(crate) fn version(&self, key: &[u8]) -> Result<Option<u64>, Error> {
        let Some(bytes) = self.get(key)? else { return Ok(None) };
        match entry::version(&bytes) {
            Some(version) => Ok(Some(version)),
            None => Err(self.error("an entry cannot be read")),
        }
    }

    /// Entries whose keys begin with `prefix` and come after `after`, until `enough` says so.
    pub(crate) fn page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        mut enough: impl FnMut(&sled::IVec) -> bool,
    ) -> Result<Page, Error> {
        let lower = match after {
            Some(after) if after >= prefix && !after.is_empty() => Bound::Excluded(after),
            _ if prefix.is_empty() => Bound::Excluded(POSITION_KEY),
            _ => Bound::Included(prefix),
        };
        let recent = self.recent();
        self.guarded(|tree| {
            let range = (lower, Bound::Unbounded);
            let mut page = Page::new();
            for entry in Merged::new(tree.range::<&[u8], _>(range), recent.changes.range::<[u8], _>(range)) {
                let (key, entry) = entry?;
                if !key.starts_with(prefix) {
                    break;
                }
                let last = enough(&entry);
                page.push((key, entry));
                if last {
                    break;
                }
            }
            Ok(page)
        })
    }

    /// The generation of the log that it is of.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// How far in the log everything is visible.
    pub(crate) fn place(&self) -> Place {
        self.recent().place
    }

    /// What sled holds: as good as all there is, and all right after [`settle`](Self::settle).
    pub(crate) fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The place up to which everything is visible, and the sums of all entries there. No commit becomes visible meanwhile.
    pub(crate) fn sums(&self) -> Result<(Place, HashSet<u64>), Error> {
        let recent = self.recent();
        let sums = self.guarded(|tree| {
            let range = (Bound::Excluded(POSITION_KEY), Bound::Unbounded);
            Merged::new(tree.range::<&[u8], _>(range), recent.changes.range::<[u8], _>(range))
                .map(|entry| entry.map(|(key, entry)| position::hash(&key, &entry)))
                .collect::<sled::Result<HashSet<u64>>>()
        })?;
        Ok((recent.place, sums))
    }

    /// Makes the changes of a group visible, all at once. `place` is the end of the group in the log.
    pub(crate) fn learn(&self, changes: Changes, place: Place) -> Result<(), Error> {
        let enough = {
            let mut recent = self.recent.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            recent.learn(changes, place);
            recent.changes.len() as u64 >= RECENT_ENTRIES
        };
        if enough { self.settle() } else { Ok(()) }
    }

    /// Hands to sled what it does not know yet. Only the writer changes the index, so nothing is added meanwhile.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        let mut tally = self.tally.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut next = *tally;
        {
            let recent = self.recent();
            if recent.settled {
                return Ok(());
            }
            let mut batch = sled::Batch::default();
            for (key, change) in &recent.changes {
                let old = self.guarded(|tree| tree.get(key))?;
                if let Some(old) = &old {
                    next.remove(key, old);
                }
                match change {
                    Some(entry) => {
                        next.insert(key, entry);
                        batch.insert(key.as_slice(), entry);
                    }
                    None if old.is_some() => batch.remove(key.as_slice()),
                    None => {}
                }
            }
            let position =
                Position { store: self.store, generation: self.generation, place: recent.place, tally: next };
            batch.insert(POSITION_KEY, position.encode());
            self.guarded(|tree| tree.apply_batch(batch))?;
        }
        *tally = next;
        let mut recent = self.recent.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        *recent = Recent::settled(recent.place);
        Ok(())
    }

    /// Hands what sled holds in memory to the system, so that the next opening has nothing to replay.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.settle()?;
        self.guarded(|tree| tree.flush()).map(drop)
    }

    fn recent(&self) -> RwLockReadGuard<'_, Recent> {
        self.recent.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn guarded<T>(&self, act: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, Error> {
        let tree = self.tree.as_ref().ok_or_else(|| self.error("it is closed"))?;
        guard::run(|| act(tree)).map_err(|what| self.error(what))
    }

    pub(crate) fn error(&self, what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Index { what: what.into() }).at(&self.folder)
    }
}

// sled flushes when it is dropped, and panics when that fails. The log has everything, so that is no loss.
impl Drop for Index {
    fn drop(&mut self) {
        let tree = self.tree.take();
        let _ = guard::run(|| {
            drop(tree);
            Ok(())
        });
    }
}
