//! From what an inventory or a flag says of a host to the record of how it is reached: where it is, what lies between, how to
//! log in. What the inventory says wins; secrets are gathered by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dsl::value::SecretRef;
use engine::HostSpec;
use engine::operation::{AnswerRecord, AuthRecord, HopRecord, HostKeyRecord, ReachRecord, SshRecord, ViaRecord};
use zeroize::Zeroizing;

use crate::inventory::{Agent, Host, Inventory, Ssh, SshConfig, Via};
use crate::report::Problem;
use crate::secret_source::SecretSource;

/// The most servers on the way to a host.
const HOPS: usize = 8;

/// How hosts are reached, as they are asked for; and the secrets that this takes.
pub struct Reaching {
    accept_new_host_keys: bool,
    /// By name; one that two hosts need is asked for once.
    pub secrets: BTreeMap<String, Zeroizing<String>>,
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
        Reaching { accept_new_host_keys, secrets: BTreeMap::new() }
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
            let secret = SecretRef(format!("hosts.{name}.password"));
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
            self.endpoint(name, ssh, asked, inventory, &mut vec![name.to_owned()])?;
        let sudo_password = match self.resolve(name, "sudo_password", ssh.sudo_password.as_ref())? {
            Some(name) => Some(name),
            None => self.resolve(name, "password", ssh.password.as_ref())?.or(asked.cloned()),
        };
        let reach = SshRecord { address, port, user, auth, host_key, sudo_password, known_as, known_hosts, via };
        Ok(HostSpec { reach: ReachRecord::Ssh(reach), labels: ssh.labels.clone() })
    }

    /// `asked` is a password that was asked for; `trail` has the names of those that are on the way already.
    fn endpoint(
        &mut self,
        name: &str,
        ssh: &Ssh,
        asked: Option<&SecretRef>,
        inventory: &Inventory,
        trail: &mut Vec<String>,
    ) -> Result<Endpoint, Problem> {
        let user = ssh.user.clone().or_else(|| std::env::var("USER").ok()).ok_or_else(|| {
            Problem::usage(format!("nobody says as which user to log in to `{name}`")).hint("write user@address")
        })?;
        let host_key = match (&ssh.host_key, self.accept_new_host_keys || ssh.accept_new_host_key == Some(true)) {
            (Some(fingerprint), _) => HostKeyRecord::Pinned(fingerprint.clone()),
            (None, true) => HostKeyRecord::AcceptNew,
            (None, false) => HostKeyRecord::Strict,
        };
        let address = ssh.address.clone();
        let port = ssh.port.unwrap_or(22);
        let via = match &ssh.via {
            Some(via) => self.way(name, via, &ssh.ssh_config, (&address, port, &user), inventory, trail)?,
            None => Vec::new(),
        };
        Ok(Endpoint {
            auth: self.auth(name, ssh, asked)?,
            host_key,
            known_as: ssh.known_as.clone(),
            known_hosts: ssh.known_hosts.iter().flatten().map(|path| absolute(path)).collect::<Result<_, _>>()?,
            via,
            address,
            port,
            user,
        })
    }

    /// The way there: each of `via` in turn, before the first what lies on the way to it.
    fn way(
        &mut self,
        name: &str,
        via: &[Via],
        config: &SshConfig,
        (address, port, user): (&str, u16, &str),
        inventory: &Inventory,
        trail: &mut Vec<String>,
    ) -> Result<Vec<ViaRecord>, Problem> {
        let mut way = Vec::new();
        for (index, via) in via.iter().enumerate() {
            let (hop_name, found);
            let hop = match via {
                Via::Command(text) if index == 0 => {
                    way.push(ViaRecord::Command(with_tokens(text, address, port, user)?));
                    continue;
                }
                Via::Command(_) => {
                    return Err(Problem::usage(format!(
                        "host `{name}`: a command runs on this machine, so it can only be the first of `via`"
                    )));
                }
                Via::Ssh(ssh) => {
                    hop_name = format!("{name}.via.{}", index + 1);
                    &**ssh
                }
                Via::Name(text) => {
                    hop_name = text.clone();
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
                            found = target(text, config)
                                .map_err(|why| Problem::usage(format!("host `{name}`: via `{text}`: {why}")))?;
                            &found
                        }
                    }
                }
            };
            if trail.contains(&hop_name) {
                return Err(Problem::usage(format!(
                    "the way to `{}` goes round in a circle: {} -> {hop_name}",
                    trail[0],
                    trail.join(" -> ")
                )));
            }
            trail.push(hop_name.clone());
            let mut endpoint = self.endpoint(&hop_name, hop, None, inventory, trail)?;
            trail.pop();
            if index == 0 {
                way.append(&mut endpoint.via);
            }
            let Endpoint { address, port, user, auth, host_key, known_as, known_hosts, via: _ } = endpoint;
            way.push(ViaRecord::Hop(HopRecord { address, port, user, auth, host_key, known_as, known_hosts }));
        }
        if way.len() > HOPS {
            return Err(Problem::usage(format!(
                "the way to `{name}` has {} stretches; {HOPS} are the most",
                way.len()
            )));
        }
        Ok(way)
    }

    fn auth(&mut self, name: &str, ssh: &Ssh, asked: Option<&SecretRef>) -> Result<Vec<AuthRecord>, Problem> {
        let mut auth = Vec::new();
        if let Agent::Yes { socket, only } = &ssh.agent {
            let socket = socket.as_deref().map(absolute).transpose()?;
            let only = only.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?;
            auth.push(AuthRecord::Agent { socket, only });
        }
        for (index, key) in ssh.keys.iter().enumerate() {
            let what = if index == 0 { "passphrase".to_owned() } else { format!("passphrase.{}", index + 1) };
            let passphrase = self.resolve(name, &what, key.passphrase.as_ref())?;
            let certificate = key.certificate.as_deref().map(absolute).transpose()?;
            auth.push(AuthRecord::Key { path: absolute(&key.path)?, passphrase, certificate });
        }
        let password = self.resolve(name, "password", ssh.password.as_ref())?;
        if auth.is_empty() && password.is_none() {
            auth.extend(usual_keys().into_iter().map(|path| AuthRecord::Key {
                path,
                passphrase: None,
                certificate: None,
            }));
        }
        auth.extend(password.or(asked.cloned()).map(AuthRecord::Password));
        let mut answers = Vec::new();
        for (index, one) in ssh.interactive.iter().enumerate() {
            let what = format!("answer.{}", index + 1);
            let question = one.question.clone();
            if let Some(answer) = self.resolve(name, &what, Some(&one.answer))? {
                answers.push(AnswerRecord { question, answer });
            }
        }
        if !answers.is_empty() {
            auth.push(AuthRecord::Interactive(answers));
        }
        if auth.is_empty() {
            return Err(Problem::usage(format!(
                "there is no way to log in to `{name}`: no key in ~/.ssh, no password"
            ))
            .hint("use --ask-password, or an inventory with `password: Env(\"NAME\")` or `key: \"~/.ssh/…\"`"));
        }
        Ok(auth)
    }

    fn resolve(&mut self, host: &str, what: &str, source: Option<&SecretSource>) -> Result<Option<SecretRef>, Problem> {
        let Some(source) = source else { return Ok(None) };
        let name = format!("hosts.{host}.{what}");
        if !self.secrets.contains_key(&name) {
            let text = source.resolve(&format!("{what} of host `{host}`")).map_err(Problem::usage)?;
            self.secrets.insert(name.clone(), text);
        }
        Ok(Some(SecretRef(name)))
    }
}

/// `[USER@]HOST[:PORT]`, as flags and `via` take it.
pub fn target(text: &str, ssh_config: &SshConfig) -> Result<Ssh, String> {
    let (user, rest) = match text.rsplit_once('@') {
        Some(("", _)) => return Err("a user is missing before `@`".to_owned()),
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (address, port) = split_port(rest)?;
    Ok(Ssh { address, port, user, ssh_config: ssh_config.clone(), ..Ssh::default() })
}

/// `host`, `host:port`, `[v6]:port`, or a bare IPv6 address.
fn split_port(text: &str) -> Result<(String, Option<u16>), String> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(format!("`{text}` is no TCP port")),
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or("a `]` is missing")?;
        return match rest.strip_prefix(':') {
            Some(text) => Ok((address.to_owned(), port(text)?)),
            None if rest.is_empty() => Ok((address.to_owned(), None)),
            None => Err(format!("`{rest}` is not `:PORT`")),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Ok((text.to_owned(), None)),
        Some((address, text)) if !address.is_empty() => Ok((address.to_owned(), port(text)?)),
        None if !text.is_empty() => Ok((text.to_owned(), None)),
        Some(_) | None => Err("an address is missing".to_owned()),
    }
}

/// The text of a proxy command with `%h`, `%p`, `%r` and `%%` filled in.
fn with_tokens(text: &str, address: &str, port: u16, user: &str) -> Result<String, Problem> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some('%')) => out.push('%'),
            ('%', Some('h')) => out.push_str(address),
            ('%', Some('p')) => out.push_str(&port.to_string()),
            ('%', Some('r')) => out.push_str(user),
            ('%', other) => {
                let token = other.map_or_else(String::new, String::from);
                return Err(Problem::usage(format!("`{text}`: `%{token}` means nothing here"))
                    .hint("%h is the host, %p its port, %r the user, %% a percent sign"));
            }
            (c, _) => out.push(c),
        }
    }
    Ok(out)
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// The private keys that ssh would try, in its order (ssh(1), `-i`), as far as they are there.
fn usual_keys() -> Vec<String> {
    let Some(home) = home() else { return Vec::new() };
    ["id_ed25519", "id_ecdsa", "id_rsa"]
        .iter()
        .map(|name| home.join(".ssh").join(name))
        .filter(|path| path.is_file())
        .filter_map(|path| path.to_str().map(str::to_owned))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports_are_told_apart() {
        let of = |text: &str| {
            let Ssh { address, port, user, .. } = target(text, &SshConfig::No)?;
            Ok::<_, String>(format!("{} {address} {}", user.as_deref().unwrap_or("-"), port.map_or(0, u32::from)))
        };
        assert_eq!(of("192.0.2.1"), Ok("- 192.0.2.1 0".to_owned()));
        assert_eq!(of("reg.example:2222"), Ok("- reg.example 2222".to_owned()));
        assert_eq!(of("ann@reg.example:2222"), Ok("ann reg.example 2222".to_owned()));
        assert_eq!(of("[2001:db8::1]:2222"), Ok("- 2001:db8::1 2222".to_owned()));
        assert_eq!(of("2001:db8::1"), Ok("- 2001:db8::1 0".to_owned()));
        for wrong in ["", ":22", "a:0", "a:x", "[::1", "[::1]x", "@a", "ann@"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
