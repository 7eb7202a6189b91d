//! Files that are brought from a host: to here, or to another host.

use super::Lower;
use crate::code::Code;
use crate::declared::{CopyDecl, DownloadDecl, RoleKind, Scalar};
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, Part, Template};
use crate::expression::TemplateSyntax;
use crate::fixed::Field;
use crate::plan::{Action, CopySpec, DownloadSpec};
use crate::source::{Spanned, quote};
use crate::typing::Place;
use crate::validate::walk;

impl Lower<'_> {
    pub(super) fn download(&mut self, decl: &DownloadDecl) -> Option<Action> {
        let from = decl.from.as_ref().map(|from| self.typing.template(from, Some("be a path on the host")));
        let to = decl.to.as_ref().map(|to| {
            let path = self.typing.template(to, Some("be a path here"));
            self.tells_nodes_apart(to, &path);
            path
        });
        let mode = decl.mode.as_ref().and_then(|mode: &Scalar<u32>| self.scalar(Some(mode), Field::Mode));
        Some(Action::Download(DownloadSpec { from: from?, to: to?, mode }))
    }

    /// The nodes of a step write beside each other here, so what tells them apart must be in the path.
    fn tells_nodes_apart(&mut self, to: &TemplateSyntax, path: &Template) {
        let declared = self.typing.declared;
        let Place::Step { index, .. } = self.typing.place else { return };
        let step = &declared.steps[index];
        let names = |wanted: fn(&Expr) -> bool| {
            path.parts.iter().any(|part| match part {
                Part::Text(_) => false,
                Part::Expr(expr) => {
                    walk(expr, &mut |expr| if wanted(expr) { Err(String::new()) } else { Ok(()) }).is_err()
                }
            })
        };
        let (several, write) = match (step.has_each, declared.may_have_several(step.role())) {
            (true, _) if !names(|expr| *expr == Expr::Each) => ("elements", "${{ each }}"),
            (false, true) if !names(|expr| matches!(expr, Expr::Host(_))) => ("hosts", "${{ host.name }}"),
            (true, _) | (false, _) => return,
        };
        let message = format!("the {several} of {} would overwrite each other's file here", step.title());
        let diagnostic = Diagnostic::error(Code::Overwrites, message).at(&to.span, "the same for all of them");
        self.typing.sink.push(diagnostic.help(format!("put what tells them apart into it: `{write}`")));
    }

    pub(super) fn copy(&mut self, decl: &CopyDecl) -> Option<Action> {
        let from_role = decl.from_role.as_ref().and_then(|role| self.source_role(role));
        let mut text =
            |text: &Option<TemplateSyntax>, what| text.as_ref().map(|text| self.typing.template(text, Some(what)));
        let (from, to) = (text(&decl.from, "be a path on a host"), text(&decl.to, "be a path on the host"));
        let owner = text(&decl.owner, "be the owner of a file");
        let group = text(&decl.group, "be the group of a file");
        let mode = decl.mode.as_ref().and_then(|mode: &Scalar<u32>| self.scalar(Some(mode), Field::Mode));
        let from_role = from_role?;
        Some(Action::Copy(CopySpec { from_role, from: from?, to: to?, mode, owner, group, backup: decl.backup }))
    }

    /// The role of the one host that has the file. Also where it is the step's own role: which of several hosts would be meant?
    fn source_role(&mut self, role: &Spanned<String>) -> Option<String> {
        if !self.known_role(&role.value, role, "a file is copied from") {
            return None;
        }
        let declared = self.typing.declared.roles.get(&role.value)?;
        match declared.kind? {
            RoleKind::One => Some(role.value.clone()),
            RoleKind::Optional | RoleKind::Many { .. } => {
                let message = format!("a file is copied from role {}, which is not one host", quote(&role.value));
                let diagnostic = Diagnostic::error(Code::NotOneHost, message)
                    .at(&role.span, "the file of which host?")
                    .at(&declared.name.span, "may have none or several")
                    .help("give the host that has the file a role of its own, which is `One`");
                self.typing.sink.push(diagnostic);
                None
            }
        }
    }
}
