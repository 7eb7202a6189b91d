//! Going through the log of an open store for what is live, while commits go on.
//!
//! 1. [`live`] goes from the beginning to a place and hands over of each commit what the index still has of it. A value
//!    that is replaced meanwhile may be left out: the commit that replaced it lies behind that place.
//! 2. [`rest`] hands over every commit from there to a later place, deletes too. If that place is not before the end that
//!    the index had after step 1, what was handed over is exactly the content at that place.
//!
//! The generation must not be deleted meanwhile: whoever calls has the turn (`Shared::turn`). Commits keep their sequences
//! and operations. A commit whose content is lost stays named: it is handed over with what the index still has of it.

use std::collections::{BTreeMap, HashSet};

use crate::error::{Error, ErrorKind};
use crate::index::entry::{self, Value};
use crate::index::{Index, position::POSITION_KEY};
use crate::layout::Layout;
use crate::limits::SCAN_ENTRIES;
use crate::log::generation::Kept;
use crate::log::payload;
use crate::log::recover::{self, Place, Replayed};
use crate::report::Damage;

/// Takes what is handed over.
pub(crate) trait Sink {
    fn commit(&mut self, kept: &Kept<'_>) -> Result<(), Error>;
}

/// The log of an open store.
pub(crate) struct Source<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) generation: u64,
    pub(crate) index: &'a Index,
    /// What the opening found lost.
    pub(crate) damaged: &'a [Damage],
    /// Asked now and then; an error ends the copying.
    pub(crate) go_on: &'a (dyn Fn() -> Result<(), Error> + Sync),
}

/// Hands over what is live of the commits up to `to`.
pub(crate) fn live(source: &Source<'_>, to: Place, sink: &mut dyn Sink) -> Result<(), Error> {
    let lost = lost(source)?;
    let mut kept = Vec::new();
    recover::replay(source.layout, source.generation, Place::BEGINNING, to, |commit| {
        (source.go_on)()?;
        let (sequence, operation) = (commit.header.sequence, commit.header.operation);
        let Ok(payload) = commit.payload else {
            return match lost.get(&sequence) {
                Some(payload) => sink.commit(&Kept { sequence, operation, lost: true, payload }),
                None => Err(unknown(source, &commit)),
            };
        };
        kept.clear();
        filter(source, &commit, payload, &mut kept)?;
        if kept.is_empty() && !commit.header.lost {
            return Ok(());
        }
        sink.commit(&Kept { sequence, operation, lost: commit.header.lost, payload: &kept })
    })
}

/// Hands over all commits between two places, whole.
pub(crate) fn rest(source: &Source<'_>, from: Place, to: Place, sink: &mut dyn Sink) -> Result<(), Error> {
    recover::replay(source.layout, source.generation, from, to, |commit| {
        (source.go_on)()?;
        let (sequence, operation) = (commit.header.sequence, commit.header.operation);
        match commit.payload {
            Ok([]) => Ok(()), // a mark
            Ok(payload) => sink.commit(&Kept { sequence, operation, lost: commit.header.lost, payload }),
            Err(_) => Err(unknown(source, &commit)),
        }
    })
}

/// Adds the entries to `kept` that are the last word on their keys.
fn filter(source: &Source<'_>, commit: &Replayed<'_>, payload: &[u8], kept: &mut Vec<u8>) -> Result<(), Error> {
    let undecodable = || {
        let path = source.layout.segment(source.generation, commit.after.segment);
        Error::damaged("a frame's content cannot be decoded", &path, commit.offset)
    };
    let mut entries = Vec::new();
    for entry in payload::entries(payload) {
        entries.push(entry.map_err(|_| undecodable())?);
    }
    let mut later = HashSet::new();
    let mut live = vec![false; entries.len()];
    for (entry, live) in entries.iter().zip(&mut live).rev() {
        let counts = entry.value.is_some() || commit.header.lost;
        *live = later.insert(entry.key) && counts && source.index.version(entry.key)? == Some(commit.header.sequence);
    }
    for (entry, _) in entries.iter().zip(live).filter(|(_, live)| *live) {
        match entry.value {
            Some(value) => payload::put(kept, entry.key, value),
            None => payload::delete(kept, entry.key),
        }
    }
    Ok(())
}

/// What the index still has of commits whose content is lost, as the payloads of lost frames.
fn lost(source: &Source<'_>) -> Result<BTreeMap<u64, Vec<u8>>, Error> {
    let mut lost: BTreeMap<u64, Vec<u8>> = source.damaged.iter().map(|damage| (damage.sequence, Vec::new())).collect();
    let mut after = POSITION_KEY.to_vec();
    while !lost.is_empty() {
        let mut count = 0;
        let page = source.index.page(b"", Some(&after), |_| {
            count += 1;
            count == SCAN_ENTRIES
        })?;
        let Some((last, _)) = page.last() else { break };
        after.clone_from(last);
        for (key, bytes) in page {
            if let Some((version, value)) = entry::decode(&bytes)
                && let Some(payload) = lost.get_mut(&version)
            {
                match value {
                    Value::Inline(value) => payload::put(payload, &key, value),
                    Value::InLog { .. } | Value::Lost => payload::delete(payload, &key),
                }
            }
        }
    }
    Ok(lost)
}

/// Damage that came after the opening: only an opening may judge it.
fn unknown(source: &Source<'_>, commit: &Replayed<'_>) -> Error {
    let path = source.layout.segment(source.generation, commit.after.segment);
    let what = commit.payload.err().unwrap_or_default();
    Error::new(ErrorKind::NewDamage { what: what.to_owned() }).at(&path).offset_at(commit.offset)
}
