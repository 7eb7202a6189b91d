//! One commit as the log holds it: a header of 52 bytes and the payload.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `ANfr` |
//! | 4..6 | format, u16 |
//! | 6..8 | flags, u16: 1 = made by an operation, 2 = a mark, 4 = kept, 8 = lost (see below) |
//! | 8..12 | length of the payload, u32 |
//! | 12..16 | CRC32C of the payload |
//! | 16..24 | sequence, u64: the commits of a store are numbered from 1 without gaps, marks included |
//! | 24..32 | `durable`, u64: the last sequence that was known to be flushed when this frame was written; of a kept frame, the sequence of the frame before it |
//! | 32..48 | operation, 16 bytes, zero when there is none |
//! | 48..52 | CRC32C of the segment's own checksum, this frame's offset (u64) and bytes 0..48 |
//!
//! The header's checksum depends on the place, and on the segment's random salt: a copy of a frame inside a value, or a
//! leftover of another file, is never taken for a frame.
//!
//! A *mark* has no payload. It is written at a clean end and says with `durable` that all before it was flushed, so that
//! later damage to the last commit cannot look like a write that was never acknowledged.
//!
//! A *kept* frame was copied from an earlier generation, with its sequence and what was still live of its payload. Frames
//! of which nothing was live were left out, so its sequence need not be the next one; that none was lost since is shown by
//! the name of the frame before it. A *lost* frame is what is left of a commit whose content was found damaged in an
//! earlier generation: a put in its payload is a value that the index still had, a delete a key whose value is gone.
//! Format 1 had neither.

use crate::log::payload::PAYLOAD_BYTES;
use crate::manifest::FORMAT;

/// Size of a frame's header.
pub(crate) const HEADER: usize = 52;
pub(crate) const MAGIC: [u8; 4] = *b"ANfr";

const OF_OPERATION: u16 = 1;
const MARK: u16 = 2;
const KEPT: u16 = 4;
const LOST: u16 = 8;
const CHECKED: usize = HEADER - 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) sequence: u64,
    pub(crate) durable: u64,
    pub(crate) operation: Option<[u8; 16]>,
    pub(crate) mark: bool,
    pub(crate) kept: bool,
    pub(crate) lost: bool,
    pub(crate) payload_size: u32,
    pub(crate) payload_check: u32,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    Unreadable(&'static str),
    /// It is a header, of a format that a later version writes.
    Newer(u16),
}

impl Header {
    /// Whether it is the next frame after the one with this sequence.
    pub(crate) fn follows(&self, before: u64) -> bool {
        if self.kept { self.durable == before && self.sequence > before } else { self.sequence == before + 1 }
    }

    /// The whole frame's size.
    pub(crate) fn frame_size(&self) -> u64 {
        HEADER as u64 + u64::from(self.payload_size)
    }

    /// `seed` is the segment's checksum, `offset` where in it the frame begins.
    pub(crate) fn encode(&self, seed: u32, offset: u64) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(self.operation.is_some(), OF_OPERATION)
            | flag(self.mark, MARK)
            | flag(self.kept, KEPT)
            | flag(self.lost, LOST);
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[6..8].copy_from_slice(&flags.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload_size.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.payload_check.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.durable.to_le_bytes());
        bytes[32..48].copy_from_slice(&self.operation.unwrap_or_default());
        let check = checksum(&bytes, seed, offset);
        bytes[CHECKED..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER], seed: u32, offset: u64) -> Result<Header, BadHeader> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if bytes[0..4] != MAGIC {
            return Err(BadHeader::Unreadable("there is no frame where one should begin"));
        }
        if u32_at(CHECKED) != checksum(bytes, seed, offset) {
            return Err(BadHeader::Unreadable("the header of a frame is not as it was written"));
        }
        let (format, flags) = (u16_at(4), u16_at(6));
        if format > FORMAT {
            return Err(BadHeader::Newer(format));
        }
        let payload_size = u32_at(8);
        let known = if format == 1 { OF_OPERATION | MARK } else { OF_OPERATION | MARK | KEPT | LOST };
        if format == 0 || flags & !known != 0 || u64::from(payload_size) > PAYLOAD_BYTES {
            return Err(BadHeader::Unreadable("the header of a frame says what no version writes"));
        }
        let mut operation = [0; 16];
        operation.copy_from_slice(&bytes[32..48]);
        Ok(Header {
            sequence: u64_at(16),
            durable: u64_at(24),
            operation: (flags & OF_OPERATION != 0).then_some(operation),
            mark: flags & MARK != 0,
            kept: flags & KEPT != 0,
            lost: flags & LOST != 0,
            payload_size,
            payload_check: u32_at(12),
        })
    }
}

fn checksum(bytes: &[u8; HEADER], seed: u32, offset: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &offset.to_le_bytes()), &bytes[..CHECKED])
}

/// The running checksum of a log: each frame's header goes into it, so two logs that differ anywhere differ in it.
pub(crate) fn chain(before: u32, header: &[u8]) -> u32 {
    crc32c::crc32c_append(before, header.get(CHECKED..HEADER).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Header = Header {
        sequence: 7,
        durable: 5,
        operation: Some([9; 16]),
        mark: false,
        kept: true,
        lost: false,
        payload_size: 100,
        payload_check: 0xdead_beef,
    };

    #[test]
    fn a_header_comes_back_only_at_its_own_place() {
        let bytes = SAMPLE.encode(1, 64);
        assert_eq!(Header::decode(&bytes, 1, 64), Ok(SAMPLE));
        assert!(Header::decode(&bytes, 1, 65).is_err(), "another offset");
        assert!(Header::decode(&bytes, 2, 64).is_err(), "another segment");
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let good = SAMPLE.encode(1, 64);
        for bit in 0..HEADER * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Header::decode(&bad, 1, 64), Err(BadHeader::Unreadable(_))), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_header_is_told_from_a_damaged_one() {
        let mut bytes = SAMPLE.encode(1, 64);
        bytes[4..6].copy_from_slice(&(FORMAT + 1).to_le_bytes());
        let check = checksum(&bytes, 1, 64);
        bytes[CHECKED..].copy_from_slice(&check.to_le_bytes());
        assert_eq!(Header::decode(&bytes, 1, 64), Err(BadHeader::Newer(FORMAT + 1)));
    }
}
