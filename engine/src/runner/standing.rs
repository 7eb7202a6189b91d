//! What those who watch an operation in hand are told.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::operation::NodeId;

/// What watchers of an operation are told: look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The last durable entry.
    pub seq: u64,
    /// Whether this process still works on it.
    pub rest: Standing,
    /// What it waits for of other operations.
    pub waits: Vec<Waits>,
}

/// Something that another operation holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waits {
    /// The node that waits; none where it is the operation itself.
    pub node: Option<NodeId>,
    /// The lock.
    pub lock: String,
    /// Who holds it, as far as this process knows.
    pub held_by: Option<Uuid>,
}

/// Whether this process works on an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Busy,
    /// It does not: the operation has ended or waits for a person.
    AtRest,
    /// It let go of it: the operation can be resumed.
    LetGo,
    /// It had to stop, for this reason; the operation can be resumed.
    Broken(String),
}
