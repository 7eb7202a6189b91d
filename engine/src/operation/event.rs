//! The events of an operation: everything that can happen to it, complete from the start (D4).
//!
//! Format rules: an event is one JSON object in one journal entry, and `Created` says in which format the journal is.
//! - *New reader, old data:* every format from [`OLDEST_FORMAT`] on is read, and replayed to the same state as before: a field
//!   that is added has `#[serde(default)]`, and the default means what the older format meant by its absence. A journal goes
//!   on in the form of its reader; `Created` keeps the number of the format that it began with.
//! - *Old reader, new data:* it ignores nothing. A higher number in `Created`, or an event or a field that it does not know,
//!   makes the operation wait as `NeedsEngine`; nothing of it is changed, and the others go on.
//! - A journal of every format is kept in `engine/tests/golden/` and replayed by a test.
//!
//! Invariant: no event holds the text of a secret (I8); inputs and hosts name secrets by [`dsl::value::SecretRef`].

use std::collections::BTreeMap;

use dsl::value::Value;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::hosts::HostRecord;
use super::node::{Failure, NodeId, OutputRef, Proof, Skip, Unknown};
use super::records::Change;

/// The oldest format of journal entries that this build reads.
pub const OLDEST_FORMAT: u32 = 1;

/// The format of journal entries that this build writes.
pub const JOURNAL_FORMAT: u32 = 2;

/// One entry of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Position in the journal, from 1, without gaps.
    pub seq: u64,
    /// UTC milliseconds; never before the entry in front of it (D6).
    pub at_ms: u64,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The operation exists. Expands every step whose keys are already known (D2).
    Created {
        /// [`JOURNAL_FORMAT`] of the writer.
        format: u32,
        /// The operation.
        operation: Uuid,
        /// Digest of the plan's blob (D3).
        plan: String,
        /// Name of the workflow, for lists.
        workflow: String,
        /// Who asked for it.
        by: String,
        /// The hosts, by slot.
        hosts: BTreeMap<String, HostRecord>,
        /// What no other operation may hold while this one is open: `instance/NAME` and `lock/NAME`, sorted (D8).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        locks: Vec<String>,
    },
    /// Its locks were taken, all at once (D8): it begins.
    Locked,
    /// The keys of a step became known while the operation ran.
    Expanded {
        /// Id of the step.
        step: String,
        /// Its keys.
        keys: Vec<String>,
        /// The elements that the keys stand for, in the same order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        elements: Vec<Value>,
    },
    /// The intent: an attempt may begin only after this is durable (I1).
    Started {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
        /// Generation of the host it is for (D7).
        generation: u32,
        /// Incarnation of the store that started it: one more after each restore from a backup.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        incarnation: u32,
    },
    /// An attempt that the journal does not know was found on its host: it was begun after the backup that this store was
    /// restored from.
    Found {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
        /// Incarnation of the store that started it.
        incarnation: u32,
    },
    /// A running attempt was found again on its host.
    Reattached {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
    },
    /// The attempt did what it should.
    Succeeded {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
        /// Values for later steps.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        out: BTreeMap<String, Value>,
        /// Whether it did something that was not so before.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        changed: bool,
        /// How it is known.
        proof: Proof,
        /// What the program wrote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<OutputRef>,
        /// What it makes of records: done by the commit that keeps this entry (D10).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        records: Vec<Change>,
    },
    /// The attempt failed.
    Failed {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
        /// How.
        failure: Failure,
        /// What the program wrote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<OutputRef>,
    },
    /// Nobody knows how the attempt ended.
    Indeterminate {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
        /// Why it is not known.
        why: Unknown,
    },
    /// The node is not needed.
    Skipped {
        /// Which node.
        node: NodeId,
        /// Why.
        why: Skip,
    },
    /// Something it depends on did not succeed (I3).
    NotReached {
        /// Which node.
        node: NodeId,
    },
    /// Another attempt follows, not before this time.
    RetryAt {
        /// Which node.
        node: NodeId,
        /// The attempt that failed.
        attempt: u32,
        /// UTC milliseconds, absolute (D6).
        at_ms: u64,
    },
    /// A slot got a new machine (D7).
    HostReplaced {
        /// The slot.
        slot: String,
        /// The new host.
        host: HostRecord,
    },
    /// A gate was opened by a person.
    Approved {
        /// The gate's node.
        node: NodeId,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// A gate was closed by a person.
    Rejected {
        /// The gate's node.
        node: NodeId,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// The intent to undo a node; attempts are numbered together with those of `do`.
    UndoStarted {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
        /// Incarnation of the store that started it.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        incarnation: u32,
    },
    /// The node's effect is undone.
    Undone {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
        /// What it makes of records, as in `Succeeded`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        records: Vec<Change>,
    },
    /// The undo failed.
    UndoFailed {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
        /// How.
        failure: Failure,
    },
    /// There is nothing to undo, or no host to undo it on.
    UndoSkipped {
        /// Which node.
        node: NodeId,
        /// Why.
        why: UndoSkip,
    },
    /// Verb: nothing more is started.
    PauseAsked {
        /// Who: a person, or `engine`.
        by: String,
        /// Why.
        why: String,
    },
    /// A paused operation goes on.
    Resumed {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// What failed or was not reached is tried again.
    Retried {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// A person said what an unknown outcome means.
    Decided {
        /// Which node.
        node: NodeId,
        /// Which attempt.
        attempt: u32,
        /// What it means.
        decision: Decision,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Verb: a person says that a node's effect is there, and what it put out.
    Marked {
        /// Which node.
        node: NodeId,
        /// Values for later steps.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        out: BTreeMap<String, Value>,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Verb: it ends as FailedTemp (D5).
    CancelAsked {
        /// How.
        mode: CancelMode,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// What was done is undone.
    RollbackAsked {
        /// Who: a person, or `engine` by a step's `on_failure`.
        by: String,
        /// Why.
        why: String,
    },
    /// Verb: FailedTemp becomes Failed.
    FailAsked {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Verb: abandoned as it is; jobs may still run on hosts.
    Killed {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// A new epoch for these nodes: the only thing that lets a succeeded node run again (I2).
    Reset {
        /// Which nodes.
        nodes: Vec<NodeId>,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// All but the steps of `finally` is over, like this; they follow.
    Finally {
        /// How it ended.
        outcome: Outcome,
    },
    /// The operation ended.
    Ended {
        /// How.
        outcome: Outcome,
    },
}

fn first() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn is_yes(yes: &bool) -> bool {
    *yes
}

fn is_first(incarnation: &u32) -> bool {
    *incarnation == 1
}

/// Why an undo was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoSkip {
    /// The step has no `undo`.
    NoUndo,
    /// The generation of the host it was done on is gone (D7).
    HostGone,
    /// A person said so.
    ByOperator {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
}

/// What a person says that an unknown outcome means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Run it again.
    Rerun,
    /// The effect is there.
    Done,
}

/// How a cancel treats what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelMode {
    /// It may end.
    Graceful,
    /// It is killed, and the kill verified.
    Forceful,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every node succeeded or was skipped.
    Completed {
        /// The workflow's outputs.
        outputs: BTreeMap<String, String>,
    },
    /// It can be resumed, rolled back or failed for good.
    FailedTemp {
        /// Why.
        reason: FailedBecause,
    },
    /// It was undone.
    RolledBack,
}

/// Why an operation is in FailedTemp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedBecause {
    /// These nodes failed.
    Nodes(Vec<NodeId>),
    /// Somebody cancelled it; format 1 did not say who.
    Cancelled,
    /// Somebody, or its deadline, cancelled it.
    CancelledBy {
        /// Who: a person, or `engine`.
        by: String,
        /// Why.
        why: String,
    },
    /// The elements of a step's `each` could not be told.
    Each {
        /// Id of the step.
        step: String,
        /// Why.
        why: String,
    },
    /// An output could not be computed.
    Outputs(String),
}
