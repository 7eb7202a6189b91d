//! Actions: what a step does, asks and undoes.

mod files;
mod here;
mod hosts;
mod patch;

pub(super) use files::check_restore;
pub(super) use here::is_header_name;
pub(super) use hosts::{check_reboot, settle_role};

use super::fields::{Fields, Shape};
use super::scalars::Reader;
use super::steps;
use crate::code::Code;
use crate::declared::{ActionDecl, ActionKind, GateDecl, Scalar, UntilDecl};
use crate::diagnostic::Diagnostic;
use crate::expression::{PartSyntax, TemplateSyntax, foreign, template};
use crate::limits;
use crate::plan::Otherwise;
use crate::source::Spanned;
use crate::syntax::{self, Kind, Node, Text};

const SCRIPT: Shape = Shape { name: "Script", fields: &["file", "args"], positional: None };
const UPLOAD: Shape = Shape { name: "Upload", fields: &["from", "to", "mode"], positional: None };
const WAIT: Shape = Shape { name: "Wait", fields: &["until", "within", "every"], positional: None };
const GATE: Shape =
    Shape { name: "Gate", fields: &["text", "approvers", "within", "otherwise", "not_requester"], positional: None };
const TCP: Shape = Shape { name: "Tcp", fields: &["port"], positional: None };

/// Reads what a step does.
pub(super) fn action(node: &Node, reader: &mut Reader) -> Option<ActionDecl> {
    let known = &[
        "Run",
        "Shell",
        "Script",
        "Upload",
        "Download",
        "Copy",
        "WriteFile",
        "WriteFiles",
        "PatchFile",
        "Reboot",
        "Wait",
        "Gate",
        "Assert",
        "Http",
        "Local",
        "Notify",
    ];
    if steps::is_called(node, "Call") {
        let diagnostic = Diagnostic::error(Code::UnknownVariant, "`Call` is no action of a step")
            .at(&node.head(), "inside of a step");
        reader.sink.push(diagnostic.help("it stands in the place of one: `steps: [Call(id: \"…\", workflow: \"…\")]`"));
        return None;
    }
    let word = reader.variant(node, "an action", known)?;
    read(node, word, reader)
}

/// Reads what undoes a step: a program, or `Restore`.
pub(super) fn undo(node: &Node, reader: &mut Reader) -> Option<ActionDecl> {
    let word = reader.variant(node, "an undo", &["Run", "Shell", "Script", "Restore", "Local"])?;
    read(node, word, reader)
}

/// Reads a probe, which is a program.
pub(super) fn command(node: &Node, what: &str, reader: &mut Reader) -> Option<ActionDecl> {
    let word = reader.variant(node, what, &["Run", "Shell", "Script", "Local"])?;
    read(node, word, reader)
}

fn read(node: &Node, word: &str, reader: &mut Reader) -> Option<ActionDecl> {
    let kind = match word {
        "Run" => argv(node, "Run", reader).map(|argv| ActionKind::Run { argv }),
        "Local" => argv(node, "Local", reader).map(|argv| ActionKind::Local { argv }),
        "Assert" => here::assert(node, reader),
        "Http" => here::http(node, reader),
        "Notify" => here::notify(node, reader),
        "Shell" => shell(node, reader),
        "Script" => script(node, reader),
        "Upload" => upload(node, reader),
        "Download" => hosts::download(node, reader),
        "Copy" => hosts::copy(node, reader),
        "Reboot" => hosts::reboot(node, reader),
        "WriteFile" => files::write_file(node, reader),
        "WriteFiles" => files::write_files(node, reader),
        "PatchFile" => patch::patch_file(node, reader),
        "Restore" => reader.bare(node).map(|()| ActionKind::Restore),
        "Gate" => gate(node, reader).map(ActionKind::Gate),
        _ => wait(node, reader),
    }?;
    Some(ActionDecl { kind })
}

/// A program and its arguments, of `Run` or of what is written like it.
fn argv(node: &Node, word: &str, reader: &mut Reader) -> Option<Vec<TemplateSyntax>> {
    let example = format!("{word}([\"program\", \"argument\"])");
    let list = reader.single(node, &example)?;
    if let Kind::Text(text) = &list.kind {
        let message = format!("`{word}` is given a text, but a list is expected");
        let diagnostic = Diagnostic::error(Code::WrongShape, message)
            .at(&text.span, "not a list")
            .help(format!("write program and arguments as a list: `{example}`"));
        // On the engine's machine there is no shell but the one that is named.
        let shell = (word == "Run").then_some("or let a shell read it: `Shell(\"…\")`");
        reader.sink.push(diagnostic.helps(shell));
        return None;
    }
    let argv = templates(list, word, reader)?;
    if matches!(&list.kind, Kind::List(list) if list.is_empty()) {
        let message = format!("`{word}` has no program");
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&list.span, "the program stands first"));
        return None;
    }
    if argv.first().and_then(TemplateSyntax::literal).is_some_and(|program| program.trim().is_empty()) {
        let message = format!("the program of `{word}` is empty");
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&argv[0].span, "the program stands here"));
        return None;
    }
    Some(argv)
}

fn templates(node: &Node, field: &str, reader: &mut Reader) -> Option<Vec<TemplateSyntax>> {
    let list = reader.list(node, field, limits::ARGUMENTS)?;
    let mut templates = Vec::new();
    for node in list {
        if let Kind::Number | Kind::Bool(_) = node.kind {
            let written = &reader.source[node.span.clone()];
            let message = format!("an element of `{field}` is {}, but a text is expected", node.describe());
            let diagnostic = Diagnostic::error(Code::WrongShape, message).at(&node.span, "not a text");
            reader.sink.push(diagnostic.help(format!("write \"{written}\"")));
            continue;
        }
        if let Some(text) = reader.text(node, field) {
            templates.extend(template(text, reader.sink));
        }
    }
    Some(templates)
}

fn shell(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let text = reader.single(node, "Shell(\"…\")")?;
    let text = reader.some_text(text, "Shell")?;
    if let Some(at) = text.value.find("${{") {
        let diagnostic = Diagnostic::error(Code::Splice, "an expression stands in shell text")
            .at(&text.locate(at..at + 3), "nothing is ever spliced into shell")
            .help("pass the value by `env: { \"NAME\": \"${{ … }}\" }` and read it as \"$NAME\"");
        reader.sink.push(diagnostic.help("or use a `Script` with `args`, or `stdin`"));
    }
    for found in foreign(&text.value) {
        let message = format!("`{}` means nothing to a shell", &text.value[found.clone()]);
        let diagnostic =
            Diagnostic::warning(Code::OtherBraces, message).at(&text.locate(found), "goes to the shell as it is");
        reader
            .sink
            .push(diagnostic.help("pass the value by `env: { \"NAME\": \"${{ … }}\" }` and read it as \"$NAME\""));
    }
    Some(ActionKind::Shell { text: text.value.clone() })
}

fn script(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &SCRIPT, "`Script`", reader.sink)?;
    let file = fields.required("file", reader.sink).and_then(|node| reader.some_text(node, "file"));
    let args = fields.optional("args").and_then(|node| templates(node, "args", reader)).unwrap_or_default();
    Some(ActionKind::Script { file: file.and_then(|text| fixed_path(text, "script", reader)), args })
}

/// A path that is known before anything is: no expression stands in it.
fn fixed_path(text: &Text, what: &str, reader: &mut Reader) -> Option<Spanned<String>> {
    if let Some(at) = text.value.find("${{") {
        let (does, by) = if what == "script" { ("runs", "args") } else { ("is used", "vars") };
        let label = format!("which {what} {does} must be known when the workflow is checked");
        let diagnostic = Diagnostic::error(Code::Splice, format!("the path of a {what} has an expression in it"))
            .at(&text.locate(at..at + 3), label)
            .help(format!("use two steps with a `when` each, or pass the value by `{by}`"));
        reader.sink.push(diagnostic);
        return None;
    }
    Some(Spanned::new(text.value.clone(), text.span.clone()))
}

fn upload(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &UPLOAD, "`Upload`", reader.sink)?;
    let from = fields.required("from", reader.sink).and_then(|node| reader.some_text(node, "from"));
    let from = from.and_then(|text| template(text, reader.sink));
    let to = fields.required("to", reader.sink).and_then(|node| host_path(node, "to", reader));
    let mode = fields.optional("mode").and_then(|node| mode(node, reader));
    Some(ActionKind::Upload { from, to, mode })
}

/// The absolute path of a file on the host.
fn host_path(node: &Node, field: &str, reader: &mut Reader) -> Option<TemplateSyntax> {
    absolute(node, field, "on the host", reader)
}

/// The absolute path of a file, on the machine that is said.
fn absolute(node: &Node, field: &str, machine: &str, reader: &mut Reader) -> Option<TemplateSyntax> {
    let text = reader.some_text(node, field)?;
    let path = template(text, reader.sink)?;
    let begins = match path.parts.first() {
        Some(PartSyntax::Text(begin)) => begin.starts_with('/'),
        _ => true,
    };
    if !begins {
        reader.malformed(&text.span, field, format!("an absolute path {machine} is expected"));
    } else if text.value.ends_with('/') {
        reader.malformed(&text.span, field, "the path of the file is expected, not that of a folder");
    }
    Some(path)
}

/// Permission bits, octal: `0o644` or `"0644"`.
fn mode(node: &Node, reader: &mut Reader) -> Option<Scalar<u32>> {
    let help = "permission bits are octal: `0o644` or `\"0644\"`";
    let bits = match &node.kind {
        Kind::Text(_) => {
            let text = reader.text(node, "mode")?;
            if let Some(expr) = reader.only_expression(text, "mode")? {
                return Some(expr);
            }
            parse_mode(&text.value)
        }
        Kind::Number if reader.source[node.span.clone()].starts_with("0o") => {
            let number = syntax::options().from_str::<u32>(&reader.source[node.span.clone()]);
            number.ok().filter(|bits| *bits <= 0o7777)
        }
        _ => None,
    };
    match bits {
        Some(bits) => Some(Scalar::Literal(Spanned::new(bits, node.span.clone()))),
        None => {
            reader.malformed(&node.head(), "mode", help);
            None
        }
    }
}

/// Reads permission bits that are given as text.
pub(crate) fn parse_mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
}

fn wait(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &WAIT, "`Wait`", reader.sink)?;
    let until = fields.required("until", reader.sink).and_then(|node| until(node, reader));
    let within = fields
        .required("within", reader.sink)
        .and_then(|node| reader.duration_or_expr(node, "within", limits::TIMEOUT_MIN_MS, limits::TIMEOUT_MAX_MS));
    let every = fields
        .optional("every")
        .and_then(|node| reader.duration_or_expr(node, "every", limits::EVERY_MIN_MS, limits::EVERY_MAX_MS));
    Some(ActionKind::Wait { until, within, every })
}

fn gate(node: &Node, reader: &mut Reader) -> Option<GateDecl> {
    let mut fields = Fields::open(node, &GATE, "`Gate`", reader.sink)?;
    let text = fields.required("text", reader.sink).and_then(|node| reader.some_text(node, "text"));
    let text = text.and_then(|text| template(text, reader.sink));
    let approvers = fields.optional("approvers").map(|node| approvers(node, reader)).unwrap_or_default();
    let not_requester = fields.optional("not_requester").and_then(|node| reader.boolean(node, "not_requester"));
    let within = fields
        .optional("within")
        .and_then(|node| reader.duration_or_expr(node, "within", limits::TIMEOUT_MIN_MS, limits::GATE_WITHIN_MAX_MS));
    let otherwise = fields.optional("otherwise").and_then(|node| {
        let word = reader.variant(node, "what no answer means", &["Approve", "Reject"])?;
        reader.bare(node)?;
        Some(if word == "Approve" { Otherwise::Approve } else { Otherwise::Reject })
    });
    if otherwise.is_some() && !fields.has("within") && !fields.is_broken() {
        let message = "`otherwise` says what no answer means, but the gate waits without end";
        let diagnostic = Diagnostic::error(Code::NeedsCompanion, message).at(&fields.place("otherwise"), "");
        reader.sink.push(diagnostic.help("say how long it waits: `within: \"2h\"`"));
    }
    Some(GateDecl {
        text,
        approvers,
        not_requester: not_requester.unwrap_or(false),
        within,
        otherwise: otherwise.unwrap_or(Otherwise::Reject),
    })
}

fn approvers(node: &Node, reader: &mut Reader) -> Vec<String> {
    let list = reader.list(node, "approvers", limits::APPROVERS).unwrap_or_default();
    if list.is_empty() && matches!(node.kind, Kind::List(_)) {
        let diagnostic = Diagnostic::error(Code::Empty, "`approvers` names nobody").at(&node.head(), "empty");
        reader.sink.push(diagnostic.help("leave it out, and anybody may answer"));
    }
    let mut approvers = Vec::new();
    for text in list.iter().filter_map(|node| reader.some_text(node, "approvers")).collect::<Vec<_>>() {
        if let Some(at) = text.value.find("${{") {
            let message = "an approver has an expression in it, which would not be evaluated";
            let diagnostic = Diagnostic::error(Code::NoEffect, message);
            reader.sink.push(diagnostic.at(&text.locate(at..at + 3), "only a name stands here"));
        }
        approvers.push(text.value.clone());
    }
    approvers
}

fn until(node: &Node, reader: &mut Reader) -> Option<UntilDecl> {
    match reader.variant(node, "something to wait for", &["Ssh", "Tcp", "Http", "Tls", "Command"])? {
        "Ssh" => reader.bare(node).map(|()| UntilDecl::Ssh),
        "Tcp" => {
            let mut fields = Fields::open(node, &TCP, "`Tcp`", reader.sink)?;
            let port = fields.required("port", reader.sink).and_then(|node| port(node, reader));
            Some(UntilDecl::Tcp { port })
        }
        "Tls" => here::until_tls(node, reader),
        "Command" => argv(node, "Command", reader).map(|argv| UntilDecl::Command { argv }),
        _ => here::until_http(node, reader),
    }
}

fn port(node: &Node, reader: &mut Reader) -> Option<Scalar<u16>> {
    Some(match reader.integer_or_expr(node, "port", 1, 65_535)? {
        Scalar::Literal(port) => Scalar::Literal(Spanned::new(port.value as u16, port.span)),
        Scalar::Expr(syntax) => Scalar::Expr(syntax),
    })
}

/// Statuses of HTTP, at least one.
pub(super) fn statuses(node: &Node, reader: &mut Reader) -> Option<Vec<u16>> {
    let list = reader.list(node, "status", limits::CHOICES)?;
    if list.is_empty() {
        let message = "`status` lists no status";
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&node.span, "empty"));
        return None;
    }
    list.iter().map(|node| reader.integer(node, "status", 100, 599).map(|status| status as u16)).collect()
}
