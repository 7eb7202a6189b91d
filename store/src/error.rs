//! What can go wrong, told for people: what happened, where, and what to do.
//!
//! Invariants: an error never carries a value, a secret or a key of the cipher (I8); every kind has a stable code; the
//! cause is kept as [`source`](std::error::Error::source). An error is cheap to clone, because every commit of a group
//! that could not be written gets the same one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Digest;

/// What kind of thing went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another process has the store open.
    Held {
        /// The process, when its lock file says so.
        pid: Option<u32>,
    },
    /// The store was written by a newer version. Nothing was changed.
    NewerFormat {
        /// The format that was found.
        found: u16,
        /// The newest format that this version reads.
        supported: u16,
    },
    /// A part of the store is not there, although other parts are.
    Missing {
        /// The part.
        what: String,
    },
    /// Something that was stored is not as it was written.
    Damaged {
        /// What is wrong with it.
        what: String,
    },
    /// The log was damaged while it was open. Nothing was changed.
    NewDamage {
        /// What is wrong with it.
        what: String,
    },
    /// The folder is a backup, which is restored and not used.
    IsBackup,
    /// The folder is no backup.
    NoBackup,
    /// A restore or an import into the folder was not finished.
    Unfinished,
    /// There is something already where something is to be made.
    Exists,
    /// An exported file is not as it was written.
    BadExport {
        /// What is wrong with it.
        what: String,
        /// In which line, from 1.
        line: u64,
    },
    /// An expectation of the batch was not met; nothing of the batch was written.
    Conflict {
        /// The key whose expectation was not met.
        key: Vec<u8>,
    },
    /// Something is over a limit; nothing was written.
    TooLarge {
        /// The limit's name in [`limits`](crate::limits).
        limit: &'static str,
        /// How large it is.
        size: u64,
        /// How large it may be.
        max: u64,
    },
    /// A key has no bytes.
    EmptyKey,
    /// The disk is full; nothing of the batch was written and the store stays usable.
    Full,
    /// The operating system refused something.
    Io {
        /// What was being done.
        doing: &'static str,
    },
    /// The index could not be opened, even as a new one.
    Index {
        /// What the index said.
        what: String,
    },
    /// The store was closed.
    Closed,
    /// The store stopped after a failure that leaves nothing to be trusted; see the log of the process.
    Stopped,
    /// The blob's content does not have its digest.
    DamagedBlob {
        /// The blob.
        digest: Digest,
    },
    /// There is no such blob.
    NoSuchBlob {
        /// The blob.
        digest: Digest,
    },
    /// A text is not a digest.
    BadDigest,
    /// The key of the sealed files is not there.
    KeyMissing,
    /// The sealed file was written with another key, or the key file is not one.
    WrongKey,
    /// A sealed file is not as it was written.
    DamagedSecrets {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A record's name has characters that are not allowed.
    BadName {
        /// The name.
        name: String,
    },
}

/// What went wrong in the store.
#[derive(Clone)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    path: Option<PathBuf>,
    offset: Option<u64>,
    source: Option<Arc<io::Error>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Error {
        Error { inner: Box::new(Inner { kind, path: None, offset: None, source: None }) }
    }

    /// An error of the operating system; a full disk becomes [`ErrorKind::Full`].
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Error {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
            _ => ErrorKind::Io { doing },
        };
        let mut error = Error::new(kind).at(path);
        error.inner.source = Some(Arc::new(source));
        error
    }

    pub(crate) fn damaged(what: impl Into<String>, path: &Path, offset: u64) -> Error {
        Error::new(ErrorKind::Damaged { what: what.into() }).at(path).offset_at(offset)
    }

    pub(crate) fn too_large(limit: &'static str, size: u64, max: u64) -> Error {
        Error::new(ErrorKind::TooLarge { limit, size, max })
    }

    pub(crate) fn at(mut self, path: &Path) -> Error {
        self.inner.path = Some(path.to_owned());
        self
    }

    pub(crate) fn offset_at(mut self, offset: u64) -> Error {
        self.inner.offset = Some(offset);
        self
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.inner.kind
    }

    /// The file or folder that it is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// The offset in that file.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.inner.offset
    }

    /// A code that stays the same from version to version.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind() {
            ErrorKind::Held { .. } => "A0801",
            ErrorKind::NewerFormat { .. } => "A0802",
            ErrorKind::Missing { .. } => "A0803",
            ErrorKind::Damaged { .. } => "A0804",
            ErrorKind::Conflict { .. } => "A0805",
            ErrorKind::TooLarge { .. } => "A0806",
            ErrorKind::Full => "A0807",
            ErrorKind::Io { .. } => "A0808",
            ErrorKind::Index { .. } => "A0809",
            ErrorKind::Closed => "A0810",
            ErrorKind::Stopped => "A0811",
            ErrorKind::DamagedBlob { .. } => "A0812",
            ErrorKind::NoSuchBlob { .. } => "A0813",
            ErrorKind::BadDigest => "A0814",
            ErrorKind::KeyMissing => "A0815",
            ErrorKind::WrongKey => "A0816",
            ErrorKind::DamagedSecrets { .. } => "A0817",
            ErrorKind::BadName { .. } => "A0818",
            ErrorKind::EmptyKey => "A0819",
            ErrorKind::NewDamage { .. } => "A0820",
            ErrorKind::IsBackup => "A0821",
            ErrorKind::Unfinished => "A0822",
            ErrorKind::Exists => "A0823",
            ErrorKind::BadExport { .. } => "A0824",
            ErrorKind::NoBackup => "A0825",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.kind() {
            ErrorKind::Held { .. } => "use the commands of the process that has it open, or end that process",
            ErrorKind::NewerFormat { .. } => "use the version that wrote it, or a newer one; nothing was changed",
            ErrorKind::Missing { .. } => "restore the whole folder from a backup; nothing was changed",
            ErrorKind::Damaged { .. } => "restore the folder from a backup, without its `index`; nothing was changed",
            ErrorKind::NewDamage { .. } => "end the process and start it again: the opening names the operation",
            ErrorKind::IsBackup => "restore it into a folder of its own, and use that",
            ErrorKind::NoBackup => "name the folder that a backup made",
            ErrorKind::Unfinished => "do the restore or the import again: it begins anew",
            ErrorKind::Exists => "choose another place, or move what is there away",
            ErrorKind::BadExport { .. } => "export again, or copy the file again; nothing was imported",
            ErrorKind::Conflict { .. } => "read the key again and decide anew",
            ErrorKind::TooLarge { .. } => "make it smaller, or store it as a blob",
            ErrorKind::Full => "free space on the disk and try again; everything stored before is intact",
            ErrorKind::Index { .. } => {
                "free space or mend the disk; the index can be deleted, it is rebuilt from the log"
            }
            ErrorKind::Stopped => "start again: the log is checked and the index rebuilt where that is needed",
            ErrorKind::DamagedBlob { .. } | ErrorKind::NoSuchBlob { .. } => {
                "store the same content again, or restore the file from a backup"
            }
            ErrorKind::KeyMissing => "restore the file `key` from a backup; without it no sealed file can be read",
            ErrorKind::WrongKey => "restore the file `key` that belongs to this folder",
            ErrorKind::DamagedSecrets { .. } => "restore the file from a backup, or enter the secrets again",
            ErrorKind::BadName { .. } => "use a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit",
            ErrorKind::BadDigest => "write `sha256:` and 64 hexadecimal digits in lower case",
            ErrorKind::Io { .. } | ErrorKind::Closed | ErrorKind::EmptyKey => return None,
        })
    }
}

// Without the place: that is the error's.
impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Held { pid: Some(pid) } => write!(f, "the store is in use by process {pid}"),
            ErrorKind::Held { pid: None } => write!(f, "the store is in use by another process"),
            ErrorKind::NewerFormat { found, supported } => {
                write!(f, "the store has format {found}, this version reads formats up to {supported}")
            }
            ErrorKind::Missing { what } => write!(f, "{what} is missing, although other parts of the store are there"),
            ErrorKind::Damaged { what } => write!(f, "the store is damaged: {what}"),
            ErrorKind::NewDamage { what } => write!(f, "the log was damaged while it was open: {what}"),
            ErrorKind::IsBackup => write!(f, "the folder is a backup"),
            ErrorKind::NoBackup => write!(f, "the folder is no backup"),
            ErrorKind::Unfinished => write!(f, "a restore or import into the folder was not finished"),
            ErrorKind::Exists => write!(f, "there is something already"),
            ErrorKind::BadExport { what, line } => write!(f, "line {line} of the exported file: {what}"),
            ErrorKind::Conflict { key } => write!(f, "`{}` is not as it was expected", key.escape_ascii()),
            ErrorKind::TooLarge { limit, size, max } => {
                write!(f, "{size} is over the limit of {max} ({limit})")
            }
            ErrorKind::EmptyKey => write!(f, "a key must have at least one byte"),
            ErrorKind::Full => write!(f, "the disk is full"),
            ErrorKind::Io { doing } => write!(f, "cannot {doing}"),
            ErrorKind::Index { what } => write!(f, "the index cannot be used: {what}"),
            ErrorKind::Closed => write!(f, "the store is closed"),
            ErrorKind::Stopped => write!(f, "the store stopped after a failure of its disk"),
            ErrorKind::DamagedBlob { digest } => write!(f, "the content of blob {digest} does not have that digest"),
            ErrorKind::NoSuchBlob { digest } => write!(f, "there is no blob {digest}"),
            ErrorKind::BadDigest => write!(f, "not a digest"),
            ErrorKind::KeyMissing => write!(f, "the key of the sealed files is missing"),
            ErrorKind::WrongKey => write!(f, "the key does not belong to this sealed file"),
            ErrorKind::DamagedSecrets { what } => write!(f, "a sealed file is damaged: {what}"),
            ErrorKind::BadName { name } => write!(f, "`{}` cannot name a record", name.escape_debug()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind())?;
        match (&self.inner.path, self.inner.offset) {
            (Some(path), Some(offset)) => write!(f, " ({} at byte {offset})", path.display()),
            (Some(path), None) => write!(f, " ({})", path.display()),
            (None, _) => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {self}", self.code())?;
        if let Some(source) = &self.inner.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}
