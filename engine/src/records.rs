//! Where records lie in the store, and who may read them (D10).
//!
//! Keys: `r/` + [`RecordKey::path`]; values: a [`Record`] as JSON. They are written with the entries that say so ([`crate::journal::commits`])
//! and by nothing else; no journal is needed to read them, so none that is pruned takes one with it.

mod fill;

use std::collections::BTreeMap;

use store::{Batch, Store};
use uuid::Uuid;

use crate::error::{Error, Kind};
use crate::journal::decode;
use crate::operation::{Change, Record, RecordKey, Records};

pub(crate) use fill::check;
pub use fill::{Filled, Want, Wants, declared, fill};

const RECORDS: &str = "r/";

/// The key of a record in the store.
pub(crate) fn key(key: &RecordKey) -> Vec<u8> {
    [RECORDS, &key.path()].concat().into_bytes()
}

/// The record that a key of the store is that of.
fn read_key(key: &[u8]) -> Option<RecordKey> {
    RecordKey::of_path(std::str::from_utf8(key).ok()?.strip_prefix(RECORDS)?)
}

fn read(what: &str, value: &[u8]) -> Result<Record, Error> {
    decode(Uuid::nil(), what, value)
}

/// A record.
pub fn get(store: &Store, of: &RecordKey) -> Result<Option<Record>, Error> {
    store.get(&key(of))?.map(|row| read(&of.to_string(), &row.value)).transpose()
}

/// The records of all instances, by name.
pub fn instances(store: &Store) -> Result<BTreeMap<String, Record>, Error> {
    let mut all = BTreeMap::new();
    for (key, record) in walk(store, "instance/")? {
        if let RecordKey::Instance(name) = key {
            all.insert(name, record);
        }
    }
    Ok(all)
}

/// The wirings to a registry, by host.
pub fn wirings(store: &Store, registry: &str) -> Result<BTreeMap<String, Record>, Error> {
    let mut all = BTreeMap::new();
    // The key of a host without a name is what those of all others begin with.
    let of_all = RecordKey::Wiring { registry: registry.to_owned(), host: String::new() };
    for (key, record) in walk(store, &of_all.path())? {
        if let RecordKey::Wiring { host, .. } = key {
            all.insert(host, record);
        }
    }
    Ok(all)
}

/// How many hosts are wired to each registry.
pub fn wired(store: &Store) -> Result<BTreeMap<String, usize>, Error> {
    let mut counts = BTreeMap::new();
    for (key, _) in walk(store, "wiring/")? {
        *counts.entry(key.guarded_by().to_owned()).or_default() += 1;
    }
    Ok(counts)
}

fn walk(store: &Store, prefix: &str) -> Result<Vec<(RecordKey, Record)>, Error> {
    let mut all = Vec::new();
    for found in store.walk([RECORDS, prefix].concat().as_bytes()) {
        let (key, row) = found?;
        let key = read_key(&key).ok_or_else(|| {
            Error::new(
                Kind::Quarantined,
                format!("the store has a record that none is called: {:?}", key.escape_ascii().to_string()),
            )
        })?;
        let record = read(&key.to_string(), &row.value)?;
        all.push((key, record));
    }
    Ok(all)
}

/// Adds to a batch that every record it changes is still what it was when that was decided.
pub(crate) fn expect(store: &Store, mut batch: Batch, changes: &[&Change]) -> Result<Batch, Error> {
    for (at, change) in changes.iter().enumerate() {
        // What the batch itself says before is no matter of the store.
        if changes[..at].iter().any(|earlier| earlier.key == change.key) {
            continue;
        }
        let stored = store.get(&key(&change.key))?;
        let record = stored.as_ref().map(|row| read(&change.key.to_string(), &row.value)).transpose()?;
        if record != change.before {
            return Err(changed(&change.key));
        }
        let key = key(&change.key);
        batch = match stored {
            Some(row) => batch.expect_version(key, row.version),
            None => batch.expect_absent(key),
        };
    }
    Ok(batch)
}

/// Somebody else changed a record who may not: it is not overwritten.
fn changed(key: &RecordKey) -> Error {
    Error::new(Kind::Refused, format!("{key} has changed since it was read, and is left as it is"))
        .hint("`anneal instances show` shows it; `anneal resume` goes on with what is there now")
}

impl Records for Store {
    fn get(&self, key: &RecordKey) -> Result<Option<Record>, String> {
        get(self, key).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_share_a_key_and_a_key_says_its_names() {
        let wiring =
            |registry: &str, host: &str| RecordKey::Wiring { registry: registry.to_owned(), host: host.to_owned() };
        let keys = [
            RecordKey::Instance("a/b".to_owned()),
            RecordKey::Instance("a%2Fb".to_owned()),
            RecordKey::Instance("a%252Fb".to_owned()),
            RecordKey::Instance("ä b".to_owned()),
            wiring("a/b", "c"),
            wiring("a", "b/c"),
            wiring("a", "b%2Fc"),
            wiring("a", "b"),
        ];
        let stored: std::collections::BTreeSet<Vec<u8>> = keys.iter().map(key).collect();
        assert_eq!(stored.len(), keys.len());
        for one in &keys {
            assert_eq!(read_key(&key(one)).as_ref(), Some(one));
        }
        assert_eq!(key(&keys[0]), b"r/instance/a%2Fb");
        assert_eq!(key(&keys[4]), b"r/wiring/a%2Fb/c");
        for wrong in ["r/wiring/a", "r/instance/%", "r/instance/%zz", "r/instance/a/b", "x"] {
            assert_eq!(read_key(wrong.as_bytes()), None, "{wrong}");
        }
    }

    use crate::journal::{Beside, commits};
    use crate::operation::{Content, Entry, Event, Freshness, NodeId, Proof};

    fn wiring(host: &str) -> RecordKey {
        RecordKey::Wiring { registry: "reg/1".to_owned(), host: host.to_owned() }
    }

    fn content(runtime: &str) -> Content {
        let values = BTreeMap::from([("runtime".to_owned(), runtime.to_owned())]);
        Content::Wiring { values, freshness: Freshness::Fresh }
    }

    fn entry(seq: u64, changes: Vec<Change>) -> Entry {
        let node = NodeId { step: "s".to_owned(), key: "k".to_owned() };
        let (out, proof) = (BTreeMap::new(), Proof::Action);
        let event = Event::Succeeded { node, attempt: 1, out, changed: true, proof, output: None, records: changes };
        Entry { seq, at_ms: 1_000 * seq, event }
    }

    fn commit(store: &Store, id: Uuid, entries: &[Entry]) -> Result<(), Error> {
        for commit in commits(id, entries, Beside::default())? {
            store.commit_blocking(commit.ready(store)?)?;
        }
        Ok(())
    }

    fn change(key: RecordKey, before: Option<Record>, after: Option<Content>) -> Change {
        Change { key, before, after, made_at_ms: None }
    }

    #[test]
    fn a_record_changes_with_the_entry_and_not_where_it_has_changed_since() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap().store;
        let (ours, theirs) = (Uuid::now_v7(), Uuid::now_v7());
        // Twice in one commit: the second finds what the first made.
        let first = entry(2, vec![change(wiring("n1"), None, Some(content("docker")))]);
        let made = crate::operation::written(ours, &first).next().unwrap().1;
        let second = entry(3, vec![change(wiring("n1"), made, Some(content("containerd")))]);
        commit(&store, ours, &[first, second]).unwrap();
        let read = get(&store, &wiring("n1")).unwrap().unwrap();
        assert_eq!((read.version, read.made_at_ms, read.changed_at_ms, read.seq), (2, 2_000, 3_000, 3));
        assert_eq!((&read.content, read.operation), (&content("containerd"), ours));

        // Another one read that nothing was there.
        let late = entry(2, vec![change(wiring("n1"), None, None), change(wiring("n2"), None, Some(content("x")))]);
        let error = commit(&store, theirs, &[late]).unwrap_err();
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.message.contains("`n1` is wired to `reg/1` has changed"), "{error}");
        assert_eq!(get(&store, &wiring("n1")).unwrap().as_ref(), Some(&read), "nothing is lost");
        assert_eq!(get(&store, &wiring("n2")).unwrap(), None, "and nothing is half done");
        assert!(!crate::journal::has(&store, theirs, 2).unwrap());

        commit(&store, theirs, &[entry(2, vec![change(wiring("n1"), Some(read), None)])]).unwrap();
        assert_eq!(wirings(&store, "reg/1").unwrap(), BTreeMap::new());
    }

    #[test]
    fn many_changes_become_several_commits_each_with_its_entries() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap().store;
        let id = Uuid::now_v7();
        let entries: Vec<Entry> = (0..3_000_u64)
            .map(|n| entry(n + 2, vec![change(wiring(&format!("n{n}")), None, Some(content(&"x".repeat(1_000))))]))
            .collect();
        let all = commits(id, &entries, Beside::default()).unwrap();
        assert!(all.len() > 1);
        commit(&store, id, &entries).unwrap();
        assert_eq!(wirings(&store, "reg/1").unwrap().len(), 3_000);
        assert_eq!(wired(&store).unwrap(), BTreeMap::from([("reg/1".to_owned(), 3_000)]));
    }
}
