//! What an inventory says, whatever format it is written in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::report::Problem;
use crate::secret_source::SecretSource;

/// An inventory.
#[derive(Debug, Default, PartialEq)]
pub struct Inventory {
    /// Hosts by name.
    pub hosts: BTreeMap<String, Host>,
    /// Names of hosts by role.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Inputs by name; `proxy.http` for a field of a record.
    pub inputs: BTreeMap<String, Input>,
}

/// A host.
#[derive(Debug, PartialEq)]
pub enum Host {
    /// This machine, without SSH and without root.
    Local,
    /// Over SSH.
    Ssh(Box<Ssh>),
    /// It cannot be reached the way the inventory says, and why; an error of whoever uses it, and of no other.
    Unusable(String),
}

/// How a host is reached over SSH. What is absent is looked up in `ssh_config`, as ssh does.
#[derive(Debug, Default, PartialEq)]
pub struct Ssh {
    /// Host name or address, or what `ssh_config` calls it.
    pub address: String,
    /// TCP port; 22 where nothing says otherwise.
    pub port: Option<u16>,
    /// Login user; the user who runs the command where nothing says otherwise.
    pub user: Option<String>,
    /// Private keys, tried in this order. Where neither a key, an agent nor a password is given: what ssh would try.
    pub keys: Vec<Key>,
    /// An agent, whose keys are tried before those of files.
    pub agent: Agent,
    /// Password, tried after the keys.
    pub password: Option<SecretSource>,
    /// Answers to what keyboard-interactive asks, tried last.
    pub interactive: Vec<Answer>,
    /// What sudo is told when it asks; the login password where absent.
    pub sudo_password: Option<SecretSource>,
    /// Fingerprint of the host's key, `SHA256:…`; then no other is accepted.
    pub host_key: Option<String>,
    /// Whether an unknown key is accepted and recorded; a changed one never is. Absent: as `--accept-new-host-keys` says.
    pub accept_new_host_key: Option<bool>,
    /// The name under which its key is known, where that is not its address.
    pub known_as: Option<String>,
    /// More files of known host keys; `~/` is the home folder.
    pub known_hosts: Option<Vec<PathBuf>>,
    /// What lies between, from here to there; nothing where the list is empty.
    pub via: Option<Vec<Via>>,
    /// Whether and where `ssh_config` is read for it.
    pub ssh_config: SshConfig,
    /// What workflows may ask of it: `host.labels['zone']`.
    pub labels: BTreeMap<String, String>,
}

/// A private key.
#[derive(Debug, Default, PartialEq)]
pub struct Key {
    /// Its file; `~/` is the home folder.
    pub path: PathBuf,
    /// What opens it.
    pub passphrase: Option<SecretSource>,
    /// An OpenSSH user certificate for it.
    pub certificate: Option<PathBuf>,
}

/// Whether an agent's keys are tried.
#[derive(Debug, Default, PartialEq)]
pub enum Agent {
    /// As ssh does: that of `SSH_AUTH_SOCK`, if there is one and no key is named.
    #[default]
    Usual,
    /// None.
    No,
    /// One.
    Yes {
        /// Its socket; that of `SSH_AUTH_SOCK` where absent.
        socket: Option<PathBuf>,
        /// Only keys whose public halves lie in these files; all where empty.
        only: Vec<PathBuf>,
    },
}

/// What one question of keyboard-interactive is answered.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// Part of the question; empty for any.
    pub question: String,
    /// The answer.
    pub answer: SecretSource,
}

/// One stretch of the way to a host.
#[derive(Debug, PartialEq)]
pub enum Via {
    /// Another host of the inventory, or `[USER@]HOST[:PORT]` as `ProxyJump` of ssh_config(5) takes it.
    Name(String),
    /// A host that has no name.
    Ssh(Box<Ssh>),
    /// A program that speaks with the server on its standard input and output; `%h`, `%p` and `%r` are host, port and user.
    Command(String),
}

/// Whether and where `ssh_config` is read.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SshConfig {
    /// `~/.ssh/config`, then `/etc/ssh/ssh_config`.
    #[default]
    Usual,
    /// Nowhere.
    No,
    /// This file, and no other.
    File(PathBuf),
}

/// The value of an input.
#[derive(Debug, PartialEq)]
pub enum Input {
    /// As it stands there; no secret.
    Value(String),
    /// From elsewhere.
    From(SecretSource),
}

impl Inventory {
    /// The hosts of a role, or the one host of this name.
    pub fn slots(&self, name: &str) -> Result<Vec<String>, Problem> {
        let slots = match (self.roles.get(name), self.hosts.contains_key(name)) {
            (Some(slots), _) => slots.clone(),
            (None, true) => vec![name.to_owned()],
            (None, false) => return Err(self.unknown(name)),
        };
        if slots.is_empty() {
            return Err(Problem::usage(format!("the role `{name}` has no hosts")).hint("name some in the inventory"));
        }
        Ok(slots)
    }

    /// It has no role and no host of this name.
    pub fn unknown(&self, name: &str) -> Problem {
        let known: Vec<&str> = self.roles.keys().chain(self.hosts.keys()).map(String::as_str).collect();
        Problem::usage(format!("the inventory has no role and no host `{name}`")).hint(
            match dsl::nearest(name, known.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("it has {}", known.join(", ")),
            },
        )
    }
}
