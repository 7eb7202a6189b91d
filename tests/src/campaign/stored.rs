//! A real data folder, made once by real operations on this machine: two that ended, one that failed, one that was killed.
//! Each fault gets a copy of it, with the home in which the operations' jobs and effects are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::anneal::Anneal;
use crate::binary::repository;
use crate::journal::{self, Entry};
use crate::until::{SOON, until};

/// What is known of an operation before anything is damaged.
#[derive(Debug, Clone)]
pub struct Known {
    /// What `show --json` says.
    pub view: Value,
    /// What `logs` says.
    pub logs: String,
    /// Its journal.
    pub journal: Vec<Entry>,
    /// Whether it goes on when it is resumed.
    pub open: bool,
}

/// The folder, and what is known of it.
#[derive(Debug)]
pub struct Stored {
    /// Its operator.
    pub anneal: Anneal,
    /// Operations by name of their workflow.
    pub names: BTreeMap<&'static str, String>,
    /// Operations by id.
    pub known: BTreeMap<String, Known>,
    /// The data folder as the kill left it, before anybody opened it again.
    pub killed: PathBuf,
}

/// The arguments that run one of the workflows on this machine.
pub fn on_this_machine(name: &str) -> Vec<String> {
    let file = repository(&format!("tests/campaign/{name}.ron")).to_string_lossy().into_owned();
    vec!["run".into(), file, "--host".into(), "m=local".into()]
}

impl Stored {
    /// Makes it.
    ///
    /// # Panics
    /// When an operation does not go as it should.
    pub fn new() -> Stored {
        let anneal = Anneal::new();
        let home = anneal.folder().join("home");
        let run = |name: &'static str, code: i32, more: &[String]| {
            anneal.expect(code, on_this_machine(name).iter().chain(more));
            (name, anneal.operations().pop().expect("an operation"))
        };
        let secret = anneal.folder().join("home/word");
        std::fs::write(&secret, "a-word-that-nobody-knows").expect("a file");
        let inventory =
            format!("Inventory(hosts: {{ \"m\": Local }}, inputs: {{ \"word\": File(\"{}\") }})", secret.display());
        let inventory = anneal.file("mend-inventory.ron", inventory).to_string_lossy().into_owned();
        let pace = ["--input".to_owned(), "pace=0".to_owned()];
        let mut names = BTreeMap::from([
            run("whole", 0, &[]),
            run("undo", 1, &pace),
            run("mend", 1, &["--inventory".into(), inventory]),
        ]);

        let slow = anneal.start(on_this_machine("slow").iter().map(String::as_str).chain(["--json"]));
        slow.event("the second step", SOON, journal::started("two"));
        let effects = home.join("effects");
        let lines = |part: &str| {
            let text = std::fs::read_to_string(&effects).unwrap_or_default();
            text.lines().filter(|line| line.contains(part)).count()
        };
        // `undo` and `mend` have such a node too.
        until("its job to begin", SOON, || (lines("/two.m/1 do ") == 3).then_some(()));
        slow.kill();
        let killed = anneal.folder().join("killed");
        copy(anneal.data(), &killed);
        std::fs::write(home.join("gate"), "").expect("a gate");
        until("its job to end", SOON, || (lines("/two.m/1 do-done ") == 2).then_some(()));
        names.insert("slow", anneal.operations().pop().expect("an operation"));
        until("its end to be recorded", SOON, || job_ended(&anneal, &names["slow"]).then_some(()));

        let known = anneal.operations().into_iter().map(|id| (id.clone(), know(&anneal, &id))).collect();
        Stored { anneal, names, known, killed }
    }

    /// A copy, as an operator of its own.
    pub fn copy(&self) -> Anneal {
        let anneal = Anneal::new();
        self.restore(&anneal);
        copy(&self.anneal.folder().join("home"), &anneal.folder().join("home"));
        anneal
    }

    /// The data folder as it was.
    pub fn restore(&self, anneal: &Anneal) {
        copy(self.anneal.data(), anneal.data());
    }

    /// Some of the operations.
    pub fn ids(&self, names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| self.names[name].clone()).collect()
    }
}

impl Default for Stored {
    fn default() -> Stored {
        Stored::new()
    }
}

fn job_ended(anneal: &Anneal, id: &str) -> bool {
    let folder = anneal.local_jobs().join(id);
    // Its claim, and behind that its end.
    let text = std::fs::read_to_string(folder.join("two.m.1.pid")).unwrap_or_default();
    text.lines().nth(1).is_some_and(|end| end.ends_with('.'))
}

fn know(anneal: &Anneal, id: &str) -> Known {
    let view = anneal.json(["show", id, "--json"]);
    let logs = anneal.expect(0, ["logs", id]).stdout;
    let open = matches!(view["state"].as_str(), Some("PROCESSING" | "FAILED_TEMP"));
    Known { view, logs, journal: anneal.journal(id), open }
}

/// Makes a folder a copy of another, whatever it was.
///
/// # Panics
/// When it cannot be copied.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(to).expect("a folder").flatten() {
        let path = entry.path();
        let gone = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        gone.expect("a folder that can be emptied");
    }
    let status = Command::new("cp").args(["-a", "--"]).arg(from.join(".")).arg(to).status().expect("cp starts");
    assert!(status.success(), "cannot copy {} to {}", from.display(), to.display());
}
