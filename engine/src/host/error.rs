//! What goes wrong between us and a host, told to people.
//!
//! Every error says what happened, on which host, and what can be done about it. None holds a secret: passwords and keys
//! never enter one, and what a host answered is shortened and stripped of control characters.

use std::fmt;
use std::time::Duration;

use super::{Killed, SshServer};

impl ErrorKind {
    /// The same, of a jump host; what an earlier one on the way did stays its own.
    pub(super) fn by(self, hop: &SshServer) -> Self {
        match self {
            Self::Hop { .. } => self,
            why => Self::Hop { hop: hop.to_string(), why: Box::new(why) },
        }
    }

    /// What happened, wherever on the way it did.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Hop { why, .. } => why.cause(),
            here => here,
        }
    }
}

/// What a person can do about a login that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// No way to log in is given.
    GiveOne,
    /// The server hung up after too many tries.
    GiveFewer,
    /// The server accepted one and wants another one too.
    GiveOneMore,
    /// The server takes none of these.
    GiveAnother,
    /// One of them is wrong.
    Check,
}

impl Advice {
    fn text(self, offered: &[String]) -> String {
        let offered = offered.join(" or ");
        match self {
            Self::GiveOne => "give the host a key, an agent or a password".into(),
            Self::GiveFewer => {
                "servers hang up after too many tries (MaxAuthTries): give fewer ways, or name the keys of the agent"
                    .into()
            }
            Self::GiveOneMore => {
                format!("the server wants several ways in a row; give the host one more, for {offered}")
            }
            Self::GiveAnother => format!("the server takes none of these ways; give the host one for {offered}"),
            Self::Check => "check the user, and the key or the password, in the inventory".into(),
        }
    }
}

/// A host could not do what was asked. A program's exit code is never one of these: that is data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What kind of thing happened.
    pub kind: ErrorKind,
    /// Slot and address: `web-1 (ubuntu@10.0.0.5:22)`.
    pub host: String,
    /// What was being done, as `running wait.2`.
    pub what: String,
    /// Whether it may go on on the host when the connection is lost.
    runs_on: bool,
}

/// See [`Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// No TCP connection, or none that speaks SSH.
    Unreachable {
        /// What the network said.
        said: String,
    },
    /// Nothing answered in time while connecting.
    Timeout {
        /// Which stage: `connecting`, `greeting us`, `exchanging keys`, `logging in`, `starting a shell`.
        stage: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server ended the connection before the login, each time.
    HungUp {
        /// How often it was tried.
        times: u32,
    },
    /// The server refused every way to log in.
    Auth {
        /// What was tried and what came of it, in order.
        tried: Vec<String>,
        /// What the server would accept.
        offered: Vec<String>,
        /// What can be done about it.
        advice: Advice,
    },
    /// The host key is not known and may not be accepted.
    HostKeyUnknown {
        /// The key's fingerprint, `SHA256:…`.
        fingerprint: String,
        /// Its algorithm.
        algorithm: String,
    },
    /// The host has another key than the one that is known.
    HostKeyChanged {
        /// Where the known one stands, and its fingerprint.
        known: String,
        /// The fingerprint it showed.
        got: String,
    },
    /// The host key is marked `@revoked`.
    HostKeyRevoked {
        /// The key's fingerprint.
        fingerprint: String,
        /// The file and line that revoke it.
        by: String,
    },
    /// The host shows a certificate that does not hold, and its key is not known by itself.
    HostCertificate {
        /// Why, in words that follow "it".
        why: String,
    },
    /// A jump host on the way failed us, not the host.
    Hop {
        /// Which: `user@address:port`.
        hop: String,
        /// What happened there.
        why: Box<ErrorKind>,
    },
    /// A jump host does not forward.
    NoForward {
        /// To where it should, `address:port`.
        to: String,
        /// The server's reason.
        said: String,
    },
    /// The connection broke. A job may be running on: ask by re-attaching.
    Lost {
        /// What is known about it.
        said: String,
    },
    /// The login works, but runs no commands.
    NoShell {
        /// What the server or the login shell said.
        said: String,
    },
    /// sudo refused.
    Sudo {
        /// The user who was asked for.
        user: String,
        /// What sudo said.
        said: String,
    },
    /// The user to run as does not exist.
    NoSuchUser {
        /// The user.
        user: String,
    },
    /// The host's disk is full. Nothing was begun.
    DiskFull {
        /// Where.
        path: String,
        /// Bytes that are free, where known.
        free: Option<u64>,
        /// Bytes that are needed, where known.
        needed: Option<u64>,
    },
    /// The job's deadline passed; it was killed.
    TimedOut {
        /// The deadline.
        after: Duration,
        /// What the kill came to.
        killed: Killed,
    },
    /// The job wrote nothing for too long; it was killed.
    Idle {
        /// For how long it might.
        after: Duration,
        /// What the kill came to.
        killed: Killed,
    },
    /// The folder that a job is to start in is missing, or its user may not enter it. Nothing was begun.
    NoFolder {
        /// The folder.
        path: String,
    },
    /// This attempt's name is taken on the host: another engine, or an earlier question, owns it (I4). Nothing was begun.
    Fenced,
    /// What was asked cannot be asked: a limit, or a text that has no place there. Nothing was sent.
    Invalid {
        /// Why.
        why: String,
    },
    /// An uploaded file arrived with another content than announced.
    Differs {
        /// SHA-256 that was announced.
        expected: String,
        /// SHA-256 of what arrived.
        got: String,
    },
    /// A file here or on the host could not be read or written.
    Io {
        /// What the system said.
        said: String,
    },
    /// The host answered something that is not understood.
    Protocol {
        /// What it said.
        said: String,
    },
}

impl Error {
    pub(super) fn new(kind: ErrorKind, host: &str, what: impl Into<String>) -> Self {
        Self { kind, host: host.to_owned(), what: what.into(), runs_on: true }
    }

    /// The same of something that ends with its connection and is harmless to repeat, as an upload.
    pub(super) fn of_nothing_that_runs_on(self) -> Self {
        Self { runs_on: false, ..self }
    }

    /// The connection failed or broke, as opposed to the host answering no: another try may succeed. After
    /// [`ErrorKind::Lost`] a job may be running.
    pub fn is_connection(&self) -> bool {
        self.kind.is_connection()
    }

    /// Whether it is certain that the job of a failed [`run`](super::Host::run) neither ran nor will run.
    pub fn nothing_began(&self) -> bool {
        !self.ended_it() && !matches!(self.kind, ErrorKind::Lost { .. } | ErrorKind::Protocol { .. })
    }

    /// Whether the job had begun and was ended for taking too long, or writing nothing for too long.
    pub fn ended_it(&self) -> bool {
        matches!(self.kind, ErrorKind::TimedOut { .. } | ErrorKind::Idle { .. })
    }

    /// The kind as one stable word, for logs and the API.
    pub fn code(&self) -> &'static str {
        use ErrorKind as K;
        match self.kind.cause() {
            K::Unreachable { .. } => "unreachable",
            K::Timeout { .. } => "connect-timeout",
            K::HungUp { .. } => "hung-up",
            K::Auth { .. } => "auth",
            K::HostKeyUnknown { .. } => "host-key-unknown",
            K::HostKeyChanged { .. } => "host-key-changed",
            K::HostKeyRevoked { .. } => "host-key-revoked",
            K::HostCertificate { .. } => "host-certificate",
            K::Hop { .. } => "hop",
            K::NoForward { .. } => "no-forward",
            K::Lost { .. } => "connection-lost",
            K::NoShell { .. } => "no-shell",
            K::Sudo { .. } => "sudo",
            K::NoSuchUser { .. } => "no-such-user",
            K::DiskFull { .. } => "disk-full",
            K::TimedOut { .. } => "timed-out",
            K::Idle { .. } => "idle",
            K::NoFolder { .. } => "no-folder",
            K::Fenced => "fenced",
            K::Invalid { .. } => "invalid",
            K::Differs { .. } => "differs",
            K::Io { .. } => "io",
            K::Protocol { .. } => "protocol",
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        use ErrorKind as K;
        let hint = match self.kind.cause() {
            K::Unreachable { .. } => {
                "check that the machine runs, its address and port, and that a firewall lets SSH through".into()
            }
            K::Timeout { stage: "connecting", .. } => {
                "the address does not answer: check that the machine runs and that the network leads there".into()
            }
            K::Timeout { stage: "starting a shell", .. } => {
                "the login works, but its shell or a login script hangs, or the machine is overloaded; nothing was begun".into()
            }
            K::Timeout { .. } => "the machine accepts connections but its SSH server hangs or is overloaded".into(),
            K::HungUp { .. } => {
                "the server has more logins under way than it allows (`MaxStartups`), shuts this address out for a while, or \
                 is going down: look into its log"
                    .into()
            }
            K::Auth { advice, offered, .. } => advice.text(offered),
            K::HostKeyUnknown { fingerprint, .. } => format!(
                "compare the fingerprint with the one the machine shows (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` \
                 there); then record it with `anneal hosts trust`, run again with --accept-new-host-keys, or pin `{fingerprint}` as `host_key` in the inventory"
            ),
            K::HostKeyChanged { .. } => {
                "if the machine was reinstalled, record the new key with `anneal hosts trust --replace`, or remove the old line from a file of \
                 your own; if it was not, somebody may be answering in its place: do not go on"
                    .into()
            }
            K::HostKeyRevoked { .. } => "the key was withdrawn on purpose; the machine needs a new one".into(),
            K::HostCertificate { .. } => {
                "give the machine a new certificate (`ssh-keygen -s`); or compare its key, and add it to known_hosts or pin it".into()
            }
            K::NoForward { .. } => {
                "allow it there: AllowTcpForwarding and PermitOpen in sshd_config, `restrict` and `permitopen` in authorized_keys"
                    .into()
            }
            K::Lost { .. } if !self.runs_on => "try again when the host can be reached; it begins anew".into(),
            K::Lost { .. } => "a command that had begun runs on; it is found again when the host can be reached".into(),
            K::NoShell { .. } => {
                "the user needs a POSIX shell as its login shell, login scripts that end, and no forced command".into()
            }
            K::Sudo { user, said } => sudo_hint(user, said),
            K::NoSuchUser { user } => format!("create {user} on the machine, or run the step as another user"),
            K::DiskFull { .. } => "make room there and try again; nothing was begun".into(),
            K::TimedOut { killed, .. } | K::Idle { killed, .. } if !killed.survivors.is_empty() => {
                "look at the processes that are left".into()
            }
            K::TimedOut { .. } => "give the step more time, or find out what it waits for".into(),
            K::Idle { .. } => "find out what it waits for, or let it say now and then that it goes on".into(),
            K::NoFolder { .. } => "make the folder in a step before, or correct `cwd`; nothing was begun".into(),
            K::Differs { .. } => "the file was changed while it was read, or damaged on the way; try again".into(),
            K::Hop { .. } | K::Fenced | K::Invalid { .. } | K::Io { .. } | K::Protocol { .. } => return None,
        };
        Some(hint)
    }
}

impl ErrorKind {
    /// See [`Error::is_connection`].
    pub(super) fn is_connection(&self) -> bool {
        use ErrorKind as K;
        matches!(self.cause(), K::Unreachable { .. } | K::Timeout { .. } | K::HungUp { .. } | K::Lost { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, what, .. } = self;
        self.kind.say(f, host, what)?;
        if let Some(hint) = self.hint() {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl ErrorKind {
    /// What happened, without what to do about it.
    fn say(&self, f: &mut fmt::Formatter<'_>, host: &str, what: &str) -> fmt::Result {
        use ErrorKind as K;
        match self {
            K::Unreachable { said } => write!(f, "{host} cannot be reached: {said}")?,
            K::Timeout { stage, after } => write!(f, "{host} did not answer while {stage}, for {}", seconds(*after))?,
            K::HungUp { times: 1 } => write!(f, "{host} hung up before the login")?,
            K::HungUp { times } => write!(f, "{host} hung up before the login, {times} times")?,
            K::Auth { tried, offered, advice: _ } => {
                write!(f, "{host} refused the login; tried ")?;
                if tried.is_empty() {
                    f.write_str("nothing, for no way to log in is given")?;
                } else {
                    f.write_str(&tried.join(", "))?;
                }
                if !offered.is_empty() {
                    write!(f, "; the server accepts {}", offered.join(", "))?;
                }
            }
            K::HostKeyUnknown { fingerprint, algorithm } => {
                write!(f, "the host key of {host} is not known: {algorithm} {fingerprint}")?;
            }
            K::HostKeyChanged { known, got } => {
                write!(f, "the host key of {host} has changed: known is {known}, it now shows {got}")?;
            }
            K::HostKeyRevoked { fingerprint, by } => {
                write!(f, "the host key of {host}, {fingerprint}, is revoked by {by}")?;
            }
            K::HostCertificate { why } => write!(f, "the host certificate of {host} does not hold: it {why}")?,
            K::Hop { hop, why } => {
                write!(f, "{host} cannot be reached by the jump host {hop}: ")?;
                why.say(f, "the jump host", what)?;
            }
            K::NoForward { to, said } => write!(f, "{host} does not let us through to {to} ({said})")?,
            K::Lost { said } => write!(f, "the connection to {host} was lost while {what}: {said}")?,
            K::NoShell { said } => write!(f, "{host} runs no commands for this login ({what}): {said}")?,
            K::Sudo { user, said } => write!(f, "sudo on {host} does not let us become {user} ({what}): {said}")?,
            K::NoSuchUser { user } => write!(f, "{host} has no user {user} ({what})")?,
            K::DiskFull { path, free, needed } => {
                write!(f, "the disk of {host} is full at {path} ({what})")?;
                match (needed, free) {
                    (Some(needed), Some(free)) => {
                        write!(f, ": {} are needed, {} are free", size(*needed), size(*free))?
                    }
                    (None, Some(free)) => write!(f, ": {} are free", size(*free))?,
                    (Some(needed), None) => write!(f, ": {} are needed", size(*needed))?,
                    (None, None) => {}
                }
            }
            K::TimedOut { after, killed } => {
                write!(f, "{what} on {host} did not end within {} and was killed", seconds(*after))?;
                left(f, killed)?;
            }
            K::Idle { after, killed } => {
                write!(f, "{what} on {host} wrote nothing for {} and was killed", seconds(*after))?;
                left(f, killed)?;
            }
            K::NoFolder { path } => {
                write!(f, "{what} on {host}: there is no folder {path} to start in, or the user may not enter it")?;
            }
            K::Fenced => write!(f, "{what} on {host} was not begun: the name of this attempt is taken there already")?,
            K::Invalid { why } => write!(f, "{what} on {host}: {why}")?,
            K::Differs { expected, got } => {
                write!(
                    f,
                    "{what} on {host}: the content is not the one announced (sha256 {got}, expected {expected})"
                )?;
            }
            K::Io { said } => write!(f, "{what} on {host}: {said}")?,
            K::Protocol { said } => write!(f, "{what} on {host}: the answer is not understood: {said}")?,
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// What mends a refusal of sudo, as far as its words tell.
fn sudo_hint(user: &str, said: &str) -> String {
    let says = |words: &str| said.contains(words);
    if says("must have a tty") {
        return "sudoers has `requiretty`: take it away for the login user, as `Defaults:NAME !requiretty`".into();
    }
    if says("sudo: command not found") || says("sudo: not found") {
        return format!("install sudo on the machine, or log in as {user}");
    }
    if says("password is wrong") {
        return "check `sudo_password` of the host".into();
    }
    if says("asks something else") {
        return "the login user's password may have expired: log in by hand once, and answer".into();
    }
    format!(
        "give the host a sudo password, or allow the login user to become {user} without one, for every command: a rule for \
         single ones is not enough, for it is `sh` that is run"
    )
}

/// What a kill left.
fn left(f: &mut fmt::Formatter<'_>, killed: &Killed) -> fmt::Result {
    match (killed.survivors.as_slice(), killed.saw_all) {
        ([], true) => f.write_str("; nothing of it is left"),
        ([], false) => f.write_str("; nothing of it is left among the processes that we may see"),
        (left, _) => write!(f, "; still there: {}", left.join(", ")),
    }
}

fn seconds(duration: Duration) -> String {
    if duration.as_millis().is_multiple_of(1000) {
        format!("{} s", duration.as_secs())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} KB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// What a host wrote, fit to be shown: one line, no control characters, at most 400 bytes of it.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = words.collect::<Vec<_>>().join(" ");
    if line.len() > 400 {
        let cut = (0..=400).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
        line.truncate(cut);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_wrote_is_one_harmless_line() {
        assert_eq!(shown(b"\r\n\x1b[31mno\tway\x07\n\nhere \xff"), "[31mno way here \u{fffd}");
        assert_eq!(shown("é".repeat(300).as_bytes()).chars().count(), 201);
    }

    #[test]
    fn every_kind_reads_as_a_sentence() {
        let killed = |survivors: &[&str], saw_all| Killed {
            survivors: survivors.iter().map(|s| (*s).to_owned()).collect(),
            saw_all,
        };
        let after = Duration::from_secs(30);
        let kinds = [
            ErrorKind::Unreachable { said: "connection refused".into() },
            ErrorKind::Timeout { stage: "logging in", after },
            ErrorKind::Timeout { stage: "starting a shell", after },
            ErrorKind::HungUp { times: 7 },
            ErrorKind::Auth {
                tried: vec!["password (refused)".into()],
                offered: vec!["publickey".into()],
                advice: Advice::Check,
            },
            ErrorKind::Hop {
                hop: "ops@[::1]:22".into(),
                why: Box::new(ErrorKind::Unreachable { said: "connection refused".into() }),
            },
            ErrorKind::NoForward { to: "10.0.0.5:22".into(), said: "AdministrativelyProhibited".into() }
                .by(&super::super::known_hosts::server("bastion", 22)),
            ErrorKind::HostCertificate { why: "expired at 2026-01-01T00:00:00Z".into() },
            ErrorKind::HostKeyChanged { known: "SHA256:a (known_hosts:3)".into(), got: "SHA256:b".into() },
            ErrorKind::DiskFull { path: "/srv".into(), free: Some(1024), needed: Some(5_000_000) },
            ErrorKind::TimedOut { after, killed: killed(&[], true) },
            ErrorKind::TimedOut { after: Duration::from_millis(1500), killed: killed(&["7 dd"], false) },
            ErrorKind::Idle { after, killed: killed(&[], true) },
            ErrorKind::NoFolder { path: "/srv/app".into() },
            ErrorKind::Fenced,
        ];
        let said: Vec<String> =
            kinds.into_iter().map(|kind| Error::new(kind, "web (u@h:22)", "running fetch.1").to_string()).collect();
        let expected = [
            "web (u@h:22) cannot be reached: connection refused; check that the machine runs, its address and port, and \
             that a firewall lets SSH through",
            "web (u@h:22) did not answer while logging in, for 30 s; the machine accepts connections but its SSH server \
             hangs or is overloaded",
            "web (u@h:22) did not answer while starting a shell, for 30 s; the login works, but its shell or a login script \
             hangs, or the machine is overloaded; nothing was begun",
            "web (u@h:22) hung up before the login, 7 times; the server has more logins under way than it allows \
             (`MaxStartups`), shuts this address out for a while, or is going down: look into its log",
            "web (u@h:22) refused the login; tried password (refused); the server accepts publickey; check the user, and \
             the key or the password, in the inventory",
            "web (u@h:22) cannot be reached by the jump host ops@[::1]:22: the jump host cannot be reached: connection \
             refused; check that the machine runs, its address and port, and that a firewall lets SSH through",
            "web (u@h:22) cannot be reached by the jump host root@bastion:22: the jump host does not let us through to \
             10.0.0.5:22 (AdministrativelyProhibited); allow it there: AllowTcpForwarding and PermitOpen in sshd_config, \
             `restrict` and `permitopen` in authorized_keys",
            "the host certificate of web (u@h:22) does not hold: it expired at 2026-01-01T00:00:00Z; give the machine a \
             new certificate (`ssh-keygen -s`); or compare its key, and add it to known_hosts or pin it",
            "the host key of web (u@h:22) has changed: known is SHA256:a (known_hosts:3), it now shows SHA256:b; if the \
             machine was reinstalled, record the new key with `anneal hosts trust --replace`, or remove the old line from a \
             file of your own; if it was not, somebody may be answering in its place: do not go on",
            "the disk of web (u@h:22) is full at /srv (running fetch.1): 5000 KB are needed, 1024 bytes are free; make \
             room there and try again; nothing was begun",
            "running fetch.1 on web (u@h:22) did not end within 30 s and was killed; nothing of it is left; give the \
             step more time, or find out what it waits for",
            "running fetch.1 on web (u@h:22) did not end within 1.5 s and was killed; still there: 7 dd; look at the \
             processes that are left",
            "running fetch.1 on web (u@h:22) wrote nothing for 30 s and was killed; nothing of it is left; find out what \
             it waits for, or let it say now and then that it goes on",
            "running fetch.1 on web (u@h:22): there is no folder /srv/app to start in, or the user may not enter it; make \
             the folder in a step before, or correct `cwd`; nothing was begun",
            "running fetch.1 on web (u@h:22) was not begun: the name of this attempt is taken there already",
        ];
        assert_eq!(said, expected);
    }
}
