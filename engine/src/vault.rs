//! The secrets of one operation, in memory, for the executors at the edge (D9).

use std::collections::BTreeMap;

use dsl::value::SecretRef;
use store::Secret;

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

    /// All secrets.
    pub fn iter(&self) -> impl Iterator<Item = (&SecretRef, &Secret)> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish() // I8: names only
    }
}
