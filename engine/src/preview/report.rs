//! What a preview came to: a verdict for every node, in the plan's order.

use serde::Serialize;

use crate::operation::NodeId;

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Name of the workflow.
    pub workflow: String,
    /// The nodes, in the order of the plan's steps.
    pub nodes: Vec<Row>,
    /// How many of each verdict.
    pub counts: Counts,
}

/// What a run would do with one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Which; of a step whose elements are not known, its one row has the key `*`.
    pub node: NodeId,
    /// The host that it is for; none where it runs from here.
    pub host: Option<String>,
    /// What.
    pub expected: Verdict,
}

/// What a run would do with a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Verdict {
    /// It is as it should be, and nothing before it would change anything: nothing would be done.
    AlreadySo {
        /// Who says so.
        says: String,
    },
    /// It would be left out.
    Skipped {
        /// Why.
        why: String,
    },
    /// It is not as it should be.
    WillChange {
        /// What would be done.
        does: String,
        /// What of files would change.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        files: Vec<FileChange>,
        /// Steps before it that would change something, this perhaps too.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        unless: Vec<String>,
    },
    /// It would be done; whether that changes anything, nobody knows beforehand.
    WillRun {
        /// What would be done.
        does: String,
    },
    /// It depends on what is known only in the run.
    Unknown {
        /// Ids of the steps that must have run, or what of the operation must be known, such as `operation.id`.
        until: Vec<String>,
        /// How it is now, where that can be told.
        #[serde(skip_serializing_if = "Option::is_none")]
        now: Option<String>,
    },
    /// It cannot be told.
    CannotTell {
        /// Why.
        why: String,
        /// What to do.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// A person would be asked.
    Asks {
        /// What.
        text: String,
        /// Who may answer; anybody where empty.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        approvers: Vec<String>,
    },
}

/// What would change of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Where it is.
    pub path: String,
    /// Whether there is none yet.
    pub new: bool,
    /// Changes of mode, owner and group, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// What of its content would change.
    pub content: Content,
}

/// What of a file's content would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Content {
    /// Nothing.
    Same,
    /// Lines of text.
    Lines {
        /// The unified difference; a line into which a secret flowed is `<secret>`.
        difference: String,
    },
    /// A secret is in it, and which lines it is in cannot be told.
    Secret,
    /// It is no text, or too large to be shown.
    Bytes {
        /// What is there; nothing where there is no file.
        #[serde(skip_serializing_if = "Option::is_none")]
        was: Option<Bytes>,
        /// What would be there.
        will: Bytes,
    },
    /// What is there cannot be read.
    Unread {
        /// Why.
        why: String,
    },
}

/// A content that is not shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// Its size.
    pub size_bytes: u64,
    /// Its SHA-256, lower-case hex, where the host can tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// How many nodes have each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// [`Verdict::WillChange`]
    pub will_change: usize,
    /// [`Verdict::WillRun`]
    pub will_run: usize,
    /// [`Verdict::Unknown`]
    pub unknown: usize,
    /// [`Verdict::CannotTell`]
    pub cannot_tell: usize,
    /// [`Verdict::Asks`]
    pub asks: usize,
    /// [`Verdict::AlreadySo`]
    pub already_so: usize,
    /// [`Verdict::Skipped`]
    pub skipped: usize,
}

impl Report {
    /// The report of these rows.
    pub fn new(workflow: String, nodes: Vec<Row>) -> Report {
        let mut counts = Counts::default();
        for row in &nodes {
            *match &row.expected {
                Verdict::AlreadySo { .. } => &mut counts.already_so,
                Verdict::Skipped { .. } => &mut counts.skipped,
                Verdict::WillChange { .. } => &mut counts.will_change,
                Verdict::WillRun { .. } => &mut counts.will_run,
                Verdict::Unknown { .. } => &mut counts.unknown,
                Verdict::CannotTell { .. } => &mut counts.cannot_tell,
                Verdict::Asks { .. } => &mut counts.asks,
            } += 1;
        }
        Report { workflow, nodes, counts }
    }
}

impl Counts {
    /// Whether a run would do something, or may.
    pub fn may_do(&self) -> bool {
        self.will_change + self.will_run + self.unknown > 0
    }
}
