//! Opening a store: lock, manifest, index, log, and what must be mended, in an order that a power cut cannot break.
//!
//! 1. The lock. Nothing is looked at without it.
//! 2. The manifest. A newer format ends it here. No manifest, but other parts: something was lost, and that is said.
//! 3. A store that is being made has the manifest's generation 0 until all its parts are durable; being made can be
//!    interrupted anywhere and begins again.
//! 4. The index is opened, checked by itself, and asked how far it knows the log.
//! 5. The log is read. Only now is decided what is torn and what is damaged; until here nothing was changed.
//! 6. The manifest gets this version's format, if it has an older one. The torn tail is cut, the end of the log flushed,
//!    and generations that do not count are deleted.
//! 7. The index learns what it does not know yet, or, on any doubt, everything.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::blobs::Blobs;
use crate::compaction;
use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::index::Index;
use crate::index::opening::{Candidate, fresh};
use crate::index::recent::Changes;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::log::generation::Settings;
use crate::log::recover::{self, Place, Recovered};
use crate::log::segment::{self, Segments};
use crate::log::tail::Tail;
use crate::manifest::{FORMAT, Manifest, Origin};
use crate::options::Options;
use crate::report::{IndexState, OpenReport};
use crate::sealed::{self, Sealed};
use crate::stats::Counters;

/// The parts of an open store.
pub(crate) struct Parts {
    pub(crate) lock: Lock,
    pub(crate) manifest: Manifest,
    pub(crate) settings: Settings,
    pub(crate) tail: Tail,
    pub(crate) index: Index,
    pub(crate) segments: Segments,
    pub(crate) blobs: Blobs,
    pub(crate) sealed: Sealed,
    pub(crate) report: OpenReport,
}

pub(crate) fn open(dir: &Path, options: &Options) -> Result<Parts, Error> {
    let layout = Layout::new(dir);
    let counters = Arc::new(Counters::default());
    durable::create_folder(layout.root(), &counters)?;
    let lock = Lock::acquire(&layout.lock())?;
    let (manifest, created) = manifest(&layout, &counters)?;
    let generation = manifest.generation;

    let candidate = Candidate::open(&layout.index(generation), manifest)?;
    let log = recover::scan(&layout, manifest, candidate.place)?;
    let manifest = upgrade(manifest, &layout, &counters)?;
    log.settle(&layout, &counters)?;
    let stale_generations = compaction::remove_others(&layout, manifest)?;
    let stale = recover::remove_temporaries(&layout, generation)?;

    let mut recreated = Vec::new();
    for folder in [layout.blobs(), layout.secrets(), layout.records()] {
        if !folder.is_dir() {
            durable::create_folder(&folder, &counters)?;
            recreated.push(folder);
        }
    }
    let (blobs, stale_blobs) = Blobs::open(layout.blobs(), Arc::clone(&counters), options.reserve_bytes)?;
    let (sealed, stale_sealed) = Sealed::open(layout.clone(), Arc::clone(&counters))?;

    let stale_snapshots = candidate.stale_snapshots;
    let (index, state, replayed) = index(candidate, &layout, manifest, &log, created)?;
    let report = OpenReport {
        created,
        torn: log.torn.clone(),
        index: state,
        replayed,
        stale_snapshots,
        stale_generations,
        stale_files: stale + stale_blobs + stale_sealed,
        recreated,
        key_missing: sealed.key_missing(),
        damaged: log.damaged.clone(),
    };
    let settings = Settings {
        layout: layout.clone(),
        store: manifest.store,
        generation,
        counters: Arc::clone(&counters),
        faults: options.faults.clone(),
        segment_bytes: options.segment_bytes.min(crate::limits::SEGMENT_BYTES),
        reserve_bytes: options.reserve_bytes,
    };
    let tail = Tail::open(settings.clone(), &log)?;
    let segments = Segments::new(layout, generation);
    Ok(Parts { lock, manifest, settings, tail, index, segments, blobs, sealed, report })
}

/// Before anything is written in this version's format, the manifest says so.
fn upgrade(found: Manifest, layout: &Layout, counters: &Counters) -> Result<Manifest, Error> {
    if found.format == FORMAT {
        return Ok(found);
    }
    found.write(&layout.manifest(), counters)?;
    Ok(Manifest { format: FORMAT, ..found })
}

/// Reads the manifest, or makes a store where there is none.
fn manifest(layout: &Layout, counters: &Counters) -> Result<(Manifest, bool), Error> {
    let path = layout.manifest();
    let found = match Manifest::read(&path)? {
        Some(Manifest { origin: Origin::Backup(_), .. }) => {
            return Err(Error::new(ErrorKind::IsBackup).at(layout.root()));
        }
        Some(manifest) if manifest.generation > 0 => {
            let _ = fs::remove_file(durable::temporary(&path));
            let _ = fs::remove_dir(layout.staging()); // empty since the manifest has its place
            return Ok((manifest, false));
        }
        Some(manifest) => manifest,
        None => {
            if layout.staging().exists() {
                return Err(Error::new(ErrorKind::Unfinished).at(layout.root()));
            }
            for part in layout.parts() {
                if part.exists() {
                    return Err(Error::new(ErrorKind::Missing { what: "the manifest".to_owned() }).at(&path));
                }
            }
            let manifest = Manifest::new(Uuid::now_v7());
            manifest.write(&path, counters)?;
            manifest
        }
    };
    create(layout, found, counters).map(|manifest| (manifest, true))
}

/// Makes all parts. Until the manifest says generation 1 nobody has stored anything in them.
fn create(layout: &Layout, found: Manifest, counters: &Counters) -> Result<Manifest, Error> {
    let manifest = Manifest { format: FORMAT, generation: 1, ..found };
    for folder in [layout.generation(1), layout.index(1), layout.blobs(), layout.secrets(), layout.records()] {
        durable::create_folder(&folder, counters)?;
        // It may be there from an interrupted attempt, with a name that never became durable.
        durable::sync_folder(&folder, counters)?;
    }
    sealed::create_key(&layout.key(), counters)?;
    segment::create(layout, 1, 1, 1, manifest.store, counters)?;
    durable::sync_folder(&layout.log(), counters)?;
    durable::sync_folder(layout.root(), counters)?;
    manifest.write(&layout.manifest(), counters)?;
    Ok(manifest)
}

/// Brings the index to the end of the log, or makes it again.
fn index(
    candidate: Candidate,
    layout: &Layout,
    manifest: Manifest,
    log: &Recovered,
    created: bool,
) -> Result<(Index, IndexState, u64), Error> {
    let from = candidate.place.unwrap_or(Place::BEGINNING);
    let why = match candidate.index {
        Ok(index) if log.index_agrees => match replay(&index, layout, manifest, from, log.end) {
            Ok(replayed) => return Ok((index, IndexState::Kept, replayed)),
            Err(error) => match error.kind() {
                ErrorKind::Index { what } => what.clone(),
                _ => return Err(error),
            },
        },
        Ok(index) => {
            drop(index);
            "it knows another history than the log".to_owned()
        }
        Err(why) => why,
    };
    let index = fresh(&layout.index(manifest.generation), manifest)?;
    let replayed = replay(&index, layout, manifest, Place::BEGINNING, log.end)?;
    Ok((index, if created { IndexState::Kept } else { IndexState::Rebuilt { why } }, replayed))
}

fn replay(index: &Index, layout: &Layout, manifest: Manifest, from: Place, to: Place) -> Result<u64, Error> {
    let mut replayed = 0;
    recover::replay(layout, manifest.generation, from, to, |commit| {
        let Ok(payload) = commit.payload else { return Ok(()) }; // it was named already
        // The checksum was right, so these are the bytes that were committed, and only entries are committed.
        let changes = commit.frame().changes(payload).ok_or_else(|| {
            let path = layout.segment(manifest.generation, commit.after.segment);
            Error::damaged("a frame's content cannot be decoded", &path, commit.offset)
        })?;
        replayed += u64::from(!changes.is_empty());
        index.learn(changes, commit.after)
    })?;
    if from != to {
        index.learn(Changes::new(), to)?;
    }
    Ok(replayed)
}
