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
    Ssh {
        /// Host name or address.
        address: String,
        /// TCP port.
        port: u16,
        /// Login user.
        user: String,
        /// What is tried, in this order.
        auth: Vec<AuthRecord>,
        /// What is asked of the server's key.
        host_key: HostKeyRecord,
        /// What sudo is told when it asks.
        sudo_password: Option<SecretRef>,
    },
}

/// A way to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AuthRecord {
    /// By password.
    Password(SecretRef),
    /// By a key file of the operator's machine.
    Key {
        /// Absolute path.
        path: String,
        /// What opens it.
        passphrase: Option<SecretRef>,
    },
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
            ReachRecord::Ssh { address, .. } => address,
        }
    }
}
