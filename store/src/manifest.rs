//! The file `MANIFEST`: which format the store has, which generation of the log counts, and where the store came from.
//!
//! It is text, so that a person can read it:
//!
//! ```text
//! anneal-store 2
//! generation 2
//! store 0193e0a4-6f4e-7c1a-a5d1-0d3a3c1f9b10
//! base 1234
//! incarnation 2
//! held 1234 1790000000000
//! check 5f2c8a10
//! ```
//!
//! `base`: frames up to this sequence were flushed before this generation counted. `incarnation`: 1, and one more with every
//! restore. `held`: restored from a backup up to this sequence, made at this time (UTC ms), and not released. In its place
//! `backup` says that the folder is a backup. `check` is the CRC32C of the lines above it.
//!
//! The first line is read before anything else: a higher format is refused whatever follows. Generation 0 says that the
//! store is being made and holds nothing yet; an opening that finds it begins again. Switching to another generation is
//! one rename of this file. Format 1 had the lines `generation`, `store` and `check` only.

use std::fmt::Write;
use std::io;
use std::path::Path;

use uuid::Uuid;

use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::stats::Counters;

/// The format that this version writes, and the newest that it reads. It reads the one before it too.
pub const FORMAT: u16 = 2;

/// A restored store that nobody has released: what happened after the backup is not in it, and may have left traces
/// outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The last sequence that the backup has.
    pub from_sequence: u64,
    /// When the backup was made, in milliseconds of UTC.
    pub backed_up_at_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The format in which it was found.
    pub(crate) format: u16,
    /// 0 while the store is being made.
    pub(crate) generation: u64,
    /// Names this store: segments and the index carry it, so that files of another store are noticed.
    pub(crate) store: Uuid,
    pub(crate) base: u64,
    pub(crate) incarnation: u32,
    pub(crate) origin: Origin,
}

/// Whether the folder may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// As any other, or released.
    Free,
    /// Restored, and not released.
    Held(Held),
    /// It is a backup.
    Backup(Held),
}

impl Manifest {
    pub(crate) fn new(store: Uuid) -> Manifest {
        Manifest { format: FORMAT, generation: 0, store, base: 0, incarnation: 1, origin: Origin::Free }
    }

    /// Reads the manifest; `None` when there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Manifest>, Error> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read the manifest", path, error)),
        };
        parse(&bytes).map(Some).map_err(|error| error.at(path))
    }

    /// Replaces the manifest by this one, in the current format.
    pub(crate) fn write(&self, path: &Path, counters: &Counters) -> Result<(), Error> {
        let manifest = Manifest { format: FORMAT, ..*self };
        durable::write_file(path, manifest.text().as_bytes(), counters).map(drop)
    }

    fn text(&self) -> String {
        let Manifest { format, generation, store, base, incarnation, origin } = self;
        let mut lines = format!("anneal-store {format}\ngeneration {generation}\nstore {store}\n");
        if *format > 1 {
            let _ = write!(lines, "base {base}\nincarnation {incarnation}\n"); // a text takes anything
            let line = match origin {
                Origin::Free => String::new(),
                Origin::Held(held) => format!("held {} {}\n", held.from_sequence, held.backed_up_at_ms),
                Origin::Backup(held) => format!("backup {} {}\n", held.from_sequence, held.backed_up_at_ms),
            };
            lines.push_str(&line);
        }
        let check = crc32c::crc32c(lines.as_bytes());
        lines + &format!("check {check:08x}\n")
    }
}

fn parse(bytes: &[u8]) -> Result<Manifest, Error> {
    let damaged = || Error::new(ErrorKind::Damaged { what: "the manifest is not as it was written".to_owned() });
    let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
    let format = text.lines().next().and_then(|line| line.strip_prefix("anneal-store ")).ok_or_else(damaged)?;
    let format: u16 = format.parse().map_err(|_| damaged())?;
    if format > FORMAT {
        return Err(Error::new(ErrorKind::NewerFormat { found: format, supported: FORMAT }));
    }
    let manifest = fields(text, format).ok_or_else(damaged)?;
    // Only what we would write ourselves is ours: so the checksum is compared too, and nothing unknown is passed over.
    if format > 0 && manifest.text() == text { Ok(manifest) } else { Err(damaged()) }
}

fn fields(text: &str, format: u16) -> Option<Manifest> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let held = |name: &str| {
        let (sequence, at) = field(name)?.split_once(' ')?;
        Some(Held { from_sequence: sequence.parse().ok()?, backed_up_at_ms: at.parse().ok()? })
    };
    let store = Uuid::parse_str(field("store ")?).ok()?;
    let manifest = Manifest { format, generation: field("generation ")?.parse().ok()?, ..Manifest::new(store) };
    if format == 1 {
        return Some(manifest);
    }
    let origin = match (held("held "), held("backup ")) {
        (Some(held), _) => Origin::Held(held),
        (None, Some(held)) => Origin::Backup(held),
        (None, None) => Origin::Free,
    };
    let (base, incarnation) = (field("base ")?.parse().ok()?, field("incarnation ")?.parse().ok()?);
    Some(Manifest { base, incarnation, origin, ..manifest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_manifest_is_noticed() {
        let held = Held { from_sequence: 5, backed_up_at_ms: 6 };
        let new = Manifest { generation: 3, base: 4, incarnation: 2, ..Manifest::new(Uuid::from_u128(7)) };
        let first = Manifest { format: 1, generation: 3, ..Manifest::new(Uuid::from_u128(7)) };
        let all = [Origin::Free, Origin::Held(held), Origin::Backup(held)].map(|origin| Manifest { origin, ..new });
        for manifest in all.into_iter().chain([first]) {
            let good = manifest.text().into_bytes();
            assert_eq!(parse(&good).unwrap(), manifest);
            for at in 0..good.len() {
                for bit in 0..8 {
                    let mut bad = good.clone();
                    bad[at] ^= 1 << bit;
                    assert!(parse(&bad).is_err(), "bit {bit} of byte {at}");
                }
                assert!(parse(&good[..at]).is_err(), "cut to {at}");
            }
        }
    }

    #[test]
    fn a_newer_format_is_named_whatever_follows() {
        let error = parse(b"anneal-store 9\nwho knows").unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::NewerFormat { found: 9, supported: FORMAT });
    }
}
