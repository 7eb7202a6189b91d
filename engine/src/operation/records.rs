//! Records: what is known of instances, and of who is wired to them, beyond the operations that made it so (D10).
//!
//! A record changes by an entry of a journal and by nothing else: [`written`] says what an entry makes of which record, and
//! whoever keeps the entry keeps that, in the same commit. An entry carries what is recorded as values, so replaying a journal
//! evaluates nothing and gives the same records again (I5).
//!
//! Invariant: a record is changed only by an operation that declares its instance, and so holds its lock (D8). So no two
//! operations change one record at once, and what an operation reads of a record before it changes it is what is there.
//!
//! Invariant: no record holds a secret (I8): the compiler lets none into what is recorded.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{Entry, Event};

/// Which record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RecordKey {
    /// Of an instance, by its name.
    Instance(String),
    /// That a host uses a registry.
    Wiring {
        /// Name of the registry's instance.
        registry: String,
        /// The host's slot.
        host: String,
    },
}

impl RecordKey {
    /// Its name among all records: `instance/NAME`, `wiring/REGISTRY/HOST`, with `/` and `%` of names as `%XX` (RFC 3986, 2.1), so
    /// that no two share one.
    pub fn path(&self) -> String {
        match self {
            RecordKey::Instance(name) => format!("instance/{}", escaped(name)),
            RecordKey::Wiring { registry, host } => format!("wiring/{}/{}", escaped(registry), escaped(host)),
        }
    }

    /// The record of that path.
    pub fn of_path(path: &str) -> Option<RecordKey> {
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["instance", name] => Some(RecordKey::Instance(unescaped(name)?)),
            ["wiring", registry, host] => {
                Some(RecordKey::Wiring { registry: unescaped(registry)?, host: unescaped(host)? })
            }
            _ => None,
        }
    }

    /// The instance whose lock guards it: of a wiring, the registry's. Whoever moves a registry marks its wirings, so nobody may
    /// change one meanwhile.
    pub fn guarded_by(&self) -> &str {
        match self {
            RecordKey::Instance(name) | RecordKey::Wiring { registry: name, .. } => name,
        }
    }
}

fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

fn unescaped(part: &str) -> Option<String> {
    let name = part.replace("%2F", "/").replace("%25", "%");
    (escaped(&name) == part).then_some(name)
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordKey::Instance(name) => write!(f, "the record of the instance `{name}`"),
            RecordKey::Wiring { registry, host } => write!(f, "the record that `{host}` is wired to `{registry}`"),
        }
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What it says.
    pub content: Content,
    /// When there first was one, UTC milliseconds.
    pub made_at_ms: u64,
    /// When it came to say this, UTC milliseconds.
    pub changed_at_ms: u64,
    /// The operation that made it say this.
    pub operation: Uuid,
    /// By which entry of its journal. Together with the operation: no two writes of a record share both.
    pub seq: u64,
    /// From 1, one more with each change.
    pub version: u64,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Content {
    /// Of an instance.
    Instance {
        /// What it is: `registry`, `cluster`, … – the workflow's own word.
        kind: String,
        /// The hosts that it is made of, by role.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        members: BTreeMap<String, Vec<Member>>,
        /// What workflows keep of it.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        values: BTreeMap<String, String>,
    },
    /// Of a wiring.
    Wiring {
        /// What workflows keep of it: runtime, dialect, proof.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        values: BTreeMap<String, String>,
        /// Whether the host still uses the registry as it is now.
        freshness: Freshness,
    },
}

/// A host that an instance is made of, as it was when that was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its slot.
    pub slot: String,
    /// Its address.
    pub address: String,
    /// Its generation (D7).
    pub generation: u32,
}

/// Whether a wired host uses the registry as it is now (D8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Freshness {
    /// It does, as far as is known.
    Fresh,
    /// The registry's address has changed, and the host was not told.
    Stale {
        /// The address that it should use.
        want: String,
        /// Since when, UTC milliseconds.
        since_ms: u64,
    },
}

/// What an entry makes of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which.
    pub key: RecordKey,
    /// What was there; whoever keeps the entry makes sure that it still is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Record>,
    /// What it says from now on; it is gone where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Content>,
    /// When there first was one, where that is known by more than `before`: it is put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at_ms: Option<u64>,
}

/// The records that there are.
pub trait Records {
    /// The record of that key; or why it cannot be read.
    fn get(&self, key: &RecordKey) -> Result<Option<Record>, String>;
}

impl Records for BTreeMap<RecordKey, Record> {
    fn get(&self, key: &RecordKey) -> Result<Option<Record>, String> {
        Ok(BTreeMap::get(self, key).cloned())
    }
}

impl Event {
    /// What it makes of records.
    pub fn changes(&self) -> &[Change] {
        match self {
            Event::Succeeded { records, .. } | Event::Undone { records, .. } => records,
            _ => &[],
        }
    }
}

/// What an entry of an operation's journal makes of records: each key with what is there afterwards.
pub fn written(operation: Uuid, entry: &Entry) -> impl Iterator<Item = (&Change, Option<Record>)> {
    entry.event.changes().iter().map(move |change| {
        let record = change.after.clone().map(|content| Record {
            content,
            made_at_ms: match (&change.before, change.made_at_ms) {
                (_, Some(made_at_ms)) => made_at_ms,
                (Some(before), None) => before.made_at_ms,
                (None, None) => entry.at_ms,
            },
            changed_at_ms: entry.at_ms,
            operation,
            seq: entry.seq,
            version: change.before.as_ref().map_or(0, |before| before.version) + 1,
        });
        (change, record)
    })
}
