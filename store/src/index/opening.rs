//! Opening the index: is it one that we wrote, whole, and of this log?
//!
//! [`Candidate::open`] decides what the index alone can tell: it opens, its position is right, and its entries are as
//! many as the position says and add up to its sum. Every entry is read for that. Whether the log agrees is decided by
//! whoever reads the log. Any doubt has a text, and means that the index is made again.
//!
//! Even a doubtful index can have a position that is right. It is evidence that the log had come that far.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::index::position::{POSITION_KEY, Position, Tally};
use crate::index::recent::Recent;
use crate::index::{Index, entry, guard};
use crate::limits::INDEX_CACHE_BYTES;
use crate::log::recover::Place;
use crate::manifest::Manifest;

/// How long sled may take to let go of its files.
const RELEASE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

/// An index as it was found.
pub(crate) struct Candidate {
    /// How far it knows the log, if its position is right.
    pub(crate) place: Option<Place>,
    /// The index, or why it cannot be used.
    pub(crate) index: Result<Index, String>,
    /// Unfinished snapshots that were deleted.
    pub(crate) stale_snapshots: usize,
}

impl Candidate {
    /// Opens what is there. The caller holds the store's lock.
    pub(crate) fn open(folder: &Path, manifest: Manifest) -> Result<Candidate, Error> {
        if !folder.is_dir() {
            return Ok(Candidate { place: None, index: Err("it was missing".to_owned()), stale_snapshots: 0 });
        }
        let stale_snapshots = remove_stale_snapshots(folder)?;
        let tree = match open_sled(folder) {
            Ok(tree) => tree,
            Err(why) => return Ok(Candidate { place: None, index: Err(why), stale_snapshots }),
        };
        // From here on it is dropped with care, whatever is found.
        let mut index = wrap(tree, folder, manifest);
        let position = index.guarded(|tree| tree.get(POSITION_KEY));
        let (place, checked) = match (position, &index.tree) {
            (Ok(bytes), Some(tree)) => check(tree, bytes.as_deref(), manifest),
            (Ok(_), None) => (None, Err("it is closed".to_owned())),
            (Err(error), _) => (None, Err(error.to_string())),
        };
        let index = checked.map(|tally| {
            index.tally = Mutex::new(tally);
            index.recent = RwLock::new(Recent::settled(place.unwrap_or(Place::BEGINNING)));
            index
        });
        Ok(Candidate { place, index, stale_snapshots })
    }
}

fn wrap(tree: sled::Db, folder: &Path, manifest: Manifest) -> Index {
    Index {
        tree: Some(tree),
        folder: folder.to_owned(),
        store: manifest.store,
        generation: manifest.generation,
        tally: Mutex::new(Tally::default()),
        recent: RwLock::new(Recent::settled(Place::BEGINNING)),
    }
}

/// Deletes what is there and makes an empty index.
pub(crate) fn fresh(folder: &Path, manifest: Manifest) -> Result<Index, Error> {
    if folder.exists() {
        wait_until_released(folder);
        fs::remove_dir_all(folder).map_err(|error| Error::io("delete the index", folder, error))?;
    }
    // Its name need not be durable: an index may always be missing.
    let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    created.map_err(|error| Error::io("create the folder", folder, error))?;
    let tree = open_sled(folder).map_err(|what| Error::new(ErrorKind::Index { what }).at(folder))?;
    Ok(wrap(tree, folder, manifest))
}

/// sled lets go of its files on threads of its own, and until then it may still write to names in the folder.
pub(crate) fn wait_until_released(folder: &Path) {
    let deadline = Instant::now() + RELEASE;
    if let Ok(file) = fs::File::open(folder.join("db")) {
        while file.try_lock().is_err() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
    }
}

fn check(tree: &sled::Db, position: Option<&[u8]>, manifest: Manifest) -> (Option<Place>, Result<Tally, String>) {
    let Some(bytes) = position else {
        // Nothing of it had reached the disk. It lags behind as far as it can, and that is all.
        if guard::run(|| Ok(tree.is_empty())) == Ok(true) {
            return (Some(Place::BEGINNING), Ok(Tally::default()));
        }
        return (None, Err("it does not say how far it knows the log".to_owned()));
    };
    let Some(position) = Position::decode(bytes) else {
        return (None, Err("what it says of the log is not as this version writes it".to_owned()));
    };
    if (position.store, position.generation) != (manifest.store, manifest.generation) {
        return (None, Err("it belongs to another log".to_owned()));
    }
    (
        Some(position.place),
        count(tree).and_then(|found| {
            if found == position.tally {
                Ok(found)
            } else {
                let (found, wanted) = (found.count, position.tally.count);
                Err(format!("its {found} entries are not the {wanted} that it should hold"))
            }
        }),
    )
}

fn count(tree: &sled::Db) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let unreadable = guard::run(|| {
        for item in tree.iter() {
            let (key, bytes) = item?;
            if key.as_ref() == POSITION_KEY {
                continue;
            }
            if entry::decode(&bytes).is_none() {
                return Ok(true);
            }
            tally.insert(&key, &bytes);
        }
        Ok(false)
    })?;
    if unreadable { Err("an entry cannot be read".to_owned()) } else { Ok(tally) }
}

fn open_sled(folder: &Path) -> Result<sled::Db, String> {
    // Held only by us: but a store that this process dropped a moment ago may still be letting go of its files.
    let deadline = Instant::now() + RELEASE;
    loop {
        let opened = guard::run(|| {
            sled::Config::new()
                .path(folder)
                .cache_capacity(INDEX_CACHE_BYTES)
                .flush_every_ms(None) // nothing waits for the index, and the log is what is flushed
                .open()
        });
        match opened {
            Err(what) if what.contains("could not acquire lock") && Instant::now() < deadline => {
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

/// A crash while sled writes a snapshot leaves a partial file, which its next opening takes for a whole one and fails on.
fn remove_stale_snapshots(folder: &Path) -> Result<usize, Error> {
    let mut removed = 0;
    for name in durable::names(folder)? {
        if name.starts_with("snap.") && name.ends_with(".generating") {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(|error| Error::io("delete the unfinished snapshot", &path, error))?;
            removed += 1;
        }
    }
    Ok(removed)
}
