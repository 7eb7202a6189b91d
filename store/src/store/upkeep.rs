//! What keeps a store in shape and makes others of it: compaction, verification, backup, export, and release of one that
//! was restored.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::Store;
use crate::backup::{self, Backup};
use crate::compaction::{self, Compacted};
use crate::error::{Error, ErrorKind};
use crate::export::{self, Exported};
use crate::manifest::{Held, Manifest, Origin};
use crate::verify::{self, Verification};

impl Store {
    /// Writes what is live to a fresh log and a fresh index, and deletes the old ones. Reads and commits go on
    /// meanwhile; at the end commits wait for at most [`CATCH_UP_BYTES`](crate::limits::CATCH_UP_BYTES) to be copied and
    /// three flushes of the device. Versions stay what they are. The disk must have room for what is live.
    ///
    /// It goes on when the future is dropped. The store does this by itself when it is worth it.
    ///
    /// # Errors
    /// [`ErrorKind::Full`], [`ErrorKind::Io`], [`ErrorKind::Index`], [`ErrorKind::NewDamage`]: everything is as it was.
    /// [`ErrorKind::Closed`], [`ErrorKind::Stopped`].
    pub async fn compact(&self) -> Result<Compacted, Error> {
        let (answer, answered) = oneshot::channel();
        let shared = Arc::clone(&self.inner.shared);
        self.inner.shared.start("anneal-compact", move || drop(answer.send(compaction::run(&shared))))?;
        answered.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Stopped)))
    }

    /// As [`compact`](Self::compact), for a thread that may wait.
    ///
    /// # Errors
    /// As for [`compact`](Self::compact).
    pub fn compact_blocking(&self) -> Result<Compacted, Error> {
        compaction::run(&self.inner.shared)
    }

    /// Looks at everything and changes nothing. Reads and commits go on; commits wait while the index is gone through
    /// once. It needs memory for each key, some 50 bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::Index`]. What is wrong with what was stored is a [`Problem`](crate::Problem).
    pub fn verify(&self) -> Result<Verification, Error> {
        verify::open(&self.inner.shared)
    }

    /// Copies everything, as it is at one point in the order of commits, to a folder that does not exist yet, while reads
    /// and commits go on. The folder is a backup; [`restore`](crate::restore) makes a store of it. It has the key of the
    /// sealed files. Blobs are not deleted, and for a moment nothing is sealed, while it is made. `at_ms` is the time that
    /// it says it was made, in milliseconds of UTC.
    ///
    /// # Errors
    /// [`ErrorKind::Exists`], [`ErrorKind::Full`], [`ErrorKind::Io`], [`ErrorKind::NewDamage`]: nothing is left behind.
    pub fn backup(&self, to: &Path, at_ms: u64) -> Result<Backup, Error> {
        backup::make(&self.inner.shared, &self.inner.blobs, &self.inner.sealed, to, at_ms)
    }

    /// Writes everything but the sealed files as text, as it is at one point in the order of commits, while reads and
    /// commits go on; [`import`](crate::import()) makes a store of it. Blobs are not deleted meanwhile. `at_ms` is the time
    /// that it says it was made, in milliseconds of UTC.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::NewDamage`], [`ErrorKind::DamagedBlob`]: what was written is no whole file.
    pub fn export(&self, into: &mut dyn Write, at_ms: u64) -> Result<Exported, Error> {
        export::write(&self.inner.shared, &self.inner.blobs, into, at_ms)
    }

    /// How often the store was restored or imported, plus one. Whatever is done outside in its name should carry it, so
    /// that work which a restored store does not know of is told from its own.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        self.inner.shared.manifest().incarnation
    }

    /// Where the store was restored from, if nobody has released it since. The store itself takes commits as always: what
    /// must not be done before it is released is for its user to know.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        match self.inner.shared.manifest().origin {
            Origin::Held(held) => Some(held),
            Origin::Free | Origin::Backup(_) => None,
        }
    }

    /// Releases a store that is held, durably; `false` when it was not held.
    ///
    /// # Errors
    /// Those of the disk: then it is held still, and perhaps not after the next opening.
    pub fn release(&self) -> Result<bool, Error> {
        let mut manifest = self.inner.shared.manifest();
        if !matches!(manifest.origin, Origin::Held(_)) {
            return Ok(false);
        }
        let released = Manifest { origin: Origin::Free, ..*manifest };
        released.write(&self.inner.shared.layout.manifest(), &self.inner.counters)?;
        *manifest = released;
        Ok(true)
    }
}
