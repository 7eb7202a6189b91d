//! Plans that operations in hand run: equal ones are held once, however many operations run them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dsl::eval::Scope;
use dsl::expr::HostProperty;
use dsl::plan::Plan;
use dsl::value::{SecretRef, Value};
use store::Store;

use crate::error::Error;
use crate::journal;

/// The plans in use, by digest.
#[derive(Debug, Default)]
pub(super) struct Plans(Mutex<HashMap<String, Weak<Plan>>>);

impl Plans {
    /// The plan with that digest.
    pub fn get(&self, store: &Store, digest: &str) -> Result<Arc<Plan>, Error> {
        // The map is whole after every statement that changes it.
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = lock().get(digest).and_then(Weak::upgrade) {
            return Ok(plan);
        }
        let plan = Arc::new(journal::plan(store, digest)?);
        let mut plans = lock();
        plans.retain(|_, plan| plan.strong_count() > 0);
        plans.insert(digest.to_owned(), Arc::downgrade(&plan));
        Ok(plan)
    }
}

/// What is known before an operation exists: its inputs.
pub(super) struct InputScope<'a>(pub &'a Plan);

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
    fn host(&self, _: HostProperty) -> Value {
        Value::None
    }
    fn role(&self, _: &str, _: HostProperty) -> Value {
        Value::None
    }
    fn operation_id(&self) -> Value {
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
    fn secret(&self, _: &SecretRef) -> Option<String> {
        None // I8
    }
}
