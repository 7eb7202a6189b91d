//! The locks that the nodes of an operation hold: taken when one begins, given back when it has ended (D8).

use std::collections::BTreeSet;

use dsl::eval::render;

use super::driver::{Batch, Driver};
use super::life::Life;
use super::node::{NodeId, NodeState, Unknown};
use super::scope::CoreScope;
use super::state::Phase;

impl Driver {
    /// Nodes that hold their locks: at work, or of unknown outcome because their host cannot be reached. What is given up, or
    /// tried again later, holds none: a node that waits while it holds something could wait for ever.
    pub(super) fn holders(&self) -> BTreeSet<usize> {
        let operation = &self.operation;
        if operation.life.is_final() {
            return BTreeSet::new();
        }
        let lost = operation.derived.indeterminate.iter().filter(|&&index| {
            matches!(operation.nodes[index].state, NodeState::Indeterminate { why: Unknown::Unreachable, .. })
        });
        operation.derived.running.iter().chain(lost).copied().collect()
    }

    /// The locks that its nodes hold, of those that are recorded for it; the others are left over from a write that was kept
    /// in part.
    pub fn left_over(&self, recorded: Vec<(String, NodeId)>) -> Vec<(String, NodeId)> {
        let holds = |(lock, node): &(String, NodeId)| {
            let locks = self.operation.index(node).ok().and_then(|index| self.held.get(&index));
            locks.is_some_and(|locks| locks.contains(lock))
        };
        recorded.into_iter().filter(|record| !holds(record)).collect()
    }

    pub(super) fn locks_of(&self, index: usize) -> Vec<String> {
        let node = &self.operation.nodes[index];
        let scope = CoreScope { operation: &self.operation, node: Some(node) };
        let locks = self.operation.step_of(node).locks.iter();
        // One that cannot be told fails the attempt, where it is rendered again.
        let names: BTreeSet<String> = locks.filter_map(|lock| Some(render(lock, &scope).ok()?.text)).collect();
        names.into_iter().collect()
    }

    pub(super) fn give_back(&mut self) -> Vec<(String, NodeId)> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let holders = self.holders();
        let mut gave = Vec::new();
        let operation = &self.operation;
        self.held.retain(|index, locks| {
            if holders.contains(index) {
                return true;
            }
            gave.extend(locks.drain(..).map(|lock| (lock, operation.nodes[*index].id.clone())));
            false
        });
        gave
    }

    /// Takes a node's locks, or notes the one that another holds.
    pub(super) fn takes_locks(&mut self, index: usize, batch: &mut Batch<'_, '_>) -> bool {
        let locks = self.locks_of(index);
        if locks.is_empty() {
            return true;
        }
        let node = self.id(index);
        // What comes last, and what is undone, does not wait for a node of which nobody could learn whether it still runs: nobody
        // will before the end.
        let finally = self.operation.phase_of(self.operation.nodes[index].step) == Phase::Finally;
        let lost: Vec<usize> = if finally || matches!(self.operation.life, Life::RollingBack(_)) {
            let running = &self.operation.derived.running;
            self.held.keys().copied().filter(|other| *other != index && !running.contains(other)).collect()
        } else {
            Vec::new()
        };
        let over_from: Vec<NodeId> = lost.iter().map(|&index| self.id(index)).collect();
        match batch.world.places.take(&node, &locks, &over_from) {
            Ok(new) => batch.took.extend(new.into_iter().map(|lock| (lock, node.clone()))),
            Err(lock) => {
                self.blocked.insert(index, lock);
                return false;
            }
        }
        for index in lost {
            self.held.entry(index).and_modify(|held| held.retain(|lock| !locks.contains(lock)));
        }
        self.held.insert(index, locks);
        true
    }
}
