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
pub const GROUPS: usize = 5_000;
/// How often a group may stand in another.
const LINKS: usize = 10_000;
/// How often hosts may be named, a host of a range by itself.
const PLACES: usize = 200_000;
/// What all variables take in memory, those of a range once for each of its hosts; bytes.
const SAID_BYTES: usize = 64 << 20;
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
    links: usize,
    places: usize,
    said: usize,
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
        self.places += 1;
        if self.places > PLACES {
            return Err(format!("hosts are named more than {PLACES} times"));
        }
        self.groups.entry(group.to_owned()).or_default().hosts.insert(name.to_owned());
        Ok(self.hosts.entry(name.to_owned()).or_default())
    }

    /// Counts what is said.
    pub fn weigh(&mut self, value: &Value) -> Result<(), String> {
        self.said += value.weight();
        match self.said > SAID_BYTES {
            true => Err(format!("all variables together take more than {SAID_BYTES} bytes")),
            false => Ok(()),
        }
    }

    /// Sets a variable of a group, which must be there.
    pub fn group_variable(&mut self, group: &str, name: String, value: Value) -> Result<(), String> {
        self.weigh(&value)?;
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

    /// Puts a group into a group; both must be there. Whether they go round in a circle is seen when all is read.
    pub fn child(&mut self, group: &str, child: &str) -> Result<(), String> {
        if group == child {
            return Err(format!("the group `{group}` cannot be in itself"));
        }
        if self.link(group, child) {
            self.links += 1;
        }
        match self.links > LINKS {
            true => Err(format!("groups stand in others more than {LINKS} times")),
            false => Ok(()),
        }
    }

    fn link(&mut self, group: &str, child: &str) -> bool {
        self.groups.entry(child.to_owned()).or_default().parents.insert(group.to_owned());
        self.groups.entry(group.to_owned()).or_default().children.insert(child.to_owned())
    }

    /// What must hold when everything is read: each group is in `all`, none in itself, and a host in `ungrouped` exactly when it is
    /// in no other.
    pub fn settle(&mut self) -> Result<(), String> {
        let is_top = |(name, group): &(&String, &Group)| *name != ALL && group.parents.is_empty();
        let tops: Vec<String> = self.groups.iter().filter(is_top).map(|(name, _)| name.clone()).collect();
        for name in tops {
            self.link(ALL, &name);
        }
        let depths = self.depths();
        if let Some(name) = self.groups.keys().find(|name| !depths.contains_key(name.as_str())) {
            return Err(format!("the group `{name}` is in itself, by the groups in it"));
        }
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
        Ok(())
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

    /// How far each group is from `all`, by the longest way; nothing of those that go round in a circle.
    fn depths(&self) -> BTreeMap<&str, usize> {
        let mut waits: BTreeMap<&str, usize> =
            self.groups.iter().map(|(name, group)| (name.as_str(), group.parents.len())).collect();
        let mut least: BTreeMap<&str, usize> = BTreeMap::new();
        let mut depths = BTreeMap::new();
        let mut ready: Vec<&str> = waits.iter().filter(|(_, waits)| **waits == 0).map(|(name, _)| *name).collect();
        while let Some(name) = ready.pop() {
            let depth = least.get(name).copied().unwrap_or(0);
            depths.insert(name, depth);
            for child in self.groups.get(name).into_iter().flat_map(|group| &group.children) {
                let known = least.entry(child).or_default();
                *known = (depth + 1).max(*known);
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
        let mut groups_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, group) in &self.groups {
            group.hosts.iter().for_each(|host| groups_of.entry(host).or_default().push(name));
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
    /// The groups that name a host themselves.
    groups_of: BTreeMap<&'t str, Vec<&'t str>>,
    rank: BTreeMap<&'t str, usize>,
}

impl<'t> Order<'t> {
    /// The groups that a host is in, near or far, but `all`; those that count more come later.
    fn groups(&self, host: &str) -> Vec<&'t str> {
        let mut found: BTreeMap<usize, &'t str> = BTreeMap::new();
        let mut next: Vec<&'t str> = self.groups_of.get(host).cloned().unwrap_or_default();
        while let Some(name) = next.pop() {
            // `all` has no rank, and nothing is above it.
            let Some(rank) = self.rank.get(name) else { continue };
            if found.insert(*rank, name).is_none() {
                next.extend(self.tree.groups.get(name).into_iter().flat_map(|of| &of.parents).map(String::as_str));
            }
        }
        found.into_values().collect()
    }

    /// The variables of a host: what counts most of all that is said.
    pub fn variables(&self, host: &str) -> BTreeMap<&'t str, &'t Value> {
        let tree = self.tree;
        let of_group = |name: &str| tree.groups.get(name).map(|group| &group.variables);
        let groups = self.groups(host);
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
