//! One world: several operations, hosts that work, an engine that decides, dies and comes back, a store that tears, is full
//! or fails, a network that loses and holds things back, a clock that is set, and people who meddle.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use dsl::plan::Plan;
use engine::operation::{
    Activity, Driver, Entry, Event, Input, JOURNAL_FORMAT, Life, Locks, NodeId, Operation, Record, RecordKey,
    World as Handed,
};
use fastrand::Rng;
use uuid::Uuid;

use super::check;
use super::hosts::{Fate, Hosts};
use super::locks::{OfOperation, Table};
use super::plans;
use super::records;
use super::write::Death;

/// A world's number.
pub type Seed = u64;

/// What a seed was put through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report {
    /// Runs: one without a fault, and one for each fault at each write.
    pub runs: u64,
    /// Writes in all runs.
    pub writes: u64,
    /// Crashes in all runs.
    pub crashes: u64,
    /// Writes that a full disk refused.
    pub full: u64,
    /// Jobs that began on hosts.
    pub jobs: u64,
    /// Host restarts.
    pub reboots: u64,
    /// Connections that were lost or silent.
    pub lost: u64,
    /// Attempts whose outcome was unknown.
    pub unknown: u64,
    /// Times that the wall clock was set.
    pub clocks: u64,
    /// Verbs of people, and those that were refused.
    pub verbs: u64,
    /// Verbs that were refused.
    pub refused: u64,
    /// Times that a node or an operation waited for a lock of another.
    pub waits: u64,
    /// Changes of records.
    pub recorded: u64,
}

impl Report {
    /// Counts another's runs in.
    pub fn add(&mut self, run: &Report) {
        self.runs += run.runs;
        self.writes += run.writes;
        self.crashes += run.crashes;
        self.full += run.full;
        self.jobs += run.jobs;
        self.reboots += run.reboots;
        self.lost += run.lost;
        self.unknown += run.unknown;
        self.clocks += run.clocks;
        self.verbs += run.verbs;
        self.refused += run.refused;
        self.waits += run.waits;
        self.recorded += run.recorded;
    }
}

/// Something that happens at a time. `hand` is the engine's hold of the operation: what was on its way to one that is gone is
/// lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    /// A job's start reaches its host, whether or not the engine that sent it still lives.
    Arrives { op: usize, node: NodeId, attempt: u32, undo: bool, hand: u32 },
    /// A job's effect.
    Effect { op: usize, node: NodeId, attempt: u32 },
    /// A job's end.
    JobEnds { op: usize, node: NodeId, attempt: u32, exit: i32, vanishes: bool },
    /// A kill reaches its host.
    Killed { op: usize, node: NodeId, attempt: u32 },
    /// The executor that watches a job looks at it.
    Looks { op: usize, node: NodeId, attempt: u32, hand: u32 },
    /// The end of a job was seen, and its output has been read.
    Read { op: usize, node: NodeId, attempt: u32, hand: u32 },
    /// The host could not be reached for as long as the step may take.
    GivesUp { op: usize, node: NodeId, attempt: u32, hand: u32 },
    /// A probe's answer.
    Probed { op: usize, node: NodeId, attempt: u32, hand: u32 },
    /// The end of a wait.
    Waited { op: usize, node: NodeId, attempt: u32, hand: u32, fails: bool },
    /// A time that was awaited.
    Wakes { op: usize, hand: u32 },
    /// A lock was given back.
    Freed { op: usize, hand: u32 },
    /// A host restarts.
    Reboots { slot: String },
    /// An engine takes the store.
    EngineStarts,
    /// An operation that nobody holds is taken in hand: resumed by a person after the disk was full.
    Taken { op: usize },
    /// A person looks after an operation that rests.
    Person { op: usize, hand: u32 },
    /// A person asks for something at any time.
    Meddles { op: usize },
}

/// A plan, and the journal of the operation that ran it.
pub(super) type Journal = (Arc<Plan>, Vec<Entry>);

/// One of the operations.
pub(super) struct Op {
    pub plan: Arc<Plan>,
    pub locks: Vec<String>,
    /// The durable journal.
    pub journal: Vec<Entry>,
    /// What it tells of, entry by entry as they became durable.
    pub durable: Option<Operation>,
    pub driver: Option<Driver>,
    pub hand: u32,
    /// The clock of the hand: what it showed, and when.
    pub clock: (u64, u64),
    pub left_over: Vec<(String, NodeId)>,
    /// What people have done to it.
    pub resumes: u32,
    pub killed: bool,
}

pub(super) struct World {
    pub rng: Rng,
    pub ops: Vec<Op>,
    pub hosts: Hosts,
    /// What really passes.
    pub now_ms: u64,
    /// What the wall clock is off by.
    pub wall_ms: i64,
    pub queue: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    order: u64,
    pub engine_runs: bool,
    /// In the engine's memory.
    pub table: Table,
    /// In the store.
    pub records: Table,
    /// What is recorded of instances, in the store.
    pub known: BTreeMap<RecordKey, Record>,
    pub death: Option<(u64, Death)>,
    pub random_faults: u32,
    pub meddling: bool,
    pub report: Report,
}

const START_MS: u64 = 1_700_000_000_000;
/// Happenings of one world, more than any that ends has.
const HAPPENINGS: u32 = 60_000;

impl World {
    pub fn new(seed: Seed, death: Option<(u64, Death)>) -> World {
        let mut rng = Rng::with_seed(seed);
        let count = if rng.u8(0..3) == 0 { rng.usize(2..4) } else { 1 };
        let ops = (0..count).map(|_| {
            let mut plan = plans::random(&mut rng);
            let locks = ["instance/a", "instance/b"].iter().filter(|_| count > 1 && rng.u8(0..3) == 0);
            let mut locks = locks.map(|lock| (*lock).to_owned()).collect();
            // By numbers of its own, so that a seed without records goes on as it did.
            plans::records(&mut rng.clone(), &mut plan, &mut locks);
            Op {
                plan: Arc::new(plan),
                locks,
                journal: Vec::new(),
                durable: None,
                driver: None,
                hand: 0,
                clock: (0, 0),
                left_over: Vec::new(),
                resumes: 0,
                killed: false,
            }
        });
        let ops: Vec<Op> = ops.collect();
        World {
            ops,
            hosts: Hosts::default(),
            now_ms: START_MS,
            wall_ms: 0,
            queue: BinaryHeap::new(),
            order: 0,
            engine_runs: false,
            table: Table::default(),
            records: Table::default(),
            known: BTreeMap::new(),
            death,
            random_faults: if death.is_some() { rng.u32(0..3) } else { 0 },
            meddling: rng.u8(0..2) == 0,
            report: Report { runs: 1, ..Report::default() },
            rng,
        }
    }

    pub fn after(&mut self, ms: u64, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse((self.now_ms + ms, self.order, what)));
    }

    /// Runs until nothing happens any more; gives the journals.
    pub fn run(mut self) -> Result<(Report, Vec<Journal>), String> {
        self.after(0, Happening::EngineStarts);
        for slot in ["a0", "a1", "b"] {
            if self.rng.u8(0..3) == 0 {
                let at = self.rng.u64(1..60_000);
                self.after(at, Happening::Reboots { slot: slot.to_owned() });
            }
        }
        if self.meddling {
            for op in 0..self.ops.len() {
                for _ in 0..self.rng.u32(0..4) {
                    let at = self.rng.u64(1..90_000);
                    self.after(at, Happening::Meddles { op });
                }
            }
        }
        let mut happenings = 0u32;
        while let Some(Reverse((at, _, what))) = self.queue.pop() {
            self.now_ms = self.now_ms.max(at);
            self.happen(what)?;
            happenings += 1;
            if happenings > HAPPENINGS {
                return Err("I6: it does not end".to_owned());
            }
        }
        for op in 0..self.ops.len() {
            let operation = self.durable(op)?;
            if !operation.life.is_final() {
                let (life, nodes) = (&operation.life, check::words(&operation));
                let (locks, lives) = (&self.table, self.ops.iter().map(Op::life).collect::<Vec<_>>());
                return Err(format!(
                    "I6: nothing happens any more and operation {op} is {life:?} with {nodes:?}; locks {locks:?} of {lives:?}"
                ));
            }
            check::ended(op, &operation, &self.ops[op].journal, &self.hosts, self.ops[op].killed)?;
            let unknown = |entry: &&Entry| matches!(entry.event, Event::Indeterminate { .. });
            self.report.unknown += self.ops[op].journal.iter().filter(unknown).count() as u64;
        }
        if !self.records.operations.is_empty() || !self.records.nodes.is_empty() {
            return Err(format!("locks are held by operations that have ended: {:?}", self.records));
        }
        records::judge(&self.ops, &self.known)?;
        let journals = self.ops.iter().flat_map(|op| &op.journal);
        self.report.recorded += journals.map(|entry| entry.event.changes().len() as u64).sum::<u64>();
        Ok((self.report, self.ops.into_iter().map(|op| (op.plan, op.journal)).collect()))
    }

    fn happen(&mut self, what: Happening) -> Result<(), String> {
        match what {
            Happening::EngineStarts => self.start(),
            Happening::Taken { op } => {
                if self.engine_runs && self.ops[op].driver.is_none() {
                    self.take(op)
                } else {
                    Ok(())
                }
            }
            Happening::Reboots { slot } => {
                self.report.reboots += 1;
                self.hosts.reboot(&slot);
                Ok(())
            }
            Happening::Arrives { op, node, attempt, undo, hand } => self.arrives(op, node, attempt, undo, hand),
            Happening::Effect { op, node, attempt } => {
                self.hosts.effect(&((op, node), attempt));
                Ok(())
            }
            Happening::JobEnds { op, node, attempt, exit, vanishes } => {
                let fate = Fate { effect_after_ms: 0, ends_after_ms: 0, exit, vanishes };
                self.hosts.end(&((op, node), attempt), &fate);
                Ok(())
            }
            Happening::Killed { op, node, attempt } => {
                self.hosts.kill(&((op, node), attempt));
                Ok(())
            }
            Happening::Meddles { op } => self.meddles(op),
            Happening::Looks { op, node, attempt, hand } if self.holds(op, hand) => self.looks(op, node, attempt),
            Happening::Read { op, node, attempt, hand } if self.holds(op, hand) => self.read(op, node, attempt),
            Happening::GivesUp { op, node, attempt, hand } if self.holds(op, hand) => self.gives_up(op, node, attempt),
            Happening::Probed { op, node, attempt, hand } if self.holds(op, hand) => self.probed(op, node, attempt),
            Happening::Waited { op, node, attempt, hand, fails } if self.holds(op, hand) => {
                self.waited(op, node, attempt, fails)
            }
            Happening::Wakes { op, hand } if self.holds(op, hand) => self.decide(op, vec![Input::Go]),
            Happening::Freed { op, hand } if self.holds(op, hand) => {
                let input = if self.takes_its_locks(op) { Input::Locked } else { Input::Go };
                self.decide(op, vec![input])
            }
            Happening::Person { op, hand } if self.holds(op, hand) => self.person(op),
            // It was on its way to a hand that is gone.
            Happening::Looks { .. }
            | Happening::Read { .. }
            | Happening::GivesUp { .. }
            | Happening::Probed { .. }
            | Happening::Waited { .. }
            | Happening::Wakes { .. }
            | Happening::Freed { .. }
            | Happening::Person { .. } => Ok(()),
        }
    }

    fn holds(&self, op: usize, hand: u32) -> bool {
        self.engine_runs && self.ops[op].hand == hand && self.ops[op].driver.is_some()
    }

    /// An engine takes the store: it reads who holds which lock, and takes every operation in hand.
    fn start(&mut self) -> Result<(), String> {
        self.engine_runs = true;
        self.table = self.records.clone();
        if self.report.crashes > 0 && self.rng.u8(0..4) == 0 {
            self.report.clocks += 1;
            self.wall_ms = self.rng.i64(-4_000_000..4_000_000);
        }
        for op in 0..self.ops.len() {
            if self.engine_runs && self.ops[op].driver.is_none() {
                self.take(op)?;
            }
        }
        Ok(())
    }

    /// Takes one operation in hand: it replays the journal, or creates the operation.
    fn take(&mut self, op: usize) -> Result<(), String> {
        self.ops[op].hand += 1;
        let wall_ms = self.now_ms.saturating_add_signed(self.wall_ms);
        let created = (self.ops[op].journal.is_empty()).then(|| self.created(op, wall_ms));
        let operation = match &created {
            Some(entry) => {
                Operation::create(Arc::clone(&self.ops[op].plan), entry).map_err(|illegal| illegal.to_string())?
            }
            None => self.durable(op)?,
        };
        self.ops[op].clock = (wall_ms.max(operation.at_ms), self.now_ms);
        let driver = Driver::new(operation, 1);
        self.ops[op].left_over = driver.left_over(self.table.nodes_of(op));
        self.ops[op].driver = Some(driver);
        let input = if self.takes_its_locks(op) { Input::Locked } else { Input::Go };
        self.decide_after(op, created.into_iter().collect(), vec![input])
    }

    fn created(&self, op: usize, at_ms: u64) -> Entry {
        let hosts = self.ops[op].plan.roles.values().flat_map(|role| role.slots.clone());
        Entry {
            seq: 1,
            at_ms,
            event: Event::Created {
                format: JOURNAL_FORMAT,
                operation: id_of(op),
                plan: "sha256:0".to_owned(),
                workflow: "simulated".to_owned(),
                by: "simulation".to_owned(),
                hosts: hosts.map(|slot| (slot.clone(), plans::host(&slot))).collect(),
                locks: self.ops[op].locks.clone(),
            },
        }
    }

    /// Takes an operation's own locks where it waits for them and they are free.
    pub fn takes_its_locks(&mut self, op: usize) -> bool {
        let Some(driver) = &self.ops[op].driver else { return false };
        match (&driver.operation().locks, driver.operation().life.activity()) {
            (Locks::Wanted(wanted), Some(Activity::Queued)) => self.table.take_all(op, wanted),
            _ => false,
        }
    }

    /// The operation that the durable journal tells of.
    pub fn durable(&self, op: usize) -> Result<Operation, String> {
        let replayed = check::durable(&self.ops[op].plan, &self.ops[op].journal)?;
        if self.ops[op].durable.as_ref() != Some(&replayed) {
            return Err("I5: the journal as a whole and entry by entry give two states".to_owned());
        }
        Ok(replayed)
    }

    /// What the clock of the hand shows.
    pub fn clock_ms(&self, op: usize) -> u64 {
        let (wall_ms, since_ms) = self.ops[op].clock;
        wall_ms + (self.now_ms - since_ms)
    }

    pub fn decide(&mut self, op: usize, inputs: Vec<Input>) -> Result<(), String> {
        self.decide_after(op, Vec::new(), inputs)
    }

    fn decide_after(&mut self, op: usize, before: Vec<Entry>, inputs: Vec<Input>) -> Result<(), String> {
        let now_ms = self.clock_ms(op);
        let mut chance = self.rng.fork();
        let Some(driver) = &mut self.ops[op].driver else { return Ok(()) };
        let places = &mut OfOperation { table: &mut self.table, operation: op };
        let handed = &mut Handed { now_ms, jitter: &mut || chance.f64(), places, records: &self.known };
        let decided = driver.decide(inputs, handed).map_err(|illegal| illegal.to_string())?;
        self.carry_out(op, before, decided)
    }
}

/// The id of an operation.
pub(super) fn id_of(op: usize) -> Uuid {
    Uuid::from_u128(op as u128 + 1)
}

impl Op {
    /// These entries became durable.
    pub fn keeps(&mut self, entries: impl Iterator<Item = Entry>) -> Result<(), String> {
        for entry in entries {
            match &mut self.durable {
                Some(operation) => operation.apply(&entry).map_err(|illegal| illegal.to_string())?,
                None => {
                    let created = Operation::create(Arc::clone(&self.plan), &entry);
                    self.durable = Some(created.map_err(|illegal| illegal.to_string())?);
                }
            }
            self.journal.push(entry);
        }
        Ok(())
    }

    /// Whether it has ended for good, as its driver sees it.
    pub fn life(&self) -> Option<&Life> {
        self.driver.as_ref().map(|driver| &driver.operation().life)
    }
}
