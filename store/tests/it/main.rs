//! The store from outside: what it promises, and what is left of it after damage, crashes and a full disk.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backup;
mod blobs;
mod commits;
mod common;
mod compaction;
mod damage;
mod disk;
mod errors;
mod export;
mod golden;
mod index;
mod interrupted;
mod kill;
mod model;
mod opening;
mod reading;
mod sealed;
mod torn;
mod verify;
