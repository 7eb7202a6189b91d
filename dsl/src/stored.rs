//! Plans as they are stored: JSON with a format number.
//!
//! What comes from a store may come from another version, or be damaged. It is checked against the plan's invariants before
//! anyone relies on them.

use crate::plan::{FORMAT, Plan};

/// The oldest format that is read.
const OLDEST: u32 = if FORMAT > 1 { FORMAT - 1 } else { 1 };

/// Why a stored plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It was written by a newer engine: this operation waits until one is installed.
    #[error("the plan has format {found}, but this engine reads formats up to {newest}: install a newer engine")]
    NeedsEngine {
        /// The plan's format.
        found: u32,
        /// The newest that this build reads.
        newest: u32,
    },
    /// It was written by an engine that is too old.
    #[error(
        "the plan has format {found}, but this engine reads formats from {oldest} on: continue it with an older engine"
    )]
    TooOld {
        /// The plan's format.
        found: u32,
        /// The oldest that this build reads.
        oldest: u32,
    },
    /// It is no plan.
    #[error("the plan cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// It contradicts itself.
    #[error("the plan is damaged: {0}")]
    Invalid(String),
}

impl Plan {
    /// The plan as it is stored.
    pub fn to_json(&self) -> Result<Vec<u8>, PlanError> {
        serde_json::to_vec(self).map_err(PlanError::Malformed)
    }

    /// Reads a stored plan, and checks that its parts fit together.
    pub fn from_json(bytes: &[u8]) -> Result<Plan, PlanError> {
        /// Only the format: all else may differ in another one.
        #[derive(serde::Deserialize)]
        struct Format {
            format: u32,
        }
        let found = serde_json::from_slice::<Format>(bytes).map_err(PlanError::Malformed)?.format;
        if found > FORMAT {
            return Err(PlanError::NeedsEngine { found, newest: FORMAT });
        }
        if found < OLDEST {
            return Err(PlanError::TooOld { found, oldest: OLDEST });
        }
        let plan: Plan = serde_json::from_slice(bytes).map_err(PlanError::Malformed)?;
        plan.validate().map_err(PlanError::Invalid)?;
        Ok(plan)
    }
}
