//! From what is given about a host to what the journal records and what a connection needs.

use std::collections::BTreeMap;

use dsl::value::SecretRef;
use serde::{Deserialize, Serialize};
use store::Secret;

use crate::error::{Error, Kind};
use crate::host::{Auth, HostKeyPolicy, Reach, SshSpec};
use crate::operation::{AuthRecord, HostKeyRecord, HostRecord, ReachRecord};
use crate::vault::Vault;

/// A host as whoever creates an operation gives it; its secrets come beside it, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSpec {
    /// How it is reached.
    pub reach: ReachRecord,
}

/// The records of the first generation of the hosts that a plan's roles name.
pub(crate) fn first_generation(hosts: BTreeMap<String, HostSpec>) -> BTreeMap<String, HostRecord> {
    hosts.into_iter().map(|(slot, host)| (slot, HostRecord { generation: 1, reach: host.reach })).collect()
}

/// What a connection needs, with the secrets in it.
pub fn reach(record: &ReachRecord, vault: &Vault) -> Result<Reach, Error> {
    let secret = |name: &SecretRef| -> Result<Secret, Error> {
        vault.get(name).ok_or_else(|| {
            Error::new(Kind::Invalid, format!("the secret `{name}` is not sealed with the operation"))
                .hint("start a new operation with an inventory that names it")
        })
    };
    match record {
        ReachRecord::Local => Ok(Reach::Local),
        ReachRecord::Ssh { address, port, user, auth, host_key, sudo_password } => Ok(Reach::Ssh(SshSpec {
            address: address.clone(),
            port: *port,
            user: user.clone(),
            auth: auth
                .iter()
                .map(|auth| {
                    Ok(match auth {
                        AuthRecord::Password(name) => Auth::Password(secret(name)?),
                        AuthRecord::Key { path, passphrase } => {
                            Auth::Key { path: path.into(), passphrase: passphrase.as_ref().map(secret).transpose()? }
                        }
                    })
                })
                .collect::<Result<_, Error>>()?,
            host_key: match host_key {
                HostKeyRecord::Strict => HostKeyPolicy::Strict,
                HostKeyRecord::AcceptNew => HostKeyPolicy::AcceptNew,
                HostKeyRecord::Pinned(fingerprint) => HostKeyPolicy::Pinned(fingerprint.clone()),
            },
            sudo_password: sudo_password.as_ref().map(secret).transpose()?,
        })),
    }
}
