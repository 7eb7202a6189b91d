//! The secrets of one operation, in memory, for the executors at the edge (D9).
//!
//! It begins with those that the operation was created with; what its steps put out as secrets is sealed while it runs, each value
//! under a name of its own. Clones share what they hold.
//!
//! Invariant: a secret that a step puts out lies in the operation's sealed file before anybody is told its name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use dsl::value::{SecretRef, Value};
use store::{Secret, Store};
use uuid::Uuid;

use crate::error::{Error, Kind};
use crate::operation::{AuthRecord, NodeId, NodeState, Operation, ReachRecord, ViaRecord};

/// The secrets of one operation by reference.
#[derive(Clone, Default)]
pub struct Vault {
    secrets: Arc<RwLock<BTreeMap<SecretRef, Secret>>>,
    /// Held while the sealed file is written or deleted; afterwards nothing is written any more.
    file: Arc<Mutex<Forgotten>>,
}

/// Whether the sealed file was deleted for good.
type Forgotten = bool;

/// The name under which an output of a node is sealed. It names the attempt, so a value never changes under its name.
pub fn out_name(node: &NodeId, attempt: u32, out: &str) -> SecretRef {
    SecretRef(format!("steps.{}.out.{out}/{}/{attempt}", node.step, node.key))
}

impl Vault {
    /// A vault with these secrets.
    pub fn new(secrets: BTreeMap<SecretRef, Secret>) -> Vault {
        Vault { secrets: Arc::new(RwLock::new(secrets)), file: Arc::default() }
    }

    /// The secret of that name.
    pub fn get(&self, name: &SecretRef) -> Option<Secret> {
        // The map is whole after every statement that changes it.
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Those that an operation names and that are not here: with their file, they were lost.
    pub fn missing<'a>(&self, operation: &'a Operation) -> Vec<&'a SecretRef> {
        let mut named = Vec::new();
        operation.plan.inputs.values().for_each(|input| of_value(&input.value, &mut named));
        operation.hosts.values().for_each(|host| of_reach(&host.reach, &mut named));
        for node in &operation.nodes {
            if let NodeState::Succeeded(done) = &node.state {
                done.out.values().for_each(|value| of_value(value, &mut named));
            }
        }
        named.retain(|name| self.get(name).is_none());
        named
    }

    /// All secrets.
    pub fn secrets(&self) -> Vec<Secret> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes secrets that a step has put out, durably: they are in the operation's sealed file when this returns. Waits for the
    /// disk.
    pub fn seal(&self, store: &Store, id: Uuid, new: BTreeMap<SecretRef, Secret>) -> Result<(), Error> {
        let forgotten = self.file();
        if *forgotten {
            return Err(Error::new(Kind::Refused, "the operation has ended, and its secrets are deleted"));
        }
        let mut all = self.secrets.read().unwrap_or_else(PoisonError::into_inner).clone();
        // The same attempt, asked again after a crash.
        if new.iter().all(|(name, secret)| all.get(name) == Some(secret)) {
            return Ok(());
        }
        all.extend(new);
        let sealed = all.iter().map(|(name, secret)| (name.0.clone(), secret.clone())).collect();
        store.sealed().write(&id, &sealed)?;
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(())
    }

    /// Deletes the sealed file, where there are secrets. Waits for the disk.
    pub fn forget(&self, store: &Store, id: Uuid) -> Result<(), Error> {
        let mut forgotten = self.file();
        *forgotten = true;
        // Without secrets there is no file of them.
        if !self.is_empty() {
            store.sealed().delete(&id)?;
        }
        Ok(())
    }

    fn file(&self) -> MutexGuard<'_, Forgotten> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
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
    let ReachRecord::Ssh(ssh) = reach else { return };
    of_auth(&ssh.auth, into);
    for via in &ssh.via {
        match via {
            ViaRecord::Command(_) => {}
            ViaRecord::Hop(hop) => of_auth(&hop.auth, into),
        }
    }
    into.extend(&ssh.sudo_password);
}

fn of_auth<'a>(auth: &'a [AuthRecord], into: &mut Vec<&'a SecretRef>) {
    for auth in auth {
        match auth {
            AuthRecord::Password(name) => into.push(name),
            AuthRecord::Key { passphrase, .. } => into.extend(passphrase),
            AuthRecord::Agent { .. } => {}
            AuthRecord::Interactive(answers) => into.extend(answers.iter().map(|answer| &answer.answer)),
        }
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_list().entries(secrets.keys()).finish() // I8: names only
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, secret: &str) -> BTreeMap<SecretRef, Secret> {
        BTreeMap::from([(SecretRef(name.to_owned()), Secret::from(secret))])
    }

    #[test]
    fn what_a_step_puts_out_is_sealed_beside_what_was_there_and_forgotten_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap().store;
        let id = Uuid::now_v7();
        let vault = Vault::new(one("inputs.s", "canary-4711"));
        let clone = vault.clone();
        let node = NodeId { step: "make".to_owned(), key: "web-1".to_owned() };
        let name = out_name(&node, 2, "token");
        assert_eq!(name.0, "steps.make.out.token/web-1/2");
        for _ in 0..2 {
            vault.seal(&store, id, one(&name.0, "canary-0815")).unwrap();
            let sealed = store.sealed().read(&id).unwrap().unwrap();
            let sealed: Vec<_> = sealed.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect();
            assert_eq!(sealed, [("inputs.s", "canary-4711"), (name.0.as_str(), "canary-0815")]);
            assert!(clone.get(&name).is_some_and(|secret| secret.expose() == "canary-0815"), "clones share it");
        }
        let shown = format!("{vault:?}");
        assert!(shown.contains("steps.make.out.token") && !shown.contains("canary"), "{shown}");
        clone.forget(&store, id).unwrap();
        assert!(store.sealed().read(&id).unwrap().is_none());
        // A step that ends too late brings nothing back.
        assert_eq!(vault.seal(&store, id, one("late", "canary-late")).unwrap_err().kind, Kind::Refused);
        assert!(store.sealed().operations().unwrap().is_empty());
    }
}
