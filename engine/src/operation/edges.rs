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
        let (was_met, was_settled) = (self.meets(index, false), self.meets(index, true));
        let before = std::mem::replace(&mut self.nodes[index].state, next);
        self.nodes[index].since_ms = at_ms;
        let phase = self.phase_of(self.nodes[index].step);
        self.derived.forget(index, phase, &before);
        self.derived.note(index, phase, &self.nodes[index].state);
        for (settled, was) in [(false, was_met), (true, was_settled)] {
            match (was, self.meets(index, settled)) {
                (false, true) => self.satisfy(index, settled),
                (true, false) => self.unsatisfy(index, settled),
                (true, true) | (false, false) => {}
            }
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

    /// The count of nodes of a step that satisfy one kind of edge.
    fn enough(&mut self, step: usize, settled: bool) -> &mut usize {
        if settled { &mut self.derived.settled[step] } else { &mut self.derived.satisfied[step] }
    }

    fn satisfy(&mut self, index: usize, settled: bool) {
        let step = self.nodes[index].step;
        let count = self.steps[step].count;
        let enough = self.enough(step, settled);
        *enough += 1;
        let complete = *enough == count;
        for dependent in self.freed_by(index, settled, complete) {
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
        for behind in self.steps[step].dependents.clone() {
            let dependent = &self.steps[behind.step];
            let nodes = dependent.first..dependent.first + dependent.count;
            if behind.kind == EdgeKind::Barrier {
                nodes.for_each(|index| self.meet(index));
            }
        }
    }

    fn unsatisfy(&mut self, index: usize, settled: bool) {
        let step = self.nodes[index].step;
        let count = self.steps[step].count;
        let enough = self.enough(step, settled);
        let was_complete = *enough == count;
        *enough -= 1;
        for dependent in self.freed_by(index, settled, was_complete) {
            self.derived.unmet[dependent] += 1;
            self.derived.ready.remove(&dependent);
        }
    }

    /// The nodes with an edge of a kind that changes with node `index`: keyed ones, and those behind a barrier that `index`
    /// completes.
    fn freed_by(&self, index: usize, settled: bool, complete: bool) -> Vec<usize> {
        let step = self.nodes[index].step;
        let offset = index - self.steps[step].first;
        let mut freed = Vec::new();
        for behind in self.steps[step].dependents.iter().filter(|behind| behind.settled == settled) {
            let nodes = &self.steps[behind.step];
            match behind.kind {
                EdgeKind::Keyed if nodes.expanded => freed.push(nodes.first + offset),
                EdgeKind::Barrier if complete => freed.extend(nodes.first..nodes.first + nodes.count),
                EdgeKind::Keyed | EdgeKind::Barrier => {}
            }
        }
        freed
    }
}
