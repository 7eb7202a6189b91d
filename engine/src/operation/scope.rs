//! What expressions see of an operation. The core's scope knows no secret, only that there is one.

use dsl::eval::{Scope, render};
use dsl::expr::{Expr, HostProperty, InstanceProperty};
use dsl::value::{SecretRef, Value};

use super::event::{FailedBecause, Outcome};
use super::life::Life;
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
    /// Of its own role or `each`, or of a step with one node: that node.
    One(&'a Node),
    /// Of another role or `each`: all of them, by key.
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
            (HostProperty::Labels, host) => {
                let labels = host.into_iter().flat_map(|host| &host.labels);
                Value::Record(labels.map(|(name, value)| (name.clone(), Value::Text(value.clone()))).collect())
            }
        }
    }

    /// The nodes of a step that are read where its output or state is.
    pub(crate) fn nodes_read(&self, step: usize) -> &'a [Node] {
        match self.seen(step) {
            Seen::One(node) => std::slice::from_ref(node),
            Seen::Many(nodes) => nodes,
            Seen::Nothing => &[],
        }
    }

    fn seen(&self, step: usize) -> Seen<'a> {
        let plan = &self.operation.plan;
        let Some(of) = plan.steps.get(step) else { return Seen::Nothing }; // A plan from outside may name anything.
        let nodes = self.operation.nodes_of(step);
        let own = self
            .node
            .filter(|node| plan.steps.get(node.step).is_some_and(|own| own.role == of.role && own.each == of.each));
        let one = of.role.as_ref().is_none_or(|role| plan.roles.get(role).is_some_and(|role| role.one));
        match own {
            Some(own) => match self.operation.node_of(step, &own.id.key) {
                Some(node) => Seen::One(node),
                None => Seen::Nothing,
            },
            None if of.each.is_none() && one => nodes.first().map_or(Seen::Nothing, Seen::One),
            None => Seen::Many(nodes),
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

fn out_by_key(nodes: &[Node], name: &str) -> Value {
    let given = nodes.iter().map(|node| (node.id.key.clone(), out_of(&node.state, name)));
    Value::Record(given.filter(|(_, value)| *value != Value::None).collect())
}

fn state_word(state: &NodeState) -> Value {
    Value::Text(state.word().to_owned())
}

fn changed(state: &NodeState) -> Value {
    Value::Bool(matches!(state, NodeState::Succeeded(done) if done.changed))
}

fn by_key(nodes: &[Node], value: impl Fn(&NodeState) -> Value) -> Value {
    Value::Record(nodes.iter().map(|node| (node.id.key.clone(), value(&node.state))).collect())
}

impl Scope for CoreScope<'_> {
    fn input(&self, name: &str) -> Value {
        self.operation.plan.inputs.get(name).map_or(Value::None, |input| input.value.clone())
    }

    fn out(&self, step: usize, name: &str) -> Value {
        match self.seen(step) {
            Seen::One(node) => out_of(&node.state, name),
            Seen::Many(nodes) => out_by_key(nodes, name),
            Seen::Nothing => Value::None,
        }
    }

    fn step_state(&self, step: usize) -> Value {
        match self.seen(step) {
            Seen::One(node) => state_word(&node.state),
            Seen::Many(nodes) => by_key(nodes, state_word),
            Seen::Nothing => Value::None,
        }
    }

    fn step_changed(&self, step: usize) -> Value {
        match self.seen(step) {
            Seen::One(node) => changed(&node.state),
            Seen::Many(nodes) => by_key(nodes, changed),
            Seen::Nothing => Value::Bool(false),
        }
    }

    fn everywhere(&self, of: &Expr) -> Value {
        let (Expr::Out { step, .. } | Expr::StepState(step) | Expr::StepChanged(step)) = of else { return Value::None };
        if *step >= self.operation.plan.steps.len() {
            return Value::None;
        }
        let nodes = self.operation.nodes_of(*step);
        match of {
            Expr::Out { name, .. } => out_by_key(nodes, name),
            Expr::StepState(_) => by_key(nodes, state_word),
            _ => by_key(nodes, changed),
        }
    }

    fn host(&self, property: HostProperty) -> Value {
        self.node.and_then(|node| node.slot.as_ref()).map_or(Value::None, |slot| self.slot(slot, property))
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

    fn operation_started_at(&self) -> Value {
        Value::Text(crate::date::rfc3339(self.operation.created_at_ms))
    }

    fn operation_state(&self) -> Value {
        let Life::Finishing { outcome, .. } = &self.operation.life else { return Value::None };
        let word = match outcome {
            Outcome::Completed { .. } => "succeeded",
            Outcome::FailedTemp { reason: FailedBecause::Cancelled | FailedBecause::CancelledBy { .. } } => "cancelled",
            Outcome::FailedTemp { .. } => "failed",
            Outcome::RolledBack => "rolled_back",
        };
        Value::Text(word.to_owned())
    }

    fn operation_failure(&self) -> Value {
        let Life::Finishing { outcome, .. } = &self.operation.life else { return Value::None };
        match outcome {
            Outcome::Completed { .. } => Value::None,
            Outcome::FailedTemp { reason } => Value::Text(self.operation.because(reason)),
            Outcome::RolledBack => Value::Text("it was rolled back".to_owned()),
        }
    }

    fn each(&self) -> Value {
        self.node.and_then(|node| node.element.clone()).unwrap_or(Value::None)
    }

    fn instance(&self, of: usize, property: InstanceProperty) -> Value {
        let plan = &self.operation.plan;
        let seen = plan.seen.get(&of).and_then(Option::as_ref);
        let text = |text: &String| Value::Text(text.clone());
        match property {
            InstanceProperty::Name => {
                let name = plan.instances.get(of).and_then(|name| render(name, self).ok());
                name.map_or(Value::None, |name| Value::Text(name.text))
            }
            InstanceProperty::Exists => Value::Bool(seen.is_some()),
            InstanceProperty::Kind => seen.map_or(Value::None, |seen| text(&seen.kind)),
            InstanceProperty::Values => {
                let values = seen.into_iter().flat_map(|seen| &seen.values);
                Value::Record(values.map(|(name, value)| (name.clone(), text(value))).collect())
            }
            InstanceProperty::Members => {
                let members = seen.into_iter().flat_map(|seen| &seen.members);
                let list = |slots: &Vec<String>| Value::List(slots.iter().map(text).collect());
                Value::Record(members.map(|(role, slots)| (role.clone(), list(slots))).collect())
            }
        }
    }

    fn secret(&self, _: &SecretRef) -> Option<String> {
        None // I8
    }
}
