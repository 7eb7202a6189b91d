//! From what is given about a host to what the journal records and what a connection needs.

use std::collections::BTreeMap;

use dsl::value::SecretRef;
use serde::{Deserialize, Serialize};
use store::Secret;

use crate::error::{Error, Kind};
use crate::host::{Answer, Auth, Hop, HostKeyPolicy, Reach, SshSpec, Via};
use crate::limits::{LABEL_BYTES, LABELS};
use crate::operation::{AuthRecord, HostKeyRecord, HostRecord, ReachRecord, ViaRecord};
use crate::vault::Vault;

/// A host as whoever creates an operation gives it; its secrets come beside it, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSpec {
    /// How it is reached.
    pub reach: ReachRecord,
    /// What the inventory says of it: `host.labels`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl HostSpec {
    /// A host of which nothing more is said than how it is reached.
    pub fn new(reach: ReachRecord) -> HostSpec {
        HostSpec { reach, labels: BTreeMap::new() }
    }
}

/// Refuses labels over their limits.
pub(super) fn check_labels(hosts: &BTreeMap<String, HostSpec>) -> Result<(), Error> {
    for (slot, host) in hosts {
        let wrong = |what: String| Err(Error::new(Kind::Invalid, format!("the labels of host `{slot}`: {what}")));
        if host.labels.len() > LABELS {
            return wrong(format!("there are {}; the limit is {LABELS}", host.labels.len()));
        }
        if host.labels.iter().any(|(name, value)| name.is_empty() || name.len().max(value.len()) > LABEL_BYTES) {
            return wrong(format!("a name has 1 to {LABEL_BYTES} bytes, a value at most {LABEL_BYTES}"));
        }
    }
    Ok(())
}

/// The records of the first generation of the hosts that a plan's roles name.
pub(crate) fn first_generation(hosts: BTreeMap<String, HostSpec>) -> BTreeMap<String, HostRecord> {
    hosts
        .into_iter()
        .map(|(slot, host)| (slot, HostRecord { generation: 1, reach: host.reach, labels: host.labels }))
        .collect()
}

/// What a connection needs, with the secrets in it.
pub fn reach(record: &ReachRecord, vault: &Vault) -> Result<Reach, Error> {
    let ssh = match record {
        ReachRecord::Local => return Ok(Reach::Local),
        ReachRecord::Ssh(ssh) => ssh,
    };
    let via = ssh.via.iter().map(|via| {
        Ok(match via {
            ViaRecord::Command(text) => Via::Command(text.clone()),
            ViaRecord::Hop(hop) => Via::Hop(Hop {
                address: hop.address.clone(),
                port: hop.port,
                user: hop.user.clone(),
                auth: ways(&hop.auth, vault)?,
                host_key: policy(&hop.host_key),
                known_as: hop.known_as.clone(),
                known_hosts: hop.known_hosts.iter().map(Into::into).collect(),
            }),
        })
    });
    Ok(Reach::Ssh(SshSpec {
        address: ssh.address.clone(),
        port: ssh.port,
        user: ssh.user.clone(),
        auth: ways(&ssh.auth, vault)?,
        host_key: policy(&ssh.host_key),
        sudo_password: ssh.sudo_password.as_ref().map(|name| secret(name, vault)).transpose()?,
        known_as: ssh.known_as.clone(),
        known_hosts: ssh.known_hosts.iter().map(Into::into).collect(),
        via: via.collect::<Result<_, Error>>()?,
    }))
}

fn secret(name: &SecretRef, vault: &Vault) -> Result<Secret, Error> {
    vault.get(name).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("the secret `{name}` is not sealed with the operation"))
            .hint("start a new operation with an inventory that names it")
    })
}

fn ways(auth: &[AuthRecord], vault: &Vault) -> Result<Vec<Auth>, Error> {
    let way = |auth: &AuthRecord| {
        Ok(match auth {
            AuthRecord::Password(name) => Auth::Password(secret(name, vault)?),
            AuthRecord::Key { path, passphrase, certificate } => Auth::Key {
                path: path.into(),
                passphrase: passphrase.as_ref().map(|name| secret(name, vault)).transpose()?,
                certificate: certificate.as_ref().map(Into::into),
            },
            AuthRecord::Agent { socket, only } => {
                Auth::Agent { socket: socket.as_ref().map(Into::into), only: only.iter().map(Into::into).collect() }
            }
            AuthRecord::Interactive(answers) => Auth::Interactive(
                answers
                    .iter()
                    .map(|one| Ok(Answer { question: one.question.clone(), answer: secret(&one.answer, vault)? }))
                    .collect::<Result<_, Error>>()?,
            ),
        })
    };
    auth.iter().map(way).collect()
}

fn policy(record: &HostKeyRecord) -> HostKeyPolicy {
    match record {
        HostKeyRecord::Strict => HostKeyPolicy::Strict,
        HostKeyRecord::AcceptNew => HostKeyPolicy::AcceptNew,
        HostKeyRecord::Pinned(fingerprint) => HostKeyPolicy::Pinned(fingerprint.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_over_their_limits_are_refused() {
        let check = |labels: Vec<(String, String)>| {
            let host = HostSpec { labels: labels.into_iter().collect(), ..HostSpec::new(ReachRecord::Local) };
            check_labels(&BTreeMap::from([("a".to_owned(), host)])).map_err(|error| error.message)
        };
        let named = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(check(named("zone", "")), Ok(()));
        assert!(check(named("", "a")).unwrap_err().starts_with("the labels of host `a`: a name has"));
        assert!(check(named("zone", &"x".repeat(LABEL_BYTES + 1))).is_err());
        let many = (0..=LABELS).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(check(many).unwrap_err(), "the labels of host `a`: there are 65; the limit is 64");
    }
}
