//! One process at a time.
//!
//! The lock is `flock` on the file `lock`, held until the store is dropped or its process ends, however it ends. The
//! file's content, the process id, is only told to people; it decides nothing. A child does not inherit the lock: the
//! file is opened close-on-exec.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, ErrorKind};

/// The held lock. Dropping it lets the next process in.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn acquire(path: &Path) -> Result<Lock, Error> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| Error::io("open the lock", path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(ErrorKind::Held { pid: holder(&mut file) }).at(path));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("take the lock", path, error)),
        }
        // The number helps people only. On a full disk the store must still open, so a failure here is none.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        Ok(Lock { _file: file })
    }
}

impl Lock {
    /// Keeps others from opening the store, and changes nothing; `None` when there is no lock, as in a backup.
    pub(crate) fn share(path: &Path) -> Result<Option<Lock>, Error> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open the lock", path, error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(Error::new(ErrorKind::Held { pid: holder(&mut file) }).at(path)),
            Err(TryLockError::Error(error)) => Err(Error::io("take the lock", path, error)),
        }
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
