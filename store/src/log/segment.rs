//! The files that hold frames, and reading values back from them.
//!
//! A segment begins with 64 bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `ANNEALog` |
//! | 8..10 | format, u16 |
//! | 10..12 | flags, u16, zero |
//! | 12..20 | generation, u64 |
//! | 20..28 | number, u64, counted from 1 |
//! | 28..36 | one more than the sequence of the last frame before it, u64 |
//! | 36..52 | the store's id |
//! | 52..60 | random salt |
//! | 60..64 | CRC32C of bytes 0..60: the seed of its frames' checksums |
//!
//! Invariant: a segment gets its name only when its header is flushed, and only after everything in the segment before
//! it was flushed. So a segment that is there has a header, and whatever is wrong in an earlier one is damage.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, RwLock};

use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::layout::{Layout, segment_number};
use crate::limits::OPEN_SEGMENTS;
use crate::manifest::FORMAT;
use crate::stats::{Counters, add};

/// Size of a segment's header.
pub(crate) const HEADER: usize = 64;
const MAGIC: [u8; 8] = *b"ANNEALog";
const CHECKED: usize = HEADER - 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) format: u16,
    pub(crate) generation: u64,
    pub(crate) number: u64,
    pub(crate) first_sequence: u64,
    pub(crate) store: Uuid,
    pub(crate) salt: u64,
}

impl Header {
    fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&self.format.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.generation.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.number.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[36..52].copy_from_slice(self.store.as_bytes());
        bytes[52..60].copy_from_slice(&self.salt.to_le_bytes());
        let check = crc32c::crc32c(&bytes[..CHECKED]);
        bytes[CHECKED..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// The seed of the checksums of the segment's frames.
    pub(crate) fn seed(&self) -> u32 {
        crc32c::crc32c(&self.encode()[..CHECKED])
    }

    fn decode(bytes: &[u8; HEADER]) -> Result<Header, ErrorKind> {
        let damaged = |what: &str| ErrorKind::Damaged { what: what.to_owned() };
        let u64_at = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        let check = u32::from_le_bytes([bytes[60], bytes[61], bytes[62], bytes[63]]);
        if bytes[0..8] != MAGIC || check != crc32c::crc32c(&bytes[..CHECKED]) {
            return Err(damaged("the header of a log segment is not as it was written"));
        }
        let format = u16::from_le_bytes([bytes[8], bytes[9]]);
        if format == 0 {
            return Err(damaged("the header of a log segment is no known one"));
        }
        if format > FORMAT {
            return Err(ErrorKind::NewerFormat { found: format, supported: FORMAT });
        }
        let mut store = [0; 16];
        store.copy_from_slice(&bytes[36..52]);
        let header = Header {
            format,
            generation: u64_at(12),
            number: u64_at(20),
            first_sequence: u64_at(28),
            store: Uuid::from_bytes(store),
            salt: u64_at(52),
        };
        // What this version would not write itself, it does not know the meaning of.
        if header.encode() == *bytes { Ok(header) } else { Err(damaged("the header of a log segment is no known one")) }
    }

    /// Reads the header of an open segment.
    pub(crate) fn read(file: &File, path: &Path) -> Result<Header, Error> {
        let mut bytes = [0; HEADER];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Header::decode(&bytes).map_err(|kind| Error::new(kind).at(path).offset_at(0)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::damaged("a log segment is shorter than its header", path, 0))
            }
            Err(error) => Err(Error::io("read the log", path, error)),
        }
    }
}

/// Makes a segment; it and its name are durable when this returns.
pub(crate) fn create(
    layout: &Layout,
    generation: u64,
    number: u64,
    first_sequence: u64,
    store: Uuid,
    counters: &Counters,
) -> Result<(File, Header), Error> {
    let path = layout.segment(generation, number);
    let mut salt = [0; 8];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| Error::io("draw random numbers", &path, io::Error::other("the system gives none")))?;
    let salt = u64::from_le_bytes(salt);
    let header = Header { format: FORMAT, generation, number, first_sequence, store, salt };
    let from = durable::temporary(&path);
    let mut file = durable::create_file(&from)?;
    if let Err(error) = file.write_all(&header.encode()) {
        let _ = std::fs::remove_file(&from);
        return Err(Error::io("write the file", &from, error));
    }
    add(&counters.bytes_written, HEADER as u64);
    durable::publish(&file, &from, &path, counters)?;
    Ok((file, header))
}

/// The numbers of a generation's segments, in order.
pub(crate) fn numbers(folder: &Path) -> Result<Vec<u64>, Error> {
    let mut numbers: Vec<u64> = durable::names(folder)?.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Segments opened for reading values, by any thread.
#[derive(Debug)]
pub(crate) struct Segments {
    layout: Layout,
    generation: u64,
    open: RwLock<HashMap<u64, Arc<File>>>,
}

impl Segments {
    pub(crate) fn new(layout: Layout, generation: u64) -> Segments {
        Segments { layout, generation, open: RwLock::default() }
    }

    /// Reads a value and compares its checksum: what comes back is what was committed.
    pub(crate) fn read(&self, number: u64, offset: u64, size: u32, check: u32) -> Result<Vec<u8>, Error> {
        let file = self.file(number)?;
        let mut value = vec![0; size as usize];
        let path = || self.layout.segment(self.generation, number);
        match file.read_exact_at(&mut value, offset) {
            Ok(()) if crc32c::crc32c(&value) == check => Ok(value),
            Ok(()) => Err(Error::damaged("a value is not as it was written", &path(), offset)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::damaged("a value lies beyond the end of its file", &path(), offset))
            }
            Err(error) => Err(Error::io("read the log", &path(), error)),
        }
    }

    fn file(&self, number: u64) -> Result<Arc<File>, Error> {
        // A thread that panicked while it held the lock left a map of open files, which is good as it is.
        if let Some(file) = self.open.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&number) {
            return Ok(Arc::clone(file));
        }
        let path = self.layout.segment(self.generation, number);
        let file = Arc::new(File::open(&path).map_err(|error| Error::io("open the log", &path, error))?);
        let mut open = self.open.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if open.len() as u64 >= OPEN_SEGMENTS {
            open.clear();
        }
        open.insert(number, Arc::clone(&file));
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_segments_header_is_noticed() {
        let (store, salt) = (Uuid::from_u128(4), 0x0506_0708);
        for format in 1..=FORMAT {
            let header = Header { format, generation: 1, number: 2, first_sequence: 3, store, salt };
            let good = header.encode();
            assert_eq!(Header::decode(&good), Ok(header));
            for bit in 0..HEADER * 8 {
                let mut bad = good;
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(Header::decode(&bad).is_err(), "bit {bit}");
            }
        }
    }
}
