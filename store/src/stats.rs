//! Counters: what the store did since it was opened. They are for benchmarks and for the table on the status page.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the store did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits that are durable.
    pub commits: u64,
    /// Commits that were refused because an expectation was not met.
    pub conflicts: u64,
    /// Groups of commits: each is one write and one flush of the log.
    pub groups: u64,
    /// Flushes of the device that the log needed.
    pub log_syncs: u64,
    /// All flushes of the device: the log, new segments, blobs, sealed files.
    pub syncs: u64,
    /// Bytes of commits written to the log.
    pub log_bytes: u64,
    /// All bytes written except by the index: commits, room ahead of them, blobs, sealed files.
    pub bytes_written: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) log_syncs: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) log_bytes: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn read(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            commits: get(&self.commits),
            conflicts: get(&self.conflicts),
            groups: get(&self.groups),
            log_syncs: get(&self.log_syncs),
            syncs: get(&self.syncs),
            log_bytes: get(&self.log_bytes),
            bytes_written: get(&self.bytes_written),
        }
    }
}
