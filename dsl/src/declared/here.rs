//! What runs from here, on the engine's machine, as it is declared. A part that could not be read is `None` or left out.

use super::{ActionDecl, ActionKind, DatumDecl, Scalar, StepDecl, UntilDecl};
use crate::expression::{Syntax, TemplateSyntax};
use crate::plan::{MailTls, Method};

/// `Assert("…", "…")`
#[derive(Debug, Clone)]
pub(crate) struct AssertDecl {
    pub(crate) condition: Option<Syntax>,
    pub(crate) text: Option<TemplateSyntax>,
}

/// A header, whose name is read.
pub(crate) type HeaderDecl = (String, TemplateSyntax);

/// `Http(…)`
#[derive(Debug, Clone)]
pub(crate) struct RequestDecl {
    pub(crate) method: Option<Method>,
    pub(crate) url: Option<TemplateSyntax>,
    pub(crate) headers: Vec<HeaderDecl>,
    pub(crate) body: Option<BodyDecl>,
    pub(crate) status: Vec<u16>,
    pub(crate) follow: u32,
    pub(crate) ca: Option<TemplateSyntax>,
}

/// What a request sends.
#[derive(Debug, Clone)]
pub(crate) enum BodyDecl {
    Text(TemplateSyntax),
    Json(DatumDecl),
}

/// `Notify(…)`
#[derive(Debug, Clone)]
pub(crate) struct NoticeDecl {
    pub(crate) text: Option<TemplateSyntax>,
    pub(crate) subject: Option<TemplateSyntax>,
    pub(crate) to: Option<RecipientDecl>,
}

/// Whom a notice is for.
#[derive(Debug, Clone)]
pub(crate) enum RecipientDecl {
    Webhook {
        url: Option<TemplateSyntax>,
        key: Option<TemplateSyntax>,
        headers: Vec<HeaderDecl>,
        ca: Option<TemplateSyntax>,
    },
    Command {
        argv: Vec<TemplateSyntax>,
    },
    Mail(MailDecl),
}

/// `Mail(…)`
#[derive(Debug, Clone)]
pub(crate) struct MailDecl {
    pub(crate) server: Option<TemplateSyntax>,
    pub(crate) from: Option<TemplateSyntax>,
    pub(crate) to: Vec<TemplateSyntax>,
    pub(crate) user: Option<TemplateSyntax>,
    pub(crate) password: Option<TemplateSyntax>,
    pub(crate) tls: MailTls,
    pub(crate) ca: Option<TemplateSyntax>,
}

/// `Tls(…)` of a `Wait`
#[derive(Debug, Clone)]
pub(crate) struct TlsDecl {
    pub(crate) port: Option<Scalar<u16>>,
    pub(crate) name: Option<TemplateSyntax>,
    pub(crate) ca: Option<TemplateSyntax>,
    pub(crate) valid_for: Option<Scalar<u64>>,
}

impl AssertDecl {
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Syntax)) {
        self.condition.iter().chain(self.text.iter().flat_map(TemplateSyntax::expressions)).for_each(visit);
    }
}

impl RequestDecl {
    /// Calls `visit` with every expression in it that may read another step.
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Syntax)) {
        let headers = self.headers.iter().map(|(_, value)| value);
        let templates = self.url.iter().chain(headers).chain(&self.ca);
        templates.flat_map(TemplateSyntax::expressions).for_each(&mut *visit);
        match &self.body {
            Some(BodyDecl::Text(text)) => text.expressions().for_each(visit),
            Some(BodyDecl::Json(datum)) => datum.visit(visit),
            None => {}
        }
    }
}

impl NoticeDecl {
    /// Calls `visit` with every expression in it that may read another step.
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Syntax)) {
        let mut templates: Vec<&'a TemplateSyntax> = self.text.iter().chain(&self.subject).collect();
        match &self.to {
            Some(RecipientDecl::Webhook { url, key, headers, ca }) => {
                templates.extend(url.iter().chain(key).chain(headers.iter().map(|(_, value)| value)).chain(ca));
            }
            Some(RecipientDecl::Command { argv }) => templates.extend(argv),
            Some(RecipientDecl::Mail(mail)) => {
                let MailDecl { server, from, to, user, password, tls: _, ca } = mail;
                templates.extend(server.iter().chain(from).chain(to).chain(user).chain(password).chain(ca));
            }
            None => {}
        }
        templates.into_iter().flat_map(TemplateSyntax::expressions).for_each(visit);
    }
}

impl ActionDecl {
    /// Whether it runs on the engine's machine, so that its step needs no host.
    pub(crate) fn is_from_here(&self) -> bool {
        match self.kind {
            ActionKind::Assert(_)
            | ActionKind::Local { .. }
            | ActionKind::Http(_)
            | ActionKind::Notify(_)
            | ActionKind::Record(_)
            | ActionKind::Forget(_) => true,
            ActionKind::Run { .. }
            | ActionKind::Shell { .. }
            | ActionKind::Script { .. }
            | ActionKind::Upload { .. }
            | ActionKind::Wait { .. }
            | ActionKind::Gate(_)
            | ActionKind::WriteFiles { .. }
            | ActionKind::PatchFile(_)
            | ActionKind::Download(_)
            | ActionKind::Copy(_)
            | ActionKind::Reboot { .. }
            | ActionKind::Facts
            | ActionKind::Restore => false,
        }
    }

    /// The certificates that it trusts.
    pub(crate) fn ca(&self) -> Option<&TemplateSyntax> {
        match &self.kind {
            ActionKind::Http(request) => request.ca.as_ref(),
            ActionKind::Notify(notice) => match &notice.to {
                Some(RecipientDecl::Webhook { ca, .. } | RecipientDecl::Mail(MailDecl { ca, .. })) => ca.as_ref(),
                Some(RecipientDecl::Command { .. }) | None => None,
            },
            ActionKind::Wait {
                until: Some(UntilDecl::Http { ca, .. } | UntilDecl::Tls(TlsDecl { ca, .. })), ..
            } => ca.as_ref(),
            ActionKind::Wait { .. }
            | ActionKind::Assert(_)
            | ActionKind::Local { .. }
            | ActionKind::Run { .. }
            | ActionKind::Shell { .. }
            | ActionKind::Script { .. }
            | ActionKind::Upload { .. }
            | ActionKind::Gate(_)
            | ActionKind::WriteFiles { .. }
            | ActionKind::PatchFile(_)
            | ActionKind::Download(_)
            | ActionKind::Copy(_)
            | ActionKind::Reboot { .. }
            | ActionKind::Record(_)
            | ActionKind::Forget(_)
            | ActionKind::Facts
            | ActionKind::Restore => None,
        }
    }
}

impl StepDecl {
    /// It needs no host, and has none.
    pub(crate) fn is_hostless(&self) -> bool {
        self.on.is_none() && self.action.as_ref().is_some_and(ActionDecl::is_from_here)
    }
}
