//! What follows for others when a node changes its state: which edges are satisfied, and who may begin (I3).

use dsl::plan::EdgeKind;

use super::life::{Activity, Life};
use super::node::{NodeEvent, NodeState};
use super::state::Operation;

impl Operation {
    /// Changes one node and what follows from it.
    pub(super) fn step_node(&mut self, index: usize, event: NodeEvent, at_ms: u64) -> Result<(), String> {
        let node = &self.nodes[index];
        let Some(next) = node.state.next(event) else {
            return Err(format!("`{}` is {}", node.id, node.state.word()));
        };
        let before = std::mem::replace(&mut self.nodes[index].state, next);
        self.nodes[index].since_ms = at_ms;
        let phase = self.phase_of(self.nodes[index].step);
        self.derived.forget(index, phase, &before);
        self.derived.note(index, phase, &self.nodes[index].state);
        match (before.satisfies(), self.nodes[index].state.satisfies()) {
            (false, true) => self.satisfy(index),
            (true, false) => self.unsatisfy(index),
            (true, true) | (false, false) => {}
        }
        if matches!(self.nodes[index].state, NodeState::Waiting) && self.derived.unmet[index] == 0 {
            self.derived.ready.insert(index);
        }
        // A pause is complete when the last running node has ended.
        if self.derived.running.is_empty()
            && let Life::Processing(activity) | Life::RollingBack(activity) | Life::Finishing { activity, .. } =
                &mut self.life
            && let Activity::Pausing { by, why } = activity
        {
            *activity = Activity::Paused { by: by.clone(), why: why.clone() };
        }
        Ok(())
    }

    fn satisfy(&mut self, index: usize) {
        let step = self.nodes[index].step;
        self.derived.satisfied[step] += 1;
        let complete = self.derived.satisfied[step] == self.steps[step].count;
        for dependent in self.freed_by(index, complete) {
            self.meet(dependent);
        }
    }

    /// One more edge of a node is satisfied.
    fn meet(&mut self, index: usize) {
        self.derived.unmet[index] -= 1;
        if self.derived.unmet[index] == 0 && matches!(self.nodes[index].state, NodeState::Waiting) {
            self.derived.ready.insert(index);
        }
    }

    /// A step that has no nodes is over as soon as that is known.
    pub(super) fn free_all_behind(&mut self, step: usize) {
        for (dependent, kind) in self.steps[step].dependents.clone() {
            let nodes = self.steps[dependent].first..self.steps[dependent].first + self.steps[dependent].count;
            if kind == EdgeKind::Barrier {
                nodes.for_each(|index| self.meet(index));
            }
        }
    }

    fn unsatisfy(&mut self, index: usize) {
        let step = self.nodes[index].step;
        let was_complete = self.derived.satisfied[step] == self.steps[step].count;
        self.derived.satisfied[step] -= 1;
        for dependent in self.freed_by(index, was_complete) {
            self.derived.unmet[dependent] += 1;
            self.derived.ready.remove(&dependent);
        }
    }

    /// The nodes with an edge that changes with node `index`: keyed ones, and those behind a barrier that `index` completes.
    fn freed_by(&self, index: usize, complete: bool) -> Vec<usize> {
        let step = self.nodes[index].step;
        let offset = index - self.steps[step].first;
        let mut freed = Vec::new();
        for &(dependent, kind) in &self.steps[step].dependents {
            let nodes = &self.steps[dependent];
            match kind {
                EdgeKind::Keyed if nodes.expanded => freed.push(nodes.first + offset),
                EdgeKind::Barrier if complete => freed.extend(nodes.first..nodes.first + nodes.count),
                EdgeKind::Keyed | EdgeKind::Barrier => {}
            }
        }
        freed
    }
}
