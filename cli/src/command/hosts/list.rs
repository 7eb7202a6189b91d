//! `anneal hosts list`: the hosts of an inventory. None is touched, and no secret is looked for.

use std::collections::BTreeMap;

use engine::HostSpec;
use engine::operation::{AuthRecord, HostKeyRecord, ReachRecord, SshRecord, ViaRecord};
use serde::Serialize;

use super::{Chosen, code, place, put_trouble, with_port};
use crate::args::{Global, Which};
use crate::reach::Reaching;
use crate::report::{Problem, put, put_json};

/// A host, as `--json` shows it.
#[derive(Serialize)]
struct Row {
    host: String,
    roles: Vec<String>,
    labels: BTreeMap<String, String>,
    /// `null` where nobody can tell how it is reached.
    at: Option<String>,
    /// What lies between, from here to there.
    via: Vec<String>,
    /// Ways to log in, in the order in which they are tried.
    ways: Vec<String>,
    host_key: Option<String>,
    error: Option<String>,
    hint: Option<String>,
}

pub fn run(which: &Which, global: &Global) -> Result<u8, Problem> {
    let chosen = Chosen::new(which, super::open(which)?, Reaching::without_secrets())?;
    let roles = |name: &str| -> Vec<String> {
        let of = chosen.inventory.roles.iter().filter(|(_, hosts)| hosts.iter().any(|host| host == name));
        of.map(|(role, _)| role.clone()).collect()
    };
    if global.json {
        let rows: Vec<Row> = chosen
            .hosts
            .iter()
            .map(|(name, reached)| {
                let spec = reached.as_ref().ok();
                let ssh = spec.and_then(ssh);
                Row {
                    host: name.clone(),
                    roles: roles(name),
                    labels: spec.map(|spec| spec.labels.clone()).unwrap_or_default(),
                    at: spec.map(place),
                    via: ssh.map(via).unwrap_or_default(),
                    ways: ssh.map(ways).unwrap_or_default(),
                    host_key: ssh.map(|ssh| key(&ssh.host_key)),
                    error: reached.as_ref().err().map(|trouble| trouble.error.clone()),
                    hint: reached.as_ref().err().and_then(|trouble| trouble.hint.clone()),
                }
            })
            .collect();
        put_json(&rows)?;
    } else {
        for (name, reached) in &chosen.hosts {
            match reached {
                Ok(spec) => lines(name, spec, &roles(name)).iter().try_for_each(|line| put(line))?,
                Err(trouble) => put_trouble(name, None, trouble)?,
            }
        }
    }
    Ok(code(&chosen.hosts.into_iter().collect()))
}

fn ssh(spec: &HostSpec) -> Option<&SshRecord> {
    match &spec.reach {
        ReachRecord::Local => None,
        ReachRecord::Ssh(ssh) => Some(ssh),
    }
}

fn lines(name: &str, spec: &HostSpec, roles: &[String]) -> Vec<String> {
    let mut lines = vec![format!("{name} ({})", place(spec))];
    let mut more = |what: &str, words: Vec<String>| {
        if !words.is_empty() {
            lines.push(format!("    {what:<9} {}", words.join(", ")));
        }
    };
    more("roles", roles.to_vec());
    more("labels", spec.labels.iter().map(|(name, value)| format!("{name}={value}")).collect());
    if let Some(ssh) = ssh(spec) {
        more("via", via(ssh));
        more("login", ways(ssh));
        more("host key", vec![key(&ssh.host_key)]);
        more("known as", ssh.known_as.iter().cloned().collect());
        more("known in", ssh.known_hosts.clone());
    }
    lines
}

fn via(ssh: &SshRecord) -> Vec<String> {
    let stretch = |via: &ViaRecord| match via {
        // It may hold what is nobody's business.
        ViaRecord::Command(text) => {
            format!("command `{} …`", text.split_whitespace().next().unwrap_or_default())
        }
        ViaRecord::Hop(hop) => format!("{}@{}", hop.user, with_port(&hop.address, hop.port)),
    };
    ssh.via.iter().map(stretch).collect()
}

fn ways(ssh: &SshRecord) -> Vec<String> {
    let way = |way: &AuthRecord| match way {
        AuthRecord::Password(_) => "password".to_owned(),
        AuthRecord::Key { path, certificate: None, .. } => format!("key {path}"),
        AuthRecord::Key { path, certificate: Some(certificate), .. } => format!("key {path} with {certificate}"),
        AuthRecord::Agent { only, .. } if only.is_empty() => "agent".to_owned(),
        AuthRecord::Agent { only, .. } => format!("agent for {}", only.join(" ")),
        AuthRecord::Interactive(_) => "keyboard-interactive".to_owned(),
    };
    ssh.auth.iter().map(way).collect()
}

fn key(host_key: &HostKeyRecord) -> String {
    match host_key {
        HostKeyRecord::Strict => "must be known".to_owned(),
        HostKeyRecord::AcceptNew => "is accepted where none is known".to_owned(),
        HostKeyRecord::Pinned(fingerprint) => format!("must be {fingerprint}"),
    }
}
