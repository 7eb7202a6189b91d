//! Records of instances: `Record` and `Forget`.

use crate::code::Code;
use crate::declared::{ActionKind, OfDecl, RecordDecl};
use crate::diagnostic::Diagnostic;
use crate::expression::{TemplateSyntax, template};
use crate::limits;
use crate::read::fields::{Fields, Shape};
use crate::read::scalars::Reader;
use crate::read::steps::spanned;
use crate::syntax::Node;
use crate::words::is_key;

const RECORD: Shape =
    Shape { name: "Record", fields: &["instance", "wiring", "kind", "values", "members"], positional: None };
const FORGET: Shape = Shape { name: "Forget", fields: &["instance", "wiring"], positional: None };

pub(super) fn record(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &RECORD, "`Record`", reader.sink)?;
    let of = of(node, &mut fields, reader);
    let kind = match of.wiring {
        false => fields.required("kind", reader.sink),
        true => None,
    };
    let kind = kind.and_then(|node| some_template(node, "kind", reader));
    if of.wiring {
        for field in ["kind", "members"].into_iter().filter(|field| fields.has(field)) {
            let message = format!("`{field}` has no effect beside `wiring`");
            let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&fields.place(field), "of an instance only");
            reader.sink.push(diagnostic.help("of a wiring `values` are recorded"));
        }
    }
    let values = fields.optional("values").map(|node| values(node, reader)).unwrap_or_default();
    let members = fields.optional("members").filter(|_| !of.wiring).map(|node| members(node, reader));
    Some(ActionKind::Record(Box::new(RecordDecl { of, kind, values, members: members.unwrap_or_default() })))
}

pub(super) fn forget(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &FORGET, "`Forget`", reader.sink)?;
    Some(ActionKind::Forget(of(node, &mut fields, reader)))
}

fn of(node: &Node, fields: &mut Fields, reader: &mut Reader) -> OfDecl {
    let (instance, wiring) = (fields.optional("instance"), fields.optional("wiring"));
    if instance.is_some() && wiring.is_some() {
        let diagnostic = Diagnostic::error(Code::NoEffect, "`instance` has no effect beside `wiring`");
        let diagnostic =
            diagnostic.at(&fields.place("instance"), "one of them").at(&fields.place("wiring"), "and the other");
        reader.sink.push(diagnostic.help("a wiring is recorded under the name of the registry's instance"));
    }
    let (wiring, name) = match (wiring, instance) {
        (Some(node), _) => (true, Some((node, "wiring"))),
        (None, Some(node)) => (false, Some((node, "instance"))),
        (None, None) => (false, None),
    };
    OfDecl {
        wiring,
        named: name.is_some() || fields.is_broken(),
        name: name.and_then(|(node, field)| some_template(node, field, reader)),
        at: node.head(),
    }
}

fn some_template(node: &Node, field: &str, reader: &mut Reader) -> Option<TemplateSyntax> {
    template(reader.some_text(node, field)?, reader.sink)
}

fn values(node: &Node, reader: &mut Reader) -> Vec<(String, TemplateSyntax)> {
    let mut values = Vec::new();
    for (key, node) in reader.map(node, "values", limits::RECORDED).unwrap_or_default() {
        if let Err(why) = is_key(&key.value) {
            let message = "a value that is recorded has no name that can be one";
            reader.sink.push(Diagnostic::error(Code::BadName, message).at(&key.span, why));
        }
        let value = reader.text(node, &key.value).and_then(|text| template(text, reader.sink));
        values.extend(value.map(|value| (key.value.clone(), value)));
    }
    values
}

fn members(node: &Node, reader: &mut Reader) -> Vec<crate::source::Spanned<String>> {
    let list = reader.list(node, "members", limits::ROLES).unwrap_or_default();
    let mut members: Vec<crate::source::Spanned<String>> = Vec::new();
    for text in list.iter().filter_map(|node| reader.some_text(node, "members")).collect::<Vec<_>>() {
        if members.iter().any(|member| member.value == text.value) {
            let message = format!("the role `{}` stands in `members` twice", text.value);
            reader.sink.push(Diagnostic::error(Code::DuplicateKey, message).at(&text.span, "given again here"));
            continue;
        }
        members.push(spanned(text));
    }
    members
}
