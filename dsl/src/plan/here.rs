//! What runs from here, on the engine's machine: requests, notices, programs – and where a program of an action runs.

use serde::{Deserialize, Serialize};

use super::{Action, Datum, Interrupted, Until};
use crate::expr::{Expr, Template};

/// On which machine the program of an action runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// On the step's host.
    Host,
    /// On the engine's machine.
    Here,
}

/// A request over HTTP or HTTPS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// `http://…` or `https://…`; secret only by [`Step::allow_secret_args`](super::Step::allow_secret_args).
    pub url: Template,
    /// In the order of the workflow; values may be secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Template)>,
    /// What is sent; may be secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// Statuses that are success; empty: 200 to 299.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// How many redirects are followed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub follow: u32,
    /// Who is trusted instead of the system's authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Ca>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Reads, without the body.
    Head,
    /// Does something, each time that it is sent.
    Post,
    /// Puts something there.
    Put,
    /// Changes something, each time that it is sent.
    Patch,
    /// Removes something.
    Delete,
}

impl Method {
    /// All of them, as they are sent.
    pub const WORDS: [&'static str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

    /// The method of a word, in capitals.
    pub fn of(word: &str) -> Option<Method> {
        Some(match word {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            _ => return None,
        })
    }

    /// As it is sent.
    pub fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    /// Whether it changes nothing (RFC 9110, 9.2.1).
    pub fn only_reads(self) -> bool {
        match self {
            Method::Get | Method::Head => true,
            Method::Post | Method::Put | Method::Patch | Method::Delete => false,
        }
    }

    /// Whether sending it twice comes to the same as sending it once (RFC 9110, 9.2.2).
    pub fn is_idempotent(self) -> bool {
        match self {
            Method::Get | Method::Head | Method::Put | Method::Delete => true,
            Method::Post | Method::Patch => false,
        }
    }
}

/// What a request sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A text as it is.
    Text(Template),
    /// Data, as JSON.
    Json(Datum),
}

/// Who is trusted to vouch for a server: certificates in PEM. Never secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ca {
    /// A file of the workflow: a path in [`Plan::assets`](super::Plan::assets).
    Asset(String),
    /// An expression of type `File`.
    File(Expr),
    /// An expression that gives the text itself.
    Text(Expr),
}

/// Something that is told to people, or to a program of theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// What is told; never secret.
    pub text: Template,
    /// What it is about; never secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Template>,
    /// By which way.
    pub to: Recipient,
}

/// Whom a notice is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// A server that takes JSON by POST.
    Webhook {
        /// As in [`Request::url`].
        url: Template,
        /// What the body is signed with; may be secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Template>,
        /// As in [`Request::headers`].
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, Template)>,
        /// As in [`Request::ca`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<Ca>,
    },
    /// A program on the engine's machine, which gets the text on its standard input.
    Command {
        /// Program and arguments, as in [`Action::Run`].
        argv: Vec<Template>,
    },
    /// Mail.
    Mail(Box<Mail>),
}

/// A way to send mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Name or address of the SMTP server, perhaps with a port; never secret.
    pub server: Template,
    /// Whose mail it is; never secret.
    pub from: Template,
    /// Who gets it, at least one; never secret.
    pub to: Vec<Template>,
    /// With which name we log in; may be secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Template>,
    /// With which password; may be secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Template>,
    /// How the connection is kept from being read.
    pub tls: MailTls,
    /// As in [`Request::ca`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Ca>,
}

/// How a connection to an SMTP server is kept from being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// By STARTTLS, which the server must offer; port 587 where none is given.
    StartTls,
    /// From its first byte; port 465.
    Tls,
    /// Not at all; port 25.
    None,
}

impl Recipient {
    fn argv(&self) -> Option<&[Template]> {
        match self {
            Recipient::Command { argv } => Some(argv),
            Recipient::Webhook { .. } | Recipient::Mail(_) => None,
        }
    }
}

impl Action {
    /// Whether it runs on the engine's machine, so that its step needs no host.
    pub fn is_from_here(&self) -> bool {
        match self {
            Action::Assert { .. }
            | Action::Local { .. }
            | Action::Http(_)
            | Action::Notify(_)
            | Action::Record(_)
            | Action::Forget(_) => true,
            Action::Run { .. }
            | Action::Shell { .. }
            | Action::Script { .. }
            | Action::Upload { .. }
            | Action::WriteFiles { .. }
            | Action::PatchFile { .. }
            | Action::Download(_)
            | Action::Copy(_)
            | Action::Reboot { .. }
            | Action::Facts
            | Action::Restore
            | Action::Wait { .. }
            | Action::Gate { .. } => false,
        }
    }

    /// On which machine an attempt of it can be looked for and ended; none where it is at work in the engine only.
    pub fn site(&self) -> Option<Site> {
        match self {
            Action::Run { .. }
            | Action::Shell { .. }
            | Action::Script { .. }
            | Action::Restore
            | Action::Upload { .. }
            | Action::WriteFiles { .. }
            | Action::PatchFile { .. }
            | Action::Download(_)
            | Action::Copy(_)
            | Action::Reboot { .. }
            | Action::Facts
            | Action::Wait { .. } => Some(Site::Host),
            Action::Local { .. } => Some(Site::Here),
            Action::Notify(notice) => notice.to.argv().map(|_| Site::Here),
            Action::Assert { .. } | Action::Http(_) | Action::Record(_) | Action::Forget(_) | Action::Gate { .. } => {
                None
            }
        }
    }

    /// Whether it is a program, as a probe or an undo can be.
    pub fn is_program(&self) -> bool {
        match self {
            Action::Run { .. }
            | Action::Shell { .. }
            | Action::Script { .. }
            | Action::Local { .. }
            | Action::Restore => true,
            Action::Upload { .. }
            | Action::WriteFiles { .. }
            | Action::PatchFile { .. }
            | Action::Download(_)
            | Action::Copy(_)
            | Action::Reboot { .. }
            | Action::Facts
            | Action::Wait { .. }
            | Action::Gate { .. }
            | Action::Assert { .. }
            | Action::Http(_)
            | Action::Record(_)
            | Action::Forget(_)
            | Action::Notify(_) => false,
        }
    }

    /// Whom it trusts instead of the system's authorities.
    pub fn ca(&self) -> Option<&Ca> {
        match self {
            Action::Http(request) => request.ca.as_ref(),
            Action::Notify(Notice { to: Recipient::Webhook { ca, .. }, .. })
            | Action::Wait { until: Until::Http { ca, .. } | Until::Tls { ca, .. }, .. } => ca.as_ref(),
            Action::Notify(Notice { to: Recipient::Mail(mail), .. }) => mail.ca.as_ref(),
            Action::Notify(Notice { to: Recipient::Command { .. }, .. })
            | Action::Wait { until: Until::Ssh | Until::Tcp { .. } | Until::Command { .. }, .. }
            | Action::Download(_)
            | Action::Copy(_)
            | Action::Reboot { .. }
            | Action::Facts
            | Action::Run { .. }
            | Action::Shell { .. }
            | Action::Script { .. }
            | Action::Local { .. }
            | Action::Restore
            | Action::Upload { .. }
            | Action::WriteFiles { .. }
            | Action::PatchFile { .. }
            | Action::Gate { .. }
            | Action::Record(_)
            | Action::Forget(_)
            | Action::Assert { .. } => None,
        }
    }

    /// Whether the engine itself does it and nothing tells afterwards whether it was done: `interrupted` says what that means.
    pub fn is_untraceable(&self) -> bool {
        matches!(self, Action::Http(_))
    }

    /// What an unknown outcome of it means where the workflow does not say.
    pub fn default_interrupted(&self) -> Interrupted {
        match self {
            // Harmless to repeat.
            Action::WriteFiles { .. }
            | Action::PatchFile { .. }
            | Action::Download(_)
            | Action::Copy(_)
            | Action::Assert { .. }
            | Action::Record(_)
            | Action::Forget(_)
            | Action::Notify(_) => Interrupted::Rerun,
            Action::Http(request) if request.method.is_idempotent() => Interrupted::Rerun,
            Action::Http(_)
            | Action::Run { .. }
            | Action::Shell { .. }
            | Action::Script { .. }
            | Action::Local { .. }
            | Action::Upload { .. }
            | Action::Reboot { .. }
            | Action::Facts
            | Action::Wait { .. }
            | Action::Gate { .. }
            | Action::Restore => Interrupted::Reattach,
        }
    }
}
