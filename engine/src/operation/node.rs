//! A node: one step for one key, the unit of checkpoint; its states and the one function that changes them.
//!
//! Invariant: [`NodeState::next`] is total. A result is accepted only from the live attempt (I4); a succeeded node leaves
//! that state only to be undone or by `Reset` (I2).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use dsl::value::Value;
use serde::{Deserialize, Serialize};

use super::event::Decision;

/// Which node: the step's id and the key, a unique text, never an index (D2). Written `step@key`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Id of the step: `[a-z0-9_]`, so the first `@` ends it.
    pub step: String,
    /// The slot that it runs on, the element of `each` that it is for, or [`HERE`].
    pub key: String,
}

/// The key of the one node of a step that runs from here.
pub const HERE: &str = "here";

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.step, self.key)
    }
}

impl FromStr for NodeId {
    type Err = String;

    fn from_str(text: &str) -> Result<NodeId, String> {
        let (step, key) = text.split_once('@').ok_or_else(|| format!("`{text}` is no node: expected step@key"))?;
        Ok(NodeId { step: step.to_owned(), key: key.to_owned() })
    }
}

impl Serialize for NodeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How a node stands.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeState {
    /// Its turn has not come.
    Waiting,
    /// This attempt may be at work on the host.
    Running {
        /// Which.
        attempt: u32,
    },
    /// A gate waits for a person.
    AwaitingApproval {
        /// Which attempt.
        attempt: u32,
    },
    /// An attempt failed; the next one follows.
    Backoff {
        /// The attempt that failed.
        attempt: u32,
        /// Not before this time, UTC milliseconds.
        until_ms: u64,
        /// How it failed.
        failure: Failure,
    },
    /// Nobody knows how this attempt ended.
    Indeterminate {
        /// Which.
        attempt: u32,
        /// Why it is not known.
        why: Unknown,
    },
    /// Done.
    Succeeded(Done),
    /// Not needed.
    Skipped(Skip),
    /// It failed.
    Failed {
        /// The last attempt.
        attempt: u32,
        /// How.
        failure: Failure,
    },
    /// Something it depends on did not succeed.
    NotReached,
    /// Its undo may be at work on the host.
    Undoing {
        /// Which attempt.
        attempt: u32,
        /// What is undone.
        what: Undo,
    },
    /// Undone.
    Undone,
    /// Its undo failed.
    UndoFailed {
        /// Which attempt.
        attempt: u32,
        /// How.
        failure: Failure,
        /// What was to be undone.
        what: Undo,
    },
}

/// A success.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// The attempt that did it.
    pub attempt: u32,
    /// Values for later steps.
    pub out: BTreeMap<String, Value>,
    /// Whether it did something that was not so before.
    pub changed: bool,
    /// Generation of the host it was done on.
    pub generation: u32,
}

/// What an undo undoes.
#[derive(Debug, Clone, PartialEq)]
pub enum Undo {
    /// A success, in a rollback.
    Success(Done),
    /// An attempt with an unknown outcome, to be run again afterwards (`interrupted: UndoThenRerun`).
    Half,
    /// What attempts that did not succeed may have left, in a rollback.
    Leftovers,
}

/// How a success is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The action itself said so.
    Action,
    /// The outcome was unknown and the probe found the effect.
    Probe,
    /// The outcome was unknown and a person said so.
    Person,
}

/// Why a node was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// Its `when` is false.
    WhenFalse,
    /// Its probe found the effect there before `do`.
    AlreadySo,
    /// A person said so.
    ByOperator {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
}

/// Why an outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// The job never began and never can (its name is taken): running again is safe.
    NeverBegan,
    /// It lived in the engine (an upload, a wait) and ended with it: running again is harmless.
    InEngine,
    /// The host was restarted while it ran.
    Rebooted,
    /// Its process is gone without a record of its end.
    Vanished,
    /// The host could not be reached for as long as the step may take.
    Unreachable,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unknown::NeverBegan => "it never began on the host",
            Unknown::InEngine => "it ended with the engine, and is harmless to repeat",
            Unknown::Rebooted => "the host was restarted while it ran",
            Unknown::Vanished => "its process is gone without a record of how it ended",
            Unknown::Unreachable => "the host could not be reached again",
        })
    }
}

/// A failure, in words that hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What kind, for `retry`.
    pub class: FailureClass,
    /// What happened and where.
    pub message: String,
    /// What a person can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The classes that `retry` tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The host could not be reached, or the connection was lost before the job began.
    Connection,
    /// It took too long.
    Timeout,
    /// The program ended with this code.
    Exit(i32),
    /// The probe gave no answer.
    ProbeUnknown,
    /// Something that trying again will not mend by itself.
    Other,
}

/// What a program wrote, where it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputRef {
    /// Here; lossy UTF-8, secrets filtered.
    Inline {
        /// Standard output.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        stdout: String,
        /// Standard error.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        stderr: String,
    },
    /// In a blob: the JSON of an `Inline`.
    Blob {
        /// Its digest.
        digest: String,
    },
}

/// What can happen to a node, stripped of names.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeEvent {
    /// `Started`; the flag says whether the step is a gate.
    Started(u32, Gate),
    /// `Reattached`
    Reattached(u32),
    /// `Succeeded`
    Succeeded(Done),
    /// `Failed`
    Failed(u32, Failure),
    /// `Indeterminate`
    Indeterminate(u32, Unknown),
    /// `Skipped`
    Skipped(Skip),
    /// `NotReached`
    NotReached,
    /// `RetryAt`
    RetryAt(u32, u64),
    /// `Approved`
    Approved(Done),
    /// `Rejected`
    Rejected(Failure),
    /// `UndoStarted`
    UndoStarted(u32),
    /// `Undone`
    Undone(u32),
    /// `UndoFailed`
    UndoFailed(u32, Failure),
    /// `UndoSkipped`
    UndoSkipped,
    /// `Decided`
    Decided(Decision, Done),
    /// `Retried`, or `Resumed` for an undo that failed
    Again,
    /// `Reset`
    Reset,
    /// `Marked`
    Marked(Done),
    /// `Found`
    Found(u32),
}

/// Whether a step waits for a person instead of doing something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It does.
    Yes,
    /// It does something.
    No,
}

impl NodeState {
    /// The state after `event`, or `None` where the event cannot happen in this state.
    pub fn next(&self, event: NodeEvent) -> Option<NodeState> {
        use {NodeEvent as E, NodeState as S};
        match (self, event) {
            (S::Waiting | S::Backoff { .. }, E::Started(attempt, gate)) => Some(match gate {
                Gate::Yes => S::AwaitingApproval { attempt },
                Gate::No => S::Running { attempt },
            }),
            (S::Running { attempt }, E::Reattached(a)) if *attempt == a => Some(self.clone()),
            (S::Running { attempt }, E::Succeeded(done)) if *attempt == done.attempt => Some(S::Succeeded(done)),
            (S::Running { attempt }, E::Failed(a, failure)) if *attempt == a => Some(S::Failed { attempt: a, failure }),
            (S::Running { attempt }, E::Indeterminate(a, why)) if *attempt == a => {
                Some(S::Indeterminate { attempt: a, why })
            }
            // The probe, asked before `do`, found the effect there.
            (S::Running { .. }, E::Skipped(Skip::AlreadySo)) => Some(S::Skipped(Skip::AlreadySo)),
            (S::AwaitingApproval { attempt }, E::Approved(done)) if *attempt == done.attempt => {
                Some(S::Succeeded(done))
            }
            (S::AwaitingApproval { attempt }, E::Rejected(failure)) => Some(S::Failed { attempt: *attempt, failure }),
            (S::Indeterminate { attempt, .. }, E::Succeeded(done)) if *attempt == done.attempt => {
                Some(S::Succeeded(done))
            }
            (S::Indeterminate { attempt, .. }, E::Failed(a, failure)) if *attempt == a => {
                Some(S::Failed { attempt: a, failure })
            }
            (S::Indeterminate { .. }, E::Decided(Decision::Rerun, _)) => Some(S::Waiting),
            (S::Indeterminate { .. }, E::Decided(Decision::Done, done)) => Some(S::Succeeded(done)),
            (S::Indeterminate { .. }, E::UndoStarted(attempt)) => Some(S::Undoing { attempt, what: Undo::Half }),
            // In a rollback: what a failed attempt may have left. `apply` asks whether there is anything.
            (S::Waiting | S::Backoff { .. } | S::Failed { .. } | S::NotReached, E::UndoStarted(attempt)) => {
                Some(S::Undoing { attempt, what: Undo::Leftovers })
            }
            // The undo itself was interrupted: it is repeated under a new number.
            (S::Undoing { what, .. }, E::UndoStarted(attempt)) => Some(S::Undoing { attempt, what: what.clone() }),
            (S::Waiting, E::Skipped(why @ (Skip::WhenFalse | Skip::ByOperator { .. }))) => Some(S::Skipped(why)),
            (
                S::Failed { .. } | S::NotReached | S::Backoff { .. } | S::Indeterminate { .. } | S::Undone,
                E::Skipped(why @ Skip::ByOperator { .. }),
            ) => Some(S::Skipped(why)),
            (
                S::Waiting
                | S::Backoff { .. }
                | S::Indeterminate { .. }
                | S::Failed { .. }
                | S::NotReached
                | S::Skipped(_)
                | S::Undone,
                E::Marked(done),
            ) => Some(S::Succeeded(done)),
            // An attempt of which the journal knew nothing, on its host: it is looked at as any that ran when its engine
            // ended.
            (
                S::Waiting
                | S::Running { .. }
                | S::Backoff { .. }
                | S::Indeterminate { .. }
                | S::Succeeded(_)
                | S::Skipped(_)
                | S::Failed { .. }
                | S::NotReached
                | S::Undone,
                E::Found(attempt),
            ) => Some(S::Running { attempt }),
            (S::Waiting, E::NotReached) => Some(S::NotReached),
            (S::Failed { attempt, failure }, E::RetryAt(a, until_ms)) if *attempt == a => {
                Some(S::Backoff { attempt: a, until_ms, failure: failure.clone() })
            }
            (S::Succeeded(done), E::UndoStarted(attempt)) => {
                Some(S::Undoing { attempt, what: Undo::Success(done.clone()) })
            }
            (
                S::Succeeded(_)
                | S::Waiting
                | S::Backoff { .. }
                | S::Indeterminate { .. }
                | S::Failed { .. }
                | S::NotReached
                | S::UndoFailed { .. },
                E::UndoSkipped,
            ) => Some(S::Undone),
            (S::Undoing { attempt, what }, E::Undone(a)) if *attempt == a => Some(match what {
                Undo::Success(_) | Undo::Leftovers => S::Undone,
                Undo::Half => S::Waiting,
            }),
            (S::Undoing { attempt, what }, E::UndoFailed(a, failure)) if *attempt == a => {
                Some(S::UndoFailed { attempt: a, failure, what: what.clone() })
            }
            (
                S::Failed { .. } | S::NotReached | S::Backoff { .. } | S::Undone | S::AwaitingApproval { .. },
                E::Again,
            ) => Some(S::Waiting),
            (S::UndoFailed { attempt, what, .. }, E::Again) => Some(match what {
                Undo::Success(done) => S::Succeeded(done.clone()),
                Undo::Half => S::Indeterminate { attempt: *attempt, why: Unknown::Vanished },
                Undo::Leftovers => S::Waiting,
            }),
            (
                S::Waiting
                | S::AwaitingApproval { .. }
                | S::Backoff { .. }
                | S::Indeterminate { .. }
                | S::Succeeded(_)
                | S::Skipped(_)
                | S::Failed { .. }
                | S::NotReached
                | S::Undone
                | S::UndoFailed { .. },
                E::Reset,
            ) => Some(S::Waiting),
            // Everything else cannot happen; the caller makes it an error that names both.
            (
                S::Waiting
                | S::Running { .. }
                | S::AwaitingApproval { .. }
                | S::Backoff { .. }
                | S::Indeterminate { .. }
                | S::Succeeded(_)
                | S::Skipped(_)
                | S::Failed { .. }
                | S::NotReached
                | S::Undoing { .. }
                | S::Undone
                | S::UndoFailed { .. },
                E::Started(..)
                | E::Reattached(_)
                | E::Succeeded(_)
                | E::Failed(..)
                | E::Indeterminate(..)
                | E::Skipped(_)
                | E::NotReached
                | E::RetryAt(..)
                | E::Approved(_)
                | E::Rejected(_)
                | E::UndoStarted(_)
                | E::Undone(_)
                | E::UndoFailed(..)
                | E::UndoSkipped
                | E::Decided(..)
                | E::Again
                | E::Reset
                | E::Marked(_)
                | E::Found(_),
            ) => None,
        }
    }

    /// Whether an edge from this node is satisfied (I3).
    pub fn satisfies(&self) -> bool {
        match self {
            NodeState::Succeeded(_) | NodeState::Skipped(_) => true,
            NodeState::Waiting
            | NodeState::Running { .. }
            | NodeState::AwaitingApproval { .. }
            | NodeState::Backoff { .. }
            | NodeState::Indeterminate { .. }
            | NodeState::Failed { .. }
            | NodeState::NotReached
            | NodeState::Undoing { .. }
            | NodeState::Undone
            | NodeState::UndoFailed { .. } => false,
        }
    }

    /// The word that people and the API read.
    pub fn word(&self) -> &'static str {
        match self {
            NodeState::Waiting => "waiting",
            NodeState::Running { .. } => "running",
            NodeState::AwaitingApproval { .. } => "awaiting_approval",
            NodeState::Backoff { .. } => "retrying",
            NodeState::Indeterminate { .. } => "indeterminate",
            NodeState::Succeeded(_) => "succeeded",
            NodeState::Skipped(_) => "skipped",
            NodeState::Failed { .. } => "failed",
            NodeState::NotReached => "not_reached",
            NodeState::Undoing { .. } => "undoing",
            NodeState::Undone => "undone",
            NodeState::UndoFailed { .. } => "undo_failed",
        }
    }
}
