//! The plan: a workflow compiled for given inputs and roles.
//!
//! A static DAG of steps, self-contained: it is stored with the operation as a blob (D3) and never changed by editing the
//! file. How many nodes a step has is no part of it; that is an event (D2).
//!
//! Invariant: `steps` stand in a valid order – every edge points to a smaller index – so that a plan with a cycle cannot be
//! written down.

pub(crate) mod exprs;
mod files;
mod here;
mod records;
mod transfer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use files::{Datum, FileContent, FileSpec, Patch, ReplaceLine};
pub use here::{Body, Ca, Mail, MailTls, Method, Notice, Recipient, Request, Site};
pub use records::{InstanceSeen, RecordOf, RecordSpec, RecordedRole, RoleSource};
pub use transfer::{CopySpec, DownloadSpec};

use crate::expr::{Expr, Template};
use crate::types::{Field, Type};
use crate::value::Value;

/// The format that this build writes; it reads this one and the one before.
pub const FORMAT: u32 = 2;

/// A compiled workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT`] of the build that wrote it.
    pub format: u32,
    /// Name of the workflow.
    pub workflow: String,
    /// What the workflow is for.
    pub about: String,
    /// The inputs with the values given or defaulted; secrets by reference.
    pub inputs: BTreeMap<String, Input>,
    /// The roles with the slots that fill them.
    pub roles: BTreeMap<String, Role>,
    /// The steps; every edge points backwards.
    pub steps: Vec<Step>,
    /// What the operation gives when it has completed. Never secret.
    pub outputs: BTreeMap<String, Template>,
    /// The scripts and files that steps name, by their path relative to the workflow.
    pub assets: BTreeMap<String, Asset>,
    /// Groups of steps that hosts pass through in batches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Names that no other operation may hold while this one is open (D8). Never secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Template>,
    /// The instances that it touches: their locks are taken as those of `locks` are (D8). Never secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Template>,
    /// How long the operation may take before it is cancelled, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Hosts that a role would have, but for the limit that the operation was asked with. Whoever asks puts them in; they are
    /// shown, and nothing else is done with them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, Vec<String>>,
    /// The records of instances that expressions read, by their place in `instances`; none where there was none. Put in and compared
    /// as the slots of roles that are filled from records.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<usize, Option<InstanceSeen>>,
}

/// Steps that a host passes through together: a host enters when a place is free, and leaves when its last step of the
/// group is over. Admission is a rule of the scheduler, not an edge (D2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Name within the workflow.
    pub id: String,
    /// The role whose hosts pass through, in the order of its slots. Every step of the group runs on it.
    pub role: String,
    /// How many hosts may be in it at once: the first batch, the next one, …; the last number counts for all that follow.
    /// Empty: no limit.
    pub sizes: Vec<u32>,
    /// How long after a host has left before the next one enters, in milliseconds.
    pub pause_ms: u64,
    /// After so many hosts with a failure no further host enters.
    pub stop_after: Option<u32>,
    /// Index of the gate that a person opens after the first batch has left.
    pub gate: Option<usize>,
    /// The `where` of the role, as it stands in the `when` of each step too: a host for which it is false passes by, and takes no
    /// place in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Expr>,
    /// A text: hosts of one such text are inside at once, and the texts follow each other in the order of the role's slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Expr>,
}

/// An input of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its declared type.
    pub field: Field,
    /// Its value; secrets are [`Value::Secret`].
    pub value: Value,
}

/// A role and who fills it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// `One`: its host can be named as `roles.NAME`.
    pub one: bool,
    /// The slots, in the order given; unique.
    pub slots: Vec<String>,
    /// The records that the slots are from. Whoever creates an operation puts the slots in, and the engine compares them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RoleSource>,
}

/// A file that belongs to the workflow; its bytes are a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// Size in bytes.
    pub size_bytes: u64,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Name within the workflow.
    pub id: String,
    /// What a person reads.
    pub about: Option<String>,
    /// The role it runs on: one node per slot. Absent: it runs from here, as one node.
    pub role: Option<String>,
    /// The role at whose one host its nodes run, each about its own host. Absent: each at its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<String>,
    /// What must be over before it.
    pub needs: Vec<Edge>,
    /// A condition; false is `Skipped(WhenFalse)`. Never secret, and reads nothing of secrets but their presence.
    pub when: Option<Expr>,
    /// The read-only question whether the effect is there (D13).
    pub probe: Option<Probe>,
    /// What it does.
    pub action: Action,
    /// What compensates it.
    pub undo: Option<Action>,
    /// Its program only reads: it lives and dies with its connection, leaves nothing on the host, and is harmless to repeat.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads: bool,
    /// What an unknown outcome means.
    pub interrupted: Interrupted,
    /// When to try again.
    pub retry: Retry,
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// What a failure means for the operation.
    pub on_failure: OnFailure,
    /// What later steps may read of it.
    pub out: BTreeMap<String, Out>,
    /// Environment of the program; may be secret.
    pub env: BTreeMap<String, Template>,
    /// Standard input of the program; may be secret.
    pub stdin: Option<Template>,
    /// The user that the program runs as, by sudo; the login user where absent.
    pub as_user: Option<Template>,
    /// The folder that its programs start in: an absolute path, never secret. That of the login where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Template>,
    /// Exit codes of `do` that are success; empty: 0 alone. Those that an [`Out::ExitIs`] names are success too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ok_exit: Vec<i32>,
    /// How long its program may write nothing before the attempt is ended, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    /// A list: one node for each of its elements, on the one host of its role. Known when the steps it reads are over (D2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Expr>,
    /// How many of its nodes run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
    /// Names that one node at a time holds while it runs, across operations. Never secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Template>,
    /// Index of its group in [`Plan::groups`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// It stands in `finally`: it runs when everything else is over, if that ended like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<OnState>,
    /// Why secrets may stand in its arguments and URLs, where others can see them. Absent: they may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_secret_args: Option<String>,
}

/// After which ends a step of `finally` runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnState {
    /// After all.
    Always,
    /// After every step has succeeded or was skipped.
    Succeeded,
    /// After a failure, a rollback too.
    Failed,
    /// After a cancel, or the deadline.
    Cancelled,
}

/// An edge to an earlier step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Index of the earlier step.
    pub step: usize,
    /// How nodes are matched.
    pub kind: EdgeKind,
    /// Where the edge comes from.
    pub origin: EdgeOrigin,
    /// A failure of the earlier step will do, and so will that it was not reached.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
}

impl Edge {
    /// An edge that is written in `needs`, and wants a success.
    pub fn needs(step: usize, kind: EdgeKind) -> Edge {
        Edge { step, kind, origin: EdgeOrigin::Needs, settled: false }
    }
}

/// How the nodes of two steps are matched (D2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// The same role: host by host.
    Keyed,
    /// Another role, or `All`: all nodes of the earlier step.
    Barrier,
}

/// Where an edge comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeOrigin {
    /// Written in `needs`.
    Needs,
    /// A reference such as `steps.x.out.y`.
    Reference,
}

/// The read-only question of a step: exit 0 = the effect is there, 1 = it is not, anything else = unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// A `Run`, `Shell` or `Script`.
    pub action: Action,
    /// It is not asked before `do`, which always runs; only after an unknown outcome.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub always: bool,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A program with its arguments; each element reaches it as exactly one argument.
    Run {
        /// Program and arguments; never empty; secret only by [`Step::allow_secret_args`].
        argv: Vec<Template>,
    },
    /// Shell text, run by `/bin/sh`; nothing is ever spliced into it.
    Shell {
        /// The text.
        text: String,
    },
    /// A script of the workflow.
    Script {
        /// Path in [`Plan::assets`].
        asset: String,
        /// Its arguments, as in `Run`.
        args: Vec<Template>,
    },
    /// A file brought to the host: temporary name, checked, renamed.
    Upload {
        /// What.
        from: UploadFrom,
        /// Absolute path on the host; never secret.
        to: Template,
        /// Permission bits, such as `0o644`.
        mode: Option<u32>,
    },
    /// Waiting until something is so.
    Wait {
        /// What.
        until: Until,
        /// For how long at most, in milliseconds.
        within_ms: u64,
        /// How long between two looks, in milliseconds.
        every_ms: u64,
    },
    /// Waiting for a person to approve or reject. Its step has no role.
    Gate {
        /// What is asked; never secret.
        text: Template,
        /// Who may answer; anybody where empty.
        approvers: Vec<String>,
        /// Whoever asked for the operation may not answer.
        not_requester: bool,
        /// For how long at most, in milliseconds.
        within_ms: Option<u64>,
        /// What no answer in that time means.
        otherwise: Otherwise,
    },
    /// Files with a given content; all are looked at before the first is written.
    WriteFiles {
        /// Which; never empty.
        files: Vec<FileSpec>,
    },
    /// Some of what is in a file, the rest left as it is. What was there is kept until the operation has ended.
    PatchFile {
        /// Absolute path on the host; never secret.
        path: Template,
        /// With what.
        patch: Patch,
        /// Whether a file that is not there is taken for an empty one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        create: bool,
    },
    /// A file of the host brought to the engine's own machine.
    Download(DownloadSpec),
    /// A file of another host brought to this one, through the engine.
    Copy(CopySpec),
    /// Starting the host anew.
    Reboot {
        /// How long it may take until it is back, in milliseconds.
        within_ms: u64,
    },
    /// Asking a host for its facts: [`crate::host_facts`]. No person writes such a step.
    Facts,
    /// As an undo: puts back what the step's action has kept, or removes the file where there was none.
    Restore,
    /// A condition that must hold, or the step fails.
    Assert {
        /// Never secret, and reads nothing of secrets but their presence.
        condition: Expr,
        /// What is said where it does not hold; never secret.
        text: Template,
    },
    /// A program on the engine's machine, as in `Run`.
    Local {
        /// Program and arguments; never empty.
        argv: Vec<Template>,
    },
    /// A request from the engine's machine.
    Http(Request),
    /// Something is told to people.
    Notify(Notice),
    /// What is known of an instance, or of a wiring, is recorded beyond the operation.
    Record(RecordSpec),
    /// The record of an instance, or of a wiring, is removed.
    Forget(RecordOf),
}

/// What no answer at a gate means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// It counts as approved.
    Approve,
    /// It counts as rejected: the step fails.
    Reject,
}

/// What an `Upload` brings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadFrom {
    /// An expression of type `File`.
    File(Expr),
    /// A file of the workflow: a path in [`Plan::assets`].
    Asset(String),
}

/// What a `Wait` waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The host accepts our login and runs a command.
    Ssh,
    /// A TCP port of the host accepts a connection from here.
    Tcp {
        /// The port, as text.
        port: Template,
    },
    /// A GET from here answers with one of these statuses.
    Http {
        /// As in [`Request::url`].
        url: Template,
        /// Statuses that count.
        status: Vec<u16>,
        /// As in [`Request::ca`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<Ca>,
    },
    /// A port of the host answers a TLS handshake with a certificate that is to be trusted.
    Tls {
        /// The port, as text.
        port: Template,
        /// The name that it must be valid for; the host's address where absent. Never secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<Template>,
        /// As in [`Request::ca`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<Ca>,
        /// How long it must stay valid, in milliseconds.
        valid_for_ms: u64,
    },
    /// A program on the host, which only reads, ends with 0.
    Command {
        /// Program and arguments; never secret, never empty.
        argv: Vec<Template>,
    },
}

/// What an unknown outcome means (LANGUAGE, `interrupted`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interrupted {
    /// Re-attach to the job; where that gives no answer, a probe if there is one, else a person.
    Reattach,
    /// Ask the probe.
    Probe,
    /// Do it again: the action is harmless when repeated.
    Rerun,
    /// Undo, then do it again.
    UndoThenRerun,
    /// Ask a person.
    Ask,
}

/// What a failure means for the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Nothing more is started.
    Stop,
    /// Other branches go on; the operation fails at the end.
    Continue,
    /// What was done is undone in reverse.
    Rollback,
}

/// When a failed attempt is followed by another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub times: u32,
    /// The wait before the second attempt, in milliseconds.
    pub wait_ms: u64,
    /// Each further wait is this much longer, at least 1.
    pub factor: f64,
    /// No wait is longer, in milliseconds.
    pub cap_ms: u64,
    /// Which failures.
    pub on: Vec<RetryOn>,
    /// Each wait is longer by up to this part of it, so that many failures at once do not come back at once; 0 to 1.
    #[serde(default = "jitter", skip_serializing_if = "is_jitter")]
    pub jitter: f64,
}

/// The jitter where nothing is said.
pub(crate) const JITTER: f64 = 0.25;

fn jitter() -> f64 {
    JITTER
}

fn is_jitter(jitter: &f64) -> bool {
    *jitter == JITTER
}

/// A class of failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// The host could not be reached, or the connection was lost.
    Connection,
    /// The attempt took too long.
    Timeout,
    /// The program ended with one of these codes.
    Exit(Vec<i32>),
    /// A server answered with one of these statuses.
    Status(Vec<u16>),
    /// Whatever failed.
    Any,
}

/// How a step's output value is taken from what its program did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Out {
    /// The whole standard output, without trailing line ends.
    Stdout {
        /// Type that the text is parsed as.
        ty: Type,
    },
    /// The first capture group (or the whole match) of a pattern in standard output.
    Regex {
        /// A pattern of the `regex` crate.
        pattern: String,
        /// Type that the text is parsed as.
        ty: Type,
    },
    /// A value in standard output, which is JSON.
    Json {
        /// Where in it, as [`crate::json`] describes.
        path: String,
        /// Its type.
        ty: Type,
    },
    /// The content of a file on the host when the program has succeeded, without line ends at its end.
    File {
        /// Absolute path; never secret.
        path: Template,
        /// Type that the text is parsed as.
        ty: Type,
    },
    /// What the exit code says. Each of these codes is success.
    ExitIs {
        /// Codes that mean `true`.
        true_on: Vec<i32>,
        /// Codes that mean `false`.
        false_on: Vec<i32>,
    },
    /// The status of an answer.
    Status,
    /// A header of an answer: the first one of that name.
    Header {
        /// Its name, in small letters.
        name: String,
        /// Type that the text is parsed as.
        ty: Type,
    },
    /// What another way takes is a secret text: it is sealed, and what the program wrote is not kept (D9).
    Secret(Box<Out>),
}

impl Out {
    /// The type of the value.
    pub fn ty(&self) -> Type {
        match self {
            Out::Stdout { ty }
            | Out::Regex { ty, .. }
            | Out::Json { ty, .. }
            | Out::File { ty, .. }
            | Out::Header { ty, .. } => ty.clone(),
            Out::ExitIs { .. } => Type::Bool,
            Out::Status => Type::Int,
            Out::Secret(_) => Type::Text,
        }
    }

    /// Whether the value is a secret.
    pub fn is_secret(&self) -> bool {
        matches!(self, Out::Secret(_))
    }

    /// How it is taken, whether it is secret or not.
    pub fn way(&self) -> &Out {
        match self {
            Out::Secret(way) => way,
            way => way,
        }
    }
}

impl Step {
    /// A step with nothing but a name, where it runs, and what it does: one attempt of up to an hour.
    pub fn new(id: impl Into<String>, role: Option<&str>, action: Action) -> Step {
        Step {
            id: id.into(),
            about: None,
            role: role.map(str::to_owned),
            run_at: None,
            needs: Vec::new(),
            when: None,
            probe: None,
            action,
            undo: None,
            reads: false,
            interrupted: Interrupted::Reattach,
            retry: Retry { times: 1, wait_ms: 0, factor: 1.0, cap_ms: 0, on: Vec::new(), jitter: JITTER },
            timeout_ms: 3_600_000,
            on_failure: OnFailure::Stop,
            out: BTreeMap::new(),
            env: BTreeMap::new(),
            stdin: None,
            as_user: None,
            cwd: None,
            ok_exit: Vec::new(),
            idle_timeout_ms: None,
            each: None,
            parallel: None,
            locks: Vec::new(),
            group: None,
            finally: None,
            allow_secret_args: None,
        }
    }
}

impl Step {
    /// The exit codes of `do` that are success.
    pub fn success(&self) -> Vec<i32> {
        let mut codes = if self.ok_exit.is_empty() { vec![0] } else { self.ok_exit.clone() };
        for out in self.out.values() {
            if let Out::ExitIs { true_on, false_on } = out {
                codes.extend(true_on.iter().chain(false_on));
            }
        }
        codes
    }

    /// Whether what it does ends with the engine, and is harmless to repeat.
    pub fn is_in_engine(&self) -> bool {
        self.reads || self.action.is_in_engine()
    }

    /// Whether it puts out a secret: then nothing of what its program writes is shown or kept.
    pub fn is_silent(&self) -> bool {
        self.out.values().any(Out::is_secret)
    }
}

impl Plan {
    /// A plan with nothing but a name, roles and steps.
    pub fn new(workflow: impl Into<String>, roles: BTreeMap<String, Role>, steps: Vec<Step>) -> Plan {
        Plan {
            format: FORMAT,
            workflow: workflow.into(),
            about: String::new(),
            inputs: BTreeMap::new(),
            roles,
            steps,
            outputs: BTreeMap::new(),
            assets: BTreeMap::new(),
            groups: Vec::new(),
            locks: Vec::new(),
            instances: Vec::new(),
            deadline_ms: None,
            left_out: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }
}
