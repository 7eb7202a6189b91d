//! From what an inventory or a flag says of a host to the record of how it is reached: where it is and what lies between
//! (how to log in: `login`). What the inventory says wins, then what `ssh_config` says; secrets are gathered by name.

mod login;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use dsl::value::SecretRef;
use engine::HostSpec;
use engine::operation::{AuthRecord, HopRecord, HostKeyRecord, ReachRecord, SshRecord, ViaRecord};
use zeroize::Zeroizing;

use crate::inventory::{Host, Inventory, Ssh, SshConfig, Via};
use crate::report::{Problem, say};
use crate::secret_source::SecretSource;
use crate::ssh_config::{self, Asked, Disk, Expanded, Jump, Local, Proxy, Root, Strict};

/// The most stretches of the way to a host.
const HOPS: usize = engine::host::limits::VIA;

/// How hosts are reached, as they are asked for; and the secrets that this takes.
pub struct Reaching {
    accept_new_host_keys: bool,
    resolves: Resolves,
    /// Whether this is about a server that lies on the way to a host.
    on_the_way: bool,
    /// By name; one that two hosts need is asked for once.
    pub secrets: BTreeMap<String, Zeroizing<String>>,
    /// Where each of them comes from.
    sources: BTreeMap<String, SecretSource>,
    files: Disk,
    local: Local,
    /// Warnings that were said.
    said: BTreeSet<String>,
}

/// Which secrets are looked for; the others are only named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolves {
    All,
    OfTheWay,
    None,
}

/// Whose way is looked for: what the inventory calls a host is not what `ssh_config` calls one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Host(String),
    Address(String),
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Host(name) | Stage::Address(name) => f.write_str(name),
        }
    }
}

/// A server, and the way there.
struct Endpoint {
    address: String,
    port: u16,
    user: String,
    auth: Vec<AuthRecord>,
    host_key: HostKeyRecord,
    known_as: Option<String>,
    known_hosts: Vec<String>,
    via: Vec<ViaRecord>,
}

impl Reaching {
    pub fn new(accept_new_host_keys: bool) -> Reaching {
        Reaching {
            accept_new_host_keys,
            resolves: Resolves::All,
            on_the_way: false,
            secrets: BTreeMap::new(),
            sources: BTreeMap::new(),
            files: Disk::default(),
            local: local(),
            said: BTreeSet::new(),
        }
    }

    /// To show how hosts are reached, and not to go there: no secret is looked for, nobody is asked.
    pub fn without_secrets() -> Reaching {
        Reaching { resolves: Resolves::None, ..Reaching::new(false) }
    }

    /// To go there and not to log in: secrets are looked for that servers on the way want, and a host may have no way to log in.
    pub fn for_the_way() -> Reaching {
        Reaching { resolves: Resolves::OfTheWay, ..Reaching::new(false) }
    }

    /// A host of the inventory.
    pub fn host(&mut self, name: &str, host: &Host, inventory: &Inventory) -> Result<HostSpec, Problem> {
        match host {
            Host::Local => Ok(HostSpec::new(ReachRecord::Local)),
            Host::Unusable(why) => Err(Problem::usage(format!("host `{name}`: {why}"))),
            Host::Ssh(ssh) => self.ssh(name, ssh, None, inventory),
        }
    }

    /// A host that a flag gives, with the password that was asked for.
    pub fn flag(&mut self, name: &str, ssh: &Ssh, password: Option<&Zeroizing<String>>) -> Result<HostSpec, Problem> {
        let asked = password.map(|password| {
            let secret = SecretRef(format!("hosts.{name}.asked_password"));
            self.secrets.insert(secret.0.clone(), password.clone());
            secret
        });
        self.ssh(name, ssh, asked.as_ref(), &Inventory::default())
    }

    fn ssh(
        &mut self,
        name: &str,
        ssh: &Ssh,
        asked: Option<&SecretRef>,
        inventory: &Inventory,
    ) -> Result<HostSpec, Problem> {
        let Endpoint { address, port, user, auth, host_key, known_as, known_hosts, via } =
            self.endpoint(name, ssh, asked, inventory, &mut vec![Stage::Host(name.to_owned())])?;
        let sudo_password = match self.resolve(name, "sudo_password", ssh.sudo_password.as_ref())? {
            Some(name) => Some(name),
            None => self.resolve(name, "password", ssh.password.as_ref())?.or(asked.cloned()),
        };
        let reach = SshRecord { address, port, user, auth, host_key, sudo_password, known_as, known_hosts, via };
        Ok(HostSpec { reach: ReachRecord::Ssh(reach), labels: ssh.labels.clone() })
    }

    /// `name` is what its secrets are called after, `asked` a password that was asked for; `trail` has those whose way is looked for
    /// already.
    fn endpoint(
        &mut self,
        name: &str,
        ssh: &Ssh,
        asked: Option<&SecretRef>,
        inventory: &Inventory,
        trail: &mut Vec<Stage>,
    ) -> Result<Endpoint, Problem> {
        let found = self.configured(ssh)?;
        let user = ssh.user.as_ref().or(found.as_ref().map(|found| &found.user)).unwrap_or(&self.local.user).clone();
        if user.is_empty() {
            return Err(
                Problem::usage(format!("nobody says as which user to log in to `{name}`")).hint("write user@address")
            );
        }
        let address = found.as_ref().map_or(&ssh.address, |found| &found.address).clone();
        let port = ssh.port.or(found.as_ref().map(|found| found.port)).unwrap_or(22);
        let jumps;
        let via = match (&ssh.via, found.as_ref().map(|found| &found.proxy)) {
            (Some(via), _) => self.way(name, via, &ssh.ssh_config, (&address, port, &user), inventory, trail)?,
            (None, Some(Proxy::Jumps(all))) => {
                jumps = all.iter().map(|jump| hop(jump, &ssh.ssh_config)).collect::<Vec<_>>();
                self.way(name, &jumps, &ssh.ssh_config, (&address, port, &user), &Inventory::default(), trail)?
            }
            (None, Some(Proxy::Command(text))) => vec![ViaRecord::Command(text.clone())],
            (None, Some(Proxy::None | Proxy::NoJump) | None) => Vec::new(),
        };
        Ok(Endpoint {
            auth: self.auth(name, ssh, found.as_ref(), asked)?,
            host_key: self.host_key(ssh, found.as_ref()),
            known_as: ssh.known_as.clone().or(found.as_ref().and_then(|found| found.known_as.clone())),
            known_hosts: known_hosts(ssh, found.as_ref())?,
            via,
            address,
            port,
            user,
        })
    }

    /// What `ssh_config` says, where it is to be asked.
    fn configured(&mut self, ssh: &Ssh) -> Result<Option<Expanded>, Problem> {
        let root = match &ssh.ssh_config {
            SshConfig::No => return Ok(None),
            SshConfig::Usual => Root::Usual,
            SshConfig::File(path) => Root::File(absolute(path)?.into()),
        };
        let local = &self.local;
        let asked = Asked { host: &ssh.address, user: ssh.user.as_deref(), port: ssh.port };
        let found = ssh_config::read(asked, &root, &self.files, local)?;
        let expanded = ssh_config::expand(&found, asked, local)?;
        let mut warnings: Vec<String> =
            found.warnings.iter().map(|warning| format!("ssh_config of `{}`: {warning}", ssh.address)).collect();
        if expanded.strict == Strict::No && ssh.host_key.is_none() {
            warnings.push(format!(
                "ssh_config of `{}`: StrictHostKeyChecking is off; a key that is not known is accepted and recorded, one that has \
                 changed is not",
                ssh.address
            ));
        }
        for warning in warnings {
            if self.said.insert(warning.clone()) {
                say(&format!("warning: {warning}"));
            }
        }
        Ok(Some(expanded))
    }

    fn host_key(&self, ssh: &Ssh, found: Option<&Expanded>) -> HostKeyRecord {
        let accepts = ssh.accept_new_host_key.unwrap_or(found.is_some_and(|found| match found.strict {
            Strict::Yes => false,
            Strict::AcceptNew | Strict::No => true,
        }));
        match &ssh.host_key {
            Some(fingerprint) => HostKeyRecord::Pinned(fingerprint.clone()),
            None if self.accept_new_host_keys || accepts => HostKeyRecord::AcceptNew,
            None => HostKeyRecord::Strict,
        }
    }

    /// The way there: each of `via` in turn, before the first what lies on the way to it.
    fn way(
        &mut self,
        name: &str,
        via: &[Via],
        config: &SshConfig,
        (address, port, user): (&str, u16, &str),
        inventory: &Inventory,
        trail: &mut Vec<Stage>,
    ) -> Result<Vec<ViaRecord>, Problem> {
        let mut way = Vec::new();
        for (index, via) in via.iter().enumerate() {
            let (hop_name, stage, found);
            let hop = match via {
                Via::Command(text) if index == 0 => {
                    way.push(ViaRecord::Command(ssh_config::command(text, address, port, user)?));
                    continue;
                }
                Via::Command(_) => {
                    return Err(Problem::usage(format!(
                        "host `{name}`: a command runs on this machine, so it can only be the first of `via`"
                    )));
                }
                Via::Ssh(ssh) => {
                    hop_name = format!("{name}.via.{}", index + 1);
                    stage = Stage::Address(ssh.address.clone());
                    &**ssh
                }
                Via::Name(text) => {
                    hop_name = text.clone();
                    stage = Stage::Host(text.clone());
                    match inventory.hosts.get(text) {
                        Some(Host::Ssh(ssh)) => &**ssh,
                        Some(Host::Local) => {
                            return Err(Problem::usage(format!(
                                "host `{name}`: `{text}` is this machine, and no way to another"
                            ))
                            .hint("leave it out of `via`"));
                        }
                        Some(Host::Unusable(why)) => {
                            return Err(Problem::usage(format!("host `{name}`: on the way there `{text}`: {why}")));
                        }
                        None => {
                            found = target(text, config).map_err(|why| {
                                Problem::usage(format!(
                                    "host `{name}`: via `{}`: {why}",
                                    ssh_config::without_user(text)
                                ))
                            })?;
                            &found
                        }
                    }
                }
            };
            // Only the first has a way of its own: that to the others is what stands before them.
            let direct = if index == 0 { None } else { Some(Vec::new()) };
            let mut endpoint = self.stage(&hop_name, hop, stage, direct, inventory, trail)?;
            way.append(&mut endpoint.via);
            let Endpoint { address, port, user, auth, host_key, known_as, known_hosts, via: _ } = endpoint;
            way.push(ViaRecord::Hop(HopRecord { address, port, user, auth, host_key, known_as, known_hosts }));
        }
        if way.len() > HOPS {
            return Err(too_far(trail));
        }
        Ok(way)
    }

    /// A server on the way; `via` is the way to it where that is known.
    fn stage(
        &mut self,
        name: &str,
        ssh: &Ssh,
        stage: Stage,
        via: Option<Vec<Via>>,
        inventory: &Inventory,
        trail: &mut Vec<Stage>,
    ) -> Result<Endpoint, Problem> {
        let reached;
        let ssh = match via {
            None => ssh,
            Some(via) => {
                reached = Ssh { via: Some(via), ..ssh.clone() };
                &reached
            }
        };
        // Hosts that lead to each other, in the inventory or in ssh_config.
        if trail.contains(&stage) {
            let names: Vec<String> = trail.iter().map(Stage::to_string).collect();
            let way = names.join(" -> ");
            return Err(Problem::usage(format!("the way to `{}` goes round in a circle: {way} -> {stage}", trail[0])));
        }
        if trail.len() > HOPS {
            return Err(too_far(trail));
        }
        trail.push(stage);
        let before = std::mem::replace(&mut self.on_the_way, true);
        let endpoint = self.endpoint(name, ssh, None, inventory, trail);
        self.on_the_way = before;
        trail.pop();
        endpoint
    }

    fn resolve(&mut self, host: &str, what: &str, source: Option<&SecretSource>) -> Result<Option<SecretRef>, Problem> {
        let Some(source) = source else { return Ok(None) };
        let mut name = format!("hosts.{host}.{what}");
        // Names of hosts may come to the same; a secret goes to its own host and to no other.
        while self.sources.get(&name).is_some_and(|known| known != source) {
            name.push('\'');
        }
        self.sources.insert(name.clone(), source.clone());
        let wanted = match self.resolves {
            Resolves::All => true,
            Resolves::OfTheWay => self.on_the_way,
            Resolves::None => false,
        };
        if wanted && !self.secrets.contains_key(&name) {
            let text = source.resolve(&format!("{what} of host `{host}`")).map_err(Problem::usage)?;
            self.secrets.insert(name.clone(), text);
        }
        Ok(Some(SecretRef(name)))
    }
}

/// `[USER@]HOST[:PORT]`, as flags and `via` take it.
pub fn target(text: &str, ssh_config: &SshConfig) -> Result<Ssh, String> {
    Ok(server(ssh_config::server(text)?, ssh_config))
}

/// A server as it is written, which `ssh_config` may say more of.
fn server(written: Jump, ssh_config: &SshConfig) -> Ssh {
    let Jump { user, host, port } = written;
    Ssh { address: host, port, user, ssh_config: ssh_config.clone(), ..Ssh::default() }
}

fn too_far(trail: &[Stage]) -> Problem {
    Problem::usage(format!("the way to `{}` has more than {HOPS} stretches", trail[0]))
}

/// A server that `ProxyJump` names.
fn hop(jump: &Jump, config: &SshConfig) -> Via {
    Via::Ssh(Box::new(server(jump.clone(), config)))
}

/// The files of known hosts that are named; nothing for the usual ones.
fn known_hosts(ssh: &Ssh, found: Option<&Expanded>) -> Result<Vec<String>, Problem> {
    let null = || vec![PathBuf::from("/dev/null")];
    let files = match (&ssh.known_hosts, found) {
        (Some(files), _) if files.is_empty() => null(),
        (Some(files), _) => files.clone(),
        (None, None) => Vec::new(),
        (None, Some(found)) => {
            let mut files = match &found.user_known_hosts {
                Some(files) if files.is_empty() => null(),
                Some(files) => files.clone(),
                None => Vec::new(),
            };
            // The system's own files are read for every host.
            if let Some(global) = found.global_known_hosts.as_ref().filter(|global| !global.is_empty()) {
                if files.is_empty() {
                    files.extend(home().map(|home| home.join(".ssh/known_hosts")));
                }
                files.extend(global.iter().cloned());
            }
            files
        }
    };
    files.iter().map(|path| absolute(path)).collect()
}

/// Who we are, as ssh_config(5) asks it.
pub fn local() -> Local {
    Local {
        home: home().unwrap_or_else(|| "/".into()),
        user: user_name().unwrap_or_default(),
        uid: rustix::process::getuid().as_raw(),
        machine: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        env: |name| std::env::var(name).ok(),
    }
}

/// Who runs the command: as the environment says, else as `/etc/passwd` does.
fn user_name() -> Option<String> {
    let said = |name: &&str| std::env::var(name).ok().filter(|user| !user.is_empty());
    ["USER", "LOGNAME"].iter().find_map(said).or_else(|| {
        let uid = rustix::process::getuid().as_raw().to_string();
        let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
        let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        lines.find(|fields| fields.get(2) == Some(&uid.as_str())).map(|fields| fields[0].to_owned())
    })
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

fn absolute(path: &Path) -> Result<String, Problem> {
    let path = match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        (Ok(_), None) => return Err(Problem::usage("HOME is not set, so `~` means nothing")),
        (Err(_), _) => path.to_owned(),
    };
    let absolute =
        std::path::absolute(&path).map_err(|error| Problem::usage(format!("{}: {error}", path.display())))?;
    absolute.to_str().map(str::to_owned).ok_or_else(|| Problem::usage(format!("{} is not UTF-8", absolute.display())))
}
