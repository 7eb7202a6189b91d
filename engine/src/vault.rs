//! The secrets of one operation, in memory, for the executors at the edge (D9).

use std::collections::BTreeMap;

use dsl::value::{SecretRef, Value};
use store::Secret;

use crate::operation::{AuthRecord, Operation, ReachRecord};

/// The secrets of one operation by reference.
#[derive(Clone, Default)]
pub struct Vault(BTreeMap<SecretRef, Secret>);

impl Vault {
    /// A vault with these secrets.
    pub fn new(secrets: BTreeMap<SecretRef, Secret>) -> Vault {
        Vault(secrets)
    }

    /// The secret of that name.
    pub fn get(&self, name: &SecretRef) -> Option<&Secret> {
        self.0.get(name)
    }

    /// Those that an operation names and that are not here: with their file, they were lost.
    pub fn missing<'a>(&self, operation: &'a Operation) -> Vec<&'a SecretRef> {
        let mut named = Vec::new();
        operation.plan.inputs.values().for_each(|input| of_value(&input.value, &mut named));
        operation.hosts.values().for_each(|host| of_reach(&host.reach, &mut named));
        named.retain(|name| !self.0.contains_key(name));
        named
    }

    /// All secrets.
    pub fn iter(&self) -> impl Iterator<Item = (&SecretRef, &Secret)> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn of_value<'a>(value: &'a Value, into: &mut Vec<&'a SecretRef>) {
    match value {
        Value::Secret(name) => into.push(name),
        Value::List(list) => list.iter().for_each(|value| of_value(value, into)),
        Value::Record(fields) => fields.values().for_each(|value| of_value(value, into)),
        Value::None
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::DurationMs(_)
        | Value::File(_) => {}
    }
}

fn of_reach<'a>(reach: &'a ReachRecord, into: &mut Vec<&'a SecretRef>) {
    let ReachRecord::Ssh { auth, sudo_password, .. } = reach else { return };
    into.extend(auth.iter().filter_map(|auth| match auth {
        AuthRecord::Password(name) => Some(name),
        AuthRecord::Key { passphrase, .. } => passphrase.as_ref(),
    }));
    into.extend(sudo_password);
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish() // I8: names only
    }
}
