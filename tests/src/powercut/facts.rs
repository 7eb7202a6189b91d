//! What happened when: of every event, when each of its parts was begun and when it was answered for.
//!
//! Invariant: a beginning is stamped before the call, an answer after it, by the clock that stamps what the disk is told. So
//! what is stamped as answered before a cut had been answered before it, and what a disk holds had been begun before.

use serde::{Deserialize, Serialize};

use super::events::Plan;

/// The time of what did not happen.
pub const NEVER: u64 = u64::MAX;

/// When the parts of one event were begun and answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Whose event.
    pub writer: u32,
    /// Which of that writer.
    pub number: u32,
    /// Blobs and sealed files: begun.
    pub preparing: u64,
    /// Blobs and sealed files: answered.
    pub prepared: u64,
    /// The commit: begun.
    pub submitted: u64,
    /// The commit: answered.
    pub acknowledged: u64,
    /// Its place in the order of all commits. `None`: it was not answered, and a recovery has decided that it never was.
    pub sequence: Option<u64>,
    /// Deleting its own blob and secrets again: begun.
    pub forgetting: u64,
    /// Deleting its own blob and secrets again: answered.
    pub forgotten: u64,
}

impl Fact {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(writer: u32, number: u32) -> Fact {
        Fact {
            writer,
            number,
            preparing: NEVER,
            prepared: NEVER,
            submitted: NEVER,
            acknowledged: NEVER,
            sequence: None,
            forgetting: NEVER,
            forgotten: NEVER,
        }
    }
}

/// All that happened to one store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// What was to happen.
    pub plan: Plan,
    /// When the store had been opened.
    pub opened: u64,
    /// The events, in no order.
    pub facts: Vec<Fact>,
    /// When compactions began and ended.
    pub compactions: Vec<(u64, u64)>,
}

impl Facts {
    /// What is known after a cut at `cut` and a recovery that showed the first `kept` commits at `opened`.
    ///
    /// What began before the cut and was not answered stays in doubt, except for commits: those that the recovery showed
    /// are now answered, and those that it did not show must never come back.
    #[must_use]
    pub fn after_recovery(&self, cut: u64, opened: u64, kept: usize) -> Facts {
        let before = |time: u64| if time < cut { 0 } else { NEVER };
        let mut order: Vec<&Fact> = self.facts.iter().filter(|fact| fact.sequence.is_some()).collect();
        order.sort_by_key(|fact| fact.sequence);
        let last = kept.checked_sub(1).and_then(|at| order.get(at)).and_then(|fact| fact.sequence);
        let facts = self.facts.iter().map(|fact| {
            let shown = fact.sequence.is_some() && fact.sequence <= last;
            Fact {
                preparing: before(fact.preparing),
                prepared: before(fact.prepared),
                submitted: before(fact.submitted),
                acknowledged: match before(fact.acknowledged) {
                    NEVER if shown => opened,
                    time => time,
                },
                sequence: fact.sequence.filter(|_| shown),
                forgetting: before(fact.forgetting),
                forgotten: before(fact.forgotten),
                ..fact.clone()
            }
        });
        Facts {
            plan: self.plan,
            opened: before(self.opened).min(opened),
            facts: facts.collect(),
            compactions: Vec::new(),
        }
    }
}
