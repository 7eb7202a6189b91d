//! What a trial found: a row for each node, and what is to be done about those that are not safe.

use std::fmt;

use serde::Serialize;

use crate::operation::NodeId;

/// All that a trial found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Name of the workflow.
    pub workflow: String,
    /// Runs of the whole operation.
    pub runs: usize,
    /// The nodes that were tried, in the order of the plan.
    pub nodes: Vec<Row>,
    /// Nodes and steps that were not.
    pub not_exercised: Vec<Unexercised>,
    /// What is to be done or known, the worst first.
    pub findings: Vec<Finding>,
    /// Steps whose effect would stay where a person asks for a rollback: they have no `undo`.
    pub rollback_leaves: Vec<String>,
}

/// What a node met in each column, the worst of its runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The node.
    pub node: NodeId,
    /// An error of it.
    pub error: Cell,
    /// Its work done and asked for again.
    pub repeat: Cell,
    /// A crash of the engine.
    pub crash: Cell,
    /// A restart of its host.
    pub reboot: Cell,
    /// All in all.
    pub verdict: Verdict,
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// An error.
    Error,
    /// A repeat.
    Repeat,
    /// A crash of the engine.
    Crash,
    /// A restart of the host.
    Reboot,
}

/// What followed; a later one is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// It cannot happen to such a node.
    NotApplicable,
    /// It goes on as if nothing had been.
    GoesOn,
    /// Its probe tells whether it is run again.
    Probed,
    /// It is run again, and says that this does no harm.
    RunsAgain,
    /// It is undone, and run again.
    Undone,
    /// Everything that was done is undone.
    RolledBack,
    /// Other branches go on; the operation fails at its end, and `resume` completes it.
    Continues,
    /// The operation stops with a reason, and `resume` completes it.
    Stops,
    /// The operation waits until a person says what became of it.
    Asks,
    /// A rollback that the workflow asks for leaves its effect behind.
    LeftBehind,
    /// It is run over its own effect, and nothing says that this does no harm.
    RunsTwice,
    /// What may never be: a bug of the engine.
    Bug,
}

/// A node, all in all; a later one is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Whatever was done to it, nothing is lost and nothing done twice that should not be.
    Safe,
    /// It is safe, and may wait for a person.
    Asks,
    /// It is not.
    Unsafe,
}

/// What was not tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unexercised {
    /// A node, or a step without nodes.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Something to do about a step, or to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is; a warning is [`Verdict::Safe`].
    pub verdict: Verdict,
    /// The step.
    pub step: String,
    /// Its nodes that it is about.
    pub nodes: Vec<NodeId>,
    /// What happens.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to write into the step.
    pub mend: String,
}

impl Report {
    /// Nodes of this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.nodes.iter().filter(|row| row.verdict == verdict).count()
    }

    /// Whether no node is unsafe, those included that were only looked on.
    pub fn is_safe(&self) -> bool {
        self.count(Verdict::Unsafe) == 0 && self.findings.iter().all(|finding| finding.verdict != Verdict::Unsafe)
    }
}

impl Row {
    /// A node of which nothing is known yet.
    pub(super) fn new(node: NodeId) -> Row {
        let none = Cell::NotApplicable;
        Row { node, error: none, repeat: none, crash: none, reboot: none, verdict: Verdict::Safe }
    }

    /// Notes what followed; the worst stays.
    pub(super) fn note(&mut self, column: Column, cell: Cell) {
        let was = match column {
            Column::Error => &mut self.error,
            Column::Repeat => &mut self.repeat,
            Column::Crash => &mut self.crash,
            Column::Reboot => &mut self.reboot,
        };
        *was = (*was).max(cell);
        self.verdict = self.verdict.max(cell.verdict());
    }
}

impl Cell {
    /// What it means for the node.
    pub fn verdict(self) -> Verdict {
        match self {
            Cell::NotApplicable
            | Cell::GoesOn
            | Cell::Probed
            | Cell::RunsAgain
            | Cell::Undone
            | Cell::RolledBack
            | Cell::Continues
            | Cell::Stops => Verdict::Safe,
            Cell::Asks => Verdict::Asks,
            Cell::LeftBehind | Cell::RunsTwice | Cell::Bug => Verdict::Unsafe,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Cell::NotApplicable => "-",
            Cell::GoesOn => "goes on",
            Cell::Probed => "probe",
            Cell::RunsAgain => "runs again",
            Cell::Undone => "undo, again",
            Cell::RolledBack => "rolled back",
            Cell::Continues => "continues",
            Cell::Stops => "stops",
            Cell::Asks => "asks",
            Cell::LeftBehind => "left behind",
            Cell::RunsTwice => "RUNS TWICE",
            Cell::Bug => "BUG",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Safe => "safe",
            Verdict::Asks => "asks",
            Verdict::Unsafe => "unsafe",
        })
    }
}
