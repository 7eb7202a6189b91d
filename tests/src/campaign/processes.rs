//! The `anneal` processes of a round, each with what it showed as durable.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::anneal::{Anneal, Ended};
use crate::journal::{self, Entry};
use crate::running::Running;

/// How long operations of a few seconds may take on a machine that does much else, with hosts that restart.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was shown as durable, by operation.
pub type Shown = BTreeMap<String, Vec<Entry>>;

/// A process that works on an operation or watches it.
#[derive(Debug)]
pub struct Process {
    /// It.
    pub running: Running,
    /// The operation, where it is known; `run` shows it with the first event.
    id: Option<String>,
}

impl Process {
    /// Starts an operation.
    pub fn run(anneal: &Anneal, args: &[String]) -> Process {
        let more = ["run", "--json", "--accept-new-host-keys"].map(str::to_owned);
        Process { running: anneal.start(more.iter().chain(args)), id: None }
    }

    /// Goes on with one.
    pub fn resume(anneal: &Anneal, id: &str, more: &[String]) -> Process {
        let args = ["resume", "--json", id].map(str::to_owned);
        Process { running: anneal.start(args.iter().chain(more)), id: Some(id.to_owned()) }
    }

    /// Kills it; what it showed is kept.
    pub fn kill(self, shown: &mut Shown) {
        remember(self.id, &self.running.kill(), shown);
    }

    /// Waits for its end; what it showed is kept.
    ///
    /// # Panics
    /// When it does not end in time, or ends with a panic.
    pub fn wait(self, shown: &mut Shown) -> Ended {
        let ended = self.running.wait(PATIENCE);
        assert!(ended.code < 100 && !ended.stderr.contains("panicked"), "ended with {}:\n{}", ended.code, ended.all());
        remember(self.id, &ended, shown);
        ended
    }
}

/// Kills several at once.
pub fn kill_all(processes: Vec<Process>, shown: &mut Shown) {
    // All of them before any is waited for: else those that are left take over.
    processes.iter().for_each(|process| process.running.stop_now());
    processes.into_iter().for_each(|process| process.kill(shown));
}

fn remember(id: Option<String>, ended: &Ended, shown: &mut Shown) {
    let entries = journal::entries_of(&ended.stdout);
    let Some(id) = id.or_else(|| (!entries.is_empty()).then(|| journal::operation(&entries))) else { return };
    shown.entry(id).or_default().extend(entries);
}
