//! The shapes of the API's requests and answers. JSON; times in UTC milliseconds; unknown fields are refused.

use std::collections::BTreeMap;

use dsl::plan::Plan;
use engine::operation::{Decision, Entry, NodeId};
use engine::runner::Tail;
use engine::{HostSpec, IfLocked};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// `GET /v1/about`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Version of the process that holds the store.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// What opening the store found and mended.
    pub notes: Vec<String>,
}

/// `POST /v1/operations`. It carries secrets, so it is never logged and has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRequest {
    /// The new operation's id, a UUID of version 7: asking again, when the answer was lost, creates nothing twice.
    pub id: Uuid,
    /// The compiled plan.
    pub plan: Plan,
    /// Scripts and files of the workflow, base64.
    pub assets: BTreeMap<String, String>,
    /// The hosts that fill its roles' slots.
    pub hosts: BTreeMap<String, HostSpec>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, String>,
    /// Who asks.
    pub by: String,
    /// What to do where another operation holds one of its locks.
    #[serde(default)]
    pub if_locked: IfLocked,
}

/// `POST /v1/operations/{id}/resume`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// What undecided nodes mean.
    pub decisions: BTreeMap<NodeId, Decision>,
    /// Who asks.
    pub by: String,
    /// Why.
    pub why: String,
}

/// `GET /v1/operations/{id}/output`: what one attempt's program wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputView {
    /// The node.
    pub node: NodeId,
    /// The attempt.
    pub attempt: u32,
    /// When it ended.
    pub at_ms: u64,
    /// `succeeded` or `failed`.
    pub state: String,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// `GET /v1/operations/{id}/watch`: one line of JSON each, until the operation rests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WatchLine {
    /// A durable entry of the journal.
    Entry(Entry),
    /// Live output of a running node.
    Tail(Tail),
    /// Nothing more comes.
    End {
        /// Whether the process had to stop working on it, and why.
        broken: Option<String>,
    },
}

/// An error, as every route answers it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiError {
    /// `invalid`, `not_found`, `ambiguous`, `refused`, `quarantined`, `needs_engine`, `store`, `internal`.
    pub kind: String,
    /// What happened and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// `POST /v1/operations` answers this.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Created {
    /// The new operation.
    pub id: Uuid,
}
