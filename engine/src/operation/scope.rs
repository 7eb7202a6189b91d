//! What expressions see of an operation. The core's scope knows no secret, only that there is one.

use dsl::eval::Scope;
use dsl::expr::HostProperty;
use dsl::value::{SecretRef, Value};

use super::node::NodeState;
use super::state::Operation;

/// The scope of one node, or of the operation's outputs where `key` is absent.
pub struct CoreScope<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// The slot that the node runs on.
    pub key: Option<&'a str>,
}

impl CoreScope<'_> {
    fn slot(&self, slot: &str, property: HostProperty) -> Value {
        match (property, self.operation.hosts.get(slot)) {
            (HostProperty::Name, _) => Value::Text(slot.to_owned()),
            (HostProperty::Address, Some(host)) => Value::Text(host.address().to_owned()),
            (HostProperty::Address, None) => Value::None,
        }
    }

    /// The node of a step that this scope's node sees: that of its own slot, or the only one.
    fn seen(&self, step: usize) -> Option<&NodeState> {
        if step >= self.operation.plan.steps.len() {
            return None; // A plan from outside may name anything.
        }
        let nodes = self.operation.nodes_of(step);
        match nodes {
            [only] => Some(&only.state),
            _ => nodes.iter().find(|node| Some(node.id.key.as_str()) == self.key).map(|node| &node.state),
        }
    }
}

impl Scope for CoreScope<'_> {
    fn input(&self, name: &str) -> Value {
        self.operation.plan.inputs.get(name).map_or(Value::None, |input| input.value.clone())
    }

    fn out(&self, step: usize, name: &str) -> Value {
        match self.seen(step) {
            Some(NodeState::Succeeded(done)) => done.out.get(name).cloned().unwrap_or(Value::None),
            _ => Value::None,
        }
    }

    fn step_state(&self, step: usize) -> Value {
        self.seen(step).map_or(Value::None, |state| Value::Text(state.word().to_owned()))
    }

    fn host(&self, property: HostProperty) -> Value {
        self.key.map_or(Value::None, |slot| self.slot(slot, property))
    }

    fn role(&self, role: &str, property: HostProperty) -> Value {
        match self.operation.plan.roles.get(role).and_then(|role| role.slots.first()) {
            Some(slot) => self.slot(slot, property),
            None => Value::None,
        }
    }

    fn operation_id(&self) -> Value {
        Value::Text(self.operation.id.to_string())
    }

    fn secret(&self, _: &SecretRef) -> Option<String> {
        None // I8
    }
}
