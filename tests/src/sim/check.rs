//! The invariants, checked from outside: from the durable journals, the plans and the hosts, by the slowest obvious means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dsl::eval::{eval, render};
use dsl::expr::Expr;
use dsl::plan::{Action, EdgeKind, Group, Plan};
use dsl::value::Value;
use engine::operation::{
    CoreScope, Entry, Event, Life, Node, NodeId, NodeState, Operation, Skip, Undo, UndoSkip, replay,
};

use super::hosts::Hosts;
use super::world::Op;

/// The operation that the durable journal tells of.
pub fn durable(plan: &Arc<Plan>, journal: &[Entry]) -> Result<Operation, String> {
    replay(Arc::clone(plan), journal).map_err(|error| error.to_string())
}

/// The states of all nodes, for a message.
pub fn words(operation: &Operation) -> Vec<String> {
    operation.nodes.iter().map(|node| format!("{} {}", node.id, node.state.word())).collect()
}

/// I5: what is durable gives exactly the live state, and what follows from it can be told from nothing.
pub fn same_as_live(durable: Option<&Operation>, live: &Operation) -> Result<(), String> {
    live.check()?;
    if durable == Some(live) { Ok(()) } else { Err("I5: what is durable is not the live state".to_owned()) }
}

/// I1, I2, I3, I4, I7, locks, batches: what must be so when a job begins on a host.
pub(super) fn may_begin(
    ops: &[Op],
    op: usize,
    hosts: &Hosts,
    id: &NodeId,
    attempt: u32,
    undo: bool,
) -> Result<(), String> {
    let plan = &ops[op].plan;
    let Some(operation) = &ops[op].durable else { return Err(format!("I1: {id} begins and nothing is durable")) };
    let Some(node) = operation.node(id) else { return Err(format!("{id} is no node")) };
    if operation.life.is_final() {
        // It left while the operation was alive, and was abandoned or late.
        return if ops[op].killed { Ok(()) } else { Err(format!("I1: {id} begins after the operation has ended")) };
    }
    match (&node.state, undo) {
        (NodeState::Running { attempt: live }, false) if *live == attempt => {}
        (NodeState::Undoing { attempt: live, .. }, true) if *live == attempt => {}
        (state, _) => {
            return Err(format!(
                "I1/I2/I4: {id} begins attempt {attempt} (undo: {undo}) while the durable journal has it {}",
                state.word()
            ));
        }
    }
    if hosts.running_of(&(op, id.clone())) > 1 {
        return Err(format!("I4: two jobs of {id} run at once"));
    }
    locks_are_free(ops, op, hosts, node)?;
    let step = &plan.steps[node.step];
    if !undo {
        for edge in &step.needs {
            for parent in parents(operation, plan, edge.step, edge.kind, &id.key) {
                let ended = matches!(parent.state, NodeState::Failed { .. } | NodeState::NotReached);
                if !(parent.state.satisfies() || edge.settled && ended) {
                    return Err(format!("I3: {id} begins before {} is satisfied", parent.id));
                }
            }
            if plan.steps[edge.step].each.is_some() && !was_expanded(&ops[op].journal, &plan.steps[edge.step].id) {
                return Err(format!("I3: {id} begins before the elements of {} are known", plan.steps[edge.step].id));
            }
        }
        if step.finally.is_some() != matches!(operation.life, Life::Finishing { .. }) {
            return Err(format!("{id} begins in its wrong part of {:?}", operation.life));
        }
        batch_has_room(plan, operation, &ops[op].journal, node)?;
        if let Some(parallel) = step.parallel {
            let at_work = operation.nodes.iter().filter(|other| other.step == node.step);
            let at_work = at_work.filter(|other| matches!(other.state, NodeState::Running { .. })).count();
            if at_work > parallel as usize {
                return Err(format!("{id} begins as one of {at_work} at once; parallel is {parallel}"));
            }
        }
    } else if !matches!(&node.state, NodeState::Undoing { what: Undo::Half, .. }) {
        for later in &operation.nodes {
            let has_undo = plan.steps[later.step].undo.is_some();
            let there = matches!(
                later.state,
                NodeState::Succeeded(_)
                    | NodeState::Running { .. }
                    | NodeState::Undoing { .. }
                    | NodeState::UndoFailed { .. }
            );
            if has_undo && there && reaches(plan, operation, id, &later.id) {
                return Err(format!("I7: {id} is undone before {}, which is {}", later.id, later.state.word()));
            }
        }
    }
    Ok(())
}

/// No other node that shares a lock has a job that runs, in any operation.
fn locks_are_free(ops: &[Op], op: usize, hosts: &Hosts, node: &Node) -> Result<(), String> {
    let locks_of = |op: usize, id: &NodeId| -> BTreeSet<String> {
        let Some(operation) = &ops[op].durable else { return BTreeSet::new() };
        let Some(node) = operation.node(id) else { return BTreeSet::new() };
        let scope = CoreScope { operation, node: Some(node) };
        let locks = operation.step_of(node).locks.iter().filter_map(|lock| render(lock, &scope).ok());
        locks.map(|lock| lock.text).collect()
    };
    let ours = locks_of(op, &node.id);
    let last = ops[op].plan.steps[node.step].finally.is_some() || matches!(node.state, NodeState::Undoing { .. });
    if ours.is_empty() {
        return Ok(());
    }
    for ((other, id), _) in hosts.running() {
        // What was given up while its host could not be reached holds nothing, though it may still run.
        let state = ops[*other].durable.as_ref().and_then(|operation| operation.node(id)).map(|node| &node.state);
        let holds = matches!(
            state,
            Some(NodeState::Running { .. } | NodeState::Undoing { .. } | NodeState::Indeterminate { .. })
        );
        // What comes last, or is undone, does not wait for a node of its own operation that could not be reached.
        let same = *other == op && (*id == node.id || last);
        if !same && holds && !ops[*other].killed {
            let theirs = locks_of(*other, id);
            if let Some(lock) = ours.intersection(&theirs).next() {
                return Err(format!(
                    "`{lock}` is held by {id} of operation {other}, which runs ({state:?}), and {} of {op} begins",
                    node.id
                ));
            }
        }
    }
    Ok(())
}

/// No more hosts are inside a group than the largest batch allows, and the gate after the first batch was opened.
fn batch_has_room(plan: &Plan, operation: &Operation, journal: &[Entry], node: &Node) -> Result<(), String> {
    let Some(index) = plan.steps[node.step].group else { return Ok(()) };
    let group = &plan.groups[index];
    let slots = &plan.roles[&group.role].slots;
    let of = |slot: &String| {
        let nodes = operation.nodes.iter().filter(|node| plan.steps[node.step].group == Some(index));
        nodes.filter(|node| node.id.key == *slot).collect::<Vec<_>>()
    };
    // What was begun since a person last set it going after a rest.
    let rest = |entry: &Entry| matches!(entry.event, Event::Retried { .. } | Event::Reset { .. });
    let since = journal.iter().rposition(rest).map_or(0, |at| at + 1);
    let begun: BTreeSet<&NodeId> = journal[since..]
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Started { node, .. } => Some(node),
            _ => None,
        })
        .collect();
    let over = |state: &NodeState| {
        matches!(
            state,
            NodeState::Succeeded(_)
                | NodeState::Skipped(_)
                | NodeState::Failed { .. }
                | NodeState::NotReached
                | NodeState::Undone
        )
    };
    let inside = slots.iter().filter(|slot| {
        let nodes = of(slot);
        nodes.iter().any(|node| begun.contains(&node.id)) && !nodes.iter().all(|node| over(&node.state))
    });
    let entered = slots.iter().filter(|slot| of(slot).iter().any(|node| begun.contains(&node.id))).count();
    let inside: Vec<&String> = inside.collect();
    passes_by_text(operation, group, node, &inside, &|slot| of(slot).iter().all(|node| over(&node.state)))?;
    let inside = inside.len();
    let largest = group.sizes.iter().copied().max().unwrap_or(u32::MAX) as usize;
    if inside > largest {
        return Err(format!("{} begins as one of {inside} hosts in a group of batches {:?}", node.id, group.sizes));
    }
    if let (Some(gate), Some(&first)) = (group.gate, group.sizes.first())
        && entered > first as usize
        && !operation.nodes.iter().filter(|node| node.step == gate).all(|node| node.state.satisfies())
    {
        return Err(format!("{} begins behind a gate that is not open", node.id));
    }
    Ok(())
}

/// The host is one that the role's `where` lets pass; all that are inside have its text in common, and all of texts that come
/// before have left.
fn passes_by_text(
    operation: &Operation,
    group: &Group,
    node: &Node,
    inside: &[&String],
    left: &dyn Fn(&String) -> bool,
) -> Result<(), String> {
    let ask = |expr: &Option<Expr>, slot: &String| {
        let node = operation.nodes.iter().find(|node| node.slot.as_ref() == Some(slot));
        expr.as_ref().and_then(|expr| eval(expr, &CoreScope { operation, node }).ok())
    };
    let passes = |slot: &String| ask(&group.filter, slot) != Some(Value::Bool(false));
    let text = |slot: &String| ask(&group.by, slot);
    let own = &node.id.key;
    if !passes(own) {
        return Err(format!("{} begins where the role's `where` is false", node.id));
    }
    if let Some(other) = inside.iter().find(|slot| text(slot) != text(own)) {
        return Err(format!("{} begins while {other} of another text is inside", node.id));
    }
    let slots = operation.plan.roles[&group.role].slots.iter().filter(|slot| passes(slot));
    let before: Vec<_> = slots.clone().map(text).take_while(|text_| *text_ != text(own)).collect();
    match slots.clone().find(|slot| group.by.is_some() && before.contains(&text(slot)) && !left(slot)) {
        Some(other) => Err(format!("{} begins before {other}, whose text comes first, has left", node.id)),
        None => Ok(()),
    }
}

fn was_expanded(journal: &[Entry], step: &str) -> bool {
    journal.iter().any(|entry| matches!(&entry.event, Event::Expanded { step: of, .. } if of == step))
}

fn parents<'a>(operation: &'a Operation, plan: &Plan, step: usize, kind: EdgeKind, key: &str) -> Vec<&'a Node> {
    let id = &plan.steps[step].id;
    let nodes = operation.nodes.iter();
    nodes.filter(|node| node.id.step == *id && (kind == EdgeKind::Barrier || node.id.key == key)).collect()
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

/// Whether a person has said of a node what hosts do not know.
fn said_by_a_person(journal: &[Entry], id: &NodeId) -> bool {
    journal.iter().any(|entry| match &entry.event {
        Event::Marked { node, .. }
        | Event::Skipped { node, why: Skip::ByOperator { .. } }
        | Event::UndoSkipped { node, why: UndoSkip::ByOperator { .. } } => node == id,
        _ => false,
    })
}

/// What must be so when an operation has ended for good.
pub fn ended(op: usize, operation: &Operation, journal: &[Entry], hosts: &Hosts, killed: bool) -> Result<(), String> {
    let there = |node: &NodeId| hosts.is_there(&(op, node.clone()));
    let states: BTreeMap<String, &str> =
        operation.nodes.iter().map(|node| (node.id.to_string(), node.state.word())).collect();
    for node in &operation.nodes {
        let step = operation.step_of(node);
        let no_job = matches!(step.action, Action::Wait { .. } | Action::Gate { .. } | Action::Assert { .. });
        let runs_jobs = !no_job && !step.action.is_record();
        let told = said_by_a_person(journal, &node.id);
        let (body, has_undo) = (step.finally.is_none(), step.undo.is_some());
        match (&operation.life, &node.state) {
            (Life::Completed { .. }, NodeState::Succeeded(_)) if runs_jobs && !told && !there(&node.id) => {
                return Err(format!("{} succeeded and its effect is not there", node.id));
            }
            (Life::Completed { .. }, state) if !state.satisfies() => {
                return Err(format!("completed with {states:?}"));
            }
            // Nobody but us has effects here: whatever a step with an undo left is undone, however it came to be.
            (Life::RolledBack, state) if body && has_undo && !told && there(&node.id) => {
                return Err(format!("rolled back, and the effect of {}, {}, is there", node.id, state.word()));
            }
            (Life::RolledBack, NodeState::Succeeded(_) | NodeState::Running { .. } | NodeState::Undoing { .. })
                if body =>
            {
                return Err(format!("rolled back with {states:?}"));
            }
            _ => {}
        }
        if hosts.running_of(&(op, node.id.clone())) > 0 && !killed && node.may_run.is_empty() && !told {
            return Err(format!("the operation has ended while {} runs", node.id));
        }
    }
    finally_ran(operation, journal)
}

/// Where an end was followed by steps of `finally`, those that are for every end were run or failed.
fn finally_ran(operation: &Operation, journal: &[Entry]) -> Result<(), String> {
    let ran = |entry: &Entry| matches!(entry.event, Event::Finally { .. });
    let cancelled_after = |from: usize| {
        journal[from..].iter().any(|entry| {
            matches!(
                entry.event,
                Event::Reset { .. }
                    | Event::CancelAsked { .. }
                    | Event::Killed { .. }
                    | Event::Skipped { why: Skip::ByOperator { .. }, .. }
            )
        })
    };
    let Some(last) = journal.iter().rposition(ran) else {
        let wanted = operation.plan.steps.iter().any(|step| step.finally.is_some());
        let ended_by_itself = matches!(operation.life, Life::Completed { .. } | Life::RolledBack);
        return if wanted && ended_by_itself { Err("`finally` was left out".to_owned()) } else { Ok(()) };
    };
    for node in operation.nodes.iter().filter(|node| operation.step_of(node).finally.is_some()) {
        let over = matches!(
            node.state,
            NodeState::Succeeded(_) | NodeState::Skipped(_) | NodeState::Failed { .. } | NodeState::NotReached
        );
        if !over && !cancelled_after(last) {
            return Err(format!("{} of `finally` is {} in the end", node.id, node.state.word()));
        }
    }
    Ok(())
}
