//! Hosts as a journal records them: where they are and how to log in, with secrets by reference (D7, D9).

use std::collections::BTreeMap;

use dsl::value::SecretRef;
use serde::{Deserialize, Serialize};

/// A slot's machine in one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRecord {
    /// From 1; replacing the machine begins the next.
    pub generation: u32,
    /// How it is reached.
    pub reach: ReachRecord,
    /// What the inventory says of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// How a machine is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ReachRecord {
    /// The machine that the engine runs on.
    Local,
    /// Over SSH.
    Ssh(SshRecord),
}

/// Where an SSH server is, how it is known and how we log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshRecord {
    /// Host name or address.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// Login user.
    pub user: String,
    /// What is tried, in this order.
    pub auth: Vec<AuthRecord>,
    /// What is asked of the server's key.
    pub host_key: HostKeyRecord,
    /// What sudo is told when it asks.
    pub sudo_password: Option<SecretRef>,
    /// Name under which its key is looked up, where that is not its address (`HostKeyAlias` of ssh_config(5)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
    /// Files of known host keys that are read instead of the user's own, absolute paths (`UserKnownHostsFile`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_hosts: Vec<String>,
    /// What lies between, from here to there (`ProxyJump`, `ProxyCommand`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<ViaRecord>,
}

/// One stretch of the way to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ViaRecord {
    /// A program of this machine, as text for its shell with nothing left to expand, that speaks with the server on its standard
    /// input and output. Only as the first one.
    Command(String),
    /// An SSH server that forwards: its own address, user, ways to log in and key.
    Hop(HopRecord),
}

/// An SSH server on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HopRecord {
    /// Host name or address, as the hop before sees it.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// Login user.
    pub user: String,
    /// What is tried, in this order.
    pub auth: Vec<AuthRecord>,
    /// What is asked of the server's key.
    pub host_key: HostKeyRecord,
    /// See [`SshRecord::known_as`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
    /// See [`SshRecord::known_hosts`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_hosts: Vec<String>,
}

/// A way to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AuthRecord {
    /// By password; also given to keyboard-interactive, to its one hidden question.
    Password(SecretRef),
    /// By a key file of the operator's machine.
    Key {
        /// Absolute path.
        path: String,
        /// What opens it.
        passphrase: Option<SecretRef>,
        /// An OpenSSH user certificate for it, absolute path (`CertificateFile`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<String>,
    },
    /// By the keys of an agent.
    Agent {
        /// Its socket, an absolute path; that of `SSH_AUTH_SOCK` where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        socket: Option<String>,
        /// Only keys and certificates whose public halves lie in these files (`IdentitiesOnly`); all of them where empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        only: Vec<String>,
    },
    /// By keyboard-interactive: to each question the answer whose text stands in it.
    Interactive(Vec<AnswerRecord>),
}

/// What one question is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerRecord {
    /// Part of the question, without regard to case; empty for any.
    pub question: String,
    /// The answer.
    pub answer: SecretRef,
}

/// What is asked of a server's key (D7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostKeyRecord {
    /// It must be known.
    Strict,
    /// An unknown host's key is accepted once and recorded.
    AcceptNew,
    /// It must have this fingerprint, `SHA256:…`.
    Pinned(String),
}

impl HostRecord {
    /// The first generation of a host of which nothing more is said than how it is reached.
    pub fn first(reach: ReachRecord) -> HostRecord {
        HostRecord { generation: 1, reach, labels: BTreeMap::new() }
    }

    /// The address that `host.address` gives.
    pub fn address(&self) -> &str {
        match &self.reach {
            ReachRecord::Local => "127.0.0.1",
            ReachRecord::Ssh(ssh) => &ssh.address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_journal_says_of_a_host_keeps_its_form() {
        let oldest = r#"{"generation":1,"reach":{"ssh":{"address":"10.0.0.5","port":22,"user":"ubuntu","auth":[{"key":{"path":"/k","passphrase":null}},{"password":"reg1.password"}],"host_key":"strict","sudo_password":null}}}"#;
        let all = r#"{"generation":2,"reach":{"ssh":{"address":"10.0.0.5","port":22,"user":"ubuntu","auth":[{"key":{"path":"/k","passphrase":null,"certificate":"/k-cert.pub"}},{"agent":{"socket":"/s","only":["/k.pub"]}},{"agent":{}},{"interactive":[{"question":"code","answer":"reg1.code"}]}],"host_key":{"pinned":"SHA256:x"},"sudo_password":null,"known_as":"reg1","known_hosts":["/kh"],"via":[{"command":"nc b 22"},{"hop":{"address":"b","port":22,"user":"ops","auth":[],"host_key":"accept_new","known_as":"bastion","known_hosts":["/kh"]}}]}},"labels":{"zone":"a"}}"#;
        for text in [oldest, all] {
            let record: HostRecord = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&record).unwrap(), text);
        }
        let later = oldest.replace("\"port\"", "\"via_later\":1,\"port\"");
        assert!(serde_json::from_str::<HostRecord>(&later).is_err(), "what is not understood is not passed over");
    }
}
