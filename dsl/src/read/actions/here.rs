//! Actions that run from here, on the engine's machine: `Assert`, `Http`, `Notify`; `Local` is read as `Run` is.

use super::{statuses, templates};
use crate::code::Code;
use crate::declared::{
    ActionKind, AssertDecl, BodyDecl, HeaderDecl, MailDecl, NoticeDecl, RecipientDecl, RequestDecl, Scalar, TlsDecl,
    UntilDecl,
};
use crate::diagnostic::Diagnostic;
use crate::expression::{PartSyntax, TemplateSyntax, expression, template};
use crate::limits;
use crate::plan::{MailTls, Method};
use crate::read::fields::{Fields, Shape};
use crate::read::scalars::Reader;
use crate::source::{Spanned, quote, there_are};
use crate::syntax::{Kind, Node};

const HTTP: Shape = Shape {
    name: "Http",
    fields: &["method", "url", "headers", "body", "json", "status", "follow", "ca"],
    positional: None,
};
const NOTIFY: Shape = Shape { name: "Notify", fields: &["text", "subject", "to"], positional: None };
const WEBHOOK: Shape = Shape { name: "Webhook", fields: &["url", "key", "headers", "ca"], positional: None };
const MAIL: Shape =
    Shape { name: "Mail", fields: &["server", "from", "to", "user", "password", "tls", "ca"], positional: None };
const UNTIL_HTTP: Shape = Shape { name: "Http", fields: &["url", "status", "ca"], positional: None };
const TLS: Shape = Shape { name: "Tls", fields: &["port", "name", "ca", "valid_for"], positional: None };

/// Headers that say how a request is sent, which is ours to say.
const OURS: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];

pub(super) fn assert(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let [condition, text] = reader.pair(node, "Assert(\"expression\", \"what is wrong where it is false\")")?;
    let condition = reader.some_text(condition, "Assert").and_then(|text| expression(text, reader.sink));
    let text = reader.some_text(text, "Assert").and_then(|text| template(text, reader.sink));
    Some(ActionKind::Assert(AssertDecl { condition, text }))
}

pub(super) fn http(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &HTTP, "`Http`", reader.sink)?;
    let method = match fields.optional("method") {
        Some(node) => self::method(node, reader),
        None => Some(Method::Get),
    };
    let url = fields.required("url", reader.sink).and_then(|node| url(node, reader));
    let headers = fields.optional("headers").map(|node| headers(node, reader)).unwrap_or_default();
    if fields.has("body") && fields.has("json") {
        let diagnostic = Diagnostic::error(Code::NoEffect, "`body` has no effect beside `json`");
        reader.sink.push(diagnostic.at(&fields.place("body"), "remove one").at(&fields.place("json"), "or the other"));
    }
    let body = match (fields.optional("body"), fields.optional("json")) {
        (Some(node), _) => reader.text(node, "body").and_then(|text| template(text, reader.sink)).map(BodyDecl::Text),
        (None, Some(node)) => super::files::any_data(node, "json", reader).map(BodyDecl::Json),
        (None, None) => None,
    };
    if let Some(method) = method.filter(|method| method.only_reads()) {
        for field in ["body", "json"].into_iter().filter(|field| fields.has(field)) {
            let message = format!("`{field}` has no effect in a {}", method.word());
            let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&fields.place(field), "never sent");
            reader.sink.push(diagnostic.help("what sends something is `method: \"POST\"`, `\"PUT\"` or `\"PATCH\"`"));
        }
    }
    let status = fields.optional("status").and_then(|node| statuses(node, reader)).unwrap_or_default();
    let follow = fields.optional("follow");
    let follow = follow.and_then(|node| reader.integer(node, "follow", 0, i64::from(limits::REDIRECTS))).unwrap_or(0);
    if let Some(method) = method.filter(|method| follow > 0 && !method.only_reads()) {
        let message = format!("`follow` has no effect in a {}", method.word());
        let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&fields.place("follow"), "never followed");
        reader
            .sink
            .push(diagnostic.help("only GET and HEAD follow a redirect; others would do something somewhere else"));
    }
    let ca = fields.optional("ca").and_then(|node| ca(node, reader));
    let follow = follow.unsigned_abs() as u32;
    Some(ActionKind::Http(Box::new(RequestDecl { method, url, headers, body, status, follow, ca })))
}

fn method(node: &Node, reader: &mut Reader) -> Option<Method> {
    let text = reader.some_text(node, "method")?;
    let found = Method::of(&text.value);
    if found.is_none() {
        let message = format!("{} is no method of HTTP that is known here", quote(&text.value));
        let capital = text.value.to_ascii_uppercase();
        let help = Method::of(&capital).map(|_| format!("write \"{capital}\""));
        let diagnostic = Diagnostic::error(Code::UnknownVariant, message).at(&text.span, "not one of them").helps(help);
        reader.sink.push(diagnostic.help(there_are(Method::WORDS)));
    }
    found
}

/// An `http://` or `https://` URL.
fn url(node: &Node, reader: &mut Reader) -> Option<TemplateSyntax> {
    let text = reader.some_text(node, "url")?;
    let url = template(text, reader.sink)?;
    if let Some(PartSyntax::Text(begin)) = url.parts.first() {
        let schemes = ["http://", "https://"];
        // `"http${{ inputs.tls ? 's' : '' }}://…"` may yet become one.
        let may_be = match url.literal() {
            Some(_) => schemes.iter().any(|scheme| begin.starts_with(scheme)),
            None => schemes.iter().any(|scheme| begin.starts_with(scheme) || scheme.starts_with(begin.as_str())),
        };
        if !may_be {
            reader.malformed(&text.span, "url", "an `http://…` or `https://…` URL is expected");
        }
    }
    Some(url)
}

fn headers(node: &Node, reader: &mut Reader) -> Vec<HeaderDecl> {
    let mut headers: Vec<HeaderDecl> = Vec::new();
    for (key, node) in reader.map(node, "headers", limits::HEADERS).unwrap_or_default() {
        let small = key.value.to_ascii_lowercase();
        if !is_header_name(&small) {
            let message = format!("{} is no name of a header", quote(&key.value));
            reader.sink.push(Diagnostic::error(Code::BadName, message).at(&key.span, "letters, digits and `-`"));
        } else if OURS.contains(&small.as_str()) {
            let message = format!("the header {} says how a request is sent, and is not given", quote(&key.value));
            reader.sink.push(Diagnostic::error(Code::BadName, message).at(&key.span, "the engine sends it"));
        } else if headers.iter().any(|(name, _)| *name == small) {
            let message = format!("the header {} is given twice", quote(&key.value));
            let diagnostic = Diagnostic::error(Code::DuplicateKey, message).at(&key.span, "given again here");
            reader.sink.push(diagnostic.help("large and small letters are the same in the name of a header"));
        }
        if let Some(value) = reader.text(node, &key.value).and_then(|text| template(text, reader.sink)) {
            headers.push((small, value));
        }
    }
    headers
}

/// Whether this is a name in RFC 9110's sense (`token`), in small letters.
pub(in crate::read) fn is_header_name(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.len() <= limits::NAME_BYTES && name.bytes().all(token)
}

/// A file of the workflow, or an expression that gives a file or the certificates themselves.
fn ca(node: &Node, reader: &mut Reader) -> Option<TemplateSyntax> {
    template(reader.some_text(node, "ca")?, reader.sink)
}

pub(super) fn notify(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &NOTIFY, "`Notify`", reader.sink)?;
    let text = fields.required("text", reader.sink).and_then(|node| text(node, "text", reader));
    let subject = fields.optional("subject").and_then(|node| self::text(node, "subject", reader));
    let to = fields.required("to", reader.sink).and_then(|node| recipient(node, reader));
    Some(ActionKind::Notify(Box::new(NoticeDecl { text, subject, to })))
}

fn text(node: &Node, field: &str, reader: &mut Reader) -> Option<TemplateSyntax> {
    template(reader.some_text(node, field)?, reader.sink)
}

fn recipient(node: &Node, reader: &mut Reader) -> Option<RecipientDecl> {
    match reader.variant(node, "a recipient", &["Webhook", "Command", "Mail"])? {
        "Webhook" => {
            let mut fields = Fields::open(node, &WEBHOOK, "`Webhook`", reader.sink)?;
            Some(RecipientDecl::Webhook {
                url: fields.required("url", reader.sink).and_then(|node| url(node, reader)),
                key: fields.optional("key").and_then(|node| text(node, "key", reader)),
                headers: fields.optional("headers").map(|node| headers(node, reader)).unwrap_or_default(),
                ca: fields.optional("ca").and_then(|node| ca(node, reader)),
            })
        }
        "Command" => super::argv(node, "Command", reader).map(|argv| RecipientDecl::Command { argv }),
        _ => mail(node, reader).map(RecipientDecl::Mail),
    }
}

fn mail(node: &Node, reader: &mut Reader) -> Option<MailDecl> {
    let mut fields = Fields::open(node, &MAIL, "`Mail`", reader.sink)?;
    let server = fields.required("server", reader.sink).and_then(|node| text(node, "server", reader));
    let from = fields.required("from", reader.sink).and_then(|node| text(node, "from", reader));
    let to = fields.required("to", reader.sink).map(|node| {
        if matches!(&node.kind, Kind::List(list) if list.is_empty()) {
            let diagnostic = Diagnostic::error(Code::Empty, "`to` names nobody").at(&node.span, "empty");
            reader.sink.push(diagnostic);
        }
        templates(node, "to", reader).unwrap_or_default()
    });
    let user = fields.optional("user").and_then(|node| text(node, "user", reader));
    let password = fields.optional("password").and_then(|node| text(node, "password", reader));
    // Here `None` is a choice, and leaving it out another one.
    let tls = match fields.written("tls").map(|node| mail_tls(node, reader)) {
        Some(Some(tls)) => tls,
        Some(None) | None => MailTls::StartTls,
    };
    for (one, other) in [("user", "password"), ("password", "user")] {
        if fields.has(one) && !fields.has(other) && !fields.is_broken() {
            let message = format!("`{one}` of `Mail` is given without `{other}`");
            let diagnostic = Diagnostic::error(Code::NeedsCompanion, message).at(&fields.place(one), "both or none");
            reader.sink.push(diagnostic);
        }
    }
    if tls == MailTls::None {
        let mut refuse = |field: &str, why: &str| {
            if fields.has(field) {
                let message = format!("`{field}` of `Mail` has no place beside `tls: None`");
                reader.sink.push(Diagnostic::error(Code::Misplaced, message).at(&fields.place(field), why));
            }
        };
        refuse("password", "it would be sent so that everybody on the way can read it");
        refuse("ca", "nobody is asked who the server is");
    }
    let ca = fields.optional("ca").and_then(|node| ca(node, reader));
    Some(MailDecl { server, from, to: to.unwrap_or_default(), user, password, tls, ca })
}

fn mail_tls(node: &Node, reader: &mut Reader) -> Option<MailTls> {
    if node.kind == Kind::Absent {
        return Some(MailTls::None);
    }
    let tls = match reader.variant(node, "a way to protect a connection", &["StartTls", "Tls", "None"])? {
        "StartTls" => MailTls::StartTls,
        "Tls" => MailTls::Tls,
        _ => MailTls::None,
    };
    reader.bare(node)?;
    Some(tls)
}

pub(super) fn until_http(node: &Node, reader: &mut Reader) -> Option<UntilDecl> {
    let mut fields = Fields::open(node, &UNTIL_HTTP, "`Http`", reader.sink)?;
    let url = fields.required("url", reader.sink).and_then(|node| url(node, reader));
    let status = match fields.optional("status") {
        Some(node) => statuses(node, reader)?,
        None => vec![200],
    };
    let ca = fields.optional("ca").and_then(|node| ca(node, reader));
    Some(UntilDecl::Http { url, status, ca })
}

pub(super) fn until_tls(node: &Node, reader: &mut Reader) -> Option<UntilDecl> {
    let mut fields = Fields::open(node, &TLS, "`Tls`", reader.sink)?;
    let port = fields.required("port", reader.sink).and_then(|node| super::port(node, reader));
    let name = fields.optional("name").and_then(|node| text(node, "name", reader));
    let ca = fields.optional("ca").and_then(|node| ca(node, reader));
    let valid_for = fields.optional("valid_for");
    let valid_for = match valid_for {
        Some(node) => reader.duration_or_expr(node, "valid_for", 0, limits::VALID_FOR_MAX_MS),
        None => Some(Scalar::Literal(Spanned::new(0, node.head()))),
    };
    Some(UntilDecl::Tls(TlsDecl { port, name, ca, valid_for }))
}
