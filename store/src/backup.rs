//! A copy of an open store at one point in the order of its commits, and making a store of it again.
//!
//! A backup is a folder: a store in compacted form, with a manifest that says that it is a backup. It has the key, so it
//! must be kept as safe as the store itself. It is made under a temporary name beside its own and renamed when all of it
//! is durable. What an interrupted backup left is deleted by the next one beside it.
//!
//! The log is copied while commits go on (`log/copy.rs`); the point is the end that the log has after that. From just
//! before that point on nothing is deleted until blobs and sealed files are copied too, so everything is there that a
//! commit up to the point refers to.
//!
//! A restored store has the same id, the next incarnation, and is held: things were done after the backup that it does
//! not know of.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::blobs::Blobs;
use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::layout::Layout;
use crate::lock::Lock;
use crate::log::copy::{self, Sink};
use crate::log::generation::{Generation, Kept, Settings};
use crate::log::recover::Place;
use crate::manifest::{FORMAT, Held, Manifest, Origin};
use crate::options::{Faults, Step};
use crate::sealed::Sealed;
use crate::shared::Shared;
use crate::staging::Staging;
use crate::verify::{Problem, verify};

/// How the name of a backup ends that is being made.
const UNFINISHED: &str = ".anneal-backup.tmp";

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Where it is.
    pub folder: PathBuf,
    /// Of which store.
    pub store: Uuid,
    /// The last sequence in it.
    pub sequence: u64,
    /// When, in milliseconds of UTC, as the caller said.
    pub at_ms: u64,
    /// Blobs in it.
    pub blobs: u64,
    /// Sealed files in it.
    pub sealed: u64,
    /// Its size.
    pub bytes: u64,
    /// Blobs and sealed files that are damaged, and are not in it.
    pub left_out: Vec<PathBuf>,
}

/// A store that was made of a backup or of an exported file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The store's id.
    pub store: Uuid,
    /// Its incarnation, one more than that of the backup.
    pub incarnation: u32,
    /// It is held.
    pub held: Held,
    /// How many commits it has.
    pub commits: u64,
    /// How many blobs.
    pub blobs: u64,
    /// How many sealed files.
    pub sealed: u64,
}

impl Sink for Generation {
    fn commit(&mut self, kept: &Kept<'_>) -> Result<(), Error> {
        self.add(kept).map(drop)
    }
}

/// Copies the log of an open store up to a point, after which `pin` holds its guard.
pub(crate) fn copy_log<G>(shared: &Shared, sink: &mut dyn Sink, pin: impl FnOnce() -> G) -> Result<(Place, G), Error> {
    let index = Arc::clone(&shared.view().index);
    let go_on = || shared.go_on();
    let source = shared.source(&index, &go_on);
    let first = index.place();
    copy::live(&source, first, sink)?;
    let second = index.place();
    copy::rest(&source, first, second, sink)?;
    let guard = pin();
    let end = index.place();
    copy::rest(&source, second, end, sink)?;
    Ok((end, guard))
}

pub(crate) fn make(shared: &Shared, blobs: &Blobs, sealed: &Sealed, to: &Path, at_ms: u64) -> Result<Backup, Error> {
    let _turn = shared.turn();
    if fs::symlink_metadata(to).is_ok() {
        return Err(Error::new(ErrorKind::Exists).at(to));
    }
    let Some(name) = to.file_name() else { return Err(Error::new(ErrorKind::Exists).at(to)) };
    let parent = to.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    remove_unfinished(parent)?;
    let temporary = to.with_file_name(format!(".{}{UNFINISHED}", name.to_string_lossy()));
    durable::create_folder(&temporary, &shared.settings.counters)?;
    let _lock = Lock::acquire(&Layout::new(&temporary).lock())?;
    let made = fill(shared, blobs, sealed, to, &temporary, at_ms).and_then(|backup| {
        shared.settings.fault(Step::Place, "rename the backup to its name")?;
        fs::rename(&temporary, to).map_err(|error| Error::io("rename the backup to its name", to, error))?;
        durable::sync_folder(parent, &shared.settings.counters)?;
        Ok(backup)
    });
    if made.is_err() {
        let _ = remove(&temporary); // the next backup beside it deletes it too
    }
    made
}

fn fill(
    shared: &Shared,
    blobs: &Blobs,
    sealed: &Sealed,
    to: &Path,
    temporary: &Path,
    at_ms: u64,
) -> Result<Backup, Error> {
    let counters = &shared.settings.counters;
    let layout = Layout::new(temporary);
    for folder in [layout.root().to_owned(), layout.log(), layout.blobs(), layout.secrets(), layout.records()] {
        durable::create_folder(&folder, counters)?;
    }
    let manifest = *shared.manifest();
    let settings = Settings { layout: layout.clone(), generation: 1, ..shared.settings.clone() };
    let mut log = Generation::begin(settings)?;
    let (end, (sealed_pin, blobs_pin)) = copy_log(shared, &mut log, || (sealed.pin(), blobs.pin()))?;
    let mut left_out = Vec::new();
    let sealed_count = copy_sealed(shared, sealed, &layout, &mut left_out)?;
    drop(sealed_pin);
    let blob_count = copy_blobs(shared, blobs, &layout, &mut left_out)?;
    drop(blobs_pin);
    let sequence = log.finish(end.sequence + 1)?.end.sequence;
    let origin = Origin::Backup(Held { from_sequence: sequence, backed_up_at_ms: at_ms });
    let manifest = Manifest { format: FORMAT, generation: 1, base: sequence, origin, ..manifest };
    manifest.write(&layout.manifest(), counters)?;
    Ok(Backup {
        folder: to.to_owned(),
        store: manifest.store,
        sequence,
        at_ms,
        blobs: blob_count,
        sealed: sealed_count,
        bytes: durable::size_of(temporary)?,
        left_out,
    })
}

fn copy_sealed(shared: &Shared, sealed: &Sealed, to: &Layout, left_out: &mut Vec<PathBuf>) -> Result<u64, Error> {
    let counters = &shared.settings.counters;
    let from = &shared.layout;
    if from.key().exists() {
        shared.settings.fault(Step::CopyFile, "copy the key")?;
        durable::copy_file(&from.key(), &to.key(), counters)?;
    } else {
        left_out.push(from.key());
    }
    let mut count = 0;
    for (path, operation) in sealed.paths()? {
        shared.settings.fault(Step::CopyFile, "copy a sealed file")?;
        if sealed.check(&path).is_err() {
            left_out.push(path);
            continue;
        }
        let folder = if operation.is_some() { to.secrets() } else { to.records() };
        durable::copy_file(&path, &folder.join(path.file_name().unwrap_or_default()), counters)?;
        count += 1;
    }
    durable::sync_folder(&to.records(), counters)?;
    durable::sync_folder(&to.secrets(), counters)?;
    durable::sync_folder(to.root(), counters)?;
    Ok(count)
}

fn copy_blobs(shared: &Shared, blobs: &Blobs, to: &Layout, left_out: &mut Vec<PathBuf>) -> Result<u64, Error> {
    let Settings { reserve_bytes, counters, .. } = &shared.settings;
    let copies = Blobs::reading(to.blobs(), Arc::clone(counters), *reserve_bytes);
    let mut count = 0;
    for digest in blobs.digests()? {
        shared.go_on()?;
        shared.settings.fault(Step::CopyFile, "copy a blob")?;
        match copies.put_reader(blobs.reader(&digest)?) {
            Ok(_) => count += 1,
            Err(error) if is_damage(&error) => left_out.push(blobs.path(&digest)),
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Whether the blob that was read is at fault, and not the disk.
fn is_damage(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::InvalidData)
}

/// Makes a store of a backup, in a folder that holds none. The backup is verified first, and not changed.
///
/// # Errors
/// [`ErrorKind::NoBackup`], [`ErrorKind::Damaged`] when the backup is not as it was written, [`ErrorKind::Exists`] when
/// `to` holds a store, [`ErrorKind::Full`], [`ErrorKind::Io`]: nothing is left behind.
pub fn restore(backup: &Path, to: &Path) -> Result<Restored, Error> {
    restore_with(backup, to, None)
}

/// As [`restore`], with faults for tests.
///
/// # Errors
/// As for [`restore`].
#[doc(hidden)]
pub fn restore_with(backup: &Path, to: &Path, faults: Option<Faults>) -> Result<Restored, Error> {
    let from = Layout::new(backup);
    let (manifest, made) = match Manifest::read(&from.manifest())? {
        Some(manifest) => match manifest.origin {
            Origin::Backup(made) => (manifest, made),
            Origin::Free | Origin::Held(_) => return Err(Error::new(ErrorKind::NoBackup).at(backup)),
        },
        None => return Err(Error::new(ErrorKind::NoBackup).at(backup)),
    };
    let found = verify(backup)?;
    // A store whose key is lost is better than none.
    let key_missing = !from.key().exists();
    let expected = |problem: &Problem| problem.recorded || (key_missing && problem.file == from.key());
    if let Some(problem) = found.problems.iter().find(|problem| !expected(problem)) {
        let error = Error::new(ErrorKind::Damaged { what: problem.what.clone() }).at(&problem.file);
        return Err(problem.at.into_iter().fold(error, Error::offset_at));
    }
    let staging = Staging::begin(to, faults)?;
    for (from, to) in from.parts().iter().zip(&staging.layout.parts()) {
        if from.is_dir() {
            durable::copy_folder(from, to, &staging.counters, &mut |path| staging.fault(Step::CopyFile, path))?;
        } else if from.exists() {
            staging.fault(Step::CopyFile, from)?;
            durable::copy_file(from, to, &staging.counters)?;
        }
    }
    let incarnation = manifest.incarnation.saturating_add(1);
    staging.place(Manifest { format: FORMAT, incarnation, origin: Origin::Held(made), ..manifest })?;
    Ok(Restored {
        store: manifest.store,
        incarnation,
        held: made,
        commits: found.commits,
        blobs: found.blobs,
        sealed: found.sealed,
    })
}

/// Deletes what interrupted backups left in a folder, of whatever name; one that is being made is locked.
fn remove_unfinished(parent: &Path) -> Result<(), Error> {
    for name in durable::names(parent)? {
        let folder = parent.join(&name);
        if name.starts_with('.') && name.ends_with(UNFINISHED) && folder.is_dir() {
            match Lock::share(&Layout::new(&folder).lock()) {
                Ok(_) => remove(&folder)?,
                Err(error) if matches!(error.kind(), ErrorKind::Held { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if folder.exists() => Err(Error::io("delete the unfinished backup", folder, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
