//! Compaction: what is live is written to a fresh generation, and the old one is deleted.
//!
//! 1. A thread of its own copies what is live to `log/<n+1>` and makes `index/<n+1>`, while commits go on.
//! 2. It copies what was committed meanwhile, until little is left, and flushes.
//! 3. The writer takes the fresh generation between two groups of commits: it copies what is left, flushes, renames the
//!    manifest, and appends to the fresh generation from then on. Only for this do commits wait: for [`CATCH_UP_BYTES`] at
//!    most to be copied and three flushes. (For more when commits come faster than they are copied: it is not put off
//!    for ever, but after [`CATCH_UP_ROUNDS`].)
//! 4. The thread deletes the old generation.
//!
//! Until the manifest is renamed the old generation counts, afterwards the fresh one; an opening deletes all others. So a
//! crash anywhere loses nothing, and so does an error: what was half made is deleted, and the store goes on as it was.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::index::opening::{fresh, wait_until_released};
use crate::index::recent::Changes;
use crate::index::{Index, position::Tally};
use crate::layout::Layout;
use crate::limits::{CATCH_UP_BYTES, CATCH_UP_ROUNDS, COMPACT_TIMES, INDEX_FLUSH_COMMITS};
use crate::log::copy::{self, Sink, Source};
use crate::log::generation::{Generation, Kept, Settings, Written};
use crate::log::recover::Place;
use crate::log::writer::Message;
use crate::log::{frame, payload};
use crate::manifest::Manifest;
use crate::options::Step;
use crate::shared::{Shared, View};

/// What a compaction did. The sizes are of log and index together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Their size before it.
    pub before_bytes: u64,
    /// Their size after it, with what was committed meanwhile.
    pub after_bytes: u64,
    /// Bytes of the keys and values that are live.
    pub live_bytes: u64,
    /// How many keys are live.
    pub entries: u64,
}

/// A generation that is being made.
pub(crate) struct Fresh {
    generation: Generation,
    index: Index,
    /// Up to here the old log was copied.
    pub(crate) copied: Place,
    /// Commits since the index was flushed.
    unflushed: u64,
}

/// A generation that is made.
pub(crate) struct Made {
    pub(crate) written: Written,
    pub(crate) index: Index,
    pub(crate) tally: Tally,
}

/// The generation that does not count any more.
pub(crate) struct Retired {
    pub(crate) view: View,
    pub(crate) tally: Tally,
}

impl Fresh {
    fn begin(settings: Settings, next: Manifest) -> Result<Fresh, Error> {
        let index = fresh(&settings.layout.index(next.generation), next)?;
        Ok(Fresh { generation: Generation::begin(settings)?, index, copied: Place::BEGINNING, unflushed: 0 })
    }

    /// Copies what was committed up to `to`.
    pub(crate) fn catch_up(&mut self, source: &Source<'_>, to: Place) -> Result<(), Error> {
        let from = std::mem::replace(&mut self.copied, to);
        copy::rest(source, from, to, self)
    }

    /// Ends it with a mark of this sequence.
    pub(crate) fn finish(self, sequence: u64) -> Result<Made, Error> {
        let Fresh { generation, index, .. } = self;
        let written = generation.finish(sequence)?;
        index.learn(Changes::new(), written.end)?;
        index.settle()?;
        let tally = index.tally();
        Ok(Made { written, index, tally })
    }
}

impl Sink for Fresh {
    fn commit(&mut self, kept: &Kept<'_>) -> Result<(), Error> {
        let frame = self.generation.add(kept)?;
        let Some(changes) = frame.changes(kept.payload) else {
            return Err(Error::new(ErrorKind::NewDamage { what: "a frame's content cannot be decoded".to_owned() }));
        };
        self.index.learn(changes, self.generation.end())?;
        // sled uses the room of what it has written anew only after a flush.
        self.unflushed += 1;
        if self.unflushed >= INDEX_FLUSH_COMMITS {
            self.unflushed = 0;
            self.index.flush()?;
        }
        Ok(())
    }
}

/// Whether the store should compact itself. The writer asks, so it must cost little.
pub(crate) fn is_due(shared: &Shared, live: Tally) -> bool {
    // What a key costs at least, however small it is: with less, a store of small entries would never seem compact.
    let live_bytes =
        live.bytes.saturating_add(live.count.saturating_mul(frame::HEADER as u64 + payload::PUT_HEADER as u64));
    let over = live_bytes.saturating_mul(COMPACT_TIMES).saturating_add(shared.compact_over_bytes);
    let not_below = shared.not_below.load(Ordering::SeqCst);
    // A folder that cannot be looked at now is no reason to stop: it is asked again.
    shared.disk_bytes().is_ok_and(|bytes| bytes > over && bytes > not_below)
}

/// Compacts in a thread of its own, unless one does already.
pub(crate) fn start(shared: &Arc<Shared>) {
    if shared.compacting.swap(true, Ordering::SeqCst) {
        return;
    }
    let inner = Arc::clone(shared);
    let started = shared.start("anneal-compact", move || {
        match run(&inner) {
            Ok(done) => {
                tracing::info!(before = done.before_bytes, after = done.after_bytes, "the store compacted itself")
            }
            Err(error) if *error.kind() == ErrorKind::Closed => {}
            Err(error) => tracing::warn!("the store could not compact itself, and goes on as it was: {error}"),
        }
        inner.compacting.store(false, Ordering::SeqCst);
    });
    if let Err(error) = started {
        tracing::warn!("the store could not compact itself: {error}");
        shared.compacting.store(false, Ordering::SeqCst);
    }
}

/// Compacts, and waits for it.
pub(crate) fn run(shared: &Shared) -> Result<Compacted, Error> {
    let _turn = shared.turn();
    shared.go_on()?;
    let before_bytes = shared.disk_bytes()?;
    // If it fails or does not help, it is not done again by itself before there is a good deal more.
    shared.not_below.store(before_bytes.saturating_mul(2), Ordering::SeqCst);
    let Retired { view, tally } = compact(shared).inspect_err(|_| {
        let _ = shared.remove_others(); // what is left is deleted by the next opening
    })?;
    drop(view);
    shared.settings.fault(Step::Delete, "delete the old generation")?;
    shared.remove_others()?;
    let after_bytes = shared.disk_bytes()?;
    shared.not_below.store(after_bytes.saturating_mul(2), Ordering::SeqCst);
    Ok(Compacted { before_bytes, after_bytes, live_bytes: tally.bytes, entries: tally.count })
}

fn compact(shared: &Shared) -> Result<Retired, Error> {
    let closed = || Error::new(ErrorKind::Closed);
    if shared.queue.upgrade().is_none_or(|queue| queue.is_closed()) {
        return Err(closed());
    }
    shared.remove_others()?;
    let manifest = *shared.manifest();
    let next = Manifest { generation: manifest.generation + 1, ..manifest };
    let index = Arc::clone(&shared.view().index);
    let go_on = || shared.go_on();
    let source = shared.source(&index, &go_on);
    let mut fresh = Fresh::begin(Settings { generation: next.generation, ..shared.settings.clone() }, next)?;
    let to = index.place();
    copy::live(&source, to, &mut fresh)?;
    fresh.copied = to;
    for _ in 0..CATCH_UP_ROUNDS {
        let end = index.place();
        let near = end.segment == fresh.copied.segment && end.offset - fresh.copied.offset <= CATCH_UP_BYTES;
        if near {
            break;
        }
        fresh.catch_up(&source, end)?;
    }
    fresh.index.flush()?;
    fresh.generation.sync()?;
    let (answer, answered) = oneshot::channel();
    let queue = shared.queue.upgrade().ok_or_else(closed)?;
    drop(index); // the writer gives the old one away
    let sent = crate::store::block_on(queue.send(Message::Switch { fresh: Box::new(fresh), answer }));
    sent.map_err(|_| closed())?;
    drop(queue);
    crate::store::block_on(answered).unwrap_or_else(|_| Err(Error::new(ErrorKind::Stopped)))
}

/// Deletes all generations and indexes but those that count; gives how many there were. Names that are not ours stay.
pub(crate) fn remove_others(layout: &Layout, manifest: Manifest) -> Result<usize, Error> {
    let ours = manifest.generation.to_string();
    let mut removed = 0;
    for name in durable::names(&layout.log())? {
        if name != ours && name.parse::<u64>().is_ok() {
            remove_folder(&layout.log().join(name))?;
            removed += 1;
        }
    }
    if layout.indexes().is_dir() {
        for name in durable::names(&layout.indexes())? {
            let path = layout.indexes().join(&name);
            if name != ours {
                wait_until_released(&path);
                remove_folder(&path)?;
            }
        }
    }
    Ok(removed)
}

fn remove_folder(path: &Path) -> Result<(), Error> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("delete what does not count any more", path, error))
        }
        _ => Ok(()),
    }
}
