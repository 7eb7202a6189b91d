//! What steps stand in: groups, and `finally`.

use super::defaults::Defaults;
use super::fields::{Fields, Shape};
use super::needs;
use super::scalars::{Reader, name};
use super::steps::{self, Within};
use crate::code::Code;
use crate::declared::{ActionDecl, ActionKind, BatchDecl, Declared, GateDecl, GroupDecl, StepDecl};
use crate::diagnostic::Diagnostic;
use crate::expression::{PartSyntax, TemplateSyntax, expression};
use crate::limits;
use crate::plan::{OnFailure, Otherwise};
use crate::source::{Spanned, quote};
use crate::syntax::Node;

const GROUP: Shape =
    Shape { name: "Group", fields: &["id", "over", "when", "defaults", "batch", "steps"], positional: None };
const BATCH: Shape =
    Shape { name: "", fields: &["sizes", "pause", "stop_after", "gate_after_first"], positional: None };
/// What the id of a group's gate ends in.
const GATE: &str = "_gate";

/// Whether nothing else has this id, which `what` has; if something has, that is reported.
pub(super) fn is_new(id: &Spanned<String>, what: &str, declared: &Declared, reader: &mut Reader) -> bool {
    let step = || declared.steps[*declared.step_ids.get(&id.value)?].id.as_ref();
    let group = || Some(&declared.groups[*declared.group_ids.get(&id.value)?].id);
    let mut gates = declared.groups.iter().filter_map(|group| declared.steps[group.gate?].id.as_ref());
    let found = step().map(|first| ("step", first));
    let found = found.or_else(|| group().map(|first| ("group", first)));
    let found = found.or_else(|| gates.find(|gate| gate.value == id.value).map(|first| ("gate of a group", first)));
    let Some((other, first)) = found else { return true };
    let both = if what == other { format!("two {what}s") } else { format!("a {other} and a {what}") };
    let diagnostic = Diagnostic::error(Code::DuplicateStep, format!("{both} are called {}", quote(&id.value)));
    reader.sink.push(diagnostic.at(&id.span, "called so too").at(&first.span, "called so first"));
    false
}

/// Reads a group with its steps.
pub(super) fn group<'t>(node: &'t Node, defaults: &Defaults<'t>, declared: &mut Declared, reader: &mut Reader) {
    // Whatever cannot be read of it has steps.
    let unread = |declared: &mut Declared| declared.has_unread_steps = true;
    let Some(mut fields) = Fields::open(node, &GROUP, "a group", reader.sink) else { return unread(declared) };
    let id = fields.required("id", reader.sink).and_then(|node| reader.text(node, "id"));
    let id = id.map(|text| name(text, "group", reader.sink));
    let over = fields.required("over", reader.sink).and_then(|node| needs::on(node, "over", reader));
    let when = fields.optional("when").and_then(|node| reader.some_text(node, "when"));
    let when = when.and_then(|text| expression(text, reader.sink));
    let batch = fields.optional("batch").and_then(|node| batch(node, reader)).unwrap_or_default();
    if id.is_none() || fields.is_broken() {
        unread(declared);
    }
    let id = id.unwrap_or_else(|| Spanned::new(String::new(), node.head()));
    let list = fields.required("steps", reader.sink).and_then(|node| reader.list(node, "steps", limits::STEPS));
    let Some(list) = list else { return unread(declared) };
    if list.is_empty() {
        let message = format!("the group {} has no steps", quote(&id.value));
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&fields.place("steps"), "empty"));
    }
    let defaults = defaults.and(fields.optional("defaults"), reader);
    let Some(index) = begin(id, over.clone(), batch, false, declared, reader) else { return unread(declared) };
    let (has_when, broken) = (fields.has("when"), fields.is_broken());
    let within = Within::Group { index, over: over.as_ref(), when: when.as_ref(), has_when, broken };
    for node in list {
        if steps::is_called(node, "Group") {
            unread(declared);
            let diagnostic = Diagnostic::error(Code::Misplaced, "a group stands in a group");
            let diagnostic = diagnostic.at(&node.head(), "a host would pass through both at once");
            reader.sink.push(diagnostic.help("put the steps into one group, or one group behind the other by `needs`"));
        } else if let Some(step) = steps::add(node, &within, &defaults, declared, reader) {
            declared.groups[index].steps.push(step);
        }
    }
}

/// Adds a group without steps, and its gate.
fn begin(
    id: Spanned<String>,
    over: Option<Spanned<String>>,
    batch: BatchDecl,
    of_one: bool,
    declared: &mut Declared,
    reader: &mut Reader,
) -> Option<usize> {
    let index = declared.groups.len();
    if index >= limits::GROUPS {
        reader.out_of_limits(&id.span, format!("the workflow has more than {} groups", limits::GROUPS), "too many");
        return None;
    }
    if !of_one && !id.value.is_empty() && is_new(&id, "group", declared, reader) {
        declared.group_ids.insert(id.value.clone(), index);
    }
    let mut gate = None;
    if batch.gate_after_first {
        let gate_id = Spanned::new(format!("{}{GATE}", id.value), id.span.clone());
        if gate_id.value.len() > limits::NAME_BYTES {
            let message = format!("the name of the gate, {}, is too long", quote(&gate_id.value));
            let diagnostic = Diagnostic::error(Code::BadName, message).at(&id.span, "it is made of this");
            reader.sink.push(diagnostic.help(format!("a name has at most {} bytes", limits::NAME_BYTES)));
        }
        is_new(&gate_id, "gate of a group", declared, reader);
        gate = Some(declared.steps.len());
        let text = format!("the first batch of `{}` is over: go on?", id.value);
        declared.steps.push(gate_step(gate_id, text));
    }
    declared.groups.push(GroupDecl { id, over, steps: Vec::new(), batch, gate });
    Some(index)
}

/// The gate after the first batch.
fn gate_step(id: Spanned<String>, text: String) -> StepDecl {
    let text = TemplateSyntax { parts: vec![PartSyntax::Text(text)], span: id.span.clone() };
    let gate = GateDecl {
        text: Some(text),
        approvers: Vec::new(),
        not_requester: false,
        within: None,
        otherwise: Otherwise::Reject,
    };
    let action = ActionDecl { kind: ActionKind::Gate(gate) };
    StepDecl { action: Some(action), ..StepDecl::new(Some(id)) }
}

/// Makes a group of one of a step with a `batch`; gives the index of the step.
pub(super) fn of_one(step: usize, node: &Node, declared: &mut Declared, reader: &mut Reader) -> Option<usize> {
    let batch = batch(node, reader)?;
    let Some(id) = declared.steps[step].id.clone() else { return Some(step) };
    let has_gate = batch.gate_after_first;
    let group = begin(id, declared.steps[step].on.clone(), batch, true, declared, reader)?;
    // Its gate stands before it.
    let step = if has_gate {
        declared.steps.swap(step, step + 1);
        if let Some(id) = &declared.steps[step + 1].id
            && let Some(index) = declared.step_ids.get_mut(&id.value)
            && *index == step
        {
            *index = step + 1;
        }
        declared.groups[group].gate = Some(step);
        step + 1
    } else {
        step
    };
    declared.groups[group].steps.push(step);
    let this = &mut declared.steps[step];
    this.group = Some(group);
    if this.has_each {
        let diagnostic = Diagnostic::error(Code::Misplaced, format!("{} has both `each` and `batch`", this.title()));
        let diagnostic = diagnostic.at(&node.head(), "hosts pass in batches, and `each` runs on one host");
        reader.sink.push(diagnostic.help("say how many elements run at once by `parallel`"));
    }
    Some(step)
}

fn batch(node: &Node, reader: &mut Reader) -> Option<BatchDecl> {
    let mut fields = Fields::open(node, &BATCH, "`batch`", reader.sink)?;
    let mut batch = BatchDecl::default();
    if let Some(node) = fields.required("sizes", reader.sink) {
        let list = reader.list(node, "sizes", limits::BATCHES).unwrap_or_default();
        if list.is_empty() && matches!(node.kind, crate::syntax::Kind::List(_)) {
            let diagnostic = Diagnostic::error(Code::Empty, "`sizes` lists no number").at(&node.head(), "empty");
            reader.sink.push(diagnostic.help("`[1, 5]` lets one host in, then five at a time"));
        }
        let sizes = list.iter().filter_map(|node| reader.integer(node, "sizes", 1, limits::SLOTS as i64));
        batch.sizes = sizes.map(|size| size.unsigned_abs() as u32).collect();
    }
    if let Some(text) = fields.optional("pause").and_then(|node| reader.text(node, "pause")) {
        batch.pause_ms = reader.duration(text, "pause", 0, limits::PAUSE_MAX_MS).unwrap_or(0);
    }
    if let Some(node) = fields.optional("stop_after") {
        let most = reader.integer(node, "stop_after", 1, limits::SLOTS as i64);
        batch.stop_after = most.map(|most| most.unsigned_abs() as u32);
    }
    if let Some(node) = fields.optional("gate_after_first") {
        batch.gate_after_first = reader.boolean(node, "gate_after_first").unwrap_or(false);
    }
    Some(batch)
}

/// Refuses what has no place in a step of a group.
pub(super) fn check_step(step: &StepDecl, over: Option<&Spanned<String>>, fields: &Fields, reader: &mut Reader) {
    let mut refuse = |field: &str, message: String, label: &str, help: &str| {
        let diagnostic = Diagnostic::error(Code::Misplaced, message).at(&fields.place(field), label);
        reader.sink.push(diagnostic.help(help));
    };
    if let (Some(over), Some(on)) = (over, &step.on)
        && over.value != on.value
    {
        let message = format!("{} runs on another role than its group, {}", step.title(), quote(&over.value));
        refuse("on", message, "not the role of the group", "leave `on` out, or take the step out of the group");
    }
    if fields.has("each") {
        let message = format!("{} has an `each`, but stands in a group", step.title());
        refuse("each", message, "a group has hosts, not elements", "take the step out of the group");
    }
    if fields.has("batch") {
        let message = format!("{} has a `batch`, but stands in a group", step.title());
        refuse("batch", message, "hosts pass through the group as a whole", "write `batch` on the group");
    }
    if step.is_gate() {
        let message = format!("{} is a gate, but stands in a group", step.title());
        let help = "put the gate before the group, or write `batch: (sizes: [1], gate_after_first: true)`";
        refuse("do", message, "a gate runs on no host", help);
    }
}

/// Reads the steps of `finally`.
pub(super) fn finally<'t>(node: &'t Node, defaults: &Defaults<'t>, declared: &mut Declared, reader: &mut Reader) {
    let Some(list) = reader.list(node, "finally", limits::STEPS) else {
        declared.has_unread_steps = true;
        return;
    };
    if list.is_empty() {
        let diagnostic = Diagnostic::error(Code::Empty, "`finally` has no steps").at(&node.span, "empty");
        reader.sink.push(diagnostic.help("leave it out"));
    }
    for node in list {
        if steps::is_called(node, "Group") {
            declared.has_unread_steps = true;
            let diagnostic = Diagnostic::error(Code::Misplaced, "a group stands in `finally`");
            reader.sink.push(diagnostic.at(&node.head(), "only steps stand here"));
        } else {
            steps::add(node, &Within::Finally, defaults, declared, reader);
        }
    }
}

/// Refuses what has no place in a step of `finally`.
pub(super) fn check_finally(step: &StepDecl, fields: &Fields, reader: &mut Reader) {
    let mut refuse = |field: &str, there: bool, label: &str| {
        if there {
            let message = format!("`{field}` has no place in {}, which stands in `finally`", step.title());
            reader.sink.push(Diagnostic::error(Code::Misplaced, message).at(&fields.place(field), label));
        }
    };
    refuse("undo", fields.has("undo"), "nothing is undone after it");
    refuse("batch", fields.has("batch"), "hosts do not pass in batches here");
    let stops = step.on_failure != OnFailure::Continue;
    refuse("on_failure", fields.has("on_failure") && stops, "everything else is over; only `Continue` has a meaning");
}
