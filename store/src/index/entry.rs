//! What the index holds under a key.
//!
//! ```text
//! 0u8, version u64, value                                            a small value
//! 1u8, version u64, segment u64, offset u64, length u32, CRC32C u32  a value in the log
//! 2u8, version u64                                                   a value that was lost with its commit
//! ```
//!
//! The version of a key is the sequence of the commit that last put it.

use crate::index::recent::Changes;
use crate::limits::INLINE_VALUE_BYTES;
use crate::log::payload;

const INLINE: u8 = 0;
const IN_LOG: u8 = 1;
const LOST: u8 = 2;
const IN_LOG_SIZE: usize = 33;

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
            None if self.lost => Some([&[LOST][..], &self.version.to_le_bytes()].concat()),
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
    let mut bytes = Vec::with_capacity(IN_LOG_SIZE.max(9 + value.len().min(INLINE_VALUE_BYTES as usize)));
    if value.len() as u64 <= INLINE_VALUE_BYTES {
        bytes.push(INLINE);
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(value);
    } else {
        bytes.push(IN_LOG);
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&segment.to_le_bytes());
        bytes.extend_from_slice(&(payload_at + change.value_at as u64).to_le_bytes());
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(value).to_le_bytes());
    }
    Some(bytes)
}

/// The version in an entry.
pub(crate) fn version(bytes: &[u8]) -> Option<u64> {
    number(bytes, 1)
}

/// Reads an entry: the version and where the value is.
pub(crate) fn decode(bytes: &[u8]) -> Option<(u64, Value<'_>)> {
    let version = version(bytes)?;
    match *bytes.first()? {
        LOST if bytes.len() == 9 => Some((version, Value::Lost)),
        INLINE => Some((version, Value::Inline(bytes.get(9..)?))),
        IN_LOG if bytes.len() == IN_LOG_SIZE => {
            let lengths = number(bytes, 25)?;
            let value = Value::InLog {
                segment: number(bytes, 9)?,
                offset: number(bytes, 17)?,
                size: lengths as u32,
                check: (lengths >> 32) as u32,
            };
            Some((version, value))
        }
        _ => None,
    }
}

/// How large the value of an entry is.
pub(crate) fn value_size(bytes: &[u8]) -> u64 {
    match decode(bytes) {
        Some((_, Value::Inline(value))) => value.len() as u64,
        Some((_, Value::InLog { size, .. })) => u64::from(size),
        Some((_, Value::Lost)) | None => 0,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

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
