//! What a host is asked to do, and what it answers: plain values.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use store::Secret;
use uuid::Uuid;

use super::Content;

/// How a machine is reached.
#[derive(Debug, Clone)]
pub enum Reach {
    /// This machine, without SSH and without root.
    Local,
    /// Over SSH.
    Ssh(SshSpec),
}

/// A machine that is reached over SSH.
#[derive(Debug, Clone)]
pub struct SshSpec {
    /// Its SSH server.
    pub server: SshServer,
    /// What sudo is told when it asks; often the login password.
    pub sudo_password: Option<Secret>,
    /// What lies between, from here to there; at most [`limits::VIA`](super::limits::VIA).
    pub via: Vec<Via>,
}

/// Where an SSH server is, how it is known and how we log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshServer {
    /// Host name or address, as it is seen from where the connection comes from.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// Login user.
    pub user: String,
    /// What is tried, in this order.
    pub auth: Vec<Auth>,
    /// What is asked of the server's key (D7).
    pub host_key: HostKeyPolicy,
    /// Name under which its key is looked up, where that is not its address (`HostKeyAlias` of ssh_config(5)).
    pub known_as: Option<String>,
    /// Files of known host keys that are read instead of the user's own (`UserKnownHostsFile` of ssh_config(5)).
    pub known_hosts: Vec<PathBuf>,
}

/// One stretch of the way to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// A program of this machine, as text for its shell with nothing left to expand (`ProxyCommand` of ssh_config(5)): it speaks
    /// with the server on its standard input and output. Only as the first stretch.
    Command(String),
    /// An SSH server that forwards (`ProxyJump`).
    Hop(SshServer),
}

impl From<SshServer> for SshSpec {
    /// Reached directly; sudo must not ask.
    fn from(server: SshServer) -> SshSpec {
        SshSpec { server, sudo_password: None, via: Vec::new() }
    }
}

impl SshServer {
    /// `address:port`, an IPv6 address in brackets (RFC 3986, 3.2.2).
    pub fn socket(&self) -> String {
        let Self { address, port, .. } = self;
        if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
    }
}

/// `user@address:port`.
impl fmt::Display for SshServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.socket())
    }
}

/// A way to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Password; also given to keyboard-interactive.
    Password(Secret),
    /// A private key in OpenSSH or PEM form.
    Key {
        /// Where it lies.
        path: PathBuf,
        /// What opens it.
        passphrase: Option<Secret>,
        /// An OpenSSH user certificate for it, offered before the key; that in `<path>-cert.pub` where absent, if there is one.
        certificate: Option<PathBuf>,
    },
    /// The keys of an agent.
    Agent {
        /// Its socket; that of `SSH_AUTH_SOCK` where absent.
        socket: Option<PathBuf>,
        /// Only keys whose public halves lie in these files, and certificates for them: public keys, certificates, or private keys
        /// with the public one beside them as `<path>.pub`. All of them where empty.
        only: Vec<PathBuf>,
    },
    /// Keyboard-interactive with answers of its own.
    Interactive(Vec<Answer>),
}

/// What one question is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Part of the question, without regard to case; empty for any.
    pub question: String,
    /// The answer.
    pub answer: Secret,
}

/// What is asked of a server's key (D7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyPolicy {
    /// It must be known.
    Strict,
    /// A key of an unknown host is accepted once and recorded; a changed key never.
    AcceptNew,
    /// It must have this fingerprint, `SHA256:…`.
    Pinned(String),
}

/// Which attempt of which node a job is. The name of its files on the host, and its fencing token (I4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobId {
    /// The operation.
    pub operation: Uuid,
    /// Node name, safe as a file name: `[A-Za-z0-9_-]` and `.`, at most 100 bytes.
    pub node: String,
    /// Attempt, from 1.
    pub attempt: u32,
}

/// What a job runs.
#[derive(Clone)]
pub enum Program {
    /// A program and its arguments, each exactly one argument. Never empty; secret only where the step allows it.
    Argv(Vec<String>),
    /// Text for `/bin/sh`.
    Shell(String),
    /// A script with its interpreter in its first line (`/bin/sh` where there is none).
    Script {
        /// Its text: UTF-8 without NUL.
        text: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

/// Arguments may be secret.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argv(words) => write!(f, "Argv({} words)", words.len()),
            Self::Shell(text) => f.debug_tuple("Shell").field(text).finish(),
            Self::Script { text, args } => write!(f, "Script({} bytes, {} args)", text.len(), args.len()),
        }
    }
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// What.
    pub program: Program,
    /// Environment; values may be secret, names never are.
    pub env: Vec<(String, Secret)>,
    /// Standard input; may be secret. `/dev/null` where absent.
    pub stdin: Option<Secret>,
    /// User to run as by sudo; the login user where absent.
    pub as_user: Option<String>,
    /// The folder that it starts in, an absolute path, never secret; that of the login where absent.
    pub cwd: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// How long it may write nothing; not counted for one that is not supervised.
    pub idle: Option<Duration>,
    /// `Never` for read-only guards, facts and probes: no files on the host, not re-attachable.
    pub supervise: Supervise,
}

/// Whether a job is kept apart from its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervise {
    /// By the contract: it survives its channel.
    Always,
    /// It lives and dies with its channel.
    Never,
}

/// Which output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Bounded output of one stream: the head, and the tail where the middle was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes, where something between was dropped.
    pub tail: Vec<u8>,
    /// How many bytes were dropped between the two.
    pub dropped_bytes: u64,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// The exit code; 128 + n for a signal n, as shells count.
    pub exit: i32,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
}

/// What re-attaching found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It had ended, or ended while we were attached.
    Ended(JobEnd),
    /// It never began, and by this question it never can: its name is taken (I4).
    NeverBegan,
    /// The host was restarted in between, and nothing says how the job ended.
    Rebooted,
    /// The job's process is gone without a record of its end (killed, or the disk was full).
    Vanished,
}

/// What a kill came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Killed {
    /// Processes that are still there, `pid command`; empty when the kill is verified.
    pub survivors: Vec<String>,
    /// Whether processes of other users could be looked at (root); else verified for our own only.
    pub saw_all: bool,
}

/// A file brought to a host.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Which attempt it belongs to; its temporary file is named after it.
    pub id: JobId,
    /// What.
    pub from: Content,
    /// Absolute path on the host.
    pub to: String,
    /// Permission bits; `0o644` where absent.
    pub mode: Option<u32>,
    /// Owner, by sudo; the login user where absent.
    pub as_user: Option<String>,
    /// SHA-256 of the content, lower-case hex; checked on the host before the rename.
    pub sha256: String,
    /// How long it may take.
    pub timeout: Duration,
    /// What else is asked of the file.
    pub rules: Rules,
}

/// What is asked of a file on a host, besides its content and mode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Its owner, a name or a number; whoever writes it where absent.
    pub owner: Option<String>,
    /// Its group; what the host gives a new file where absent.
    pub group: Option<String>,
    /// A file that is there keeps its mode, owner and group.
    pub same: bool,
    /// A symbolic link at its place, or something that is no file, is an error. Else a link is replaced.
    pub strict: bool,
    /// Keep what was there under this name in the operation's backup folder, unless something is kept there already.
    pub keep: Option<String>,
    /// It is replaced only if this is there still.
    pub was: Option<Was>,
    /// What a connection that breaks leaves of it stays beside its place, and the next attempt goes on with that.
    pub resume: bool,
}

/// What a file was when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Was {
    /// Not there.
    Absent,
    /// A content with this SHA-256, lower-case hex.
    Sha256(String),
}

/// What writing a file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The file was written; or would be, where it was only looked at.
    Changed,
    /// It was there as it should be, and nothing was written.
    AlreadySo,
}
