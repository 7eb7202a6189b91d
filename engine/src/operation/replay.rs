//! Replay: the fold of a journal from its first entry.

use std::fmt;
use std::sync::Arc;

use dsl::plan::Plan;

use super::event::Entry;
use super::state::{IllegalEvent, Operation};

/// Why a journal does not give an operation; the operation is quarantined with it (I11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayError {
    /// There is no entry.
    Empty,
    /// An entry cannot be where it is.
    Illegal(IllegalEvent),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Empty => f.write_str("its journal is empty"),
            ReplayError::Illegal(illegal) => write!(f, "its journal is damaged: {illegal}"),
        }
    }
}

impl std::error::Error for ReplayError {}

/// The operation that a journal tells of (I5).
pub fn replay<'a>(plan: Arc<Plan>, entries: impl IntoIterator<Item = &'a Entry>) -> Result<Operation, ReplayError> {
    let mut entries = entries.into_iter();
    let first = entries.next().ok_or(ReplayError::Empty)?;
    let mut operation = Operation::create(plan, first).map_err(ReplayError::Illegal)?;
    for entry in entries {
        operation.apply(entry).map_err(ReplayError::Illegal)?;
    }
    Ok(operation)
}
