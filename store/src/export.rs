//! All that a store holds but its secrets, as one text file that any program can read.
//!
//! One JSON value a line:
//!
//! ```text
//! {"export":{"format":1,"store":"0193…","incarnation":1,"at_ms":1790000000000}}
//! {"put":{"commit":17,"operation":"0193…","key":"o/1","value":"Completed"}}
//! {"delete":{"commit":18,"key":"o/2"}}
//! {"lost":{"commit":19,"operation":"0193…"}}
//! {"blob":{"digest":"sha256:ba78…","bytes":3}}
//! {"data":"YWJj"}
//! {"end":{"sequence":20,"puts":1,"blobs":1,"sha256":"…"}}
//! ```
//!
//! Commits are in order, each with what is live of it; the last ones as they were made, deletes too. A key or value that
//! is no text is `key_base64` or `value_base64`. A `lost` commit is one whose content was found damaged; a `delete` of the
//! same commit then names a key whose value is gone. A blob is followed by its bytes in base64, in as many lines as it
//! takes. The last line has the SHA-256 of all lines before it. Sealed files and the key are not exported; whatever a
//! caller put into values is.

use std::io::Write;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Digest;
use crate::backup::copy_log;
use crate::blobs::Blobs;
use crate::digest::Hasher;
use crate::error::{Error, ErrorKind};
use crate::limits::EXPORT_DATA_BYTES;
use crate::log::copy::Sink;
use crate::log::generation::Kept;
use crate::log::payload;
use crate::shared::Shared;

/// The format of exported files that this version writes, and the newest that it reads.
pub const EXPORT_FORMAT: u16 = 1;

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// The last sequence in it.
    pub sequence: u64,
    /// How many puts.
    pub puts: u64,
    /// How many blobs.
    pub blobs: u64,
    /// How many bytes were written.
    pub bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Export(Head),
    Put(Entry),
    Delete(Entry),
    Lost(Commit),
    Blob(Blob),
    Data(String),
    End(End),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    pub(crate) format: u16,
    pub(crate) store: Uuid,
    pub(crate) incarnation: u32,
    pub(crate) at_ms: u64,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) commit: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) operation: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value_base64: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Commit {
    pub(crate) commit: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) operation: Option<Uuid>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) sequence: u64,
    pub(crate) puts: u64,
    pub(crate) blobs: u64,
    pub(crate) sha256: String,
}

struct Output<'a> {
    into: &'a mut dyn Write,
    hasher: Hasher,
    done: Exported,
}

impl Output<'_> {
    fn line(&mut self, line: &Line) -> Result<(), Error> {
        let mut text = serde_json::to_vec(line).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        self.hasher.update(&text);
        self.done.bytes += text.len() as u64;
        self.into.write_all(&text).map_err(failed)
    }
}

impl Sink for Output<'_> {
    fn commit(&mut self, kept: &Kept<'_>) -> Result<(), Error> {
        let operation = kept.operation.map(Uuid::from_bytes);
        if kept.lost {
            self.line(&Line::Lost(Commit { commit: kept.sequence, operation }))?;
        }
        for entry in payload::entries(kept.payload) {
            let entry = entry.map_err(|_| {
                Error::new(ErrorKind::NewDamage { what: "a frame's content cannot be decoded".to_owned() })
            })?;
            let (key, key_base64) = text(entry.key);
            let (value, value_base64) = entry.value.map_or((None, None), text);
            let line = Entry { commit: kept.sequence, operation, key, key_base64, value, value_base64 };
            if entry.value.is_some() {
                self.done.puts += 1;
                self.line(&Line::Put(line))?;
            } else {
                self.line(&Line::Delete(line))?;
            }
        }
        Ok(())
    }
}

/// As text where it is one, else as base64.
fn text(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(BASE64.encode(bytes))),
    }
}

pub(crate) fn write(shared: &Shared, blobs: &Blobs, into: &mut dyn Write, at_ms: u64) -> Result<Exported, Error> {
    let _turn = shared.turn();
    let manifest = *shared.manifest();
    let mut output = Output { into, hasher: Hasher::new(), done: Exported::default() };
    let head = Head { format: EXPORT_FORMAT, store: manifest.store, incarnation: manifest.incarnation, at_ms };
    output.line(&Line::Export(head))?;
    let (end, pin) = copy_log(shared, &mut output, || blobs.pin())?;
    for digest in blobs.digests()? {
        blob(&mut output, blobs, digest)?;
    }
    drop(pin);
    let Exported { puts, blobs, .. } = output.done;
    output.done.sequence = end.sequence;
    let sha256 = output.hasher.clone().finish().hex();
    output.line(&Line::End(End { sequence: end.sequence, puts, blobs, sha256 }))?;
    output.into.flush().map_err(failed)?;
    Ok(output.done)
}

/// One that is damaged is an error: a file without it would look whole.
fn blob(output: &mut Output<'_>, blobs: &Blobs, digest: Digest) -> Result<(), Error> {
    let bytes = blobs.check(&digest)?;
    output.line(&Line::Blob(Blob { digest, bytes }))?;
    let mut reader = blobs.reader(&digest)?;
    let mut buffer = vec![0; EXPORT_DATA_BYTES as usize];
    loop {
        let count =
            fill(&mut reader, &mut buffer).map_err(|error| Error::io("read the blob", &blobs.path(&digest), error))?;
        if count == 0 {
            break;
        }
        output.line(&Line::Data(BASE64.encode(buffer.get(..count).unwrap_or_default())))?;
    }
    output.done.blobs += 1;
    Ok(())
}

/// As much as there is room for, or all that is left.
fn fill(reader: &mut impl std::io::Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut count = 0;
    while let Some(room) = buffer.get_mut(count..).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

fn failed(error: std::io::Error) -> Error {
    Error::io("write the exported file", std::path::Path::new("-"), error)
}
