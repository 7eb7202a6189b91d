//! Judging runs: what followed, whether that is safe, and what would mend it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dsl::plan::{Interrupted, OnFailure, OnState, Plan, Step};

use super::injection::Injection;
use super::report::{Cell, Column, Finding, Report, Row, Unexercised, Verdict};
use super::world::{End, Ended};
use crate::operation::NodeId;

/// Gathers what the runs came to.
pub struct Judge<'a> {
    plan: &'a Arc<Plan>,
    rows: BTreeMap<NodeId, Row>,
    findings: Vec<Finding>,
    rollback_leaves: BTreeSet<String>,
    not_exercised: Vec<Unexercised>,
}

impl<'a> Judge<'a> {
    /// Begins with the run that nothing disturbed.
    pub fn new(plan: &'a Arc<Plan>, undisturbed: &Ended) -> Judge<'a> {
        let rows = undisturbed.exercised.iter().map(|node| (node.clone(), Row::new(node.clone())));
        let mut judge = Judge {
            plan,
            rows: rows.collect(),
            findings: Vec::new(),
            rollback_leaves: BTreeSet::new(),
            not_exercised: Vec::new(),
        };
        judge.not_exercised = judge.unexercised(undisturbed);
        judge
    }

    fn unexercised(&self, undisturbed: &Ended) -> Vec<Unexercised> {
        let mut list = Vec::new();
        for (index, step) in self.plan.steps.iter().enumerate() {
            let mut nodes = undisturbed.nodes.iter().filter(|node| node.step == step.id).peekable();
            if nodes.peek().is_none() {
                let why = if step.each.is_some() { "its `each` has no elements" } else { "no host fills its role" };
                list.push(Unexercised { what: step.id.clone(), why: why.to_owned() });
            }
            for node in nodes.filter(|node| !undisturbed.exercised.contains(*node)) {
                let after_first_batch = self.plan.groups.iter().any(|group| group.gate == Some(index));
                let why = match step.finally {
                    Some(OnState::Failed) => "it runs after a failure only",
                    Some(OnState::Cancelled) => "it runs after a cancel only",
                    _ if after_first_batch => "no host stands behind the first batch; --hosts N gives roles more hosts",
                    _ => "its `when` is false; --input, or --out for what a step puts out, makes it true",
                };
                list.push(Unexercised { what: node.to_string(), why: why.to_owned() });
            }
        }
        list
    }

    /// Judges a run.
    pub fn run(&mut self, node: &NodeId, injection: Injection, ended: &Ended) {
        let Some(step) = self.plan.steps.iter().find(|step| step.id == node.step) else { return };
        let cell = match self.bug(injection, ended) {
            Some(why) => {
                let mend = "this is a bug of Anneal: please report it with the workflow";
                self.finding(Verdict::Unsafe, node, injection.words(), why, mend);
                Cell::Bug
            }
            None => self.cell(step, node, injection, ended),
        };
        if let Some(row) = self.rows.get_mut(node) {
            injection.columns().iter().for_each(|&column| row.note(column, cell));
        }
        if cell == Cell::Asks {
            self.asks(step, node);
        }
    }

    /// What may never be.
    fn bug(&self, injection: Injection, ended: &Ended) -> Option<String> {
        match (&ended.first, &ended.end) {
            (End::Bug(why), _) | (_, End::Bug(why)) => return Some(why.clone()),
            (End::Stopped(why), _) if why.is_empty() => return Some("it stops without a reason".to_owned()),
            (End::Stopped(_), End::Stopped(why)) => return Some(format!("`resume` does not complete it: {why}")),
            (End::Stopped(_), End::Asks(_) | End::RolledBack) => {
                return Some(format!("`resume` does not complete it: {}", ended.end));
            }
            (End::Completed | End::RolledBack | End::Asks(_), _) | (End::Stopped(_), End::Completed) => {}
        }
        if let Some(again) = ended.again.first() {
            return Some(format!("`{again}` has succeeded, and is run again"));
        }
        match (&ended.first, injection) {
            // Of a request that was on its way when the engine died only a person knows.
            (End::Asks(asked), Injection::Crash(_)) if asked.iter().all(|node| self.is_untraceable(node)) => None,
            (first, Injection::Crash(_)) if *first != End::Completed => {
                Some(format!("it does not go on by itself: {first}"))
            }
            _ => None,
        }
    }

    fn is_untraceable(&self, node: &NodeId) -> bool {
        self.plan.steps.iter().any(|step| step.id == node.step && step.action.is_untraceable())
    }

    fn cell(&mut self, step: &Step, node: &NodeId, injection: Injection, ended: &Ended) -> Cell {
        let mine = |undo: bool| ended.began.iter().filter(move |began| began.node == *node && began.undo == undo);
        let over = mine(false).any(|began| began.over);
        match &ended.first {
            End::Asks(asked) if asked.contains(node) => return Cell::Asks,
            // Another one is asked about, whose own row says so.
            End::Asks(_) => return Cell::GoesOn,
            End::RolledBack => {
                self.left_behind(node, injection, ended);
                return Cell::RolledBack;
            }
            End::Completed | End::Stopped(_) | End::Bug(_) => {}
        }
        if over && !repeats_without_harm(step) {
            if injection.is_error() {
                self.retry_over_a_failure(step, node, injection);
            } else {
                self.runs_twice(step, node, injection);
                return Cell::RunsTwice;
            }
        }
        if matches!(ended.first, End::Stopped(_)) {
            return match step.on_failure {
                OnFailure::Continue => Cell::Continues,
                OnFailure::Stop | OnFailure::Rollback => Cell::Stops,
            };
        }
        if mine(true).next().is_some() {
            Cell::Undone
        } else if ended.probed.contains(node) {
            Cell::Probed
        } else if mine(false).count() > 1 {
            Cell::RunsAgain
        } else {
            Cell::GoesOn
        }
    }

    /// Judges a run that a person rolled back.
    pub fn rollback(&mut self, ended: &Ended) {
        match &ended.end {
            End::RolledBack => self.rollback_leaves.extend(ended.left.iter().map(|node| node.step.clone())),
            other => {
                let why = format!("a rollback does not end: {other}");
                if let Some(node) = ended.nodes.first().cloned() {
                    self.finding(Verdict::Unsafe, &node, "a person asks for a rollback".to_owned(), why, "report it");
                    self.note(&node, Column::Error, Cell::Bug);
                }
            }
        }
    }

    fn note(&mut self, node: &NodeId, column: Column, cell: Cell) {
        if let Some(row) = self.rows.get_mut(node) {
            row.note(column, cell);
        }
    }

    /// The workflow asks for a rollback, so whatever has no `undo` breaks its word.
    fn left_behind(&mut self, failed: &NodeId, injection: Injection, ended: &Ended) {
        for node in &ended.left {
            let what = match node == failed {
                true => format!("{}, and the rollback that follows leaves behind what it did", injection.words()),
                false => format!("when `{}` fails, the rollback that follows leaves its effect behind", failed.step),
            };
            let why = "it has no `undo`".to_owned();
            let mend = "give it an `undo`; where there is nothing to undo, say so: `undo: Run([\"true\"])`";
            self.finding(Verdict::Unsafe, node, what, why, mend);
            self.note(node, Column::Error, Cell::LeftBehind);
        }
    }

    fn runs_twice(&mut self, step: &Step, node: &NodeId, injection: Injection) {
        let what = format!("{}, and it is run again over its own effect", injection.words());
        let why = match (injection, step.interrupted) {
            (Injection::TimedOut, Interrupted::UndoThenRerun) => {
                "`retry` tries again after a timeout, and undoes nothing before"
            }
            (Injection::TimedOut, _) => {
                "`retry` tries again after a timeout, and nothing says that repeating does no harm"
            }
            _ => "nothing says that repeating it does no harm",
        };
        let mend = "give it a `probe`, or say `interrupted: Rerun` if repeating does no harm, or retry on what does not leave it half done: \
                    `on: [Connection]`";
        self.finding(Verdict::Unsafe, node, what, why.to_owned(), mend);
    }

    fn retry_over_a_failure(&mut self, step: &Step, node: &NodeId, injection: Injection) {
        let what = format!("{}, and `retry` runs it again", injection.words());
        let why = match step.interrupted {
            Interrupted::UndoThenRerun => {
                "a retry repeats what a failed attempt may have half done, and undoes nothing before"
            }
            Interrupted::Reattach | Interrupted::Probe | Interrupted::Rerun | Interrupted::Ask => {
                "a retry repeats what a failed attempt may have half done; nothing declares that harmless"
            }
        };
        let mend = "give it a `probe`, or say `interrupted: Rerun` if repeating does no harm";
        self.finding(Verdict::Safe, node, what, why.to_owned(), mend);
    }

    fn asks(&mut self, step: &Step, node: &NodeId) {
        let (why, mend) = match step.interrupted {
            Interrupted::Ask => (
                "`interrupted: Ask` says so",
                "to have it decided without a person, give it a `probe` and say `interrupted: Probe`",
            ),
            Interrupted::Reattach | Interrupted::Probe | Interrupted::Rerun | Interrupted::UndoThenRerun => (
                "it has no `probe` to ask, and does not say what an unknown outcome means",
                "give it a `probe`, or say `interrupted: Rerun` if repeating does no harm",
            ),
        };
        let locks = if step.locks.is_empty() { "" } else { "; until then it keeps its locks" };
        let happens = match step.action.is_untraceable() {
            true => "no answer to its request is heard",
            false => "its host restarts or is lost while it runs",
        };
        let what = format!("{happens}: the operation pauses until a person says what became of it{locks}");
        self.finding(Verdict::Asks, node, what, why.to_owned(), mend);
    }

    /// Notes a finding; nodes of one step that share it are named together.
    fn finding(&mut self, verdict: Verdict, node: &NodeId, what: String, why: String, mend: &str) {
        let same = |finding: &&mut Finding| {
            finding.verdict == verdict && finding.step == node.step && finding.why == why && finding.mend == mend
        };
        if let Some(finding) = self.findings.iter_mut().find(same) {
            if !finding.nodes.contains(node) {
                finding.nodes.push(node.clone());
            }
            return;
        }
        let (step, nodes, mend) = (node.step.clone(), vec![node.clone()], mend.to_owned());
        self.findings.push(Finding { verdict, step, nodes, what, why, mend });
    }

    /// All of it.
    pub fn report(mut self, chosen: &[NodeId], runs: usize) -> Report {
        let place = |id: &str| self.plan.steps.iter().position(|step| step.id == id);
        self.findings.sort_by_key(|finding| (std::cmp::Reverse(finding.verdict), place(&finding.step)));
        let steps: BTreeSet<&str> = chosen.iter().map(|node| node.step.as_str()).collect();
        let all = self.not_exercised.into_iter();
        let not_exercised =
            all.filter(|one| one.what.split_once('@').is_none_or(|(step, _)| steps.contains(step))).collect();
        let mut rollback_leaves: Vec<String> = self.rollback_leaves.into_iter().collect();
        rollback_leaves.sort_by_key(|id| place(id));
        Report {
            workflow: self.plan.workflow.clone(),
            runs,
            nodes: chosen.iter().filter_map(|node| self.rows.remove(node)).collect(),
            not_exercised,
            findings: self.findings,
            rollback_leaves,
        }
    }
}

/// Whether the step says, or its kind says, that running it over its own effect does no harm.
fn repeats_without_harm(step: &Step) -> bool {
    step.interrupted == Interrupted::Rerun || step.is_in_engine()
}
