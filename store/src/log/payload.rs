//! What a commit says: puts and deletes, one after the other.
//!
//! ```text
//! put:    1u8, key length u16, value length u32, key, value
//! delete: 2u8, key length u16, key
//! ```
//!
//! All numbers are little-endian. The live writer and recovery read payloads through [`entries`], so a commit means the
//! same before and after a crash.

use crate::limits::{BATCH_BYTES, KEY_BYTES, VALUE_BYTES};

const PUT: u8 = 1;
const DELETE: u8 = 2;
/// What a put takes besides its key and value.
pub(crate) const PUT_HEADER: usize = 7;
const DELETE_HEADER: usize = 3;

/// The largest payload that is ever written, and so the largest that a header may claim.
pub(crate) const PAYLOAD_BYTES: u64 = BATCH_BYTES;

/// One put or delete.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    /// `None` for a delete.
    pub(crate) value: Option<&'a [u8]>,
    /// Where the value begins in the payload.
    pub(crate) value_at: usize,
}

/// The caller has checked the limits: a key fits into u16 and a value into u32.
pub(crate) fn put(payload: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    debug_assert!(key.len() as u64 <= KEY_BYTES && value.len() as u64 <= VALUE_BYTES);
    payload.reserve(PUT_HEADER + key.len() + value.len());
    payload.push(PUT);
    payload.extend_from_slice(&(key.len() as u16).to_le_bytes());
    payload.extend_from_slice(&(value.len() as u32).to_le_bytes());
    payload.extend_from_slice(key);
    payload.extend_from_slice(value);
}

pub(crate) fn delete(payload: &mut Vec<u8>, key: &[u8]) {
    debug_assert!(key.len() as u64 <= KEY_BYTES);
    payload.push(DELETE);
    payload.extend_from_slice(&(key.len() as u16).to_le_bytes());
    payload.extend_from_slice(key);
}

/// A payload whose checksum is right but whose bytes are no entries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads a payload. After a [`Malformed`] nothing more comes.
pub(crate) fn entries(payload: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Malformed>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = payload.get(at..).filter(|rest| !rest.is_empty())?;
        let Some((entry, size)) = first(rest, at) else {
            at = payload.len();
            return Some(Err(Malformed));
        };
        at += size;
        Some(Ok(entry))
    })
}

fn first(rest: &[u8], at: usize) -> Option<(Entry<'_>, usize)> {
    let key_size = usize::from(u16::from_le_bytes([*rest.get(1)?, *rest.get(2)?]));
    match *rest.first()? {
        PUT => {
            let value_size = u32::from_le_bytes(rest.get(3..PUT_HEADER)?.try_into().ok()?) as usize;
            let key_end = PUT_HEADER + key_size;
            let key = rest.get(PUT_HEADER..key_end).filter(|key| !key.is_empty())?;
            let value = rest.get(key_end..key_end.checked_add(value_size)?)?;
            Some((Entry { key, value: Some(value), value_at: at + key_end }, key_end + value_size))
        }
        DELETE => {
            let key_end = DELETE_HEADER + key_size;
            let key = rest.get(DELETE_HEADER..key_end).filter(|key| !key.is_empty())?;
            Some((Entry { key, value: None, value_at: at + key_end }, key_end))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_put() {
        let mut payload = Vec::new();
        put(&mut payload, b"a", b"one");
        delete(&mut payload, b"bb");
        put(&mut payload, b"c", b"");
        let read: Vec<_> = entries(&payload).map(Result::unwrap).collect();
        let shown: Vec<_> = read.iter().map(|entry| (entry.key, entry.value)).collect();
        assert_eq!(shown, [(&b"a"[..], Some(&b"one"[..])), (b"bb", None), (b"c", Some(b""))]);
        assert_eq!(&payload[read[0].value_at..][..3], b"one");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut payload = Vec::new();
        put(&mut payload, b"key", b"value");
        delete(&mut payload, b"other");
        for end in 0..payload.len() {
            let read: Vec<_> = entries(&payload[..end]).collect();
            assert!(read.len() <= 2);
        }
        for _ in 0..20_000 {
            let noise: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..4)).collect();
            assert!(entries(&noise).count() <= noise.len());
        }
    }
}
