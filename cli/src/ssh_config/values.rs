//! Values of settings that are not mere texts.

use super::jump::{self, Jump};

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// Directly, whatever is said further down.
    None,
    /// Through no other servers; a command may still be named further down.
    NoJump,
    /// By a program, as text for the shell.
    Command(String),
    /// Through other servers, in this order.
    Jumps(Vec<Jump>),
}

impl Proxy {
    /// The value of `ProxyCommand`.
    pub fn command(text: &str) -> Proxy {
        if text.eq_ignore_ascii_case("none") { Proxy::None } else { Proxy::Command(text.to_owned()) }
    }

    /// The value of `ProxyJump`; a comment behind it is none of it. The error says what is wrong.
    pub fn jump(text: &str) -> Result<Proxy, String> {
        let text = text.split('#').next().unwrap_or_default().trim_end();
        let jumps = jump::parse(text.trim_matches('"'))?;
        Ok(if jumps.is_empty() { Proxy::NoJump } else { Proxy::Jumps(jumps) })
    }
}

/// What is done with a server whose key is not known. One whose key has changed is refused under each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strict {
    /// It is refused: `yes`, and `ask`, for nobody is asked.
    Yes,
    /// Its key is accepted and recorded.
    AcceptNew,
    /// `no`: OpenSSH would accept any key. Here that is the same as [`Strict::AcceptNew`], and said.
    No,
}

impl Strict {
    /// The value of `StrictHostKeyChecking`.
    pub fn parse(text: &str) -> Option<Strict> {
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "ask" => Some(Strict::Yes),
            "accept-new" => Some(Strict::AcceptNew),
            "no" | "false" | "off" => Some(Strict::No),
            _ => None,
        }
    }
}

/// `yes` or `no`.
pub fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}
