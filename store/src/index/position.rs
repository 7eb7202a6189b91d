//! How far the index knows the log, and what it must hold if it is whole.
//!
//! | bytes | what |
//! |---|---|
//! | 0..2 | format of the index, u16: any other than ours means that it is made again |
//! | 2..18 | the store's id |
//! | 18..26 | generation, u64 |
//! | 26..34 | sequence, u64 |
//! | 34..42 | segment, u64 |
//! | 42..50 | offset, u64 |
//! | 50..54 | running checksum of the log, u32 |
//! | 54..62 | number of entries, u64 |
//! | 62..70 | sum of the entries, u64 |
//! | 70..78 | bytes of their keys and values, u64 |
//! | 78..82 | CRC32C of bytes 0..78 |

use uuid::Uuid;

use crate::index::entry;
use crate::log::recover::Place;

/// The key of the position. No batch can have it.
pub(crate) const POSITION_KEY: &[u8] = b"";
const SIZE: usize = 82;
/// To be raised with every change of what the index holds.
const INDEX_FORMAT: u16 = 3;
const CHECKED: usize = SIZE - 4;

/// How many entries there are, a sum over them that does not depend on their order, and how much is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) sum: u64,
    /// Bytes of the keys and values, in the log and here: what would be left if all else were thrown away.
    pub(crate) bytes: u64,
}

impl Tally {
    pub(crate) fn insert(&mut self, key: &[u8], entry: &[u8]) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(hash(key, entry));
        self.bytes = self.bytes.wrapping_add(size(key, entry));
    }

    pub(crate) fn remove(&mut self, key: &[u8], entry: &[u8]) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(hash(key, entry));
        self.bytes = self.bytes.wrapping_sub(size(key, entry));
    }
}

fn size(key: &[u8], entry: &[u8]) -> u64 {
    key.len() as u64 + entry::value_size(entry)
}

/// Two checksums, mixed, so that adding them up loses little.
pub(crate) fn hash(key: &[u8], entry: &[u8]) -> u64 {
    let key = crc32c::crc32c(key);
    let mut mixed = u64::from(key) << 32 | u64::from(crc32c::crc32c_append(!key, entry));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) store: Uuid,
    pub(crate) generation: u64,
    pub(crate) place: Place,
    pub(crate) tally: Tally,
}

impl Position {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.extend_from_slice(&INDEX_FORMAT.to_le_bytes());
        bytes.extend_from_slice(self.store.as_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.place.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.place.segment.to_le_bytes());
        bytes.extend_from_slice(&self.place.offset.to_le_bytes());
        bytes.extend_from_slice(&self.place.chain.to_le_bytes());
        bytes.extend_from_slice(&self.tally.count.to_le_bytes());
        bytes.extend_from_slice(&self.tally.sum.to_le_bytes());
        bytes.extend_from_slice(&self.tally.bytes.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Position> {
        if bytes.len() != SIZE || *bytes.get(CHECKED..)? != crc32c::crc32c(bytes.get(..CHECKED)?).to_le_bytes() {
            return None;
        }
        if *bytes.first_chunk()? != INDEX_FORMAT.to_le_bytes() {
            return None;
        }
        let u64_at = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        Some(Position {
            store: Uuid::from_bytes(*bytes.get(2..)?.first_chunk()?),
            generation: u64_at(18)?,
            place: Place {
                sequence: u64_at(26)?,
                segment: u64_at(34)?,
                offset: u64_at(42)?,
                chain: u32::from_le_bytes(*bytes.get(50..)?.first_chunk()?),
            },
            tally: Tally { count: u64_at(54)?, sum: u64_at(62)?, bytes: u64_at(70)? },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_and_every_flipped_bit_is_noticed() {
        let place = Place { sequence: 1, segment: 2, offset: 3, chain: 4 };
        let tally = Tally { count: 7, sum: 8, bytes: 9 };
        let position = Position { store: Uuid::from_u128(5), generation: 6, place, tally };
        let good = position.encode();
        assert_eq!(Position::decode(&good), Some(position));
        for bit in 0..SIZE * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Position::decode(&bad), None, "bit {bit}");
        }
    }

    #[test]
    fn a_tally_does_not_depend_on_the_way_to_it() {
        let mut one = Tally::default();
        one.insert(b"a", b"1");
        one.insert(b"b", b"2");
        one.remove(b"a", b"1");
        let mut other = Tally::default();
        other.insert(b"b", b"2");
        assert_eq!(one, other);
        other.remove(b"b", b"2");
        other.insert(b"b", b"3");
        assert_ne!(one, other);
    }
}
