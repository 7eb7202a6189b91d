//! `PatchFile`: some of what is in a file.

use super::files::data;
use super::host_path;
use crate::code::Code;
use crate::declared::{ActionKind, DatumDecl, PatchDecl, PatchKind};
use crate::diagnostic::Diagnostic;
use crate::expression::{TemplateSyntax, template};
use crate::kind;
use crate::limits;
use crate::read::fields::{Fields, Shape};
use crate::read::scalars::Reader;
use crate::source::quote;
use crate::syntax::Node;

const PATCH: Shape = Shape { name: "PatchFile", fields: &["path", "patch", "create"], positional: None };
const JSON: Shape = Shape { name: "Json", fields: &["merge"], positional: None };
const TOML: Shape = Shape { name: "Toml", fields: &["merge"], positional: None };
const YAML: Shape = Shape { name: "Yaml", fields: &["merge"], positional: None };
const LINES: Shape = Shape { name: "Lines", fields: &["ensure", "absent", "replace"], positional: None };
const REPLACE: Shape = Shape { name: "", fields: &["pattern", "with"], positional: None };

pub(super) fn patch_file(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &PATCH, "`PatchFile`", reader.sink)?;
    let path = fields.required("path", reader.sink).and_then(|node| host_path(node, "path", reader));
    let create = fields.optional("create").and_then(|node| reader.boolean(node, "create")).unwrap_or(false);
    let patch = fields.required("patch", reader.sink).and_then(|node| patch(node, reader));
    Some(ActionKind::PatchFile(PatchDecl { path, patch, create }))
}

fn patch(node: &Node, reader: &mut Reader) -> Option<PatchKind> {
    match reader.variant(node, "a kind of patch", &["Json", "Toml", "Yaml", "Lines"])? {
        "Json" => merge(node, &JSON, "`Json`", reader).map(PatchKind::Json),
        "Toml" => merge(node, &TOML, "`Toml`", reader).map(PatchKind::Toml),
        "Yaml" => merge(node, &YAML, "`Yaml`", reader).map(PatchKind::Yaml),
        _ => lines(node, reader),
    }
}

fn merge(
    node: &Node,
    shape: &Shape,
    what: &str,
    reader: &mut Reader,
) -> Option<Vec<(crate::source::Spanned<String>, DatumDecl)>> {
    let mut fields = Fields::open(node, shape, what, reader.sink)?;
    let node = fields.required("merge", reader.sink)?;
    match data(node, "merge", reader)? {
        DatumDecl::Map(map) if map.is_empty() => nothing("`merge` is empty", node, reader),
        DatumDecl::Map(map) => Some(map),
        _ => None,
    }
}

fn nothing<T>(message: &str, node: &Node, reader: &mut Reader) -> Option<T> {
    reader.sink.push(Diagnostic::error(Code::Empty, message).at(&node.head(), "nothing would change"));
    None
}

fn lines(node: &Node, reader: &mut Reader) -> Option<PatchKind> {
    let mut fields = Fields::open(node, &LINES, "`Lines`", reader.sink)?;
    let mut list = |field: &str, reader: &mut Reader| -> Option<Vec<TemplateSyntax>> {
        let Some(node) = fields.optional(field) else { return Some(Vec::new()) };
        let list = reader.list(node, field, limits::LINES)?;
        let read: Vec<_> = list.iter().map(|node| line(node, field, reader)).collect();
        read.into_iter().collect()
    };
    let (ensure, absent) = (list("ensure", reader), list("absent", reader));
    let replace = match fields.optional("replace") {
        None => Some(Vec::new()),
        Some(node) => {
            let list = reader.list(node, "replace", limits::LINES)?;
            let read: Vec<_> = list.iter().map(|node| replace(node, reader)).collect();
            read.into_iter().collect::<Option<Vec<_>>>()
        }
    };
    let (ensure, absent, replace) = (ensure?, absent?, replace?);
    if ensure.is_empty() && absent.is_empty() && replace.is_empty() {
        return if fields.is_broken() { None } else { nothing("`Lines` says nothing of any line", node, reader) };
    }
    let wanted: Vec<(String, &TemplateSyntax)> = ensure
        .iter()
        .chain(replace.iter().map(|(_, with)| with))
        .filter_map(|line| Some((line.literal()?, line)))
        .collect();
    for gone in &absent {
        let Some(text) = gone.literal() else { continue };
        if let Some((_, line)) = wanted.iter().find(|(wanted, _)| *wanted == text) {
            let message = format!("the line {} is to be there and not to be there", quote(&text));
            let diagnostic = Diagnostic::error(Code::Contradiction, message).at(&gone.span, "not to be there");
            reader.sink.push(diagnostic.at(&line.span, "to be there"));
        }
    }
    Some(PatchKind::Lines { ensure, absent, replace })
}

fn replace(node: &Node, reader: &mut Reader) -> Option<(String, TemplateSyntax)> {
    let mut fields = Fields::open(node, &REPLACE, "a line of `replace`", reader.sink)?;
    let pattern = fields.required("pattern", reader.sink).and_then(|node| reader.some_text(node, "pattern"));
    let with = fields.required("with", reader.sink).and_then(|node| line(node, "with", reader));
    let pattern = pattern?;
    if let Err(reason) = kind::compile_pattern(&pattern.value) {
        crate::read::inputs::bad_pattern(&pattern.span, &reason, reader);
        return None;
    }
    Some((pattern.value.clone(), with?))
}

/// One line of a text, perhaps with expressions in it.
fn line(node: &Node, field: &str, reader: &mut Reader) -> Option<TemplateSyntax> {
    let text = reader.text(node, field)?;
    if let Some(at) = text.value.find(['\n', '\r']) {
        reader.malformed(&text.locate(at..at + 1), field, "a line has no line end in it; write two lines");
        return None;
    }
    template(text, reader.sink)
}
