//! Making a store of an exported file ([`export`](crate::export)), line by line, with little memory.
//!
//! The text may come from anywhere, so nothing of it is believed: lines, keys, values and commits have the limits that
//! they have everywhere, commits must be in order, a blob must have its digest, and only with the last line, its counts and
//! the checksum of all before it, does the store get its place.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64;
use uuid::Uuid;

use crate::backup::Restored;
use crate::blobs::Blobs;
use crate::digest::Hasher;
use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::export::{Blob, EXPORT_FORMAT, End, Entry, Head, Line};
use crate::limits::{BATCH_BYTES, BATCH_ENTRIES, EXPORT_LINE_BYTES, KEY_BYTES, VALUE_BYTES};
use crate::log::generation::{Generation, Kept};
use crate::log::payload;
use crate::manifest::{FORMAT, Held, Manifest, Origin};
use crate::sealed;
use crate::staging::Staging;

/// Makes a store of an exported file, in a folder that holds none. It has the sequences and versions of the exported one,
/// no sealed files, a key of its own, the next incarnation, and is held.
///
/// # Errors
/// [`ErrorKind::BadExport`], [`ErrorKind::NewerFormat`], [`ErrorKind::Exists`], [`ErrorKind::Full`], [`ErrorKind::Io`]:
/// nothing is left behind.
pub fn import(from: &mut dyn Read, to: &Path) -> Result<Restored, Error> {
    let mut lines = Lines { from: BufReader::new(from), hasher: Hasher::new(), number: 0, buffer: Vec::new() };
    let head = lines.head()?;
    let staging = Staging::begin(to, None)?;
    let layout = &staging.layout;
    for folder in [layout.log(), layout.blobs(), layout.secrets(), layout.records()] {
        durable::create_folder(&folder, &staging.counters)?;
    }
    sealed::create_key(&layout.key(), &staging.counters)?;
    let log = Generation::begin(staging.settings(head.store))?;
    let blobs = Blobs::reading(layout.blobs(), Arc::clone(&staging.counters), 0);
    let mut input = Input { lines, log, pending: None, commits: 0, puts: 0 };
    let (end, count) = input.read(&blobs)?;
    let Input { lines, log, commits, .. } = input;
    if end.sequence < log.end().sequence || end.sequence > LAST_SEQUENCE {
        return Err(lines.bad("its sequence does not follow the commits"));
    }
    let base = log.finish(end.sequence + 1)?.end.sequence;
    let held = Held { from_sequence: base, backed_up_at_ms: head.at_ms };
    let incarnation = head.incarnation.saturating_add(1);
    let origin = Origin::Held(held);
    let manifest = Manifest { format: FORMAT, generation: 1, base, incarnation, origin, ..Manifest::new(head.store) };
    staging.place(manifest)?;
    Ok(Restored { store: head.store, incarnation, held, commits, blobs: count, sealed: 0 })
}

/// So far no store comes, and beyond it numbers would not fit.
const LAST_SEQUENCE: u64 = 1 << 62;

struct Lines<'a> {
    from: BufReader<&'a mut dyn Read>,
    /// Of all lines but the last one.
    hasher: Hasher,
    number: u64,
    buffer: Vec<u8>,
}

impl Lines<'_> {
    fn bad(&self, what: &str) -> Error {
        Error::new(ErrorKind::BadExport { what: what.to_owned(), line: self.number })
    }

    /// The next line's bytes.
    fn next(&mut self) -> Result<(), Error> {
        self.hasher.update(&self.buffer);
        self.buffer.clear();
        self.number += 1;
        (&mut self.from)
            .take(EXPORT_LINE_BYTES)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error| Error::io("read the exported file", Path::new("-"), error))?;
        match self.buffer.last() {
            Some(b'\n') => Ok(()),
            Some(_) if self.buffer.len() as u64 == EXPORT_LINE_BYTES => Err(self.bad("it is too long")),
            _ => Err(self.bad("the file ends here, and its end is missing")),
        }
    }

    fn line(&mut self) -> Result<Line, Error> {
        self.next()?;
        // What is wrong is told without what the line holds.
        serde_json::from_slice(&self.buffer)
            .map_err(|error| self.bad(&format!("it is none that this version knows (column {})", error.column())))
    }

    /// The first line. A newer one is told from a damaged one, whatever else it has.
    fn head(&mut self) -> Result<Head, Error> {
        self.next()?;
        let line: serde_json::Value =
            serde_json::from_slice(&self.buffer).map_err(|_| self.bad("it is no exported file"))?;
        let format = line.get("export").and_then(|head| head.get("format")).and_then(serde_json::Value::as_u64);
        match format.map(u16::try_from) {
            Some(Ok(format)) if format > EXPORT_FORMAT => {
                Err(Error::new(ErrorKind::NewerFormat { found: format, supported: EXPORT_FORMAT }))
            }
            Some(Ok(EXPORT_FORMAT)) => match serde_json::from_value(line) {
                Ok(Line::Export(head)) => Ok(head),
                Ok(_) | Err(_) => Err(self.bad("it is no exported file")),
            },
            _ => Err(self.bad("it is no exported file")),
        }
    }
}

/// A commit of which more entries may come.
struct Pending {
    sequence: u64,
    operation: Option<Uuid>,
    lost: bool,
    payload: Vec<u8>,
    entries: u64,
}

struct Input<'a> {
    lines: Lines<'a>,
    log: Generation,
    pending: Option<Pending>,
    commits: u64,
    puts: u64,
}

impl Input<'_> {
    /// All lines after the first; gives the last one and how many blobs there were.
    fn read(&mut self, blobs: &Blobs) -> Result<(End, u64), Error> {
        let (mut count, mut next) = (0, self.lines.line()?);
        loop {
            next = match next {
                Line::Put(entry) => {
                    self.entry(&entry, true)?;
                    self.puts += 1;
                    self.lines.line()?
                }
                Line::Delete(entry) => {
                    self.entry(&entry, false)?;
                    self.lines.line()?
                }
                Line::Lost(commit) => {
                    self.settle()?;
                    self.begin(commit.commit, commit.operation, true)?;
                    self.lines.line()?
                }
                Line::Blob(blob) => {
                    self.settle()?;
                    count += 1;
                    self.blob(blobs, &blob)?
                }
                Line::End(end) => {
                    self.settle()?;
                    self.end(&end, count)?;
                    return Ok((end, count));
                }
                Line::Export(_) | Line::Data(_) => return Err(self.lines.bad("it is not in its place")),
            };
        }
    }

    fn end(&mut self, end: &End, blobs: u64) -> Result<(), Error> {
        if end.sha256 != self.lines.hasher.clone().finish().hex() {
            return Err(self.lines.bad("the lines before it are not as they were written"));
        }
        if (end.puts, end.blobs) != (self.puts, blobs) {
            return Err(self.lines.bad("it counts others than there are"));
        }
        match self.lines.from.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(self.lines.bad("it is the end, and more follows")),
            Err(error) => Err(Error::io("read the exported file", Path::new("-"), error)),
        }
    }

    fn entry(&mut self, entry: &Entry, is_put: bool) -> Result<(), Error> {
        let bytes = |text: &Option<String>, base64: &Option<String>| match (text, base64) {
            (Some(text), None) => Some(text.clone().into_bytes()),
            (None, Some(base64)) => BASE64.decode(base64.as_bytes()).ok(),
            _ => None,
        };
        let key = bytes(&entry.key, &entry.key_base64).filter(|key| !key.is_empty() && key.len() as u64 <= KEY_BYTES);
        let Some(key) = key else { return Err(self.lines.bad("it has no key, or a wrong one")) };
        let value = bytes(&entry.value, &entry.value_base64);
        let right = match &value {
            Some(value) => is_put && value.len() as u64 <= VALUE_BYTES,
            None => !is_put && entry.value.is_none() && entry.value_base64.is_none(),
        };
        if !right {
            return Err(self.lines.bad("its value is not what it should be"));
        }
        if self.pending.as_ref().is_none_or(|pending| pending.sequence != entry.commit) {
            self.settle()?;
            self.begin(entry.commit, entry.operation, false)?;
        }
        let Some(pending) = &mut self.pending else { return Err(self.lines.bad("it belongs to no commit")) };
        match &value {
            Some(value) => payload::put(&mut pending.payload, &key, value),
            None => payload::delete(&mut pending.payload, &key),
        }
        pending.entries += 1;
        let fits = pending.payload.len() as u64 <= BATCH_BYTES && pending.entries <= BATCH_ENTRIES;
        if fits && pending.operation == entry.operation {
            Ok(())
        } else {
            Err(self.lines.bad("its commit is larger than any, or of two operations"))
        }
    }

    fn begin(&mut self, sequence: u64, operation: Option<Uuid>, lost: bool) -> Result<(), Error> {
        if sequence <= self.log.end().sequence || sequence > LAST_SEQUENCE {
            return Err(self.lines.bad("its commit is out of order"));
        }
        self.pending = Some(Pending { sequence, operation, lost, payload: Vec::new(), entries: 0 });
        Ok(())
    }

    /// The commit that was being read is whole.
    fn settle(&mut self) -> Result<(), Error> {
        let Some(Pending { sequence, operation, lost, payload, .. }) = self.pending.take() else { return Ok(()) };
        self.commits += u64::from(!lost);
        let operation = operation.map(Uuid::into_bytes);
        self.log.add(&Kept { sequence, operation, lost, payload: &payload }).map(drop)
    }

    /// A blob's bytes; gives the line after them.
    fn blob(&mut self, blobs: &Blobs, blob: &Blob) -> Result<Line, Error> {
        let mut data = Data { lines: &mut self.lines, left: Vec::new(), next: None, failed: None };
        let put = blobs.put_reader(&mut data);
        let Data { next, failed, .. } = data;
        if let Some(error) = failed {
            return Err(error);
        }
        let digest = put?;
        match next {
            Some(next) if digest == blob.digest && blobs.size(&digest)? == blob.bytes => Ok(next),
            _ => Err(self.lines.bad("the blob before it is not as it was written")),
        }
    }
}

/// The bytes of a blob, from its lines.
struct Data<'a, 'b> {
    lines: &'a mut Lines<'b>,
    left: Vec<u8>,
    /// The line that ended it.
    next: Option<Line>,
    failed: Option<Error>,
}

impl Data<'_, '_> {
    fn more(&mut self) -> Result<(), Error> {
        while self.left.is_empty() && self.next.is_none() {
            match self.lines.line()? {
                Line::Data(text) => {
                    self.left = BASE64.decode(text.as_bytes()).map_err(|_| self.lines.bad("it is no base64"))?;
                }
                other => self.next = Some(other),
            }
        }
        Ok(())
    }
}

impl Read for Data<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Err(error) = self.more() {
            self.failed = Some(error);
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let count = buffer.len().min(self.left.len());
        for (to, from) in buffer.iter_mut().zip(self.left.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }
}
