//! `Call(…)`: a workflow that is written out in this one.

use super::fields::{Fields, Shape};
use super::groups;
use super::needs::needs;
use super::scalars::{Reader, name};
use super::steps::spanned;
use crate::code::Code;
use crate::declared::{CallDecl, Declared, EachDecl, StepDecl, WithDecl};
use crate::diagnostic::Diagnostic;
use crate::expression::{expression, template};
use crate::limits;
use crate::source::{Spanned, quote};
use crate::syntax::{Kind, Node};

const CALL: Shape = Shape {
    name: "Call",
    fields: &["id", "about", "workflow", "with", "roles", "needs", "when", "each", "batch"],
    positional: None,
};

/// Reads a call, and adds it.
pub(super) fn call(node: &Node, declared: &mut Declared, reader: &mut Reader) {
    let Some(mut fields) = Fields::open(node, &CALL, "a call", reader.sink) else {
        declared.has_unread_steps = true;
        return;
    };
    let id = fields.required("id", reader.sink).and_then(|node| reader.text(node, "id"));
    let id = id.map(|text| name(text, "step", reader.sink));
    let broken = fields.is_broken();
    let when = fields.optional("when").and_then(|node| reader.some_text(node, "when"));
    let each = fields.optional("each").and_then(|node| reader.some_text(node, "each"));
    let each = each.and_then(|text| {
        let syntax = expression(text, reader.sink)?;
        Some(EachDecl { syntax, text: text.value.trim().to_owned() })
    });
    let decl = CallDecl {
        workflow: fields
            .required("workflow", reader.sink)
            .and_then(|node| reader.some_text(node, "workflow"))
            .map(spanned),
        with: fields.optional("with").map(|node| with(node, reader)).unwrap_or_default(),
        roles: fields.optional("roles").map(|node| roles(node, reader)).unwrap_or_default(),
        batch: fields.optional("batch").and_then(|node| groups::batch(node, reader)),
        callee: None,
    };
    if decl.batch.as_ref().is_some_and(|batch| batch.gate_after_first) {
        let diagnostic = Diagnostic::error(Code::Misplaced, "`gate_after_first` has no place in the `batch` of a call");
        let diagnostic = diagnostic.at(&fields.place("batch"), "no gate belongs to it");
        reader
            .sink
            .push(diagnostic.help("call the workflow twice, with a `Gate` between, or put its steps into a `Group`"));
    }
    if decl.batch.as_ref().is_some_and(|batch| batch.by.is_some()) {
        let diagnostic = Diagnostic::error(Code::Misplaced, "`by` has no place in the `batch` of a call");
        let diagnostic = diagnostic.at(&fields.place("batch"), "it would be asked of the callee's hosts");
        reader.sink.push(diagnostic.help("put the steps of the workflow into a `Group`, there or here"));
    }
    let step = StepDecl {
        about: fields.optional("about").and_then(|node| reader.about(node)),
        needs: fields.optional("needs").map(|node| needs(node, reader)).unwrap_or_default(),
        when: when.and_then(|text| expression(text, reader.sink)),
        has_each: fields.has("each"),
        each,
        may_be_skipped: fields.has("when") || broken,
        broken,
        call: Some(Box::new(decl)),
        ..StepDecl::new(id)
    };
    declared.has_unread_steps |= broken || step.id.is_none();
    if let Some(id) = &step.id
        && groups::is_new(id, "step", declared, reader)
    {
        declared.step_ids.insert(id.value.clone(), declared.steps.len());
    }
    declared.steps.push(step);
}

/// Says that a call does not stand where it can.
pub(super) fn misplaced(node: &Node, place: &str, declared: &mut Declared, reader: &mut Reader) {
    declared.has_unread_steps = true;
    let diagnostic = Diagnostic::error(Code::Misplaced, format!("a call stands in {place}"));
    let diagnostic = diagnostic.at(&node.head(), "calls stand in `steps`");
    reader.sink.push(diagnostic.help("a call has `batch` and `needs` of its own"));
}

fn with(node: &Node, reader: &mut Reader) -> Vec<(Spanned<String>, WithDecl)> {
    let mut with = Vec::new();
    for (key, node) in reader.map(node, "with", limits::INPUTS).unwrap_or_default() {
        let value = match &node.kind {
            Kind::Number | Kind::Bool(_) => {
                let written = reader.source[node.span.clone()].to_owned();
                Some(WithDecl::Word(Spanned::new(written, node.span.clone())))
            }
            _ => reader.text(node, &key.value).and_then(|text| template(text, reader.sink)).map(WithDecl::Text),
        };
        with.extend(value.map(|value| (spanned(key), value)));
    }
    with
}

fn roles(node: &Node, reader: &mut Reader) -> Vec<(Spanned<String>, Spanned<String>)> {
    let mut roles = Vec::new();
    for (theirs, node) in reader.map(node, "roles", limits::ROLES).unwrap_or_default() {
        let Some(ours) = reader.some_text(node, &theirs.value) else { continue };
        if ours.value.contains("${{") {
            let message = format!("the role for {} has an expression in it", quote(&theirs.value));
            reader.sink.push(Diagnostic::error(Code::NoEffect, message).at(&ours.span, "a name stands here"));
            continue;
        }
        roles.push((spanned(theirs), spanned(ours)));
    }
    roles
}
