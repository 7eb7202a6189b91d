//! From what is given about a host to what the journal records and what a connection needs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dsl::value::SecretRef;
use serde::{Deserialize, Serialize};
use store::Secret;

use super::context::known_hosts;
use crate::error::{Error, Kind};
use crate::host::limits::{LOGIN_WAYS, VIA};
use crate::host::{Answer, Auth, Host, HostKeyPolicy, Reach, SshServer, SshSpec, Via};
use crate::limits::{LABEL_BYTES, LABELS};
use crate::operation::{AuthRecord, HopRecord, HostKeyRecord, HostRecord, ReachRecord, SshRecord, ViaRecord};
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

impl HostSpec {
    /// The host outside of any operation, as for looking at its keys: [`Host::shown_keys`], [`Host::trust`]. Its secrets come beside it, by
    /// name; host keys are known from the data folder, the user's home and the machine, as for an operation.
    ///
    /// # Errors
    /// A secret that it names is missing.
    pub fn host(
        &self,
        name: &str,
        secrets: BTreeMap<SecretRef, Secret>,
        data_dir: &Path,
        home: Option<&Path>,
    ) -> Result<Host, Error> {
        let reach = reach(&self.reach, &Vault::new(secrets))?;
        Ok(Host::new(name, 1, reach, Arc::new(known_hosts(data_dir, home))))
    }
}

/// Refuses ways to a host that are over their limits, or that no connection could take.
pub(super) fn check_ways(hosts: &BTreeMap<String, HostSpec>) -> Result<(), Error> {
    for (slot, host) in hosts {
        let ReachRecord::Ssh(ssh) = &host.reach else { continue };
        let wrong = |what: String| Err(Error::new(Kind::Invalid, format!("host `{slot}`: {what}")));
        if ssh.via.len() > VIA {
            return wrong(format!("{} stretches lie between; the limit is {VIA}", ssh.via.len()));
        }
        if ssh.via.iter().skip(1).any(|via| matches!(via, ViaRecord::Command(_))) {
            return wrong("a program can only be the first stretch of the way".into());
        }
        let hops = ssh.via.iter().filter_map(|via| match via {
            ViaRecord::Command(_) => None,
            ViaRecord::Hop(hop) => Some(&hop.auth),
        });
        let most = hops.chain([&ssh.auth]).map(Vec::len).max().unwrap_or(0);
        if most > LOGIN_WAYS {
            return wrong(format!("{most} ways to log in; the limit is {LOGIN_WAYS}"));
        }
    }
    Ok(())
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
    let server = |ssh: ServerRecord<'_>| -> Result<SshServer, Error> {
        Ok(SshServer {
            address: ssh.address.to_owned(),
            port: ssh.port,
            user: ssh.user.to_owned(),
            auth: ways(ssh.auth, vault)?,
            host_key: policy(ssh.host_key),
            known_as: ssh.known_as.cloned(),
            known_hosts: ssh.known_hosts.iter().map(Into::into).collect(),
        })
    };
    let via = ssh.via.iter().map(|via| {
        Ok(match via {
            ViaRecord::Command(text) => Via::Command(text.clone()),
            ViaRecord::Hop(hop) => Via::Hop(server(ServerRecord::of_hop(hop))?),
        })
    });
    Ok(Reach::Ssh(SshSpec {
        via: via.collect::<Result<_, Error>>()?,
        sudo_password: ssh.sudo_password.as_ref().map(|name| secret(name, vault)).transpose()?,
        server: server(ServerRecord::of_host(ssh))?,
    }))
}

/// What the records of a host and of a hop have in common.
struct ServerRecord<'a> {
    address: &'a str,
    port: u16,
    user: &'a str,
    auth: &'a [AuthRecord],
    host_key: &'a HostKeyRecord,
    known_as: Option<&'a String>,
    known_hosts: &'a [String],
}

impl<'a> ServerRecord<'a> {
    fn of_host(ssh: &'a SshRecord) -> Self {
        let SshRecord { address, port, user, auth, host_key, known_as, known_hosts, sudo_password: _, via: _ } = ssh;
        Self { address, port: *port, user, auth, host_key, known_as: known_as.as_ref(), known_hosts }
    }

    fn of_hop(hop: &'a HopRecord) -> Self {
        let HopRecord { address, port, user, auth, host_key, known_as, known_hosts } = hop;
        Self { address, port: *port, user, auth, host_key, known_as: known_as.as_ref(), known_hosts }
    }
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
