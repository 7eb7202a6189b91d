//! Folders as a later version of Anneal, or a machine with another clock, would leave them. They are written with the store's
//! own means, or with its checksums made right again, so that nothing but the version is unusual.

use std::path::Path;

use serde_json::{Value, json};
use store::{Batch, Digest, Store};

use super::damage::{LOG, bytes, frames};

/// How much the number of a format is raised.
const LATER: u64 = 9;

fn entry_key(id: &str, seq: u64) -> Vec<u8> {
    [b"j/".as_slice(), uuid(id).as_slice(), &seq.to_be_bytes()].concat()
}

fn uuid(id: &str) -> [u8; 16] {
    *id.parse::<uuid::Uuid>().expect("an id").as_bytes()
}

/// Changes an entry of a journal.
fn change(store: &Store, id: &str, seq: u64, with: impl FnOnce(&mut Value)) {
    let key = entry_key(id, seq);
    let found = store.get(&key).expect("a store that can be read").expect("an entry");
    let mut entry: Value = serde_json::from_slice(&found.value).expect("an entry is JSON");
    with(&mut entry);
    let batch = Batch::new(Some(uuid(id))).put(key, entry.to_string());
    store.commit_blocking(batch).expect("a commit");
}

fn opened(data: &Path, work: impl FnOnce(&Store)) {
    let store = Store::open(data).expect("a store that nobody has open").store;
    work(&store);
    store.close_blocking().expect("a clean end");
}

/// A journal of a later format.
///
/// # Panics
/// When the store cannot be written; so do the others.
pub fn journal(data: &Path, id: &str) {
    opened(data, |store| change(store, id, 1, |entry| entry["event"]["created"]["format"] = json!(LATER)));
}

/// An event that this version does not know, after the others.
pub fn event(data: &Path, id: &str, events: u64) {
    opened(data, |store| {
        let entry = json!({ "seq": events + 1, "at_ms": 0, "event": { "teleported": {} } });
        let batch = Batch::new(Some(uuid(id))).put(entry_key(id, events + 1), entry.to_string());
        store.commit_blocking(batch).expect("a commit");
    });
}

/// A plan of a later format.
pub fn plan(data: &Path, id: &str) {
    opened(data, |store| {
        change(store, id, 1, |entry| {
            let digest = &mut entry["event"]["created"]["plan"];
            let before: Digest = digest.as_str().expect("a digest").parse().expect("a digest");
            let plan = store.blobs().get(&before).expect("a plan");
            let mut plan: Value = serde_json::from_slice(&plan).expect("a plan is JSON");
            plan["format"] = json!(LATER);
            *digest = json!(store.blobs().put(plan.to_string().as_bytes()).expect("a blob").to_string());
        });
    });
}

/// A journal whose times lie a year ahead: the clock was set back after it was written.
pub fn clock(data: &Path, id: &str, events: u64) {
    const YEAR_MS: u64 = 365 * 24 * 3_600_000;
    opened(data, |store| {
        for seq in 1..=events {
            change(store, id, seq, |entry| {
                entry["at_ms"] = json!(entry["at_ms"].as_u64().expect("a time") + YEAR_MS);
            });
        }
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
