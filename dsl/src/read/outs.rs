//! `out`: how the values that later steps read are taken from what a program does.

use super::fields::{Fields, Shape};
use super::inputs::{bad_pattern, out_type};
use super::scalars::{Reader, name};
use crate::code::Code;
use crate::declared::{OutDecl, OutFrom};
use crate::diagnostic::Diagnostic;
use crate::expression::{PartSyntax, template};
use crate::source::{Spanned, quote};
use crate::syntax::{Kind, Node};
use crate::types::{Field, Type};
use crate::{json, kind, limits};

const STDOUT: Shape = Shape { name: "Stdout", fields: &["type"], positional: None };
const REGEX: Shape = Shape { name: "Regex", fields: &["pattern", "type"], positional: None };
const JSON: Shape = Shape { name: "Json", fields: &["path", "type"], positional: None };
const FILE: Shape = Shape { name: "File", fields: &["path", "type"], positional: None };
const EXIT_IS: Shape = Shape { name: "ExitIs", fields: &["true_on", "false_on"], positional: None };

/// Types of values in JSON.
const JSON_TYPES: &[&str] =
    &["Text", "Int", "Float", "Bool", "Port", "Duration", "Bytes", "Url", "Address", "Choice", "List", "Map", "Record"];
const LIST: Shape = Shape { name: "List", fields: &["of", "optional"], positional: None };
const MAP: Shape = Shape { name: "Map", fields: &["of", "optional"], positional: None };
const RECORD: Shape = Shape { name: "Record", fields: &["fields", "optional"], positional: None };

pub(super) fn outs(node: &Node, reader: &mut Reader) -> Vec<(Spanned<String>, Option<OutDecl>)> {
    let mut outs = Vec::new();
    for (key, node) in reader.map(node, "out", limits::OUTPUTS).unwrap_or_default() {
        let name = name(key, "output", reader.sink);
        let value = out(node, reader);
        outs.push((name, value));
    }
    outs
}

fn out(node: &Node, reader: &mut Reader) -> Option<OutDecl> {
    let known = &["Stdout", "Regex", "Json", "File", "ExitIs", "Status", "Header"];
    let word = reader.variant(node, "a way to take an output", known)?;
    let shape = match word {
        "Stdout" => &STDOUT,
        "Regex" => &REGEX,
        "Json" => &JSON,
        "File" => &FILE,
        "Status" | "Header" => return super::here::of_an_answer(node, word, reader),
        _ => return exit_is(node, reader),
    };
    let mut fields = Fields::open(node, shape, &format!("`{word}`"), reader.sink)?;
    let from = match word {
        "Stdout" => Some(OutFrom::Stdout),
        "Regex" => fields.required("pattern", reader.sink).and_then(|node| pattern(node, reader)),
        "Json" => fields.required("path", reader.sink).and_then(|node| json_path(node, reader)),
        _ => fields.required("path", reader.sink).and_then(|node| file(node, reader)),
    };
    let node = fields.required("type", reader.sink)?;
    if matches!(&node.kind, Kind::Word(word) if word == "Secret") {
        return Some(OutDecl { from: from?, ty: Type::Text, secret: true });
    }
    let ty = match word {
        "Json" => json_type(node, 0, reader).map(|(ty, _)| ty),
        _ => out_type(node, reader),
    };
    Some(OutDecl { from: from?, ty: ty?, secret: false })
}

fn pattern(node: &Node, reader: &mut Reader) -> Option<OutFrom> {
    let pattern = reader.some_text(node, "pattern")?;
    match kind::compile_pattern(&pattern.value) {
        Ok(_) => Some(OutFrom::Regex(pattern.value.clone())),
        Err(reason) => {
            bad_pattern(&pattern.span, &reason, reader);
            None
        }
    }
}

fn json_path(node: &Node, reader: &mut Reader) -> Option<OutFrom> {
    let path = reader.some_text(node, "path")?;
    match json::check_path(&path.value) {
        Ok(()) => Some(OutFrom::Json(path.value.clone())),
        Err(why) => {
            let message = format!("{} is no path in JSON: {why}", quote(&path.value));
            reader.sink.push(Diagnostic::error(Code::JsonPath, message).at(&path.span, "not a path"));
            None
        }
    }
}

fn file(node: &Node, reader: &mut Reader) -> Option<OutFrom> {
    let text = reader.some_text(node, "path")?;
    let path = template(text, reader.sink)?;
    match path.parts.first() {
        Some(PartSyntax::Text(begin)) if !begin.starts_with('/') => {
            reader.malformed(&path.span, "path", "an absolute path on the host is expected");
            None
        }
        _ => Some(OutFrom::File(path)),
    }
}

fn exit_is(node: &Node, reader: &mut Reader) -> Option<OutDecl> {
    let mut fields = Fields::open(node, &EXIT_IS, "`ExitIs`", reader.sink)?;
    let true_on = fields.required("true_on", reader.sink).and_then(|node| super::run::codes(node, "true_on", reader));
    let false_on = fields.required("false_on", reader.sink);
    let codes = false_on.and_then(|node| super::run::codes(node, "false_on", reader));
    let (true_on, false_on_codes) = (true_on?, codes?);
    if let Some(code) = true_on.iter().find(|code| false_on_codes.contains(code)) {
        let message = format!("exit code {code} stands in `true_on` and in `false_on`");
        reader.sink.push(Diagnostic::error(Code::DuplicateKey, message).at(&fields.place("false_on"), "which is it?"));
        return None;
    }
    Some(OutDecl { from: OutFrom::ExitIs { true_on, false_on: false_on_codes }, ty: Type::Bool, secret: false })
}

/// The type of a value in JSON; and, in a record, whether it may be absent.
fn json_type(node: &Node, depth: usize, reader: &mut Reader) -> Option<(Type, bool)> {
    if depth > limits::TYPE_NESTING {
        let message = format!("types are nested more than {} deep", limits::TYPE_NESTING);
        reader.sink.push(Diagnostic::error(Code::TooDeep, message).at(&node.head(), "one too many"));
        return None;
    }
    let word = reader.variant(node, "a type of JSON", JSON_TYPES)?;
    let composite = match word {
        "List" => Some(&LIST),
        "Map" => Some(&MAP),
        "Record" => Some(&RECORD),
        _ => None,
    };
    let has_fields = matches!(&node.kind, Kind::Struct(_)) && word != "Choice";
    if composite.is_none() && !has_fields {
        return out_type(node, reader).map(|ty| (ty, false));
    }
    let plain = Shape { name: word, fields: &["optional"], positional: None };
    let mut fields = Fields::open(node, composite.unwrap_or(&plain), "the type", reader.sink)?;
    let optional = fields.optional("optional").map(|node| reader.boolean(node, "optional"));
    let ty = match word {
        "List" | "Map" => {
            let (of, _) = json_type(fields.required("of", reader.sink)?, depth + 1, reader)?;
            let of = Box::new(of);
            if word == "List" { Type::List(of) } else { Type::Map(of) }
        }
        "Record" => record(fields.required("fields", reader.sink)?, depth, reader)?,
        _ => out_type_of(word)?,
    };
    let optional = match optional {
        Some(read) => read?,
        None => false,
    };
    if optional && depth == 0 {
        let message = "`optional` has no effect on what a step puts out";
        let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&fields.place("optional"), "remove it");
        reader.sink.push(diagnostic.help("only a field of a `Record` may be absent"));
        return None;
    }
    Some((ty, optional))
}

fn record(node: &Node, depth: usize, reader: &mut Reader) -> Option<Type> {
    let entries = reader.map(node, "fields", limits::INPUTS)?;
    if entries.is_empty() {
        let message = "a record without fields holds nothing";
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&node.head(), "no field"));
        return None;
    }
    let mut fields = std::collections::BTreeMap::new();
    let mut whole = true;
    for (key, node) in entries {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !key.value.chars().all(good) || !key.value.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let message = format!("{} is no name of a field", quote(&key.value));
            let diagnostic = Diagnostic::error(Code::BadName, message).at(&key.span, "letters, digits and `_`");
            reader.sink.push(diagnostic.help("take it by an `out` of its own, whose path can name any key: `['a.b']`"));
            whole = false;
        }
        match json_type(node, depth + 1, reader) {
            Some((ty, optional)) => drop(fields.insert(key.value.clone(), Field { ty, optional, secret: false })),
            None => whole = false,
        }
    }
    whole.then_some(Type::Record(fields))
}

/// A type that is a word.
fn out_type_of(word: &str) -> Option<Type> {
    Some(match word {
        "Text" => Type::Text,
        "Int" => Type::Int,
        "Float" => Type::Float,
        "Bool" => Type::Bool,
        "Port" => Type::Port,
        "Duration" => Type::Duration,
        "Bytes" => Type::Bytes,
        "Url" => Type::Url,
        "Address" => Type::Address,
        _ => return None,
    })
}
