//! A disk that remembers in which order it was told what.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::time::{ClockId, clock_gettime};

use super::image::Image;

/// What the disk was told.
#[derive(Clone, Debug)]
pub enum Told {
    /// Keep these bytes.
    Write {
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Everything told before must survive from now on.
    Flush,
}

/// One thing the disk was told.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it arrived, by [`now`].
    pub at: u64,
    /// What it was.
    pub told: Told,
}

/// A disk, shared by whoever serves it and whoever changes disks.
#[derive(Debug)]
pub struct Disk {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    image: Image,
    journal: Vec<Entry>,
}

impl Disk {
    /// A disk with this content.
    #[must_use]
    pub fn new(image: Image) -> Disk {
        Disk { inner: Mutex::new(Inner { image, journal: Vec::new() }) }
    }

    /// Puts another content in, and forgets what the disk was told. Nobody may have the disk open.
    pub fn insert(&self, image: Image) {
        *self.inner() = Inner { image, journal: Vec::new() };
    }

    /// What the disk was told since its content was put in, in order of arrival.
    #[must_use]
    pub fn take_journal(&self) -> Vec<Entry> {
        std::mem::take(&mut self.inner().journal)
    }

    pub(super) fn read(&self, offset: u64, into: &mut [u8]) {
        self.inner().image.read(offset, into);
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) {
        let mut inner = self.inner();
        inner.journal.push(Entry { at: now(), told: Told::Write { offset, bytes: bytes.to_vec() } });
        inner.image.write(offset, bytes);
    }

    pub(super) fn flush(&self) {
        self.inner().journal.push(Entry { at: now(), told: Told::Flush });
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nanoseconds of the clock that all processes of this machine share.
#[must_use]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
