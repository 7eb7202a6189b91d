//! Rollback in its simplest form: what succeeded is undone, in the reverse of a valid order (I7).
//!
//! A node is undone only when everything that depends on it, through whatever lies between, is settled: undone, or never
//! done. A step without `undo` is passed over, and so hides nothing behind it.

use super::node::NodeState;
use super::state::Operation;

impl Operation {
    /// For each node: whether it and all that depends on it are settled.
    pub(super) fn settled(&self) -> Vec<bool> {
        let mut settled = vec![false; self.nodes.len()];
        // Edges point backwards in the plan, so a pass from the end sees dependents first.
        for index in (0..self.nodes.len()).rev() {
            settled[index] =
                self.settled_itself(index) && self.dependents_of(index).all(|dependent| settled[dependent]);
        }
        settled
    }

    /// Whether all that depends on a node directly is settled: what `apply` insists on. That it holds through whatever lies
    /// between is kept by `what_next`, which looks at everything once and not once an event.
    pub(super) fn settled_behind(&self, index: usize) -> bool {
        self.dependents_of(index).all(|dependent| self.settled_itself(dependent))
    }

    fn settled_itself(&self, index: usize) -> bool {
        let has_undo = self.plan.steps[self.nodes[index].step].undo.is_some();
        match &self.nodes[index].state {
            NodeState::Waiting
            | NodeState::Backoff { .. }
            | NodeState::Skipped(_)
            | NodeState::Failed { .. }
            | NodeState::NotReached
            | NodeState::Undone => true,
            // Its effect may be there; where there is an undo, it is run.
            NodeState::Indeterminate { .. } => !has_undo,
            NodeState::Running { .. }
            | NodeState::AwaitingApproval { .. }
            | NodeState::Succeeded(_)
            | NodeState::Undoing { .. }
            | NodeState::UndoFailed { .. } => false,
        }
    }
}
