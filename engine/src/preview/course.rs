//! The course that a run would take, as far as it can be told: pure, in the order in which a run comes to its nodes.
//!
//! Every node gets a verdict when all that must be over before it has one. Then it is supposed to be over – skipped, or done with
//! outputs that nobody knows –, and what follows it has its turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dsl::eval::{eval, render};
use dsl::plan::{Action, OnState, Plan};
use dsl::value::Value;
use uuid::Uuid;

use super::mask::Shades;
use super::question::{Learnt, Look, Question};
use super::report::{Report, Row, Verdict};
use super::scope::Noting;
use super::words::{self, Kind};
use crate::action::output::clean;
use crate::error::{Error, Kind as ErrorKind};
use crate::operation::{
    Content, Effect, Event, Failure, HostRecord, Node, NodeId, NodeState, Operation, Proof, Record, RecordKey, Skip,
    elements,
};
use crate::redact::Redactor;
use crate::runner::{Assets, Call, Work, call, slot_of};
use crate::vault::Vault;

/// The bytes of scripts and files, by their paths.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// The key of the one row of a step whose elements are not known.
const ALL: &str = "*";

/// What is known of a node, or of a step whose elements are not known.
struct Fate {
    verdict: Verdict,
    /// Steps that would change something, of which those that follow must be aware: this one, or those before it.
    behind: BTreeSet<String>,
}

/// What is known of a node while its host is asked.
struct Pending {
    does: String,
    /// Steps before it that would change something.
    before: BTreeSet<String>,
}

/// A run that is supposed.
pub(super) struct Course {
    operation: Operation,
    /// What is recorded of its instances, as those that had their turn would leave it.
    records: BTreeMap<RecordKey, Option<Content>>,
    /// Steps of which nobody can tell what they would record.
    unsure: BTreeSet<String>,
    vault: Vault,
    redactor: Redactor,
    files: Files,
    /// By the nodes' indices.
    fates: BTreeMap<usize, Fate>,
    /// Steps whose elements are not known, by their indices.
    unexpanded: BTreeMap<usize, Fate>,
    pending: BTreeMap<usize, Pending>,
}

/// What is rendered of a node: a value, what it would have to know, or why there is none.
enum Rendered<T> {
    Known(T),
    Unknown(BTreeSet<String>),
    Wrong(Failure),
}

/// What comes of a node's turn.
enum Turn {
    Is(Verdict),
    Ask(Box<Question>, Pending),
}

impl Assets for Files {
    fn asset(&self, path: &str) -> Result<Vec<u8>, Error> {
        let missing =
            || Error::new(ErrorKind::Invalid, format!("the file `{path}` of the workflow did not come with it"));
        self.get(path).cloned().ok_or_else(missing)
    }
}

impl Course {
    pub fn new(
        plan: Arc<Plan>,
        files: Files,
        (hosts, records): (BTreeMap<String, HostRecord>, BTreeMap<RecordKey, Record>),
        vault: Vault,
        redactor: Redactor,
        id: Uuid,
    ) -> Result<Course, String> {
        let operation = Operation::supposed(plan, hosts, id)?;
        let (fates, unexpanded, pending) = Default::default();
        let records = records.into_iter().map(|(key, record)| (key, Some(record.content))).collect();
        let unsure = BTreeSet::new();
        Ok(Course { operation, records, unsure, vault, redactor, files, fates, unexpanded, pending })
    }

    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Whether the elements of a step are not known.
    pub fn is_unknown(&self, step: usize) -> bool {
        self.unexpanded.contains_key(&step)
    }

    /// Whether a node's state and outputs are known: a run comes to the same.
    pub fn is_known(&self, node: &Node) -> bool {
        let fate = self.operation.place(&node.id).and_then(|index| self.fates.get(&index));
        fate.is_some_and(|fate| match &fate.verdict {
            Verdict::Skipped { .. } => true,
            // Where a probe says so it is skipped; else it succeeds, and what it puts out is new.
            Verdict::AlreadySo { .. } => {
                let step = self.operation.step_of(node);
                matches!(node.state, NodeState::Skipped(_)) || step.out.is_empty() || step.action == Action::Facts
            }
            Verdict::WillChange { .. }
            | Verdict::WillRun { .. }
            | Verdict::Unknown { .. }
            | Verdict::CannotTell { .. }
            | Verdict::Asks { .. } => false,
        })
    }

    /// What is to be asked now. Where nothing is, and nothing else is awaited, all is told.
    pub fn next(&mut self) -> Result<Vec<Question>, String> {
        let mut questions = Vec::new();
        loop {
            let mut moved = false;
            for step in self.operation.next_steps() {
                self.expand(step)?;
                moved = true;
            }
            for index in self.operation.next_nodes() {
                if self.pending.contains_key(&index) {
                    continue;
                }
                match self.turn(index) {
                    Turn::Is(verdict) => {
                        self.settle(index, verdict, false, BTreeMap::new(), self.before(index))?;
                        moved = true;
                    }
                    Turn::Ask(question, pending) => {
                        self.pending.insert(index, pending);
                        questions.push(*question);
                    }
                }
            }
            if moved {
                continue;
            }
            // Where nothing is awaited either, all of the body is told.
            if !self.pending.is_empty() || !self.operation.suppose_finally()? {
                return Ok(questions);
            }
        }
    }

    /// Takes what was learnt about a node that was asked about.
    pub fn learn(&mut self, node: &NodeId, learnt: Learnt) -> Result<(), String> {
        let index = self.operation.place(node).ok_or_else(|| format!("there is no node `{node}`"))?;
        let Pending { does, before } =
            self.pending.remove(&index).ok_or_else(|| format!("`{node}` was not asked about"))?;
        let probed = matches!(learnt, Learnt::ProbedSo);
        let out = match &learnt {
            Learnt::Facts(facts) => facts.clone(),
            _ => BTreeMap::new(),
        };
        let until: Vec<String> = before.iter().cloned().collect();
        // What is before it would change something, so what is now says nothing of what it will meet.
        let unless_known = |now: String, verdict: Verdict| match until.is_empty() {
            true => verdict,
            false => Verdict::Unknown { until: until.clone(), now: Some(now) },
        };
        let verdict = match learnt {
            Learnt::Reached => Verdict::WillRun { does },
            Learnt::ProbedSo => {
                let says = "says the probe".to_owned();
                unless_known("now it is so, says the probe".to_owned(), Verdict::AlreadySo { says })
            }
            Learnt::Facts(_) => Verdict::AlreadySo { says: "asked now, as a run asks".to_owned() },
            Learnt::LooksSo(says) => unless_known(format!("now it is so: {says}"), Verdict::AlreadySo { says }),
            Learnt::ProbedNotSo(files) | Learnt::Differs(files) => Verdict::WillChange { does, files, unless: until },
            Learnt::NotYet(seen) => unless_known(
                format!("not so now: {seen}"),
                Verdict::WillRun { does: format!("{does}, which is not so now: {seen}") },
            ),
            Learnt::NoAnswer(failure) => unless_known(
                format!("no answer now: {}", failure.message),
                Verdict::CannotTell { why: failure.message, hint: failure.hint },
            ),
            Learnt::NoHost(failure) => Verdict::CannotTell { why: failure.message, hint: failure.hint },
        };
        self.settle(index, verdict, probed, out, before)
    }

    /// What is known now, in the plan's order.
    pub fn report(&self) -> Result<Report, String> {
        let plan = &self.operation.plan;
        let mut rows = Vec::new();
        for (index, step) in plan.steps.iter().enumerate() {
            if let Some(fate) = self.unexpanded.get(&index) {
                let role = step.role.as_ref().and_then(|role| plan.roles.get(role));
                let host = role.and_then(|role| role.slots.first()).cloned();
                let node = NodeId { step: step.id.clone(), key: ALL.to_owned() };
                rows.push(Row { node, host, expected: fate.verdict.clone() });
            }
            for node in self.operation.nodes_of(index) {
                let fate = self.operation.place(&node.id).and_then(|index| self.fates.get(&index));
                let fate = fate.ok_or_else(|| format!("nothing was told of `{}`", node.id))?;
                rows.push(Row { node: node.id.clone(), host: node.slot.clone(), expected: fate.verdict.clone() });
            }
        }
        Ok(Report::new(plan.workflow.clone(), rows))
    }

    /// The elements of a step: known, or not.
    fn expand(&mut self, index: usize) -> Result<(), String> {
        let step = &self.operation.plan.steps[index];
        let scope = Noting::new(self, None);
        if let Some(list) = &step.each {
            // What it comes to is asked below, of the code that a run asks.
            drop(eval(list, &scope));
        }
        let noted = scope.noted();
        let (keys, elements, verdict) = match elements(&self.operation, index) {
            _ if !noted.is_empty() => (Vec::new(), Vec::new(), Some(unknown(noted))),
            // A run stops here, for the same reason.
            Err(why) => (Vec::new(), Vec::new(), Some(Verdict::CannotTell { why, hint: None })),
            Ok((keys, elements)) => (keys, elements, None),
        };
        let id = step.id.clone();
        if let Some(verdict) = verdict {
            let behind = self.behind(&verdict, index, BTreeSet::new());
            self.unexpanded.insert(index, Fate { verdict, behind });
        }
        self.operation.suppose(Event::Expanded { step: id, keys, elements })
    }

    /// What comes of a node whose turn it is.
    fn turn(&self, index: usize) -> Turn {
        let node = &self.operation.nodes[index];
        let step = self.operation.step_of(node);
        match step.finally {
            Some(OnState::Failed) => return Turn::Is(skipped("it runs after a failure only")),
            Some(OnState::Cancelled) => return Turn::Is(skipped("it runs after a cancel only")),
            Some(OnState::Always | OnState::Succeeded) | None => {}
        }
        let scope = Noting::new(self, Some(node));
        if let Some(when) = &step.when {
            let value = eval(when, &scope);
            match (scope.noted(), value) {
                (noted, _) if !noted.is_empty() => return Turn::Is(unknown(noted)),
                (_, Ok(Value::Bool(false))) => return Turn::Is(skipped("its `when` is false")),
                (_, Ok(_)) => {}
                (_, Err(error)) => return Turn::Is(wrong(format!("`when` cannot be evaluated: {error}"))),
            }
        }
        let kind = words::kind(step);
        if let Action::Gate { text, approvers, .. } = &step.action {
            let rendered = render(text, &scope);
            let text = match (scope.noted(), rendered) {
                (noted, _) if !noted.is_empty() => format!("what it asks is known after {}", names(&noted)),
                (_, Ok(rendered)) => clean(&self.redactor.text(&rendered.text)),
                (_, Err(error)) => return Turn::Is(wrong(format!("its text cannot be evaluated: {error}"))),
            };
            return Turn::Is(Verdict::Asks { text, approvers: approvers.clone() });
        }
        if step.action.is_record() {
            return Turn::Is(self.recorded(node, &scope));
        }
        let asks = step.probe.as_ref().is_some_and(|probe| !probe.always);
        let asked = match asks {
            true => match self.rendered(node, &Effect::Probe { node: node.id.clone(), attempt: 1 }) {
                Rendered::Known(call) => Some(call),
                Rendered::Unknown(noted) => return Turn::Is(unknown(noted)),
                Rendered::Wrong(failure) => {
                    return Turn::Is(wrong(clean(&self.redactor.text(&failure.message))));
                }
            },
            false => None,
        };
        let (does, look) = match self.rendered(node, &Effect::Do { node: node.id.clone(), attempt: 1 }) {
            Rendered::Known(call) => {
                if let Some(Work::Assert(wrong)) = &call.work {
                    return Turn::Is(match wrong {
                        None => Verdict::AlreadySo { says: "it holds".to_owned() },
                        Some(text) => Verdict::CannotTell { hint: None, why: clean(&self.redactor.text(text)) },
                    });
                }
                let does = clean(&self.redactor.text(&words::does(step, &call)));
                let look = match kind {
                    Kind::Program | Kind::Asks | Kind::Asserts | Kind::Tells => None,
                    Kind::Files => Some(Look { shades: Shades::of(self, node, &self.files), call }),
                    Kind::Waits | Kind::Facts => Some(Look { shades: Shades::default(), call }),
                };
                (does, look)
            }
            Rendered::Unknown(noted) if asked.is_some() => {
                (format!("what it does exactly is known after {}", names(&noted)), None)
            }
            Rendered::Unknown(noted) => return Turn::Is(unknown(noted)),
            Rendered::Wrong(failure) => return Turn::Is(wrong(clean(&self.redactor.text(&failure.message)))),
        };
        // A probe may be asked elsewhere than the action works.
        let slot = match &asked {
            Some(call) => call.probe_slot.clone(),
            None => slot_of(&step.action, self.operation.runs_at(node)),
        };
        let does = match (&step.run_at, &slot) {
            (Some(_), Some(slot)) => format!("{does}, at {slot}"),
            (Some(_), None) | (None, _) => does,
        };
        let question = Question { node: node.id.clone(), slot, probe: asked, look };
        Turn::Ask(Box::new(question), Pending { does, before: self.before(index) })
    }

    /// What a step would record, against what is recorded now.
    fn recorded(&self, node: &Node, scope: &Noting<'_>) -> Verdict {
        let (of, does, mut texts) = match &self.operation.step_of(node).action {
            Action::Record(spec) => {
                let values = spec.values.iter().map(|(_, value)| value);
                (&spec.of, "record", spec.kind.iter().chain(values).collect())
            }
            Action::Forget(of) => (of, "forget", Vec::new()),
            _ => return wrong("this step records nothing".to_owned()),
        };
        texts.push(of.name());
        for text in texts {
            // What it comes to is asked below, of the code that a run asks.
            drop(render(text, scope));
        }
        let noted = scope.noted();
        if !noted.is_empty() {
            return unknown(noted);
        }
        match self.operation.wanted(node) {
            Err(failure) => Verdict::CannotTell { why: clean(&failure.message), hint: failure.hint },
            Ok((key, after)) if self.records.get(&key).unwrap_or(&None) == &after => match self.unsure.is_empty() {
                true => Verdict::AlreadySo { says: "the records say so".to_owned() },
                false => unknown(self.unsure.clone()),
            },
            Ok((key, _)) => {
                let does = match &key {
                    RecordKey::Instance(name) => format!("{does} the instance `{name}`"),
                    RecordKey::Wiring { registry, host } => format!("{does} that `{host}` is wired to `{registry}`"),
                };
                Verdict::WillChange { does: clean(&does), files: Vec::new(), unless: Vec::new() }
            }
        }
    }

    fn rendered(&self, node: &Node, effect: &Effect) -> Rendered<Call> {
        let scope = Noting::new(self, Some(node));
        let call = call(&self.operation, &scope, &self.files, effect, 0);
        match (scope.noted(), call) {
            (noted, _) if !noted.is_empty() => Rendered::Unknown(noted),
            (_, Ok(call)) => Rendered::Known(call),
            (_, Err(failure)) => Rendered::Wrong(failure),
        }
    }

    /// The steps before a node that would change something, the nearest ones.
    fn before(&self, index: usize) -> BTreeSet<String> {
        let step = self.operation.step_of(&self.operation.nodes[index]);
        let unexpanded = match step.finally {
            Some(_) => self.unexpanded.values().collect::<Vec<_>>(),
            None => step.needs.iter().filter_map(|edge| self.unexpanded.get(&edge.step)).collect(),
        };
        let nodes = self.operation.nodes_before(index).into_iter().filter_map(|index| self.fates.get(&index));
        unexpanded.into_iter().chain(nodes).flat_map(|fate| fate.behind.iter().cloned()).collect()
    }

    /// What those that follow must be aware of.
    fn behind(&self, verdict: &Verdict, step: usize, before: BTreeSet<String>) -> BTreeSet<String> {
        let step = &self.operation.plan.steps[step];
        let changes = words::kind(step).changes();
        let may_do = match verdict {
            Verdict::WillChange { .. }
            | Verdict::WillRun { .. }
            | Verdict::Unknown { .. }
            | Verdict::CannotTell { .. } => true,
            Verdict::AlreadySo { .. } | Verdict::Skipped { .. } | Verdict::Asks { .. } => false,
        };
        if changes && may_do { BTreeSet::from([step.id.clone()]) } else { before }
    }

    /// Gives a node its verdict, and supposes that it is over.
    fn settle(
        &mut self,
        index: usize,
        verdict: Verdict,
        probed: bool,
        out: BTreeMap<String, Value>,
        before: BTreeSet<String>,
    ) -> Result<(), String> {
        let node = self.operation.nodes[index].clone();
        let step = self.operation.step_of(&node);
        match &verdict {
            Verdict::WillChange { .. } if step.action.is_record() => {
                self.records.extend(self.operation.wanted(&node).ok())
            }
            Verdict::Unknown { .. } | Verdict::CannotTell { .. } if step.action.is_record() => {
                self.unsure.insert(step.id.clone());
            }
            _ => {}
        }
        let begins = Event::Started { node: node.id.clone(), attempt: 1, generation: node.generation, incarnation: 1 };
        let events = match &verdict {
            Verdict::Skipped { .. } => vec![Event::Skipped { node: node.id, why: Skip::WhenFalse }],
            Verdict::AlreadySo { .. } if probed => {
                vec![begins, Event::Skipped { node: node.id, why: Skip::AlreadySo }]
            }
            _ if words::kind(self.operation.step_of(&node)) == Kind::Asks => {
                vec![begins, Event::Approved { node: node.id, by: String::new(), why: String::new() }]
            }
            Verdict::AlreadySo { .. }
            | Verdict::WillChange { .. }
            | Verdict::WillRun { .. }
            | Verdict::Unknown { .. }
            | Verdict::CannotTell { .. }
            | Verdict::Asks { .. } => {
                let proof = Proof::Action;
                let changed = !matches!(verdict, Verdict::AlreadySo { .. });
                vec![
                    begins,
                    Event::Succeeded {
                        node: node.id,
                        attempt: 1,
                        out,
                        changed,
                        proof,
                        output: None,
                        records: Vec::new(),
                    },
                ]
            }
        };
        let behind = self.behind(&verdict, node.step, before);
        self.fates.insert(index, Fate { verdict, behind });
        events.into_iter().try_for_each(|event| self.operation.suppose(event))
    }
}

fn unknown(noted: BTreeSet<String>) -> Verdict {
    Verdict::Unknown { until: noted.into_iter().collect(), now: None }
}

fn skipped(why: &str) -> Verdict {
    Verdict::Skipped { why: why.to_owned() }
}

/// A run fails here, for the same reason.
fn wrong(why: String) -> Verdict {
    Verdict::CannotTell { why, hint: None }
}

fn names(noted: &BTreeSet<String>) -> String {
    noted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
