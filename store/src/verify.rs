//! Looking at everything that a store holds, without changing it.
//!
//! Every frame is read and its place in the order compared; the index is compared with what the log says at the index's
//! own place, entry by entry; every blob is hashed, every sealed file opened. A store that is closed is verified where it
//! lies, on a folder that cannot be written too: sled can only open what it may write, so the index is copied to the
//! folder for temporary files first.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::blobs::Blobs;
use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::index::opening::{Candidate, wait_until_released};
use crate::index::position::hash;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::log::recover::{self, LOST, Place, Replayed};
use crate::manifest::Manifest;
use crate::report::Torn;
use crate::sealed::Sealed;
use crate::shared::Shared;
use crate::stats::Counters;

/// What a verification looked at, and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Frames of the log: commits and marks.
    pub frames: u64,
    /// Commits whose content is there.
    pub commits: u64,
    /// Keys that are live.
    pub keys: u64,
    /// Blobs.
    pub blobs: u64,
    /// Sealed files.
    pub sealed: u64,
    /// Bytes of frames, blobs and sealed files that were read.
    pub bytes: u64,
    /// The end of a write that was never acknowledged; the next opening cuts it off. It is no problem.
    pub torn: Option<Torn>,
    /// What is wrong; empty when all is as it should be.
    pub problems: Vec<Problem>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file or folder.
    pub file: PathBuf,
    /// Where in the file.
    pub at: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// The operation that it belongs to, if it is known.
    pub operation: Option<[u8; 16]>,
    /// What to do.
    pub hint: &'static str,
    /// Whether the store says so itself: it was found earlier, and a backup carries it along.
    pub recorded: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if let Some(operation) = self.operation {
            write!(f, ", of operation {}", Uuid::from_bytes(operation))?;
        }
        match self.at {
            Some(at) => write!(f, " ({} at byte {at})", self.file.display()),
            None => write!(f, " ({})", self.file.display()),
        }
    }
}

const LOST_COMMIT: &str =
    "its operation must not go on; restore a backup from before, or mend by hand what it was doing";
const STALE_INDEX: &str =
    "nothing is lost: the index is made again at the next opening, or delete it while the store is closed";
const RESTORE: &str = "restore a backup";

/// Verifies a store that is closed, or a backup. Nothing is changed.
///
/// # Errors
/// [`ErrorKind::Held`] when a process has it open, [`ErrorKind::NewerFormat`], [`ErrorKind::Missing`] when it holds no
/// store, and [`ErrorKind::Io`]. All else that is wrong is a [`Problem`].
pub fn verify(dir: &Path) -> Result<Verification, Error> {
    let layout = Layout::new(dir);
    let _lock = Lock::share(&layout.lock())?;
    let mut found = Verification::default();
    let manifest = match Manifest::read(&layout.manifest()) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return Err(Error::new(ErrorKind::Missing { what: "the manifest".into() }).at(&layout.manifest())),
        Err(error) => {
            found.error(error, RESTORE)?;
            return Ok(found);
        }
    };
    if manifest.generation > 0 {
        found.log(&layout, manifest)?;
        found.files(&layout)?;
    }
    Ok(found)
}

/// Verifies a store that is open.
pub(crate) fn open(shared: &Shared) -> Result<Verification, Error> {
    let mut found = Verification::default();
    {
        let _turn = shared.turn(); // the generation stays
        let manifest = *shared.manifest();
        let (place, sums) = shared.view().index.sums()?;
        let mut fold = Fold::default();
        let replayed = fold.replay(&mut found, &shared.layout, manifest, Place::BEGINNING, place);
        match replayed {
            Ok(()) => fold.compare(&mut found, &shared.layout.index(manifest.generation), &sums),
            Err(error) => found.error(error, RESTORE)?,
        }
        found.keys = fold.live.len() as u64;
    }
    found.files(&shared.layout)?;
    Ok(found)
}

/// What the log says is live, by the sums of keys and entries.
#[derive(Default)]
struct Fold {
    live: HashMap<u64, u64>,
    /// Whether a commit is missing in it that the index may know.
    gaps: bool,
}

impl Fold {
    fn replay(
        &mut self,
        found: &mut Verification,
        layout: &Layout,
        manifest: Manifest,
        from: Place,
        to: Place,
    ) -> Result<(), Error> {
        recover::replay(layout, manifest.generation, from, to, |commit| {
            self.frame(found, layout, manifest.generation, &commit);
            Ok(())
        })
    }

    fn frame(&mut self, found: &mut Verification, layout: &Layout, generation: u64, commit: &Replayed<'_>) {
        found.frames += 1;
        found.bytes += commit.header.frame_size();
        let changes = commit.payload.map(|payload| commit.frame().changes(payload));
        let what = match &changes {
            Ok(Some(_)) if commit.header.lost => LOST,
            Ok(Some(_)) => "",
            Ok(None) => "a frame's content cannot be decoded",
            Err(what) => what,
        };
        if !what.is_empty() {
            found.problems.push(Problem {
                file: layout.segment(generation, commit.after.segment),
                at: Some(commit.offset),
                what: format!("commit {}: {what}", commit.header.sequence),
                operation: commit.header.operation,
                hint: LOST_COMMIT,
                recorded: commit.header.lost,
            });
        }
        let Ok(Some(changes)) = changes else {
            self.gaps = true;
            return;
        };
        found.commits += u64::from(!commit.header.mark && !commit.header.lost);
        for (key, entry) in changes {
            match entry {
                Some(entry) => drop(self.live.insert(hash(&key, b""), hash(&key, &entry))),
                None => drop(self.live.remove(&hash(&key, b""))),
            }
        }
    }

    /// Compares with an index that goes as far.
    fn compare(&self, found: &mut Verification, folder: &Path, index: &HashSet<u64>) {
        let agree = self.live.values().filter(|sum| index.contains(sum)).count();
        if self.gaps || (agree == self.live.len() && agree == index.len()) {
            return; // where a commit is lost, the index may know better than the log, and that is named already
        }
        let (log, more) = (self.live.len(), index.len() - agree);
        let what =
            format!("of {log} keys of the log the index has {agree} right, and {more} that the log does not have");
        found.problems.push(Problem::of_index(folder, what));
    }
}

impl Problem {
    fn of_index(folder: &Path, what: String) -> Problem {
        Problem { file: folder.to_owned(), at: None, what, operation: None, hint: STALE_INDEX, recorded: false }
    }
}

impl Verification {
    /// An error that is about what was stored becomes a problem.
    fn error(&mut self, error: Error, hint: &'static str) -> Result<(), Error> {
        if matches!(error.kind(), ErrorKind::NewerFormat { .. } | ErrorKind::Held { .. }) {
            return Err(error);
        }
        self.problems.push(Problem {
            file: error.path().map(Path::to_owned).unwrap_or_default(),
            at: error.offset(),
            what: error.kind().to_string(),
            operation: None,
            hint,
            recorded: false,
        });
        Ok(())
    }

    fn log(&mut self, layout: &Layout, manifest: Manifest) -> Result<(), Error> {
        let copy = IndexCopy::make(&layout.index(manifest.generation))?;
        let candidate = Candidate::open(&copy.0, manifest)?;
        let log = match recover::scan(layout, manifest, candidate.place) {
            Ok(log) => log,
            Err(error) => return self.error(error, RESTORE),
        };
        self.torn = log.torn;
        let mut fold = Fold::default();
        let mut from = Place::BEGINNING;
        let folder = layout.index(manifest.generation);
        match candidate.index {
            Ok(index) if log.index_agrees => {
                let (place, sums) = index.sums()?;
                fold.replay(self, layout, manifest, from, place)?;
                fold.compare(self, &folder, &sums);
                from = place;
            }
            Ok(_) => self.problems.push(Problem::of_index(&folder, "it knows another history than the log".into())),
            Err(_) if !folder.is_dir() => {} // it may be missing
            Err(why) => self.problems.push(Problem::of_index(&folder, why)),
        }
        fold.replay(self, layout, manifest, from, log.end)?;
        self.keys = fold.live.len() as u64;
        Ok(())
    }

    fn files(&mut self, layout: &Layout) -> Result<(), Error> {
        for folder in [layout.blobs(), layout.secrets(), layout.records()] {
            if !folder.is_dir() {
                self.error(Error::new(ErrorKind::Missing { what: "a folder".to_owned() }).at(&folder), RESTORE)?;
            }
        }
        if layout.blobs().is_dir() {
            let blobs = Blobs::reading(layout.blobs(), Arc::default(), 0);
            for digest in blobs.digests()? {
                self.blob(&blobs, &digest)?;
            }
        }
        if layout.records().is_dir() {
            self.sealed(&Sealed::reading(layout.clone(), Arc::default()))?;
        }
        Ok(())
    }

    fn blob(&mut self, blobs: &Blobs, digest: &crate::Digest) -> Result<(), Error> {
        match blobs.check(digest) {
            Ok(size) => {
                self.blobs += 1;
                self.bytes += size;
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::NoSuchBlob { .. }) => Ok(()), // deleted meanwhile
            Err(error) => self.error(error, "store the same content again, or restore the file from a backup"),
        }
    }

    fn sealed(&mut self, sealed: &Sealed) -> Result<(), Error> {
        if let Some(error) = sealed.key_error() {
            return self
                .error(error.clone(), "restore the file `key` from a backup: without it no sealed file can be read");
        }
        for (path, operation) in sealed.paths()? {
            match sealed.check(&path) {
                Ok(()) => {
                    self.sealed += 1;
                    self.bytes += fs::metadata(&path).map_or(0, |found| found.len());
                }
                Err(error) => {
                    let operation = operation.map(Uuid::into_bytes);
                    self.error(error, "restore the file from a backup, or enter the secrets again")?;
                    if let Some(problem) = self.problems.last_mut() {
                        problem.operation = operation;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A copy of an index that may be written, deleted at the end.
struct IndexCopy(PathBuf);

impl IndexCopy {
    fn make(folder: &Path) -> Result<IndexCopy, Error> {
        let to = std::env::temp_dir().join(format!("anneal-verify-{}", Uuid::now_v7()));
        let copy = IndexCopy(to.join("index"));
        fs::DirBuilder::new().mode(0o700).create(&to).map_err(|error| Error::io("create the folder", &to, error))?;
        if folder.is_dir() {
            durable::copy_folder(folder, &copy.0, &Counters::default(), &mut |_| Ok(()))?;
        }
        Ok(copy)
    }
}

impl Drop for IndexCopy {
    fn drop(&mut self) {
        wait_until_released(&self.0);
        if let Some(folder) = self.0.parent() {
            let _ = fs::remove_dir_all(folder); // what stays is in the folder for temporary files
        }
    }
}
