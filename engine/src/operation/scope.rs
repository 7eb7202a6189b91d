//! What expressions see of an operation. The core's scope knows no secret, only that there is one.

use dsl::eval::Scope;
use dsl::expr::HostProperty;
use dsl::value::{SecretRef, Value};

use super::node::{NodeState, Undo};
use super::state::{Node, Operation};

/// The scope of one node, or of the operation's outputs where `node` is absent.
pub struct CoreScope<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// The node that looks.
    pub node: Option<&'a Node>,
}

/// What a node sees of a step.
enum Seen<'a> {
    /// Of its own role, or of a role of one host: that host's node.
    One(&'a NodeState),
    /// Of another role: all of them, by slot.
    Many(&'a [Node]),
    /// There is none.
    Nothing,
}

impl<'a> CoreScope<'a> {
    fn slot(&self, slot: &str, property: HostProperty) -> Value {
        match (property, self.operation.hosts.get(slot)) {
            (HostProperty::Name, _) => Value::Text(slot.to_owned()),
            (HostProperty::Address, Some(host)) => Value::Text(host.address().to_owned()),
            (HostProperty::Address, None) => Value::None,
        }
    }

    fn seen(&self, step: usize) -> Seen<'a> {
        let plan = &self.operation.plan;
        let Some(of) = plan.steps.get(step) else { return Seen::Nothing }; // A plan from outside may name anything.
        let nodes = self.operation.nodes_of(step);
        let own = self.node.filter(|node| plan.steps.get(node.step).is_some_and(|step| step.role == of.role));
        match (own, plan.roles.get(&of.role).is_some_and(|role| role.one)) {
            (Some(own), _) => match nodes.iter().find(|node| node.id.key == own.id.key) {
                Some(node) => Seen::One(&node.state),
                None => Seen::Nothing,
            },
            (None, true) => nodes.first().map_or(Seen::Nothing, |node| Seen::One(&node.state)),
            (None, false) => Seen::Many(nodes),
        }
    }
}

/// A value that a node put out; an undo sees what its own `do` put out.
fn out_of(state: &NodeState, name: &str) -> Value {
    match state {
        NodeState::Succeeded(done)
        | NodeState::Undoing { what: Undo::Success(done), .. }
        | NodeState::UndoFailed { what: Undo::Success(done), .. } => done.out.get(name).cloned().unwrap_or(Value::None),
        _ => Value::None,
    }
}

impl Scope for CoreScope<'_> {
    fn input(&self, name: &str) -> Value {
        self.operation.plan.inputs.get(name).map_or(Value::None, |input| input.value.clone())
    }

    fn out(&self, step: usize, name: &str) -> Value {
        match self.seen(step) {
            Seen::One(state) => out_of(state, name),
            Seen::Many(nodes) => {
                let given = nodes.iter().map(|node| (node.id.key.clone(), out_of(&node.state, name)));
                Value::Record(given.filter(|(_, value)| *value != Value::None).collect())
            }
            Seen::Nothing => Value::None,
        }
    }

    fn step_state(&self, step: usize) -> Value {
        match self.seen(step) {
            Seen::One(state) => Value::Text(state.word().to_owned()),
            Seen::Many(_) | Seen::Nothing => Value::None,
        }
    }

    fn host(&self, property: HostProperty) -> Value {
        self.node.map_or(Value::None, |node| self.slot(&node.id.key, property))
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
