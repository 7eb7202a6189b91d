//! Model hosts: what a real one does by the contract of remote jobs, and nothing more.
//!
//! A job claims its name, has its effect somewhere between its start and its end, and leaves an exit record – unless the
//! host restarts, or the job is lost or killed. Jobs know nothing of engines: they go on when one dies.

use std::collections::{BTreeMap, HashMap};

use engine::operation::NodeId;
use fastrand::Rng;

/// A node of one of the operations.
pub type Of = (usize, NodeId);

/// A job's name: its node and attempt.
pub type Name = (Of, u32);

/// All hosts of a world.
#[derive(Debug, Default)]
pub struct Hosts {
    boots: HashMap<String, u32>,
    jobs: BTreeMap<Name, Job>,
    /// Whether a node's effect is on its host.
    pub there: HashMap<Of, bool>,
}

#[derive(Debug, Clone)]
struct Job {
    slot: String,
    boot: u32,
    undo: bool,
    record: Record,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    /// Taken by an engine that asked for it: the job can never begin.
    Void,
    Running,
    Exited(i32),
    /// Its process is gone and left nothing.
    Gone,
}

/// What re-attaching finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It runs: ask again.
    Running,
    /// It ended.
    Exited(i32),
    /// It never began and never can.
    NeverBegan,
    /// The host restarted meanwhile.
    Rebooted,
    /// It is gone.
    Vanished,
}

/// How a job that begins will go.
#[derive(Debug, Clone, Copy)]
pub struct Fate {
    /// How long until its effect.
    pub effect_after_ms: u64,
    /// How long until its end.
    pub ends_after_ms: u64,
    /// Its exit code.
    pub exit: i32,
    /// Whether it vanishes instead of ending.
    pub vanishes: bool,
}

impl Fate {
    /// Drawn from the world.
    pub fn draw(rng: &mut Rng) -> Fate {
        let ends_after_ms = rng.u64(10..30_000);
        Fate {
            effect_after_ms: rng.u64(0..ends_after_ms),
            ends_after_ms,
            exit: if rng.u8(0..5) == 0 { 1 } else { 0 },
            vanishes: rng.u8(0..25) == 0,
        }
    }
}

impl Hosts {
    fn boot(&self, slot: &str) -> u32 {
        self.boots.get(slot).copied().unwrap_or(0)
    }

    /// A job's start arrives at its host. False where its name is taken: it is fenced off (I4).
    pub fn begin(&mut self, name: &Name, slot: &str, undo: bool) -> bool {
        if self.jobs.contains_key(name) {
            return false;
        }
        let boot = self.boot(slot);
        self.jobs.insert(name.clone(), Job { slot: slot.to_owned(), boot, undo, record: Record::Running });
        true
    }

    fn runs(&self, name: &Name) -> bool {
        self.jobs.get(name).is_some_and(|job| job.record == Record::Running && job.boot == self.boot(&job.slot))
    }

    /// The job's effect happens, if it still runs.
    pub fn effect(&mut self, name: &Name) {
        if self.runs(name) {
            let undo = self.jobs[name].undo;
            self.there.insert(name.0.clone(), !undo);
        }
    }

    /// The job ends, if it still runs.
    pub fn end(&mut self, name: &Name, fate: &Fate) {
        if self.runs(name)
            && let Some(job) = self.jobs.get_mut(name)
        {
            job.record = if fate.vanishes { Record::Gone } else { Record::Exited(fate.exit) };
        }
    }

    /// The job is killed, and the kill verified: what is on record already stays.
    pub fn kill(&mut self, name: &Name) {
        if self.runs(name)
            && let Some(job) = self.jobs.get_mut(name)
        {
            job.record = Record::Exited(143);
        }
    }

    /// The host restarts: whatever ran there is gone.
    pub fn reboot(&mut self, slot: &str) {
        *self.boots.entry(slot.to_owned()).or_default() += 1;
    }

    /// What re-attaching to a job finds. Asking takes the name of a job that never began.
    pub fn find(&mut self, name: &Name, slot: &str) -> Found {
        let boot = self.boot(slot);
        let void = Job { slot: slot.to_owned(), boot, undo: false, record: Record::Void };
        let job = self.jobs.entry(name.clone()).or_insert(void);
        match job.record {
            Record::Void => Found::NeverBegan,
            Record::Exited(code) => Found::Exited(code),
            Record::Gone => Found::Vanished,
            Record::Running if job.boot == boot => Found::Running,
            Record::Running => Found::Rebooted,
        }
    }

    /// The jobs that run now.
    pub fn running(&self) -> impl Iterator<Item = &Name> {
        self.jobs.keys().filter(|name| self.runs(name))
    }

    /// The jobs of a node that run now.
    pub fn running_of(&self, of: &Of) -> usize {
        self.running().filter(|name| name.0 == *of).count()
    }

    /// Whether a node's effect is there.
    pub fn is_there(&self, of: &Of) -> bool {
        self.there.get(of).copied().unwrap_or(false)
    }
}
