//! What is recorded of instances, and what a plan takes from records.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Action;
use crate::expr::Template;

/// What a `Record` records. What is not said of it is gone afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSpec {
    /// Of what.
    pub of: RecordOf,
    /// What the instance is; of an instance only. Never secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Template>,
    /// The roles whose hosts the instance is made of; of an instance only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<RecordedRole>,
    /// What is kept of it, in the order of the workflow. Never secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(String, Template)>,
}

/// A role whose hosts are recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRole {
    /// What the workflow calls it that records it, whoever calls that: so its records are the same for all.
    pub name: String,
    /// The role of the plan.
    pub role: String,
}

/// Of what there is a record, by a name that is never secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordOf {
    /// Of the instance of that name. Its step has no role.
    Instance(Template),
    /// That the step's host is wired to the registry of that name.
    Wiring(Template),
}

impl RecordOf {
    /// The name of the instance, whose lock the operation must hold.
    pub fn name(&self) -> &Template {
        let (RecordOf::Instance(name) | RecordOf::Wiring(name)) = self;
        name
    }

    pub(crate) fn name_mut(&mut self) -> &mut Template {
        let (RecordOf::Instance(name) | RecordOf::Wiring(name)) = self;
        name
    }
}

/// The records that fill a role when an operation is created. The names follow from inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleSource {
    /// The hosts that are wired to a registry.
    Wired {
        /// Name of its instance.
        registry: Template,
    },
    /// The hosts that an instance is made of.
    Members {
        /// Its name.
        instance: Template,
        /// Those of this role of it; all where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<String>,
    },
}

impl RoleSource {
    /// The name of the instance.
    pub fn name(&self) -> &Template {
        let (RoleSource::Wired { registry: name } | RoleSource::Members { instance: name, .. }) = self;
        name
    }

    pub(crate) fn name_mut(&mut self) -> &mut Template {
        let (RoleSource::Wired { registry: name } | RoleSource::Members { instance: name, .. }) = self;
        name
    }
}

/// The record of an instance, as it was when the operation was created: what `instance` is in expressions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceSeen {
    /// What it is.
    pub kind: String,
    /// The slots of its hosts, by role.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<String, Vec<String>>,
    /// What is kept of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

impl Action {
    /// Whether it changes a record: the engine does it in the commit that says so, and nothing is at work meanwhile.
    pub fn is_record(&self) -> bool {
        matches!(self, Action::Record(_) | Action::Forget(_))
    }
}
