//! Two whose answer is known, so that the harness is known to see: sled that is only flushed must fail in it, and a bare log
//! must pass.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use store::Digest;

use super::events::{Event, LAST};
use super::subject::{Found, Subject};

/// sled, with `flush` before every answer. Its `flush` is `sync_file_range`, which is no flush of the disk.
pub struct SledFlush {
    tree: sled::Db,
    commits: Mutex<u64>,
}

impl SledFlush {
    /// Opens it.
    ///
    /// # Errors
    /// sled's.
    pub fn open(folder: &Path) -> Result<SledFlush, String> {
        let config = sled::Config::new().path(folder).cache_capacity(32 << 20).flush_every_ms(None);
        let tree = config.open().map_err(|error| error.to_string())?;
        Ok(SledFlush { tree, commits: Mutex::new(0) })
    }
}

impl Subject for SledFlush {
    fn commit(&self, _writer: u32, event: &Event, _version: Option<u64>) -> Result<u64, String> {
        let mut batch = sled::Batch::default();
        for (key, value) in &event.changes {
            match value {
                Some(value) => batch.insert(key.as_bytes(), value.as_slice()),
                None => batch.remove(key.as_bytes()),
            }
        }
        let sequence = {
            let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
            self.tree.apply_batch(batch).map_err(|error| error.to_string())?;
            *commits += 1;
            *commits
        };
        self.tree.flush().map_err(|error| error.to_string())?;
        Ok(sequence)
    }

    fn read(&self) -> Result<Found, String> {
        let mut found = Found::default();
        for item in self.tree.iter() {
            let (key, value) = item.map_err(|error| error.to_string())?;
            keep(&mut found, &String::from_utf8_lossy(&key), Some(&value));
        }
        Ok(found)
    }
}

/// A file of records – size, CRC32C, changes – that is appended to, with `fdatasync` before every answer.
pub struct BareLog {
    file: Mutex<(File, u64)>,
    found: Found,
}

impl BareLog {
    /// Opens it. The file and the names that lead to it are durable when this returns.
    ///
    /// # Errors
    /// Of the disk.
    pub fn open(folder: &Path) -> Result<BareLog, String> {
        BareLog::open_file(folder).map_err(|error| error.to_string())
    }

    fn open_file(folder: &Path) -> io::Result<BareLog> {
        fs::create_dir_all(folder)?;
        let path = folder.join("log");
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path)?;
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
        File::open(folder.parent().unwrap_or(folder))?.sync_all()?;
        let bytes = fs::read(&path)?;
        let (mut found, mut rest) = (Found::default(), bytes.as_slice());
        while let Some((record, next)) = record(rest) {
            fold(&mut found, record);
            rest = next;
        }
        Ok(BareLog { file: Mutex::new((file, 0)), found })
    }
}

impl Subject for BareLog {
    fn commit(&self, _writer: u32, event: &Event, _version: Option<u64>) -> Result<u64, String> {
        let mut content = Vec::new();
        for (key, value) in &event.changes {
            content.push(u8::from(value.is_some()));
            let value = value.as_deref().unwrap_or_default();
            content.extend_from_slice(&(key.len() as u32).to_le_bytes());
            content.extend_from_slice(&(value.len() as u32).to_le_bytes());
            content.extend_from_slice(key.as_bytes());
            content.extend_from_slice(value);
        }
        let mut bytes = (content.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(&crc32c::crc32c(&content).to_le_bytes());
        bytes.extend_from_slice(&content);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.0.write_all(&bytes).and_then(|()| file.0.sync_data()).map_err(|error| error.to_string())?;
        file.1 += 1;
        Ok(file.1)
    }

    fn read(&self) -> Result<Found, String> {
        Ok(self.found.clone())
    }
}

/// The first whole record, and what follows it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = number(bytes)?;
    let (check, rest) = number(rest)?;
    let (content, rest) = rest.split_at_checked(size as usize)?;
    (size > 0 && crc32c::crc32c(content) == check).then_some((content, rest))
}

fn fold(found: &mut Found, mut content: &[u8]) {
    let mut change = || {
        let (&put, rest) = content.split_first()?;
        let (key_size, rest) = number(rest)?;
        let (value_size, rest) = number(rest)?;
        let (key, rest) = rest.split_at_checked(key_size as usize)?;
        let (value, rest) = rest.split_at_checked(value_size as usize)?;
        content = rest;
        Some((String::from_utf8_lossy(key).into_owned(), (put == 1).then_some(value)))
    };
    while let Some((key, value)) = change() {
        keep(found, &key, value);
    }
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

fn keep(found: &mut Found, key: &str, value: Option<&[u8]>) {
    if key == LAST {
        found.last = value.map(|value| String::from_utf8_lossy(value).into_owned());
    }
    match value {
        Some(value) => drop(found.entries.insert(key.to_owned(), (Digest::of(value), None))),
        None => drop(found.entries.remove(key)),
    }
}
