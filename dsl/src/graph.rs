//! What waits for what: the edges between steps, and an order that respects them.
//!
//! Edges come from `needs` and from references (`steps.x.out.y`). The order is stable: of the steps that may stand next,
//! the one that comes first in the file does. No edge leads into `finally` or out of it, so its steps, the last of the
//! file, are the last of the order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::ops::Range;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::code::Code;
use crate::declared::{ActionDecl, ActionKind, Declared, Need, NeedDecl, OutFrom, StepDecl, UntilDecl, WithDecl};
use crate::diagnostic::{Diagnostic, Sink};
use crate::expression::{Syntax, TemplateSyntax};
use crate::host_facts::{self, Whose};
use crate::plan::{EdgeKind, EdgeOrigin, OnFailure};
use crate::source::{Spanned, quote};
use crate::{admission, limits};

/// How many edges of a cycle are pointed at; a longer one is cut.
pub(crate) const CYCLE_SHOWN: usize = 12;

/// The edges and the order. Steps are named by their index in the file.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// For each step, what it waits for.
    pub(crate) edges: Vec<BTreeMap<usize, Edge>>,
    /// The steps in order.
    pub(crate) order: Vec<usize>,
    /// Where each step stands in the order.
    pub(crate) position: Vec<usize>,
}

/// An edge, and where in the file it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) origin: EdgeOrigin,
    pub(crate) how: Need,
    pub(crate) span: Range<usize>,
}

impl Edge {
    pub(crate) fn reference(span: Range<usize>) -> Edge {
        Edge { origin: EdgeOrigin::Reference, how: Need::Success, span }
    }

    /// How the nodes of two steps of the file are matched by it.
    pub(crate) fn kind(&self, declared: &Declared, step: usize, other: usize) -> EdgeKind {
        match self.how {
            Need::Success | Need::Settled if declared.is_keyed(step, other) => EdgeKind::Keyed,
            Need::Success | Need::Settled | Need::All => EdgeKind::Barrier,
        }
    }
}

/// Finds the edges; reports unknown steps in `needs`, and cycles.
pub(crate) fn build(declared: &Declared, sink: &mut Sink) -> Graph {
    let mut left = Some(limits::EDGES);
    let mut parts = 0;
    let mut edges: Vec<_> = declared
        .steps
        .iter()
        .enumerate()
        .map(|(i, step)| edges(i, step, declared, &mut left, &mut parts, sink))
        .collect();
    host_facts::wait_for_logins(declared, &mut edges);
    let order = order(&edges);
    if order.len() < edges.len() {
        report_cycles(declared, &edges, sink);
        // Nothing will run; an order is needed only to go on checking.
        let order: Vec<usize> = (0..edges.len()).collect();
        return Graph { edges, position: order.clone(), order };
    }
    let mut position = vec![0; order.len()];
    for (at, step) in order.iter().enumerate() {
        position[*step] = at;
    }
    admission::check(declared, &edges, sink);
    Graph { edges, order, position }
}

fn edges(
    index: usize,
    step: &StepDecl,
    declared: &Declared,
    // How many more there may be; nothing after it was said that there are too many.
    left: &mut Option<usize>,
    // How much was written out of named values. Over its limit none is looked into: that is said when they are checked.
    parts: &mut usize,
    sink: &mut Sink,
) -> BTreeMap<usize, Edge> {
    let mut edges = BTreeMap::new();
    let is_final = |step: usize| declared.steps[step].finally.is_some();
    for need in &step.needs {
        let Some(others) = declared.needed(&need.id.value) else {
            report_unknown(step, &need.id, declared, sink);
            continue;
        };
        check_settled(step, need, others, declared, sink);
        let need = (need.how, &need.id);
        // All steps of a group are in the body.
        match (step.finally.is_some(), others.first().is_some_and(|other| is_final(*other))) {
            (true, false) if !others.is_empty() => {
                let message = format!("`needs` has no effect in {}, which stands in `finally`", step.title());
                let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&need.1.span, "over already").help(
                    "a step of `finally` begins when everything outside of it is over; it can need others of `finally`",
                );
                sink.push(diagnostic);
                continue;
            }
            (false, true) => {
                let message = format!("{} needs {}, a step of `finally`", step.title(), quote(&need.1.value));
                let diagnostic =
                    Diagnostic::error(Code::WaitsForFinally, message).at(&need.1.span, "begins when all else is over");
                sink.push(diagnostic.help(format!("move {} into `finally` too", step.title())));
                continue;
            }
            _ => {}
        }
        let Some(enough) = left.and_then(|left| left.checked_sub(others.len())) else {
            // Once is enough.
            if left.take().is_some() {
                let message = format!("the workflow has more than {} edges between its steps", limits::EDGES);
                sink.push(Diagnostic::error(Code::OutOfLimits, message).at(&need.1.span, "one too many"));
            }
            continue;
        };
        *left = Some(enough);
        for other in others {
            edges.entry(*other).or_insert(Edge { origin: EdgeOrigin::Needs, how: need.0, span: need.1.span.clone() });
        }
    }
    let mut read = |other: Option<&usize>, span: Range<usize>| {
        if let Some(other) = other
            // A step that reads itself may do so in `undo`, and is told so anywhere else.
            && *other != index
            && is_final(*other) == step.finally.is_some()
        {
            edges.entry(*other).or_insert(Edge::reference(span));
        }
    };
    let facts = |whose: &Whose| match whose {
        Whose::Own => declared.facts.get(step.role()?),
        Whose::Role(role) => declared.facts.get(role),
    };
    let mut visit = |syntax: &Syntax| {
        syntax.walk(&mut |syntax| {
            let Some(path) = syntax.path() else { return };
            let [root, name, ..] = path.as_slice() else { return };
            let span = root.span.start..name.span.end.max(root.span.start);
            match root.value {
                "steps" => read(declared.step_ids.get(name.value), span),
                "host" | "roles" => {
                    host_facts::read_in(syntax, &declared.lets)
                        .iter()
                        .for_each(|whose| read(facts(whose), span.clone()));
                }
                "let" => {
                    let Some(decl) = declared.lets.get(name.value) else { return };
                    *parts = parts.saturating_add(decl.size.parts);
                    if *parts <= limits::LET_PARTS_ALL {
                        decl.steps.iter().for_each(|id| read(declared.step_ids.get(id), span.clone()));
                        decl.facts.iter().for_each(|whose| read(facts(whose), span.clone()));
                    }
                }
                _ => {}
            }
        });
    };
    visit_expressions(step, &mut visit);
    per_host(step, declared).for_each(visit);
    edges
}

/// What is asked of a host before a step may begin on it: the `where` of its role, the `by` of its batch.
pub(crate) fn per_host<'a>(step: &'a StepDecl, declared: &'a Declared) -> impl Iterator<Item = &'a Syntax> {
    let filter = host_facts::filter_of(step, declared);
    let group = step.group.map(|group| &declared.groups[group]);
    let by = group.and_then(|group| group.batch.by.as_ref());
    filter.into_iter().chain(by).map(|per_host| &per_host.syntax)
}

/// `Settled` of something whose failure stops everything waits for what never comes.
fn check_settled(step: &StepDecl, need: &NeedDecl, others: &[usize], declared: &Declared, sink: &mut Sink) {
    let goes_on = |other: &usize| {
        let other = &declared.steps[*other];
        let continues = |lowered: &crate::lower::Lowered| lowered.step.on_failure == OnFailure::Continue;
        let called = other.call.as_ref().and_then(|call| call.callee.as_ref());
        other.on_failure == OnFailure::Continue
            || other.broken
            || called.is_some_and(|callee| callee.steps.iter().any(continues))
    };
    if need.how != Need::Settled || others.is_empty() || others.iter().any(goes_on) {
        return;
    }
    let what = quote(&need.id.value);
    let message = format!("`Settled` has no effect in {}: when {what} fails, nothing more begins", step.title());
    let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&need.id.span, "its failure stops everything");
    sink.push(
        diagnostic
            .help(format!("give {what} `on_failure: Continue`, so that others go on when it fails"))
            .help("or move the step into `finally`, which comes after every end"),
    );
}

fn report_unknown(step: &StepDecl, need: &Spanned<String>, declared: &Declared, sink: &mut Sink) {
    if declared.has_unread_steps {
        return;
    }
    let known = declared.step_ids.keys().chain(declared.group_ids.keys()).map(String::as_str);
    let mut names: Vec<&str> = if sink.is_full() { Vec::new() } else { known.collect() };
    names.sort_unstable();
    let nearest = sink.nearest(&need.value, names);
    let message = format!("{} needs {}, which no step is called", step.title(), quote(&need.value));
    let diagnostic = Diagnostic::error(Code::UnknownStep, message).at(&need.span, "not a step of this workflow");
    let what = |nearest: &str| if declared.step_ids.contains_key(nearest) { "step" } else { "group" };
    sink.push(diagnostic.helps(nearest.map(|nearest| format!("a {} is called `{nearest}`", what(nearest)))));
}

/// Kahn's algorithm with the smallest index first. Shorter than `edges` where there is a cycle.
pub(crate) fn order(edges: &[BTreeMap<usize, Edge>]) -> Vec<usize> {
    let mut waiting: Vec<usize> = edges.iter().map(BTreeMap::len).collect();
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (step, needs) in edges.iter().enumerate() {
        for need in needs.keys() {
            dependents[*need].push(step);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..edges.len()).filter(|i| waiting[*i] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(edges.len());
    while let Some(Reverse(step)) = ready.pop() {
        order.push(step);
        for dependent in &dependents[step] {
            waiting[*dependent] -= 1;
            if waiting[*dependent] == 0 {
                ready.push(Reverse(*dependent));
            }
        }
    }
    order
}

fn report_cycles(declared: &Declared, edges: &[BTreeMap<usize, Edge>], sink: &mut Sink) {
    for cycle in cycles(edges) {
        report_cycle(declared, edges, &cycle, sink);
    }
}

/// For each knot of edges a shortest cycle in it, its first element repeated at the end.
pub(crate) fn cycles(edges: &[BTreeMap<usize, Edge>]) -> Vec<Vec<usize>> {
    let mut graph = DiGraph::<(), (), usize>::default();
    for _ in edges {
        graph.add_node(());
    }
    for (step, needs) in edges.iter().enumerate() {
        for need in needs.keys() {
            graph.add_edge(NodeIndex::new(step), NodeIndex::new(*need), ());
        }
    }
    let mut knots: Vec<Vec<usize>> = kosaraju_scc(&graph)
        .into_iter()
        .map(|knot| knot.into_iter().map(NodeIndex::index).collect())
        .filter(|knot: &Vec<usize>| knot.len() > 1 || edges[knot[0]].contains_key(&knot[0]))
        .collect();
    knots.iter_mut().for_each(|knot| knot.sort_unstable());
    knots.sort_unstable();
    knots.iter().map(|knot| shortest_cycle(knot, edges)).collect()
}

/// The shortest way from the first step of a knot back to it.
fn shortest_cycle(knot: &[usize], edges: &[BTreeMap<usize, Edge>]) -> Vec<usize> {
    let (start, inside) = (knot[0], knot.iter().copied().collect::<HashSet<_>>());
    let mut came_from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(step) = queue.pop_front() {
        for need in edges[step].keys().copied().filter(|need| inside.contains(need)) {
            if need == start {
                let (mut cycle, mut at) = (vec![start], step);
                while at != start {
                    cycle.push(at);
                    at = came_from[&at];
                }
                cycle.push(start);
                cycle.reverse();
                return cycle;
            }
            if let std::collections::hash_map::Entry::Vacant(new) = came_from.entry(need) {
                new.insert(step);
                queue.push_back(need);
            }
        }
    }
    vec![start, start]
}

/// Reports a cycle, given as steps of which each waits for the next.
fn report_cycle(declared: &Declared, edges: &[BTreeMap<usize, Edge>], cycle: &[usize], sink: &mut Sink) {
    let name = |step: &usize| declared.steps[*step].id.as_ref().map_or("?", |id| id.value.as_str());
    let mut shown: Vec<&str> = cycle.iter().take(CYCLE_SHOWN).map(name).collect();
    if cycle.len() > CYCLE_SHOWN {
        shown.extend(["…", name(&cycle[0])]);
    }
    let message = match cycle.len() {
        2 => format!("{} waits for itself", declared.steps[cycle[0]].title()),
        _ => format!("steps wait for each other in a circle: `{}`", shown.join(" → ")),
    };
    let mut diagnostic = Diagnostic::error(Code::Cycle, message);
    for pair in cycle.windows(2).take(CYCLE_SHOWN) {
        if let Some(edge) = edges[pair[0]].get(&pair[1]) {
            let how = match edge.origin {
                EdgeOrigin::Needs => "needs",
                EdgeOrigin::Reference => "reads",
            };
            diagnostic = diagnostic.at(&edge.span, format!("`{}` {how} `{}`", name(&pair[0]), name(&pair[1])));
        }
    }
    sink.push(diagnostic.help("remove one of these edges"));
}

/// Calls `visit` with every expression of a step that may read another step; what is fixed when the plan is made may not.
pub(crate) fn visit_expressions<'a>(step: &'a StepDecl, visit: &mut dyn FnMut(&'a Syntax)) {
    step.when.iter().chain(step.each.as_ref().map(|each| &each.syntax)).for_each(&mut *visit);
    let templates = step.env.iter().map(|(_, template)| template).chain(&step.stdin).chain(&step.as_user);
    let files = step.out.iter().filter_map(|(_, out)| match &out.as_ref()?.from {
        OutFrom::File(path) => Some(path),
        OutFrom::Stdout
        | OutFrom::Regex(_)
        | OutFrom::Json(_)
        | OutFrom::ExitIs { .. }
        | OutFrom::Status
        | OutFrom::Header(_) => None,
    });
    let templates = templates.chain(&step.cwd).chain(files).chain(&step.locks);
    templates.flat_map(TemplateSyntax::expressions).for_each(&mut *visit);
    for action in [&step.probe, &step.action, &step.undo].into_iter().flatten() {
        visit_action(action, visit);
    }
    let with = step.call.iter().flat_map(|call| &call.with).filter_map(|(_, value)| match value {
        WithDecl::Text(text) => Some(text),
        WithDecl::Word(_) => None,
    });
    with.flat_map(TemplateSyntax::expressions).for_each(visit);
}

fn visit_action<'a>(action: &'a ActionDecl, visit: &mut dyn FnMut(&'a Syntax)) {
    let mut templates: Vec<&'a TemplateSyntax> = Vec::new();
    match &action.kind {
        ActionKind::Run { argv: list } | ActionKind::Local { argv: list } | ActionKind::Script { args: list, .. } => {
            templates.extend(list);
        }
        ActionKind::Shell { .. } => {}
        ActionKind::Upload { from, to, mode: _ } => templates.extend(from.iter().chain(to)),
        ActionKind::Wait { until: Some(UntilDecl::Http { url, status: _, ca }), .. } => {
            templates.extend(url.iter().chain(ca));
        }
        ActionKind::Wait { until: Some(UntilDecl::Tls(tls)), .. } => templates.extend(tls.name.iter().chain(&tls.ca)),
        ActionKind::Wait { until: Some(UntilDecl::Command { argv }), .. } => templates.extend(argv),
        ActionKind::Wait { until: Some(UntilDecl::Ssh | UntilDecl::Tcp { .. }) | None, .. } => {}
        ActionKind::Assert(assert) => return assert.visit(visit),
        ActionKind::Http(request) => return request.visit(visit),
        ActionKind::Notify(notice) => return notice.visit(visit),
        ActionKind::Gate(gate) => templates.extend(&gate.text),
        ActionKind::Record(record) => return record.visit(visit),
        ActionKind::Forget(of) => templates.extend(&of.name),
        ActionKind::WriteFiles { files } => return files.iter().for_each(|file| file.visit(visit)),
        ActionKind::PatchFile(patch) => return patch.visit(visit),
        ActionKind::Download(download) => templates.extend(download.from.iter().chain(&download.to)),
        ActionKind::Copy(copy) => templates.extend(copy.templates()),
        ActionKind::Reboot { .. } | ActionKind::Restore | ActionKind::Facts => {}
    }
    templates.into_iter().flat_map(TemplateSyntax::expressions).for_each(visit);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_pairs(n: usize, pairs: &[(usize, usize)]) -> Vec<BTreeMap<usize, Edge>> {
        let mut edges = vec![BTreeMap::new(); n];
        for (step, need) in pairs {
            edges[*step].insert(*need, Edge::reference(0..0));
        }
        edges
    }

    #[test]
    fn a_shortest_cycle_is_found_among_several() {
        let edges = from_pairs(5, &[(0, 1), (1, 2), (2, 3), (3, 0), (2, 0), (4, 0)]);
        assert_eq!(order(&edges), Vec::<usize>::new());
        assert_eq!(shortest_cycle(&[0, 1, 2, 3], &edges), [0, 1, 2, 0]);
    }

    #[test]
    fn a_long_chain_is_ordered_without_recursion() {
        let n = 10_000;
        let pairs: Vec<_> = (0..n - 1).map(|i| (i, i + 1)).collect();
        let order = order(&from_pairs(n, &pairs));
        assert_eq!(order.first(), Some(&(n - 1)));
        assert_eq!(order.len(), n);
    }
}
