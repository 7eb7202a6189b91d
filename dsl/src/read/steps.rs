//! Steps: each is read by itself, so that a broken one does not hide what is wrong with the others.

use super::actions;
use super::fields::{Fields, Shape};
use super::inputs::{bad_pattern, out_type};
use super::scalars::{Reader, name};
use crate::code::Code;
use crate::declared::{Declared, RetryDecl, Scalar, StepDecl};
use crate::diagnostic::Diagnostic;
use crate::expression::{expression, template};
use crate::plan::{Interrupted, OnFailure, Out, RetryOn};
use crate::source::{Spanned, quote};
use crate::syntax::{Kind, Node, Text};
use crate::{kind, limits};

const STEP: Shape = Shape {
    name: "Step",
    fields: &[
        "id",
        "about",
        "on",
        "needs",
        "when",
        "probe",
        "do",
        "undo",
        "interrupted",
        "retry",
        "timeout",
        "on_failure",
        "out",
        "env",
        "stdin",
        "as_user",
    ],
    positional: None,
};
const RETRY: Shape = Shape { name: "", fields: &["times", "wait", "factor", "cap", "on"], positional: None };
const STDOUT: Shape = Shape { name: "Stdout", fields: &["type"], positional: None };
const REGEX: Shape = Shape { name: "Regex", fields: &["pattern", "type"], positional: None };

/// Reads all steps.
pub(super) fn steps(node: &Node, declared: &mut Declared, reader: &mut Reader) {
    let Some(list) = reader.list(node, "steps", limits::STEPS) else { return };
    if list.is_empty() {
        let message = "the workflow has no steps";
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&node.span, "empty"));
    }
    for node in list {
        let Some(step) = step(node, reader) else { continue };
        if let Some(id) = &step.id {
            match declared.step_ids.get(&id.value).and_then(|index| declared.steps[*index].id.as_ref()) {
                Some(first) => {
                    let message = format!("two steps are called {}", quote(&id.value));
                    let diagnostic = Diagnostic::error(Code::DuplicateStep, message);
                    reader.sink.push(diagnostic.at(&id.span, "called so too").at(&first.span, "called so first"));
                }
                None => {
                    declared.step_ids.insert(id.value.clone(), declared.steps.len());
                }
            }
        }
        declared.steps.push(step);
    }
}

fn step(node: &Node, reader: &mut Reader) -> Option<StepDecl> {
    let what = match written_id(node) {
        Some(id) => format!("step {}", quote(id)),
        None => "a step".to_owned(),
    };
    let mut fields = Fields::open(node, &STEP, &what, reader.sink)?;
    let id = fields.required("id", reader.sink).and_then(|node| reader.text(node, "id"));
    let mut step = StepDecl {
        id: id.map(|text| name(text, "step", reader.sink)),
        about: fields.optional("about").and_then(|node| reader.about(node)),
        on: fields.required("on", reader.sink).and_then(|node| reader.text(node, "on")).map(spanned),
        needs: Vec::new(),
        when: None,
        probe: None,
        action: None,
        undo: None,
        interrupted: fields.optional("interrupted").and_then(|node| interrupted(node, reader)),
        retry: fields.optional("retry").and_then(|node| retry(node, reader)),
        timeout: fields
            .optional("timeout")
            .and_then(|node| reader.duration_or_expr(node, "timeout", limits::TIMEOUT_MIN_MS, limits::TIMEOUT_MAX_MS)),
        on_failure: OnFailure::Stop,
        out: Vec::new(),
        env: Vec::new(),
        stdin: None,
        as_user: None,
        may_be_skipped: fields.optional("when").is_some() || fields.optional("probe").is_some() || fields.is_broken(),
        has_probe: fields.optional("probe").is_some() || fields.is_broken(),
        has_undo: fields.optional("undo").is_some() || fields.is_broken(),
    };
    if let Some(node) = fields.optional("needs") {
        step.needs = needs(node, reader);
    }
    if let Some(text) = fields.optional("when").and_then(|node| reader.some_text(node, "when")) {
        step.when = expression(text, reader.sink);
    }
    if let Some(node) = fields.optional("probe") {
        step.probe = actions::command(node, "a probe", reader);
    }
    if let Some(node) = fields.required("do", reader.sink) {
        step.action = actions::action(node, reader);
    }
    if let Some(node) = fields.optional("undo") {
        step.undo = actions::command(node, "an undo", reader);
    }
    if let Some(node) = fields.optional("on_failure")
        && let Some(word) = reader.variant(node, "a policy of `on_failure`", &["Stop", "Continue", "Rollback"])
    {
        reader.bare(node);
        step.on_failure = match word {
            "Continue" => OnFailure::Continue,
            "Rollback" => OnFailure::Rollback,
            _ => OnFailure::Stop,
        };
    }
    if let Some(node) = fields.optional("out") {
        step.out = outs(node, reader);
    }
    if let Some(node) = fields.optional("env") {
        step.env = env(node, reader);
    }
    let mut text = |field: &str| {
        let text = fields.optional(field).and_then(|node| reader.text(node, field))?;
        if text.value.is_empty() && field != "stdin" {
            let message = format!("`{field}` is empty");
            reader.sink.push(Diagnostic::error(Code::Empty, message).at(&text.span, "something must stand here"));
            return None;
        }
        template(text, reader.sink)
    };
    step.stdin = text("stdin");
    step.as_user = text("as_user");
    without_effect(&step, &fields, reader);
    Some(step)
}

/// The id of a step as it is written, right or wrong, for messages about the step.
fn written_id(node: &Node) -> Option<&str> {
    let Kind::Struct(this) = &node.kind else { return None };
    match &this.fields.iter().find(|(name, _)| name.value == "id")?.1.kind {
        Kind::Text(text) => Some(&text.value),
        _ => None,
    }
}

fn spanned(text: &Text) -> Spanned<String> {
    Spanned::new(text.value.clone(), text.span.clone())
}

/// Refuses fields that do nothing together with the action of the step.
fn without_effect(step: &StepDecl, fields: &Fields, reader: &mut Reader) {
    let Some(action) = &step.action else { return };
    let is_command = action.is_command();
    let has_command = is_command || step.probe.is_some() || step.undo.is_some();
    let is_wait = matches!(action.kind, crate::declared::ActionKind::Wait { .. });
    let mut refuse = |field: &str, there: bool, why: &str| {
        if there {
            let message = format!("`{field}` has no effect in {}", step.title());
            reader.sink.push(Diagnostic::error(Code::NoEffect, message).at(&fields.place(field), why));
        }
    };
    let no_program = "no program runs in this step";
    refuse("env", !has_command && !step.env.is_empty(), no_program);
    refuse("stdin", !is_command && step.stdin.is_some(), "the action is no program");
    refuse("out", !is_command && !step.out.is_empty(), "the action is no program, so it writes nothing");
    refuse("as_user", is_wait && !has_command && step.as_user.is_some(), no_program);
}

fn needs(node: &Node, reader: &mut Reader) -> Vec<Spanned<String>> {
    let mut needs: Vec<Spanned<String>> = Vec::new();
    let mut seen = std::collections::HashMap::new();
    for node in reader.list(node, "needs", limits::NEEDS).unwrap_or_default() {
        let Some(text) = reader.text(node, "needs") else { continue };
        if let Some(first) = seen.get(&text.value).cloned() {
            let message = format!("{} is needed twice", quote(&text.value));
            let diagnostic = Diagnostic::warning(Code::NeedTwice, message).at(&text.span, "again");
            reader.sink.push(diagnostic.at(&first, "first"));
            continue;
        }
        seen.insert(text.value.clone(), text.span.clone());
        needs.push(spanned(text));
    }
    needs
}

fn interrupted(node: &Node, reader: &mut Reader) -> Option<Spanned<Interrupted>> {
    let known = &["Reattach", "Probe", "Rerun", "UndoThenRerun", "Ask"];
    let value = match reader.variant(node, "a policy of `interrupted`", known)? {
        "Reattach" => Interrupted::Reattach,
        "Probe" => Interrupted::Probe,
        "Rerun" => Interrupted::Rerun,
        "UndoThenRerun" => Interrupted::UndoThenRerun,
        _ => Interrupted::Ask,
    };
    reader.bare(node)?;
    Some(Spanned::new(value, node.span.clone()))
}

fn retry(node: &Node, reader: &mut Reader) -> Option<RetryDecl> {
    let mut fields = Fields::open(node, &RETRY, "`retry`", reader.sink)?;
    let times = fields.required("times", reader.sink);
    let times = times.and_then(|node| reader.integer_or_expr(node, "times", 1, i64::from(limits::RETRY_TIMES)));
    let mut wait = |field: &str| {
        let node = fields.optional(field)?;
        reader.duration_or_expr(node, field, 0, limits::RETRY_WAIT_MAX_MS)
    };
    let (wait, cap) = (wait("wait"), wait("cap"));
    let factor = fields.optional("factor").and_then(|node| factor(node, reader));
    let on = fields.optional("on").and_then(|node| retry_on(node, reader));
    if let Some(Scalar::Literal(Spanned { value: 1, span })) = &times {
        for field in ["wait", "factor", "cap", "on"] {
            if fields.optional(field).is_some() {
                let message = format!("`{field}` has no effect where there is one attempt only");
                let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&fields.place(field), "never used");
                reader.sink.push(diagnostic.at(span, "because of this").help("`times` counts the first attempt too"));
            }
        }
    }
    let times = times.map(|times| match times {
        Scalar::Literal(Spanned { value, span }) => Scalar::Literal(Spanned::new(value.unsigned_abs() as u32, span)),
        Scalar::Expr(syntax) => Scalar::Expr(syntax),
    });
    Some(RetryDecl { times, wait, factor, cap, on })
}

fn factor(node: &Node, reader: &mut Reader) -> Option<Scalar<f64>> {
    if let Kind::Text(_) = node.kind {
        let text = reader.text(node, "factor")?;
        if let Some(expr) = reader.only_expression(text, "factor")? {
            return Some(expr);
        }
    }
    let number = reader.float(node, "factor", 1.0, f64::from(limits::RETRY_FACTOR))?;
    Some(Scalar::Literal(Spanned::new(number, node.span.clone())))
}

fn retry_on(node: &Node, reader: &mut Reader) -> Option<Vec<RetryOn>> {
    let list = reader.list(node, "on", limits::CHOICES)?;
    let mut on = Vec::new();
    for node in list {
        let class = match reader.variant(node, "a class of failures", &["Connection", "Timeout", "Exit", "Any"])? {
            "Connection" => reader.bare(node).map(|()| RetryOn::Connection)?,
            "Timeout" => reader.bare(node).map(|()| RetryOn::Timeout)?,
            "Any" => reader.bare(node).map(|()| RetryOn::Any)?,
            _ => {
                let codes = reader.single(node, "Exit([100, 101])")?;
                let codes = reader.list(codes, "Exit", limits::CHOICES)?;
                let codes: Option<Vec<i32>> =
                    codes.iter().map(|node| reader.integer(node, "Exit", 1, 255).map(|code| code as i32)).collect();
                RetryOn::Exit(some(codes?, node, "`Exit` lists no code", reader)?)
            }
        };
        on.push(class);
    }
    some(on, node, "`on` lists no class of failures, so nothing would be tried again", reader)
}

fn some<T>(list: Vec<T>, node: &Node, message: &str, reader: &mut Reader) -> Option<Vec<T>> {
    if list.is_empty() {
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&node.head(), "empty"));
        return None;
    }
    Some(list)
}

fn outs(node: &Node, reader: &mut Reader) -> Vec<(Spanned<String>, Option<Out>)> {
    let mut outs = Vec::new();
    for (key, node) in reader.map(node, "out", limits::OUTPUTS).unwrap_or_default() {
        let name = name(key, "output", reader.sink);
        let value = out(node, reader);
        outs.push((name, value));
    }
    outs
}

fn out(node: &Node, reader: &mut Reader) -> Option<Out> {
    if reader.variant(node, "a way to take an output", &["Stdout", "Regex"])? == "Stdout" {
        let mut fields = Fields::open(node, &STDOUT, "`Stdout`", reader.sink)?;
        let ty = fields.required("type", reader.sink).and_then(|node| out_type(node, reader))?;
        return Some(Out::Stdout { ty });
    }
    let mut fields = Fields::open(node, &REGEX, "`Regex`", reader.sink)?;
    let pattern = fields.required("pattern", reader.sink).and_then(|node| reader.some_text(node, "pattern"));
    let ty = fields.required("type", reader.sink).and_then(|node| out_type(node, reader));
    let pattern = pattern?;
    if let Err(reason) = kind::compile_pattern(&pattern.value) {
        bad_pattern(&pattern.span, &reason, reader);
        return None;
    }
    Some(Out::Regex { pattern: pattern.value.clone(), ty: ty? })
}

fn env(node: &Node, reader: &mut Reader) -> Vec<(Spanned<String>, crate::expression::TemplateSyntax)> {
    let mut env = Vec::new();
    for (key, node) in reader.map(node, "env", limits::ENV).unwrap_or_default() {
        let name = key.value.as_str();
        let ok = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let good = name.chars().all(ok) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty();
        if !good || name.len() > limits::NAME_BYTES || name.starts_with("ANNEAL_") {
            let message = format!("{} is no name of a variable", quote(name));
            let why =
                if good { "names that begin with `ANNEAL_` are the engine's own" } else { "letters, digits and `_`" };
            reader.sink.push(Diagnostic::error(Code::BadName, message).at(&key.span, why));
        }
        let value = reader.text(node, name).and_then(|text| template(text, reader.sink));
        if let Some(value) = value {
            env.push((spanned(key), value));
        }
    }
    env
}
