//! What a workflow is run with: from the command line and the inventory to hosts, inputs and secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dsl::value::SecretRef;
use dsl::{FileValue, Given, GivenValue, Origin, RoleKind, Workflow};
use engine::HostSpec;
use engine::operation::{AuthRecord, HostKeyRecord, ReachRecord, SshRecord};
use engine::records::Filled;
use zeroize::Zeroizing;

use crate::args::With;
use crate::draw;
use crate::inputs_file;
use crate::inventory::{Host, Input, Inventory};
use crate::limit::Limit;
use crate::prompt;
use crate::report::Problem;
use crate::secret_source::SecretSource;

/// Hosts with their secrets, and what the compiler is given.
pub struct Everything {
    /// Inputs and roles.
    pub given: Given,
    /// Hosts by role that `--limit` leaves out.
    pub left_out: BTreeMap<String, Vec<String>>,
    /// Hosts by slot.
    pub hosts: BTreeMap<String, HostSpec>,
    /// The secrets that the hosts name.
    pub secrets: BTreeMap<String, Zeroizing<String>>,
}

/// Gathers everything; draws secrets that are to be drawn, and asks at the terminal for those that are missing. `file` is what
/// `--inputs` gives.
pub fn gather(
    with: &With,
    inventory: &Inventory,
    file: BTreeMap<String, FileValue>,
    workflow: &Workflow,
) -> Result<Everything, Problem> {
    let mut gathering = Gathering::new(with.accept_new_host_keys);
    gathering.roles(with, inventory, workflow)?;
    gathering.inputs(&with.inputs, inventory, file, workflow)?;
    Ok(gathering.everything)
}

/// Gathers hosts of an inventory that fill one role, and nothing else.
pub fn hosts(
    role: &str,
    slots: &[String],
    inventory: &Inventory,
    accept_new_host_keys: bool,
) -> Result<Everything, Problem> {
    let mut gathering = Gathering::new(accept_new_host_keys);
    slots.iter().try_for_each(|slot| gathering.inventory_host(role, slot, inventory))?;
    gathering.everything.given.roles.insert(role.to_owned(), slots.to_vec());
    Ok(gathering.everything)
}

struct Gathering {
    accept_new_host_keys: bool,
    everything: Everything,
}

/// Adds the hosts that records fill roles with: as the inventory says how they are reached, as far as `--limit` lets them be.
pub fn add_recorded(
    everything: Everything,
    with: &With,
    inventory: &Inventory,
    workflow: &Workflow,
    filled: &Filled,
) -> Result<Everything, Problem> {
    let limit = Limit::read(&with.limit)?;
    let mut gathering = Gathering { accept_new_host_keys: with.accept_new_host_keys, everything };
    let mut roles = gathering.everything.given.roles.clone();
    for (role, slots) in &filled.roles {
        let (kept, left_out) = limit.of(role, slots.clone());
        if let Some(slot) = kept.iter().find(|slot| !inventory.hosts.0.contains_key(*slot)) {
            let message =
                format!("the records fill the role `{role}` with the host `{slot}`, which the inventory does not have");
            return Err(Problem::usage(message).hint(format!(
                "say in the inventory how it is reached: `hosts: {{ \"{slot}\": Ssh(address: \"…\") }}`; or leave it out, `--limit`; \
                 `anneal instances show` shows what is recorded"
            )));
        }
        kept.iter().try_for_each(|slot| gathering.inventory_host(role, slot, inventory))?;
        if !left_out.is_empty() {
            gathering.everything.left_out.insert(role.clone(), left_out);
        }
        roles.insert(role.clone(), kept);
    }
    limit.check(&roles, &gathering.everything.left_out, workflow)?;
    Ok(gathering.everything)
}

impl Gathering {
    fn new(accept_new_host_keys: bool) -> Gathering {
        let everything = Everything {
            given: Given::default(),
            left_out: BTreeMap::new(),
            hosts: BTreeMap::new(),
            secrets: BTreeMap::new(),
        };
        Gathering { accept_new_host_keys, everything }
    }

    fn roles(&mut self, with: &With, inventory: &Inventory, workflow: &Workflow) -> Result<(), Problem> {
        let limit = Limit::read(&with.limit)?;
        let mut from_flags: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for flag in &with.hosts {
            let (role, target) = flag
                .split_once('=')
                .filter(|(role, target)| !role.is_empty() && !target.is_empty())
                .ok_or_else(|| {
                // It may hold a password that was meant otherwise: it is not repeated.
                Problem::usage("--host: a role is missing").hint("write --host ROLE=USER@ADDRESS or --host ROLE=local")
            })?;
            from_flags.entry(role.to_owned()).or_default().push(target);
        }
        let password = match with.ask_password && !from_flags.is_empty() {
            true => Some(prompt::secret("SSH password").map_err(Problem::usage)?),
            false => None,
        };
        for (role, targets) in &from_flags {
            let mut slots = Vec::new();
            for (index, target) in targets.iter().enumerate() {
                let slot = if targets.len() == 1 { role.clone() } else { format!("{role}-{}", index + 1) };
                self.flag_host(&slot, target, password.as_ref())?;
                slots.push(slot);
            }
            self.everything.given.roles.insert(role.clone(), slots);
        }
        for (role, slots) in &mut self.everything.given.roles {
            let (kept, left_out) = limit.of(role, std::mem::take(slots));
            left_out.iter().for_each(|slot| drop(self.everything.hosts.remove(slot)));
            *slots = kept;
            if !left_out.is_empty() {
                self.everything.left_out.insert(role.clone(), left_out);
            }
        }
        let from_flag_slots: BTreeSet<String> = self.everything.hosts.keys().cloned().collect();
        let only = match inventory.hosts.0.len() {
            1 => inventory.hosts.0.keys().next(),
            _ => None,
        };
        for role in workflow.roles().into_iter().filter(|role| !role.from_records) {
            if self.everything.given.roles.contains_key(role.name) {
                continue;
            }
            let slots = match (inventory.roles.0.get(role.name), inventory.hosts.0.contains_key(role.name), only) {
                (Some(slots), _, _) => slots.clone(),
                (None, true, _) => vec![role.name.to_owned()],
                (None, false, Some(only)) if role.kind == RoleKind::One => vec![only.clone()],
                // The compiler says what is missing.
                (None, false, _) => continue,
            };
            let (slots, left_out) = limit.of(role.name, slots);
            if !left_out.is_empty() {
                self.everything.left_out.insert(role.name.to_owned(), left_out);
            }
            for slot in &slots {
                if from_flag_slots.contains(slot) {
                    return Err(Problem::usage(format!("`{slot}` is a host of the inventory, and of --host too"))
                        .hint("name the role's hosts in one of the two places only"));
                }
                self.inventory_host(role.name, slot, inventory)?;
            }
            self.everything.given.roles.insert(role.name.to_owned(), slots);
        }
        // What records say is not known yet.
        if workflow.roles().iter().any(|role| role.from_records) {
            return Ok(());
        }
        limit.check(&self.everything.given.roles, &self.everything.left_out, workflow)
    }

    fn flag_host(&mut self, slot: &str, target: &str, password: Option<&Zeroizing<String>>) -> Result<(), Problem> {
        if target == "local" {
            self.everything.hosts.insert(slot.to_owned(), HostSpec::new(ReachRecord::Local));
            return Ok(());
        }
        let (user, rest) = match target.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => {
                return Err(Problem::usage(format!("--host {slot}=…: a password may not stand on the command line"))
                    .hint("use --ask-password, or an inventory with `password: Env(\"NAME\")`"));
            }
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, target),
        };
        let (address, port) =
            split_port(rest).map_err(|why| Problem::usage(format!("--host {slot}={target}: {why}")))?;
        let mut auth: Vec<AuthRecord> = usual_keys()
            .into_iter()
            .map(|path| AuthRecord::Key { path, passphrase: None, certificate: None })
            .collect();
        let mut sudo_password = None;
        if let Some(password) = password {
            let name = self.secret(format!("hosts.{slot}.password"), password.clone());
            sudo_password = Some(name.clone());
            auth.push(AuthRecord::Password(name));
        }
        self.ssh(slot, address, port, user, auth, sudo_password, None)
    }

    fn inventory_host(&mut self, role: &str, slot: &str, inventory: &Inventory) -> Result<(), Problem> {
        if self.everything.hosts.contains_key(slot) {
            return Ok(());
        }
        let Some(host) = inventory.hosts.0.get(slot) else {
            let names: Vec<&str> = inventory.hosts.0.keys().map(String::as_str).collect();
            return Err(Problem::usage(format!(
                "role `{role}` names the host `{slot}`, which the inventory does not have"
            ))
            .hint(format!("its hosts are {}", names.join(", "))));
        };
        let Host::Ssh { address, port, user, password, key, passphrase, sudo_password, host_key, labels } = host else {
            self.everything.hosts.insert(slot.to_owned(), HostSpec::new(ReachRecord::Local));
            return Ok(());
        };
        let mut auth = Vec::new();
        if let Some(key) = key {
            let passphrase = self.resolve(slot, "passphrase", passphrase.as_ref())?;
            auth.push(AuthRecord::Key { path: absolute(key)?, passphrase, certificate: None });
        }
        let password = self.resolve(slot, "password", password.as_ref())?;
        auth.extend(password.clone().map(AuthRecord::Password));
        if auth.is_empty() {
            auth.extend(usual_keys().into_iter().map(|path| AuthRecord::Key {
                path,
                passphrase: None,
                certificate: None,
            }));
        }
        let sudo_password = self.resolve(slot, "sudo_password", sudo_password.as_ref())?.or(password);
        self.ssh(slot, address.clone(), port.unwrap_or(22), user.clone(), auth, sudo_password, host_key.clone())?;
        self.everything.hosts.entry(slot.to_owned()).and_modify(|host| host.labels = labels.0.clone());
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of one record")]
    fn ssh(
        &mut self,
        slot: &str,
        address: String,
        port: u16,
        user: Option<String>,
        auth: Vec<AuthRecord>,
        sudo_password: Option<SecretRef>,
        pinned: Option<String>,
    ) -> Result<(), Problem> {
        if auth.is_empty() {
            return Err(Problem::usage(format!(
                "there is no way to log in to `{slot}`: no key in ~/.ssh, no password"
            ))
            .hint("use --ask-password, or an inventory with `password: Env(\"NAME\")` or `key: \"~/.ssh/…\"`"));
        }
        let user = user.or_else(|| std::env::var("USER").ok()).ok_or_else(|| {
            Problem::usage(format!("nobody says as which user to log in to `{slot}`")).hint("write user@address")
        })?;
        let host_key = match (pinned, self.accept_new_host_keys) {
            (Some(fingerprint), _) => HostKeyRecord::Pinned(fingerprint),
            (None, true) => HostKeyRecord::AcceptNew,
            (None, false) => HostKeyRecord::Strict,
        };
        let reach = ReachRecord::Ssh(SshRecord {
            address,
            port,
            user,
            auth,
            host_key,
            sudo_password,
            known_as: None,
            known_hosts: Vec::new(),
            via: Vec::new(),
        });
        self.everything.hosts.insert(slot.to_owned(), HostSpec::new(reach));
        Ok(())
    }

    fn resolve(&mut self, slot: &str, what: &str, source: Option<&SecretSource>) -> Result<Option<SecretRef>, Problem> {
        let Some(source) = source else { return Ok(None) };
        let text = source.resolve(&format!("{what} of host `{slot}`")).map_err(Problem::usage)?;
        Ok(Some(self.secret(format!("hosts.{slot}.{what}"), text)))
    }

    fn secret(&mut self, name: String, text: Zeroizing<String>) -> SecretRef {
        self.everything.secrets.insert(name.clone(), text);
        SecretRef(name)
    }

    fn inputs(
        &mut self,
        flags: &[String],
        inventory: &Inventory,
        file: BTreeMap<String, FileValue>,
        workflow: &Workflow,
    ) -> Result<(), Problem> {
        let elsewhere = |text: String| GivenValue { text, origin: Origin::Elsewhere };
        for (name, input) in &inventory.inputs.0 {
            let source = match input {
                Input::Value(text) => {
                    // As plain as on the command line: no place for a secret.
                    let value = GivenValue { text: text.clone(), origin: Origin::CommandLine };
                    self.everything.given.inputs.insert(name.clone(), value);
                    continue;
                }
                Input::Env(name) => SecretSource::Env(name.clone()),
                Input::File(path) => SecretSource::File(path.clone()),
                Input::Command(argv) => SecretSource::Command(argv.clone()),
                Input::Prompt => SecretSource::Prompt,
            };
            let text = source.resolve(&format!("input `{name}`")).map_err(Problem::usage)?;
            self.everything.given.inputs.insert(name.clone(), elsewhere(text.to_string()));
        }
        for (name, value) in file {
            let value = match value {
                FileValue::Text(text) => GivenValue { text, origin: Origin::CommandLine },
                FileValue::From(source) => {
                    let source = inputs_file::source(source);
                    elsewhere(source.resolve(&format!("input `{name}`")).map_err(Problem::usage)?.to_string())
                }
            };
            self.everything.given.inputs.insert(name, value);
        }
        for flag in flags {
            let (name, value) = input(flag)?;
            self.everything.given.inputs.insert(name, value);
        }
        for (name, length) in workflow.generated_secrets(&self.everything.given) {
            let text = draw::secret(length).map_err(|why| Problem::failed(format!("input `{name}`: {why}")))?;
            self.everything.given.inputs.insert(name, elsewhere(text.to_string()));
        }
        for (name, about) in workflow.missing_secrets(&self.everything.given) {
            let what = about.map_or_else(|| format!("input `{name}`"), |about| format!("input `{name}` ({about})"));
            let text = prompt::secret(&what).map_err(Problem::usage)?;
            self.everything.given.inputs.insert(name, elsewhere(text.to_string()));
        }
        Ok(())
    }
}

/// `NAME=VALUE`, or `NAME=@FILE`, as `--input` takes it.
pub fn input(flag: &str) -> Result<(String, GivenValue), Problem> {
    let (name, text) = flag.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        // It may be a secret that was meant otherwise: it is not repeated.
        Problem::usage("--input: a name is missing").hint("write --input NAME=VALUE")
    })?;
    let value = match text.strip_prefix('@') {
        Some(path) => {
            let text = SecretSource::File(path.into()).resolve(&format!("input `{name}`")).map_err(Problem::usage)?;
            GivenValue { text: text.to_string(), origin: Origin::Elsewhere }
        }
        None => GivenValue { text: text.to_owned(), origin: Origin::CommandLine },
    };
    Ok((name.to_owned(), value))
}

/// `host`, `host:port`, `[v6]:port`, or a bare IPv6 address.
fn split_port(text: &str) -> Result<(String, u16), String> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("`{text}` is no TCP port")),
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or("a `]` is missing")?;
        return match rest.strip_prefix(':') {
            Some(text) => Ok((address.to_owned(), port(text)?)),
            None if rest.is_empty() => Ok((address.to_owned(), 22)),
            None => Err(format!("`{rest}` is not `:PORT`")),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Ok((text.to_owned(), 22)),
        Some((address, text)) if !address.is_empty() => Ok((address.to_owned(), port(text)?)),
        None if !text.is_empty() => Ok((text.to_owned(), 22)),
        Some(_) | None => Err("an address is missing".to_owned()),
    }
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
        let of = |text: &str| split_port(text).map(|(address, port)| format!("{address} {port}"));
        assert_eq!(of("192.0.2.1"), Ok("192.0.2.1 22".to_owned()));
        assert_eq!(of("reg.example:2222"), Ok("reg.example 2222".to_owned()));
        assert_eq!(of("[2001:db8::1]:2222"), Ok("2001:db8::1 2222".to_owned()));
        assert_eq!(of("2001:db8::1"), Ok("2001:db8::1 22".to_owned()));
        for wrong in ["", ":22", "a:0", "a:x", "[::1", "[::1]x"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
