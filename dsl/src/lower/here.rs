//! What runs from here: requests, notices, assertions, and whom they trust. And arguments, in which a step may allow secrets.

use super::Lower;
use crate::assets::normal_path;
use crate::code::Code;
use crate::declared::{
    ActionKind, AssertDecl, BodyDecl, HeaderDecl, MailDecl, NoticeDecl, RecipientDecl, RequestDecl, StepDecl, TlsDecl,
};
use crate::diagnostic::Diagnostic;
use crate::expr::Template;
use crate::expression::TemplateSyntax;
use crate::fixed::Field;
use crate::plan::{Action, Body, Ca, Mail, Notice, Recipient, Request, RetryOn, Until};
use crate::typing::Class;

/// How long a request, a webhook or a mail may take where nothing is said.
const ASK_TIMEOUT_MS: u64 = 60_000;
/// Statuses by which a server says that it will do better later.
const BUSY: [u16; 2] = [429, 503];
/// The same of one in front of it that does not know what came of it.
const BAD_GATEWAY: [u16; 2] = [502, 504];

impl Lower<'_> {
    /// A text that others can see, where the step does not allow secrets in it.
    pub(super) fn argument(&mut self, text: &TemplateSyntax, public: &str) -> Template {
        if self.allow_secret_args.is_none() {
            return self.typing.template(text, Some(public));
        }
        let template = self.typing.template(text, None);
        if template.secret {
            self.secret_args.push(text.span.clone());
        }
        template
    }

    pub(super) fn arguments(&mut self, list: &[TemplateSyntax]) -> Vec<Template> {
        list.iter().map(|text| self.argument(text, "be an argument")).collect()
    }

    /// Says each time that secrets may be seen, and why; a permission that nothing needs is refused.
    pub(super) fn check_secret_args(&mut self, step: &StepDecl) {
        let spans = std::mem::take(&mut self.secret_args);
        let Some(why) = self.allow_secret_args.take() else { return };
        if spans.is_empty() {
            // A part with an error in it may be the one that is meant.
            if !self.typing.sink.has_errors() {
                let message = format!("`allow_secret_args` has no effect in {}", step.title());
                let diagnostic =
                    Diagnostic::error(Code::NoEffect, message).at(&why.span, "no secret is in an argument or a URL");
                self.typing.sink.push(diagnostic.help("remove it, so that a later mistake is noticed"));
            }
            return;
        }
        let message = format!("secrets are in arguments or URLs of {}, where others can see them", step.title());
        let mut diagnostic = Diagnostic::warning(Code::SecretArgs, message);
        for span in &spans {
            diagnostic = diagnostic.at(span, "a secret is in this");
        }
        let diagnostic = diagnostic.at(&why.span, "allowed by this");
        self.typing.sink.push(diagnostic.help(format!("the reason that is given: {}", why.value)));
    }

    pub(super) fn assert(&mut self, decl: &AssertDecl) -> Option<Action> {
        let condition = decl.condition.as_ref();
        let condition =
            condition.map(|syntax| self.typing.condition_of(syntax, "Assert", "decide what an `Assert` says"));
        let text = decl.text.as_ref().map(|text| self.typing.template(text, Some("be said by an `Assert`")));
        Some(Action::Assert { condition: condition??, text: text? })
    }

    pub(super) fn request(&mut self, decl: &RequestDecl) -> Option<Request> {
        let url = decl.url.as_ref().map(|url| self.argument(url, "be in a URL"));
        let headers = self.headers(&decl.headers);
        let body = decl.body.as_ref().map(|body| match body {
            BodyDecl::Text(text) => Body::Text(self.typing.template(text, None)),
            BodyDecl::Json(datum) => Body::Json(self.datum(datum, false)),
        });
        let ca = self.ca(decl.ca.as_ref());
        let (status, follow) = (decl.status.clone(), decl.follow);
        Some(Request { method: decl.method?, url: url?, headers, body, status, follow, ca: ca? })
    }

    fn headers(&mut self, headers: &[HeaderDecl]) -> Vec<(String, Template)> {
        headers.iter().map(|(name, value)| (name.clone(), self.typing.template(value, None))).collect()
    }

    pub(super) fn notice(&mut self, decl: &NoticeDecl) -> Option<Notice> {
        let told = Some("be told to people");
        let text = decl.text.as_ref().map(|text| self.typing.template(text, told));
        let subject = decl.subject.as_ref().map(|subject| self.typing.template(subject, told));
        let to = match decl.to.as_ref()? {
            RecipientDecl::Webhook { url, key, headers, ca } => {
                let url = url.as_ref().map(|url| self.argument(url, "be in a URL"));
                let key = key.as_ref().map(|key| self.typing.template(key, None));
                let (headers, ca) = (self.headers(headers), self.ca(ca.as_ref()));
                Recipient::Webhook { url: url?, key, headers, ca: ca? }
            }
            RecipientDecl::Command { argv } => Recipient::Command { argv: self.arguments(argv) },
            RecipientDecl::Mail(mail) => Recipient::Mail(Box::new(self.mail(mail)?)),
        };
        Some(Notice { text: text?, subject, to })
    }

    fn mail(&mut self, decl: &MailDecl) -> Option<Mail> {
        let server = decl.server.as_ref().map(|server| self.typing.template(server, Some("be the name of a server")));
        let address = Some("be the address of a mail");
        let from = decl.from.as_ref().map(|from| self.typing.template(from, address));
        let to = decl.to.iter().map(|to| self.typing.template(to, address)).collect();
        let user = decl.user.as_ref().map(|user| self.typing.template(user, None));
        let password = decl.password.as_ref().map(|password| self.typing.template(password, None));
        let ca = self.ca(decl.ca.as_ref());
        Some(Mail { server: server?, from: from?, to, user, password, tls: decl.tls, ca: ca? })
    }

    pub(super) fn until_tls(&mut self, decl: &TlsDecl) -> Option<Until> {
        let port = self.scalar(decl.port.as_ref(), Field::Port);
        let name = decl.name.as_ref().map(|name| self.typing.template(name, Some("be the name of a server")));
        let valid_for_ms = self.scalar(decl.valid_for.as_ref(), Field::ValidFor).unwrap_or(0);
        let ca = self.ca(decl.ca.as_ref());
        Some(Until::Tls { port: Template::literal(port.unwrap_or(0).to_string()), name, ca: ca?, valid_for_ms })
    }

    /// Whom is trusted: a literal names a file of the workflow, an expression gives a file or the certificates themselves.
    pub(super) fn ca(&mut self, ca: Option<&TemplateSyntax>) -> Option<Option<Ca>> {
        let Some(ca) = ca else { return Some(None) };
        if let Some(path) = ca.literal() {
            return normal_path(&path).ok().map(|path| Some(Ca::Asset(path)));
        }
        let Some(syntax) = ca.only_expression() else {
            let message = "`ca` is a mixture of text and expressions";
            let diagnostic = Diagnostic::error(Code::TypeMismatch, message)
                .at(&ca.span, "either one file of the workflow, or one expression")
                .help("an expression gives a `File`, or the certificates themselves as a text");
            self.typing.sink.push(diagnostic);
            return None;
        };
        let typed = self.typing.of_class(syntax, &[Class::File, Class::Text], "File or Text", "ca")?;
        Some(Some(match typed.class() {
            Some(Class::File) => Ca::File(typed.expr),
            _ => Ca::Text(typed.expr),
        }))
    }
}

/// How long an attempt may take where nothing is said.
pub(super) fn timeout_ms(step: &StepDecl) -> u64 {
    match step.action.as_ref().map(|action| &action.kind) {
        Some(ActionKind::Http(_)) => ASK_TIMEOUT_MS,
        Some(ActionKind::Notify(notice)) if !matches!(notice.to, Some(RecipientDecl::Command { .. })) => ASK_TIMEOUT_MS,
        _ => super::TIMEOUT_MS,
    }
}

/// Which failures are tried again where only the number of attempts is said: those that pass by themselves, and of what is not
/// harmless to repeat those before which it did not happen.
pub(super) fn retry_on(step: &StepDecl) -> Vec<RetryOn> {
    let repeatable = vec![RetryOn::Connection, RetryOn::Timeout];
    let of_servers = || [repeatable.clone(), vec![RetryOn::Status([BUSY, BAD_GATEWAY].concat())]].concat();
    match step.action.as_ref().map(|action| &action.kind) {
        Some(ActionKind::Http(request)) if request.method.is_some_and(|method| !method.is_idempotent()) => {
            vec![RetryOn::Connection, RetryOn::Status(BUSY.to_vec())]
        }
        Some(ActionKind::Http(_)) => of_servers(),
        Some(ActionKind::Notify(notice)) if matches!(notice.to, Some(RecipientDecl::Webhook { .. })) => of_servers(),
        _ => repeatable,
    }
}
