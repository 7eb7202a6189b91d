//! What an opening found and mended.

use std::fmt;
use std::path::PathBuf;

use uuid::Uuid;

/// A frame whose content is lost. Its operation must not go on (I11); others may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The operation that the commit belonged to, if it belonged to one.
    pub operation: Option<[u8; 16]>,
    /// The commit's sequence.
    pub sequence: u64,
    /// The file.
    pub segment: PathBuf,
    /// Where in the file the frame begins.
    pub offset: u64,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { sequence, segment, offset, what, .. } = self;
        write!(f, "commit {sequence}")?;
        if let Some(operation) = self.operation {
            write!(f, " of operation {}", Uuid::from_bytes(operation))?;
        }
        write!(f, ": {what} ({} at byte {offset})", segment.display())
    }
}

/// The end of a write that a crash interrupted before it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The file.
    pub segment: PathBuf,
    /// Where it was cut.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// What became of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// It agreed with the log.
    Kept,
    /// It was deleted and made again from the log.
    Rebuilt {
        /// Why.
        why: String,
    },
}

/// What an opening found and mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// Whether the store was made by this opening.
    pub created: bool,
    /// The torn tail that was cut off.
    pub torn: Option<Torn>,
    /// The index.
    pub index: IndexState,
    /// Commits that the index learned from the log.
    pub replayed: u64,
    /// Unfinished snapshots of the index that were deleted.
    pub stale_snapshots: usize,
    /// Generations of the log that did not count, left by an interrupted compaction, that were deleted.
    pub stale_generations: usize,
    /// Unfinished files that were deleted.
    pub stale_files: usize,
    /// Folders of blobs or sealed files that were gone, and were made anew, empty.
    pub recreated: Vec<PathBuf>,
    /// Whether the key of the sealed files is missing: they cannot be read or written.
    pub key_missing: bool,
    /// Frames whose content is lost.
    pub damaged: Vec<Damage>,
}

impl OpenReport {
    /// What a person should know of it, a line each; empty when all was as it should be.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(Torn { segment, offset, bytes }) = &self.torn {
            let path = segment.display();
            notes.push(format!("cut off {bytes} bytes of an interrupted write ({path} at byte {offset})"));
        }
        if let IndexState::Rebuilt { why } = &self.index {
            notes.push(format!("rebuilt the index from the log, because {why}"));
        }
        for folder in &self.recreated {
            notes.push(format!("the folder {} was gone: what it held must come from a backup", folder.display()));
        }
        if self.key_missing {
            notes.push("the file `key` is missing: restore it from a backup, or sealed secrets cannot be read".into());
        }
        notes.extend(self.damaged.iter().map(|damage| format!("damaged: {damage}")));
        notes
    }
}
