//! Journals, as the tests look at them: from `--json` while an operation runs, from the store when nobody has it open.

use std::collections::BTreeMap;
use std::path::Path;

pub use engine::operation::{Decision, Entry, Event, NodeId, Proof, Skip, Unknown};
use store::Store;

/// The entry that a line of `--json` holds, if it holds one.
pub fn entry_of(line: &str) -> Option<Entry> {
    #[derive(serde::Deserialize)]
    struct Line {
        entry: Entry,
    }
    serde_json::from_str(line).ok().map(|line: Line| line.entry)
}

/// The entries of a command's `--json`.
pub fn entries_of(stdout: &str) -> Vec<Entry> {
    stdout.lines().filter_map(entry_of).collect()
}

/// The whole journal, from a store that nobody has open.
///
/// # Panics
/// When it cannot be read.
pub fn read(data: &Path, id: &str) -> Vec<Entry> {
    let opened = Store::open(data).expect("a store that nobody has open");
    engine::journal::all_entries(&opened.store, id.parse().expect("an id")).expect("a journal")
}

/// Several whole journals.
///
/// # Panics
/// When one cannot be read.
pub fn read_all(data: &Path, ids: &[String]) -> BTreeMap<String, Vec<Entry>> {
    let opened = Store::open(data).expect("a store that nobody has open");
    let one = |id: &String| engine::journal::all_entries(&opened.store, id.parse().expect("an id")).expect("a journal");
    ids.iter().map(|id| (id.clone(), one(id))).collect()
}

/// Whether an event begins an attempt of a step.
pub fn started(step: &str) -> impl Fn(&Entry) -> bool + '_ {
    move |entry| matches!(&entry.event, Event::Started { node, .. } if node.step == step)
}

/// Whether an event is the success of a step.
pub fn succeeded(step: &str) -> impl Fn(&Entry) -> bool + '_ {
    move |entry| matches!(&entry.event, Event::Succeeded { node, .. } if node.step == step)
}

/// Whether the events show a step as skipped because it was so already.
pub fn already_so(journal: &[Entry], step: &str) -> bool {
    journal
        .iter()
        .any(|entry| matches!(&entry.event, Event::Skipped { node, why: Skip::AlreadySo } if node.step == step))
}

/// The id of the operation that a journal tells of.
///
/// # Panics
/// When it has no beginning.
pub fn operation(journal: &[Entry]) -> String {
    journal
        .iter()
        .find_map(|entry| match &entry.event {
            Event::Created { operation, .. } => Some(operation.to_string()),
            _ => None,
        })
        .expect("a journal begins with `created`")
}
