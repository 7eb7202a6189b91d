//! One world: time passes, hosts work, the engine decides, the store keeps or tears, the engine dies and comes back.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use dsl::plan::{Action, Plan};
use engine::operation::{
    Activity, Alone, Decided, Decision, Driver, Effect, Entry, Event, Failure, FailureClass, HostRecord, Input,
    JOURNAL_FORMAT, Life, NodeId, NodeOutcome, Operation, ReachRecord, Rest, Unknown, Verb,
};
use fastrand::Rng;
use uuid::Uuid;

use super::check;
use super::hosts::{Fate, Found, Hosts, Name};
use super::plans;

/// A world's number.
pub type Seed = u64;

/// What a seed was put through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report {
    /// Runs: one without a crash, and one for each way to die at each write.
    pub runs: u64,
    /// Writes in all runs.
    pub writes: u64,
    /// Crashes in all runs.
    pub crashes: u64,
    /// Jobs that began on hosts.
    pub jobs: u64,
    /// Host restarts.
    pub reboots: u64,
    /// Attempts whose outcome was unknown.
    pub unknown: u64,
}

/// A way for the engine to die around a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// Nothing of the write is kept.
    Before,
    /// A part of it is kept: a long write is several commits, each of which leaves the journal valid.
    Torn,
    /// The write is kept, and nobody was told.
    Unacknowledged,
    /// The write was acknowledged and the effects it intends have begun to leave.
    After,
}

/// Puts one seed through every crash.
pub fn simulate(seed: Seed) -> Result<Report, String> {
    let mut report = Report::default();
    let (clean, journal) = World::new(seed, None).run().map_err(|why| format!("seed {seed}, no crash: {why}"))?;
    report.add(&clean);
    damaged(seed, journal);
    for at in 0..clean.writes {
        for death in [Death::Before, Death::Torn, Death::Unacknowledged, Death::After] {
            let (run, _) = World::new(seed, Some((at, death)))
                .run()
                .map_err(|why| format!("seed {seed}, {death:?} write {at}: {why}"))?;
            report.add(&run);
        }
    }
    Ok(report)
}

/// A journal that lost, doubled or swapped entries is refused or gives some valid operation; it never panics (I11).
fn damaged(seed: Seed, journal: Vec<Entry>) {
    let mut rng = Rng::with_seed(seed);
    let plan = Arc::new(plans::random(&mut rng));
    for _ in 0..20 {
        let mut journal = journal.clone();
        let (a, b) = (rng.usize(0..journal.len()), rng.usize(0..journal.len()));
        match rng.u8(0..4) {
            0 => drop(journal.remove(a)),
            1 => journal.insert(b, journal[a].clone()),
            2 => journal.swap(a, b),
            _ => journal[a].event = journal[b].event.clone(),
        }
        // So that the gap check does not hide what lies behind it.
        for (index, entry) in journal.iter_mut().enumerate() {
            entry.seq = index as u64 + 1;
            entry.at_ms = 1_700_000_000_000 + index as u64;
        }
        if let Ok(operation) = check::durable(&plan, &journal) {
            let mut driver = Driver::new(operation, 1);
            let _ = driver.decide(vec![Input::Go], &mut alone(1_700_000_001_000, &mut || 0.5, &mut Alone));
        }
    }
}

impl Report {
    fn add(&mut self, run: &Report) {
        self.runs += 1;
        self.writes += run.writes;
        self.crashes += run.crashes;
        self.jobs += run.jobs;
        self.reboots += run.reboots;
        self.unknown += run.unknown;
    }
}

/// Something that happens at a time. `life` is the engine's: what was on its way to a dead engine is lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A job's start reaches its host, whether or not the engine that sent it still lives.
    Arrives {
        node: NodeId,
        attempt: u32,
        undo: bool,
        life: u32,
    },
    Effect {
        node: NodeId,
        attempt: u32,
    },
    JobEnds {
        node: NodeId,
        attempt: u32,
        exit: i32,
        vanishes: bool,
    },
    /// The executor that watches a job looks at it.
    Looks {
        node: NodeId,
        attempt: u32,
        life: u32,
    },
    Probed {
        node: NodeId,
        attempt: u32,
        life: u32,
    },
    Waited {
        node: NodeId,
        attempt: u32,
        life: u32,
        fails: bool,
    },
    Wakes {
        life: u32,
    },
    Reboots {
        slot: String,
    },
    EngineStarts,
    Person {
        life: u32,
    },
}

struct World {
    rng: Rng,
    plan: Arc<Plan>,
    hosts: Hosts,
    now_ms: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    order: u64,
    /// The durable journal.
    journal: Vec<Entry>,
    driver: Option<Driver>,
    life: u32,
    death: Option<(u64, Death)>,
    random_deaths: u32,
    resumes: u32,
    report: Report,
}

impl World {
    fn new(seed: Seed, death: Option<(u64, Death)>) -> World {
        let mut rng = Rng::with_seed(seed);
        let plan = Arc::new(plans::random(&mut rng));
        World {
            plan,
            hosts: Hosts::default(),
            now_ms: 1_700_000_000_000,
            queue: BinaryHeap::new(),
            order: 0,
            journal: Vec::new(),
            driver: None,
            life: 0,
            death,
            random_deaths: if death.is_some() { rng.u32(0..3) } else { 0 },
            resumes: 0,
            report: Report::default(),
            rng,
        }
    }

    fn after(&mut self, ms: u64, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse((self.now_ms + ms, self.order, what)));
    }

    fn run(mut self) -> Result<(Report, Vec<Entry>), String> {
        self.after(0, Happening::EngineStarts);
        for slot in ["a0", "a1", "b"] {
            if self.rng.u8(0..3) == 0 {
                let at = self.rng.u64(1..60_000);
                self.after(at, Happening::Reboots { slot: slot.to_owned() });
            }
        }
        let mut steps = 0u32;
        while let Some(Reverse((at, _, what))) = self.queue.pop() {
            self.now_ms = self.now_ms.max(at);
            self.happen(what)?;
            steps += 1;
            if steps > 20_000 {
                return Err("I6: it does not end".to_owned());
            }
        }
        let operation = check::durable(&self.plan, &self.journal)?;
        if !matches!(operation.life, Life::Completed { .. } | Life::Failed { .. } | Life::RolledBack) {
            return Err(format!("I6: nothing happens any more and the operation is {:?}", operation.life));
        }
        check::ended(&operation, &self.hosts)?;
        self.report.unknown =
            self.journal.iter().filter(|entry| matches!(entry.event, Event::Indeterminate { .. })).count() as u64;
        Ok((self.report, self.journal))
    }

    fn happen(&mut self, what: Happening) -> Result<(), String> {
        match what {
            Happening::EngineStarts => self.start(),
            Happening::Reboots { slot } => {
                self.report.reboots += 1;
                self.hosts.reboot(&slot);
                Ok(())
            }
            Happening::Arrives { node, attempt, undo, life } => self.arrives(node, attempt, undo, life),
            Happening::Effect { node, attempt } => {
                self.hosts.effect(&(node, attempt));
                Ok(())
            }
            Happening::JobEnds { node, attempt, exit, vanishes } => {
                let fate = Fate { effect_after_ms: 0, ends_after_ms: 0, exit, vanishes };
                self.hosts.end(&(node, attempt), &fate);
                Ok(())
            }
            Happening::Looks { node, attempt, life } if life == self.life => self.looks(node, attempt),
            Happening::Probed { node, attempt, life } if life == self.life => {
                let there = self.hosts.there.get(&node).copied().unwrap_or(false);
                let outcome = match (self.rng.u8(0..12), there) {
                    (0, _) => NodeOutcome::ProbedUnknown(failure(FailureClass::ProbeUnknown)),
                    (_, true) => NodeOutcome::ProbedThere,
                    (_, false) => NodeOutcome::ProbedNotThere,
                };
                self.learn(node, attempt, outcome)
            }
            Happening::Waited { node, attempt, life, fails } if life == self.life => {
                let outcome = if fails {
                    NodeOutcome::Failed { failure: failure(FailureClass::Timeout), output: None }
                } else {
                    NodeOutcome::Succeeded { out: BTreeMap::new(), output: None }
                };
                self.learn(node, attempt, outcome)
            }
            Happening::Wakes { life } if life == self.life => self.decide(vec![Input::Go]),
            Happening::Person { life } if life == self.life => self.person(),
            // It was on its way to an engine that is dead.
            Happening::Looks { .. }
            | Happening::Probed { .. }
            | Happening::Waited { .. }
            | Happening::Wakes { .. }
            | Happening::Person { .. } => Ok(()),
        }
    }

    /// An engine takes the store: it replays the journal, or creates the operation.
    fn start(&mut self) -> Result<(), String> {
        self.life += 1;
        if self.journal.is_empty() {
            let hosts = self.plan.roles.values().flat_map(|role| role.slots.clone());
            let entry = Entry {
                seq: 1,
                at_ms: self.now_ms,
                event: Event::Created {
                    format: JOURNAL_FORMAT,
                    operation: Uuid::nil(),
                    plan: "sha256:0".to_owned(),
                    workflow: "simulated".to_owned(),
                    by: "simulation".to_owned(),
                    hosts: hosts.map(|slot| (slot, HostRecord { generation: 1, reach: ReachRecord::Local })).collect(),
                    locks: Vec::new(),
                },
            };
            let operation = Operation::create(Arc::clone(&self.plan), &entry).map_err(|illegal| illegal.to_string())?;
            let mut driver = Driver::new(operation, 1);
            let mut jitter = self.rng.clone();
            let decided = driver
                .decide(vec![Input::Go], &mut alone(self.now_ms, &mut || jitter.f64(), &mut Alone))
                .map_err(|e| e.to_string())?;
            self.driver = Some(driver);
            return self.carry_out(vec![entry], decided);
        }
        let operation = check::durable(&self.plan, &self.journal)?;
        self.driver = Some(Driver::new(operation, 1));
        self.decide(vec![Input::Go])
    }

    fn learn(&mut self, node: NodeId, attempt: u32, outcome: NodeOutcome) -> Result<(), String> {
        self.decide(vec![Input::Node { node, attempt, outcome }])
    }

    fn decide(&mut self, inputs: Vec<Input>) -> Result<(), String> {
        let Some(driver) = &mut self.driver else { return Ok(()) };
        let mut jitter = self.rng.fork();
        let decided = driver
            .decide(inputs, &mut alone(self.now_ms, &mut || jitter.f64(), &mut Alone))
            .map_err(|e| e.to_string())?;
        self.carry_out(Vec::new(), decided)
    }

    /// The commit, with death around it, and then the effects.
    fn carry_out(&mut self, mut entries: Vec<Entry>, decided: Decided) -> Result<(), String> {
        entries.extend(decided.entries);
        let mut death = None;
        if !entries.is_empty() {
            let write = self.report.writes;
            self.report.writes += 1;
            death = match self.death {
                Some((at, death)) if at == write => Some(death),
                _ if self.random_deaths > 0 && self.rng.u8(0..10) == 0 => {
                    self.random_deaths -= 1;
                    self.rng.choice([Death::Before, Death::Torn, Death::Unacknowledged, Death::After])
                }
                _ => None,
            };
            match death {
                Some(Death::Before) => {}
                Some(Death::Torn) => {
                    let kept = self.rng.usize(0..entries.len());
                    self.journal.extend(entries.into_iter().take(kept));
                }
                Some(Death::Unacknowledged | Death::After) | None => self.journal.extend(entries),
            }
        }
        if let Some(Death::Before | Death::Torn | Death::Unacknowledged) = death {
            return self.die();
        }
        if let Some(driver) = &self.driver {
            check::same_as_live(&self.plan, &self.journal, driver.operation())?;
        }
        for effect in decided.effects {
            self.begin(effect);
        }
        if death == Some(Death::After) {
            return self.die();
        }
        match decided.rest {
            Rest::Stuck => return Err("I6: stuck".to_owned()),
            Rest::Waits | Rest::Ended => {
                let life = self.life;
                let thinks = self.rng.u64(1..100_000);
                self.after(thinks, Happening::Person { life });
            }
            Rest::Busy => {
                if let Some(at) = decided.wake_at_ms {
                    let (life, wait) = (self.life, at.saturating_sub(self.now_ms));
                    self.after(wait, Happening::Wakes { life });
                }
            }
        }
        Ok(())
    }

    fn die(&mut self) -> Result<(), String> {
        self.report.crashes += 1;
        self.driver = None;
        self.life += 1; // Whatever is on its way to the dead engine is lost.
        let down = self.rng.u64(0..40_000);
        self.after(down, Happening::EngineStarts);
        Ok(())
    }

    fn begin(&mut self, effect: Effect) {
        let life = self.life;
        let latency = self.rng.u64(1..200);
        match effect {
            Effect::Do { node, attempt } => {
                let waits = self.node_waits(&node);
                if waits {
                    let fails = self.rng.u8(0..6) == 0;
                    let takes = self.rng.u64(1..20_000);
                    self.after(takes, Happening::Waited { node, attempt, life, fails });
                } else {
                    self.send(node, attempt, false, latency);
                }
            }
            Effect::Undo { node, attempt } => self.send(node, attempt, true, latency),
            Effect::Reattach { node, attempt, .. } => self.after(latency, Happening::Looks { node, attempt, life }),
            Effect::Probe { node, attempt } => self.after(latency, Happening::Probed { node, attempt, life }),
            Effect::Kill { .. } => {}
        }
    }

    /// A job's start leaves for its host; sometimes the connection dies first, and the executor looks for it.
    fn send(&mut self, node: NodeId, attempt: u32, undo: bool, latency: u64) {
        let life = self.life;
        if self.rng.u8(0..15) == 0 {
            // Lost on the way, or very late: the fence decides which of the two is first.
            let late = self.rng.u64(1..3_000);
            if self.rng.bool() {
                self.after(late, Happening::Arrives { node: node.clone(), attempt, undo, life });
            }
            let look = self.rng.u64(1..3_000);
            self.after(look, Happening::Looks { node, attempt, life });
        } else {
            self.after(latency, Happening::Arrives { node, attempt, undo, life });
        }
    }

    fn node_waits(&self, node: &NodeId) -> bool {
        let step = self.plan.steps.iter().find(|step| step.id == node.step);
        step.is_some_and(|step| matches!(step.action, Action::Wait { .. }))
    }

    fn arrives(&mut self, node: NodeId, attempt: u32, undo: bool, life: u32) -> Result<(), String> {
        let name: Name = (node.clone(), attempt);
        // The probe, asked before `do`.
        let step = self.plan.steps.iter().find(|step| step.id == node.step);
        let there = self.hosts.there.get(&node).copied().unwrap_or(false);
        if !undo && there && life == self.life && step.is_some_and(|step| step.probe.is_some()) {
            return self.learn(node, attempt, NodeOutcome::AlreadySo);
        }
        if self.hosts.begin(&name, undo) {
            self.report.jobs += 1;
            check::may_begin(&self.plan, &self.journal, &self.hosts, &node, attempt, undo)?;
            let fate = Fate::draw(&mut self.rng);
            self.after(fate.effect_after_ms, Happening::Effect { node: node.clone(), attempt });
            let (exit, vanishes) = (fate.exit, fate.vanishes);
            self.after(fate.ends_after_ms, Happening::JobEnds { node: node.clone(), attempt, exit, vanishes });
        }
        if life == self.life {
            let soon = self.rng.u64(1..1_000);
            self.after(soon, Happening::Looks { node, attempt, life });
        }
        Ok(())
    }

    fn looks(&mut self, node: NodeId, attempt: u32) -> Result<(), String> {
        let life = self.life;
        let outcome = match self.hosts.find(&(node.clone(), attempt)) {
            Found::Running => {
                let soon = self.rng.u64(100..2_000);
                self.after(soon, Happening::Looks { node, attempt, life });
                return Ok(());
            }
            Found::Exited(0) => NodeOutcome::Succeeded { out: BTreeMap::new(), output: None },
            Found::Exited(code) => NodeOutcome::Failed { failure: failure(FailureClass::Exit(code)), output: None },
            Found::NeverBegan => NodeOutcome::Unknown(Unknown::NeverBegan),
            Found::Rebooted => NodeOutcome::Unknown(Unknown::Rebooted),
            Found::Vanished => NodeOutcome::Unknown(Unknown::Vanished),
        };
        self.learn(node, attempt, outcome)
    }

    /// A person comes to an operation that rests: decides what is open, resumes a few times, then rolls back or gives up.
    fn person(&mut self) -> Result<(), String> {
        let Some(driver) = &mut self.driver else { return Ok(()) };
        let operation = driver.operation();
        self.resumes += 1;
        let verb = match &operation.life {
            Life::Completed { .. } | Life::Failed { .. } | Life::RolledBack => return Ok(()),
            Life::FailedTemp { .. } if self.resumes > 4 => {
                if self.resumes > 8 || self.rng.bool() {
                    Verb::Fail
                } else {
                    Verb::Rollback
                }
            }
            Life::Processing(Activity::Paused { .. }) if self.resumes > 12 => {
                Verb::Cancel { mode: engine::operation::CancelMode::Graceful }
            }
            Life::RollingBack(Activity::Paused { .. }) if self.resumes > 20 => {
                Verb::Cancel { mode: engine::operation::CancelMode::Graceful }
            }
            _ => {
                let there = |node: &NodeId| self.hosts.there.get(node).copied().unwrap_or(false);
                let decisions = operation.undecided().into_iter().cloned();
                let decisions = decisions
                    .map(|node| {
                        let decision = if there(&node) { Decision::Done } else { Decision::Rerun };
                        (node, decision)
                    })
                    .collect();
                Verb::Resume { decisions }
            }
        };
        let mut jitter = self.rng.fork();
        let decided = driver
            .verb(&verb, "person", "simulated", &mut alone(self.now_ms, &mut || jitter.f64(), &mut Alone))
            .map_err(|illegal| illegal.to_string())?
            .map_err(|refused| format!("{verb:?} refused: {refused}"))?;
        self.carry_out(Vec::new(), decided)
    }
}

fn alone<'a>(now_ms: u64, jitter: &'a mut dyn FnMut() -> f64, places: &'a mut Alone) -> engine::operation::World<'a> {
    engine::operation::World { now_ms, jitter, places }
}

fn failure(class: FailureClass) -> Failure {
    Failure { class, message: "simulated".to_owned(), hint: None }
}
