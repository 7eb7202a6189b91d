//! What is known before an operation exists: its inputs.

use dsl::eval::Scope;
use dsl::expr::{Expr, HostProperty, InstanceProperty};
use dsl::plan::Plan;
use dsl::value::{SecretRef, Value};

/// The inputs of a plan.
pub(crate) struct InputScope<'a>(pub &'a Plan);

impl Scope for InputScope<'_> {
    fn input(&self, name: &str) -> Value {
        self.0.inputs.get(name).map_or(Value::None, |input| input.value.clone())
    }
    fn out(&self, _: usize, _: &str) -> Value {
        Value::None
    }
    fn step_state(&self, _: usize) -> Value {
        Value::None
    }
    fn step_changed(&self, _: usize) -> Value {
        Value::None
    }
    fn everywhere(&self, _: &Expr) -> Value {
        Value::None
    }
    fn host(&self, _: HostProperty) -> Value {
        Value::None
    }
    fn role(&self, _: &str, _: HostProperty) -> Value {
        Value::None
    }
    fn operation_id(&self) -> Value {
        Value::None
    }
    fn operation_started_at(&self) -> Value {
        Value::None
    }
    fn operation_state(&self) -> Value {
        Value::None
    }
    fn operation_failure(&self) -> Value {
        Value::None
    }
    fn each(&self) -> Value {
        Value::None
    }
    fn instance(&self, _: usize, _: InstanceProperty) -> Value {
        Value::None
    }
    fn secret(&self, _: &SecretRef) -> Option<String> {
        None // I8
    }
}
