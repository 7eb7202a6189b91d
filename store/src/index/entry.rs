//! What the index holds under a key.
//!
//! ```text
//! 0u8, version, value                                a small value
//! 1u8, version, segment, offset, length, CRC32C u32  a value in the log
//! 2u8, version                                       a value that was lost with its commit
//! ```
//!
//! The version of a key is the sequence of the commit that last put it. Numbers without a size are in LEB128, for each byte
//! here is written to disk several times: sled writes its pages anew as they change.

use crate::index::recent::Changes;
use crate::limits::INLINE_VALUE_BYTES;
use crate::log::payload;

const INLINE: u8 = 0;
const IN_LOG: u8 = 1;
const LOST: u8 = 2;
/// Most bytes of an entry without its value.
const SIZE: usize = 1 + 4 * NUMBER + 4;
/// Most bytes of a number.
const NUMBER: usize = 10;

/// Where a value is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Inline(&'a [u8]),
    InLog { segment: u64, offset: u64, size: u32, check: u32 },
    Lost,
}

/// Where a commit's payload lies, and what it makes of its keys.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) version: u64,
    pub(crate) segment: u64,
    pub(crate) payload_at: u64,
    /// A delete in it says that the key's value is gone, not the key.
    pub(crate) lost: bool,
}

impl Frame {
    /// The entry that a put or delete of the frame makes; `None` when the key is deleted.
    pub(crate) fn entry(&self, change: &payload::Entry<'_>) -> Option<Vec<u8>> {
        match change.value {
            None if self.lost => Some(begin(LOST, self.version, 0)),
            _ => of(change, self.version, self.segment, self.payload_at),
        }
    }

    /// What the whole payload makes of the index; `None` when it cannot be decoded.
    pub(crate) fn changes(&self, payload: &[u8]) -> Option<Changes> {
        let mut changes = Changes::new();
        for change in payload::entries(payload) {
            let change = change.ok()?;
            changes.insert(change.key.to_vec(), self.entry(&change));
        }
        Some(changes)
    }
}

/// The entry that a put makes; `None` for a delete. `payload_at` is where the commit's payload begins in its segment.
fn of(change: &payload::Entry<'_>, version: u64, segment: u64, payload_at: u64) -> Option<Vec<u8>> {
    let value = change.value?;
    if value.len() as u64 <= INLINE_VALUE_BYTES {
        let mut bytes = begin(INLINE, version, value.len());
        bytes.extend_from_slice(value);
        return Some(bytes);
    }
    let mut bytes = begin(IN_LOG, version, 0);
    for number in [segment, payload_at + change.value_at as u64, value.len() as u64] {
        push(&mut bytes, number);
    }
    bytes.extend_from_slice(&crc32c::crc32c(value).to_le_bytes());
    Some(bytes)
}

fn begin(kind: u8, version: u64, room: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SIZE + room);
    bytes.push(kind);
    push(&mut bytes, version);
    bytes
}

/// The version in an entry.
pub(crate) fn version(bytes: &[u8]) -> Option<u64> {
    pull(&mut bytes.get(1..)?)
}

/// Reads an entry: the version and where the value is.
pub(crate) fn decode(bytes: &[u8]) -> Option<(u64, Value<'_>)> {
    let (kind, mut rest) = bytes.split_first()?;
    let version = pull(&mut rest)?;
    let value = match *kind {
        INLINE => Value::Inline(rest),
        IN_LOG => {
            let (segment, offset) = (pull(&mut rest)?, pull(&mut rest)?);
            let size = u32::try_from(pull(&mut rest)?).ok()?;
            Value::InLog { segment, offset, size, check: u32::from_le_bytes(rest.try_into().ok()?) }
        }
        LOST if rest.is_empty() => Value::Lost,
        _ => return None,
    };
    Some((version, value))
}

/// How large the value of an entry is.
pub(crate) fn value_size(bytes: &[u8]) -> u64 {
    match decode(bytes) {
        Some((_, Value::Inline(value))) => value.len() as u64,
        Some((_, Value::InLog { size, .. })) => u64::from(size),
        Some((_, Value::Lost)) | None => 0,
    }
}

fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off the front of `bytes`.
fn pull(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        // The last byte has room for one bit only.
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_and_one_too_large_is_none() {
        for number in (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit]).chain([u64::MAX]) {
            let mut bytes = Vec::new();
            push(&mut bytes, number);
            assert!(bytes.len() <= NUMBER);
            let mut rest = &bytes[..];
            assert_eq!((pull(&mut rest), rest), (Some(number), &[][..]));
            assert_eq!(pull(&mut &bytes[..bytes.len() - 1]), None);
        }
        let too_large = [&[0xff; 9][..], &[2]].concat();
        assert_eq!(pull(&mut &too_large[..]), None);
        assert_eq!(pull(&mut &[0x80; 11][..]), None);
    }

    #[test]
    fn small_values_lie_in_the_entry_and_large_ones_in_the_log() {
        let small = vec![7; INLINE_VALUE_BYTES as usize];
        let large = vec![7; INLINE_VALUE_BYTES as usize + 1];
        let change = |value| payload::Entry { key: b"k", value, value_at: 10 };
        let entry = of(&change(Some(&small[..])), 3, 1, 100).unwrap();
        assert_eq!(decode(&entry), Some((3, Value::Inline(&small))));
        let entry = of(&change(Some(&large[..])), 3, 2, 100).unwrap();
        let check = crc32c::crc32c(&large);
        assert_eq!(decode(&entry), Some((3, Value::InLog { segment: 2, offset: 110, size: 65, check })));
        assert_eq!(value_size(&entry), 65);
        assert_eq!(of(&change(None), 3, 2, 100), None);
        for end in 0..entry.len() {
            assert_eq!(decode(&entry[..end]), None);
        }
    }
}
