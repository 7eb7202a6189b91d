//! What is cut, how often, and what must come of it.

use super::events::{Plan, Shape};
use super::subject::Kind;

/// Cuts of one workload; then comes another, with other chances.
pub const OF_A_ROUND: usize = 50;

/// A kind of store.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Its name, as the table shows it.
    pub name: &'static str,
    /// What is on the disk.
    pub kind: Kind,
    /// The workload; the seed is set for each round.
    pub plan: Plan,
    /// Size of the disk.
    pub disk_mib: u64,
    /// Whether it is the recovery after a cut that is cut.
    pub of_recovery: bool,
    /// Whether every cut must be survived; else at least one must not be.
    pub must_survive: bool,
    /// How many cuts, of `of` that are asked for.
    share: (usize, usize),
}

impl Configuration {
    /// How many cuts, when so many are asked for in all.
    #[must_use]
    pub fn cuts(&self, of: usize) -> usize {
        (of * self.share.0).div_ceil(self.share.1).max(4)
    }
}

/// All of them: the store's share the cuts that are asked for, the controls come on top.
#[must_use]
pub fn all() -> Vec<Configuration> {
    let plan = |shape, writers, events| Plan { seed: 0, shape, writers, events, compactions: 0 };
    let fresh = Configuration {
        name: "fresh",
        kind: Kind::Store,
        plan: plan(Shape::Fresh, 6, 25),
        disk_mib: 96,
        of_recovery: false,
        must_survive: true,
        share: (6, 24),
    };
    let churned = plan(Shape::Churned, 4, 40);
    vec![
        fresh.clone(),
        Configuration {
            name: "grown",
            plan: plan(Shape::Grown, 4, GROWN_EVENTS),
            disk_mib: 192,
            share: (4, 24),
            ..fresh.clone()
        },
        Configuration { name: "churned", plan: churned, share: (4, 24), ..fresh.clone() },
        Configuration { name: "compaction", plan: Plan { compactions: 4, ..churned }, share: (4, 24), ..fresh.clone() },
        Configuration {
            name: "recovery",
            plan: Plan { compactions: 2, ..plan(Shape::Churned, 4, 15) },
            of_recovery: true,
            share: (4, 24),
            ..fresh.clone()
        },
        Configuration { name: "control-log", kind: Kind::BareLog, share: (2, 24), ..fresh.clone() },
        Configuration { name: "control-sled", kind: Kind::SledFlush, must_survive: false, share: (2, 24), ..fresh },
    ]
}

const GROWN_EVENTS: u32 = super::events::GROWING + 15;
