//! An operator at one machine, with a folder in which the workflows of these tests leave what they did and look whether they
//! may go on (`tests/workflows/verbs.ron`, `gate.ron`).

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::anneal::Anneal;
use crate::binary::repository;
use crate::running::Running;
use crate::until::{SOON, until};

/// The operator, and the folder.
#[derive(Debug)]
pub struct Bench {
    /// The operator.
    pub anneal: Anneal,
    folder: PathBuf,
}

impl Bench {
    /// A new one.
    ///
    /// # Panics
    /// When no folder can be made.
    pub fn new() -> Bench {
        let anneal = Anneal::new();
        let bench = Bench { folder: anneal.folder().join("f"), anneal };
        std::fs::create_dir(&bench.folder).expect("a folder");
        bench
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The arguments that run a workflow here.
    pub fn run(&self, workflow: &str) -> Vec<String> {
        self.run_in(workflow, &self.folder)
    }

    /// The arguments that run a workflow in another folder, which is made.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn run_in(&self, workflow: &str, folder: &Path) -> Vec<String> {
        std::fs::create_dir_all(folder).expect("a folder");
        let file = repository(&format!("tests/workflows/{workflow}.ron"));
        let input = format!("folder={}", folder.display());
        ["run", &file.to_string_lossy(), "--host", "machine=local", "--input", &input].map(str::to_owned).to_vec()
    }

    /// Runs `verbs` up to where it waits.
    pub fn waiting(&self) -> (Running, String) {
        let running = self.anneal.start(self.run("verbs"));
        self.until_logged("wait");
        (running, self.id())
    }

    /// Runs `verbs` until it fails.
    pub fn failed(&self) -> String {
        self.touch("fail");
        self.anneal.expect(1, self.run("verbs"));
        std::fs::remove_file(self.folder.join("fail")).expect("a file to remove");
        self.id()
    }

    /// Waits until a step has left its word.
    pub fn until_logged(&self, word: &str) {
        until(word, SOON, || self.log().contains(&word.to_owned()).then_some(()));
    }

    /// What the steps did.
    pub fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Makes a file that the workflow looks for.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn touch(&self, name: &str) {
        std::fs::write(self.folder.join(name), "").expect("a file");
    }

    /// The operation made last.
    ///
    /// # Panics
    /// When there is none.
    pub fn id(&self) -> String {
        self.anneal.operations().pop().expect("an operation")
    }

    /// How an operation stands.
    pub fn show(&self, id: &str) -> Value {
        self.anneal.json(["show", id, "--json"])
    }

    /// Waits until an operation is in a state.
    pub fn until_state(&self, id: &str, state: &str) {
        until(state, SOON, || (self.show(id)["state"] == state).then_some(()));
    }
}

impl Default for Bench {
    fn default() -> Bench {
        Bench::new()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A job that a failed test leaves behind ends by this, while the folder is still there.
        let _ = std::fs::write(self.folder.join("go"), "");
    }
}
