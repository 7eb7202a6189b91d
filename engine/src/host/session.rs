//! Jobs and login sessions: systemd's logind may end whatever a user runs when the user's session is over
//! (`KillUserProcesses`, logind.conf(5)). Whether it does is asked with the first job of a user on a host, and where it does
//! jobs begin in a scope of their own (systemd-run(1)): one of the system for root, one of the user's manager for a user who
//! lingers (loginctl(1)). For others there is no way out.

use std::borrow::Cow;
use std::sync::PoisonError;

use super::handle::Become;
use super::job_script::{Script, quote_line};
use super::{Host, Live, Stream};

/// How a job gets out of its login session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It need not.
    NotNeeded,
    /// Into a scope of the system.
    System,
    /// Into a scope of the manager of the user with this number.
    User(u32),
    /// It cannot: it lives as long as its session.
    Cannot,
}

impl Leave {
    /// As the script says it.
    pub(super) fn read(word: &str) -> Option<Self> {
        match word {
            "system" => Some(Self::System),
            "stay" => Some(Self::Cannot),
            uid => uid.parse().ok().map(Self::User),
        }
    }
}

impl Host {
    /// What is known of the sessions of a user.
    pub(super) fn session_of(&self, as_user: Option<&str>) -> Option<Leave> {
        let sessions = self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(as_user.unwrap_or(self.login())).copied()
    }

    /// Remembers it, and says where jobs cannot be kept apart.
    pub(super) fn remember_session(&self, as_user: Option<&str>, leave: Leave, live: &dyn Live) {
        let user = as_user.unwrap_or(self.login());
        let mut sessions = self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let new = sessions.insert(user.to_owned(), leave).is_none();
        drop(sessions);
        if let Some(hint) = self.ended_with_session(as_user).filter(|_| new) {
            tracing::warn!(host = %self, user, "jobs end with their login session: {hint}");
            live.output(Stream::Stderr, format!("a connection that breaks ends this job: {hint}\n").as_bytes());
        }
    }

    /// What to do where a user's jobs end with their login session, and that is known: why one may have been ended by a signal.
    pub fn ended_with_session(&self, as_user: Option<&str>) -> Option<String> {
        let user = as_user.unwrap_or(self.login());
        (self.session_of(as_user) == Some(Leave::Cannot)).then(|| {
            format!(
                "logind of the host ends what a session leaves behind (KillUserProcesses=yes in logind.conf): \
                 run `loginctl enable-linger {user}` there as root, or the step with `as_user: \"root\"`"
            )
        })
    }

    /// A script's text; that of one which is to outlive its session leaves it where it must.
    pub(super) fn leaving(&self, script: Script, as_whom: Become<'_>) -> Cow<'static, str> {
        let user = match as_whom {
            Become::Nobody => None,
            Become::Quietly(user) | Become::Asking(user) => Some(user),
        };
        let text = script.text();
        let scope = match (script, self.session_of(user)) {
            (Script::Supervise | Script::Watch, Some(Leave::System)) => "exec systemd-run".to_owned(),
            (Script::Supervise | Script::Watch, Some(Leave::User(uid))) => {
                format!("export XDG_RUNTIME_DIR=/run/user/{uid}; exec systemd-run --user")
            }
            _ => return Cow::Borrowed(text),
        };
        let shell = &self.0.settings.shell;
        Cow::Owned(format!("{scope} --scope --quiet -- {shell} -c {}", quote_line(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_of_its_sessions_is_read() {
        assert_eq!(Leave::read("system"), Some(Leave::System));
        assert_eq!(Leave::read("stay"), Some(Leave::Cannot));
        assert_eq!(Leave::read("1000"), Some(Leave::User(1000)));
        assert_eq!(Leave::read("1000; id"), None);
    }
}
