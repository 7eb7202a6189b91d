//! The attempts that a journal tells of, and whether each has its reason.
//!
//! This is an oracle of its own: it follows the words of `docs/durability.md`, not the engine's state machine.

use std::collections::BTreeMap;

use super::broken::Broken;
use crate::journal::{Decision, Entry, Event, NodeId, Proof, Unknown};

/// What an attempt does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The step's `do`.
    Do,
    /// Its `undo`.
    Undo,
}

/// How an attempt ended, as far as the journal tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing is told.
    Open,
    /// It succeeded, and this is how that is known.
    Succeeded(Proof),
    /// It failed.
    Failed,
    /// Nobody knew.
    Unknown(Unknown),
    /// The probe found the effect there before it began.
    AlreadySo,
}

/// Each attempt of each node.
pub type Attempts = BTreeMap<(NodeId, u32), (Way, End)>;

/// Why the next attempt of a node may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Its turn, a retry, a decision, or a person's verb.
    Do,
    /// What was done, or half done, is undone.
    Undo,
    /// Nothing may.
    Nothing,
}

/// Reads the attempts; or says which one has no reason in front of it.
pub fn attempts(journal: &[Entry]) -> Result<Attempts, Broken> {
    let mut attempts = Attempts::new();
    let mut nodes: BTreeMap<NodeId, (u32, Next)> = BTreeMap::new();
    for (at, Entry { seq, event, .. }) in journal.iter().enumerate() {
        if *seq != at as u64 + 1 {
            return Err(Broken::Lost(format!("entry {seq} of the journal stands at place {}", at + 1)));
        }
        let begins = match event {
            Event::Started { node, attempt, .. } => Some((node, *attempt, Way::Do)),
            Event::UndoStarted { node, attempt, .. } => Some((node, *attempt, Way::Undo)),
            _ => None,
        };
        if let Some((node, attempt, way)) = begins {
            let (last, next) = nodes.get(node).copied().unwrap_or((0, Next::Do));
            let may = matches!((way, next), (Way::Do, Next::Do) | (Way::Undo, Next::Undo));
            if attempt != last + 1 || !may {
                return Err(Broken::Twice(format!(
                    "entry {seq}: {way:?} of {node}, attempt {attempt}, follows attempt {last} after which {next:?} may begin"
                )));
            }
            // An undo that was interrupted is repeated: it must be harmless to repeat.
            nodes.insert(node.clone(), (attempt, if way == Way::Undo { Next::Undo } else { Next::Nothing }));
            attempts.insert((node.clone(), attempt), (way, End::Open));
            continue;
        }
        let (node, end, next) = match event {
            Event::Succeeded { node, proof, .. } => (node, Some(End::Succeeded(*proof)), Next::Undo),
            Event::Failed { node, .. } => (node, Some(End::Failed), Next::Nothing),
            Event::Indeterminate { node, why, .. } => (node, Some(End::Unknown(*why)), Next::Undo),
            Event::Undone { node, .. } => (node, Some(End::Succeeded(Proof::Action)), Next::Do),
            Event::UndoFailed { node, .. } => (node, Some(End::Failed), Next::Nothing),
            Event::Skipped { node, .. } if nodes.contains_key(node) => (node, Some(End::AlreadySo), Next::Nothing),
            Event::RetryAt { node, .. } => (node, None, Next::Do),
            Event::Decided { node, decision: Decision::Rerun, .. } => (node, None, Next::Do),
            Event::Decided { node, decision: Decision::Done, .. } => (node, None, Next::Undo),
            // A person goes on after a failure.
            Event::Retried { .. } | Event::Resumed { .. } => {
                for ((node, attempt), (way, end)) in &attempts {
                    if *end == End::Failed
                        && let Some((last, next)) = nodes.get_mut(node)
                        && last == attempt
                    {
                        *next = if *way == Way::Do { Next::Do } else { Next::Undo };
                    }
                }
                continue;
            }
            _ => continue,
        };
        let Some((last, may)) = nodes.get_mut(node) else {
            return Err(Broken::Other(format!("entry {seq}: {node} ended without having begun")));
        };
        *may = next;
        if let (Some(end), Some((_, told))) = (end, attempts.get_mut(&(node.clone(), *last))) {
            let open = matches!(told, End::Open | End::Unknown(_));
            if !open {
                return Err(Broken::Twice(format!("entry {seq}: {node} attempt {last} is {told:?}, then {end:?}")));
            }
            *told = end;
        }
    }
    Ok(attempts)
}

/// Whether everything that was shown is in the journal as it was shown.
pub fn kept(id: &str, shown: &[Entry], journal: &[Entry]) -> Result<(), Broken> {
    for entry in shown {
        let at = usize::try_from(entry.seq).unwrap_or(0).checked_sub(1);
        if at.and_then(|at| journal.get(at)) != Some(entry) {
            return Err(Broken::Lost(format!("operation {id}: shown, and not in the journal: {entry:?}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(events: impl IntoIterator<Item = Event>) -> Vec<Entry> {
        events.into_iter().zip(1..).map(|(event, seq)| Entry { seq, at_ms: 0, event }).collect()
    }

    fn node() -> NodeId {
        NodeId { step: "a".to_owned(), key: "m".to_owned() }
    }

    fn started(attempt: u32) -> Event {
        Event::Started { node: node(), attempt, generation: 1, incarnation: 1 }
    }

    fn unknown(attempt: u32) -> Event {
        Event::Indeterminate { node: node(), attempt, why: Unknown::Rebooted }
    }

    #[test]
    fn a_second_attempt_needs_a_reason() {
        assert!(matches!(attempts(&journal([started(1), started(2)])), Err(Broken::Twice(_))));
        assert!(matches!(attempts(&journal([started(1), unknown(1), started(2)])), Err(Broken::Twice(_))));
        let (by, why) = (String::new(), String::new());
        let decided = Event::Decided { node: node(), attempt: 1, decision: Decision::Rerun, by, why };
        let read = attempts(&journal([started(1), unknown(1), decided, started(2)])).unwrap();
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn what_succeeded_is_not_begun_again() {
        let succeeded = Event::Succeeded {
            node: node(),
            attempt: 1,
            out: BTreeMap::new(),
            changed: true,
            proof: Proof::Action,
            output: None,
            records: Vec::new(),
        };
        assert!(matches!(attempts(&journal([started(1), succeeded.clone(), started(2)])), Err(Broken::Twice(_))));
        assert!(matches!(attempts(&journal([started(1), succeeded.clone(), succeeded])), Err(Broken::Twice(_))));
    }

    #[test]
    fn an_entry_that_was_shown_and_is_not_there_is_lost() {
        let whole = journal([started(1), unknown(1)]);
        assert!(kept("x", &whole, &whole).is_ok());
        assert!(matches!(kept("x", &whole, &whole[..1]), Err(Broken::Lost(_))));
    }
}
