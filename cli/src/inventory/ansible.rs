//! Ansible's inventories as they are: files in INI and YAML, folders, scripts, `group_vars`, `host_vars` and what `ansible-vault`
//! has encrypted. What they mean is compared with Ansible's own answers (`cli/tests/ansible`).
//!
//! Text becomes a [`tree`] of groups, hosts and variables (`ini`, `groups` and `yaml`, `script`; `load` finds the files); from the
//! variables that count for a host follows how it is reached (`hosts`).

mod arguments;
mod groups;
mod hosts;
mod ini;
mod load;
mod pattern;
mod python;
mod script;
mod template;
mod tree;
mod value;
mod vault;
mod words;
mod wrong;
mod yaml;

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod oracle;

use std::collections::BTreeMap;
use std::path::Path;

pub use vault::Password;

use super::model::Inventory;
use crate::report::{self, Problem};
use tree::Tree;

/// Reads an inventory of Ansible's, and says on stderr what a person should know of it.
pub fn open(path: &Path, password: &Password) -> Result<Inventory, Problem> {
    let tree = load::load(path, password)?;
    let (inventory, notes) = inventory(&tree, password, &|name| std::env::var(name).ok());
    let name = path.display();
    notes.iter().for_each(|note| report::say(&format!("warning: {name}: {note}")));
    Ok(inventory)
}

fn inventory(tree: &Tree, password: &Password, env: &dyn Fn(&str) -> Option<String>) -> (Inventory, Vec<String>) {
    let order = tree.order();
    let making = hosts::Making { tree, order: &order, password, env };
    let mut notes: Vec<String> = tree.notes.iter().cloned().collect();
    let mut inventory = Inventory::default();
    let mut plain = 0;
    for name in tree.hosts.keys() {
        let (host, has_plain) = making.host(name);
        plain += usize::from(has_plain);
        inventory.hosts.insert(name.clone(), host);
    }
    if plain > 0 {
        notes.push(format!(
            "passwords stand in it as plain text (hosts: {plain}); better is ansible-vault, or lookup('env', 'NAME')"
        ));
    }
    inventory.roles = roles(tree, &mut notes);
    (inventory, notes)
}

/// Groups are roles: by their own names, and where those are no names of roles, by the nearest that is one.
fn roles(tree: &Tree, notes: &mut Vec<String>) -> BTreeMap<String, Vec<String>> {
    let mut roles: BTreeMap<String, Vec<String>> =
        tree.groups.keys().map(|group| (group.clone(), tree.hosts_of(group))).collect();
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for group in tree.groups.keys() {
        let Some(role) = role_name(group).filter(|role| role != group) else { continue };
        let other = match taken.get(&role) {
            Some(other) => Some(*other),
            None => tree.groups.get_key_value(role.as_str()).map(|(other, _)| other.as_str()),
        };
        match other {
            Some(other) => notes.push(format!("the role `{role}` is the group `{other}`, and not `{group}`")),
            None => {
                roles.insert(role.clone(), tree.hosts_of(group));
                taken.insert(role, group);
            }
        }
    }
    roles
}

/// The name of a role (small letters, digits and `_`, a letter first) for a group: small, with `_` for what else there is.
fn role_name(group: &str) -> Option<String> {
    let small = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let role: String = group.chars().map(small).collect();
    let good = role.starts_with(|c: char| c.is_ascii_lowercase()) && role.len() <= dsl::limits::NAME_BYTES;
    good.then_some(role)
}
