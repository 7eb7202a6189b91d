//! From the tree of a file to its declarations.
//!
//! Every reader takes what it can and reports what it cannot, so that all errors of a file come in one run. A field is
//! read by name from [`Fields`], which refuses names that nobody reads.

mod actions;
mod defaults;
mod fields;
mod generate;
mod given_file;
mod groups;
mod inputs;
mod needs;
mod outs;
mod policies;
mod run;
mod scalars;
mod steps;

use crate::code::Code;
use crate::declared::{Declared, RoleDecl, RoleKind};
use crate::diagnostic::{Diagnostic, Sink};
use crate::expression::{expression, template};
use crate::lets::LetDecl;
use crate::limits;
use crate::source::{Spanned, count, plain, quote};
use crate::syntax::{Kind, Node, Text};
pub(crate) use actions::parse_mode;
use defaults::Defaults;
use fields::{Fields, Shape};
pub use given_file::{FileValue, ValueSource, read_inputs};
pub(crate) use scalars::within_ms;
use scalars::{Reader, name};

const WORKFLOW: Shape = Shape {
    name: "Workflow",
    fields: &[
        "name",
        "about",
        "inputs",
        "roles",
        "let",
        "defaults",
        "steps",
        "finally",
        "outputs",
        "locks",
        "instance",
        "instances",
        "deadline",
    ],
    positional: None,
};
const MANY: Shape = Shape { name: "Many", fields: &["min", "max"], positional: None };

/// Reads a whole workflow.
pub(crate) fn workflow(source: &str, node: &Node, sink: &mut Sink) -> Declared {
    let mut reader = Reader { source, sink };
    let mut declared = Declared::default();
    let Some(mut fields) = Fields::open(node, &WORKFLOW, "the workflow", reader.sink) else { return declared };
    if fields.is_broken() {
        // A whole part may be missing: roles, inputs.
        reader.sink.doubt(true);
    }
    if let Some(node) = fields.required("name", reader.sink) {
        declared.name = reader.text(node, "name").and_then(|text| reader.workflow_name(text));
    }
    declared.about = fields.optional("about").and_then(|node| reader.about(node));
    if let Some(node) = fields.optional("inputs") {
        for input in inputs::inputs(node, "inputs", 0, &mut reader) {
            declared.inputs.insert(&input.name.value.clone(), input);
        }
    }
    if let Some(node) = fields.optional("roles") {
        roles(node, &mut declared, &mut reader);
    }
    if let Some(node) = fields.optional("let") {
        lets(node, &mut declared, &mut reader);
    }
    let defaults = Defaults::default().and(fields.optional("defaults"), &mut reader);
    if let Some(node) = fields.required("steps", reader.sink) {
        steps::steps(node, &defaults, &mut declared, &mut reader);
    }
    declared.has_unread_steps |= fields.is_broken();
    if let Some(node) = fields.optional("finally") {
        groups::finally(node, &defaults, &mut declared, &mut reader);
    }
    if let Some(node) = fields.optional("locks") {
        declared.locks = steps::names(node, "locks", &mut reader);
    }
    instances(&mut fields, &mut declared, &mut reader);
    declared.deadline = fields
        .optional("deadline")
        .and_then(|node| reader.duration_or_expr(node, "deadline", limits::DEADLINE_MIN_MS, limits::DEADLINE_MAX_MS));
    if let Some(node) = fields.optional("outputs") {
        outputs(node, &mut declared, &mut reader);
    }
    declared
}

/// `instance` is one, `instances` are several.
fn instances(fields: &mut Fields, declared: &mut Declared, reader: &mut Reader) {
    if let Some(node) = fields.optional("instances") {
        declared.instances = steps::names(node, "instances", reader);
    }
    let Some(node) = fields.optional("instance") else { return };
    if fields.has("instances") {
        let diagnostic = Diagnostic::error(Code::NoEffect, "`instance` has no effect beside `instances`");
        let diagnostic =
            diagnostic.at(&fields.place("instance"), "one of them").at(&fields.place("instances"), "and the other");
        reader.sink.push(diagnostic.help("name all of them in `instances`"));
        return;
    }
    declared.instances.extend(reader.some_text(node, "instance").and_then(|text| template(text, reader.sink)));
}

fn roles(node: &Node, declared: &mut Declared, reader: &mut Reader) {
    let Some(entries) = reader.map(node, "roles", limits::ROLES) else { return };
    for (key, node) in entries {
        let name = name(key, "role", reader.sink);
        let kind = role_kind(node, reader);
        declared.roles.insert(&name.value.clone(), RoleDecl { name, kind });
    }
}

fn role_kind(node: &Node, reader: &mut Reader) -> Option<RoleKind> {
    let (mut min, mut max) = (1, limits::SLOTS);
    match reader.variant(node, "a role", &["One", "Optional", "Many"])? {
        "One" => {
            reader.bare(node)?;
            return Some(RoleKind::One);
        }
        "Optional" => {
            reader.bare(node)?;
            return Some(RoleKind::Optional);
        }
        _ => {}
    }
    if let Kind::Struct(_) = node.kind {
        let mut fields = Fields::open(node, &MANY, "`Many`", reader.sink)?;
        if let Some(node) = fields.optional("min") {
            min = reader.integer(node, "min", 0, limits::SLOTS as i64)? as usize;
        }
        if let Some(node) = fields.optional("max") {
            max = reader.integer(node, "max", 1, limits::SLOTS as i64)? as usize;
        }
        if min > max {
            let message = format!("`min` is {min}, which is more than `max`, {max}");
            reader.sink.push(Diagnostic::error(Code::OutOfLimits, message).at(&node.head(), "no number of hosts fits"));
            return None;
        }
    }
    Some(RoleKind::Many { min, max })
}

fn lets(node: &Node, declared: &mut Declared, reader: &mut Reader) {
    let Some(entries) = reader.map(node, "let", limits::LETS) else { return };
    for (key, node) in entries {
        let name = name(key, "value", reader.sink);
        let text = reader.some_text(node, &name.value);
        let syntax = text.and_then(|text| expression(text, reader.sink));
        declared.lets.insert(&name.value.clone(), LetDecl::new(name, syntax));
    }
}

fn outputs(node: &Node, declared: &mut Declared, reader: &mut Reader) {
    let Some(entries) = reader.map(node, "outputs", limits::OUTPUTS) else { return };
    for (key, node) in entries {
        let name = name(key, "output", reader.sink);
        let text = reader.text(node, &name.value);
        let template = text.and_then(|text| template(text, reader.sink));
        declared.outputs.push((name, template));
    }
}

impl Reader<'_, '_> {
    fn workflow_name(&mut self, text: &Text) -> Option<Spanned<String>> {
        let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = text.value.as_str();
        let good = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(ok)
            && !name.ends_with('-')
            && !name.contains("--");
        if good && name.len() <= limits::NAME_BYTES {
            return Some(Spanned::new(name.to_owned(), text.span.clone()));
        }
        let message = format!("{} is no name of a workflow", quote(name));
        let diagnostic = Diagnostic::error(Code::BadName, message).at(&text.span, "must be `kebab-case`");
        let fixed = scalars::fixed_name(name, '-');
        self.sink.push(match fixed {
            Some(fixed) => diagnostic.help(format!("write `{fixed}`")),
            None => diagnostic.help(format!("small letters, digits and `-`, at most {} bytes", limits::NAME_BYTES)),
        });
        None
    }

    pub(super) fn about(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node, "about")?;
        if text.value.len() > limits::ABOUT_BYTES {
            let message =
                format!("`about` has {}; {} are allowed", count(text.value.len(), "byte"), limits::ABOUT_BYTES);
            self.sink.push(Diagnostic::error(Code::OutOfLimits, message).at(&node.span, "too long"));
            return None;
        }
        if text.value.contains("${{") {
            let message = "`about` has an expression in it, which would not be evaluated";
            self.sink.push(Diagnostic::error(Code::NoEffect, message).at(&node.span, plain("only text stands here")));
            return None;
        }
        Some(text.value.clone())
    }
}
