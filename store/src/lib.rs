//! What must survive: a log, an index of it, blobs, and sealed secrets. It knows bytes and keys, not workflows.
//!
//! # What it promises
//!
//! - **A commit that was answered is durable.** [`Store::commit`] answers after the commit's bytes were flushed to the
//!   device (`fdatasync`), and every read after the answer sees it. Commits that wait at the same time share one write and
//!   one flush.
//! - **A commit is whole or not there**, after any crash and any power cut, whatever part of a write the disk kept.
//! - **An expectation is compared at the commit's place in the order of all commits.** If one of a batch does not hold,
//!   nothing of the batch is written ([`ErrorKind::Conflict`]).
//! - **Damage is named, never guessed around.** Opening cuts off what was never acknowledged, rebuilds what can be rebuilt,
//!   names the operation of a commit whose content is lost ([`Store::damaged`], I11), and otherwise refuses, saying which
//!   file, where, and what to do.
//! - **After a failed flush nothing is acknowledged any more**: the process ends ([`EXIT_IO`]). After a failed write the file
//!   is cut back to what it was, and the store is usable.
//! - **No secret is in the log, the index, an error, a debug text or an exported file** (I8). A backup has the key and the
//!   sealed files.
//! - **A restored store is never run as if nothing had happened**: it is held ([`Store::held`]) and of another incarnation
//!   ([`Store::incarnation`]). A backup itself does not open.
//!
//! ```
//! use store::{Batch, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let dir = folder.path();
//! let store = Store::open(dir)?.store;
//! let first = store.commit_blocking(Batch::new(None).expect_absent("o/1").put("o/1", "Starting"))?;
//! store.commit_blocking(Batch::new(None).expect_version("o/1", first.sequence).put("o/1", "Processing"))?;
//! for found in store.walk(b"o/") {
//!     let (key, found) = found?;
//!     assert_eq!((key.as_slice(), found.value.as_slice()), (&b"o/1"[..], &b"Processing"[..]));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How a commit goes
//!
//! A [`Batch`] is laid out as the log will hold it while it is built. [`Store::commit`] puts it into a bounded queue. The
//! thread `anneal-log` takes what waits, compares expectations in order, gives each commit the next sequence, appends all
//! frames with one write and flushes them, makes the changes visible in the index, and answers. A key's version is the
//! sequence of the commit that last put it. Sequences only grow; a clean end uses one too, so they have gaps.
//!
//! # What lies where
//!
//! The folder has mode 0700, every file 0600. All numbers in files are little-endian; every checksum is CRC32C.
//!
//! | name | what |
//! |---|---|
//! | `lock` | `flock`ed while a process has the store open; holds its process id |
//! | `MANIFEST` | text: the format, the generation of the log that counts, the store's id, its incarnation, whether it is held, a checksum |
//! | `log/1/00000001.log` … | the segments of generation 1: the truth |
//! | `index/1/` | sled: which keys there are, and where their values are in generation 1. `index` may be deleted at any time while the store is closed |
//! | `blobs/ab/cdef…` | the content whose SHA-256 is `abcdef…` |
//! | `key` | 32 random bytes: the key of the sealed files |
//! | `secrets/<operation>` | the sealed secrets of an operation, by its UUID |
//! | `secrets/records/<name>` | the sealed secrets of a lasting record |
//! | `*.tmp` | not finished: deleted at opening |
//! | `restore.tmp/` | a restore or import that was not finished: the folder does not open |
//!
//! A **segment** is at most 64 MiB: a header of 64 bytes, frames one after the other, and perhaps zeros up to the end of the
//! file (room that was made ahead; a clean end cuts it off).
//!
//! | segment header | bytes |
//! |---|---|
//! | `ANNEALog` | 0..8 |
//! | format, u16; flags, u16, zero | 8..12 |
//! | generation, u64; number, u64, from 1 | 12..28 |
//! | one more than the sequence of the last frame before it, u64 | 28..36 |
//! | the store's id | 36..52 |
//! | random salt | 52..60 |
//! | checksum of bytes 0..60 | 60..64 |
//!
//! A **frame** is one commit: a header of 52 bytes, then the payload, at most 4 MiB.
//!
//! | frame header | bytes |
//! |---|---|
//! | `ANfr` | 0..4 |
//! | format, u16; flags, u16: 1 = made by an operation, 2 = a mark at a clean end, 4 = kept, 8 = lost | 4..8 |
//! | length of the payload, u32; checksum of the payload, u32 | 8..16 |
//! | sequence, u64 | 16..24 |
//! | `durable`, u64: the last sequence known to be flushed when this was written; of a kept frame, the sequence of the frame before it | 24..32 |
//! | operation, 16 bytes, or zeros | 32..48 |
//! | checksum of the segment's checksum, this frame's offset and bytes 0..48 | 48..52 |
//!
//! A **payload** is puts (`1u8`, key length u16, value length u32, key, value) and deletes (`2u8`, key length u16, key).
//!
//! A **sealed file** is `ANSEALED`, format u16, which key (8 bytes), nonce (12 bytes), and the secrets under
//! ChaCha20-Poly1305 with its tag (16 bytes). The header and the file's name are authenticated with them.
//!
//! # What an opening does with an end that is not clean
//!
//! Frames are read in order. Where one should be and is not, everything from there on is cut off if nothing shows that it was
//! acknowledged: it is in the last segment, no later header says `durable` of it, and the index does not have it. If
//! something shows it, and the frame's header is right, the frame is passed over and named; if its header is wrong too,
//! the store does not open. What nothing can show is that the *last* group of commits was acknowledged, when it is
//! damaged *and* the process had no clean end *and* the index was not written since: then it looks like a torn write.
//!
//! Frames at the end that may not have been flushed are written again and flushed before anybody sees them.
//!
//! # Compaction
//!
//! [`Store::compact`] writes what is live to a fresh generation and deletes the old one; the index is made anew with it,
//! for sled never gives space back. The store does it by itself when log and index take more than
//! [`COMPACT_TIMES`](limits::COMPACT_TIMES) times what is live and [`COMPACT_OVER_BYTES`](limits::COMPACT_OVER_BYTES) more
//! (looked at after each MiB of commits, and at opening),
//! and then not again before they have grown to twice of what it left, so it does not go round in circles where it cannot
//! help. Reads and commits go on; at the end commits wait for up to a MiB to be copied and three flushes.
//!
//! A fresh generation is the log with what is dead taken out: its frames are *kept* ones, each with the sequence it had,
//! so versions stay what they are, and with the name of the one before it, so that none can be lost unseen. A mark ends
//! them; its sequence is the manifest's `base`, and up to it nothing is ever taken for a torn write. Commits follow as
//! always. A commit whose content was found damaged stays in the log as a *lost* frame and is named by every later
//! opening; damage that no opening has judged yet stops a compaction ([`ErrorKind::NewDamage`]).
//!
//! Until `MANIFEST` is renamed the old generation counts, afterwards the fresh one, and an opening deletes all others.
//!
//! # Backup, restore, export, import, verification
//!
//! [`Store::backup`] makes a folder that is a whole store in compacted form, at one point in the order of commits, with its
//! blobs, sealed files and key; [`restore`] verifies it and makes a store of it elsewhere. [`Store::export`] writes one text
//! file without secrets, [`import`](import()) makes a store of that. What is made so has the sequences and versions of the
//! original, the next incarnation, and is held until [`Store::release`]. Each of the four is there whole or not at all.
//! [`Store::verify`] and [`verify`](verify()) read everything and change nothing.
//!
//! A folder that was copied by other means has no such marks, and opens as what it is a copy of. Two restores of one
//! backup have the same incarnation.
//!
//! # Format versions
//!
//! The format is one number for the whole folder ([`FORMAT`], in the first line of `MANIFEST`), repeated in segments, frames
//! and sealed files.
//!
//! - *Backward* (new reader, old data): a version reads its own format and the one before it, and writes its own. A folder
//!   of each format is kept in `tests/golden/` and opened by a test. This version writes 2 and reads 1.
//! - *Forward* (old reader, new data): a higher number than its own is refused ([`ErrorKind::NewerFormat`]) before anything is written, so going
//!   back to the version that wrote it is always possible. What a version does not know (a flag, a field that is not
//!   zero) it does not pass over: adding anything raises the number.
//! - At the first opening by a newer version, when the log was found whole, `MANIFEST` gets the higher number first, durably; only then is anything written in the new format.
//! - The index has a number of its own: a version that writes another one deletes and rebuilds it. So has the exported
//!   file ([`EXPORT_FORMAT`]).
//!
//! Format 2 added: `base`, `incarnation`, `held` and `backup` in `MANIFEST`; kept and lost frames; `index/<generation>/`.
//!
//! Every limit has a name in [`limits`]; [`limits::table`] is what the documentation prints.

mod backup;
mod batch;
mod blobs;
mod compaction;
mod digest;
mod durable;
mod error;
mod export;
mod import;
mod index;
mod layout;
pub mod limits;
mod lock;
mod log;
mod manifest;
mod opening;
mod options;
mod report;
mod sealed;
mod secret;
mod shared;
mod staging;
mod stats;
mod store;
mod verify;

#[doc(hidden)]
pub use backup::restore_with;
pub use backup::{Backup, Restored, restore};
pub use batch::Batch;
pub use blobs::{BlobReader, Blobs, Swept};
pub use compaction::Compacted;
pub use digest::Digest;
pub use error::{Error, ErrorKind};
pub use export::{EXPORT_FORMAT, Exported};
pub use import::import;
pub use limits::Limit;
pub use log::writer::Committed;
pub use manifest::{FORMAT, Held};
pub use options::{EXIT_IO, Faults, OnFatal, Options, Step};
pub use report::{Damage, IndexState, OpenReport, Torn};
pub use sealed::{Sealed, Secrets};
pub use secret::Secret;
pub use stats::Stats;
pub use store::{Opened, Store, Versioned};
pub use verify::{Problem, Verification, verify};
