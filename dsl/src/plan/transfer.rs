//! Files that are brought from a host, and from one host to another.

use serde::{Deserialize, Serialize};

use crate::expr::Template;

/// A file of a host, brought to the engine's own machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownloadSpec {
    /// Absolute path on the host; never secret.
    pub from: Template,
    /// Absolute path on the machine of the engine; never secret.
    pub to: Template,
    /// Permission bits. Absent: those of the file on the host, or of the one that is here already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// A file of one host, brought to another through the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopySpec {
    /// The role of the one host that has it.
    pub from_role: String,
    /// Absolute path there; never secret.
    pub from: Template,
    /// Absolute path on the host of the step; never secret.
    pub to: Template,
    /// Permission bits. Absent: those of the file that is copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Its owner, a name or a number; never secret. Absent: whoever writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Template>,
    /// Its group, likewise. Absent: what the host gives a new file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Template>,
    /// Whether the file that was there is kept until the operation has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
}
