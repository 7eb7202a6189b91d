//! What is recorded of instances, judged from outside: every change finds what it says was there, all changes of a record are one
//! chain, and what was rolled back is as it was before.

use std::collections::{BTreeMap, BTreeSet};

use engine::operation::{Change, Entry, Event, Life, Record, RecordKey, UndoSkip, written};

use super::world::{Op, id_of};

type Known = BTreeMap<RecordKey, Record>;

/// Keeps what an entry makes of records, in the commit that keeps the entry.
pub fn keep(op: usize, entry: &Entry, known: &mut Known) -> Result<(), String> {
    for (change, record) in written(id_of(op), entry) {
        if known.get(&change.key) != change.before.as_ref() {
            return Err(format!("D10: {} was changed by another than entry {} of {op} read", change.key, entry.seq));
        }
        put(known, &change.key, record);
    }
    Ok(())
}

fn put(known: &mut Known, key: &RecordKey, record: Option<Record>) {
    match record {
        Some(record) => drop(known.insert(key.clone(), record)),
        None => drop(known.remove(key)),
    }
}

/// What is left is the fold of all journals, in some order that keeps each of them.
pub(super) fn judge(ops: &[Op], known: &Known) -> Result<(), String> {
    let journals: Vec<Vec<(&Change, Option<Record>)>> = ops
        .iter()
        .enumerate()
        .map(|(op, of)| of.journal.iter().flat_map(|entry| written(id_of(op), entry)).collect())
        .collect();
    let keys: BTreeSet<&RecordKey> = journals.iter().flatten().map(|(change, _)| &change.key).collect();
    if let Some(key) = known.keys().find(|key| !keys.contains(key)) {
        return Err(format!("{key} is there and no journal says so"));
    }
    for key in keys {
        let chains: Vec<Vec<&(&Change, Option<Record>)>> =
            journals.iter().map(|journal| journal.iter().filter(|(change, _)| change.key == *key).collect()).collect();
        if !folds(&chains, &mut vec![0; chains.len()], None, known.get(key)) {
            return Err(format!("D10: {key} is {:?}, which is no fold of {chains:?}", known.get(key)));
        }
    }
    ops.iter().enumerate().try_for_each(|(op, of)| rolled_back(op, of))
}

/// Whether some order of all changes leads from `now` to `last`.
fn folds(
    chains: &[Vec<&(&Change, Option<Record>)>],
    at: &mut Vec<usize>,
    now: Option<&Record>,
    last: Option<&Record>,
) -> bool {
    if chains.iter().zip(&*at).all(|(chain, at)| *at == chain.len()) {
        return now == last;
    }
    for op in 0..chains.len() {
        let Some((change, record)) = chains[op].get(at[op]).copied() else { continue };
        if change.before.as_ref() != now {
            continue;
        }
        at[op] += 1;
        if folds(chains, at, record.as_ref(), last) {
            return true;
        }
        at[op] -= 1;
    }
    false
}

/// After a rollback each record says what it said before the operation, where every step that changed it has an undo.
fn rolled_back(op: usize, of: &Op) -> Result<(), String> {
    let Some(durable) = of.durable.as_ref().filter(|durable| durable.life == Life::RolledBack) else { return Ok(()) };
    let undone = |entry: &&Entry| match &entry.event {
        Event::Succeeded { node, .. } => durable.node(node).is_some_and(|node| durable.step_of(node).undo.is_some()),
        _ => true,
    };
    let left_out = |entry: &Entry| match &entry.event {
        Event::UndoSkipped { why: UndoSkip::ByOperator { .. }, .. } => true,
        // Of those that a person marked or passed over, nothing is put back.
        Event::Skipped { why: engine::operation::Skip::ByOperator { .. }, .. } => true,
        _ => false,
    };
    if of.journal.iter().any(left_out) {
        return Ok(());
    }
    let mut first: BTreeMap<&RecordKey, Option<&Record>> = BTreeMap::new();
    let mut last: BTreeMap<&RecordKey, Option<Record>> = BTreeMap::new();
    let mut stays: BTreeSet<&RecordKey> = BTreeSet::new();
    for entry in &of.journal {
        for (change, record) in written(id_of(op), entry) {
            first.entry(&change.key).or_insert(change.before.as_ref());
            last.insert(&change.key, record);
            if !undone(&entry) {
                stays.insert(&change.key);
            }
        }
    }
    for (key, record) in last.iter().filter(|(key, _)| !stays.contains(**key)) {
        let before = first.get(key).copied().flatten().map(|record| (&record.content, record.made_at_ms));
        if record.as_ref().map(|record| (&record.content, record.made_at_ms)) != before {
            let told: Vec<String> = of.journal.iter().map(|entry| format!("{} {:?}", entry.seq, entry.event)).collect();
            return Err(format!("rolled back, and {key} is {record:?}, before it was {before:?}\n{}", told.join("\n")));
        }
    }
    Ok(())
}
