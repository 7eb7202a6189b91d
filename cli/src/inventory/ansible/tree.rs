//! Groups, their hosts and variables, as the sources of an inventory say them one after the other; and what follows for a host.
//!
//! Precedence is Ansible's: `all` < other groups by depth, `ansible_group_priority` and name < the host, each time what the
//! inventory itself says before what lies in `group_vars` and `host_vars` (`VARIABLE_PRECEDENCE` of Ansible's configuration).

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};

use super::value::{Value, Variables};

/// The most hosts of an inventory.
pub const HOSTS: usize = 10_000;
/// The most groups of an inventory.
pub const GROUPS: usize = 10_000;
/// The longest name of a host or group, bytes.
const NAME_BYTES: usize = 255;

/// The group of all hosts.
pub const ALL: &str = "all";
/// The group of hosts that are in no other.
pub const UNGROUPED: &str = "ungrouped";

/// An inventory as its sources say it.
#[derive(Debug, Default)]
pub struct Tree {
    /// Groups by name.
    pub groups: IndexMap<String, Group>,
    /// Hosts by name: the variables of each.
    pub hosts: IndexMap<String, Variables>,
    /// What `group_vars` and `host_vars` say.
    pub beside: Beside,
    /// Whether what is said now stands in an encrypted file.
    pub hide: bool,
    /// What is to be told once.
    pub notes: BTreeSet<String>,
}

/// Variables that lie beside the inventory, by the name of the group or the host.
#[derive(Debug, Default)]
pub struct Beside {
    /// Of groups.
    pub groups: BTreeMap<String, Variables>,
    /// Of hosts.
    pub hosts: BTreeMap<String, Variables>,
}

/// A group.
#[derive(Debug, Default)]
pub struct Group {
    /// What it says.
    pub variables: Variables,
    /// Its own hosts, in order.
    pub hosts: IndexSet<String>,
    /// Groups in it, in order.
    pub children: IndexSet<String>,
    /// Among groups of one depth the higher counts more.
    pub priority: i64,
    parents: IndexSet<String>,
}

impl Tree {
    /// With the two groups that are always there.
    pub fn new() -> Tree {
        let mut tree = Tree::default();
        for name in [ALL, UNGROUPED] {
            tree.groups.insert(name.to_owned(), Group { priority: 1, ..Group::default() });
        }
        tree.link(ALL, UNGROUPED);
        tree
    }

    /// Adds a group where it is not there.
    pub fn group(&mut self, name: &str) -> Result<(), String> {
        check_name("group", name)?;
        if !self.groups.contains_key(name) {
            if self.groups.len() >= GROUPS {
                return Err(format!("there are more than {GROUPS} groups"));
            }
            self.groups.insert(name.to_owned(), Group { priority: 1, ..Group::default() });
        }
        Ok(())
    }

    /// Puts a host into a group; the group must be there.
    pub fn host(&mut self, name: &str, group: &str) -> Result<&mut Variables, String> {
        check_name("host", name)?;
        if !self.hosts.contains_key(name) && self.hosts.len() >= HOSTS {
            return Err(format!("there are more than {HOSTS} hosts"));
        }
        self.groups.entry(group.to_owned()).or_default().hosts.insert(name.to_owned());
        Ok(self.hosts.entry(name.to_owned()).or_default())
    }

    /// Sets a variable of a group, which must be there.
    pub fn group_variable(&mut self, group: &str, name: String, value: Value) -> Result<(), String> {
        let hide = self.hide;
        let group = self.groups.entry(group.to_owned()).or_default();
        if name == "ansible_group_priority" {
            let number = match &value {
                Value::Int(number) => i64::try_from(*number).ok(),
                Value::Text(text) | Value::Raw(text) => text.expose().trim().parse().ok(),
                _ => None,
            };
            group.priority = number.ok_or("ansible_group_priority is no number")?;
        } else {
            group.variables.insert(name, if hide { Value::Hidden(Box::new(value)) } else { value });
        }
        Ok(())
    }

    /// Puts a group into a group; both must be there.
    pub fn child(&mut self, group: &str, child: &str) -> Result<(), String> {
        if group == child {
            return Err(format!("the group `{group}` cannot be in itself"));
        }
        if self.groups.get(group).is_some_and(|known| known.children.contains(child)) {
            return Ok(());
        }
        if self.upwards(group).contains(child) {
            return Err(format!("the group `{child}` cannot be in `{group}`, for that is in `{child}`"));
        }
        self.link(group, child);
        Ok(())
    }

    fn link(&mut self, group: &str, child: &str) {
        self.groups.entry(group.to_owned()).or_default().children.insert(child.to_owned());
        self.groups.entry(child.to_owned()).or_default().parents.insert(group.to_owned());
    }

    /// All groups that a group is in, near or far.
    fn upwards(&self, group: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut next: Vec<&str> =
            self.groups.get(group).into_iter().flat_map(|of| &of.parents).map(String::as_str).collect();
        while let Some(name) = next.pop() {
            if found.insert(name) {
                next.extend(self.groups.get(name).into_iter().flat_map(|of| &of.parents).map(String::as_str));
            }
        }
        found
    }

    /// What must hold when everything is read: each group is in `all`, and a host in `ungrouped` exactly when it is in no other.
    pub fn settle(&mut self) {
        let tops: Vec<String> = self
            .groups
            .iter()
            .filter(|(name, of)| *name != ALL && of.parents.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        tops.iter().for_each(|name| self.link(ALL, name));
        let grouped: BTreeSet<String> = self
            .groups
            .iter()
            .filter(|(name, _)| *name != ALL && *name != UNGROUPED)
            .flat_map(|(_, group)| group.hosts.iter().cloned())
            .collect();
        let alone: Vec<String> = self.hosts.keys().filter(|host| !grouped.contains(*host)).cloned().collect();
        if let Some(ungrouped) = self.groups.get_mut(UNGROUPED) {
            ungrouped.hosts.retain(|host| !grouped.contains(host));
            ungrouped.hosts.extend(alone);
        }
    }

    /// The hosts of a group and of the groups in it, nearer ones first.
    pub fn hosts_of(&self, group: &str) -> Vec<String> {
        let mut seen = IndexSet::from([group]);
        let mut at = 0;
        while let Some(name) = seen.get_index(at).copied() {
            seen.extend(self.groups.get(name).into_iter().flat_map(|group| &group.children).map(String::as_str));
            at += 1;
        }
        let hosts: IndexSet<&String> =
            seen.iter().filter_map(|name| self.groups.get(*name)).flat_map(|group| &group.hosts).collect();
        hosts.into_iter().cloned().collect()
    }

    /// How far each group is from `all`, by the longest way.
    fn depths(&self) -> BTreeMap<&str, usize> {
        let mut waits: BTreeMap<&str, usize> =
            self.groups.iter().map(|(name, group)| (name.as_str(), group.parents.len())).collect();
        let mut depths: BTreeMap<&str, usize> = self.groups.keys().map(|name| (name.as_str(), 0)).collect();
        let mut ready: Vec<&str> = waits.iter().filter(|(_, waits)| **waits == 0).map(|(name, _)| *name).collect();
        while let Some(name) = ready.pop() {
            let depth = depths.get(name).map_or(0, |depth| depth + 1);
            for child in self.groups.get(name).into_iter().flat_map(|group| &group.children) {
                depths.entry(child).and_modify(|known| *known = depth.max(*known));
                if let Some(waits) = waits.get_mut(child.as_str()) {
                    *waits -= 1;
                    if *waits == 0 {
                        ready.push(child);
                    }
                }
            }
        }
        depths
    }

    /// Who is in what, and in which order it counts: made once, for all hosts.
    pub fn order(&self) -> Order<'_> {
        let mut groups_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let upwards: BTreeMap<&str, BTreeSet<&str>> = self
            .groups
            .iter()
            .filter(|(_, group)| !group.hosts.is_empty())
            .map(|(name, _)| {
                let mut all = self.upwards(name);
                all.insert(name);
                (name.as_str(), all)
            })
            .collect();
        for (name, group) in &self.groups {
            for host in &group.hosts {
                groups_of.entry(host).or_default().extend(upwards.get(name.as_str()).into_iter().flatten());
            }
        }
        let depths = self.depths();
        let mut sorted: Vec<(&str, &Group)> =
            self.groups.iter().filter(|(name, _)| *name != ALL).map(|(name, group)| (name.as_str(), group)).collect();
        sorted.sort_by_key(|(name, group)| (depths.get(name).copied().unwrap_or(0), group.priority, *name));
        let rank = sorted.iter().enumerate().map(|(rank, (name, _))| (*name, rank)).collect();
        Order { tree: self, groups_of, rank }
    }
}

/// In which order what is said of a host counts.
pub struct Order<'t> {
    tree: &'t Tree,
    groups_of: BTreeMap<&'t str, BTreeSet<&'t str>>,
    rank: BTreeMap<&'t str, usize>,
}

impl<'t> Order<'t> {
    /// The variables of a host: what counts most of all that is said.
    pub fn variables(&self, host: &str) -> BTreeMap<&'t str, &'t Value> {
        let tree = self.tree;
        let of_group = |name: &str| tree.groups.get(name).map(|group| &group.variables);
        let mut groups: Vec<&str> =
            self.groups_of.get(host).into_iter().flatten().copied().filter(|name| *name != ALL).collect();
        groups.sort_by_key(|name| self.rank.get(name));
        let said = of_group(ALL)
            .into_iter()
            .chain(groups.iter().filter_map(|name| of_group(name)))
            .chain(tree.beside.groups.get(ALL))
            .chain(groups.iter().filter_map(|name| tree.beside.groups.get(*name)))
            .chain(tree.hosts.get(host))
            .chain(tree.beside.hosts.get(host));
        said.flatten().map(|(name, value)| (name.as_str(), value)).collect()
    }
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("the name of a {what} is empty"));
    }
    if name.len() > NAME_BYTES {
        return Err(format!("the name of a {what} has {} bytes; {NAME_BYTES} are the most", name.len()));
    }
    if name.chars().any(char::is_control) {
        return Err(format!("the name of a {what} has a control character"));
    }
    Ok(())
}
