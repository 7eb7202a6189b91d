//! A commit being put together: puts and deletes in order, and what must hold for it to be written.
//!
//! The bytes are laid out as the log will hold them while the batch is built, so the one writer thread copies them and
//! nothing more. A batch that is over a limit remembers the first one and is refused when it is committed.

use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::limits::{BATCH_BYTES, BATCH_ENTRIES, KEY_BYTES, VALUE_BYTES};
use crate::log::payload;

/// What must hold of a key before the batch, for any of the batch to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Absent,
    Version(u64),
}

/// Puts and deletes that are committed together or not at all.
///
/// ```
/// # use store::Batch;
/// let batch = Batch::new(None).expect_absent(b"o/1").put(b"o/1", b"Starting").delete(b"queue/1");
/// assert_eq!(batch.len(), 2);
/// ```
#[derive(Clone, Default)]
#[must_use = "a batch does nothing until it is committed"]
pub struct Batch {
    pub(crate) operation: Option<[u8; 16]>,
    pub(crate) payload: Vec<u8>,
    pub(crate) expected: Vec<(Vec<u8>, Expected)>,
    entries: usize,
    wrong: Option<Error>,
}

impl Batch {
    /// An empty batch on behalf of an operation. If its frame is ever found damaged, that operation is named.
    pub fn new(operation: Option<[u8; 16]>) -> Batch {
        Batch { operation, ..Batch::default() }
    }

    /// Sets a key. The last of several puts and deletes of one key counts.
    pub fn put(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Batch {
        let (key, value) = (key.as_ref(), value.as_ref());
        let size = value.len() as u64;
        if self.check_key(key) && self.check(size <= VALUE_BYTES, || Error::too_large("VALUE_BYTES", size, VALUE_BYTES))
        {
            payload::put(&mut self.payload, key, value);
            self.count();
        }
        self
    }

    /// Removes a key, if it is there.
    pub fn delete(mut self, key: impl AsRef<[u8]>) -> Batch {
        let key = key.as_ref();
        if self.check_key(key) {
            payload::delete(&mut self.payload, key);
            self.count();
        }
        self
    }

    /// The batch is written only if the key is not there before it.
    pub fn expect_absent(self, key: impl AsRef<[u8]>) -> Batch {
        self.expect(key.as_ref(), Expected::Absent)
    }

    /// The batch is written only if the key has this version before it.
    pub fn expect_version(self, key: impl AsRef<[u8]>, version: u64) -> Batch {
        self.expect(key.as_ref(), Expected::Version(version))
    }

    /// How many puts and deletes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether it neither puts nor deletes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// How many bytes it will take in the log, besides the frame's header.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.payload.len() as u64
    }

    /// The first limit that was gone over.
    pub(crate) fn checked(self) -> Result<Batch, Error> {
        match self.wrong {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    fn expect(mut self, key: &[u8], expected: Expected) -> Batch {
        let count = self.expected.len() as u64 + 1;
        if self.check_key(key)
            && self.check(count <= BATCH_ENTRIES, || Error::too_large("BATCH_ENTRIES", count, BATCH_ENTRIES))
        {
            self.expected.push((key.to_vec(), expected));
        }
        self
    }

    fn check_key(&mut self, key: &[u8]) -> bool {
        let size = key.len() as u64;
        self.check(size > 0, || Error::new(ErrorKind::EmptyKey))
            && self.check(size <= KEY_BYTES, || Error::too_large("KEY_BYTES", size, KEY_BYTES))
    }

    /// After an entry was added. A batch that is refused stops growing: `wrong` is set, so nothing more is added.
    fn count(&mut self) {
        self.entries += 1;
        let (entries, bytes) = (self.entries as u64, self.size_bytes());
        let _ = self.check(entries <= BATCH_ENTRIES, || Error::too_large("BATCH_ENTRIES", entries, BATCH_ENTRIES))
            && self.check(bytes <= BATCH_BYTES, || Error::too_large("BATCH_BYTES", bytes, BATCH_BYTES));
    }

    fn check(&mut self, holds: bool, error: impl FnOnce() -> Error) -> bool {
        if !holds && self.wrong.is_none() {
            self.wrong = Some(error());
        }
        self.wrong.is_none()
    }
}

// Values may be anything a caller has; only their amount is shown.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("entries", &self.entries)
            .field("bytes", &self.payload.len())
            .field("expected", &self.expected.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(batch: Batch) -> ErrorKind {
        batch.checked().unwrap_err().kind().clone()
    }

    #[test]
    fn a_batch_over_a_limit_names_it() {
        let key = vec![b'k'; KEY_BYTES as usize + 1];
        assert_eq!(
            refused(Batch::new(None).put(&key, b"")),
            ErrorKind::TooLarge { limit: "KEY_BYTES", size: KEY_BYTES + 1, max: KEY_BYTES }
        );
        assert_eq!(refused(Batch::new(None).delete(b"")), ErrorKind::EmptyKey);
        assert_eq!(refused(Batch::new(None).expect_absent(b"")), ErrorKind::EmptyKey);
        let value = vec![0; VALUE_BYTES as usize];
        assert!(Batch::new(None).put(b"k", &value).checked().is_ok());
        let mut batch = Batch::new(None);
        for _ in 0..5 {
            batch = batch.put(b"k", &value);
        }
        assert!(matches!(refused(batch), ErrorKind::TooLarge { limit: "BATCH_BYTES", .. }));
        let mut batch = Batch::new(None);
        for _ in 0..=BATCH_ENTRIES {
            batch = batch.delete(b"k");
        }
        assert!(matches!(refused(batch), ErrorKind::TooLarge { limit: "BATCH_ENTRIES", .. }));
    }

    #[test]
    fn a_batch_does_not_show_its_values() {
        let shown = format!("{:?}", Batch::new(None).put(b"k", b"canary"));
        assert_eq!(shown, "Batch { entries: 1, bytes: 14, expected: 0, .. }");
    }
}
