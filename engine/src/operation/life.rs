//! The life of an operation: states without flags (D4), and their projection to the states of ETSI SOL003.

use std::fmt;

use super::event::{CancelMode, FailedBecause, Outcome};
use super::node::NodeState;
use super::state::Operation;
use std::collections::BTreeMap;

/// Where an operation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// It goes forward.
    Processing(Activity),
    /// It is being undone.
    RollingBack(Activity),
    /// All but the steps of `finally` is over; they run.
    Finishing {
        /// How the rest ended.
        outcome: Outcome,
        /// What it is about.
        activity: Activity,
    },
    /// Every node succeeded or was skipped.
    Completed {
        /// The workflow's outputs.
        outputs: BTreeMap<String, String>,
    },
    /// It stopped; it can be resumed, rolled back or failed for good.
    FailedTemp {
        /// Why.
        reason: FailedBecause,
    },
    /// It was given up.
    Failed {
        /// By whom and why.
        why: String,
    },
    /// It was undone.
    RolledBack,
}

/// What a live operation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activity {
    /// It waits for its locks; nothing was begun.
    Queued,
    /// It starts what may start.
    Active,
    /// It starts nothing more; what runs may end.
    Pausing {
        /// Who asked.
        by: String,
        /// Why.
        why: String,
    },
    /// Nothing runs; it waits for `resume`.
    Paused {
        /// Who asked.
        by: String,
        /// Why.
        why: String,
    },
    /// It ends as FailedTemp as soon as nothing runs (D5).
    Cancelling {
        /// What happens to what runs.
        mode: CancelMode,
        /// Who asked.
        by: String,
        /// Why.
        why: String,
    },
}

/// `LcmOperationStateType` of ETSI GS NFV-SOL 003, clause 5.6.3 table 5.6.4.3-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Etsi {
    /// `STARTING`: nothing has been started yet.
    Starting,
    /// `PROCESSING`
    Processing,
    /// `COMPLETED`
    Completed,
    /// `FAILED_TEMP`
    FailedTemp,
    /// `FAILED`
    Failed,
    /// `ROLLING_BACK`
    RollingBack,
    /// `ROLLED_BACK`
    RolledBack,
}

impl fmt::Display for Etsi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Etsi::Starting => "STARTING",
            Etsi::Processing => "PROCESSING",
            Etsi::Completed => "COMPLETED",
            Etsi::FailedTemp => "FAILED_TEMP",
            Etsi::Failed => "FAILED",
            Etsi::RollingBack => "ROLLING_BACK",
            Etsi::RolledBack => "ROLLED_BACK",
        })
    }
}

impl Life {
    /// The projection; `begun` says whether any node was ever started.
    pub fn etsi(&self, begun: bool) -> Etsi {
        match self {
            Life::Processing(_) if begun => Etsi::Processing,
            Life::Processing(_) => Etsi::Starting,
            Life::RollingBack(_) | Life::Finishing { outcome: Outcome::RolledBack, .. } => Etsi::RollingBack,
            Life::Finishing { outcome: Outcome::Completed { .. } | Outcome::FailedTemp { .. }, .. } => Etsi::Processing,
            Life::Completed { .. } => Etsi::Completed,
            Life::FailedTemp { .. } => Etsi::FailedTemp,
            Life::Failed { .. } => Etsi::Failed,
            Life::RolledBack => Etsi::RolledBack,
        }
    }

    /// Whether it may still change by itself.
    pub fn is_live(&self) -> bool {
        matches!(self, Life::Processing(_) | Life::RollingBack(_) | Life::Finishing { .. })
    }

    /// Whether nothing can ever bring it back: its secrets are deleted (D9).
    pub fn is_final(&self) -> bool {
        matches!(self, Life::Completed { .. } | Life::Failed { .. } | Life::RolledBack)
    }

    /// What it is about, while it is live.
    pub fn activity(&self) -> Option<&Activity> {
        match self {
            Life::Processing(activity) | Life::RollingBack(activity) | Life::Finishing { activity, .. } => {
                Some(activity)
            }
            Life::Completed { .. } | Life::FailedTemp { .. } | Life::Failed { .. } | Life::RolledBack => None,
        }
    }
}

/// Nodes that a sentence names; the rest are "and others".
const NAMED: usize = 5;

impl Operation {
    /// Why it stopped, in words.
    pub fn because(&self, reason: &FailedBecause) -> String {
        match reason {
            FailedBecause::Nodes(nodes) => {
                let names = nodes.iter().take(NAMED).map(|id| match self.node(id).map(|node| &node.state) {
                    Some(NodeState::Failed { failure, .. }) => format!("{id}: {}", failure.message),
                    _ => id.to_string(),
                });
                let names: Vec<String> = names.collect();
                let more = if nodes.len() > NAMED { " and others" } else { "" };
                format!("failed: {}{more}", names.join("; "))
            }
            FailedBecause::Cancelled => "cancelled".to_owned(),
            FailedBecause::CancelledBy { by, why } if why.is_empty() => format!("cancelled by {by}"),
            FailedBecause::CancelledBy { by, why } => format!("cancelled by {by}: {why}"),
            FailedBecause::Each { step, why } => format!("step `{step}`: {why}"),
            FailedBecause::Outputs(why) => why.clone(),
        }
    }
}
