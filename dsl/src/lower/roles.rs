//! The roles that a step names: those it runs on, and the one at whose host it runs.

use super::Lower;
use crate::code::Code;
use crate::declared::{RoleKind, StepDecl};
use crate::diagnostic::Diagnostic;
use crate::roles::parts;
use crate::source::{Spanned, plain, quote, there_are};

impl Lower<'_> {
    pub(super) fn roles(&mut self, step: &StepDecl, index: usize) {
        self.role(step, index);
        self.run_at(step);
    }

    fn role(&mut self, step: &StepDecl, index: usize) {
        let Some(role) = &step.on else { return };
        let group = step.group.map(|group| &self.typing.declared.groups[group]);
        if group.is_some_and(|group| group.steps.first() != Some(&index)) {
            // It is said of the group's first step.
            return;
        }
        let title = match group {
            Some(group) if self.typing.declared.group_ids.contains_key(&group.id.value) => {
                format!("group {}", quote(&group.id.value))
            }
            _ => step.title(),
        };
        for part in parts(&role.value) {
            self.known_role(part, role, &title);
        }
    }

    /// Whether a role is declared; if not, that is reported. `at` is where it is named.
    fn known_role(&mut self, name: &str, at: &Spanned<String>, title: &str) -> bool {
        if self.typing.declared.roles.get(name).is_some() {
            self.typing.used.roles.insert(name.to_owned());
            return true;
        }
        let known: Vec<&str> = self.typing.declared.roles.iter().map(|role| role.name.value.as_str()).collect();
        let nearest = self.typing.sink.nearest(name, known.iter().copied());
        let message = format!("{title} runs on {}, which no role is called", quote(name));
        let diagnostic = Diagnostic::error(Code::UnknownRole, message).at(&at.span, "not a role of this workflow");
        self.typing.sink.push(match nearest {
            Some(nearest) => diagnostic.help(format!("a role is called `{nearest}`")),
            None if known.is_empty() => diagnostic.help(format!("declare it: `roles: {{ \"{}\": One }}`", plain(name))),
            None => diagnostic.help(there_are(known)),
        });
        false
    }

    /// `run_at` names another role, of one host.
    fn run_at(&mut self, step: &StepDecl) {
        let Some(role) = &step.run_at else { return };
        if !self.known_role(&role.value, role, &step.title()) {
            return;
        }
        if step.role() == Some(&role.value) {
            let message = format!("`run_at` has no effect in {}", step.title());
            let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&role.span, "it runs on this role anyway");
            self.typing.sink.push(diagnostic.help("leave it out"));
            return;
        }
        let Some(declared) = self.typing.declared.roles.get(&role.value) else { return };
        if let Some(RoleKind::Optional | RoleKind::Many { .. }) = declared.kind {
            let message = format!("{} runs at {}, which is not one host", step.title(), quote(&role.value));
            let diagnostic = Diagnostic::error(Code::NotOneHost, message)
                .at(&role.span, "may have none or several")
                .at(&declared.name.span, "declared here");
            self.typing.sink.push(diagnostic.help("`run_at` names a role that is `One`"));
        }
    }
}
