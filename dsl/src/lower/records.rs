//! What is recorded of instances, and the records that fill roles.

use std::collections::BTreeMap;

use super::Lower;
use crate::code::Code;
use crate::declared::{Declared, FromDecl, OfDecl, RecordDecl};
use crate::diagnostic::{Diagnostic, Sink};
use crate::expression::TemplateSyntax;
use crate::graph::Graph;
use crate::plan::{Action, RecordOf, RecordSpec, RecordedRole, RoleSource};
use crate::source::quote;
use crate::typing::{Place, Typing, Used};

impl Lower<'_> {
    pub(super) fn record(&mut self, decl: &RecordDecl) -> Option<Action> {
        let of = self.record_of(&decl.of);
        let kind = decl.kind.as_ref().map(|kind| self.typing.template(kind, Some("be recorded")));
        let mut values = Vec::new();
        for (name, value) in &decl.values {
            values.push((name.clone(), self.typing.template(value, Some("be recorded"))));
        }
        let mut known = true;
        for role in &decl.members {
            known &= self.known_role(&role.value, role, "the members of an instance are hosts of");
        }
        if !known || (kind.is_none() && !decl.of.wiring) {
            return None;
        }
        let members = decl
            .members
            .iter()
            .map(|role| RecordedRole { name: role.value.clone(), role: role.value.clone() })
            .collect();
        Some(Action::Record(RecordSpec { of: of?, kind, members, values }))
    }

    /// Of which instance; the operation must hold its lock, so the workflow must declare it.
    pub(super) fn record_of(&mut self, of: &OfDecl) -> Option<RecordOf> {
        let declared = self.typing.declared;
        let refuse = |message: String, at, label: &str, help: &str, typing: &mut Typing| {
            let diagnostic = Diagnostic::error(Code::UndeclaredInstance, message).at(at, label);
            typing.sink.push(diagnostic.help(help));
        };
        let name = match (&of.name, declared.instances.as_slice()) {
            (_, []) if !declared.has_instances => {
                let message = "the workflow declares no instance that could be recorded".to_owned();
                let help = "declare which one it is about, by a name: `instance: \"${{ inputs.name }}\"`";
                refuse(message, &of.at, "of which instance?", help, &mut self.typing);
                return None;
            }
            (Some(name), _) => name,
            (None, _) if of.named => return None,
            (None, [only]) => only,
            (None, []) => return None,
            (None, _) => {
                let message = "the workflow declares several instances".to_owned();
                let help = "say which one: `instance: \"…\"`";
                refuse(message, &of.at, "of which of them?", help, &mut self.typing);
                return None;
            }
        };
        let literals: Option<Vec<String>> = declared.instances.iter().map(TemplateSyntax::literal).collect();
        if let (Some(wanted), Some(all)) = (name.literal(), literals)
            && !all.contains(&wanted)
        {
            let message = format!("the workflow does not declare the instance {}", quote(&wanted));
            let help =
                "add it to `instances`: only a workflow that holds the lock of an instance may change its records";
            refuse(message, &name.span, "not in `instance` or `instances`", help, &mut self.typing);
            return None;
        }
        let name = self.typing.template(name, Some("be the name of an instance"));
        Some(if of.wiring { RecordOf::Wiring(name) } else { RecordOf::Instance(name) })
    }
}

/// The records that fill roles, by the role.
pub(super) fn sources(
    declared: &Declared,
    graph: &Graph,
    used: &mut Used,
    sink: &mut Sink,
) -> BTreeMap<String, RoleSource> {
    let mut typing = Typing::new(declared, &graph.position, Place::Fixed, used, sink);
    let mut sources = BTreeMap::new();
    for role in declared.roles.iter() {
        let Some(source) = &role.from else { continue };
        let Some(name) = &source.name else { continue };
        let name = typing.template(name, Some("be the name of an instance"));
        let source = match &source.from {
            FromDecl::Wired => RoleSource::Wired { registry: name },
            FromDecl::Members { role } => RoleSource::Members { instance: name, role: role.clone() },
        };
        sources.insert(role.name.value.clone(), source);
    }
    sources
}
