//! Model hosts: what a real one does by the contract of remote jobs, and nothing more.
//!
//! A job claims its name, has its effect somewhere between its start and its end, and leaves an exit record – unless the
//! host restarts or the job is lost. Jobs know nothing of engines: they go on when one dies.

use std::collections::{BTreeMap, HashMap};

use engine::operation::NodeId;
use fastrand::Rng;

/// A job's name: node and attempt.
pub type Name = (NodeId, u32);

/// All hosts of a world.
#[derive(Debug, Default)]
pub struct Hosts {
    boots: HashMap<String, u32>,
    jobs: BTreeMap<Name, Job>,
    /// Whether a node's effect is on its host.
    pub there: HashMap<NodeId, bool>,
    /// Whether an `do` or `undo` ever touched the node: how often.
    pub executed: HashMap<NodeId, u32>,
}

#[derive(Debug, Clone)]
struct Job {
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

    /// A job's start arrives at the host. False where its name is taken: it is fenced off (I4).
    pub fn begin(&mut self, name: &Name, undo: bool) -> bool {
        if self.jobs.contains_key(name) {
            return false;
        }
        let boot = self.boot(&name.0.key);
        self.jobs.insert(name.clone(), Job { boot, undo, record: Record::Running });
        *self.executed.entry(name.0.clone()).or_default() += 1;
        true
    }

    fn runs(&self, name: &Name) -> bool {
        let boot = self.boot(&name.0.key);
        self.jobs.get(name).is_some_and(|job| job.record == Record::Running && job.boot == boot)
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

    /// The host restarts: whatever ran there is gone.
    pub fn reboot(&mut self, slot: &str) {
        *self.boots.entry(slot.to_owned()).or_default() += 1;
    }

    /// What re-attaching to a job finds. Asking takes the name of a job that never began.
    pub fn find(&mut self, name: &Name) -> Found {
        let boot = self.boot(&name.0.key);
        let job = self.jobs.entry(name.clone()).or_insert(Job { boot, undo: false, record: Record::Void });
        match job.record {
            Record::Void => Found::NeverBegan,
            Record::Exited(code) => Found::Exited(code),
            Record::Gone => Found::Vanished,
            Record::Running if job.boot == boot => Found::Running,
            Record::Running => Found::Rebooted,
        }
    }

    /// The jobs of a node that run now.
    pub fn running(&self, node: &NodeId) -> usize {
        self.jobs.keys().filter(|name| name.0 == *node && self.runs(name)).count()
    }
}
