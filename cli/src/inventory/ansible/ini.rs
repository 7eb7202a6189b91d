//! Ansible's INI inventories: text to groups, hosts and variables.
//!
//! ```ini
//! lonely ansible_host=192.0.2.9     ; a host of no group
//! [web]
//! web[01:03].example:2222 zone=a    # Python literals, else texts
//! [web:vars]
//! note=what stands here = one text
//! [site:children]
//! web
//! ```

use std::collections::BTreeMap;

use super::pattern;
use super::python;
use super::tree::{Tree, UNGROUPED};
use super::value::Value;
use super::words;
use super::wrong::{At, Wrong};

/// What the lines of a section are.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hosts,
    Children,
    Variables,
}

/// A group that is named before it is declared: where, and what is to be put right then.
struct Pending {
    line: usize,
    parents: Vec<String>,
}

/// Reads a text into the tree.
pub fn read(text: &str, tree: &mut Tree) -> Result<(), Wrong> {
    let (mut group, mut kind) = (UNGROUPED.to_owned(), Kind::Hosts);
    let mut pending: BTreeMap<String, Pending> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let at = At::line(index + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let within = |what: String| Wrong::at(at, what);
        if let Some(section) = section(line) {
            let (name, word) = section.map_err(within)?;
            kind = match word {
                None | Some("hosts") => Kind::Hosts,
                Some("children") => Kind::Children,
                Some("vars") => Kind::Variables,
                Some(_) => {
                    return Err(Wrong::at(at, "a section is [GROUP], [GROUP:vars] or [GROUP:children]"));
                }
            };
            group = name.to_owned();
            if kind == Kind::Variables {
                if !tree.groups.contains_key(name) && !pending.contains_key(name) {
                    pending.insert(name.to_owned(), Pending { line: index + 1, parents: Vec::new() });
                }
                tree.group(name).map_err(within)?;
            } else {
                tree.group(name).map_err(within)?;
                let parents = pending.remove(name).map(|pending| pending.parents).unwrap_or_default();
                parents.iter().try_for_each(|parent| tree.child(parent, name)).map_err(within)?;
            }
            continue;
        }
        match kind {
            Kind::Hosts => hosts(line, &group, tree).map_err(within)?,
            Kind::Variables => {
                let (name, value) =
                    line.split_once('=').ok_or_else(|| within("a variable is NAME=VALUE".to_owned()))?;
                let value = python::value(value.trim());
                tree.group_variable(&group, name.trim().to_owned(), value).map_err(within)?;
            }
            Kind::Children => {
                let child =
                    name_alone(line).ok_or_else(|| within("the name of one group is expected here".to_owned()))?;
                match pending.get_mut(child) {
                    Some(pending) => pending.parents.push(group.clone()),
                    None if tree.groups.contains_key(child) => tree.child(&group, child).map_err(within)?,
                    None => drop(
                        pending.insert(child.to_owned(), Pending { line: index + 1, parents: vec![group.clone()] }),
                    ),
                }
            }
        }
    }
    match pending.iter().min_by_key(|(_, pending)| pending.line) {
        None => Ok(()),
        Some((name, Pending { line, .. })) => {
            let wrong = Wrong::at(At::line(*line), format!("there is no group `{}`", shown(name)));
            Err(wrong.hint("declare it by a section of its own, which may be empty"))
        }
    }
}

/// A name for a message: it may be anything, so not much of it.
fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '·' } else { c }).take(64).collect()
}

/// Whether a line begins a section: its group, and what its lines are.
fn section(line: &str) -> Option<Result<(&str, Option<&str>), String>> {
    let inner = line.strip_prefix('[')?;
    if let Some((inside, behind)) = inner.split_once(']') {
        let behind = behind.trim_start();
        let (name, word) = match inside.split_once(':') {
            Some((name, word)) => (name, Some(word)),
            None => (inside, None),
        };
        let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
        let good = !name.is_empty() && !name.contains(char::is_whitespace) && word.is_none_or(is_word);
        if good && (behind.is_empty() || behind.starts_with('#')) {
            return Some(Ok((name, word)));
        }
    }
    // What is no section may be a host: `[2001:db8::1]:22`, `[1:3].example`.
    line.ends_with(']')
        .then(|| Err("it is no section: spaces and other characters do not belong into the brackets".to_owned()))
}

/// A name with nothing but a comment behind it.
fn name_alone(line: &str) -> Option<&str> {
    let end = line.find(|c: char| c.is_whitespace() || c == ':' || c == ']').unwrap_or(line.len());
    let (name, behind) = line.split_at(end);
    let behind = behind.trim_start();
    // A `#` that touches the name belongs to it.
    (!name.is_empty() && (behind.is_empty() || behind.starts_with('#'))).then_some(name)
}

fn hosts(line: &str, group: &str, tree: &mut Tree) -> Result<(), String> {
    let words = words::split(line, true)?;
    let (first, rest) = words.split_first().ok_or("a name of a host is expected here")?;
    let (names, port) = pattern::expand(first)?;
    if first.ends_with(':') && port.is_none() {
        return Err("a port is missing behind the colon".to_owned());
    }
    if names.iter().any(|name| name == "---") {
        return Err("`---` begins a YAML file: give it a name that ends in .yml".to_owned());
    }
    let variables: Vec<(&str, Value)> = rest
        .iter()
        .map(|word| word.split_once('=').map(|(name, value)| (name, python::value(value))))
        .collect::<Option<_>>()
        .ok_or("behind the name of a host NAME=VALUE is expected")?;
    for host in names {
        add_host(&host, port, variables.iter().cloned(), group, tree)?;
    }
    Ok(())
}

/// A host with what is said of it.
pub fn add_host<'v>(
    host: &str,
    port: Option<u32>,
    variables: impl Iterator<Item = (&'v str, Value)>,
    group: &str,
    tree: &mut Tree,
) -> Result<(), String> {
    let (known, hide) = (tree.hosts.contains_key(host), tree.hide);
    let hidden = |value| if hide { Value::Hidden(Box::new(value)) } else { value };
    let own = tree.host(host, group)?;
    // Who is known already keeps his port.
    if let Some(port) = port.filter(|port| !known && *port != 0) {
        own.insert("ansible_port".to_owned(), Value::Int(port.into()));
    }
    own.extend(variables.map(|(name, value)| (name.to_owned(), hidden(value))));
    Ok(())
}
