//! `each` and `parallel`: how many nodes a step has, and how many of them run at once.

use super::Lower;
use crate::code::Code;
use crate::declared::{RoleKind, StepDecl};
use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::source::quote;
use crate::types::Type;
use crate::typing::{Class, Place, Shape, Typed, class};

/// Fields of a record that its key can be, in the order in which they are looked for.
const KEYS: [&str; 2] = ["key", "name"];

impl Lower<'_> {
    /// The list of `each`; what follows may name its element.
    pub(super) fn each(&mut self, step: &StepDecl, index: usize) -> Option<Option<Expr>> {
        if !step.has_each {
            return None;
        }
        self.typing.each = Some(Typed::unknown());
        let Some(each) = &step.each else { return Some(None) };
        let declared = self.typing.declared;
        if let Some(on) = &step.on
            && matches!(declared.role_kind(&on.value), Some(RoleKind::Optional | RoleKind::Many { .. }))
            && step.group.is_none()
        {
            let message = format!("{} has an `each`, but its role {} is not one host", step.title(), quote(&on.value));
            let mut diagnostic = Diagnostic::error(Code::NotOneHost, message).at(&on.span, "may have none or several");
            if let Some(role) = declared.roles.get(&on.value) {
                diagnostic = diagnostic.at(&role.name.span, "declared here");
            }
            let diagnostic = diagnostic
                .help("the nodes of such a step are the elements, all on the one host of a role that is `One`");
            let help = "to run on each host of a role, use a `Group` over the role, or leave `each` out";
            self.typing.sink.push(diagnostic.help(help));
        }
        let place = std::mem::replace(&mut self.typing.place, Place::Each { index });
        let each_here = self.typing.each.take();
        let list = self.typing.of_class(&each.syntax, &[Class::List], "a List", "each");
        (self.typing.place, self.typing.each) = (place, each_here);
        let Some(list) = list else { return Some(None) };
        let Shape::Of(Type::List(of)) = list.shape else { return Some(None) };
        if let Err((message, help)) = has_key(&of) {
            let diagnostic = Diagnostic::error(Code::NoKey, message).at(&each.syntax.span, format!("a list of {of}"));
            self.typing.sink.push(diagnostic.help(help));
            return Some(None);
        }
        self.typing.each = Some(Typed::new(Expr::Each, *of));
        Some(Some(list.expr))
    }

    pub(super) fn parallel(&mut self, step: &StepDecl) -> Option<u32> {
        let parallel = step.parallel.as_ref()?;
        let role = self.typing.declared.roles.get(step.role()?);
        if let Some((RoleKind::One | RoleKind::Optional, role)) = role.and_then(|role| Some((role.kind?, role)))
            && !step.has_each
        {
            let message = format!("`parallel` has no effect in {}, which has one node", step.title());
            let diagnostic = Diagnostic::error(Code::NoEffect, message).at(&parallel.span, "nothing to limit");
            self.typing.sink.push(diagnostic.at(&role.name.span, "one host at most"));
        }
        Some(parallel.value)
    }
}

/// Whether elements of this type have a key; if not, why, and what to do.
fn has_key(of: &Type) -> Result<(), (String, &'static str)> {
    let fields = match (of, class(of)) {
        (Type::Record(fields), _) => fields,
        (_, Class::List | Class::Map) => {
            return Err((
                "the elements of `each` are no single values".to_owned(),
                "single values and records have a key",
            ));
        }
        _ => return Ok(()),
    };
    let help = "a record is known by its field `key`, or else `name`: a Text that is not optional and not secret";
    let Some((name, field)) = KEYS.iter().find_map(|key| fields.get_key_value(*key)) else {
        return Err(("the elements of `each` have no key".to_owned(), help));
    };
    if class(&field.ty) != Class::Text || field.optional || field.secret {
        return Err((format!("the field `{name}` of the elements of `each` cannot be their key"), help));
    }
    Ok(())
}
