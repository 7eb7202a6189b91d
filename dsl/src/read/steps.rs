//! Steps: each is read by itself, so that a broken one does not hide what is wrong with the others.

use super::defaults::Defaults;
use super::fields::{Fields, Shape};
use super::scalars::{Reader, name};
use super::{actions, call, groups, here, needs, outs, policies, run};
use crate::code::Code;
use crate::declared::{ActionDecl, ActionKind, Declared, EachDecl, StepDecl};
use crate::diagnostic::Diagnostic;
use crate::expr::Binary;
use crate::expression::{Syntax, SyntaxKind, TemplateSyntax, expression, template};
use crate::limits;
use crate::plan::{OnFailure, OnState};
use crate::source::{Spanned, quote};
use crate::syntax::{Kind, Node, Text};

const STEP: Shape = Shape {
    name: "Step",
    fields: &[
        "id",
        "about",
        "on",
        "run_at",
        "needs",
        "when",
        "probe",
        "always",
        "reads",
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
        "cwd",
        "ok_exit",
        "idle_timeout",
        "each",
        "parallel",
        "locks",
        "batch",
        "on_state",
        "allow_secret_args",
    ],
    positional: None,
};
/// What has no effect in a gate, and why.
const NOT_IN_A_GATE: [(&str, &str); 13] = [
    ("on", "a gate runs on no host"),
    ("run_at", "a gate runs on no host"),
    ("batch", "a gate runs on no host"),
    ("probe", "there is nothing to ask a host"),
    ("reads", "no program runs in this step"),
    ("undo", "there is nothing to undo"),
    ("interrupted", "a person's answer is known or it is not"),
    ("retry", "a person is asked once"),
    ("timeout", "how long a gate waits is said by its `within`"),
    ("idle_timeout", "how long a gate waits is said by its `within`"),
    ("each", "a gate is one question"),
    ("parallel", "a gate is one question"),
    ("locks", "nothing is held while a person is waited for"),
];

/// Where a step stands.
pub(super) enum Within<'a> {
    Body,
    Group { index: usize, over: Option<&'a Spanned<String>>, when: Option<&'a Syntax>, has_when: bool, broken: bool },
    Finally,
}

/// Reads all steps and groups of the body.
pub(super) fn steps<'t>(node: &'t Node, defaults: &Defaults<'t>, declared: &mut Declared, reader: &mut Reader) {
    let Some(list) = reader.list(node, "steps", limits::STEPS) else {
        declared.has_unread_steps = true;
        return;
    };
    if list.is_empty() {
        let message = "the workflow has no steps";
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&node.span, "empty"));
    }
    for node in list {
        if is_called(node, "Group") {
            groups::group(node, defaults, declared, reader);
        } else if is_called(node, "Call") {
            call::call(node, declared, reader);
        } else {
            add(node, &Within::Body, defaults, declared, reader);
        }
    }
}

/// Whether a struct begins with this word.
pub(super) fn is_called(node: &Node, word: &str) -> bool {
    matches!(&node.kind, Kind::Struct(this) if this.name.as_ref().is_some_and(|name| name.value == word))
}

/// Reads a step, and adds it; gives its index.
pub(super) fn add<'t>(
    node: &'t Node,
    within: &Within,
    defaults: &Defaults<'t>,
    declared: &mut Declared,
    reader: &mut Reader,
) -> Option<usize> {
    let index = declared.steps.len();
    if index >= limits::STEPS {
        let message = format!("the workflow has more than {} steps", limits::STEPS);
        reader.out_of_limits(&node.head(), message, "too many");
        return None;
    }
    let Some((step, batch)) = step(node, within, defaults, reader) else {
        declared.has_unread_steps = true;
        return None;
    };
    declared.has_unread_steps |= step.broken && has_swallowed(node);
    match &step.id {
        Some(id) => {
            if groups::is_new(id, "step", declared, reader) {
                declared.step_ids.insert(id.value.clone(), index);
            }
        }
        None => declared.has_unread_steps = true,
    }
    declared.steps.push(step);
    match batch {
        Some(batch) => groups::of_one(index, batch, declared, reader),
        None => Some(index),
    }
}

/// Whether what follows a step stands in it, because its bracket is not closed where it was meant to be.
fn has_swallowed(node: &Node) -> bool {
    let Kind::Struct(this) = &node.kind else { return false };
    this.positional.iter().any(|node| ["Step", "Group", "Call"].into_iter().any(|word| is_called(node, word)))
}

/// Reads a step, and gives its own `batch` unread.
fn step<'t>(
    node: &'t Node,
    within: &Within,
    defaults: &Defaults<'t>,
    reader: &mut Reader,
) -> Option<(StepDecl, Option<&'t Node>)> {
    let what = match written_id(node) {
        Some(id) => format!("step {}", quote(id)),
        None => "a step".to_owned(),
    };
    // Before anything in it is read: what is wrong now is its syntax.
    let broken = reader.sink.has_syntax_error_in(&node.span);
    let mut fields = Fields::open(node, &STEP, &what, reader.sink)?;
    let broken = broken || fields.is_broken() || matches!(within, Within::Group { broken: true, .. });
    let id = fields.required("id", reader.sink).and_then(|node| reader.text(node, "id"));
    let action = fields.optional("do");
    let is = |word: &str| action.is_some_and(|node| is_called(node, word));
    let (waits, undefaulted) = (is("Wait"), is("Gate") || is("Assert") || is("Record") || is("Forget"));
    let needs_no_host = action.is_some_and(here::needs_no_host) || is("Copy");
    // Nothing that a default can say has a meaning in a gate or an assertion.
    let mut fields = if undefaulted { fields } else { fields.with_defaults(defaults.layers()) };
    let on = match within {
        Within::Group { .. } => fields.optional("on"),
        // A `Copy` may say it by its `to`.
        Within::Body | Within::Finally if needs_no_host => fields.optional("on"),
        Within::Body | Within::Finally => fields.required("on", reader.sink),
    };
    let (group, over, group_when, group_may_be_skipped) = match within {
        Within::Group { index, over, when, has_when, broken: _ } => (Some(*index), *over, *when, *has_when),
        Within::Body | Within::Finally => (None, None, None, false),
    };
    let mut step = StepDecl {
        about: fields.optional("about").and_then(|node| reader.about(node)),
        on: on.and_then(|node| needs::on(node, "on", reader)).or_else(|| over.cloned()),
        run_at: fields.optional("run_at").and_then(|node| reader.some_text(node, "run_at")).map(spanned),
        has_each: fields.optional("each").is_some(),
        group,
        interrupted: fields.optional("interrupted").and_then(|node| policies::interrupted(node, reader)),
        retry: fields.or_default("retry").and_then(|node| policies::retry(node, reader)),
        // How long a wait takes is said by its `within`.
        timeout: if waits { fields.optional("timeout") } else { fields.or_default("timeout") }
            .and_then(|node| reader.duration_or_expr(node, "timeout", limits::TIMEOUT_MIN_MS, limits::TIMEOUT_MAX_MS)),
        may_be_skipped: fields.optional("when").is_some() || fields.optional("probe").is_some() || broken,
        group_may_be_skipped,
        broken,
        has_probe: fields.optional("probe").is_some() || broken,
        has_undo: fields.optional("undo").is_some() || broken,
        ..StepDecl::new(id.map(|text| name(text, "step", reader.sink)))
    };
    if let Some(node) = fields.optional("needs") {
        step.needs = needs::needs(node, reader);
    }
    if let Some(text) = fields.optional("when").and_then(|node| reader.some_text(node, "when")) {
        step.when = expression(text, reader.sink);
    }
    step.when = both(group_when, step.when);
    if let Some(text) = fields.optional("each").and_then(|node| reader.some_text(node, "each")) {
        let syntax = expression(text, reader.sink);
        step.each = syntax.map(|syntax| EachDecl { syntax, text: text.value.trim().to_owned() });
    }
    if let Some(node) = fields.optional("parallel") {
        let most = reader.integer(node, "parallel", 1, i64::from(limits::PARALLEL));
        step.parallel = most.map(|most| Spanned::new(most.unsigned_abs() as u32, node.span.clone()));
    }
    if let Some(node) = fields.optional("locks") {
        step.locks = names(node, "locks", reader);
    }
    if matches!(within, Within::Finally) {
        step.on_failure = OnFailure::Continue;
    }
    if let Some(node) = fields.optional("probe") {
        step.probe = actions::command(node, "a probe", reader);
    }
    if let Some(node) = fields.required("do", reader.sink) {
        step.action = actions::action(node, reader);
    }
    if let Some(node) = fields.optional("undo") {
        step.undo = actions::undo(node, reader);
    }
    let on_failure = match within {
        Within::Finally => fields.optional("on_failure"),
        Within::Body | Within::Group { .. } => fields.or_default("on_failure"),
    };
    if let Some(policy) = on_failure.and_then(|node| policies::on_failure(node, reader)) {
        step.on_failure = policy;
    }
    if let Some(node) = fields.optional("out") {
        step.out = outs::outs(node, reader);
    }
    step.env = run::env(&fields, reader);
    let mut text = |field: &str, node: Option<&Node>| {
        let text = node.and_then(|node| reader.text(node, field))?;
        if text.value.is_empty() && field != "stdin" {
            let message = format!("`{field}` is empty");
            reader.sink.push(Diagnostic::error(Code::Empty, message).at(&text.span, "something must stand here"));
            return None;
        }
        template(text, reader.sink)
    };
    step.stdin = text("stdin", fields.optional("stdin"));
    step.as_user = text("as_user", fields.or_default("as_user"));
    step.cwd = text("cwd", fields.or_default("cwd"));
    step.allow_secret_args = here::allow_secret_args(&mut fields, reader);
    run::fields(&mut step, &mut fields, reader);
    always(&mut step, &mut fields, reader);
    run::reads(&mut step, &mut fields, reader);
    actions::settle_role(&mut step, &fields, reader);
    without_effect(&mut step, &fields, reader);
    actions::check_reboot(&step, reader);
    here::check(&step, &fields, reader);
    here::check_answers(&step, &fields, reader);
    actions::check_restore(&step, &fields, reader);
    if let Some(node) = fields.optional("on_state") {
        step.finally = on_state(node, reader);
    }
    match within {
        Within::Finally => {
            groups::check_finally(&step, &fields, reader);
            step.finally = Some(step.finally.unwrap_or(OnState::Always));
        }
        Within::Body | Within::Group { .. } => {
            if let Within::Group { over, .. } = within {
                groups::check_step(&step, *over, &fields, reader);
            }
            if step.finally.take().is_some() {
                let message = format!("`on_state` has no place in {}", step.title());
                let diagnostic = Diagnostic::error(Code::Misplaced, message)
                    .at(&fields.place("on_state"), "only the steps of `finally` have it")
                    .help("move the step into `finally: [...]`, or say by `when` or `needs` when it is to run");
                reader.sink.push(diagnostic);
            }
        }
    }
    let batch =
        fields.optional("batch").filter(|_| matches!(within, Within::Body) && !step.is_gate() && !step.is_hostless());
    Some((step, batch))
}

/// Whether `do` runs without asking the probe first.
fn always(step: &mut StepDecl, fields: &mut Fields, reader: &mut Reader) {
    step.always = fields.optional("always").and_then(|node| reader.boolean(node, "always")).unwrap_or(false);
    if step.always && !step.has_probe {
        let message = format!("{} has `always`, but no `probe`", step.title());
        let diagnostic = Diagnostic::error(Code::NeedsCompanion, message).at(&fields.place("always"), "needs `probe`");
        reader.sink.push(diagnostic.help("a step without a probe runs always anyway: leave it out"));
    }
    step.may_be_skipped &= !step.always || fields.has("when") || step.broken;
}

/// The condition of a group and that of a step in it.
fn both(group: Option<&Syntax>, own: Option<Syntax>) -> Option<Syntax> {
    match (group.cloned(), own) {
        (Some(group), Some(own)) => {
            let (span, depth) = (own.span.clone(), group.depth.max(own.depth) + 1);
            let kind = SyntaxKind::Binary(Binary::And, Box::new(group), Box::new(own));
            Some(Syntax { kind, span, depth })
        }
        (group, own) => group.or(own),
    }
}

/// Names that may have expressions in them: of locks, of instances.
pub(super) fn names(node: &Node, field: &str, reader: &mut Reader) -> Vec<TemplateSyntax> {
    let list = reader.list(node, field, limits::LOCKS).unwrap_or_default();
    if list.is_empty() && matches!(node.kind, Kind::List(_)) {
        let message = format!("`{field}` names nothing");
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&node.head(), "empty"));
    }
    list.iter().filter_map(|node| template(reader.some_text(node, field)?, reader.sink)).collect()
}

fn on_state(node: &Node, reader: &mut Reader) -> Option<OnState> {
    let known = &["Always", "Succeeded", "Failed", "Cancelled"];
    let value = match reader.variant(node, "an end of an operation", known)? {
        "Always" => OnState::Always,
        "Succeeded" => OnState::Succeeded,
        "Failed" => OnState::Failed,
        _ => OnState::Cancelled,
    };
    reader.bare(node)?;
    Some(value)
}

/// The id of a step as it is written, right or wrong, for messages about the step.
fn written_id(node: &Node) -> Option<&str> {
    let Kind::Struct(this) = &node.kind else { return None };
    match &this.fields.iter().find(|(name, _)| name.value == "id")?.1.kind {
        Kind::Text(text) => Some(&text.value),
        _ => None,
    }
}

pub(super) fn spanned(text: &Text) -> Spanned<String> {
    Spanned::new(text.value.clone(), text.span.clone())
}

/// Refuses fields that do nothing together with the action of the step; defaults that do nothing are left out.
fn without_effect(step: &mut StepDecl, fields: &Fields, reader: &mut Reader) {
    let Some(action) = &step.action else { return };
    let is_command = action.is_command();
    let runs_a_program = here::runs_a_program(action) || action.asks_by_command();
    let has_command = runs_a_program || step.probe.is_some() || step.undo.as_ref().is_some_and(ActionDecl::is_command);
    let is_gate = step.is_gate();
    let is_wait = matches!(action.kind, ActionKind::Wait { .. });
    let is_http = matches!(action.kind, ActionKind::Http(_));
    let is_assert = matches!(action.kind, ActionKind::Assert(_));
    let undone = step.undo.is_some() && step.records().is_none();
    let may_idle = is_command || here::runs_a_program(action) || undone || is_gate || is_assert;
    let from_here = action.is_from_here();
    let title = step.title();
    let mut refuse = |field: &str, there: bool, why: &str| {
        if there && fields.has(field) {
            let message = format!("`{field}` has no effect in {title}");
            reader.sink.push(Diagnostic::error(Code::NoEffect, message).at(&fields.place(field), why));
        }
        there
    };
    for (field, why) in NOT_IN_A_GATE {
        refuse(field, is_gate && fields.has(field), why);
    }
    let no_program = "no program runs in this step";
    let no_env = refuse("env", !has_command && !step.env.is_empty(), no_program);
    let no_cwd = refuse("cwd", !has_command && step.cwd.is_some(), no_program);
    refuse("ok_exit", !is_command && !step.ok_exit.is_empty(), "the action is no program");
    let no_idle = refuse("idle_timeout", !may_idle && step.idle_timeout.is_some(), no_program);
    refuse("stdin", !is_command && step.stdin.is_some(), "the action is no program");
    refuse("out", !is_command && !is_http && !step.out.is_empty(), "the action is no program, so it writes nothing");
    let by_nobody = is_wait || is_gate || from_here;
    let no_user = refuse("as_user", by_nobody && !has_command && step.as_user.is_some(), no_program);
    refuse("run_at", is_wait && !has_command && step.run_at.is_some(), "a wait looks from here");
    refuse("run_at", from_here && step.run_at.is_some(), "it runs from here");
    if no_env {
        step.env.clear();
    }
    step.cwd.take_if(|_| no_cwd);
    step.idle_timeout.take_if(|_| no_idle);
    step.as_user.take_if(|_| no_user);
}
