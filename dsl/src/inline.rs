//! Calls are written out: the steps of a workflow that is called become steps of the caller, so that there is one plan, one
//! journal, one recovery.
//!
//! A step `run` of a call `install` is called `install/run`. It reads what was handed on instead of inputs, runs on the
//! caller's roles, and waits for what the call waits for; who waits for the call waits for all that nothing of it waits
//! for. What stood in a place without a host – the values handed on, the outputs of the callee – reads all nodes of a step
//! there, and goes on doing so in the step that it comes to ([`Expr::Everywhere`]).
//!
//! Invariant: edges point backwards, as before: the steps of a call stand where the call stood, those of its `finally` last.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::assets::Assets;
use crate::code::Code;
use crate::declared::{Declared, Named, RoleDecl, RoleKind};
use crate::diagnostic::{Diagnostic, Sink};
use crate::expr::{Binary, Expr};
use crate::limits;
use crate::lower::{Called, Lowered, Passed, Whole, steps_read, text_of};
use crate::plan::exprs::{change, change_template};
use crate::plan::{Edge, EdgeKind, EdgeOrigin, Group, Step};
use crate::roles::{parts, together};
use crate::value::Value;

/// A workflow with its calls written out.
pub(crate) struct Inlined {
    pub(crate) steps: Vec<Lowered>,
    pub(crate) whole: Whole,
    pub(crate) inputs: Named<crate::declared::InputDecl>,
    /// Those of callees that records fill are among them.
    pub(crate) roles: Named<RoleDecl>,
    pub(crate) assets: Assets,
    pub(crate) passed: Vec<Passed>,
}

/// What became of a step of the caller.
enum Moved {
    Step(usize),
    Call {
        /// The steps of it that nothing of it waits for.
        ends: Vec<usize>,
        outputs: BTreeMap<String, Expr>,
    },
}

/// Writes all calls out.
pub(crate) fn inline(
    steps: Vec<Lowered>,
    whole: Whole,
    assets: Assets,
    declared: &Declared,
    sink: &mut Sink,
) -> Inlined {
    let (mut inputs, mut roles) = (declared.inputs.clone(), declared.roles.clone());
    if steps.iter().all(|lowered| lowered.call.is_none()) {
        return Inlined { steps, whole, inputs, roles, assets, passed: Vec::new() };
    }
    let several: Vec<bool> = steps.iter().map(|lowered| is_several(&lowered.step, declared)).collect();
    let mut out = Writing::new(&steps, whole, assets);
    for (at, lowered) in steps.into_iter().enumerate() {
        match lowered.call {
            None => out.step(at, lowered),
            Some(ref call) => {
                for input in &call.drawn {
                    inputs.insert(&input.name.value.clone(), input.clone());
                }
                for role in &call.own_roles {
                    roles.insert(&role.name.value.clone(), role.clone());
                }
                out.call(at, &lowered, call, &several);
            }
        }
    }
    let Writing { steps, last, mut whole, moved, assets, passed, groups, gates, too_large, .. } = out;
    for (input, at) in too_large {
        let message =
            format!("what is handed on as `{input}` has more than {} parts when it is written out", limits::LET_PARTS);
        sink.push(Diagnostic::error(Code::OutOfLimits, message).at(&at, "in this call"));
    }
    for (group, gate) in gates {
        whole.groups[group].gate = gate.map(|gate| only_step(&moved, gate));
    }
    for (group, by) in groups {
        whole.groups.push(group);
        whole.by.push(by);
    }
    for template in whole.outputs.values_mut() {
        change_template(template, &mut |expr| follow(expr, &moved, false));
    }
    let mut all: Vec<Lowered> = steps.into_iter().chain(last).flatten().collect();
    complete_edges(&mut all);
    check_limits(&all, &whole, &assets, sink);
    Inlined { steps: all, whole, inputs, roles, assets, passed }
}

/// Whether a step gives a value for each of its nodes where it is read from a place without a host.
fn is_several(step: &Step, declared: &Declared) -> bool {
    let kind = step.role.as_ref().and_then(|role| declared.role_kind(role));
    step.each.is_some() || !matches!(kind, Some(RoleKind::One) | None)
}

fn only_step(moved: &BTreeMap<usize, Moved>, at: usize) -> usize {
    match moved.get(&at) {
        Some(Moved::Step(step)) => *step,
        Some(Moved::Call { .. }) | None => at,
    }
}

/// What an expression of the caller means where its steps have moved. In `finally` what a callee put out may be absent.
fn follow(expr: &mut Expr, moved: &BTreeMap<usize, Moved>, last: bool) {
    let at = match expr {
        Expr::Out { step, .. } | Expr::StepState(step) | Expr::StepChanged(step) => step,
        _ => return,
    };
    match moved.get(at) {
        Some(Moved::Step(step)) => *at = *step,
        Some(Moved::Call { outputs, .. }) => {
            if let Expr::Out { name, .. } = expr {
                let output = outputs.get(name).cloned().unwrap_or(Expr::Literal(Value::None));
                *expr = if last { where_there(output) } else { output };
            }
        }
        None => {}
    }
}

/// An expression, and `none` where a step did not put out what it needs.
fn where_there(expr: Expr) -> Expr {
    let mut needed = Vec::new();
    needs_out(&expr, &mut needed);
    let there = |out: Expr| Expr::Binary(Binary::NotEqual, Box::new(out), Box::new(Expr::Literal(Value::None)));
    let all = needed.into_iter().map(there).reduce(|a, b| Expr::Binary(Binary::And, Box::new(a), Box::new(b)));
    match all {
        Some(all) => Expr::If(Box::new(all), Box::new(expr), Box::new(Expr::Literal(Value::None))),
        None => expr,
    }
}

/// The outputs of steps without which an expression has no value: those that it does not say another one for.
fn needs_out(expr: &Expr, needed: &mut Vec<Expr>) {
    match expr {
        Expr::Out { .. } => {
            if !needed.contains(expr) {
                needed.push(expr.clone());
            }
        }
        Expr::Coalesce(_, fallback) => needs_out(fallback, needed),
        // Of several nodes there is a map at least.
        Expr::Everywhere(_)
        | Expr::Literal(_)
        | Expr::Input(_)
        | Expr::StepState(_)
        | Expr::StepChanged(_)
        | Expr::Host(_)
        | Expr::Role { .. }
        | Expr::OperationId
        | Expr::OperationStartedAt
        | Expr::OperationState
        | Expr::OperationFailure
        | Expr::Instance { .. }
        | Expr::Each => {}
        Expr::Field(a, _) | Expr::Unary(_, a) => needs_out(a, needed),
        Expr::Index(a, b) | Expr::Binary(_, a, b) => [a, b].into_iter().for_each(|x| needs_out(x, needed)),
        Expr::If(a, b, c) => [a, b, c].into_iter().for_each(|x| needs_out(x, needed)),
        Expr::Call(_, list) | Expr::List(list) => list.iter().for_each(|x| needs_out(x, needed)),
    }
}

/// An expression of a place without a host, for a step: what it reads of several nodes it reads of all of them.
fn from_nowhere(mut expr: Expr, several: impl Fn(usize) -> bool) -> Expr {
    change(&mut expr, &mut |expr| everywhere(expr, &several));
    expr
}

/// What reads a step of several nodes reads all of them, wherever it comes to stand.
fn everywhere(expr: &mut Expr, several: impl Fn(usize) -> bool) {
    let reads = match expr {
        Expr::Out { step, .. } | Expr::StepState(step) | Expr::StepChanged(step) => several(*step),
        // What was written out before reads all of them already.
        Expr::Everywhere(inner) => {
            if let Expr::Everywhere(same) = &mut **inner {
                **inner = std::mem::replace(&mut **same, Expr::Each);
            }
            false
        }
        _ => false,
    };
    if reads {
        *expr = Expr::Everywhere(Box::new(std::mem::replace(expr, Expr::Each)));
    }
}

/// The plan while it is written.
struct Writing {
    /// Steps of the body by their place; one that is not written yet is empty.
    steps: Vec<Option<Lowered>>,
    /// Steps of `finally`, the caller's first.
    last: Vec<Option<Lowered>>,
    /// Where the steps of `finally` begin.
    body: usize,
    whole: Whole,
    moved: BTreeMap<usize, Moved>,
    assets: Assets,
    passed: Vec<Passed>,
    /// Groups of callees, behind those of the caller, each with the text of its `by`.
    groups: Vec<(Group, Option<String>)>,
    /// The caller's groups with their gates, by their place before.
    gates: Vec<(usize, Option<usize>)>,
    /// Inputs of calls whose values are too large to be written out wherever they are read.
    too_large: Vec<(String, Range<usize>)>,
}

impl Writing {
    fn new(steps: &[Lowered], whole: Whole, assets: Assets) -> Writing {
        let body = steps.iter().filter(|lowered| lowered.step.finally.is_none());
        let body = body.map(|lowered| lowered.call.as_ref().map_or(1, |call| body_of(call).count())).sum();
        let gates = whole.groups.iter().enumerate().map(|(at, group)| (at, group.gate)).collect();
        Writing {
            steps: Vec::new(),
            last: Vec::new(),
            body,
            whole,
            moved: BTreeMap::new(),
            assets,
            passed: Vec::new(),
            groups: Vec::new(),
            gates,
            too_large: Vec::new(),
        }
    }

    /// A step of the caller.
    fn step(&mut self, at: usize, mut lowered: Lowered) {
        let last = lowered.step.finally.is_some();
        let index = if last { self.body + self.last.len() } else { self.steps.len() };
        self.moved.insert(at, Moved::Step(index));
        let edges = std::mem::take(&mut lowered.step.needs);
        lowered.step.needs = self.edges(&edges, &lowered.step);
        let moved = &self.moved;
        lowered.step.change(&mut |expr| follow(expr, moved, last));
        if last { self.last.push(Some(lowered)) } else { self.steps.push(Some(lowered)) }
    }

    /// What edges to steps of the caller mean for a step.
    fn edges(&self, edges: &[Edge], step: &Step) -> Vec<Edge> {
        let mut all: BTreeMap<usize, Edge> = BTreeMap::new();
        for edge in edges {
            let targets = match self.moved.get(&edge.step) {
                Some(Moved::Step(step)) => std::slice::from_ref(step),
                Some(Moved::Call { ends, .. }) => ends.as_slice(),
                None => &[],
            };
            for &target in targets {
                let kind = match edge.kind {
                    EdgeKind::Keyed if self.is_keyed(step, target) => EdgeKind::Keyed,
                    EdgeKind::Keyed | EdgeKind::Barrier => EdgeKind::Barrier,
                };
                all.entry(target).or_insert(Edge { step: target, kind, ..*edge });
            }
        }
        all.into_values().collect()
    }

    fn is_keyed(&self, step: &Step, target: usize) -> bool {
        let Some(Some(other)) = self.steps.get(target) else { return step.finally.is_some() };
        step.role.is_some() && step.role == other.step.role && step.each == other.step.each
    }

    /// A call.
    fn call(&mut self, at: usize, lowered: &Lowered, call: &Called, several: &[bool]) {
        let (id, moved) = (&lowered.step.id, &self.moved);
        let place = |expr: &Expr| {
            let mut expr = from_nowhere(expr.clone(), |step| several.get(step).copied().unwrap_or(false));
            change(&mut expr, &mut |expr| follow(expr, moved, false));
            expr
        };
        let mut with: BTreeMap<&str, Expr> =
            call.with.iter().map(|(name, expr)| (name.as_str(), place(expr))).collect();
        let when = call.when.as_ref().map(place);
        let each = lowered.step.each.as_ref().map(place);
        for passed in &call.passed {
            self.passed.push(Passed { expr: place(&passed.expr), ..passed.clone() });
        }
        for (input, expr) in with.iter_mut().filter(|(_, expr)| parts_of(expr) > limits::LET_PARTS) {
            self.too_large.push(((*input).to_owned(), lowered.at.clone()));
            *expr = Expr::Literal(Value::None);
        }
        for passed in &call.callee.passed {
            let mut expr = passed.expr.clone();
            change(&mut expr, &mut |expr| hand_on(expr, &with));
            self.passed.push(Passed { expr, at: lowered.at.clone(), ..passed.clone() });
        }
        let (first, first_last) = (self.steps.len(), self.body + self.last.len());
        let count = body_of(call).count();
        let new = |step: usize| if step < count { first + step } else { first_last + step - count };
        let instances = self.whole.instances.len();
        let renamed = |expr: &mut Expr| match expr {
            Expr::Out { step, .. } | Expr::StepState(step) | Expr::StepChanged(step) => *step = new(*step),
            Expr::Role { role, .. } => *role = filled(role, call),
            Expr::Instance { of, .. } => *of += instances,
            Expr::Input(_) => hand_on(expr, &with),
            _ => {}
        };
        let group = call.batch.as_ref().and_then(|batch| {
            let role = call.callee.steps.first()?.step.role.as_deref().map(|role| filled(role, call))?;
            let (sizes, pause_ms, stop_after) = (batch.sizes.clone(), batch.pause_ms, batch.stop_after);
            Some(Group { id: id.clone(), role, sizes, pause_ms, stop_after, gate: None, filter: None, by: None })
        });
        let groups = self.whole.groups.len() + self.groups.len();
        for (role, source) in &call.callee.whole.sources {
            let mut source = source.clone();
            change_template(source.name_mut(), &mut |expr| hand_on(expr, &with));
            let name = filled(role, call);
            if call.own_roles.iter().any(|own| own.name.value == name) {
                self.whole.sources.insert(name, source);
            }
        }
        let own_group = group.as_ref().map(|_| groups);
        for (group, by) in call.callee.whole.groups.iter().zip(&call.callee.whole.by) {
            let (id, role) = (format!("{id}/{}", group.id), filled(&group.role, call));
            let mut group = Group { id, role, gate: group.gate.map(new), ..group.clone() };
            group.filter.iter_mut().chain(&mut group.by).for_each(|expr| change(expr, &mut |expr| renamed(expr)));
            self.groups.push((group, by.clone()));
        }
        self.groups.extend(group.map(|group| (group, None)));
        // Who takes its failure for enough does not speak for the success of a step.
        let edges_inside = body_of(call).flat_map(|lowered| &lowered.step.needs);
        let depended: BTreeSet<usize> = edges_inside.filter(|edge| !edge.settled).map(|edge| edge.step).collect();
        let several = |step: usize| call.callee.steps.get(step).is_some_and(|inner| is_several_of(&inner.step, call));
        for (nth, inner) in call.callee.steps.iter().enumerate() {
            let (own, mut inner) = (&inner.step, inner.clone());
            let step = &mut inner.step;
            // What the callee reads of several nodes stays that, however many hosts the caller's roles have.
            let elsewhere = |other: usize| several(other) && !is_matched(own, &call.callee.steps[other].step);
            let list = step.each.take().map(|list| from_nowhere(list, several));
            step.change(&mut |expr| everywhere(expr, elsewhere));
            step.each = list;
            step.id = format!("{id}/{}", step.id);
            step.roles_mut().for_each(|role| *role = filled(role, call));
            step.each = each.clone().or(step.each.take());
            step.group = step.group.map(|group| groups + group).or(own_group);
            step.assets_mut().into_iter().for_each(|asset| *asset = asset_name(call, asset));
            // The list of the call is written out already.
            let list = each.is_some().then(|| step.each.take()).flatten();
            step.change(&mut |expr| renamed(expr));
            step.each = list.or(step.each.take());
            step.when = match (when.clone(), step.when.take()) {
                (Some(call), Some(own)) => Some(Expr::Binary(Binary::And, Box::new(call), Box::new(own))),
                (call, own) => call.or(own),
            };
            let mut edges: Vec<Edge> = step.needs.iter().map(|edge| Edge { step: new(edge.step), ..*edge }).collect();
            if nth < count {
                // The first ones wait for what the call waits for; of what need not succeed, all that read it.
                let first = edges.iter().all(|edge| edge.settled);
                let mut read = BTreeSet::new();
                step.change(&mut |expr| read.extend(steps_read(expr)));
                let of_call = self.edges(&lowered.step.needs, step).into_iter();
                edges.extend(of_call.filter(|edge| first || edge.settled && read.contains(&edge.step)));
            }
            step.needs = edges;
            for fixed in &mut inner.fixed {
                change(&mut fixed.expr, &mut |expr| hand_on(expr, &with));
                fixed.span = lowered.at.clone();
            }
            inner.move_to(&lowered.at);
            if nth < count { self.steps.push(Some(inner)) } else { self.last.push(Some(inner)) }
        }
        let ends = (0..count).filter(|step| !depended.contains(step)).map(new).collect();
        let whole = &call.callee.whole;
        let outputs = whole.outputs.iter().map(|(name, template)| {
            let mut expr = from_nowhere(text_of(template), several);
            change(&mut expr, &mut |expr| renamed(expr));
            // Of a call that was passed over there are none.
            let expr = match &when {
                Some(when) => {
                    let none = Expr::Literal(Value::None);
                    Expr::If(Box::new(when.clone()), Box::new(expr), Box::new(none))
                }
                None => expr,
            };
            (name.clone(), expr)
        });
        let outputs = outputs.collect();
        let names = |templates: &[crate::expr::Template]| {
            let mut templates = templates.to_vec();
            templates.iter_mut().for_each(|text| change_template(text, &mut |expr| hand_on(expr, &with)));
            templates
        };
        let (locks, instances) = (names(&whole.locks), names(&whole.instances));
        self.whole.locks.extend(locks);
        self.whole.instances.extend(instances);
        for (path, bytes) in &call.callee.assets {
            self.assets.insert(asset_name(call, path), bytes.clone());
        }
        self.moved.insert(at, Moved::Call { ends, outputs });
    }
}

/// The steps of a callee that are not in its `finally`.
fn body_of(call: &Called) -> impl Iterator<Item = &Lowered> {
    call.callee.steps.iter().filter(|lowered| lowered.step.finally.is_none())
}

fn is_several_of(step: &Step, call: &Called) -> bool {
    let kind = |role: &str| call.callee.roles.get(role).and_then(|role| role.kind);
    let one = step.role.as_ref().is_none_or(|role| matches!(kind(role), Some(RoleKind::One)));
    step.each.is_some() || !one
}

/// Whether the nodes of two steps are matched one to one.
fn is_matched(a: &Step, b: &Step) -> bool {
    (a.role.is_some() || a.each.is_some()) && a.role == b.role && a.each == b.each
}

/// The name of a file of a callee: no path of a workflow has such a part before it.
fn asset_name(call: &Called, path: &str) -> String {
    format!("{}:{path}", call.label)
}

/// The caller's role for one of the callee's, or for several together.
fn filled(role: &str, call: &Called) -> String {
    let mut names: Vec<&str> = parts(role).map(|part| call.roles.get(part).map_or(part, String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    together(names)
}

/// What is handed on takes the place of an input.
fn hand_on(expr: &mut Expr, with: &BTreeMap<&str, Expr>) {
    if let Expr::Input(name) = expr
        && let Some(given) = with.get(name.as_str())
    {
        *expr = given.clone();
    }
}

/// A step waits for each step that it reads.
fn complete_edges(steps: &mut [Lowered]) {
    let last: Vec<bool> = steps.iter().map(|lowered| lowered.step.finally.is_some()).collect();
    for (index, lowered) in steps.iter_mut().enumerate().filter(|(index, _)| !last[*index]) {
        let mut read = BTreeSet::new();
        lowered.step.change(&mut |expr| read.extend(steps_read(expr)));
        for step in read.into_iter().filter(|step| *step != index) {
            if !lowered.step.needs.iter().any(|edge| edge.step == step) {
                let edge = Edge::needs(step, EdgeKind::Barrier);
                lowered.step.needs.push(Edge { origin: EdgeOrigin::Reference, ..edge });
            }
        }
        lowered.step.needs.sort_by_key(|edge| edge.step);
    }
}

/// What was written out has the limits of what is written.
fn check_limits(steps: &[Lowered], whole: &Whole, assets: &Assets, sink: &mut Sink) {
    let at = steps.iter().find(|lowered| lowered.step.id.contains('/')).map(|lowered| lowered.at.clone());
    let at = at.unwrap_or(0..0);
    let edges: usize = steps.iter().map(|lowered| lowered.step.needs.len()).sum();
    let mut deepest = 0;
    let mut note = |expr: &mut Expr| deepest = deepest.max(depth(expr));
    for lowered in steps {
        lowered.step.clone().change(&mut note);
    }
    whole.outputs.values().for_each(|output| change_template(&mut output.clone(), &mut note));
    let over = [
        (steps.len(), limits::STEPS, Code::OutOfLimits, "steps"),
        (edges, limits::EDGES, Code::OutOfLimits, "edges between its steps"),
        (assets.len(), limits::ASSETS, Code::OutOfLimits, "files"),
        (assets.values().map(Vec::len).sum(), limits::ASSETS_BYTES, Code::OutOfLimits, "bytes in its files"),
        (deepest, limits::EXPRESSION_DEPTH, Code::TooDeep, "levels in an expression"),
    ];
    for (has, most, code, what) in over {
        if has > most {
            let message = format!("with what it calls, the workflow has {has} {what}; {most} are allowed");
            sink.push(Diagnostic::error(code, message).at(&at, "a call"));
        }
    }
}

/// How many parts an expression has.
fn parts_of(expr: &Expr) -> usize {
    let mut parts = 0;
    change(&mut expr.clone(), &mut |_| parts += 1);
    parts
}

/// How many levels an expression has. It has at most those of the callee and of what was handed on.
fn depth(expr: &Expr) -> usize {
    let of = |list: &[&Expr]| list.iter().map(|expr| depth(expr)).max().unwrap_or(0);
    1 + match expr {
        Expr::Literal(_)
        | Expr::Input(_)
        | Expr::Out { .. }
        | Expr::StepState(_)
        | Expr::StepChanged(_)
        | Expr::Host(_)
        | Expr::Role { .. }
        | Expr::OperationId
        | Expr::OperationStartedAt
        | Expr::OperationState
        | Expr::OperationFailure
        | Expr::Instance { .. }
        | Expr::Each => 0,
        Expr::Everywhere(a) | Expr::Field(a, _) | Expr::Unary(_, a) => of(&[a]),
        Expr::Index(a, b) | Expr::Binary(_, a, b) | Expr::Coalesce(a, b) => of(&[a, b]),
        Expr::If(a, b, c) => of(&[a, b, c]),
        Expr::Call(_, list) | Expr::List(list) => list.iter().map(depth).max().unwrap_or(0),
    }
}
