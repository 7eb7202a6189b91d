//! The invariants, checked from outside: from the durable journal, the plan and the hosts, by the slowest obvious means.

use std::collections::BTreeMap;
use std::sync::Arc;

use dsl::plan::{EdgeKind, Plan};
use engine::operation::{Entry, Life, NodeId, NodeState, Operation, Skip, Undo, replay};

use super::hosts::Hosts;

/// The operation that the durable journal tells of.
pub fn durable(plan: &Arc<Plan>, journal: &[Entry]) -> Result<Operation, String> {
    replay(Arc::clone(plan), journal).map_err(|error| error.to_string())
}

/// I5: the durable journal gives exactly the live state.
pub fn same_as_live(plan: &Arc<Plan>, journal: &[Entry], live: &Operation) -> Result<(), String> {
    let replayed = durable(plan, journal)?;
    replayed.check()?;
    if replayed == *live { Ok(()) } else { Err("I5: the replayed journal is not the live state".to_owned()) }
}

/// I1, I2, I3, I4, I7: what must be so when a job begins on a host.
pub fn may_begin(
    plan: &Arc<Plan>,
    journal: &[Entry],
    hosts: &Hosts,
    node: &NodeId,
    attempt: u32,
    undo: bool,
) -> Result<(), String> {
    let operation = durable(plan, journal)?;
    let Some(known) = operation.node(node) else { return Err(format!("{node} is no node")) };
    match (&known.state, undo) {
        (NodeState::Running { attempt: live }, false) if *live == attempt => {}
        (NodeState::Undoing { attempt: live, .. }, true) if *live == attempt => {}
        (state, _) => {
            return Err(format!(
                "I1/I2/I4: {node} begins attempt {attempt} (undo: {undo}) while the durable journal has it {}",
                state.word()
            ));
        }
    }
    if hosts.running(node) > 1 {
        return Err(format!("I4: two jobs of {node} run at once"));
    }
    let step = &plan.steps[known.step];
    if !undo {
        for edge in &step.needs {
            for parent in parents(&operation, plan, edge.step, edge.kind, &node.key) {
                if !parent.state.satisfies() {
                    return Err(format!("I3: {node} begins before {} is satisfied", parent.id));
                }
            }
        }
    } else if !matches!(&known.state, NodeState::Undoing { what: Undo::Half, .. }) {
        for later in &operation.nodes {
            let has_undo = plan.steps[later.step].undo.is_some();
            let there = matches!(
                later.state,
                NodeState::Succeeded(_)
                    | NodeState::Running { .. }
                    | NodeState::Undoing { .. }
                    | NodeState::UndoFailed { .. }
            );
            if has_undo && there && reaches(plan, &operation, node, &later.id) {
                return Err(format!("I7: {node} is undone before {}, which is {}", later.id, later.state.word()));
            }
        }
    }
    Ok(())
}

fn parents<'a>(
    operation: &'a Operation,
    plan: &Plan,
    step: usize,
    kind: EdgeKind,
    key: &str,
) -> Vec<&'a engine::operation::Node> {
    let id = &plan.steps[step].id;
    operation
        .nodes
        .iter()
        .filter(|node| node.id.step == *id && (kind == EdgeKind::Barrier || node.id.key == key))
        .collect()
}

/// Whether there is a path of node edges from `from` to `to`.
fn reaches(plan: &Plan, operation: &Operation, from: &NodeId, to: &NodeId) -> bool {
    let Some(node) = operation.node(to) else { return false };
    plan.steps[node.step].needs.iter().any(|edge| {
        parents(operation, plan, edge.step, edge.kind, &to.key)
            .iter()
            .any(|parent| parent.id == *from || reaches(plan, operation, from, &parent.id))
    })
}

/// What must be so when an operation has ended for good.
pub fn ended(operation: &Operation, hosts: &Hosts) -> Result<(), String> {
    let there = |node: &NodeId| hosts.there.get(node).copied().unwrap_or(false);
    let states: BTreeMap<String, &str> =
        operation.nodes.iter().map(|node| (node.id.to_string(), node.state.word())).collect();
    for node in &operation.nodes {
        let runs_jobs = !matches!(operation.step_of(node).action, dsl::plan::Action::Wait { .. });
        match (&operation.life, &node.state) {
            (Life::Completed { .. }, NodeState::Succeeded(_)) if runs_jobs && !there(&node.id) => {
                return Err(format!("{} succeeded and its effect is not there", node.id));
            }
            (Life::Completed { .. }, state) if !state.satisfies() => {
                return Err(format!("completed with {states:?}"));
            }
            (Life::RolledBack, NodeState::Undone) if operation.step_of(node).undo.is_some() && there(&node.id) => {
                return Err(format!("{} was undone and its effect is still there", node.id));
            }
            // Nobody but us has effects here: what the probe found before a later attempt was ours.
            (Life::RolledBack, NodeState::Skipped(Skip::AlreadySo))
                if operation.step_of(node).undo.is_some() && there(&node.id) =>
            {
                return Err(format!("{} was called already so, and its effect is not undone", node.id));
            }
            (Life::RolledBack, NodeState::Succeeded(_) | NodeState::Running { .. } | NodeState::Undoing { .. }) => {
                return Err(format!("rolled back with {states:?}"));
            }
            _ => {}
        }
        if hosts.running(&node.id) > 0 {
            return Err(format!("the operation has ended while {} runs", node.id));
        }
    }
    Ok(())
}
