//! Which ready nodes may begin now: by their `when`, by `finally`, by `parallel`, by the batches of their group.

use std::collections::HashMap;

use dsl::plan::{OnState, Step};

use super::event::{FailedBecause, Outcome};
use super::group::{Admission, Gate, Standing};
use super::life::Life;
use super::node::NodeState;
use super::state::{Operation, Phase};
use super::what_next::{Command, when_is_false};

/// What begins in one look at an operation.
pub(super) struct Starts<'a> {
    operation: &'a Operation,
    phase: Phase,
    now_ms: u64,
    groups: HashMap<usize, Standing>,
    /// Nodes at work, by step, of steps with `parallel`.
    at_work: HashMap<usize, usize>,
}

/// What becomes of a node that is ready.
enum Turn {
    Start,
    Skip,
    Hold,
    HoldUntil(u64),
}

impl<'a> Starts<'a> {
    pub fn new(operation: &'a Operation, phase: Phase, now_ms: u64) -> Starts<'a> {
        Starts { operation, phase, now_ms, groups: HashMap::new(), at_work: HashMap::new() }
    }

    /// What may begin now.
    pub fn commands(mut self, commands: &mut Vec<Command>) {
        let (operation, phase, now_ms) = (self.operation, self.phase, self.now_ms);
        let mut ready: Vec<usize> = operation.of_phase(&operation.derived.ready, phase).collect();
        // A host that comes first in its role enters first, by whichever of its steps it can.
        ready.sort_by_key(|&index| self.place_in_group(index));
        for index in ready {
            match self.turn(index) {
                Turn::Start => commands.push(Command::Start(index)),
                Turn::Skip => commands.push(Command::SkipWhenFalse(index)),
                Turn::Hold | Turn::HoldUntil(_) => {}
            }
        }
        for index in operation.of_phase(&operation.derived.backoff, phase) {
            let due = matches!(operation.nodes[index].state, NodeState::Backoff { until_ms, .. } if until_ms <= now_ms);
            if due && self.has_place(index) {
                commands.push(Command::Start(index));
            }
        }
    }

    /// When the next host may enter a group that pauses between hosts.
    pub fn paused_until(mut self) -> Option<u64> {
        if self.operation.plan.groups.iter().all(|group| group.pause_ms == 0) {
            return None;
        }
        let turns = self.operation.of_phase(&self.operation.derived.ready, self.phase);
        turns
            .filter_map(|index| match self.turn(index) {
                Turn::HoldUntil(at_ms) => Some(at_ms),
                Turn::Start | Turn::Skip | Turn::Hold => None,
            })
            .min()
    }

    /// The place of a node's host among those of its group; all others come before.
    fn place_in_group(&self, index: usize) -> Option<usize> {
        let step = self.operation.nodes[index].step;
        self.operation.plan.steps[step].group.map(|_| index - self.operation.steps[step].first)
    }

    fn turn(&mut self, index: usize) -> Turn {
        let operation = self.operation;
        let node = &operation.nodes[index];
        let step = operation.step_of(node);
        if let Some(turn) = self.gate_of_a_group(node.step) {
            return turn;
        }
        match self.admitted(index) {
            Admission::HoldUntil(at_ms) => Turn::HoldUntil(at_ms),
            Admission::Hold | Admission::Closed => Turn::Hold,
            // What is not wanted needs no place.
            Admission::Enter if !self.wanted_after_this_end(step) || when_is_false(operation, index) => Turn::Skip,
            Admission::Enter if self.has_place(index) => Turn::Start,
            Admission::Enter => Turn::Hold,
        }
    }

    fn standing(&mut self, group: usize) -> &mut Standing {
        self.groups.entry(group).or_insert_with(|| Standing::of(self.operation, group))
    }

    fn admitted(&mut self, index: usize) -> Admission {
        let operation = self.operation;
        let node = &operation.nodes[index];
        let Some(group) = operation.step_of(node).group else { return Admission::Enter };
        let plan = &operation.plan.groups[group];
        let open = plan.gate.is_none_or(|gate| operation.nodes_of(gate).iter().all(|node| node.state.satisfies()));
        let now_ms = self.now_ms;
        self.standing(group).admit(plan, &node.id.key, open, now_ms)
    }

    /// The gate after a group's first batch has no edges; its time comes when that batch has left.
    fn gate_of_a_group(&mut self, step: usize) -> Option<Turn> {
        let operation = self.operation;
        let group = operation.plan.groups.iter().position(|group| group.gate == Some(step))?;
        Some(match self.standing(group).gate(&operation.plan.groups[group]) {
            Gate::NotYet => Turn::Hold,
            Gate::Ask => Turn::Start,
            Gate::NotNeeded => Turn::Skip,
        })
    }

    /// Whether `parallel` leaves a place; it is taken by that.
    fn has_place(&mut self, index: usize) -> bool {
        let operation = self.operation;
        let step = operation.nodes[index].step;
        let Some(parallel) = operation.plan.steps[step].parallel else { return true };
        let at_work = self.at_work.entry(step).or_insert_with(|| {
            let busy = |state: &NodeState| matches!(state, NodeState::Running { .. } | NodeState::Undoing { .. });
            operation.nodes_of(step).iter().filter(|node| busy(&node.state)).count()
        });
        let free = *at_work < parallel as usize;
        *at_work += usize::from(free);
        free
    }

    fn wanted_after_this_end(&self, step: &Step) -> bool {
        let Some(on_state) = step.finally else { return true };
        let Life::Finishing { outcome, .. } = &self.operation.life else { return true };
        match (on_state, outcome) {
            (OnState::Always, _) | (OnState::Succeeded, Outcome::Completed { .. }) => true,
            (OnState::Succeeded, Outcome::FailedTemp { .. } | Outcome::RolledBack) => false,
            (OnState::Failed | OnState::Cancelled, Outcome::Completed { .. }) => false,
            (OnState::Failed, Outcome::RolledBack) => true,
            (OnState::Cancelled, Outcome::RolledBack) => false,
            (OnState::Failed, Outcome::FailedTemp { reason }) => !cancelled(reason),
            (OnState::Cancelled, Outcome::FailedTemp { reason }) => cancelled(reason),
        }
    }
}

fn cancelled(reason: &FailedBecause) -> bool {
    match reason {
        FailedBecause::Cancelled | FailedBecause::CancelledBy { .. } => true,
        FailedBecause::Nodes(_) | FailedBecause::Each { .. } | FailedBecause::Outputs(_) => false,
    }
}
