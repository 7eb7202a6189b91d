//! The file `MANIFEST`: which format the store has and which generation of the log counts.
//!
//! It is text, so that a person can read it:
//!
//! ```text
//! anneal-store 1
//! generation 1
//! store 0193e0a4-6f4e-7c1a-a5d1-0d3a3c1f9b10
//! check 5f2c8a10
//! ```
//!
//! `check` is the CRC32C of the lines above it. The first line is read before anything else: a higher format is refused
//! whatever follows. Generation 0 says that the store is being made and holds nothing yet; an opening that finds it
//! begins again. Switching to another generation is one rename of this file.

use std::io;
use std::path::Path;

use uuid::Uuid;

use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::stats::Counters;

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u16 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// 0 while the store is being made.
    pub(crate) generation: u64,
    /// Names this store: segments and the index carry it, so that files of another store are noticed.
    pub(crate) store: Uuid,
}

impl Manifest {
    /// Reads the manifest; `None` when there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Manifest>, Error> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read the manifest", path, error)),
        };
        parse(&bytes).map(Some).map_err(|error| error.at(path))
    }

    pub(crate) fn write(&self, path: &Path, counters: &Counters) -> Result<(), Error> {
        durable::write_file(path, self.text().as_bytes(), counters).map(drop)
    }

    fn text(&self) -> String {
        let lines = format!("anneal-store {FORMAT}\ngeneration {}\nstore {}\n", self.generation, self.store);
        format!("{lines}check {:08x}\n", crc32c::crc32c(lines.as_bytes()))
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
    let check_at = text.rfind("check ").ok_or_else(damaged)?;
    let (lines, check) = text.split_at(check_at);
    if check != format!("check {:08x}\n", crc32c::crc32c(lines.as_bytes())) {
        return Err(damaged());
    }
    let field = |name: &str| lines.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(damaged);
    let manifest = Manifest {
        generation: field("generation ")?.parse().map_err(|_| damaged())?,
        store: field("store ")?.parse().map_err(|_| damaged())?,
    };
    // Only what we would write ourselves is ours.
    if manifest.text() == text { Ok(manifest) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_manifest_is_noticed() {
        let manifest = Manifest { generation: 3, store: Uuid::from_u128(7) };
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

    #[test]
    fn a_newer_format_is_named_whatever_follows() {
        let error = parse(b"anneal-store 9\nwho knows").unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::NewerFormat { found: 9, supported: FORMAT });
    }
}
