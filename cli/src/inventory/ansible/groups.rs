//! Ansible's YAML inventories, and what an inventory script answers: nodes to groups, hosts and variables.
//!
//! ```yaml
//! all:
//!   hosts: { lonely: }
//!   vars: { zone: a }
//!   children:
//!     web: { hosts: { "web[01:03].example:2222": { weight: 3 } } }
//! ```

use super::ini::add_host;
use super::pattern;
use super::tree::Tree;
use super::value::Value;
use super::wrong::Wrong;
use super::yaml::{Data, Entry, Node};

/// Reads a YAML inventory into the tree.
pub fn read(root: Node, tree: &mut Tree) -> Result<(), Wrong> {
    let at = root.at;
    let Data::Map(groups) = root.data else {
        return Err(Wrong::at(at, "a YAML inventory is a map of groups, such as all: { hosts: { … } }"));
    };
    if groups.contains_key("plugin") {
        return Err(Wrong::at(at, "it configures an inventory plugin of Ansible, and those are not run here")
            .hint("let Ansible write it out: ansible-inventory -i FILE --list --yaml > inventory.yml"));
    }
    groups.into_iter().try_for_each(|(name, entry)| group(&name, entry, tree))
}

fn group(name: &str, entry: Entry, tree: &mut Tree) -> Result<(), Wrong> {
    let at = entry.at;
    let parts = match entry.node.data {
        Data::Map(parts) => parts,
        Data::Scalar(Value::None) => Default::default(),
        Data::Scalar(_) | Data::List(_) => {
            tree.notes.insert(format!("`{name}` (line {}) is no group: left out", at.line));
            return Ok(());
        }
    };
    if !entry.named {
        return Err(Wrong::at(at, "the name of a group is no text").hint("put it into quotation marks"));
    }
    tree.group(name).map_err(|what| Wrong::at(at, what))?;
    for (part, entry) in parts {
        let at = entry.at;
        if !matches!(part.as_str(), "vars" | "children" | "hosts") {
            if !matches!(entry.node.data, Data::Scalar(Value::None)) {
                tree.notes.insert(format!(
                    "line {}: a group has `hosts`, `vars` and `children`; something else of `{name}` is left out",
                    at.line
                ));
            }
            continue;
        }
        for (key, entry) in entries(entry.node, &part)? {
            let at = entry.at;
            match part.as_str() {
                "vars" => {
                    tree.group_variable(name, key, entry.node.into_value()).map_err(|what| Wrong::at(at, what))?
                }
                "children" => {
                    // What is left out as no group is no child either.
                    let is_group = matches!(entry.node.data, Data::Map(_) | Data::Scalar(Value::None));
                    group(&key, entry, tree)?;
                    if is_group {
                        tree.child(name, &key).map_err(|what| Wrong::at(at, what))?;
                    }
                }
                _ => host(&key, entry, name, tree)?,
            }
        }
    }
    Ok(())
}

/// A map, nothing, or one name.
fn entries(node: Node, part: &str) -> Result<Vec<(String, Entry)>, Wrong> {
    let at = node.at;
    match node.data {
        Data::Map(map) => Ok(map.into_iter().collect()),
        Data::Scalar(Value::None) => Ok(Vec::new()),
        Data::Scalar(Value::Text(text) | Value::Raw(text)) => {
            let nothing = Node { at, data: Data::Scalar(Value::None) };
            Ok(vec![(text.expose().to_owned(), Entry { at, named: true, node: nothing })])
        }
        Data::Scalar(_) | Data::List(_) => {
            let hint = "write `name:` with a colon behind each, and no `-` before it";
            Err(Wrong::at(at, format!("`{part}` is a map by name")).hint(hint))
        }
    }
}

fn host(pattern: &str, entry: Entry, group: &str, tree: &mut Tree) -> Result<(), Wrong> {
    let at = entry.at;
    if !entry.named {
        return Err(Wrong::at(at, "the name of a host is no text").hint("put it into quotation marks"));
    }
    let (names, port) = pattern::expand(pattern).map_err(|what| Wrong::at(at, what))?;
    let variables = entry.node.into_variables().map_err(|wrong| wrong.within(at))?;
    for name in names {
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.clone()));
        add_host(&name, port, variables, group, tree).map_err(|what| Wrong::at(at, what))?;
    }
    Ok(())
}
