//! What expressions see at the edge.

use dsl::eval::Scope;
use dsl::expr::{Expr, HostProperty, InstanceProperty};
use dsl::value::{SecretRef, Value};

use crate::operation::CoreScope;
use crate::vault::Vault;

/// The edge's scope: the core's, with the secrets.
pub(crate) struct EdgeScope<'a> {
    /// The core's.
    pub core: CoreScope<'a>,
    /// The secrets.
    pub vault: &'a Vault,
}

impl Scope for EdgeScope<'_> {
    fn input(&self, name: &str) -> Value {
        self.core.input(name)
    }
    fn out(&self, step: usize, name: &str) -> Value {
        self.core.out(step, name)
    }
    fn step_state(&self, step: usize) -> Value {
        self.core.step_state(step)
    }
    fn step_changed(&self, step: usize) -> Value {
        self.core.step_changed(step)
    }
    fn everywhere(&self, of: &Expr) -> Value {
        self.core.everywhere(of)
    }
    fn host(&self, property: HostProperty) -> Value {
        self.core.host(property)
    }
    fn role(&self, role: &str, property: HostProperty) -> Value {
        self.core.role(role, property)
    }
    fn operation_id(&self) -> Value {
        self.core.operation_id()
    }
    fn operation_started_at(&self) -> Value {
        self.core.operation_started_at()
    }
    fn operation_state(&self) -> Value {
        self.core.operation_state()
    }
    fn operation_failure(&self) -> Value {
        self.core.operation_failure()
    }
    fn each(&self) -> Value {
        self.core.each()
    }
    fn instance(&self, of: usize, property: InstanceProperty) -> Value {
        self.core.instance(of, property)
    }
    fn secret(&self, name: &SecretRef) -> Option<String> {
        self.vault.get(name).map(|secret| secret.expose().to_owned())
    }
}
