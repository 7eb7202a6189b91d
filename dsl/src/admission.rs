//! Whether the hosts of a role can pass through a group one after the other.
//!
//! Admission is no edge: a host enters a group when a place is free, that is, when another one has left. So a workflow
//! whose steps wait for each other in no circle may still stand still for ever: host 1 is in the group and waits for
//! something that waits for host 2. Two hosts of each role are enough to see that: the nodes of a step for host 2 of a
//! group wait for all nodes of the group for host 1, and a circle among these nodes is such a standstill. As the steps
//! alone have none, each goes through an admission.

use std::collections::{BTreeMap, HashMap, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::code::Code;
use crate::declared::{Declared, GroupDecl};
use crate::diagnostic::{Diagnostic, Sink};
use crate::graph::Edge;
use crate::plan::EdgeKind;
use crate::source::quote;

/// Hosts that are looked at.
const HOSTS: usize = 2;

type Nodes = DiGraph<(), (), usize>;

/// Reports groups that would let no second host in.
pub(crate) fn check(declared: &Declared, edges: &[BTreeMap<usize, Edge>], sink: &mut Sink) {
    let rolling = |group: &&GroupDecl| {
        !group.batch.sizes.is_empty() && declared.may_have_several(group.over.as_ref().map(|over| over.value.as_str()))
    };
    let groups: Vec<&GroupDecl> = declared.groups.iter().filter(rolling).collect();
    if groups.is_empty() {
        return;
    }
    let nodes = nodes(declared, edges, &groups);
    let knots = kosaraju_scc(&nodes);
    let mut stuck: HashMap<usize, usize> = HashMap::new();
    for (number, knot) in knots.iter().enumerate().filter(|(_, knot)| knot.len() > 1) {
        stuck.extend(knot.iter().map(|node| (node.index(), number)));
    }
    let mut reported = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        let left = node_of_left(declared, at);
        // One report for each knot: its groups hold up each other.
        if let Some(knot) = stuck.get(&left).filter(|knot| !reported.contains(*knot)) {
            reported.push(*knot);
            report(declared, edges, group, &circle(&nodes, left), sink);
        }
    }
}

/// Each node points to what it waits for. Node `2 i` is step `i` for host 1, or for all that it runs for where that is not
/// several hosts; node `2 i + 1` is step `i` for host 2; behind them, one node for each group: host 1 has left it.
fn nodes(declared: &Declared, edges: &[BTreeMap<usize, Edge>], groups: &[&GroupDecl]) -> Nodes {
    let mut nodes = Nodes::default();
    for _ in 0..HOSTS * declared.steps.len() + groups.len() {
        nodes.add_node(());
    }
    let mut wait = |a: usize, b: usize| {
        nodes.add_edge(NodeIndex::new(a), NodeIndex::new(b), ());
    };
    let hosts = |step: usize| {
        let step = &declared.steps[step];
        if !step.has_each && declared.may_have_several(step.role()) { HOSTS } else { 1 }
    };
    for (step, needs) in edges.iter().enumerate() {
        for (need, edge) in needs {
            for host in 0..hosts(step) {
                if edge.kind(declared, step, *need) == EdgeKind::Keyed {
                    wait(HOSTS * step + host, HOSTS * need + host);
                } else {
                    (0..hosts(*need)).for_each(|other| wait(HOSTS * step + host, HOSTS * need + other));
                }
            }
        }
    }
    for (at, group) in groups.iter().enumerate() {
        let left = node_of_left(declared, at);
        for step in &group.steps {
            wait(left, HOSTS * step);
            wait(HOSTS * step + 1, left);
        }
    }
    nodes
}

fn node_of_left(declared: &Declared, group: usize) -> usize {
    HOSTS * declared.steps.len() + group
}

/// The shortest way from a node back to it: nodes of which each waits for the next.
fn circle(nodes: &Nodes, start: usize) -> Vec<usize> {
    let mut came_from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let mut next: Vec<usize> = nodes.neighbors(NodeIndex::new(node)).map(NodeIndex::index).collect();
        next.sort_unstable();
        for need in next {
            if need == start {
                let (mut circle, mut at) = (vec![start], node);
                while at != start {
                    circle.push(at);
                    at = came_from[&at];
                }
                circle.push(start);
                circle.reverse();
                return circle;
            }
            came_from.entry(need).or_insert_with(|| {
                queue.push_back(need);
                node
            });
        }
    }
    vec![start]
}

fn report(declared: &Declared, edges: &[BTreeMap<usize, Edge>], group: &GroupDecl, circle: &[usize], sink: &mut Sink) {
    let name = |step: usize| declared.steps[step].id.as_ref().map_or("?", |id| id.value.as_str());
    let group = quote(&group.id.value);
    let message = format!("no second host can ever enter {group}");
    let mut diagnostic = Diagnostic::error(Code::GroupStuck, message);
    let steps = HOSTS * declared.steps.len();
    let mut way: Vec<&str> = Vec::new();
    for pair in circle.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        if b < steps && way.last() != Some(&name(b / HOSTS)) {
            way.push(name(b / HOSTS));
        }
        if a >= steps || b >= steps {
            continue;
        }
        let (a, b) = (a / HOSTS, b / HOSTS);
        if let Some(edge) = edges[a].get(&b) {
            let keyed = edge.kind(declared, a, b) == EdgeKind::Keyed;
            let all = match keyed || !declared.may_have_several(declared.steps[b].role()) {
                true => "",
                false => " on all hosts",
            };
            diagnostic = diagnostic.at(&edge.span, format!("`{}` waits for `{}`{all}", name(a), name(b)));
        }
    }
    sink.push(
        diagnostic
            .help(format!(
                "host 2 cannot enter {group} before host 1 has left it, and host 1 waits for what waits for host 2"
            ))
            .help(format!("by way of `{}`", way.join(" → ")))
            .help("take the step that waits out of the group, or split the group into two"),
    );
}
