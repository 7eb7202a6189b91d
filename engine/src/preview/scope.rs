//! A scope that notes what it was asked for and does not know.
//!
//! Invariant: a value that was computed without a note is the one that a run computes. Where something was noted, whatever came out
//! means nothing, not even an error.

use std::cell::RefCell;
use std::collections::BTreeSet;

use dsl::eval::Scope;
use dsl::expr::{Expr, HostProperty};
use dsl::value::{SecretRef, Value};

use super::course::Course;
use crate::operation::{CoreScope, Node};
use crate::runner::EdgeScope;

/// The scope of a node in a run that is supposed.
pub(super) struct Noting<'a> {
    edge: EdgeScope<'a>,
    course: &'a Course,
    noted: RefCell<BTreeSet<String>>,
}

impl<'a> Noting<'a> {
    pub fn new(course: &'a Course, node: Option<&'a Node>) -> Noting<'a> {
        let core = CoreScope { operation: course.operation(), node };
        Noting { edge: EdgeScope { core, vault: course.vault() }, course, noted: RefCell::default() }
    }

    /// What was asked for and is not known: ids of steps, or names such as `operation.id`.
    pub fn noted(&self) -> BTreeSet<String> {
        self.noted.borrow().clone()
    }

    fn note_step(&self, step: usize) {
        self.note_nodes(step, self.edge.core.nodes_read(step));
    }

    fn note_nodes(&self, step: usize, nodes: &[Node]) {
        if self.course.is_unknown(step) || !nodes.iter().all(|node| self.course.is_known(node)) {
            let id = self.course.operation().plan.steps.get(step).map(|step| step.id.clone());
            self.noted.borrow_mut().extend(id);
        }
    }

    fn note(&self, what: &str) {
        self.noted.borrow_mut().insert(what.to_owned());
    }

    /// How the operation ends is asked for in `finally`; what stands before runs while it runs.
    fn note_end(&self, what: &str) {
        let core = &self.edge.core;
        if core.node.is_none_or(|node| core.operation.plan.steps[node.step].finally.is_some()) {
            self.note(what);
        }
    }
}

impl Scope for Noting<'_> {
    fn input(&self, name: &str) -> Value {
        self.edge.input(name)
    }
    fn out(&self, step: usize, name: &str) -> Value {
        self.note_step(step);
        self.edge.out(step, name)
    }
    fn step_state(&self, step: usize) -> Value {
        self.note_step(step);
        self.edge.step_state(step)
    }
    fn step_changed(&self, step: usize) -> Value {
        self.note_step(step);
        self.edge.step_changed(step)
    }
    fn everywhere(&self, of: &Expr) -> Value {
        if let Expr::Out { step, .. } | Expr::StepState(step) | Expr::StepChanged(step) = of {
            self.note_nodes(*step, self.course.operation().nodes_of(*step));
        }
        self.edge.everywhere(of)
    }
    fn host(&self, property: HostProperty) -> Value {
        self.edge.host(property)
    }
    fn role(&self, role: &str, property: HostProperty) -> Value {
        self.edge.role(role, property)
    }
    fn operation_id(&self) -> Value {
        self.note("operation.id");
        self.edge.operation_id()
    }
    fn operation_started_at(&self) -> Value {
        self.note("operation.started_at");
        self.edge.operation_started_at()
    }
    fn operation_state(&self) -> Value {
        self.note_end("operation.state");
        self.edge.operation_state()
    }
    fn operation_failure(&self) -> Value {
        self.note_end("operation.failure");
        self.edge.operation_failure()
    }
    fn each(&self) -> Value {
        self.edge.each()
    }
    fn secret(&self, name: &SecretRef) -> Option<String> {
        self.edge.secret(name)
    }
}
