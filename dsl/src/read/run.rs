//! What a step's program is given, and when it counts as well: `env`, `cwd`, `ok_exit`, `idle_timeout`, `reads`.

use super::fields::Fields;
use super::policies::some;
use super::scalars::Reader;
use super::steps::spanned;
use crate::code::Code;
use crate::declared::StepDecl;
use crate::diagnostic::Diagnostic;
use crate::environment::variable_name;
use crate::expression::{PartSyntax, TemplateSyntax, template};
use crate::limits;
use crate::plan::RetryOn;
use crate::source::{Spanned, quote};
use crate::syntax::Node;

/// Reads `ok_exit` and `idle_timeout`, and checks `cwd`, which is read.
pub(super) fn fields(step: &mut StepDecl, fields: &mut Fields, reader: &mut Reader) {
    if let Some(cwd) = &step.cwd
        && let Some(PartSyntax::Text(begin)) = cwd.parts.first()
        && !begin.starts_with('/')
    {
        reader.malformed(&cwd.span, "cwd", "an absolute path on the host is expected");
    }
    step.idle_timeout = fields
        .or_default("idle_timeout")
        .and_then(|node| reader.duration_or_expr(node, "idle_timeout", limits::TIMEOUT_MIN_MS, limits::TIMEOUT_MAX_MS));
    if let Some(node) = fields.optional("ok_exit") {
        step.ok_exit = codes(node, "ok_exit", reader).unwrap_or_default();
        if fields.has("retry") {
            never_retried(step, node, reader);
        }
    }
}

/// Beside a `do` that only reads, these have no effect.
const NOT_BESIDE_READS: [(&str, &str); 5] = [
    ("probe", "a step that only reads has no effect to ask for"),
    ("always", "a step that only reads has no effect to ask for"),
    ("undo", "a step that only reads has done nothing to undo"),
    ("interrupted", "what only reads is simply run again"),
    ("idle_timeout", "what only reads is ended by `timeout`"),
];

/// Reads `reads`, when the rest of the step is read.
pub(super) fn reads(step: &mut StepDecl, fields: &mut Fields, reader: &mut Reader) {
    let Some(node) = fields.optional("reads") else { return };
    step.reads = reader.boolean(node, "reads").unwrap_or(false);
    let Some(action) = step.action.as_ref().filter(|_| step.reads && !step.is_gate()) else { return };
    let title = step.title();
    let mut no_effect = |field: &str, why: &str| {
        let message = format!("`{field}` has no effect in {title}");
        reader.sink.push(Diagnostic::error(Code::NoEffect, message).at(&fields.place(field), why));
    };
    if !action.is_command() || action.is_from_here() {
        no_effect("reads", "it is for a `Run`, `Shell` or `Script` on a host");
        return;
    }
    for (field, why) in NOT_BESIDE_READS.into_iter().filter(|(field, _)| fields.has(field)) {
        no_effect(field, why);
    }
    // One of the defaults does nothing here.
    step.idle_timeout = None;
}

/// A list of exit codes.
pub(super) fn codes(node: &Node, field: &str, reader: &mut Reader) -> Option<Vec<i32>> {
    let list = reader.list(node, field, limits::CHOICES)?;
    let mut codes = Vec::new();
    for node in list {
        let code = reader.integer(node, field, 0, 255)? as i32;
        if codes.contains(&code) {
            let message = format!("{code} stands in `{field}` twice");
            reader.sink.push(Diagnostic::error(Code::DuplicateKey, message).at(&node.span, "given again here"));
            return None;
        }
        codes.push(code);
    }
    some(codes, node, &format!("`{field}` lists no exit code"), reader)
}

/// What is success is not tried again.
fn never_retried(step: &StepDecl, node: &Node, reader: &mut Reader) {
    let retried = step.retry.as_ref().and_then(|retry| retry.on.as_ref()).into_iter().flatten();
    let codes = retried.filter_map(|on| if let RetryOn::Exit(codes) = on { Some(codes) } else { None });
    if let Some(code) = codes.flatten().find(|code| step.ok_exit.contains(code)) {
        let message = format!("exit code {code} is success, so `retry` on it has no effect");
        let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&node.span, "success by this");
        reader.sink.push(diagnostic.help("take it out of `ok_exit`, or out of `Exit` in `retry`"));
    }
}

/// The variables of a step, and those by default that it does not set itself.
pub(super) fn env(fields: &Fields, reader: &mut Reader) -> Vec<(Spanned<String>, TemplateSyntax)> {
    let mut env: Vec<(Spanned<String>, TemplateSyntax)> = Vec::new();
    for node in fields.all("env") {
        for (key, value) in variables(node, reader) {
            if !env.iter().any(|(known, _)| known.value == key.value) {
                env.push((key, value));
            }
        }
    }
    env
}

fn variables(node: &Node, reader: &mut Reader) -> Vec<(Spanned<String>, TemplateSyntax)> {
    let mut env = Vec::new();
    for (key, node) in reader.map(node, "env", limits::ENV).unwrap_or_default() {
        let name = key.value.as_str();
        if let Err(why) = variable_name(name) {
            let message = format!("{} is no name of a variable", quote(name));
            reader.sink.push(Diagnostic::error(Code::BadName, message).at(&key.span, why));
        }
        let value = reader.text(node, name).and_then(|text| template(text, reader.sink));
        if let Some(value) = value {
            env.push((spanned(key), value));
        }
    }
    env
}
