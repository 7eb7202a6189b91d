//! One run of the whole operation in a model world: time passes, hosts work, the engine decides, and one thing is done to one node.
//!
//! The world is the shell around the [`Driver`] that the runner is in earnest: it keeps the journal, carries effects out, and
//! loses what an engine knew when it dies. Every run is made of the same numbers, so it is the same each time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::sync::Arc;

use dsl::plan::{Action, Out, Plan, Step};
use dsl::value::Value;
use uuid::Uuid;

use super::hosts::{Began, Hosts, Record};
use super::injection::{Injection, Moment};
use super::person;
pub use super::person::Afterwards;
use crate::limits::TRIAL_HAPPENINGS;
use crate::operation::{
    Decided, Driver, Effect, Entry, Event, Failure, FailureClass, HostRecord, Input, JOURNAL_FORMAT, Life, NodeId,
    NodeOutcome, Operation, Places, ReachRecord, Rest, Skip, Unknown, World as Outside, replay,
};

/// When the operation begins, UTC milliseconds: any time will do.
const BEGINS_MS: u64 = 1_700_000_000_000;
/// How long the engine is away when it dies, in milliseconds.
const AWAY_MS: u64 = 1_000;

/// What all runs share.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    pub plan: &'a Arc<Plan>,
    /// What steps put out, where it is not a model value.
    pub outs: &'a BTreeMap<(String, String), Value>,
}

/// How an operation came to rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Completed,
    /// It stopped, for this reason.
    Stopped(String),
    RolledBack,
    /// It waits for a person to say what became of these.
    Asks(Vec<NodeId>),
    /// What may not be.
    Bug(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Completed => f.write_str("it completes"),
            End::Stopped(why) => f.write_str(why),
            End::RolledBack => f.write_str("it is rolled back"),
            End::Asks(nodes) => {
                let nodes: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
                write!(f, "a person must say what became of {}", nodes.join(", "))
            }
            End::Bug(why) => f.write_str(why),
        }
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Ended {
    /// How it came to rest before a person did anything but open gates.
    pub first: End,
    /// How it came to rest at last.
    pub end: End,
    /// All nodes.
    pub nodes: Vec<NodeId>,
    /// Nodes that were begun.
    pub exercised: BTreeSet<NodeId>,
    /// Nodes of which a probe told that the effect is there, or is not, before anybody resumed.
    pub probed: BTreeSet<NodeId>,
    /// What began on hosts before anybody resumed.
    pub began: Vec<Began>,
    /// Effects that are there at the end.
    pub left: BTreeSet<NodeId>,
    /// Succeeded nodes that were begun again, but those of `finally`.
    pub again: Vec<NodeId>,
}

/// Something that happens at a time. `life` is the engine's: what was on its way to one that died is lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    EngineStarts,
    Arrives {
        node: NodeId,
        attempt: u32,
        undo: bool,
        life: u32,
    },
    Effect {
        node: NodeId,
        attempt: u32,
        undo: bool,
    },
    JobEnds {
        node: NodeId,
        attempt: u32,
        undo: bool,
    },
    /// The effect of what lives in the engine, and its end.
    Works {
        node: NodeId,
        attempt: u32,
        life: u32,
    },
    Finishes {
        node: NodeId,
        attempt: u32,
        life: u32,
    },
    Looks {
        node: NodeId,
        attempt: u32,
        undo: bool,
        life: u32,
    },
    Probed {
        node: NodeId,
        attempt: u32,
        life: u32,
    },
    Wakes {
        life: u32,
    },
    Person {
        life: u32,
    },
}

/// The locks of steps.
#[derive(Debug, Default)]
struct Held(BTreeMap<String, NodeId>);

impl Places for Held {
    fn take(&mut self, node: &NodeId, locks: &[String]) -> Result<(), String> {
        if let Some(lock) = locks.iter().find(|lock| self.0.get(*lock).is_some_and(|holder| holder != node)) {
            return Err(lock.clone());
        }
        self.0.extend(locks.iter().map(|lock| (lock.clone(), node.clone())));
        Ok(())
    }
}

/// A run.
pub struct World<'a> {
    setting: Setting<'a>,
    hosts: Hosts,
    now_ms: u64,
    order: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    journal: Vec<Entry>,
    driver: Option<Driver>,
    held: Held,
    life: u32,
    /// What is still to be done, and to whom.
    injection: Option<(NodeId, Injection)>,
    probed: BTreeSet<NodeId>,
}

impl<'a> World<'a> {
    pub fn new(setting: Setting<'a>, injection: Option<(NodeId, Injection)>) -> World<'a> {
        World {
            setting,
            hosts: Hosts::default(),
            now_ms: BEGINS_MS,
            order: 0,
            queue: BinaryHeap::new(),
            journal: Vec::new(),
            driver: None,
            held: Held::default(),
            life: 0,
            injection,
            probed: BTreeSet::new(),
        }
    }

    /// Runs it to its end, and on from a failure as the person wants.
    pub fn run(mut self, afterwards: Afterwards) -> Ended {
        self.after(0, Happening::EngineStarts);
        let first = self.until_it_rests();
        let (began, probed) = (self.hosts.began.clone(), std::mem::take(&mut self.probed));
        let end = match self.goes_on(afterwards, &first) {
            Ok(true) => self.until_it_rests(),
            Ok(false) => first.clone(),
            Err(why) => End::Bug(why),
        };
        let operation = self.driver.as_ref().map(Driver::operation);
        let nodes =
            operation.map_or_else(Vec::new, |operation| operation.nodes.iter().map(|node| node.id.clone()).collect());
        Ended { first, end, nodes, exercised: self.exercised(), probed, began, left: self.left(), again: self.again() }
    }

    /// What a person does about a failure; then nothing more is done to the node. False where there is nothing to do.
    fn goes_on(&mut self, afterwards: Afterwards, first: &End) -> Result<bool, String> {
        if !matches!(first, End::Stopped(_)) {
            return Ok(false);
        }
        self.injection = None;
        self.person(Some(afterwards))
    }

    fn after(&mut self, ms: u64, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse((self.now_ms.saturating_add(ms), self.order, what)));
    }

    fn until_it_rests(&mut self) -> End {
        let mut happened = 0usize;
        while let Some(Reverse((at_ms, _, what))) = self.queue.pop() {
            self.now_ms = self.now_ms.max(at_ms);
            if let Err(why) = self.happen(what) {
                return End::Bug(why);
            }
            happened += 1;
            let nodes = self.driver.as_ref().map_or(1, |driver| driver.operation().nodes.len() + 1);
            if happened > nodes.saturating_mul(TRIAL_HAPPENINGS) {
                return End::Bug("it does not end".to_owned());
            }
        }
        let Some(driver) = &self.driver else { return End::Bug("no engine works on it".to_owned()) };
        let operation = driver.operation();
        match &operation.life {
            Life::Completed { .. } => End::Completed,
            Life::FailedTemp { reason } => End::Stopped(operation.because(reason)),
            Life::RolledBack => End::RolledBack,
            Life::Failed { why } => End::Bug(why.clone()),
            Life::Processing(_) | Life::RollingBack(_) | Life::Finishing { .. } => {
                let undecided: Vec<NodeId> = operation.undecided().into_iter().cloned().collect();
                match undecided.is_empty() {
                    false => End::Asks(undecided),
                    true => End::Bug("nothing happens any more, and it has not ended".to_owned()),
                }
            }
        }
    }

    fn happen(&mut self, what: Happening) -> Result<(), String> {
        match what {
            Happening::EngineStarts => self.start(),
            Happening::Effect { node, attempt, undo } => self.effect(&node, attempt, undo),
            Happening::JobEnds { node, attempt, undo } => {
                let record = match self.disturbs(&node, undo) {
                    Some(Injection::Error { class, .. }) => Record::Failed(class),
                    Some(Injection::TimedOut) => {
                        self.injection = None;
                        Record::Failed(FailureClass::Timeout)
                    }
                    _ => Record::Succeeded,
                };
                self.hosts.end(&(node, attempt), record);
                Ok(())
            }
            Happening::Arrives { life, .. }
            | Happening::Works { life, .. }
            | Happening::Finishes { life, .. }
            | Happening::Looks { life, .. }
            | Happening::Probed { life, .. }
            | Happening::Wakes { life }
            | Happening::Person { life }
                if life != self.life =>
            {
                Ok(()) // It was on its way to an engine that is dead.
            }
            Happening::Arrives { node, attempt, undo, .. } => self.arrives(node, attempt, undo),
            Happening::Works { node, attempt, .. } => self.works(node, attempt),
            Happening::Finishes { node, attempt, .. } => {
                let outcome = match self.disturbs(&node, false) {
                    Some(Injection::Error { class, .. }) => failed(class),
                    _ => self.succeeded(&node),
                };
                self.learn(node, attempt, outcome)
            }
            Happening::Looks { node, attempt, undo, .. } => self.looks(node, attempt, undo),
            Happening::Probed { node, attempt, .. } => {
                self.probed.insert(node.clone());
                let there = self.hosts.is_there(&node);
                let outcome = if there { NodeOutcome::ProbedThere } else { NodeOutcome::ProbedNotThere };
                self.learn(node, attempt, outcome)
            }
            Happening::Wakes { .. } => self.decide(vec![Input::Go]),
            Happening::Person { .. } => self.person(None).map(|_| ()),
        }
    }

    /// What is done to this node now, if it is the one; an undo is never disturbed.
    fn disturbs(&self, node: &NodeId, undo: bool) -> Option<Injection> {
        self.injection.as_ref().filter(|(target, _)| target == node && !undo).map(|(_, injection)| *injection)
    }

    fn step(&self, node: &NodeId) -> Option<&'a Step> {
        self.setting.plan.steps.iter().find(|step| step.id == node.step)
    }

    /// An engine takes the store: it creates the operation, or replays its journal.
    fn start(&mut self) -> Result<(), String> {
        self.life += 1;
        let plan = Arc::clone(self.setting.plan);
        if self.journal.is_empty() {
            let slots = plan.roles.values().flat_map(|role| role.slots.clone());
            let created = Entry {
                seq: 1,
                at_ms: self.now_ms,
                event: Event::Created {
                    format: JOURNAL_FORMAT,
                    operation: Uuid::nil(),
                    plan: String::new(),
                    workflow: plan.workflow.clone(),
                    by: person::REQUESTER.to_owned(),
                    hosts: slots.map(|slot| (slot, HostRecord { generation: 1, reach: ReachRecord::Local })).collect(),
                    // Nobody else is there who could hold them.
                    locks: Vec::new(),
                },
            };
            let operation = Operation::create(plan, &created).map_err(|illegal| illegal.to_string())?;
            self.driver = Some(Driver::new(operation, 1));
            return self.commit(vec![created], |driver, outside| {
                driver.decide(vec![Input::Go], outside).map_err(|illegal| illegal.to_string())
            });
        }
        let operation = replay(plan, &self.journal).map_err(|error| error.to_string())?;
        let driver = Driver::new(operation, 1);
        let recorded = self.held.0.iter().map(|(lock, node)| (lock.clone(), node.clone())).collect();
        for (lock, _) in driver.left_over(recorded) {
            self.held.0.remove(&lock);
        }
        self.driver = Some(driver);
        self.decide(vec![Input::Go])
    }

    fn learn(&mut self, node: NodeId, attempt: u32, outcome: NodeOutcome) -> Result<(), String> {
        self.decide(vec![Input::Node { node, attempt, outcome }])
    }

    fn decide(&mut self, inputs: Vec<Input>) -> Result<(), String> {
        self.commit(Vec::new(), |driver, outside| driver.decide(inputs, outside).map_err(|illegal| illegal.to_string()))
    }

    /// What the person does now, if anything.
    fn person(&mut self, afterwards: Option<Afterwards>) -> Result<bool, String> {
        let Some(driver) = &self.driver else { return Ok(false) };
        let rejected = self.injection.as_ref().filter(|(_, injection)| *injection == Injection::Rejected);
        let reject = rejected.map(|(target, _)| target);
        let Some((verb, by)) = person::next(driver.operation(), afterwards, reject) else { return Ok(false) };
        self.commit(Vec::new(), |driver, outside| {
            let decided = driver.verb(&verb, &by, "trial", outside).map_err(|illegal| illegal.to_string())?;
            decided.map_err(|refused| format!("`{}` is refused: {refused}", verb.word()))
        })?;
        Ok(true)
    }

    /// A decision, its commit, and then its effects – unless the engine dies around the commit.
    fn commit(
        &mut self,
        mut entries: Vec<Entry>,
        decide: impl FnOnce(&mut Driver, &mut Outside<'_>) -> Result<Decided, String>,
    ) -> Result<(), String> {
        let Some(driver) = &mut self.driver else { return Ok(()) };
        let mut outside = Outside { now_ms: self.now_ms, jitter: &mut || 0.5, places: &mut self.held };
        let decided = decide(driver, &mut outside)?;
        entries.extend(decided.entries);
        let moment = self.dies_around(&entries);
        if let Some(Moment::BeforeWrite | Moment::BeforeRecord) = moment {
            self.die();
            return Ok(());
        }
        self.journal.extend(entries);
        if moment.is_some() {
            self.die();
            return Ok(());
        }
        for (lock, _) in &decided.gave {
            self.held.0.remove(lock);
        }
        let life = self.life;
        if !decided.gave.is_empty() && !decided.blocked.is_empty() {
            self.after(0, Happening::Wakes { life });
        }
        for effect in decided.effects {
            self.begin(effect);
        }
        if self.driver.as_ref().is_some_and(|driver| driver.operation().open_gates().next().is_some()) {
            self.after(1, Happening::Person { life });
        }
        match (decided.rest, decided.wake_at_ms) {
            (Rest::Stuck, _) => return Err("nothing runs, and nothing is awaited".to_owned()),
            (Rest::Busy, Some(at_ms)) => self.after(at_ms.saturating_sub(self.now_ms), Happening::Wakes { life }),
            (Rest::Busy | Rest::Waits | Rest::Ended, _) => {}
        }
        Ok(())
    }

    /// Whether this write is the one that the engine dies around.
    fn dies_around(&self, entries: &[Entry]) -> Option<Moment> {
        let Some((target, Injection::Crash(moment))) = &self.injection else { return None };
        let begins = |event: &Event| matches!(event, Event::Started { node, .. } if node == target);
        let ends = |event: &Event| match event {
            Event::Succeeded { node, .. }
            | Event::Failed { node, .. }
            | Event::Approved { node, .. }
            | Event::Skipped { node, why: Skip::AlreadySo } => node == target,
            _ => false,
        };
        let hit = entries.iter().any(|entry| match moment {
            Moment::BeforeWrite | Moment::AfterWrite => begins(&entry.event),
            Moment::BeforeRecord => ends(&entry.event),
            Moment::Running | Moment::Done => false,
        });
        hit.then_some(*moment)
    }

    fn die(&mut self) {
        self.injection = None;
        self.driver = None;
        self.life += 1;
        self.after(AWAY_MS, Happening::EngineStarts);
    }

    fn begin(&mut self, effect: Effect) {
        let life = self.life;
        match effect {
            Effect::Do { node, attempt } => self.after(1, Happening::Arrives { node, attempt, undo: false, life }),
            Effect::Undo { node, attempt } => self.after(1, Happening::Arrives { node, attempt, undo: true, life }),
            Effect::Reattach { node, attempt, undo } => self.after(1, Happening::Looks { node, attempt, undo, life }),
            Effect::Probe { node, attempt } => self.after(1, Happening::Probed { node, attempt, life }),
            // Whoever watches the job reports it.
            Effect::Kill { node, attempt } => self.hosts.end(&(node, attempt), Record::Failed(FailureClass::Other)),
        }
    }

    /// An attempt reaches its host: what may be there is asked first, as in earnest.
    fn arrives(&mut self, node: NodeId, attempt: u32, undo: bool) -> Result<(), String> {
        let Some(step) = self.step(&node) else { return Err(format!("`{node}` has no step")) };
        let disturbs = self.disturbs(&node, undo);
        if let Some(Injection::Error { class: FailureClass::Connection, .. }) = disturbs {
            return self.learn(node, attempt, failed(FailureClass::Connection));
        }
        if !undo && step.probe.is_some() && self.hosts.is_there(&node) {
            self.probed.insert(node.clone());
            return self.learn(node, attempt, NodeOutcome::AlreadySo);
        }
        let life = self.life;
        let in_engine = !undo && matches!(step.action, Action::Upload { .. } | Action::Wait { .. });
        if in_engine {
            self.hosts.note(&node, false);
            self.after(1, Happening::Works { node: node.clone(), attempt, life });
            self.after(2, Happening::Finishes { node: node.clone(), attempt, life });
        } else {
            if self.hosts.begin(&(node.clone(), attempt), undo) {
                self.after(1, Happening::Effect { node: node.clone(), attempt, undo });
                self.after(2, Happening::JobEnds { node: node.clone(), attempt, undo });
            }
            self.after(3, Happening::Looks { node: node.clone(), attempt, undo, life });
        }
        self.disturb_work(node, attempt, disturbs, Moment::Running, in_engine)
    }

    fn effect(&mut self, node: &NodeId, attempt: u32, undo: bool) -> Result<(), String> {
        let disturbs = self.disturbs(node, undo);
        if let Some(Injection::Error { effect: false, .. }) = disturbs {
            return Ok(());
        }
        if !self.hosts.effect(&(node.clone(), attempt)) {
            return Ok(());
        }
        self.disturb_work(node.clone(), attempt, disturbs, Moment::Done, false)
    }

    /// The effect of what lives in the engine: an upload's file.
    fn works(&mut self, node: NodeId, attempt: u32) -> Result<(), String> {
        let disturbs = self.disturbs(&node, false);
        let waits = self.step(&node).is_some_and(|step| matches!(step.action, Action::Wait { .. }));
        if waits || matches!(disturbs, Some(Injection::Error { effect: false, .. })) {
            return Ok(());
        }
        self.hosts.set(&node, true);
        self.disturb_work(node, attempt, disturbs, Moment::Done, true)
    }

    /// What is done to an attempt that is at work: the engine dies, or the host restarts.
    fn disturb_work(
        &mut self,
        node: NodeId,
        attempt: u32,
        disturbs: Option<Injection>,
        now: Moment,
        in_engine: bool,
    ) -> Result<(), String> {
        match disturbs {
            Some(Injection::Crash(moment)) if moment == now => {
                self.die();
                Ok(())
            }
            Some(Injection::Reboot { effect }) if effect == (now == Moment::Done) => {
                self.injection = None;
                if in_engine {
                    // Its connection breaks.
                    return self.learn(node, attempt, failed(FailureClass::Connection));
                }
                self.hosts.end(&(node, attempt), Record::Rebooted);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn looks(&mut self, node: NodeId, attempt: u32, undo: bool) -> Result<(), String> {
        let life = self.life;
        let outcome = match self.hosts.find(&(node.clone(), attempt)) {
            Record::Running => {
                self.after(1, Happening::Looks { node, attempt, undo, life });
                return Ok(());
            }
            Record::Succeeded if self.disturbs(&node, undo) == Some(Injection::Lost) => {
                self.injection = None;
                NodeOutcome::Unknown(Unknown::Unreachable)
            }
            Record::Succeeded => self.succeeded(&node),
            Record::Failed(class) => failed(class),
            Record::Void => NodeOutcome::Unknown(Unknown::NeverBegan),
            Record::Rebooted => NodeOutcome::Unknown(Unknown::Rebooted),
        };
        self.learn(node, attempt, outcome)
    }

    /// A success, with what its step puts out.
    fn succeeded(&self, node: &NodeId) -> NodeOutcome {
        let outs = self.step(node).map(|step| step.out.iter()).into_iter().flatten();
        let out = outs.filter_map(|(name, out)| {
            let (Out::Stdout { ty } | Out::Regex { ty, .. }) = out;
            let given = self.setting.outs.get(&(node.step.clone(), name.clone())).cloned();
            Some((name.clone(), given.or_else(|| dsl::model_value(ty, 0))?))
        });
        NodeOutcome::Succeeded { out: out.collect(), output: None }
    }

    fn exercised(&self) -> BTreeSet<NodeId> {
        let started = self.journal.iter().filter_map(|entry| match &entry.event {
            Event::Started { node, .. } => Some(node.clone()),
            _ => None,
        });
        started.collect()
    }

    fn in_finally(&self, node: &NodeId) -> bool {
        self.step(node).is_some_and(|step| step.finally.is_some())
    }

    /// What `finally` did stays by its meaning.
    fn left(&self) -> BTreeSet<NodeId> {
        self.hosts.effects().iter().filter(|node| !self.in_finally(node)).cloned().collect()
    }

    /// `finally` comes again by its meaning.
    fn again(&self) -> Vec<NodeId> {
        let (mut succeeded, mut again) = (BTreeSet::new(), Vec::new());
        for entry in &self.journal {
            match &entry.event {
                Event::Succeeded { node, .. } | Event::Approved { node, .. } if !self.in_finally(node) => {
                    succeeded.insert(node);
                }
                Event::UndoStarted { node, .. } | Event::UndoSkipped { node, .. } => {
                    succeeded.remove(node);
                }
                Event::Started { node, .. } if succeeded.contains(node) => again.push(node.clone()),
                _ => {}
            }
        }
        again
    }
}

fn failed(class: FailureClass) -> NodeOutcome {
    let message = match class {
        FailureClass::Connection => "the model host cannot be reached".to_owned(),
        FailureClass::Timeout => "it took too long".to_owned(),
        FailureClass::Exit(code) => format!("exit code {code}"),
        FailureClass::ProbeUnknown => "the probe gave no answer".to_owned(),
        FailureClass::Other => "it was ended".to_owned(),
    };
    NodeOutcome::Failed { failure: Failure { class, message, hint: None }, output: None }
}
