//! Rolling admission: which hosts of a [`Group`] may enter now (D2).
//!
//! A host is *inside* from the first of its nodes that begins until all of them are over. Batches are counted by order of
//! entry: the first `sizes[0]` hosts are the first batch, and so on; the last size counts for all that follow, and there a
//! host enters whenever a place is free. A host of a later batch enters only when the batches before have left.
//!
//! Nothing here is stored: who is inside follows from the nodes, and the pause is counted from when the last host left.

use std::collections::BTreeMap;

use dsl::plan::Group;

use super::node::NodeState;
use super::state::Operation;

/// How a group stands.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Hosts that have entered and not left.
    inside: usize,
    /// Hosts that have left.
    left: usize,
    /// Of them: with a failure.
    failed: usize,
    /// Hosts that have not entered and have something to begin.
    outside: usize,
    /// When the last host that did something has left, UTC milliseconds.
    last_left_ms: Option<u64>,
    hosts: BTreeMap<String, Host>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    Outside,
    Inside,
    Left,
}

/// Whether a node of a group may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may.
    Enter,
    /// Not now.
    Hold,
    /// Not before this time, UTC milliseconds.
    HoldUntil(u64),
    /// Never: too many hosts failed.
    Closed,
}

impl Standing {
    /// How a group stands, by its index in the plan.
    pub fn of(operation: &Operation, group: usize) -> Standing {
        let mut standing = Standing::default();
        let Some(role) = operation.plan.roles.get(&operation.plan.groups[group].role) else { return standing };
        let steps: Vec<usize> =
            (0..operation.plan.steps.len()).filter(|&step| operation.plan.steps[step].group == Some(group)).collect();
        for (place, slot) in role.slots.iter().enumerate() {
            let nodes = steps.iter().filter_map(|&step| operation.nodes_of(step).get(place));
            let (mut begun, mut over, mut worked, mut failed, mut left_ms) = (false, true, false, false, 0);
            for node in nodes {
                begun |= node.attempts > 0 && node.epoch == operation.epoch;
                over &= matches!(
                    node.state,
                    NodeState::Succeeded(_)
                        | NodeState::Skipped(_)
                        | NodeState::Failed { .. }
                        | NodeState::NotReached
                        | NodeState::Undone
                );
                worked |= node.attempts > 0;
                failed |= matches!(node.state, NodeState::Failed { .. });
                left_ms = left_ms.max(node.since_ms);
            }
            let host = match (begun, over) {
                (_, true) => Host::Left,
                (true, false) => Host::Inside,
                (false, false) => Host::Outside,
            };
            match host {
                Host::Outside => standing.outside += 1,
                Host::Inside => standing.inside += 1,
                Host::Left => {
                    standing.left += 1;
                    standing.failed += usize::from(failed);
                    if worked {
                        standing.last_left_ms = standing.last_left_ms.max(Some(left_ms));
                    }
                }
            }
            standing.hosts.insert(slot.clone(), host);
        }
        standing
    }

    /// Whether a node of this host may begin; `gate_open` says whether the gate after the first batch, if there is one, was
    /// opened. A host that may enter is counted as inside from then on.
    pub fn admit(&mut self, group: &Group, slot: &str, gate_open: bool, now_ms: u64) -> Admission {
        match self.hosts.get(slot) {
            Some(Host::Inside) => return Admission::Enter,
            Some(Host::Outside | Host::Left) | None => {}
        }
        if self.closed(group) {
            return Admission::Closed;
        }
        let Some((size, begins)) = self.batch(group) else { return Admission::Enter };
        let first = group.sizes.first().map_or(usize::MAX, |&size| size as usize);
        let behind_the_gate = group.gate.is_some() && self.inside + self.left >= first;
        if self.left < begins || self.inside >= size || (behind_the_gate && !gate_open) {
            return Admission::Hold;
        }
        if let Some(last_left_ms) = self.last_left_ms {
            let from_ms = last_left_ms.saturating_add(group.pause_ms);
            if from_ms > now_ms {
                return Admission::HoldUntil(from_ms);
            }
        }
        self.inside += 1;
        self.outside = self.outside.saturating_sub(1);
        self.hosts.insert(slot.to_owned(), Host::Inside);
        Admission::Enter
    }

    /// Whether no further host enters.
    pub fn closed(&self, group: &Group) -> bool {
        group.stop_after.is_some_and(|stop_after| self.failed >= stop_after as usize)
    }

    /// What becomes of the gate after the first batch.
    pub fn gate(&self, group: &Group) -> Gate {
        let first = group.sizes.first().map_or(usize::MAX, |&size| size as usize);
        let closed = self.closed(group);
        match (self.outside, self.inside) {
            (0, _) => Gate::NotNeeded,
            (_, 0) if closed => Gate::NotNeeded,
            (_, 0) if self.left >= first => Gate::Ask,
            (_, _) => Gate::NotYet,
        }
    }

    /// The size of the batch that the next host to enter belongs to, and how many hosts stand in the batches before it.
    fn batch(&self, group: &Group) -> Option<(usize, usize)> {
        let (entered, mut begins) = (self.inside + self.left, 0usize);
        let last = group.sizes.len().checked_sub(1)?;
        for &size in &group.sizes[..last] {
            let ends = begins.saturating_add(size as usize);
            if entered < ends {
                return Some((size as usize, begins));
            }
            begins = ends;
        }
        Some((group.sizes[last] as usize, begins))
    }
}

/// What becomes of a gate after a first batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// The first batch is not over.
    NotYet,
    /// It is, and there are hosts behind it.
    Ask,
    /// Nobody is behind it.
    NotNeeded,
}
