//! What a workflow is run with: from the command line and the inventory to hosts, inputs and secrets.

use std::collections::{BTreeMap, BTreeSet};

use dsl::{Given, GivenValue, Origin, RoleKind, Workflow};
use engine::HostSpec;
use engine::operation::ReachRecord;
use zeroize::Zeroizing;

use crate::args::With;
use crate::draw;
use crate::inventory::{Input, Inventory, SshConfig};
use crate::limit::Limit;
use crate::prompt;
use crate::reach::{self, Reaching};
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
    file: &BTreeMap<String, Input>,
    workflow: &Workflow,
) -> Result<Everything, Problem> {
    let mut gathering = Gathering::new(with.accept_new_host_keys);
    gathering.roles(with, inventory, workflow)?;
    gathering.inputs(&with.inputs, inventory, file, workflow)?;
    Ok(gathering.end())
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
    Ok(gathering.end())
}

struct Gathering {
    reaching: Reaching,
    everything: Everything,
}

impl Gathering {
    fn new(accept_new_host_keys: bool) -> Gathering {
        let everything = Everything {
            given: Given::default(),
            left_out: BTreeMap::new(),
            hosts: BTreeMap::new(),
            secrets: BTreeMap::new(),
        };
        Gathering { reaching: Reaching::new(accept_new_host_keys), everything }
    }

    fn end(self) -> Everything {
        Everything { secrets: self.reaching.secrets, ..self.everything }
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
        let only = match inventory.hosts.len() {
            1 => inventory.hosts.keys().next(),
            _ => None,
        };
        for role in workflow.roles() {
            if self.everything.given.roles.contains_key(role.name) {
                continue;
            }
            let slots = match (inventory.roles.get(role.name), inventory.hosts.contains_key(role.name), only) {
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
        limit.check(&self.everything.given.roles, &self.everything.left_out, workflow)
    }

    fn flag_host(&mut self, slot: &str, target: &str, password: Option<&Zeroizing<String>>) -> Result<(), Problem> {
        if target == "local" {
            self.everything.hosts.insert(slot.to_owned(), HostSpec::new(ReachRecord::Local));
            return Ok(());
        }
        if target.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
            return Err(Problem::usage(format!("--host {slot}=…: a password may not stand on the command line"))
                .hint("use --ask-password, or an inventory with `password: Env(\"NAME\")`"));
        }
        let ssh = reach::target(target, &SshConfig::Usual)
            .map_err(|why| Problem::usage(format!("--host {slot}={target}: {why}")))?;
        let host = self.reaching.flag(slot, &ssh, password)?;
        self.everything.hosts.insert(slot.to_owned(), host);
        Ok(())
    }

    fn inventory_host(&mut self, role: &str, slot: &str, inventory: &Inventory) -> Result<(), Problem> {
        if self.everything.hosts.contains_key(slot) {
            return Ok(());
        }
        let Some(host) = inventory.hosts.get(slot) else {
            let names: Vec<&str> = inventory.hosts.keys().map(String::as_str).collect();
            return Err(Problem::usage(format!(
                "role `{role}` names the host `{slot}`, which the inventory does not have"
            ))
            .hint(format!("its hosts are {}", names.join(", "))));
        };
        let host = self.reaching.host(slot, host, inventory)?;
        self.everything.hosts.insert(slot.to_owned(), host);
        Ok(())
    }

    fn inputs(
        &mut self,
        flags: &[String],
        inventory: &Inventory,
        file: &BTreeMap<String, Input>,
        workflow: &Workflow,
    ) -> Result<(), Problem> {
        let elsewhere = |text: String| GivenValue { text, origin: Origin::Elsewhere };
        // What the file says counts more.
        for (name, input) in inventory.inputs.iter().chain(file) {
            let value = match input {
                // As plain as on the command line: no place for a secret.
                Input::Value(text) => GivenValue { text: text.clone(), origin: Origin::CommandLine },
                Input::From(source) => {
                    elsewhere(source.resolve(&format!("input `{name}`")).map_err(Problem::usage)?.to_string())
                }
            };
            self.everything.given.inputs.insert(name.clone(), value);
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
