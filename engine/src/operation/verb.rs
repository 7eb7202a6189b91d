//! Verbs: what a person may ask of an operation, when, and the events it means.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dsl::plan::{Action, Step};
use dsl::value::Value;
use serde::{Deserialize, Serialize};

use super::event::{CancelMode, Decision, Event, UndoSkip};
use super::life::{Activity, Life};
use super::node::{NodeId, NodeState, Skip};
use super::state::{Node, Operation, Phase};

/// What a person asks. Steps and nodes are named as `step` or `step@key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verb {
    /// Go on: what failed is tried again, a pause ends. Says what undecided nodes mean.
    Resume {
        /// By node.
        decisions: BTreeMap<NodeId, Decision>,
    },
    /// Go on from these steps or nodes: they and all that depends on them run again, whatever became of them (a `Reset`).
    ResumeFrom {
        /// Where from.
        from: Vec<String>,
    },
    /// Try again what failed.
    Retry,
    /// Start nothing more.
    Pause,
    /// Count these as not needed; in a rollback, leave out an undo that failed.
    Skip {
        /// Steps or nodes.
        what: Vec<String>,
    },
    /// Count these as succeeded.
    Mark {
        /// Steps or nodes.
        what: Vec<String>,
        /// What they put out, as text.
        out: BTreeMap<String, String>,
    },
    /// Open a gate.
    Approve {
        /// Which; may be empty where one is open.
        what: Vec<String>,
    },
    /// Close a gate.
    Reject {
        /// Which; may be empty where one is open.
        what: Vec<String>,
    },
    /// End as FailedTemp (D5).
    Cancel {
        /// How.
        mode: CancelMode,
    },
    /// Undo what was done.
    Rollback,
    /// Give it up.
    Fail,
    /// Abandon it as it is.
    Kill,
}

impl Verb {
    /// The word for it, as it is typed.
    pub fn word(&self) -> &'static str {
        match self {
            Verb::Resume { .. } => "resume",
            Verb::ResumeFrom { .. } => "resume --from",
            Verb::Retry => "retry",
            Verb::Pause => "pause",
            Verb::Skip { .. } => "skip",
            Verb::Mark { .. } => "mark",
            Verb::Approve { .. } => "approve",
            Verb::Reject { .. } => "reject",
            Verb::Cancel { mode: CancelMode::Graceful } => "cancel",
            Verb::Cancel { mode: CancelMode::Forceful } => "cancel --now",
            Verb::Rollback => "rollback",
            Verb::Fail => "fail",
            Verb::Kill => "kill",
        }
    }
}

/// A verb that is not legal now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: String,
    /// What to do instead.
    pub hint: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.hint)
    }
}

impl std::error::Error for Refused {}

impl Operation {
    /// The nodes whose outcome only a person can decide now.
    pub fn undecided(&self) -> Vec<&NodeId> {
        // While the last steps run, how the body ended is settled.
        let only_finally = matches!(self.life, Life::Finishing { .. });
        let counts = |index: usize| !only_finally || self.phase_of(self.nodes[index].step) == Phase::Finally;
        let open = self.derived.indeterminate.iter().filter(|&&index| counts(index) && self.asks_a_person(index));
        open.map(|&index| &self.nodes[index].id).collect()
    }

    /// The verbs that are legal now, as they are typed.
    pub fn legal(&self) -> Vec<&'static str> {
        let asks = self.open_gates().next().is_some();
        let gates = if asks { &["approve", "reject"][..] } else { &[][..] };
        let words: &[&str] = match &self.life {
            Life::Completed { .. } | Life::Failed { .. } | Life::RolledBack => return Vec::new(),
            Life::FailedTemp { .. } => {
                return vec!["resume", "resume --from", "retry", "skip", "mark", "rollback", "fail"];
            }
            Life::Processing(activity) | Life::RollingBack(activity) | Life::Finishing { activity, .. } => {
                match activity {
                    Activity::Queued => &["cancel", "cancel --now", "kill"],
                    // Resuming what goes on anyway asks for nothing more than that it goes on.
                    Activity::Active => &["resume", "pause", "cancel", "cancel --now", "kill"],
                    Activity::Pausing { .. } => &["resume", "cancel", "cancel --now", "kill"],
                    Activity::Paused { .. } => match &self.life {
                        Life::Processing(_) => {
                            &["resume", "resume --from", "skip", "mark", "cancel", "cancel --now", "kill"]
                        }
                        Life::RollingBack(_) => &["resume", "skip", "cancel", "cancel --now", "kill"],
                        _ => &["resume", "cancel", "cancel --now", "kill"],
                    },
                    Activity::Cancelling { mode: CancelMode::Graceful, .. } => &["cancel --now", "kill"],
                    Activity::Cancelling { mode: CancelMode::Forceful, .. } => &["kill"],
                }
            }
        };
        words.iter().chain(gates).copied().collect()
    }

    /// The events that a verb means now.
    pub(crate) fn verb(&self, verb: &Verb, by: &str, why: &str) -> Result<Vec<Event>, Refused> {
        let legal = self.legal();
        if !legal.contains(&verb.word()) {
            return Err(Refused {
                why: format!("`{}` is not possible now: {}", verb.word(), self.stands()),
                hint: match legal.is_empty() {
                    true => "start a new operation".to_owned(),
                    false => format!("possible are {}", legal.join(", ")),
                },
            });
        }
        let (by, why) = (by.to_owned(), why.to_owned());
        match verb {
            Verb::Resume { decisions } => self.resume(decisions, by, why),
            Verb::ResumeFrom { from } => self.resume_from(from, by, why),
            Verb::Retry => self.resume(&BTreeMap::new(), by, why),
            Verb::Pause => Ok(vec![Event::PauseAsked { by, why }]),
            Verb::Skip { what } => self.skip(what, &by, &why),
            Verb::Mark { what, out } => self.mark(what, out, &by, &why),
            Verb::Approve { what } => {
                let gates = self.gates(what, &by)?;
                Ok(gates.into_iter().map(|node| Event::Approved { node, by: by.clone(), why: why.clone() }).collect())
            }
            Verb::Reject { what } => {
                let gates = self.gates(what, &by)?;
                Ok(gates.into_iter().map(|node| Event::Rejected { node, by: by.clone(), why: why.clone() }).collect())
            }
            Verb::Cancel { mode } => Ok(vec![Event::CancelAsked { mode: *mode, by, why }]),
            Verb::Rollback => {
                let again = self.finally_again(&by, &why);
                Ok(again.into_iter().chain([Event::RollbackAsked { by, why }]).collect())
            }
            Verb::Fail => Ok(vec![Event::FailAsked { by, why }]),
            Verb::Kill => Ok(vec![Event::Killed { by, why }]),
        }
    }

    /// How it stands, for whoever asked for something else.
    fn stands(&self) -> &'static str {
        match &self.life {
            Life::Completed { .. } => "the operation has completed",
            Life::Failed { .. } => "the operation was given up",
            Life::RolledBack => "the operation was rolled back",
            Life::FailedTemp { .. } => "the operation has stopped at a failure or a cancel, and nothing of it runs",
            Life::Processing(activity) | Life::RollingBack(activity) | Life::Finishing { activity, .. } => {
                match activity {
                    Activity::Queued => "the operation waits for its locks and has not begun",
                    Activity::Active => "the operation is going on",
                    Activity::Pausing { .. } => "the operation pauses as soon as what runs has ended",
                    Activity::Paused { .. } => "the operation is paused",
                    Activity::Cancelling { .. } => "the operation is being cancelled",
                }
            }
        }
    }

    /// The nodes that names mean: a node, or all of a step.
    fn named(&self, names: &[String]) -> Result<Vec<usize>, Refused> {
        let mut found = BTreeSet::new();
        for name in names {
            let before = found.len();
            let fits = |node: &Node| node.id.step == *name || node.id.to_string() == *name;
            found.extend(self.nodes.iter().enumerate().filter(|(_, node)| fits(node)).map(|(index, _)| index));
            if found.len() == before && !self.nodes.iter().any(fits) {
                let steps: Vec<&str> = self.plan.steps.iter().take(NAMED).map(|step| step.id.as_str()).collect();
                let more = if self.plan.steps.len() > NAMED { ", …" } else { "" };
                return Err(Refused {
                    why: format!("the operation has no step or node `{name}`"),
                    hint: format!("its steps are {}{more}; a node is written step@key", steps.join(", ")),
                });
            }
        }
        Ok(found.into_iter().collect())
    }

    fn skip(&self, what: &[String], by: &str, why: &str) -> Result<Vec<Event>, Refused> {
        let skip = |index: usize| {
            let node = self.nodes[index].id.clone();
            match self.nodes[index].state {
                NodeState::UndoFailed { .. } => {
                    Event::UndoSkipped { node, why: UndoSkip::ByOperator { by: by.to_owned(), why: why.to_owned() } }
                }
                _ => Event::Skipped { node, why: Skip::ByOperator { by: by.to_owned(), why: why.to_owned() } },
            }
        };
        let rolling_back = matches!(self.life, Life::RollingBack(_));
        let can = |state: &NodeState| match state {
            NodeState::UndoFailed { .. } => rolling_back,
            NodeState::Waiting
            | NodeState::Backoff { .. }
            | NodeState::Indeterminate { .. }
            | NodeState::Failed { .. }
            | NodeState::NotReached
            | NodeState::Undone => !rolling_back,
            NodeState::Running { .. }
            | NodeState::AwaitingApproval { .. }
            | NodeState::Succeeded(_)
            | NodeState::Skipped(_)
            | NodeState::Undoing { .. } => false,
        };
        Ok(self.all_that_can("skipped", what, can)?.into_iter().map(skip).collect())
    }

    /// The nodes that names mean, of which each can be `done` so.
    fn all_that_can(
        &self,
        done: &str,
        what: &[String],
        can: impl Fn(&NodeState) -> bool,
    ) -> Result<Vec<usize>, Refused> {
        let nodes = self.named(what)?;
        let (can, cannot): (Vec<usize>, Vec<usize>) =
            nodes.into_iter().partition(|&index| can(&self.nodes[index].state));
        match (can.is_empty(), cannot.first()) {
            (false, _) => Ok(can),
            (true, Some(&index)) => Err(Refused {
                why: format!("`{}` is {} and cannot be {done}", self.nodes[index].id, self.nodes[index].state.word()),
                hint: "name a node that has not succeeded".to_owned(),
            }),
            (true, None) => Err(Refused { why: format!("no step is named to be {done}"), hint: "name one".to_owned() }),
        }
    }

    fn mark(
        &self,
        what: &[String],
        out: &BTreeMap<String, String>,
        by: &str,
        why: &str,
    ) -> Result<Vec<Event>, Refused> {
        let can = |state: &NodeState| match state {
            NodeState::Waiting
            | NodeState::Backoff { .. }
            | NodeState::Indeterminate { .. }
            | NodeState::Failed { .. }
            | NodeState::NotReached
            | NodeState::Skipped(_)
            | NodeState::Undone => true,
            NodeState::Running { .. }
            | NodeState::AwaitingApproval { .. }
            | NodeState::Succeeded(_)
            | NodeState::Undoing { .. }
            | NodeState::UndoFailed { .. } => false,
        };
        let nodes = self.all_that_can("marked as succeeded", what, can)?;
        let mut events = Vec::new();
        for index in nodes {
            let (node, step) = (self.nodes[index].id.clone(), self.step_of(&self.nodes[index]));
            let out = outs(&node, step, out)?;
            events.push(Event::Marked { node, out, by: by.to_owned(), why: why.to_owned() });
        }
        Ok(events)
    }

    /// The open gates that names mean, all where there is one and none is named; each of them `by` may answer.
    fn gates(&self, what: &[String], by: &str) -> Result<Vec<NodeId>, Refused> {
        let open: Vec<usize> = self.derived.gates.iter().copied().collect();
        let names = || open.iter().map(|&index| self.nodes[index].id.to_string()).collect::<Vec<_>>().join(", ");
        let nodes = match (what.is_empty(), open.len()) {
            (true, 1) => open.clone(),
            (true, _) => {
                let why = "several gates are open".to_owned();
                return Err(Refused { why, hint: format!("name one of {}", names()) });
            }
            (false, _) => self.named(what)?,
        };
        for &index in &nodes {
            let node = &self.nodes[index];
            let Action::Gate { approvers, not_requester, .. } = &self.step_of(node).action else {
                let why = format!("`{}` is no gate", node.id);
                return Err(Refused { why, hint: format!("open are {}", names()) });
            };
            if !open.contains(&index) {
                let why = format!("the gate `{}` is {}", node.id, node.state.word());
                return Err(Refused { why, hint: format!("open are {}", names()) });
            }
            if !approvers.is_empty() && !approvers.iter().any(|approver| is(approver, by)) {
                let why = format!("`{by}` may not answer at `{}`", node.id);
                return Err(Refused { why, hint: format!("ask {}", approvers.join(" or ")) });
            }
            if *not_requester && *by == self.by {
                let why = format!("whoever asked for the operation may not answer at `{}`", node.id);
                return Err(Refused { why, hint: "ask somebody else".to_owned() });
            }
        }
        Ok(nodes.into_iter().map(|index| self.nodes[index].id.clone()).collect())
    }

    /// What stands in `finally` runs again when the rest goes on after an end (I2: a new epoch, journalled).
    fn finally_again(&self, by: &str, why: &str) -> Option<Event> {
        let again = self.steps_of(Phase::Finally).flat_map(|step| self.nodes_of(step));
        reset(again, by, why)
    }

    /// What runs again, beside what failed, when an operation goes on after an end: `finally`, and what came after a failure
    /// because it waits for the end of a step only (`Settled`): it was done about the attempt that failed.
    fn again_after_failures(&self, by: &str, why: &str) -> Option<Event> {
        let failed =
            |index: &usize| matches!(self.nodes[*index].state, NodeState::Failed { .. } | NodeState::NotReached);
        let failed: Vec<usize> = (0..self.nodes.len()).filter(failed).collect();
        let mut behind = BTreeSet::new();
        let mut to_do = failed;
        while let Some(index) = to_do.pop() {
            to_do.extend(self.dependents_of(index).filter(|&dependent| behind.insert(dependent)));
        }
        let did = |node: &&Node| matches!(node.state, NodeState::Succeeded(_) | NodeState::Skipped(_));
        let body = |node: &&Node| self.phase_of(node.step) == Phase::Body;
        let settled = behind.into_iter().map(|index| &self.nodes[index]).filter(did).filter(body);
        reset(settled.chain(self.steps_of(Phase::Finally).flat_map(|step| self.nodes_of(step))), by, why)
    }

    /// The step or nodes and all that depends on them.
    fn resume_from(&self, from: &[String], by: String, why: String) -> Result<Vec<Event>, Refused> {
        let mut seen: BTreeSet<usize> = self.named(from)?.into_iter().collect();
        if seen.is_empty() {
            return Err(Refused { why: "no step is named to go on from".to_owned(), hint: "name one".to_owned() });
        }
        let mut to_do: Vec<usize> = seen.iter().copied().collect();
        while let Some(index) = to_do.pop() {
            let further: Vec<usize> = self.dependents_of(index).filter(|dependent| !seen.contains(dependent)).collect();
            seen.extend(&further);
            to_do.extend(further);
        }
        // What stands in `finally` comes again anyway.
        let body = seen.iter().filter(|&&index| self.phase_of(self.nodes[index].step) == Phase::Body);
        let nodes: Vec<NodeId> = body
            .filter(|&&index| !matches!(self.nodes[index].state, NodeState::Waiting))
            .map(|&index| self.nodes[index].id.clone())
            .collect();
        let open = self.undecided().into_iter().find(|id| !nodes.contains(id));
        if let Some(id) = open {
            return Err(Refused {
                why: format!("nobody knows how `{id}` ended, and it does not depend on what runs again"),
                hint: format!("name it too, or decide first: `resume --rerun {id}` or `--done {id}`"),
            });
        }
        let mut events = vec![];
        if !nodes.is_empty() {
            events.push(Event::Reset { nodes, by: by.clone(), why: why.clone() });
        }
        events.extend(self.finally_again(&by, &why));
        events.push(match self.life {
            Life::FailedTemp { .. } => Event::Retried { by, why },
            _ => Event::Resumed { by, why },
        });
        Ok(events)
    }

    fn resume(&self, decisions: &BTreeMap<NodeId, Decision>, by: String, why: String) -> Result<Vec<Event>, Refused> {
        // What begins anew, such as what stands in `finally`: nobody is asked how it ended before.
        let again = match &self.life {
            Life::FailedTemp { .. } => self.again_after_failures(&by, &why),
            _ => None,
        };
        let begins_anew = |id: &NodeId| matches!(&again, Some(Event::Reset { nodes, .. }) if nodes.contains(id));
        let undecided: Vec<&NodeId> = self.undecided().into_iter().filter(|id| !begins_anew(id)).collect();
        for id in decisions.keys().filter(|id| !begins_anew(id)) {
            if !undecided.contains(&id) {
                return Err(Refused {
                    why: format!("the outcome of `{id}` is not open"),
                    hint: "leave it out".to_owned(),
                });
            }
        }
        for (id, _) in decisions.iter().filter(|(_, decision)| **decision == Decision::Done) {
            let step = self.node(id).map(|node| self.step_of(node));
            // With a probe the compiler has made every reader of `out` say what it falls back to.
            if step.is_some_and(|step| !step.out.is_empty() && step.probe.is_none()) {
                return Err(Refused {
                    why: format!("later steps read what `{id}` puts out, so it cannot just be called done"),
                    hint: format!("run it again: `--rerun {id}`"),
                });
            }
        }
        if let Some(id) = undecided.iter().find(|id| !decisions.contains_key(**id)) {
            let cause = match self.node(id).map(|node| &node.state) {
                Some(NodeState::Indeterminate { why, .. }) => why.to_string(),
                _ => String::new(),
            };
            return Err(Refused {
                why: format!("nobody knows how `{id}` ended: {cause}"),
                hint: format!(
                    "look at the host, then say which: `--rerun {id}` to run it again, `--done {id}` if its effect is there"
                ),
            });
        }
        let mut events: Vec<Event> = match &self.life {
            Life::FailedTemp { .. } => {
                let retried = Event::Retried { by: by.clone(), why: why.clone() };
                again.iter().cloned().chain([retried]).collect()
            }
            _ if self.life.activity() == Some(&Activity::Active) => Vec::new(),
            _ => vec![Event::Resumed { by: by.clone(), why: why.clone() }],
        };
        for (id, &decision) in decisions.iter().filter(|(id, _)| !begins_anew(id)) {
            let attempt = self.node(id).map_or(0, |node| node.attempts);
            events.push(Event::Decided { node: id.clone(), attempt, decision, by: by.clone(), why: why.clone() });
        }
        Ok(events)
    }
}

/// The event that lets nodes run again; nothing where none of them did anything.
fn reset<'a>(nodes: impl Iterator<Item = &'a Node>, by: &str, why: &str) -> Option<Event> {
    let again = nodes.filter(|node| !matches!(node.state, NodeState::Waiting));
    let nodes: Vec<NodeId> = again.map(|node| node.id.clone()).collect();
    (!nodes.is_empty()).then(|| Event::Reset { nodes, by: by.to_owned(), why: why.to_owned() })
}

/// The values that a step is said to put out, each of its type.
fn outs(node: &NodeId, step: &Step, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, Value>, Refused> {
    if let Some(name) = given.keys().find(|name| !step.out.contains_key(*name)) {
        let known: Vec<&str> = step.out.keys().map(String::as_str).collect();
        return Err(Refused {
            why: format!("`{node}` has no output `{name}`"),
            hint: if known.is_empty() {
                "it has none: leave --out out".to_owned()
            } else {
                format!("its outputs are {}", known.join(", "))
            },
        });
    }
    let mut values = BTreeMap::new();
    for (name, out) in &step.out {
        let may_lack = step.probe.is_some() || step.when.is_some();
        // Whatever is given with a verb goes into the journal (I8).
        if out.is_secret() && (given.contains_key(name) || !may_lack) {
            return Err(Refused {
                why: format!("the output `{name}` of `{node}` is a secret, which cannot be given by hand"),
                hint: format!("let the step run: `resume --from {}`", node.step),
            });
        }
        match given.get(name) {
            Some(text) => {
                let value = dsl::json::given(out, text).map_err(|error| Refused {
                    why: format!("the output `{name}` of `{node}`: {error}"),
                    hint: format!("give it as `--out {name}=VALUE`"),
                })?;
                values.insert(name.clone(), value);
            }
            // With a probe or a `when` the compiler has made every reader say what it falls back to.
            None if may_lack => {}
            None => {
                return Err(Refused {
                    why: format!("later steps may read the output `{name}` of `{node}`"),
                    hint: format!("say what it is: `--out {name}=VALUE`"),
                });
            }
        }
    }
    Ok(values)
}

/// Steps that a hint names.
const NAMED: usize = 30;

/// Whether an approver is this `user@machine`: by both, or by the user alone, on any machine.
fn is(approver: &str, by: &str) -> bool {
    let user = by.rsplit_once('@').map_or(by, |(user, _)| user);
    approver == by || approver == user
}
