//! Actions between hosts and on whole ones: `Download`, `Copy`, `Reboot`.

use super::{absolute, host_path, mode};
use crate::code::Code;
use crate::declared::{ActionKind, CopyDecl, DownloadDecl, StepDecl};
use crate::diagnostic::Diagnostic;
use crate::expression::{TemplateSyntax, template};
use crate::limits;
use crate::read::fields::{Fields, Shape};
use crate::read::scalars::Reader;
use crate::read::steps::spanned;
use crate::source::{Spanned, plain, quote};
use crate::syntax::Node;

const DOWNLOAD: Shape = Shape { name: "Download", fields: &["from", "to", "mode"], positional: None };
const COPY: Shape =
    Shape { name: "Copy", fields: &["from", "to", "mode", "owner", "group", "backup"], positional: None };
const PLACE: Shape = Shape { name: "", fields: &["role", "path"], positional: None };
const REBOOT: Shape = Shape { name: "Reboot", fields: &["within"], positional: None };

pub(super) fn download(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &DOWNLOAD, "`Download`", reader.sink)?;
    let from = fields.required("from", reader.sink).and_then(|node| host_path(node, "from", reader));
    let to = fields.required("to", reader.sink);
    let to = to.and_then(|node| absolute(node, "to", "on the machine that Anneal runs on", reader));
    let mode = fields.optional("mode").and_then(|node| mode(node, reader));
    Some(ActionKind::Download(DownloadDecl { from, to, mode }))
}

pub(super) fn copy(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &COPY, "`Copy`", reader.sink)?;
    let (from_role, from) =
        fields.required("from", reader.sink).map(|node| place(node, "from", true, reader)).unwrap_or_default();
    let (to_role, to) =
        fields.required("to", reader.sink).map(|node| place(node, "to", false, reader)).unwrap_or_default();
    let mut name = |field: &str, reader: &mut Reader| {
        let text = fields.optional(field).and_then(|node| reader.some_text(node, field))?;
        template(text, reader.sink)
    };
    let (owner, group) = (name("owner", reader), name("group", reader));
    let mode = fields.optional("mode").and_then(|node| mode(node, reader));
    // Where something could not be read, it may have been this.
    let unsaid = fields.is_broken();
    let backup = fields.optional("backup").and_then(|node| reader.boolean(node, "backup")).unwrap_or(unsaid);
    Some(ActionKind::Copy(CopyDecl { from_role, from, to_role, to, mode, owner, group, backup }))
}

/// `(role: "…", path: "…")`
fn place(
    node: &Node,
    field: &str,
    needs_role: bool,
    reader: &mut Reader,
) -> (Option<Spanned<String>>, Option<TemplateSyntax>) {
    let what = format!("`{field}` of `Copy`");
    let Some(mut fields) = Fields::open(node, &PLACE, &what, reader.sink) else { return Default::default() };
    let role = match needs_role {
        true => fields.required("role", reader.sink),
        false => fields.optional("role"),
    };
    let role = role.and_then(|node| reader.some_text(node, "role")).map(spanned);
    let path = fields.required("path", reader.sink).and_then(|node| host_path(node, "path", reader));
    (role, path)
}

pub(super) fn reboot(node: &Node, reader: &mut Reader) -> Option<ActionKind> {
    let mut fields = Fields::open(node, &REBOOT, "`Reboot`", reader.sink)?;
    let within = fields
        .required("within", reader.sink)
        .and_then(|node| reader.duration_or_expr(node, "within", limits::TIMEOUT_MIN_MS, limits::TIMEOUT_MAX_MS));
    Some(ActionKind::Reboot { within })
}

/// A `Copy` runs on the role that it copies to: said by `on`, by `to`, or by both alike.
pub(in crate::read) fn settle_role(step: &mut StepDecl, fields: &Fields, reader: &mut Reader) {
    let Some(ActionKind::Copy(copy)) = step.action.as_ref().map(|action| &action.kind) else { return };
    match (&step.on, &copy.to_role) {
        (Some(on), Some(to)) if on.value != to.value => {
            let message = format!("{} runs on {}, but copies to {}", step.title(), quote(&on.value), quote(&to.value));
            let diagnostic = Diagnostic::error(Code::OtherRole, message)
                .at(&to.span, "another role")
                .at(&on.span, "the step runs here")
                .help("a `Copy` runs on the host that gets the file: leave one of the two out");
            reader.sink.push(diagnostic);
        }
        (Some(_), _) => {}
        (None, Some(to)) => step.on = Some(to.clone()),
        (None, None) if fields.has("on") || fields.is_broken() || copy.to.is_none() => {}
        (None, None) => {
            let message = format!("{} has no `on`, and its `to` names no role", step.title());
            let diagnostic = Diagnostic::error(Code::MissingField, message).at(&fields.place("do"), "to which host?");
            let path = copy.to.as_ref().and_then(TemplateSyntax::literal).unwrap_or_default();
            let help = format!("write `to: (role: \"…\", path: \"{}\")`", plain(&path));
            reader.sink.push(diagnostic.help(help));
        }
    }
}

/// A machine is restarted by root; a step that says another user is surely wrong.
pub(in crate::read) fn check_reboot(step: &StepDecl, reader: &mut Reader) {
    let Some(ActionKind::Reboot { .. }) = step.action.as_ref().map(|action| &action.kind) else { return };
    let Some(user) = &step.as_user else { return };
    if user.literal().is_some_and(|name| name != "root") {
        let message = format!("{} restarts a machine as another user than root", step.title());
        let diagnostic = Diagnostic::error(Code::NotRoot, message).at(&user.span, "may not restart it");
        reader.sink.push(diagnostic.help("write `as_user: \"root\"`"));
    }
}
