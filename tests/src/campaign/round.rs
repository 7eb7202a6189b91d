//! One round: several operations at once on all hosts, one injection, and everything that follows until they have ended.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::broken::Broken;
use super::fleet::{Fleet, HOSTS};
use super::processes::{Process, Shown, kill_all};
use super::{effects, history};
use crate::anneal::Anneal;
use crate::binary::repository;
use crate::journal::{self, Entry};
use crate::until::SOON;

/// What is done to a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every process is killed at a random time.
    AnyTime,
    /// Every process is killed right after a random event was shown.
    AtAnEvent,
    /// The same, and again while the operations go on.
    Twice,
    /// The same, again and again until the operations have ended, or [`STORM`] times.
    Storm,
    /// The same, and again and again within 50 ms of a start.
    Opening,
    /// Killed while more processes attach.
    Attaching,
    /// Only the process that holds the store is killed; the others take over.
    Holder,
    /// A host is restarted, and nobody killed.
    Restart,
    /// Killed, and a host restarted.
    KillAndRestart,
    /// A host is cut off for a while, and nobody killed.
    Cut,
    /// Killed while a host is cut off, which lasts on.
    KillAndCut,
}

impl Kind {
    /// What the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::AnyTime => "all killed at a random time",
            Kind::AtAnEvent => "all killed right after a random event was shown",
            Kind::Twice => "all killed, and again while the operations go on",
            Kind::Storm => "all killed each half second, up to 10 times",
            Kind::Opening => "all killed, and 3 times within 50 ms of a start",
            Kind::Attaching => "all killed while more processes attach",
            Kind::Holder => "the process that holds the store killed, others take over",
            Kind::Restart => "a host restarted",
            Kind::KillAndRestart => "all killed, and a host restarted",
            Kind::Cut => "a host cut off for a while",
            Kind::KillAndCut => "all killed while a host is cut off",
        }
    }
}

/// The order in which the kinds come: 15 rounds have them all.
pub const KINDS: [Kind; 15] = [
    Kind::AnyTime,
    Kind::AtAnEvent,
    Kind::Opening,
    Kind::Restart,
    Kind::Twice,
    Kind::Holder,
    Kind::AnyTime,
    Kind::Cut,
    Kind::Attaching,
    Kind::KillAndRestart,
    Kind::AtAnEvent,
    Kind::Storm,
    Kind::KillAndCut,
    Kind::Opening,
    Kind::AtAnEvent,
];

/// The steps whose programs note that they are executed.
const COUNTED: [&str; 10] = ["plain", "asked", "again", "fragile", "last", "out", "meet", "one", "two", "fail"];
/// How often an operation may have to be resumed: after each restart of a host a person may be asked once for each step.
const RESUMES: usize = 12;

/// Kills of one storm.
const STORM: usize = 10;

/// What a round is made of.
pub struct Round<'a> {
    pub anneal: &'a Anneal,
    pub fleet: &'a Fleet,
    pub kind: Kind,
    pub rng: &'a mut fastrand::Rng,
}

/// What a round left behind.
#[derive(Debug, Default)]
pub struct Left {
    /// Events that were shown as durable.
    pub acknowledged: u64,
    /// Attempts that were executed on the hosts.
    pub executed: u64,
    /// How often an operation was resumed.
    pub resumed: u64,
    /// The journals.
    pub journals: BTreeMap<String, Vec<Entry>>,
}

impl Round<'_> {
    /// Does it all.
    ///
    /// # Panics
    /// When a process does not end, or the testbed fails.
    pub fn survive(&mut self) -> Result<Left, Broken> {
        let before: BTreeSet<String> = self.anneal.operations().into_iter().collect();
        let mut shown = Shown::new();
        let begun = self.begin();
        self.inject(begun, &before, &mut shown);
        let resumed = self.go_on(&before, &mut shown);
        let mut left = Left::default();
        // What is lost or run twice is told before what does not end: it is worse, and may be why.
        self.check(&before, &shown, &mut left)?;
        left.resumed = resumed?;
        Ok(left)
    }

    /// Starts the operations: two chains, a fan, and one that is undone.
    fn begin(&mut self) -> Vec<Process> {
        let pace = format!("pace=0.{}", self.rng.u8(1..6));
        let file = self.anneal.file("upload", vec![b'x'; self.rng.usize(0..200_000)]);
        let file = format!("file={}", file.display());
        let all: Vec<usize> = (0..HOSTS).collect();
        let (a, b, c) = (self.rng.usize(0..HOSTS), self.rng.usize(0..HOSTS), self.rng.usize(0..HOSTS));
        let inventories = [
            ("chain", self.fleet.inventory(self.anneal, "chain-1", &[("m", &[a])]), true),
            ("chain", self.fleet.inventory(self.anneal, "chain-2", &[("m", &[b])]), true),
            ("fan", self.fleet.inventory(self.anneal, "fan", &[("all", &all), ("one", &[c])]), true),
            ("undo", self.fleet.inventory(self.anneal, "undo", &[("m", &[c])]), false),
        ];
        let mut processes = Vec::new();
        for (workflow, inventory, takes_file) in inventories {
            let workflow = repository(&format!("tests/campaign/{workflow}.ron")).to_string_lossy().into_owned();
            let mut args = vec![workflow, "--inventory".into(), inventory, "--input".into(), pace.clone()];
            if takes_file {
                args.extend(["--input".into(), file.clone()]);
            }
            processes.push(Process::run(self.anneal, &args));
        }
        processes
    }

    /// Lets it happen. Afterwards no process of the round is left.
    fn inject(&mut self, begun: Vec<Process>, before: &BTreeSet<String>, shown: &mut Shown) {
        let host = self.fleet.host(self.rng.usize(0..HOSTS));
        match self.kind {
            Kind::AnyTime => self.kill_within(3_000, begun, shown),
            Kind::AtAnEvent => {
                let (which, wanted, seen) = (self.rng.usize(0..begun.len()), self.rng.u32(1..13), Cell::new(0));
                begun[which].running.event("an event to kill at", SOON, |_| {
                    seen.set(seen.get() + 1);
                    seen.get() >= wanted
                });
                kill_all(begun, shown);
            }
            Kind::Twice => {
                self.kill_within(2_000, begun, shown);
                let again = self.resume_all(before);
                self.kill_within(2_000, again, shown);
            }
            Kind::Storm => {
                // Else there may be nothing yet that a storm could hit.
                begun[0].running.event("the first event", SOON, |_| true);
                self.kill_within(1_000, begun, shown);
                for _ in 1..STORM {
                    let again = self.resume_all(before);
                    self.kill_within(1_000, again, shown);
                }
            }
            Kind::Opening => {
                self.kill_within(3_000, begun, shown);
                for _ in 0..3 {
                    let again = self.resume_all(before);
                    self.kill_within(50, again, shown);
                }
            }
            Kind::Attaching => {
                self.pass(2_000);
                let more = self.resume_all(before);
                self.kill_within(200, begun.into_iter().chain(more).collect(), shown);
            }
            Kind::Holder => {
                self.pass(2_500);
                let holder = std::fs::read_to_string(self.anneal.data().join("lock")).unwrap_or_default();
                let (holds, others): (Vec<Process>, Vec<Process>) =
                    begun.into_iter().partition(|process| process.running.pid().to_string() == holder.trim());
                kill_all(holds, shown);
                others.into_iter().for_each(|process| drop(process.wait(shown)));
            }
            Kind::Restart => {
                self.pass(2_500);
                host.reboot();
                begun.into_iter().for_each(|process| drop(process.wait(shown)));
            }
            Kind::KillAndRestart => {
                self.kill_within(2_500, begun, shown);
                host.reboot();
            }
            Kind::Cut => {
                self.pass(2_000);
                host.cut();
                self.pass(3_000);
                host.mend();
                begun.into_iter().for_each(|process| drop(process.wait(shown)));
            }
            Kind::KillAndCut => {
                self.pass(2_000);
                host.cut();
                self.kill_within(1_000, begun, shown);
                let again = self.resume_all(before);
                self.pass(2_000);
                host.mend();
                again.into_iter().for_each(|process| drop(process.wait(shown)));
            }
        }
    }

    /// Lets a random time pass: that is the injection.
    fn pass(&mut self, most_ms: u64) {
        std::thread::sleep(Duration::from_micros(self.rng.u64(0..most_ms * 1_000)));
    }

    fn kill_within(&mut self, most_ms: u64, processes: Vec<Process>, shown: &mut Shown) {
        self.pass(most_ms);
        kill_all(processes, shown);
    }

    /// The operations of this round that have not ended for good.
    fn open(&self, before: &BTreeSet<String>) -> Vec<String> {
        let list = self.anneal.json(["ops", "--json"]);
        let list = list.as_array().expect("a list").iter().filter(|one| one["open"] == true);
        list.filter_map(|one| one["id"].as_str()).filter(|id| !before.contains(*id)).map(str::to_owned).collect()
    }

    fn resume_all(&self, before: &BTreeSet<String>) -> Vec<Process> {
        self.open(before).iter().map(|id| Process::resume(self.anneal, id, &[])).collect()
    }

    /// Goes on with everything until it has ended; a person's decisions are `run it again`. How often it had to be resumed.
    fn go_on(&self, before: &BTreeSet<String>, shown: &mut Shown) -> Result<u64, Broken> {
        let (mut resumed, mut last) = (0, String::new());
        for _ in 0..RESUMES {
            let open = self.open(before);
            if open.is_empty() {
                return Ok(resumed);
            }
            let mut processes = Vec::new();
            for id in &open {
                let view = self.anneal.json(["show", id, "--json"]);
                let undecided = view["undecided"].as_array().into_iter().flatten().filter_map(|node| node.as_str());
                let decided: Vec<String> = undecided.flat_map(|node| ["--rerun".into(), node.to_owned()]).collect();
                processes.push(Process::resume(self.anneal, id, &decided));
                resumed += 1;
            }
            last = processes.into_iter().map(|process| process.wait(shown).all()).collect();
        }
        Err(Broken::Other(format!("operations do not end, although resumed {RESUMES} times:\n{last}")))
    }

    /// Holds what was shown and what was executed against the journals.
    fn check(&self, before: &BTreeSet<String>, shown: &Shown, left: &mut Left) -> Result<(), Broken> {
        let ids: Vec<String> = self.anneal.operations().into_iter().filter(|id| !before.contains(id)).collect();
        left.journals = journal::read_all(self.anneal.data(), &ids);
        for (id, entries) in shown {
            let journal = left.journals.get(id);
            let journal = journal.ok_or_else(|| Broken::Lost(format!("operation {id} was shown, and is not there")))?;
            history::kept(id, entries, journal)?;
            left.acknowledged += entries.len() as u64;
        }
        left.executed = check_effects(self.fleet, &left.journals)?;
        Ok(())
    }
}

/// Holds what was executed against the journals; the attempts that were executed.
pub fn check_effects(fleet: &Fleet, journals: &BTreeMap<String, Vec<Entry>>) -> Result<u64, Broken> {
    let effects = fleet.effects()?;
    let mut executed = 0;
    for (id, journal) in journals {
        executed += effects::check(id, &effects, &history::attempts(journal)?, &COUNTED)?;
    }
    Ok(executed)
}
