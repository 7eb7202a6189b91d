//! Verbs: what a person may ask of an operation, when, and the events it means.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::event::{CancelMode, Decision, Event};
use super::life::{Activity, Life};
use super::node::{NodeId, NodeState};
use super::state::Operation;

/// What a person asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verb {
    /// Go on: what failed is tried again, a pause ends. Says what undecided nodes mean.
    Resume {
        /// By node.
        decisions: BTreeMap<NodeId, Decision>,
    },
    /// Start nothing more.
    Pause,
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
        self.derived
            .indeterminate
            .iter()
            .filter(|&&index| self.asks_a_person(index))
            .map(|&index| &self.nodes[index].id)
            .collect()
    }

    /// The events that a verb means now.
    pub(super) fn verb(&self, verb: &Verb, by: &str, why: &str) -> Result<Vec<Event>, Refused> {
        let (by, why) = (by.to_owned(), why.to_owned());
        let refuse = |why: &str, hint: &str| Err(Refused { why: why.to_owned(), hint: hint.to_owned() });
        match (verb, &self.life) {
            (Verb::Resume { decisions }, _) => self.resume(decisions, by, why),
            (Verb::Pause, Life::Processing(Activity::Active) | Life::RollingBack(Activity::Active)) => {
                Ok(vec![Event::PauseAsked { by, why }])
            }
            (Verb::Cancel { mode }, Life::Processing(_) | Life::RollingBack(_)) => {
                Ok(vec![Event::CancelAsked { mode: *mode, by, why }])
            }
            (Verb::Rollback, Life::FailedTemp { .. }) => Ok(vec![Event::RollbackAsked { by, why }]),
            (Verb::Fail, Life::FailedTemp { .. }) => Ok(vec![Event::FailAsked { by, why }]),
            (Verb::Kill, Life::Processing(_) | Life::RollingBack(_)) => Ok(vec![Event::Killed { by, why }]),
            (Verb::Rollback | Verb::Fail, Life::Processing(_) | Life::RollingBack(_)) => {
                refuse("the operation is still going on", "cancel it first")
            }
            (Verb::Kill, Life::FailedTemp { .. }) => refuse("nothing of the operation runs", "give it up with fail"),
            (Verb::Pause, Life::Processing(_) | Life::RollingBack(_)) => {
                refuse("the operation is paused or being cancelled already", "wait, or resume it")
            }
            (Verb::Pause | Verb::Cancel { .. }, Life::FailedTemp { .. }) => {
                refuse("nothing of the operation runs", "resume it, roll it back or fail it")
            }
            (
                Verb::Pause | Verb::Cancel { .. } | Verb::Rollback | Verb::Fail | Verb::Kill,
                Life::Completed { .. } | Life::Failed { .. } | Life::RolledBack,
            ) => refuse("the operation has ended for good", "start a new one"),
        }
    }

    fn resume(&self, decisions: &BTreeMap<NodeId, Decision>, by: String, why: String) -> Result<Vec<Event>, Refused> {
        let undecided = self.undecided();
        for id in decisions.keys() {
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
        let go = match &self.life {
            Life::Processing(Activity::Paused { .. } | Activity::Pausing { .. })
            | Life::RollingBack(Activity::Paused { .. } | Activity::Pausing { .. }) => {
                Some(Event::Resumed { by: by.clone(), why: why.clone() })
            }
            Life::FailedTemp { .. } => Some(Event::Retried { by: by.clone(), why: why.clone() }),
            // It goes on anyway.
            Life::Processing(Activity::Active) | Life::RollingBack(Activity::Active) => None,
            Life::Processing(Activity::Cancelling { .. }) | Life::RollingBack(Activity::Cancelling { .. }) => {
                return Err(Refused {
                    why: "the operation is being cancelled".to_owned(),
                    hint: "wait until it has ended, then resume it".to_owned(),
                });
            }
            Life::Completed { .. } => {
                return Err(Refused {
                    why: "the operation has completed".to_owned(),
                    hint: "there is nothing to resume".to_owned(),
                });
            }
            Life::Failed { .. } | Life::RolledBack => {
                return Err(Refused {
                    why: "the operation has ended for good".to_owned(),
                    hint: "start a new one".to_owned(),
                });
            }
        };
        let mut events: Vec<Event> = go.into_iter().collect();
        for (id, &decision) in decisions {
            let attempt = self.node(id).map_or(0, |node| node.attempts);
            events.push(Event::Decided { node: id.clone(), attempt, decision, by: by.clone(), why: why.clone() });
        }
        Ok(events)
    }
}
