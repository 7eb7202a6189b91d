//! Reading a segment from front to back with little memory, whatever its bytes are.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::log::frame::{self, BadHeader, Header};

const CHUNK: usize = 1 << 20;

/// A window that moves forward over a file.
pub(crate) struct Window {
    file: File,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
}

/// What lies at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A frame whose checksums are right.
    Frame(Header),
    /// Nothing more: the end of the file, or zeros from here to it.
    End,
    /// A header that is right, and a payload that is not.
    BadPayload(Header, &'static str),
    /// No header.
    Unreadable(&'static str),
    /// A frame of a later version.
    Newer(u16),
}

impl Window {
    pub(crate) fn new(file: File) -> io::Result<Window> {
        let size = file.metadata()?.len();
        Ok(Window { file, size, start: 0, bytes: Vec::new() })
    }

    /// The file's size when it was opened, or as it turned out since.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes from `offset`; fewer than asked for at the end of the file.
    pub(crate) fn bytes(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let count = count.min(usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX));
        let inside = offset >= self.start && offset + count as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
            self.bytes.resize(count.max(CHUNK).min(left), 0);
            self.start = offset;
            let read = read_at(&self.file, &mut self.bytes, offset)?;
            if read < self.bytes.len() {
                // The writer has cut off the room that it had made ahead, while we read.
                self.bytes.truncate(read);
                self.size = offset + read as u64;
                return Ok(self.bytes.get(..count.min(read)).unwrap_or_default());
            }
        }
        let from = (offset - self.start) as usize;
        Ok(self.bytes.get(from..from + count).unwrap_or_default())
    }

    /// What lies at `offset`. `seed` is the segment's.
    pub(crate) fn find(&mut self, offset: u64, seed: u32) -> io::Result<Found> {
        let bytes = self.bytes(offset, frame::HEADER)?;
        let Ok(bytes) = <&[u8; frame::HEADER]>::try_from(bytes) else {
            let blank = bytes.iter().all(|byte| *byte == 0);
            return Ok(if blank { Found::End } else { Found::Unreadable("a frame's header is cut short") });
        };
        match Header::decode(bytes, seed, offset) {
            Ok(header) => self.payload_of(header, offset),
            Err(BadHeader::Newer(format)) => Ok(Found::Newer(format)),
            Err(BadHeader::Unreadable(what)) => {
                Ok(if self.blank_from(offset)? { Found::End } else { Found::Unreadable(what) })
            }
        }
    }

    /// The payload of a frame that [`find`](Self::find) found.
    pub(crate) fn payload(&mut self, offset: u64, header: &Header) -> io::Result<&[u8]> {
        self.bytes(offset + frame::HEADER as u64, header.payload_size as usize)
    }

    fn payload_of(&mut self, header: Header, offset: u64) -> io::Result<Found> {
        let payload = self.payload(offset, &header)?;
        Ok(if payload.len() < header.payload_size as usize {
            Found::BadPayload(header, "the file ends within a frame")
        } else if crc32c::crc32c(payload) != header.payload_check {
            Found::BadPayload(header, "a frame's content is not as it was written")
        } else {
            Found::Frame(header)
        })
    }

    /// Whether only zeros follow: room that was made ahead, and not used.
    fn blank_from(&mut self, mut offset: u64) -> io::Result<bool> {
        while offset < self.size {
            let bytes = self.bytes(offset, CHUNK)?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            offset += bytes.len() as u64;
        }
        Ok(true)
    }

    /// The highest `durable` that any header after `offset` carries: what it names was flushed before that header was
    /// written, whatever it looks like now.
    pub(crate) fn durable_after(&mut self, offset: u64, seed: u32) -> io::Result<u64> {
        let mut highest = 0;
        let mut at = offset + 1;
        while at + frame::HEADER as u64 <= self.size {
            let bytes = self.bytes(at, CHUNK + frame::HEADER)?;
            let places = bytes.len().saturating_sub(frame::HEADER - 1);
            for place in 0..places {
                let Some(bytes) = bytes.get(place..).and_then(|rest| rest.first_chunk::<{ frame::HEADER }>()) else {
                    break;
                };
                if bytes[..4] == frame::MAGIC
                    && let Ok(header) = Header::decode(bytes, seed, at + place as u64)
                {
                    highest = highest.max(header.durable);
                }
            }
            at += places as u64;
        }
        Ok(highest)
    }
}
/// Fills `bytes` from `offset` on, as far as the file goes.
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_shorter_while_it_is_read_has_its_bytes_and_no_more() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 << 20).unwrap();
        file.write_all_at(&[7; 100], 0).unwrap();
        let mut window = Window::new(file.try_clone().unwrap()).unwrap();
        file.set_len(100).unwrap();
        assert_eq!(window.bytes(40, 1_000).unwrap(), [7; 60]);
        assert_eq!((window.size(), window.bytes(100, 10).unwrap()), (100, &[][..]));
    }
}
