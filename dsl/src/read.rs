//! From the tree of a file to its declarations.
//!
//! Every reader takes what it can and reports what it cannot, so that all errors of a file come in one run. A field is
//! read by name from [`Fields`], which refuses names that nobody reads.

mod actions;
mod call;
mod defaults;
mod fields;
mod generate;
mod given_file;
mod groups;
mod here;
mod inputs;
mod needs;
mod outs;
mod policies;
mod run;
mod scalars;
mod steps;

use crate::code::Code;
use crate::declared::{Declared, FromDecl, PerHost, RoleDecl, RoleKind, SourceDecl};
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
const MANY: Shape = Shape { name: "Many", fields: &["min", "max", "where"], positional: None };
const ONE: Shape = Shape { name: "One", fields: &["where"], positional: None };
const WIRED: Shape = Shape { name: "Wired", fields: &["registry", "where"], positional: None };
const MEMBERS: Shape = Shape { name: "Members", fields: &["instance", "role", "where"], positional: None };
const OPTIONAL: Shape = Shape { name: "Optional", fields: &["where"], positional: None };

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
    declared.has_instances = fields.has("instance") || fields.has("instances") || fields.is_broken();
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
        let mut role = RoleDecl { name, kind: None, filter: None, has_filter: false, from: None };
        role.kind = role_kind(node, &mut role, reader);
        declared.roles.insert(&role.name.value.clone(), role);
    }
}

fn role_kind(node: &Node, role: &mut RoleDecl, reader: &mut Reader) -> Option<RoleKind> {
    let (mut min, mut max) = (1, limits::SLOTS);
    let (kind, shape) = match reader.variant(node, "a role", &["One", "Optional", "Many", "Wired", "Members"])? {
        "Wired" => return from_records(node, &WIRED, role, reader),
        "Members" => return from_records(node, &MEMBERS, role, reader),
        "One" => (Some(RoleKind::One), &ONE),
        "Optional" => (Some(RoleKind::Optional), &OPTIONAL),
        _ => (None, &MANY),
    };
    if let Kind::Struct(this) = &node.kind {
        if kind.is_some() && this.fields.is_empty() && this.positional.is_empty() {
            reader.bare(node)?;
        }
        let mut fields = Fields::open(node, shape, &format!("`{}`", shape.name), reader.sink)?;
        role.has_filter = fields.has("where") || fields.is_broken();
        role.filter = fields.optional("where").and_then(|node| reader.per_host(node, "where"));
        if kind.is_some() {
            return kind;
        }
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
    kind.or(Some(RoleKind::Many { min, max }))
}

/// A role that records fill when an operation is created: any number of hosts.
fn from_records(node: &Node, shape: &Shape, role: &mut RoleDecl, reader: &mut Reader) -> Option<RoleKind> {
    let mut fields = Fields::open(node, shape, &format!("`{}`", shape.name), reader.sink)?;
    role.has_filter = fields.has("where") || fields.is_broken();
    role.filter = fields.optional("where").and_then(|node| reader.per_host(node, "where"));
    let of = if shape.name == "Wired" { "registry" } else { "instance" };
    let text = fields.required(of, reader.sink).and_then(|node| reader.some_text(node, of));
    let from = match fields.optional("role") {
        _ if of == "registry" => FromDecl::Wired,
        None => FromDecl::Members { role: None },
        Some(node) => FromDecl::Members { role: Some(reader.some_text(node, "role")?.value.clone()) },
    };
    role.from = Some(SourceDecl {
        from,
        text: text.map(|text| text.value.clone()).unwrap_or_default(),
        name: text.and_then(|text| template(text, reader.sink)),
    });
    Some(RoleKind::Many { min: 0, max: limits::SLOTS })
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
    /// An expression that is evaluated for each host of a role by itself.
    pub(super) fn per_host(&mut self, node: &Node, field: &str) -> Option<PerHost> {
        let text = self.some_text(node, field)?;
        Some(PerHost { syntax: expression(text, self.sink)?, text: text.value.trim().to_owned() })
    }

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
