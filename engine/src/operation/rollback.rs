//! Rollback: what succeeded is undone, in the reverse of a valid order (I7), and so is what a failed attempt may have left.
//!
//! A node is undone only when everything that depends on it, through whatever lies between, is settled: undone, or never
//! done. A step without `undo` is passed over, and so hides nothing behind it. The steps of `finally` are not undone.

use super::node::NodeState;
use super::state::Operation;

impl Operation {
    /// For each node: whether it and all that depends on it are settled.
    pub(super) fn settled(&self) -> Vec<bool> {
        let mut settled = vec![false; self.nodes.len()];
        // Edges point backwards in the plan, so a pass from its end sees dependents first.
        for nodes in self.steps.iter().rev() {
            for index in nodes.first..nodes.first + nodes.count {
                settled[index] =
                    self.settled_itself(index) && self.dependents_of(index).all(|dependent| settled[dependent]);
            }
        }
        settled
    }

    /// Whether all that depends on a node directly is settled: what `apply` insists on. That it holds through whatever lies
    /// between is kept by `what_next`, which looks at everything once and not once an event.
    pub(super) fn settled_behind(&self, index: usize) -> bool {
        self.dependents_of(index).all(|dependent| self.settled_itself(dependent))
    }

    /// Whether attempts that did not succeed may have left something that the step can undo. Format 1 let it be.
    pub(super) fn has_leftovers(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        self.format > 1 && node.touched && self.step_of(node).undo.is_some()
    }

    fn settled_itself(&self, index: usize) -> bool {
        let step = &self.plan.steps[self.nodes[index].step];
        if step.finally.is_some() {
            return true;
        }
        match &self.nodes[index].state {
            NodeState::Waiting | NodeState::Backoff { .. } | NodeState::Failed { .. } | NodeState::NotReached => {
                !self.has_leftovers(index)
            }
            NodeState::Skipped(_) | NodeState::Undone | NodeState::AwaitingApproval { .. } => true,
            // Its effect may be there; where there is an undo, it is run.
            NodeState::Indeterminate { .. } => step.undo.is_none(),
            NodeState::Running { .. }
            | NodeState::Succeeded(_)
            | NodeState::Undoing { .. }
            | NodeState::UndoFailed { .. } => false,
        }
    }
}
