//! The crate `store` as a [`Subject`], used as the engine uses it.

use std::path::Path;

use store::{Batch, Digest, ErrorKind, IndexState, OpenReport, Options, Secret, Secrets, Store};
use uuid::Uuid;

use super::events::{Event, LAST, record_name, state_key};
use super::subject::{Found, Mended, Subject};

/// Small, so that a short workload begins new ones.
const SEGMENT_BYTES: u64 = 4 << 20;
/// One commit in so many is tried before with an expectation that does not hold.
const REFUSED: u32 = 9;
const SECRET: &str = "token";

/// An open store.
pub struct Kept {
    store: Store,
    report: OpenReport,
}

impl Kept {
    /// Opens it. What an opening must not find after a mere power cut is an error.
    ///
    /// # Errors
    /// As a text.
    pub fn open(folder: &Path) -> Result<Kept, String> {
        let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::default() };
        let opened = Store::open_with(folder, &options).map_err(|error| told(&error))?;
        Ok(Kept { store: opened.store, report: opened.report })
    }

    fn refused(&self, writer: u32) -> Result<(), String> {
        let batch = Batch::new(None).expect_absent(state_key(writer)).put(LAST, "of a commit that was refused");
        match self.store.commit_blocking(batch) {
            Err(error) if matches!(error.kind(), ErrorKind::Conflict { .. }) => Ok(()),
            other => Err(format!("a commit whose expectation does not hold was answered with {other:?}")),
        }
    }
}

impl Subject for Kept {
    fn mended(&self) -> Mended {
        let OpenReport { created, torn, index, .. } = &self.report;
        Mended { created: *created, torn: torn.is_some(), rebuilt: matches!(index, IndexState::Rebuilt { .. }) }
    }

    fn prepare(&self, writer: u32, event: &Event) -> Result<(), String> {
        for (number, blob) in event.blobs.iter().enumerate() {
            let stored = match number {
                0 => self.store.blobs().put(blob),
                _ => self.store.blobs().put_reader(blob.as_slice()),
            };
            stored.map_err(|error| told(&error))?;
        }
        if let Some((operation, text)) = &event.sealed {
            self.store.sealed().write(operation, &secrets(text)).map_err(|error| told(&error))?;
        }
        if let Some(text) = &event.record {
            let name = record_name(writer);
            self.store.sealed().write_named(&name, &secrets(text)).map_err(|error| told(&error))?;
        }
        Ok(())
    }

    fn commit(&self, writer: u32, event: &Event, version: Option<u64>) -> Result<u64, String> {
        let operation = Uuid::from_u128(u128::from(writer)).into_bytes();
        let state = state_key(writer);
        let batch = Batch::new(Some(operation));
        let batch = match version {
            Some(version) => batch.expect_version(state, version),
            None => batch.expect_absent(state),
        };
        let batch = event.changes.iter().fold(batch, |batch, (key, value)| match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        });
        if version.is_some_and(|version| version % u64::from(REFUSED) == 0) {
            self.refused(writer)?;
        }
        Ok(self.store.commit_blocking(batch).map_err(|error| told(&error))?.sequence)
    }

    fn forget(&self, blobs: &[Vec<u8>], sealed: Option<&Uuid>) -> Result<(), String> {
        for blob in blobs {
            self.store.blobs().remove(&Digest::of(blob)).map_err(|error| told(&error))?;
        }
        if let Some(operation) = sealed {
            self.store.sealed().delete(operation).map_err(|error| told(&error))?;
        }
        Ok(())
    }

    fn compact(&self) -> Result<(), String> {
        self.store.compact_blocking().map(drop).map_err(|error| told(&error))
    }

    fn read(&self) -> Result<Found, String> {
        let OpenReport { created, recreated, key_missing, damaged, .. } = &self.report;
        if !damaged.is_empty() || *key_missing || (!created && !recreated.is_empty()) {
            return Err(format!("the opening reports: {}", self.report.notes().join("; ")));
        }
        let mut found = Found::default();
        for item in self.store.walk(b"") {
            let (key, value) = item.map_err(|error| told(&error))?;
            let key = String::from_utf8(key).map_err(|_| "a key that nobody put".to_owned())?;
            if key == LAST {
                found.last = Some(String::from_utf8_lossy(&value.value).into_owned());
            }
            found.entries.insert(key, (Digest::of(&value.value), Some(value.version)));
        }
        let blobs = self.store.blobs();
        for digest in blobs.digests().map_err(|error| told(&error))? {
            blobs.get(&digest).map_err(|error| told(&error))?;
            found.blobs.insert(digest);
        }
        let sealed = self.store.sealed();
        for operation in sealed.operations().map_err(|error| told(&error))? {
            let secrets = sealed.read(&operation).map_err(|error| told(&error))?;
            found.sealed.insert(operation, digest(secrets.as_ref()));
        }
        for name in sealed.names().map_err(|error| told(&error))? {
            let secrets = sealed.read_named(&name).map_err(|error| told(&error))?;
            found.records.insert(name, digest(secrets.as_ref()));
        }
        Ok(found)
    }
}

fn secrets(text: &str) -> Secrets {
    Secrets::from([(SECRET.to_owned(), Secret::from(text))])
}

fn digest(secrets: Option<&Secrets>) -> Digest {
    let secret = secrets.and_then(|secrets| secrets.get(SECRET));
    Digest::of(secret.map_or("", Secret::expose).as_bytes())
}

fn told(error: &store::Error) -> String {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{cause}")
}
