//! What a step runs on and what it waits for: `on`, `run_at`, `needs`.

use std::collections::HashMap;

use super::scalars::Reader;
use super::steps::spanned;
use crate::code::Code;
use crate::declared::{Need, NeedDecl};
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::roles;
use crate::source::{Spanned, quote};
use crate::syntax::{Kind, Node};

/// A role, or a list of roles.
pub(super) fn on(node: &Node, field: &str, reader: &mut Reader) -> Option<Spanned<String>> {
    let Kind::List(_) = node.kind else { return reader.text(node, field).map(spanned) };
    let mut names: Vec<&str> = Vec::new();
    for node in reader.list(node, field, limits::ROLES)? {
        let text = reader.some_text(node, field)?;
        if names.contains(&text.value.as_str()) {
            let message = format!("the role {} stands in `{field}` twice", quote(&text.value));
            reader.sink.push(Diagnostic::error(Code::DuplicateKey, message).at(&text.span, "given again here"));
            return None;
        }
        names.push(&text.value);
    }
    if names.is_empty() {
        let diagnostic = Diagnostic::error(Code::Empty, format!("`{field}` names no role")).at(&node.head(), "empty");
        reader.sink.push(diagnostic.help("a step runs on the hosts of one role or of several"));
        return None;
    }
    Some(Spanned::new(roles::together(names), node.span.clone()))
}

/// Ids of steps and groups, some of them in `All` or `Settled`.
pub(super) fn needs(node: &Node, reader: &mut Reader) -> Vec<NeedDecl> {
    let mut needs: Vec<NeedDecl> = Vec::new();
    let mut seen = HashMap::new();
    for node in reader.list(node, "needs", limits::NEEDS).unwrap_or_default() {
        let Some(need) = need(node, reader) else { continue };
        if let Some(first) = seen.get(&need.id.value).cloned() {
            let message = format!("{} is needed twice", quote(&need.id.value));
            let diagnostic = Diagnostic::warning(Code::NeedTwice, message).at(&need.id.span, "again");
            reader.sink.push(diagnostic.at(&first, "first"));
            continue;
        }
        seen.insert(need.id.value.clone(), need.id.span.clone());
        needs.push(need);
    }
    needs
}

fn need(node: &Node, reader: &mut Reader) -> Option<NeedDecl> {
    let how = match node.kind {
        Kind::Struct(_) | Kind::Word(_) => match reader.variant(node, "a way to wait", &["All", "Settled"])? {
            "All" => Need::All,
            _ => Need::Settled,
        },
        _ => return Some(NeedDecl { id: spanned(reader.text(node, "needs")?), how: Need::Success }),
    };
    let id = reader.single(node, if how == Need::All { "All(\"step\")" } else { "Settled(\"step\")" })?;
    Some(NeedDecl { id: spanned(reader.some_text(id, "needs")?), how })
}
