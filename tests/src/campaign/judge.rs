//! What the binary says of a damaged folder, and whether that is right: nothing lost without a word, nothing done twice,
//! no panic, and a refused opening changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::broken::Broken;
use super::stored::{Known, Stored};
use super::{effects, history};
use crate::anneal::{Anneal, Ended};
use crate::journal;
use crate::until::SOON;

/// The steps whose programs note that they are executed.
const COUNTED: [&str; 5] = ["plain", "one", "two", "fail", "last"];

/// What came of opening a folder and going on with everything in it.
#[derive(Debug, Default)]
pub struct Judged {
    /// The store was not opened, and why.
    pub refused: Option<String>,
    /// Operations that do not go on as before, each named with its reason.
    pub damaged: BTreeMap<String, String>,
    /// What opening said that it found.
    pub notes: String,
}

impl Judged {
    /// Whether anything was said.
    pub fn named(&self) -> bool {
        self.refused.is_some() || !self.damaged.is_empty() || !self.notes.is_empty()
    }

    /// Everything that was said.
    pub fn said(&self) -> String {
        let refused = self.refused.clone().unwrap_or_default();
        self.damaged.values().fold(format!("{}{refused}", self.notes), |all, one| all + one)
    }
}

/// Opens the folder with the real binary, compares everything with what is known of it, and goes on with what is open.
pub fn judge(anneal: &Anneal, stored: &Stored) -> Result<Judged, Broken> {
    let before = contents(anneal);
    let list = spoken(anneal, &["ops", "--json"])?;
    let mut judged = Judged::default();
    if list.code != 0 {
        if contents(anneal) != before {
            return Err(Broken::Other(format!("a refused opening changed the folder:\n{}", list.all())));
        }
        judged.refused = Some(list.all());
        return Ok(judged);
    }
    judged.notes = list.stderr;
    let list: Vec<serde_json::Value> =
        serde_json::from_str(&list.stdout).map_err(|error| Broken::Other(format!("`ops --json`: {error}")))?;
    for (id, known) in &stored.known {
        let Some(row) = list.iter().find(|row| row["id"] == id.as_str()) else {
            return Err(Broken::Lost(format!("operation {id} is not listed any more, and nobody says why")));
        };
        same(anneal, id, known, row["state"] == "QUARANTINED", &mut judged)?;
    }
    let healthy = |judged: &Judged| -> Vec<String> {
        stored.known.keys().filter(|id| !judged.damaged.contains_key(*id)).cloned().collect()
    };
    std::fs::write(anneal.folder().join("home/mended"), "").map_err(|error| Broken::Other(error.to_string()))?;
    for id in healthy(&judged).iter().filter(|id| stored.known[*id].open) {
        let ended = spoken(anneal, &["resume", id])?;
        if ended.code != 0 {
            judged.damaged.insert(id.clone(), ended.all());
        }
    }
    // A damaged one is read too: what was executed for it must be in its journal as far as it can be read.
    let journals = journal::read_all(anneal.data(), &healthy(&judged));
    for (id, journal) in &journals {
        history::kept(id, &stored.known[id].journal, journal)?;
    }
    check_effects(anneal, &journals, stored)?;
    Ok(judged)
}

/// Whether an operation is shown as before; or which words say why not.
fn same(anneal: &Anneal, id: &str, known: &Known, quarantined: bool, judged: &mut Judged) -> Result<(), Broken> {
    let show = spoken(anneal, &["show", id, "--json"])?;
    if show.code != 0 {
        judged.damaged.insert(id.to_owned(), show.all());
        return Ok(());
    }
    let view: serde_json::Value = serde_json::from_str(&show.stdout).unwrap_or_default();
    if view != known.view || quarantined {
        let (was, is) = (&known.view, &view);
        return Err(Broken::Lost(format!("operation {id} (quarantined: {quarantined})\nwas {was}\nis  {is}")));
    }
    let logs = spoken(anneal, &["logs", id])?;
    if logs.code != 0 {
        judged.damaged.insert(id.to_owned(), logs.all());
    } else if logs.stdout != known.logs {
        return Err(Broken::Lost(format!("operation {id}: its programs' output is not as it was")));
    }
    Ok(())
}

fn check_effects(
    anneal: &Anneal,
    journals: &BTreeMap<String, Vec<journal::Entry>>,
    stored: &Stored,
) -> Result<(), Broken> {
    let text = std::fs::read_to_string(anneal.folder().join("home/effects")).unwrap_or_default();
    let all = effects::read(&text)?;
    for (id, journal) in journals {
        effects::check(id, &all, &history::attempts(journal)?, &COUNTED)?;
    }
    // Whatever is said of an operation: no attempt of it is executed twice.
    let mut seen = BTreeSet::new();
    for effect in all.iter().filter(|effect| stored.known.contains_key(&effect.operation)) {
        if !seen.insert((&effect.operation, &effect.node, effect.attempt, &effect.what)) {
            return Err(Broken::Twice(format!("{effect:?}")));
        }
    }
    Ok(())
}

/// Runs a command that must end in order and in time, and where it fails say what, where, and what to do.
pub fn spoken(anneal: &Anneal, args: &[&str]) -> Result<Ended, Broken> {
    let ended = anneal.start(args).wait(SOON / 2);
    let crashed = ended.code >= 100 || ended.stderr.contains("panicked");
    let told = (ended.stderr.contains("error: ") && ended.stderr.contains("  help: ")) || told_as_json(&ended);
    let silent = ended.code != 0 && !told;
    // A failed operation says what failed in other words.
    let failed = ended.stderr.lines().any(|line| line.starts_with("operation ") && line.contains(" failed"));
    if crashed || (silent && !failed) {
        return Err(Broken::Other(format!("`anneal {}` ended with {}:\n{}", args.join(" "), ended.code, ended.all())));
    }
    Ok(ended)
}

/// Whether an error was said as `--json` says it, with what to do.
fn told_as_json(ended: &Ended) -> bool {
    let said = ended.stdout.lines().chain(ended.stderr.lines());
    let mut said = said.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    said.any(|said| said["error"]["message"].is_string() && said["error"]["hint"].is_string())
}

/// Every file of the folder but two: the lock holds the last process's id, and the index can be made again at any time.
fn contents(anneal: &Anneal) -> BTreeMap<PathBuf, Vec<u8>> {
    let passed_over = [anneal.data().join("lock"), anneal.data().join("index")];
    let files = anneal.data_files().into_iter();
    files.filter(|(path, _)| !passed_over.iter().any(|other| path.starts_with(other))).collect()
}
