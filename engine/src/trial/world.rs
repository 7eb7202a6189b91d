//! One run of the whole operation in a model world: time passes, hosts work, the engine decides, and one thing is done to one node.
//!
//! The world is the shell around the [`Driver`] that the runner is in earnest: it keeps the journal, carries effects out, and
//! loses what an engine knew when it dies. Every run is made of the same numbers, so it is the same each time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use dsl::plan::{Plan, Step};
use dsl::value::Value;
use uuid::Uuid;

use super::hosts::{Hosts, Record};
use super::injection::{Injection, Moment};
use super::person;
pub use super::person::Afterwards;
pub use super::trace::{End, Ended};
use super::work::failed;
use crate::limits::TRIAL_HAPPENINGS;
use crate::operation::{
    Decided, Driver, Effect, Entry, Event, FailureClass, HostRecord, Input, JOURNAL_FORMAT, Life, NodeId, NodeOutcome,
    Operation, Places, ReachRecord, Record as Known, RecordKey, Rest, Skip, World as Outside, replay, written,
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

/// Something that happens at a time. `life` is the engine's: what was on its way to one that died is lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
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
    fn take(&mut self, node: &NodeId, locks: &[String], over_from: &[NodeId]) -> Result<Vec<String>, String> {
        let free = |holder: &NodeId| holder == node || over_from.contains(holder);
        if let Some(lock) = locks.iter().find(|lock| self.0.get(*lock).is_some_and(|holder| !free(holder))) {
            return Err(lock.clone());
        }
        let new: Vec<String> = locks.iter().filter(|lock| self.0.get(*lock) != Some(node)).cloned().collect();
        self.0.extend(new.iter().map(|lock| (lock.clone(), node.clone())));
        Ok(new)
    }
}

/// A run.
pub struct World<'a> {
    pub(super) setting: Setting<'a>,
    pub(super) hosts: Hosts,
    now_ms: u64,
    order: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    pub(super) journal: Vec<Entry>,
    driver: Option<Driver>,
    held: Held,
    records: BTreeMap<RecordKey, Known>,
    pub(super) life: u32,
    /// What is still to be done, and to whom.
    pub(super) injection: Option<(NodeId, Injection)>,
    pub(super) probed: BTreeSet<NodeId>,
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
            records: BTreeMap::new(),
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

    /// How it comes to rest where nobody disturbs it, and the operation then. These effects are there from the beginning.
    #[cfg(test)]
    pub fn undisturbed(mut self, there: &BTreeSet<NodeId>) -> (End, Option<Operation>) {
        there.iter().for_each(|node| self.hosts.set(node, true));
        self.after(0, Happening::EngineStarts);
        let end = self.until_it_rests();
        (end, self.driver.take().map(|driver| driver.operation().clone()))
    }

    /// What a person does about a failure; then nothing more is done to the node. False where there is nothing to do.
    fn goes_on(&mut self, afterwards: Afterwards, first: &End) -> Result<bool, String> {
        if !matches!(first, End::Stopped(_)) {
            return Ok(false);
        }
        self.injection = None;
        self.person(Some(afterwards))
    }

    pub(super) fn after(&mut self, ms: u64, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse((self.now_ms.saturating_add(ms), self.order, what)));
    }

    fn until_it_rests(&mut self) -> End {
        // An engine that is away has no nodes: those that were known last count.
        let (mut happened, mut nodes) = (0usize, 1usize);
        while let Some(Reverse((at_ms, _, what))) = self.queue.pop() {
            self.now_ms = self.now_ms.max(at_ms);
            if let Err(why) = self.happen(what) {
                return End::Bug(why);
            }
            happened += 1;
            nodes = self.driver.as_ref().map_or(nodes, |driver| driver.operation().nodes.len() + 1);
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
    pub(super) fn disturbs(&self, node: &NodeId, undo: bool) -> Option<Injection> {
        self.injection.as_ref().filter(|(target, _)| target == node && !undo).map(|(_, injection)| *injection)
    }

    pub(super) fn step(&self, node: &NodeId) -> Option<&'a Step> {
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
                    hosts: slots.map(|slot| (slot, HostRecord::first(ReachRecord::Local))).collect(),
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

    pub(super) fn learn(&mut self, node: NodeId, attempt: u32, outcome: NodeOutcome) -> Result<(), String> {
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
        let mut outside =
            Outside { now_ms: self.now_ms, jitter: &mut || 0.5, places: &mut self.held, records: &self.records };
        let decided = decide(driver, &mut outside)?;
        entries.extend(decided.entries);
        let moment = self.dies_around(&entries);
        if let Some(Moment::BeforeWrite | Moment::BeforeRecord) = moment {
            self.die();
            return Ok(());
        }
        for (change, record) in entries.iter().flat_map(|entry| written(Uuid::nil(), entry)) {
            match record {
                Some(record) => drop(self.records.insert(change.key.clone(), record)),
                None => drop(self.records.remove(&change.key)),
            }
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

    pub(super) fn die(&mut self) {
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
}
