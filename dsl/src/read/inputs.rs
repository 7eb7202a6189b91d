//! Inputs: their types, constraints and defaults.

use super::fields::{Fields, Shape};
use super::generate;
use super::scalars::{Reader, name};
use crate::code::Code;
use crate::declared::InputDecl;
use crate::diagnostic::Diagnostic;
use crate::kind::{self, Bounds, Kind, Pattern};
use crate::source::{Spanned, list_names};
use crate::syntax::{self, Node};
use crate::types::Type;
use crate::value::Value;
use crate::{duration, limits};

const TYPES: &[&str] = &[
    "Text",
    "Int",
    "Float",
    "Bool",
    "Port",
    "Duration",
    "Bytes",
    "Url",
    "Address",
    "Image",
    "File",
    "Choice",
    "List",
    "Map",
    "Record",
    "Login",
    "SecretFile",
];
/// The types that elements of lists and values of maps can have.
const ELEMENT_TYPES: &[&str] =
    &["Text", "Int", "Float", "Bool", "Port", "Duration", "Bytes", "Url", "Address", "Image", "File", "Choice", "List"];

/// The types that a step's `out` can have; the last is a list of the others.
const OUT_TYPES: &[&str] =
    &["Text", "Int", "Float", "Bool", "Port", "Duration", "Bytes", "Url", "Address", "Image", "Choice", "List"];
const OUT_LIST: Shape = Shape { name: "List", fields: &["of"], positional: None };

macro_rules! shape {
    ($name:literal, [$($field:literal),*]) => { Shape { name: $name, fields: &[$($field),*], positional: None } };
}

/// Fields of each type. What a type cannot have an effect for is no field of it.
const SHAPES: &[Shape] = &[
    shape!("Text", ["default", "optional", "about", "secret", "min", "max", "pattern", "generate"]),
    shape!("Int", ["default", "optional", "about", "secret", "min", "max"]),
    shape!("Float", ["default", "optional", "about", "secret", "min", "max"]),
    shape!("Bool", ["default", "optional", "about"]),
    shape!("Port", ["default", "optional", "about", "secret", "min", "max"]),
    shape!("Duration", ["default", "optional", "about", "secret", "min", "max"]),
    shape!("Bytes", ["default", "optional", "about", "secret", "min", "max"]),
    shape!("Url", ["default", "optional", "about", "secret", "pattern"]),
    shape!("Address", ["default", "optional", "about", "secret", "pattern"]),
    shape!("Image", ["default", "optional", "about", "pattern"]),
    shape!("File", ["optional", "about"]),
    shape!("SecretFile", ["optional", "about"]),
    shape!("Login", ["optional", "about"]),
    shape!("Choice", ["of", "default", "optional", "about", "secret"]),
    shape!("List", ["of", "default", "optional", "about", "min", "max"]),
    shape!("Map", ["of", "default", "optional", "about", "min", "max"]),
    shape!("Record", ["fields", "optional", "about"]),
];

/// Fields of the same types where only the type matters: `of:` of a list, `type:` of an output.
const BARE_SHAPES: &[Shape] = &[
    shape!("Text", ["min", "max", "pattern"]),
    shape!("Int", ["min", "max"]),
    shape!("Float", ["min", "max"]),
    shape!("Bool", []),
    shape!("Port", ["min", "max"]),
    shape!("Duration", ["min", "max"]),
    shape!("Bytes", ["min", "max"]),
    shape!("Url", ["pattern"]),
    shape!("Address", ["pattern"]),
    shape!("Image", ["pattern"]),
    shape!("File", []),
    shape!("Choice", ["of"]),
    shape!("List", ["of", "min", "max"]),
];

/// Reads declarations: the inputs of a workflow, or the fields of a record.
pub(super) fn inputs(node: &Node, field: &str, depth: usize, reader: &mut Reader) -> Vec<InputDecl> {
    let Some(entries) = reader.map(node, field, limits::INPUTS) else { return Vec::new() };
    let mut inputs = Vec::new();
    for (key, node) in entries {
        let name = name(key, "input", reader.sink);
        inputs.push(input(name, node, depth, reader));
    }
    inputs
}

fn input(name: Spanned<String>, node: &Node, depth: usize, reader: &mut Reader) -> InputDecl {
    let mut input = undeclared(name);
    let Some(type_name) = reader.variant(node, "a type", TYPES) else { return input };
    let what = format!("input `{}`", input.name.value);
    let Some((kind, fields)) = read_kind(node, type_name, SHAPES, &what, depth, reader) else { return input };
    input.kind = kind;
    input.secret = matches!(input.kind, Some(Kind::SecretFile));
    let Some(mut fields) = fields else { return input };
    input.about = fields.optional("about").and_then(|node| reader.about(node));
    input.optional = fields.optional("optional").and_then(|node| reader.boolean(node, "optional")).unwrap_or(false);
    let secret = fields.optional("secret").and_then(|node| reader.boolean(node, "secret"));
    input.secret = secret.unwrap_or(input.secret);
    generate::generate(&mut fields, &mut input, reader);
    let Some(node) = fields.optional("default") else { return input };
    let place = fields.place("default");
    if input.secret {
        let diagnostic = Diagnostic::error(Code::SecretLeaks, format!("the secret {what} has a default"))
            .at(&node.head(), "would be known to everybody who has this file");
        reader.sink.push(diagnostic.help("remove it; `optional: true` allows to leave the secret out"));
    } else if input.optional {
        let message = "`optional` has no effect together with `default`";
        let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&fields.place("optional"), "never absent");
        reader.sink.push(diagnostic.at(&place, "because of this").help("remove one of them"));
    }
    input.default = input.kind.as_ref().and_then(|kind| default(kind, node, reader));
    if input.default.is_none() {
        // It is wrong, but it is there: nobody shall be told that the input is not given.
        input.kind = None;
    }
    input
}

/// A declaration of which only the name is known.
fn undeclared(name: Spanned<String>) -> InputDecl {
    InputDecl { name, kind: None, default: None, optional: false, about: None, secret: false, generate: None }
}

/// A user with a password. The user is what HTTP's Basic authentication can carry: no colon (RFC 7617, 2).
fn login(place: &std::ops::Range<usize>) -> Kind {
    let field = |name: &str, kind: Kind, secret: bool| InputDecl {
        kind: Some(kind),
        secret,
        ..undeclared(Spanned::new(name.to_owned(), place.clone()))
    };
    let user = Kind::Text(Bounds { min: Some(1), max: None }, kind::compile_pattern("^[^:]+$").ok().map(Pattern));
    let password = Kind::Text(Bounds { min: Some(1), max: None }, None);
    Kind::Record(vec![field("user", user, false), field("password", password, true)])
}

type Opened<'t> = (Option<Kind>, Option<Fields<'t>>);

/// Reads a type and its constraints; gives the fields for what else is to be read from them.
fn read_kind<'t>(
    node: &'t Node,
    type_name: &str,
    shapes: &[Shape],
    what: &str,
    depth: usize,
    reader: &mut Reader,
) -> Option<Opened<'t>> {
    let shape = shapes.iter().find(|shape| shape.name == type_name)?;
    if let syntax::Kind::Word(_) = &node.kind {
        return Some((plain(node, type_name, what, reader), None));
    }
    if let ("Choice", syntax::Kind::Struct(this)) = (type_name, &node.kind)
        && let ([list], []) = (this.positional.as_slice(), this.fields.as_slice())
    {
        return Some((choices(list, reader), None));
    }
    let mut opened = Fields::open(node, shape, what, reader.sink)?;
    let fields = &mut opened;
    let kind = match type_name {
        "Text" => {
            let bounds = bounds(fields, reader, |r, node, f| r.integer(node, f, 0, limits::TEXT_BYTES as i64));
            Some(Kind::Text(unsigned(bounds), pattern(fields, reader)))
        }
        "Int" => Some(Kind::Int(bounds(fields, reader, |r, node, f| r.integer(node, f, i64::MIN, i64::MAX)))),
        "Port" => Some(Kind::Port(bounds(fields, reader, |r, node, f| r.integer(node, f, 1, 65_535)))),
        "Float" => Some(Kind::Float(bounds(fields, reader, |r, node, f| r.float(node, f, f64::MIN, f64::MAX)))),
        "Bool" => Some(Kind::Bool),
        "Duration" => Some(Kind::Duration(bounds(fields, reader, |r, node, f| {
            let text = r.text(node, f)?;
            r.duration(text, f, 0, limits::DURATION_MS)
        }))),
        "Bytes" => Some(Kind::Bytes(bounds(fields, reader, bytes))),
        "Url" => Some(Kind::Url(pattern(fields, reader))),
        "Address" => Some(Kind::Address(pattern(fields, reader))),
        "Image" => Some(Kind::Image(pattern(fields, reader))),
        "File" => Some(Kind::File),
        "SecretFile" => Some(Kind::SecretFile),
        "Login" => Some(login(&node.head())),
        "Choice" => fields.required("of", reader.sink).and_then(|node| choices(node, reader)),
        "List" | "Map" => {
            let bounds = bounds(fields, reader, |r, node, f| r.integer(node, f, 0, limits::ELEMENTS as i64));
            let of = fields.required("of", reader.sink).and_then(|node| element(node, depth, reader));
            of.map(|of| match type_name {
                "List" => Kind::List(Box::new(of), unsigned(bounds)),
                _ => Kind::Map(Box::new(of), unsigned(bounds)),
            })
        }
        _ => fields.required("fields", reader.sink).and_then(|node| record(node, depth, reader)),
    };
    Some((kind, Some(opened)))
}

/// A type that is a word alone.
fn plain(node: &Node, type_name: &str, what: &str, reader: &mut Reader) -> Option<Kind> {
    Some(match type_name {
        "Text" => Kind::Text(Bounds::default(), None),
        "Int" => Kind::Int(Bounds::default()),
        "Float" => Kind::Float(Bounds::default()),
        "Bool" => Kind::Bool,
        "Port" => Kind::Port(Bounds::default()),
        "Duration" => Kind::Duration(Bounds::default()),
        "Bytes" => Kind::Bytes(Bounds::default()),
        "Url" => Kind::Url(None),
        "Address" => Kind::Address(None),
        "Image" => Kind::Image(None),
        "File" => Kind::File,
        "SecretFile" => Kind::SecretFile,
        "Login" => login(&node.head()),
        other => {
            let (field, example) = match other {
                "Choice" => ("of", "Choice([\"a\", \"b\"])"),
                "List" => ("of", "List(of: Text)"),
                "Map" => ("of", "Map(of: Text)"),
                _ => ("fields", "Record(fields: {\"name\": Text})"),
            };
            let diagnostic = Diagnostic::error(Code::MissingField, format!("{what} has no `{field}`"))
                .at(&node.span, format!("`{field}` is missing"));
            reader.sink.push(diagnostic.help(format!("it is written `{example}`")));
            return None;
        }
    })
}

/// The type of a list's elements, or of a map's values.
fn element(node: &Node, depth: usize, reader: &mut Reader) -> Option<Kind> {
    nested(node, depth, reader)?;
    bare_type(node, "the type of the elements", ELEMENT_TYPES, depth + 1, reader)
}

/// A type with constraints, but without what only an input can have.
fn bare_type(node: &Node, what: &str, known: &[&'static str], depth: usize, reader: &mut Reader) -> Option<Kind> {
    let type_name = reader.variant(node, "a type here", known)?;
    read_kind(node, type_name, BARE_SHAPES, what, depth, reader)?.0
}

/// The type of an output of a step: it has no constraints.
pub(super) fn out_type(node: &Node, reader: &mut Reader) -> Option<Type> {
    if super::steps::is_called(node, "List") {
        let mut fields = Fields::open(node, &OUT_LIST, "the type", reader.sink)?;
        let of = fields.required("of", reader.sink)?;
        return single_type(of, &OUT_TYPES[..OUT_TYPES.len() - 1], reader).map(|of| Type::List(Box::new(of)));
    }
    single_type(node, OUT_TYPES, reader)
}

fn single_type(node: &Node, known: &[&'static str], reader: &mut Reader) -> Option<Type> {
    let kind = bare_type(node, "the type", known, 0, reader)?;
    if let (syntax::Kind::Struct(this), false) = (&node.kind, matches!(kind, Kind::Choice(_)))
        && let Some((field, _)) = this.fields.first()
    {
        let message = format!("`{}` has no effect on what a step puts out", field.value);
        reader.sink.push(Diagnostic::error(Code::NoEffect, message).at(&field.span, "remove it"));
        return None;
    }
    Some(kind.ty())
}

fn nested(node: &Node, depth: usize, reader: &mut Reader) -> Option<()> {
    if depth < limits::TYPE_NESTING {
        return Some(());
    }
    let message = format!("types are nested more than {} deep", limits::TYPE_NESTING);
    reader.sink.push(Diagnostic::error(Code::TooDeep, message).at(&node.head(), "one too many"));
    None
}

fn record(node: &Node, depth: usize, reader: &mut Reader) -> Option<Kind> {
    nested(node, depth, reader)?;
    let fields = inputs(node, "fields", depth + 1, reader);
    if fields.is_empty() {
        if let syntax::Kind::Map(entries) = &node.kind
            && entries.is_empty()
        {
            let message = "a record without fields holds nothing";
            reader.sink.push(Diagnostic::error(Code::Empty, message).at(&node.head(), "no field"));
        }
        return None;
    }
    // Where a field could not be read, nothing is said about what the record has.
    fields.iter().all(|field| field.kind.is_some()).then_some(Kind::Record(fields))
}

fn choices(node: &Node, reader: &mut Reader) -> Option<Kind> {
    let list = reader.list(node, "Choice", limits::CHOICES)?;
    let mut choices: Vec<String> = Vec::new();
    for node in list {
        let text = reader.some_text(node, "a choice")?;
        if choices.contains(&text.value) {
            let message = "a choice is given twice";
            reader.sink.push(Diagnostic::error(Code::DuplicateKey, message).at(&text.span, "given again here"));
            return None;
        }
        choices.push(text.value.clone());
    }
    if choices.is_empty() {
        let message = "there is nothing to choose from";
        reader.sink.push(Diagnostic::error(Code::Empty, message).at(&node.span, "empty"));
        return None;
    }
    Some(Kind::Choice(choices))
}

/// `min` and `max`, which must leave something.
fn bounds<T: PartialOrd + Copy>(
    fields: &mut Fields,
    reader: &mut Reader,
    read: impl Fn(&mut Reader, &Node, &str) -> Option<T>,
) -> Bounds<T> {
    let min = fields.optional("min").and_then(|node| read(reader, node, "min"));
    let max = fields.optional("max").and_then(|node| read(reader, node, "max"));
    if let (Some(least), Some(most)) = (min, max)
        && least > most
    {
        let diagnostic = Diagnostic::error(Code::OutOfLimits, "`min` is more than `max`");
        reader
            .sink
            .push(diagnostic.at(&fields.place("min"), "no value is so large").at(&fields.place("max"), "and so small"));
        return Bounds { min: None, max: None };
    }
    Bounds { min, max }
}

fn unsigned(bounds: Bounds<i64>) -> Bounds<u64> {
    Bounds { min: bounds.min.map(i64::unsigned_abs), max: bounds.max.map(i64::unsigned_abs) }
}

fn bytes(reader: &mut Reader, node: &Node, field: &str) -> Option<u64> {
    if let syntax::Kind::Number = node.kind {
        return reader.integer(node, field, 0, limits::BYTES as i64).map(i64::unsigned_abs);
    }
    let text = reader.text(node, field)?;
    duration::parse_bytes(&text.value).map_err(|reason| reader.malformed(&text.span, field, reason)).ok()
}

fn pattern(fields: &mut Fields, reader: &mut Reader) -> Option<Pattern> {
    let node = fields.optional("pattern")?;
    let text = reader.some_text(node, "pattern")?;
    match kind::compile_pattern(&text.value) {
        Ok(regex) => {
            let anchored = text.value.starts_with(['^']) && text.value.ends_with('$') || text.value.contains("\\A");
            if !anchored {
                let message = "the pattern matches anywhere in the value";
                let diagnostic = Diagnostic::warning(Code::Unanchored, message).at(&text.span, "not anchored");
                reader.sink.push(diagnostic.help("begin it with `^` and end it with `$`"));
            }
            Some(Pattern(regex))
        }
        Err(reason) => {
            bad_pattern(&text.span, &reason, reader);
            None
        }
    }
}

pub(super) fn bad_pattern(span: &std::ops::Range<usize>, reason: &str, reader: &mut Reader) {
    let reason = crate::source::sentence(reason);
    let diagnostic = Diagnostic::error(Code::BadPattern, format!("`pattern` is no regular expression: {reason}"));
    reader.sink.push(diagnostic.at(span, "cannot be compiled"));
}

/// Reads the default of an input as a value of its type.
fn default(kind: &Kind, node: &Node, reader: &mut Reader) -> Option<Value> {
    let value = literal(kind, node, reader)?;
    if let Err(reason) = kind.check(&value) {
        reader.out_of_limits(&node.span, format!("`default` does not fit: {reason}"), "does not fit");
        return None;
    }
    Some(value)
}

fn literal(kind: &Kind, node: &Node, reader: &mut Reader) -> Option<Value> {
    let field = "default";
    match kind {
        Kind::Int(_) => reader.integer(node, field, i64::MIN, i64::MAX).map(Value::Int),
        Kind::Port(_) => reader.integer(node, field, 1, 65_535).map(Value::Int),
        Kind::Float(_) => reader.float(node, field, f64::MIN, f64::MAX).map(Value::Float),
        Kind::Bool => reader.boolean(node, field).map(Value::Bool),
        Kind::Bytes(_) => bytes(reader, node, field).map(|n| Value::Int(n as i64)),
        Kind::List(of, _) => {
            let list = reader.list(node, field, limits::ELEMENTS)?;
            list.iter().map(|node| literal(of, node, reader)).collect::<Option<_>>().map(Value::List)
        }
        Kind::Map(of, _) => {
            let map = reader.map(node, field, limits::ELEMENTS)?;
            map.iter()
                .map(|(key, node)| Some((key.value.clone(), literal(of, node, reader)?)))
                .collect::<Option<_>>()
                .map(Value::Record)
        }
        Kind::Text(..) | Kind::Duration(_) | Kind::Url(_) | Kind::Address(_) | Kind::Image(_) | Kind::Choice(_) => {
            let text = reader.text(node, field)?;
            if text.value.contains("${{") {
                let message = "`default` has an expression in it, which would not be evaluated";
                let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&text.span, "only a value stands here");
                reader.sink.push(diagnostic.help("use `??` where the input is used"));
                return None;
            }
            match kind::parse_text(&kind.ty(), &text.value) {
                Ok(value) => Some(value),
                Err(reason) => {
                    let nearest = match kind {
                        Kind::Choice(of) => reader.sink.nearest(&text.value, of.iter().map(String::as_str)),
                        _ => None,
                    };
                    let diagnostic = Diagnostic::error(Code::Malformed, format!("`default` cannot be read: {reason}"));
                    let helps = nearest.map(|nearest| format!("did you mean {}?", list_names([nearest])));
                    reader.sink.push(diagnostic.at(&text.span, "").helps(helps));
                    None
                }
            }
        }
        // Neither has a field `default`; an element of a list has.
        Kind::File | Kind::SecretFile | Kind::Record(_) => {
            let message = "a file has no default";
            reader.sink.push(Diagnostic::error(Code::NoEffect, message).at(&node.head(), "remove it"));
            None
        }
    }
}
