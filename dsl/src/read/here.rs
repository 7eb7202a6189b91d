//! What a step may have whose action runs from here, and what has no effect in it.

use super::actions::is_header_name;
use super::fields::{Fields, Shape};
use super::inputs::out_type;
use super::scalars::Reader;
use super::steps::is_called;
use crate::code::Code;
use crate::declared::{ActionDecl, ActionKind, OutDecl, OutFrom, RecipientDecl, StepDecl};
use crate::diagnostic::Diagnostic;
use crate::plan::RetryOn;
use crate::source::{Spanned, quote};
use crate::syntax::Node;
use crate::types::Type;

const STATUS: Shape = Shape { name: "Status", fields: &["type"], positional: None };
const HEADER: Shape = Shape { name: "Header", fields: &["name", "type"], positional: None };

/// What has no effect in an `Assert`, and why.
const NOT_IN_AN_ASSERT: [(&str, &str); 6] = [
    ("probe", "there is nothing to ask a host"),
    ("undo", "there is nothing to undo"),
    ("interrupted", "it is evaluated again"),
    ("retry", "it would say the same again"),
    ("timeout", "it takes no time"),
    ("idle_timeout", "no program runs in this step"),
];

/// What has no effect in a `Record` or `Forget`, and why.
const NOT_IN_A_RECORD: [(&str, &str); 5] = [
    ("probe", "what is recorded already is not changed"),
    ("interrupted", "it happens as a whole or not at all"),
    ("retry", "it would say the same again"),
    ("timeout", "it takes no time"),
    ("batch", "it happens on no host"),
];

/// Whether a step with this action needs no host.
pub(super) fn needs_no_host(action: &Node) -> bool {
    ["Gate", "Assert", "Http", "Local", "Notify", "Record", "Forget"].iter().any(|word| is_called(action, word))
}

/// Whether a program of ours is run by it, with environment, folder and user.
pub(super) fn runs_a_program(action: &ActionDecl) -> bool {
    action.is_command() || recipient(action).is_some_and(|to| matches!(to, RecipientDecl::Command { .. }))
}

fn recipient(action: &ActionDecl) -> Option<&RecipientDecl> {
    match &action.kind {
        ActionKind::Notify(notice) => notice.to.as_ref(),
        _ => None,
    }
}

/// Refuses what does nothing in a step that runs from here, or runs nowhere without a host.
pub(super) fn check(step: &StepDecl, fields: &Fields, reader: &mut Reader) {
    let Some(action) = &step.action else { return };
    let mut refuse = |field: &str, why: &str| {
        if fields.has(field) {
            let message = format!("`{field}` has no effect in {}", step.title());
            reader.sink.push(Diagnostic::error(Code::NoEffect, message).at(&fields.place(field), why));
        }
    };
    match &action.kind {
        ActionKind::Assert(_) => NOT_IN_AN_ASSERT.iter().for_each(|(field, why)| refuse(field, why)),
        ActionKind::Record(_) | ActionKind::Forget(_) => {
            NOT_IN_A_RECORD.iter().for_each(|(field, why)| refuse(field, why));
            record_and_host(step, fields, reader);
        }
        ActionKind::Notify(_) => {
            refuse("undo", "what was told stays told");
            if !runs_a_program(action) {
                refuse("interrupted", "it is told again where nobody knows whether it was told");
            }
        }
        _ => {}
    }
    if !step.is_hostless() {
        return;
    }
    let mut refuse = |field: &str, why: &str| {
        if fields.has(field) {
            let message = format!("`{field}` has no effect in {}", step.title());
            reader.sink.push(Diagnostic::error(Code::NoEffect, message).at(&fields.place(field), why));
        }
    };
    if step.records().is_none() {
        refuse("batch", "hosts pass in batches, and this step has none");
    }
    let put_back = |program: &ActionDecl| step.records().is_some() && matches!(program.kind, ActionKind::Restore);
    for (field, program) in [("probe", &step.probe), ("undo", &step.undo)] {
        if program.as_ref().is_some_and(|program| !program.is_from_here() && !put_back(program)) {
            let message = format!("the `{field}` of {} runs on a host, and the step has none", step.title());
            let diagnostic =
                Diagnostic::error(Code::NeedsCompanion, message).at(&fields.place(field), "on which host?");
            let help = "run it from here too, `Local([…])`, or say which host the step is about: `on: \"role\"`";
            reader.sink.push(diagnostic.help(help));
        }
    }
}

/// An instance is recorded once, and a wiring of each host.
fn record_and_host(step: &StepDecl, fields: &Fields, reader: &mut Reader) {
    let Some(of) = step.records() else { return };
    if of.wiring && step.on.is_none() && !fields.has("on") && !step.broken {
        let message = format!("{} is about a wiring, and about no host", step.title());
        let diagnostic = Diagnostic::error(Code::NeedsCompanion, message).at(&of.at, "which hosts are wired?");
        reader.sink.push(diagnostic.help("say which ones: `on: \"nodes\"`"));
    } else if of.wiring && step.has_each {
        let message = format!("`each` has no effect in {}", step.title());
        let diagnostic =
            Diagnostic::error(Code::NoEffect, message).at(&fields.place("each"), "one record for each host");
        reader.sink.push(diagnostic);
    } else if !of.wiring
        && let Some(on) = step.on.as_ref().filter(|_| !of.named || fields.has("on") || step.group.is_some())
    {
        let message = format!("{} is about an instance, which is recorded once and not for each host", step.title());
        let diagnostic = Diagnostic::error(Code::Misplaced, message).at(&on.span, "recorded once");
        reader.sink.push(
            diagnostic.help("leave `on` out, and put the step outside of a group; its hosts are named by `members`"),
        );
    }
}

/// Refuses outputs and retries that the action can never bring about.
pub(super) fn check_answers(step: &StepDecl, fields: &Fields, reader: &mut Reader) {
    let Some(action) = &step.action else { return };
    let is_http = matches!(action.kind, ActionKind::Http(_));
    let mut refuse = |span, message: String, why: &str| {
        reader.sink.push(Diagnostic::error(Code::NoEffect, message).at(&span, why));
    };
    for (name, out) in step.out.iter().filter_map(|(name, out)| Some((name, out.as_ref()?))) {
        let of_an_answer = match &out.from {
            OutFrom::Status | OutFrom::Header(_) => true,
            OutFrom::File(_) | OutFrom::ExitIs { .. } => false,
            OutFrom::Stdout | OutFrom::Regex(_) | OutFrom::Json(_) => continue,
        };
        if of_an_answer != is_http && (is_http || action.is_command()) {
            let why = if is_http { "a request runs no program" } else { "a program gives no answer of HTTP" };
            refuse(
                name.span.clone(),
                format!("the output {} of {} has no source", quote(&name.value), step.title()),
                why,
            );
        }
    }
    let answers = is_http || recipient(action).is_some_and(|to| matches!(to, RecipientDecl::Webhook { .. }));
    let has_program = runs_a_program(action);
    // A default serves actions of all kinds.
    let retry = step.retry.as_ref().filter(|_| fields.has("retry"));
    for on in retry.iter().flat_map(|retry| &retry.on).flatten() {
        let (word, there) = match on {
            RetryOn::Exit(_) => ("Exit", has_program || !action.is_from_here()),
            RetryOn::Status(_) => ("Status", answers),
            RetryOn::Connection | RetryOn::Timeout | RetryOn::Any => continue,
        };
        if !there {
            let message = format!("`retry` on `{word}` has no effect in {}", step.title());
            refuse(fields.place("retry"), message, "its action never fails like this");
        }
    }
}

/// `Status(type: Int)` and `Header(name:, type:)`.
pub(super) fn of_an_answer(node: &Node, word: &str, reader: &mut Reader) -> Option<OutDecl> {
    if word == "Status" {
        let mut fields = Fields::open(node, &STATUS, "`Status`", reader.sink)?;
        let node = fields.required("type", reader.sink)?;
        if out_type(node, reader)? != Type::Int {
            let message = "the status of an answer is an `Int`";
            reader.sink.push(Diagnostic::error(Code::TypeMismatch, message).at(&node.head(), "write `Int`"));
            return None;
        }
        return Some(OutDecl { from: OutFrom::Status, ty: Type::Int, secret: false });
    }
    let mut fields = Fields::open(node, &HEADER, "`Header`", reader.sink)?;
    let name = fields.required("name", reader.sink).and_then(|node| {
        let text = reader.some_text(node, "name")?;
        let name = text.value.to_ascii_lowercase();
        if !is_header_name(&name) {
            let message = format!("{} is no name of a header", quote(&text.value));
            reader.sink.push(Diagnostic::error(Code::BadName, message).at(&text.span, "letters, digits and `-`"));
            return None;
        }
        Some(name)
    });
    let node = fields.required("type", reader.sink)?;
    let secret = matches!(&node.kind, crate::syntax::Kind::Word(word) if word == "Secret");
    let ty = if secret { Some(Type::Text) } else { out_type(node, reader) };
    Some(OutDecl { from: OutFrom::Header(name?), ty: ty?, secret })
}

/// Why secrets may stand in arguments and URLs.
pub(super) fn allow_secret_args(fields: &mut Fields, reader: &mut Reader) -> Option<Spanned<String>> {
    let text = fields.optional("allow_secret_args").and_then(|node| reader.some_text(node, "allow_secret_args"))?;
    if let Some(at) = text.value.find("${{") {
        let message = "`allow_secret_args` has an expression in it, which would not be evaluated";
        let diagnostic = Diagnostic::error(Code::NoEffect, message);
        reader.sink.push(diagnostic.at(&text.locate(at..at + 3), "only the reason stands here"));
    }
    Some(super::steps::spanned(text))
}
