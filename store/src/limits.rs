//! Every limit of the store, each named once. The table in the documentation is made from [`table`].
//!
//! A limit is checked before anything is written; going over one is [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge),
//! which carries the limit's name as it stands here.

/// One limit, for the table in the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The constant's name.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// What the value counts: `bytes`, `entries`, ...
    pub unit: &'static str,
    /// What is limited, for people.
    pub about: &'static str,
}

macro_rules! limits {
    ($($name:ident = $value:expr, $unit:literal, $about:literal;)*) => {
        $(#[doc = $about] #[doc = concat!("\n\nUnit: ", $unit, ".")] pub const $name: u64 = $value;)*

        /// All limits, in the order of this file.
        #[must_use]
        pub fn table() -> Vec<Limit> {
            vec![$(Limit { name: stringify!($name), value: $name, unit: $unit, about: $about }),*]
        }
    };
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

limits! {
    KEY_BYTES = KIB, "bytes", "Longest key. The shortest has one byte.";
    VALUE_BYTES = MIB, "bytes", "Largest value under a key. Larger things are blobs.";
    INLINE_VALUE_BYTES = 64, "bytes", "Values up to this size lie in the index itself; larger ones are read from the log.";
    BATCH_ENTRIES = 4096, "entries", "Most puts and deletes in one commit, and most expectations.";
    BATCH_BYTES = 4 * MIB, "bytes", "Largest commit, as it is written to the log.";
    GROUP_COMMITS = 1024, "commits", "Most commits that share one write and one flush of the device.";
    GROUP_BYTES = 16 * MIB, "bytes", "Most bytes that share one write and one flush of the device.";
    GROUP_ENTRIES = 16384, "entries", "A group is closed with the commit with which it reaches this many puts and deletes.";
    RECENT_ENTRIES = 4096, "entries", "Changed keys that are kept in memory before the index is written; a crash leaves at most about as much to read again.";
    QUEUE_COMMITS = 4096, "commits", "Commits that may wait for the writer; more wait outside the queue.";
    SCAN_ENTRIES = 4096, "entries", "Most entries that one page of a scan returns.";
    SCAN_BYTES = 16 * MIB, "bytes", "A page of a scan ends after the entry with which it reaches this size.";
    SEGMENT_BYTES = 64 * MIB, "bytes", "A log segment is closed, and the next one begun, before it would grow beyond this.";
    ROOM_BYTES = MIB, "bytes", "Zeros written ahead of the log's end, so that a commit overwrites instead of growing the file.";
    RESERVE_BYTES = 16 * MIB, "bytes", "Free disk space that commits and blobs leave for the index and the clean end of the log.";
    COMPACT_TIMES = 4, "times", "The store compacts itself when log and index take more than this many times what the live entries take in the log, and COMPACT_OVER_BYTES more.";
    COMPACT_OVER_BYTES = 64 * MIB, "bytes", "What log and index may take beyond COMPACT_TIMES times what is live.";
    CONSIDER_BYTES = MIB, "bytes", "Whether to compact is considered when this much was appended to the log, and at opening.";
    CATCH_UP_BYTES = MIB, "bytes", "A compaction stops the commits when this much or less of the log is left to copy.";
    CATCH_UP_ROUNDS = 16, "rounds", "A compaction that commits outrun stops them after this many attempts to come near.";
    INDEX_FLUSH_COMMITS = 1024, "commits", "A compaction flushes the new index after so many, so that sled uses again the room of what it has rewritten.";
    INDEX_CACHE_BYTES = 32 * MIB, "bytes", "Memory that the index may use as its cache.";
    OPEN_SEGMENTS = 64, "files", "Log segments that are kept open for reading.";
    EXPORT_DATA_BYTES = 192 * KIB, "bytes", "Bytes of a blob in one line of an exported file.";
    EXPORT_LINE_BYTES = 8 * MIB, "bytes", "Longest line of an exported file.";
    BLOB_BYTES = 64 * GIB, "bytes", "Largest blob, when it is written and read as a stream.";
    KNOWN_BLOBS = 4096, "blobs", "Blobs that a process remembers to have made durable, so that putting one again costs no flush.";
    BLOB_MEMORY_BYTES = 256 * MIB, "bytes", "Largest blob that is written or read in one piece of memory.";
    SEALED_BYTES = MIB, "bytes", "Largest sealed file: all secrets of one operation or record together.";
    NAME_BYTES = 128, "bytes", "Longest name of a sealed record.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_fit_into_each_other() {
        const { assert!(KEY_BYTES <= u16::MAX as u64) };
        const { assert!(VALUE_BYTES < BATCH_BYTES && BATCH_BYTES < GROUP_BYTES && GROUP_BYTES < SEGMENT_BYTES) };
        // Each byte of a text is at most six in JSON (`\u0000`), and a multiple of three is base64 without a rest.
        const { assert!(6 * (VALUE_BYTES + KEY_BYTES) + KIB < EXPORT_LINE_BYTES && EXPORT_DATA_BYTES.is_multiple_of(3)) };
        const { assert!(SEGMENT_BYTES + BATCH_BYTES < u32::MAX as u64) };
        assert!(table().iter().all(|limit| limit.value > 0 && limit.about.ends_with('.')));
    }
}
