//! An export without names: every address of a host and every name of a user becomes `address-1`, `user-1` … wherever it
//! stands, the same one always the same.
//!
//! What is replaced: what the journal records as address or login of a host, who asked for things (`user@machine`), and
//! whatever reads as an IP address in any text. `root`, `localhost` and the loopback addresses name nobody and stay.
//! Names that the operator chose – of the workflow, of hosts, of inputs – stay too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Map, Value};

/// Replaces them everywhere.
pub(crate) fn replace(mut export: Value) -> Value {
    let mut names = Names::default();
    names.find(&export);
    let table = names.table();
    walk(&mut export, &table);
    if let Value::Object(fields) = &mut export {
        fields.insert("anonymous".to_owned(), Value::Bool(true));
    }
    export
}

/// What is to be replaced, by kind.
#[derive(Debug, Default)]
struct Names {
    addresses: BTreeSet<String>,
    machines: BTreeSet<String>,
    users: BTreeSet<String>,
}

impl Names {
    fn find(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.ips(name);
                    match (name.as_str(), value) {
                        ("address", Value::String(address)) => self.address(address),
                        ("user", Value::String(user)) => self.user(user),
                        ("by", Value::String(by)) => self.person(by),
                        // The approvers of a gate.
                        ("approvers", Value::Array(all)) => {
                            all.iter().filter_map(Value::as_str).for_each(|by| self.person(by));
                        }
                        _ => {}
                    }
                    self.find(value);
                }
            }
            Value::Array(all) => all.iter().for_each(|value| self.find(value)),
            Value::String(text) => self.ips(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn address(&mut self, address: &str) {
        let nobody = ["", "localhost"].contains(&address) || address.parse::<IpAddr>().is_ok_and(|ip| is_nobodys(&ip));
        if !nobody {
            self.addresses.insert(address.to_owned());
        }
    }

    fn user(&mut self, user: &str) {
        if !["", "root", "engine"].contains(&user) {
            self.users.insert(user.to_owned());
        }
    }

    fn person(&mut self, by: &str) {
        let (user, machine) = by.split_once('@').unwrap_or((by, ""));
        self.user(user);
        if !["", "localhost"].contains(&machine) {
            self.machines.insert(machine.to_owned());
        }
    }

    /// Whatever reads as an IP address.
    fn ips(&mut self, text: &str) {
        let words = text.split(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':'));
        for word in words.map(|word| word.trim_matches('.')).filter(|word| word.len() >= 2) {
            // `192.0.2.1:5000` is an address with a port.
            let host = word.split_once(':').filter(|(host, _)| host.contains('.')).map_or(word, |(host, _)| host);
            for candidate in [host, host.trim_end_matches(':')] {
                if let Ok(ip) = candidate.parse::<IpAddr>()
                    && !is_nobodys(&ip)
                {
                    self.addresses.insert(candidate.to_owned());
                }
            }
        }
    }

    /// What stands for each, longest first: a name may begin another.
    fn table(&self) -> Vec<(String, String)> {
        let kinds = [("address", &self.addresses), ("machine", &self.machines), ("user", &self.users)];
        let mut table = BTreeMap::new();
        for (kind, names) in kinds {
            for (number, name) in names.iter().enumerate() {
                table.entry(name.clone()).or_insert_with(|| format!("{kind}-{}", number + 1));
            }
        }
        let mut table: Vec<(String, String)> = table.into_iter().collect();
        table.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        table
    }
}

fn is_nobodys(ip: &IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

fn walk(value: &mut Value, table: &[(String, String)]) {
    match value {
        Value::String(text) => *text = replaced(text, table),
        Value::Array(all) => all.iter_mut().for_each(|value| walk(value, table)),
        Value::Object(fields) => {
            let all: Map<String, Value> = std::mem::take(fields)
                .into_iter()
                .map(|(name, mut value)| {
                    walk(&mut value, table);
                    (replaced(&name, table), value)
                })
                .collect();
            *fields = all;
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text with every name replaced that stands there as a word of its own, in one pass.
fn replaced(text: &str, table: &[(String, String)]) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        let found = table.iter().find(|(name, _)| {
            let after = rest.strip_prefix(name.as_str()).map(|after| after.chars().next());
            after.is_some_and(|after| !before.is_some_and(is_word) && !after.is_some_and(is_word))
        });
        let taken = match found {
            Some((name, stand_in)) => {
                result.push_str(stand_in);
                &rest[..name.len()]
            }
            None => {
                result.push(first);
                &rest[..first.len_utf8()]
            }
        };
        before = taken.chars().next_back();
        rest = &rest[taken.len()..];
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_replaced_everywhere_and_alike_and_nothing_else_is() {
        let export = json!({
            "journal": [
                { "by": "alice@build7", "hosts": { "reg1": { "address": "192.0.2.10", "user": "ubuntu" } } },
                { "text": "ubuntu@192.0.2.10:22 refused 192.0.2.100, 2001:db8::1 and 127.0.0.1 at 08:04:41; root" },
                { "text": "malice asks alice on build7; xubuntu 1.2.3" },
            ],
            "by 192.0.2.10": 1,
        });
        let replaced = replace(export);
        assert_eq!(
            replaced["journal"],
            json!([
                { "by": "user-1@machine-1", "hosts": { "reg1": { "address": "address-1", "user": "user-2" } } },
                { "text": "user-2@address-1:22 refused address-2, address-3 and 127.0.0.1 at 08:04:41; root" },
                { "text": "malice asks user-1 on machine-1; xubuntu 1.2.3" },
            ])
        );
        assert_eq!(replaced["by address-1"], 1);
        assert_eq!(replaced["anonymous"], true);
    }
}
