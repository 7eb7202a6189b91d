//! Rolling admission: which hosts of a [`Group`] may enter now (D2).
//!
//! A host is *inside* from the first of its nodes that begins until all of them are over. Batches are counted by order of
//! entry: the first `sizes[0]` hosts are the first batch, and so on; the last size counts for all that follow, and there a
//! host enters whenever a place is free. A host of a later batch enters only when the batches before have left.
//!
//! A host for which the `where` of the role is false passes by: it takes no place, and is counted nowhere.
//!
//! Nothing here is stored: who is inside follows from the nodes, and the pause is counted from when the last host left.

use std::collections::{BTreeMap, BTreeSet};

use dsl::plan::Group;

use super::node::NodeState;
use super::state::Operation;
use super::turn::{Asked, turn};

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
    /// The hosts whose turn it is; all where there is no `by`.
    turn: Option<BTreeSet<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    Passes,
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
        let plan = &operation.plan.groups[group];
        let asked = Asked::of(operation, plan);
        let mut texts = Vec::new();
        for (place, slot) in role.slots.iter().enumerate() {
            let nodes = steps.iter().filter_map(|&step| operation.nodes_of(step).get(place));
            let (mut begun, mut over, mut worked, mut failed, mut left_ms) = (false, true, false, false, 0);
            for node in nodes {
                // What may still be at work there has not left, whoever set it going again.
                begun |= matches!(node.state, NodeState::Indeterminate { .. } | NodeState::Undoing { .. });
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
            let first = steps.first().and_then(|&step| operation.nodes_of(step).get(place));
            let host = match (begun, over) {
                _ if asked.passes_by(first, place) => Host::Passes,
                (_, true) => Host::Left,
                (true, false) => Host::Inside,
                (false, false) => Host::Outside,
            };
            if plan.by.is_some() && host != Host::Passes {
                texts.push((slot, host, asked.text(first, place)));
            }
            match host {
                Host::Passes => {}
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
        standing.turn = plan.by.as_ref().map(|_| turn(&texts).into_iter().map(|slot| (*slot).clone()).collect());
        standing
    }

    /// Whether a node of this host may begin; `gate_open` says whether the gate after the first batch, if there is one, was
    /// opened. A host that may enter is counted as inside from then on.
    pub fn admit(&mut self, group: &Group, slot: &str, gate_open: bool, now_ms: u64) -> Admission {
        match self.hosts.get(slot) {
            // One that passes by is skipped.
            Some(Host::Inside | Host::Passes) => return Admission::Enter,
            Some(Host::Outside | Host::Left) | None => {}
        }
        if self.closed(group) {
            return Admission::Closed;
        }
        if self.turn.as_ref().is_some_and(|hosts| !hosts.contains(slot)) {
            return Admission::Hold;
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

#[cfg(test)]
mod tests {
    use dsl::expr::Expr;

    use super::*;

    /// Hosts of random zones pass, as far as the rule lets them; an oracle that looks at the whole history says whether it may.
    #[test]
    fn hosts_of_one_text_pass_after_the_other_and_all_of_them_pass() {
        let mut rng = fastrand::Rng::with_seed(7);
        for round in 0..2_000 {
            let zones: Vec<u8> = (0..rng.usize(1..9)).map(|_| rng.u8(0..4)).collect();
            let sizes: Vec<u32> = (0..rng.usize(1..4)).map(|_| rng.u32(1..4)).collect();
            let by = Some(Expr::OperationId); // Any: the texts are given.
            let group = Group {
                id: String::new(),
                role: String::new(),
                sizes,
                pause_ms: 0,
                stop_after: None,
                gate: None,
                filter: None,
                by,
            };
            let mut hosts: Vec<(String, Host, Option<u8>)> =
                zones.iter().enumerate().map(|(n, zone)| (n.to_string(), Host::Outside, Some(*zone))).collect();
            let mut entered: Vec<u8> = Vec::new();
            loop {
                let count = |which: Host| hosts.iter().filter(|(_, host, _)| *host == which).count();
                let (inside, left) = (count(Host::Inside), count(Host::Left));
                let all = hosts.iter().map(|(slot, host, _)| (slot.clone(), *host)).collect();
                let turn = Some(turn(&hosts).into_iter().cloned().collect());
                let mut standing =
                    Standing { inside, left, outside: count(Host::Outside), hosts: all, turn, ..Standing::default() };
                let may: Vec<usize> = (0..hosts.len())
                    .filter(|n| hosts[*n].1 == Host::Outside)
                    .filter(|n| standing.admit(&group, &hosts[*n].0, true, 0) == Admission::Enter)
                    .collect();
                let leave: Vec<usize> = (0..hosts.len()).filter(|n| hosts[*n].1 == Host::Inside).collect();
                if let Some(&n) = rng.choice(&may).filter(|_| leave.is_empty() || rng.bool()) {
                    let zone = hosts[n].2;
                    let before: Vec<u8> =
                        first_seen(&zones).into_iter().take_while(|other| Some(*other) != zone).collect();
                    let right = hosts.iter().all(|(_, host, of)| match host {
                        Host::Inside => *of == zone,
                        Host::Outside => of.is_some_and(|of| !before.contains(&of)),
                        Host::Left | Host::Passes => true,
                    });
                    assert!(right, "round {round}: {n} enters, {hosts:?}");
                    hosts[n].1 = Host::Inside;
                    entered.extend(zone);
                } else if let Some(&n) = rng.choice(&leave) {
                    hosts[n].1 = Host::Left;
                } else {
                    break;
                }
            }
            assert_eq!(entered.len(), zones.len(), "round {round}: {hosts:?} and nobody may enter any more");
            entered.dedup();
            assert_eq!(entered, first_seen(&zones), "round {round}");
        }
    }

    fn first_seen(zones: &[u8]) -> Vec<u8> {
        let mut seen = Vec::new();
        zones.iter().for_each(|zone| {
            if !seen.contains(zone) {
                seen.push(*zone)
            }
        });
        seen
    }
}
