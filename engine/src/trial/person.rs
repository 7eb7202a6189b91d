//! The model person: opens gates, and nothing else – unless the run is about what a person can do after a failure.

use std::collections::BTreeMap;

use dsl::plan::Action;

use crate::operation::{Life, NodeId, Operation, Verb};

/// What the person does once the operation has stopped at a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// Nothing.
    Leave,
    /// Resumes it, once.
    Resume,
    /// Asks for a rollback, once.
    RollBack,
}

/// Who asks for the operation; nobody that a gate names.
pub const REQUESTER: &str = "the trial's requester";
/// Who answers where a gate says nothing of that.
const PERSON: &str = "the trial's person";

/// What the person does now, and as whom.
pub fn next(operation: &Operation, afterwards: Option<Afterwards>, reject: Option<&NodeId>) -> Option<(Verb, String)> {
    if let Some(gate) = operation.open_gates().next() {
        let approvers = operation.node(gate).map(|node| match &operation.step_of(node).action {
            Action::Gate { approvers, .. } => approvers.as_slice(),
            _ => &[],
        });
        let by = approvers.and_then(<[String]>::first).map_or(PERSON, String::as_str);
        let what = vec![gate.to_string()];
        let verb = if reject == Some(gate) { Verb::Reject { what } } else { Verb::Approve { what } };
        return Some((verb, by.to_owned()));
    }
    if !matches!(operation.life, Life::FailedTemp { .. }) {
        return None;
    }
    let verb = match afterwards? {
        Afterwards::Leave => return None,
        Afterwards::Resume => Verb::Resume { decisions: BTreeMap::new() },
        Afterwards::RollBack => Verb::Rollback,
    };
    Some((verb, PERSON.to_owned()))
}
