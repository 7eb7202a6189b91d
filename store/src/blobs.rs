//! Large things, each in a file that is named after its content.
//!
//! `blobs/ab/cdef…` holds the bytes whose SHA-256 is `abcdef…`. Equal ones are stored once.
//!
//! Invariants: a blob that `put` returned is durable, file and name; a blob that can be seen is whole; what `get` returns
//! has the digest that was asked for. All calls wait for the disk: asynchronous callers use `spawn_blocking`.
//!
//! A blob is put before the commit that refers to it, so for a while nothing does. [`Blobs::sweep`] therefore spares what
//! was put a short while ago, and a put of what is there already counts as one: it sets the file's time of change anew.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use crate::digest::{Digest, Hasher};
use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::layout::TEMPORARY;
use crate::limits::{BLOB_BYTES, BLOB_MEMORY_BYTES, KNOWN_BLOBS};
use crate::stats::{Counters, add};

const CHUNK: usize = 256 * 1024;

/// What a sweep deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many blobs.
    pub count: u64,
    /// Their size.
    pub bytes: u64,
}

/// The blobs of a store.
#[derive(Debug)]
pub struct Blobs {
    folder: PathBuf,
    counters: Arc<Counters>,
    reserve_bytes: u64,
    next: AtomicU64,
    /// Held while something is deleted, and by a copy of the store for as long as nothing may be.
    deleting: Mutex<()>,
    /// Held for reading while a blob gets its name or a new time, and for writing while one is deleted.
    naming: RwLock<()>,
    /// Whether the names of the folders in the folder are durable. Held while one is made, so that nobody uses it before.
    folders_durable: Mutex<bool>,
    /// Blobs whose names this process made durable and did not delete: putting one again costs no flush. It may know too few.
    known: Mutex<HashSet<Digest>>,
}

impl Blobs {
    /// Deletes what an earlier process did not finish; gives how many files that were.
    pub(crate) fn open(folder: PathBuf, counters: Arc<Counters>, reserve_bytes: u64) -> Result<(Blobs, usize), Error> {
        let stale = durable::remove_temporaries(&folder)?;
        Ok((Blobs::reading(folder, counters, reserve_bytes), stale))
    }

    /// Without changing anything.
    pub(crate) fn reading(folder: PathBuf, counters: Arc<Counters>, reserve_bytes: u64) -> Blobs {
        Blobs {
            folder,
            counters,
            reserve_bytes,
            next: AtomicU64::new(0),
            deleting: Mutex::new(()),
            naming: RwLock::new(()),
            folders_durable: Mutex::new(false),
            known: Mutex::default(),
        }
    }

    /// Nothing is deleted while the guard is held.
    pub(crate) fn pin(&self) -> MutexGuard<'_, ()> {
        self.deleting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores these bytes.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] over [`BLOB_MEMORY_BYTES`]; [`ErrorKind::Full`] and [`ErrorKind::Io`] of the disk.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let size = bytes.len() as u64;
        if size > BLOB_MEMORY_BYTES {
            return Err(Error::too_large("BLOB_MEMORY_BYTES", size, BLOB_MEMORY_BYTES));
        }
        let digest = Digest::of(bytes);
        let known = self.known().contains(&digest); // before the look: a name that is made anew meanwhile is not known
        if self.refresh(&digest) {
            if !known {
                // It is whole; but whoever put it may have died before its name was durable.
                let path = self.path(&digest);
                durable::sync_folder(self.ready(&path)?, &self.counters)?;
                self.learn(digest);
            }
            return Ok(digest);
        }
        let temporary = self.temporary();
        let mut file = durable::create_file(&temporary)?;
        let written = durable::check_space(&file, &self.folder, size, self.reserve_bytes)
            .and_then(|()| file.write_all(bytes).map_err(|error| Error::io("write the blob", &temporary, error)));
        match written {
            Ok(()) => self.publish(&file, &temporary, digest, size),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// Stores what a reader gives, with little memory.
    ///
    /// # Errors
    /// As for [`put`](Self::put), with the limit [`BLOB_BYTES`]; and [`ErrorKind::Io`] when the reader fails.
    pub fn put_reader(&self, mut reader: impl Read) -> Result<Digest, Error> {
        let temporary = self.temporary();
        let mut file = durable::create_file(&temporary)?;
        match self.copy(&mut reader, &mut file, &temporary) {
            Ok((digest, size)) => self.publish(&file, &temporary, digest, size),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// A blob's bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchBlob`], [`ErrorKind::DamagedBlob`], [`ErrorKind::TooLarge`] over [`BLOB_MEMORY_BYTES`].
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let (mut file, path) = self.open_file(digest)?;
        let failed = |error| Error::io("read the blob", &path, error);
        let size = file.metadata().map_err(failed)?.len();
        if size > BLOB_MEMORY_BYTES {
            return Err(Error::too_large("BLOB_MEMORY_BYTES", size, BLOB_MEMORY_BYTES).at(&path));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        file.read_to_end(&mut bytes).map_err(failed)?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(Error::new(ErrorKind::DamagedBlob { digest: *digest }).at(&path))
        }
    }

    /// Reads a blob piece by piece. The last read fails with [`io::ErrorKind::InvalidData`] if the content does not have
    /// the digest, so what was read before counts only when the end was reached.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchBlob`], [`ErrorKind::Io`].
    pub fn reader(&self, digest: &Digest) -> Result<BlobReader, Error> {
        let (file, _) = self.open_file(digest)?;
        Ok(BlobReader { file, digest: *digest, hasher: Some(Hasher::new()) })
    }

    /// Reads a blob to its end; gives its size.
    pub(crate) fn check(&self, digest: &Digest) -> Result<u64, Error> {
        let path = self.path(digest);
        let size = io::copy(&mut self.reader(digest)?, &mut io::sink());
        size.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Error::new(ErrorKind::DamagedBlob { digest: *digest }).at(&path),
            _ => Error::io("read the blob", &path, error),
        })
    }

    /// Whether there is such a blob. Its content is not looked at.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// A blob's size.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchBlob`], [`ErrorKind::Io`].
    pub fn size(&self, digest: &Digest) -> Result<u64, Error> {
        let (file, path) = self.open_file(digest)?;
        Ok(file.metadata().map_err(|error| Error::io("read the blob", &path, error))?.len())
    }

    /// Where a blob lies, whether it is there or not. Nobody may change that file.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let (folder, name) = hex.split_at(2);
        self.folder.join(folder).join(name)
    }

    /// All blobs, sorted.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn digests(&self) -> Result<Vec<Digest>, Error> {
        let mut digests = Vec::new();
        for folder in durable::names(&self.folder)? {
            if folder.len() == 2 {
                let names = durable::names(&self.folder.join(&folder))?;
                digests.extend(names.iter().filter_map(|name| Digest::from_hex(&format!("{folder}{name}"))));
            }
        }
        Ok(digests)
    }

    /// Deletes a blob that nothing needs any more; `false` when there was none.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn remove(&self, digest: &Digest) -> Result<bool, Error> {
        let _deleting = self.pin();
        let _naming = self.naming.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.known().remove(digest);
        durable::remove_file(&self.path(digest), &self.counters)
    }

    fn known(&self) -> MutexGuard<'_, HashSet<Digest>> {
        // A set of digests is whole after every statement that changes it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, digest: Digest) {
        let mut known = self.known();
        if known.len() as u64 >= KNOWN_BLOBS {
            known.clear();
        }
        known.insert(digest);
    }

    /// Deletes the blobs that `keep` does not want and that were not put within the last `grace`. A blob whose put is not
    /// followed by the commit that refers to it within that time may be gone; an hour is ample.
    ///
    /// `keep` is asked once for each blob that is old enough, after which a put of that blob still saves it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]: some may have been deleted, which is told by the next sweep.
    pub fn sweep(&self, keep: &dyn Fn(&Digest) -> bool, grace: Duration) -> Result<Swept, Error> {
        let _deleting = self.pin();
        let (mut swept, mut folders) = (Swept::default(), BTreeSet::new());
        for digest in self.digests()? {
            let path = self.path(&digest);
            if self.old(&path, grace)?.is_none() || keep(&digest) {
                continue;
            }
            let _naming = self.naming.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(size) = self.old(&path, grace)? {
                self.known().remove(&digest);
                fs::remove_file(&path).map_err(|error| Error::io("delete the blob", &path, error))?;
                swept.count += 1;
                swept.bytes += size;
                folders.extend(path.parent().map(Path::to_owned));
            }
        }
        for folder in folders {
            durable::sync_folder(&folder, &self.counters)?;
        }
        Ok(swept)
    }

    /// A blob's size, if it was put longer ago than `grace`.
    fn old(&self, path: &Path, grace: Duration) -> Result<Option<u64>, Error> {
        let failed = |error| Error::io("look at the blob", path, error);
        let found = fs::metadata(path).map_err(failed)?;
        // A time in the future is no age: such a blob stays until the clock has come that far.
        let age = found.modified().map_err(failed)?.elapsed();
        Ok(age.is_ok_and(|age| age >= grace).then_some(found.len()))
    }

    /// Whether a blob is there, whole, and safe from a sweep for a while from now on.
    fn refresh(&self, digest: &Digest) -> bool {
        let _naming = self.naming.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.get(digest).is_ok()
            && self.open_file(digest).is_ok_and(|(file, _)| file.set_modified(SystemTime::now()).is_ok())
    }

    fn open_file(&self, digest: &Digest) -> Result<(File, PathBuf), Error> {
        let path = self.path(digest);
        match File::open(&path) {
            Ok(file) => Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::NoSuchBlob { digest: *digest }).at(&path))
            }
            Err(error) => Err(Error::io("open the blob", &path, error)),
        }
    }

    fn temporary(&self) -> PathBuf {
        self.folder.join(format!("{}{TEMPORARY}", self.next.fetch_add(1, Ordering::Relaxed)))
    }

    fn copy(&self, reader: &mut impl Read, file: &mut File, path: &Path) -> Result<(Digest, u64), Error> {
        let (mut hasher, mut size, mut buffer) = (Hasher::new(), 0, vec![0; CHUNK]);
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => return Ok((hasher.finish(), size)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("read what is to become a blob", path, error)),
            };
            size += count as u64;
            if size > BLOB_BYTES {
                return Err(Error::too_large("BLOB_BYTES", size, BLOB_BYTES));
            }
            durable::check_space(file, &self.folder, count as u64, self.reserve_bytes)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            hasher.update(bytes);
            file.write_all(bytes).map_err(|error| Error::io("write the blob", path, error))?;
        }
    }

    fn publish(&self, file: &File, temporary: &Path, digest: Digest, size: u64) -> Result<Digest, Error> {
        let path = self.path(&digest);
        let _naming = self.naming.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let published = self.ready(&path).and_then(|_| durable::publish(file, temporary, &path, &self.counters));
        if published.is_err() {
            let _ = fs::remove_file(temporary);
        }
        add(&self.counters.bytes_written, size);
        published?;
        self.learn(digest);
        Ok(digest)
    }

    /// Makes the folder of a blob, if there is none, and its name durable.
    fn ready<'a>(&self, path: &'a Path) -> Result<&'a Path, Error> {
        let folder = path.parent().unwrap_or(path);
        let mut durable = self.folders_durable.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        durable::create_folder(folder, &self.counters)?;
        if !*durable {
            // A process before this one may have made folders and died before their names were durable.
            durable::sync_folder(&self.folder, &self.counters)?;
            *durable = true;
        }
        Ok(folder)
    }
}

/// Reads a blob and compares its digest at the end.
pub struct BlobReader {
    file: File,
    digest: Digest,
    /// `None` after the end.
    hasher: Option<Hasher>,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(buffer.get(..count).unwrap_or_default());
            }
        } else if !buffer.is_empty()
            && let Some(hasher) = self.hasher.take()
            && hasher.finish() != self.digest
        {
            let kind = ErrorKind::DamagedBlob { digest: self.digest };
            return Err(io::Error::new(io::ErrorKind::InvalidData, Error::new(kind)));
        }
        Ok(count)
    }
}
