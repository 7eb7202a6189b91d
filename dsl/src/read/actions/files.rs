//! Actions on files: `WriteFile`, `WriteFiles`, and what takes them back.

use super::{fixed_path, host_path, mode};
use crate::code::Code;
use crate::declared::{ActionKind, ContentDecl, DatumDecl, FileDecl, StepDecl};
use crate::diagnostic::Diagnostic;
use crate::expression::template;
use crate::limits;
use crate::read::fields::{Fields, Shape};
use crate::read::scalars::Reader;
use crate::source::{Spanned, quote};
use crate::syntax::{self, Kind, Node};

const FILE: [&str; 8] = ["to", "content", "template", "vars", "mode", "owner", "group", "backup"];
const WRITE_FILE: Shape = Shape { name: "WriteFile", fields: &FILE, positional: None };
const ONE_OF_THEM: Shape = Shape { name: "", fields: &FILE, positional: None };
const WRITE_FILES: Shape = Shape { name: "WriteFiles", fields: &["files"], positional: None };

pub(super) fn write_file(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    file(node, &WRITE_FILE, "`WriteFile`", reader).map(|file| ActionKind::WriteFiles { files: vec![file] })
}

pub(super) fn write_files(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &WRITE_FILES, "`WriteFiles`", reader.sink)?;
    let list = fields.required("files", reader.sink)?;
    let list = reader.list(list, "files", limits::FILES)?;
    if list.is_empty() {
        let message = "`files` lists no file";
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&node.head(), "nothing is written"));
        return None;
    }
    let files: Vec<FileDecl> =
        list.iter().filter_map(|node| file(node, &ONE_OF_THEM, "a file of `WriteFiles`", reader)).collect();
    let mut seen: Vec<(String, std::ops::Range<usize>)> = Vec::new();
    for to in files.iter().filter_map(|file| file.to.as_ref()) {
        let Some(path) = to.literal() else { continue };
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == path) {
            let message = format!("{} is written twice", quote(&path));
            reader.sink.push(Diagnostic::error(Code::DuplicateKey, message).at(&to.span, "again").at(first, "first"));
        }
        seen.push((path, to.span.clone()));
    }
    (files.len() == list.len()).then_some(ActionKind::WriteFiles { files })
}

fn file(node: &Node, shape: &Shape, what: &str, reader: &mut Reader) -> Option<FileDecl> {
    let mut fields = Fields::open(node, shape, what, reader.sink)?;
    let to = fields.required("to", reader.sink).and_then(|node| host_path(node, "to", reader));
    let mut name = |field: &str, reader: &mut Reader| {
        let text = fields.optional(field).and_then(|node| reader.some_text(node, field))?;
        template(text, reader.sink)
    };
    let (owner, group) = (name("owner", reader), name("group", reader));
    let mode = fields.optional("mode").and_then(|node| mode(node, reader));
    // Where something could not be read, it may have been this.
    let unsaid = fields.is_broken();
    let backup = fields.optional("backup").and_then(|node| reader.boolean(node, "backup")).unwrap_or(unsaid);
    let no_effect = |field: &str, beside: &str, reader: &mut Reader| {
        let message = format!("`{field}` has no effect {beside}");
        reader.sink.push(Diagnostic::error(Code::NoEffect, message).at(&fields.place(field), "remove it"));
    };
    let there = (fields.has("content"), fields.has("template"));
    if there == (true, true) {
        no_effect("content", "beside `template`", reader);
    }
    if fields.has("vars") && !there.1 {
        no_effect("vars", "without `template`", reader);
    }
    if there == (false, false) && !fields.is_broken() {
        let message = format!("{what} has neither `content` nor `template`");
        let diagnostic = Diagnostic::error(Code::MissingField, message).at(&node.head(), "what is to be in it?");
        reader.sink.push(diagnostic.help("`content: \"text\"`, or `template: \"templates/x.j2\", vars: {…}`"));
    }
    let content = match (fields.optional("template"), fields.optional("content")) {
        (Some(node), _) => {
            let file = reader.some_text(node, "template").and_then(|text| fixed_path(text, "template", reader));
            let vars = fields.optional("vars").map(|node| data(node, "vars", reader));
            let vars = match vars {
                Some(Some(DatumDecl::Map(vars))) => Some(vars),
                Some(_) => None,
                None => Some(Vec::new()),
            };
            file.zip(vars).map(|(file, vars)| ContentDecl::Jinja { file, vars })
        }
        (None, Some(node)) => {
            reader.text(node, "content").and_then(|text| template(text, reader.sink)).map(ContentDecl::Text)
        }
        (None, None) => None,
    };
    Some(FileDecl { to, content, mode, owner, group, backup })
}

/// Reads a map that is written as data.
pub(super) fn data(node: &Node, field: &str, reader: &mut Reader) -> Option<DatumDecl> {
    if !matches!(node.kind, Kind::Map(_)) {
        reader.map(node, field, limits::DATA_ENTRIES)?;
    }
    let mut left = limits::DATA_ENTRIES;
    datum(node, field, 0, &mut left, reader)
}

/// Reads whatever is written as data: a map, a list, a single value.
pub(super) fn any_data(node: &Node, field: &str, reader: &mut Reader) -> Option<DatumDecl> {
    let mut left = limits::DATA_ENTRIES;
    datum(node, field, 0, &mut left, reader)
}

fn datum(node: &Node, field: &str, depth: usize, left: &mut usize, reader: &mut Reader) -> Option<DatumDecl> {
    if depth > limits::DATA_NESTING {
        let message = format!("`{field}` has more than {} maps and lists inside each other", limits::DATA_NESTING);
        reader.out_of_limits(&node.head(), message, "too deep");
        return None;
    }
    let mut room = |more: usize, reader: &mut Reader| match left.checked_sub(more) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => {
            let message = format!("`{field}` has more than {} entries", limits::DATA_ENTRIES);
            reader.out_of_limits(&node.head(), message, "too many");
            false
        }
    };
    Some(match &node.kind {
        Kind::Absent => DatumDecl::Null,
        Kind::Bool(b) => DatumDecl::Bool(*b),
        Kind::Number => number(node, field, reader)?,
        Kind::Text(_) => DatumDecl::Text(template(reader.text(node, field)?, reader.sink)?),
        Kind::List(list) => {
            if !room(list.len(), reader) {
                return None;
            }
            let read: Vec<_> = list.iter().map(|node| datum(node, field, depth + 1, left, reader)).collect();
            DatumDecl::List(read.into_iter().collect::<Option<_>>()?)
        }
        Kind::Map(map) => {
            if !room(map.len(), reader) {
                return None;
            }
            let mut read = Vec::with_capacity(map.len());
            for (key, node) in map {
                let value = datum(node, field, depth + 1, left, reader);
                read.push(value.map(|value| (Spanned::new(key.value.clone(), key.span.clone()), value)));
            }
            DatumDecl::Map(read.into_iter().collect::<Option<_>>()?)
        }
        Kind::Word(_) | Kind::Struct(_) => {
            let message = format!("{} stands in `{field}`, where data is expected", node.describe());
            let diagnostic = Diagnostic::error(Code::WrongShape, message).at(&node.head(), "no data");
            reader
                .sink
                .push(diagnostic.help("a text, a number, `true` or `false`, `None`, a list `[…]` or a map `{…}`"));
            return None;
        }
        Kind::Broken => return None,
    })
}

fn number(node: &Node, field: &str, reader: &mut Reader) -> Option<DatumDecl> {
    let written = &reader.source[node.span.clone()];
    if let Ok(number) = syntax::options().from_str::<i64>(written) {
        return Some(DatumDecl::Int(number));
    }
    match syntax::options().from_str::<f64>(written) {
        Ok(number) if number.is_finite() => Some(DatumDecl::Float(number)),
        _ => {
            reader.malformed(&node.span, field, "a number of 64 bits is expected");
            None
        }
    }
}

/// `undo: Restore` puts back what the action keeps, so it must keep something.
pub(in crate::read) fn check_restore(step: &StepDecl, fields: &Fields, reader: &mut Reader) {
    let restores = step.undo.as_ref().is_some_and(|undo| matches!(undo.kind, ActionKind::Restore));
    let Some(action) = step.action.as_ref().filter(|_| restores) else { return };
    let help = match &action.kind {
        ActionKind::WriteFiles { files } if files.iter().all(|file| file.backup) => return,
        ActionKind::PatchFile(_) | ActionKind::Record(_) | ActionKind::Forget(_) => return,
        ActionKind::Copy(copy) if copy.backup => return,
        ActionKind::Copy(_) => "keep what was there: `backup: true`",
        ActionKind::WriteFiles { .. } => "keep what was there: `backup: true` for each file",
        _ => "only actions on files and records keep something; write what undoes this one: `undo: Run([…])`",
    };
    let message = format!("{} has `undo: Restore`, but keeps nothing to restore", step.title());
    let diagnostic =
        Diagnostic::error(Code::NeedsCompanion, message).at(&fields.place("undo"), "what would be put back?");
    reader.sink.push(diagnostic.help(help));
}
