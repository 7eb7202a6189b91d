//! The shapes of the API's requests and answers. JSON; times in UTC milliseconds; unknown fields are refused.

use std::collections::BTreeMap;

use dsl::plan::Plan;
use engine::operation::{Entry, NodeId, Record, Verb};
use engine::runner::{Moving, Retention, Tail, Waits};
use engine::view::Now;
use engine::{HostSpec, IfLocked, Kind};
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

/// `PUT /v1/secrets/{name}`. It carries a secret, so it is never logged and has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSet {
    /// The secret.
    pub value: String,
}

/// `PUT /v1/secrets/{name}` answers this.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSetAnswer {
    /// Whether there was one of that name.
    pub replaced: bool,
}

/// `POST /v1/secrets/{name}/rename`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRename {
    /// The other name.
    pub to: String,
}

/// `POST /v1/secrets/values`: the answer has those of the names that there are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretValues {
    /// Of which secrets.
    pub names: Vec<String>,
}

/// A secret in an answer; it has no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct SecretValue(pub String);

/// `POST /v1/operations/{id}/verb`; the answer is the operation's view after it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerbRequest {
    /// What is asked.
    pub verb: Verb,
    /// Who asks.
    pub by: String,
    /// Why.
    pub why: String,
}

/// `GET /v1/operations`: one of the operations.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The operation.
    pub id: Uuid,
    /// Name of its workflow.
    pub workflow: String,
    /// State by ETSI SOL003, such as `PROCESSING`.
    pub state: String,
    /// What becomes of it.
    pub now: Now,
    /// What it waits for, where it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// What it waits for of other operations, where a process works on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Waits>,
    /// Whether it may go on by itself or by a verb.
    pub open: bool,
    /// UTC milliseconds.
    pub created_at_ms: u64,
    /// Who asked for it.
    pub by: String,
}

/// `GET /v1/instances`: an instance of which something is recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceRow {
    /// Its name.
    pub name: String,
    /// Its record; none where hosts are wired to it and nothing else is known.
    pub record: Option<Record>,
    /// How many hosts are wired to it.
    pub wired: usize,
    /// The operation that holds its lock.
    pub held_by: Option<Uuid>,
}

/// `GET /v1/instances/{name}`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceView {
    /// Its name.
    pub name: String,
    /// Its record.
    pub record: Option<Record>,
    /// The records of hosts that are wired to it, by host.
    pub wirings: BTreeMap<String, Record>,
    /// The operation that holds its lock.
    pub held_by: Option<Uuid>,
}

/// `POST /v1/recover`: what goes on, and what cannot (I11).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveredAnswer {
    /// Operations that go on.
    pub taken: Vec<Uuid>,
    /// Operations that cannot, and why.
    pub left: Vec<Left>,
}

/// An operation that cannot go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// The operation.
    pub id: Uuid,
    /// Why.
    pub why: String,
    /// What to do.
    pub hint: Option<String>,
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
    /// How far the transfer of a running node is.
    Moving(Moving),
    /// What it waits for of other operations has changed.
    Waits(Vec<Waits>),
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
    /// `invalid`, `not_found`, `ambiguous`, `refused`, `changed`, `quarantined`, `needs_engine`, `store`, `internal`.
    pub kind: String,
    /// What happened and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The word for a kind of error.
pub fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "invalid",
        Kind::NotFound => "not_found",
        Kind::Ambiguous => "ambiguous",
        Kind::Refused => "refused",
        Kind::Changed => "changed",
        Kind::Quarantined => "quarantined",
        Kind::NeedsEngine => "needs_engine",
        Kind::Store => "store",
        Kind::Internal => "internal",
    }
}

/// `POST /v1/operations` answers this.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Created {
    /// The new operation.
    pub id: Uuid,
}

/// `GET /v1/store/verify`: what was looked at, and what is wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyAnswer {
    /// Commits whose content is there.
    pub commits: u64,
    /// Keys that are live.
    pub keys: u64,
    /// Blobs.
    pub blobs: u64,
    /// Sealed files.
    pub sealed: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What is wrong; empty when all is as it should be.
    pub problems: Vec<StoreProblem>,
}

/// Something in the store that is not as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreProblem {
    /// What is wrong, and where.
    pub what: String,
    /// The operation that it belongs to, if it is known.
    pub operation: Option<Uuid>,
    /// What to do.
    pub hint: String,
}

impl From<store::Verification> for VerifyAnswer {
    fn from(found: store::Verification) -> VerifyAnswer {
        let problems = found.problems.into_iter().map(|problem| StoreProblem {
            what: problem.to_string(),
            operation: problem.operation.map(Uuid::from_bytes),
            hint: problem.hint.to_owned(),
        });
        VerifyAnswer {
            problems: problems.collect(),
            commits: found.commits,
            keys: found.keys,
            blobs: found.blobs,
            sealed: found.sealed,
            bytes: found.bytes,
        }
    }
}

/// `POST /v1/store/compact`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompactAnswer {
    /// Size of log and index before it.
    pub before_bytes: u64,
    /// Their size after it.
    pub after_bytes: u64,
    /// Keys that are live.
    pub keys: u64,
}

impl From<store::Compacted> for CompactAnswer {
    fn from(done: store::Compacted) -> CompactAnswer {
        CompactAnswer { before_bytes: done.before_bytes, after_bytes: done.after_bytes, keys: done.entries }
    }
}

/// `POST /v1/store/release`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Release it also where a host could not be asked.
    pub force: bool,
    /// Only look.
    pub dry_run: bool,
}

/// `POST /v1/prune`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PruneRequest {
    /// Operations that have ended for good, but those that are to stay.
    Ended(Retention),
    /// One operation that cannot be read any more.
    Quarantined {
        /// A part of its id.
        operation: String,
        /// Only say what would go.
        dry_run: bool,
    },
}

/// `POST /v1/store/backup`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// The folder that is made, from the root.
    pub to: String,
}

/// A backup that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupAnswer {
    /// Where it is.
    pub folder: String,
    /// When, UTC milliseconds.
    pub at_ms: u64,
    /// Blobs in it.
    pub blobs: u64,
    /// Sealed files in it.
    pub sealed: u64,
    /// Its size.
    pub bytes: u64,
    /// Files that are damaged, and are not in it.
    pub left_out: Vec<String>,
}

impl From<store::Backup> for BackupAnswer {
    fn from(made: store::Backup) -> BackupAnswer {
        BackupAnswer {
            folder: made.folder.display().to_string(),
            at_ms: made.at_ms,
            blobs: made.blobs,
            sealed: made.sealed,
            bytes: made.bytes,
            left_out: made.left_out.iter().map(|path| path.display().to_string()).collect(),
        }
    }
}
