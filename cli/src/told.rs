//! What is said of an entry of a journal: the same live and in a replay.

use std::collections::{BTreeSet, HashMap};

use engine::operation::{CancelMode, Decision, Entry, Event, NodeId, Outcome, Proof, Skip, UndoSkip};
use engine::runner::{Waits, lock_words};
use engine::view::skip_words;

use crate::show::short;
use crate::time::{clock, took};

/// Tells entries one after the other.
#[derive(Debug, Default)]
pub struct Teller {
    /// When attempts began, to say how long they took.
    began: HashMap<NodeId, u64>,
    /// Which steps are gates.
    gates: BTreeSet<String>,
}

impl Teller {
    /// Tells of an operation with these gates.
    pub fn new(gates: &[String]) -> Teller {
        Teller { began: HashMap::new(), gates: gates.iter().cloned().collect() }
    }

    /// Whether an entry opens a gate's question, and of which node.
    pub fn asks<'a>(&self, entry: &'a Entry) -> Option<&'a NodeId> {
        match &entry.event {
            Event::Started { node, .. } if self.gates.contains(&node.step) => Some(node),
            _ => None,
        }
    }

    /// What is said of an entry, if anything.
    pub fn text(&mut self, entry: &Entry) -> Option<String> {
        let line = |mark: &str, node: &NodeId, text: String| Some(format!("{mark} {:<28} {text}", node.to_string()));
        match &entry.event {
            Event::Started { node, .. } if self.gates.contains(&node.step) => {
                self.began.insert(node.clone(), entry.at_ms);
                line("?", node, "awaits approval".to_owned())
            }
            Event::Started { node, attempt, .. } => {
                self.began.insert(node.clone(), entry.at_ms);
                line("•", node, if *attempt > 1 { format!("started, attempt {attempt}") } else { "started".to_owned() })
            }
            Event::UndoStarted { node, .. } => {
                self.began.insert(node.clone(), entry.at_ms);
                line("•", node, "undoing".to_owned())
            }
            Event::Found { node, attempt, .. } => {
                line("•", node, format!("attempt {attempt} was found on its host: it began after the backup"))
            }
            Event::Reattached { node, .. } => line("•", node, "found again on its host".to_owned()),
            Event::Succeeded { node, proof, .. } => line(
                "✓",
                node,
                match proof {
                    Proof::Action => format!("succeeded  {}", self.since(node, entry)),
                    Proof::Probe => "its effect is there, says the probe".to_owned(),
                    Proof::Person => "taken as done".to_owned(),
                },
            ),
            Event::Failed { node, failure, .. } => {
                line("✗", node, format!("failed  {}  {}", self.since(node, entry), failure.message))
            }
            Event::Indeterminate { node, why, .. } => line("?", node, format!("outcome unknown: {why}")),
            Event::Skipped { node, why: Skip::ByOperator { by, why } } => {
                line("-", node, format!("skipped by {by}{}", because(why)))
            }
            Event::Skipped { node, why } => line("-", node, format!("skipped: {}", skip_words(why))),
            Event::NotReached { node } => line(" ", node, "not reached".to_owned()),
            Event::RetryAt { node, at_ms, .. } => line("•", node, format!("tried again at {}", clock(*at_ms))),
            Event::Decided { node, decision, by, why, .. } => line(
                "•",
                node,
                match decision {
                    Decision::Rerun => format!("is run again, decided by {by}{}", because(why)),
                    Decision::Done => format!("is taken as done, decided by {by}{}", because(why)),
                },
            ),
            Event::Marked { node, by, why, .. } => {
                line("✓", node, format!("marked as succeeded by {by}{}", because(why)))
            }
            Event::Approved { node, by, why } => line("✓", node, format!("approved by {by}{}", because(why))),
            Event::Rejected { node, by, why } => line("✗", node, format!("rejected by {by}{}", because(why))),
            Event::Undone { node, .. } => line("↶", node, format!("undone  {}", self.since(node, entry))),
            Event::UndoFailed { node, failure, .. } => line("✗", node, format!("undo failed: {}", failure.message)),
            Event::UndoSkipped { node, why } => line(
                "-",
                node,
                match why {
                    UndoSkip::NoUndo => "nothing to undo".to_owned(),
                    UndoSkip::HostGone => "not undone: its host is gone".to_owned(),
                    UndoSkip::ByOperator { by, why } => format!("not undone: left out by {by}{}", because(why)),
                },
            ),
            Event::PauseAsked { by, why } => Some(format!("paused by {by}{}", because(why))),
            Event::Resumed { by, why } => Some(format!("resumed by {by}{}", because(why))),
            Event::Retried { by, why } => Some(format!("what failed is tried again, asked by {by}{}", because(why))),
            Event::CancelAsked { mode, by, why } => {
                let how = match mode {
                    CancelMode::Graceful => "what runs may end",
                    CancelMode::Forceful => "what runs is killed",
                };
                Some(format!("cancelled by {by}{}; {how}", because(why)))
            }
            Event::RollbackAsked { by, why } => Some(format!("rolling back, asked by {by}{}", because(why))),
            Event::FailAsked { by, why } => Some(format!("given up by {by}{}", because(why))),
            Event::Killed { by, why } => Some(format!("abandoned by {by}{}", because(why))),
            Event::HostReplaced { slot, host } => Some(format!("host {slot} is now {}", host.address())),
            Event::Reset { by, nodes, why } => {
                Some(format!("{} run again, asked by {by}{}", count(nodes.len(), "node"), because(why)))
            }
            Event::Locked => Some("has its locks and begins".to_owned()),
            Event::Finally { outcome } => Some(match outcome {
                Outcome::Completed { .. } => "all is done; `finally` follows".to_owned(),
                Outcome::FailedTemp { .. } => "it stops here; `finally` follows".to_owned(),
                Outcome::RolledBack => "all is undone; `finally` follows".to_owned(),
            }),
            Event::Created { .. } | Event::Expanded { .. } | Event::Ended { .. } => None,
        }
    }

    fn since(&self, node: &NodeId, entry: &Entry) -> String {
        self.began.get(node).map(|began| took(entry.at_ms.saturating_sub(*began))).unwrap_or_default()
    }
}

/// What it waits for of other operations.
pub fn waits(waits: &Waits) -> String {
    let who = waits.node.as_ref().map(|node| format!("{node} ")).unwrap_or_default();
    let holder = waits.held_by.map(|id| format!(", held by operation {}", short(id))).unwrap_or_default();
    format!("{who}waits for {}{holder}", lock_words(&waits.lock))
}

fn because(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

/// `1 node`, `2 nodes`.
pub fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
