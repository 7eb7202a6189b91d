//! Folders as a later version of Anneal, or a machine with another clock, would leave them. They are written with the store's
//! own means, or with its checksums made right again, so that nothing but the version is unusual.

use std::path::Path;

use serde_json::{Value, json};
use store::{Batch, Digest, Store};

use super::damage::{LOG, bytes, frames};

/// How much the number of a format is raised.
const LATER: u64 = 9;

fn journal_prefix(id: &str) -> Vec<u8> {
    [b"j/".as_slice(), uuid(id).as_slice()].concat()
}

fn uuid(id: &str) -> [u8; 16] {
    *id.parse::<uuid::Uuid>().expect("an id").as_bytes()
}

/// Changes the entries of a journal; a row of the store holds one of them or a list.
fn change(store: &Store, id: &str, mut with: impl FnMut(&mut Value)) {
    let rows: Vec<_> = store.walk(&journal_prefix(id)).collect::<Result<_, _>>().expect("a store that can be read");
    for (key, row) in rows {
        let mut row: Value = serde_json::from_slice(&row.value).expect("a row is JSON");
        match &mut row {
            Value::Array(entries) => entries.iter_mut().for_each(&mut with),
            entry => with(entry),
        }
        let batch = Batch::new(Some(uuid(id))).put(key, row.to_string());
        store.commit_blocking(batch).expect("a commit");
    }
}

fn opened(data: &Path, work: impl FnOnce(&Store)) {
    let store = Store::open(data).expect("a store that nobody has open").store;
    work(&store);
    store.close_blocking().expect("a clean end");
}

/// What `created` says, where the entry is that.
fn created(entry: &mut Value) -> Option<&mut Value> {
    entry.get_mut("event")?.get_mut("created")
}

/// A journal of a later format.
///
/// # Panics
/// When the store cannot be written; so do the others.
pub fn journal(data: &Path, id: &str) {
    opened(data, |store| {
        change(store, id, |entry| {
            if let Some(created) = created(entry) {
                created["format"] = json!(LATER);
            }
        });
    });
}

/// An event that this version does not know, after the others.
pub fn event(data: &Path, id: &str, events: u64) {
    opened(data, |store| {
        let entry = json!({ "seq": events + 1, "at_ms": 0, "event": { "teleported": {} } });
        let key = [journal_prefix(id).as_slice(), &(events + 1).to_be_bytes()].concat();
        let batch = Batch::new(Some(uuid(id))).put(key, entry.to_string());
        store.commit_blocking(batch).expect("a commit");
    });
}

/// A plan of a later format.
pub fn plan(data: &Path, id: &str) {
    opened(data, |store| {
        change(store, id, |entry| {
            let Some(created) = created(entry) else { return };
            let digest = &mut created["plan"];
            let before: Digest = digest.as_str().expect("a digest").parse().expect("a digest");
            let plan = store.blobs().get(&before).expect("a plan");
            let mut plan: Value = serde_json::from_slice(&plan).expect("a plan is JSON");
            plan["format"] = json!(LATER);
            *digest = json!(store.blobs().put(plan.to_string().as_bytes()).expect("a blob").to_string());
        });
    });
}

/// A journal whose times lie a year ahead: the clock was set back after it was written.
pub fn clock(data: &Path, id: &str) {
    const YEAR_MS: u64 = 365 * 24 * 3_600_000;
    opened(data, |store| {
        change(store, id, |entry| {
            entry["at_ms"] = json!(entry["at_ms"].as_u64().expect("a time") + YEAR_MS);
        });
    });
}

/// A segment of a later format.
pub fn segment(data: &Path) {
    let mut log = bytes(data, LOG);
    log[8] = LATER as u8;
    let check = crc32c::crc32c(&log[..60]);
    log[60..64].copy_from_slice(&check.to_le_bytes());
    std::fs::write(data.join(LOG), log).expect("a log");
}

/// A frame of a later format.
pub fn frame(data: &Path, which: usize) {
    let mut log = bytes(data, LOG);
    let at = frames(&log)[which];
    log[at + 4] = LATER as u8;
    let seed = u32::from_le_bytes([log[60], log[61], log[62], log[63]]);
    let place = crc32c::crc32c_append(seed, &(at as u64).to_le_bytes());
    let check = crc32c::crc32c_append(place, &log[at..at + 48]);
    log[at + 48..at + 52].copy_from_slice(&check.to_le_bytes());
    std::fs::write(data.join(LOG), log).expect("a log");
}
