//! What is put to the test: something that commits events and can be read again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use store::Digest;
use uuid::Uuid;

use super::controls::{BareLog, SledFlush};
use super::events::Event;
use super::kept::Kept;

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The crate `store`.
    Store,
    /// sled, with `flush` before every answer: known to lose.
    SledFlush,
    /// A file that is appended to, with `fdatasync` before every answer: known to keep.
    BareLog,
}

/// What was read from an opened subject. Contents are told by their digests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Keys, their values, and the versions of these where the subject has versions.
    pub entries: BTreeMap<String, (Digest, Option<u64>)>,
    /// The value of [`LAST`](super::events::LAST).
    pub last: Option<String>,
    /// Blobs. All were read whole.
    pub blobs: BTreeSet<Digest>,
    /// Sealed secrets of operations.
    pub sealed: BTreeMap<Uuid, Digest>,
    /// Sealed secrets of records.
    pub records: BTreeMap<String, Digest>,
}

/// What an opening had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    /// It made the store.
    pub created: bool,
    /// It cut off an interrupted write.
    pub torn: bool,
    /// It made the index again.
    pub rebuilt: bool,
}

/// An open subject. Errors are texts: nothing is decided by their kind.
pub trait Subject: Send + Sync {
    /// What the opening had to do.
    fn mended(&self) -> Mended {
        Mended::default()
    }

    /// Stores an event's blobs and sealed files.
    ///
    /// # Errors
    /// Of the disk.
    fn prepare(&self, _writer: u32, _event: &Event) -> Result<(), String> {
        Ok(())
    }

    /// Commits an event; `version` is that of the writer's state. Gives its place in the order of all commits.
    ///
    /// # Errors
    /// Of the disk, and when the version is another.
    fn commit(&self, writer: u32, event: &Event, version: Option<u64>) -> Result<u64, String>;

    /// Deletes an event's own blobs and sealed secrets.
    ///
    /// # Errors
    /// Of the disk.
    fn forget(&self, _blobs: &[Vec<u8>], _sealed: Option<&Uuid>) -> Result<(), String> {
        Ok(())
    }

    /// Rewrites what is live and drops the rest.
    ///
    /// # Errors
    /// Of the disk.
    fn compact(&self) -> Result<(), String> {
        Ok(())
    }

    /// Reads everything.
    ///
    /// # Errors
    /// When anything cannot be read or is not whole.
    fn read(&self) -> Result<Found, String>;
}

/// Opens one in a folder; makes it where there is none.
///
/// # Errors
/// When it does not open.
pub fn open(kind: Kind, folder: &Path) -> Result<Box<dyn Subject>, String> {
    Ok(match kind {
        Kind::Store => Box::new(Kept::open(folder)?),
        Kind::SledFlush => Box::new(SledFlush::open(folder)?),
        Kind::BareLog => Box::new(BareLog::open(folder)?),
    })
}
