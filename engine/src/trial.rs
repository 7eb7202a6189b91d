//! The trial of a workflow: an error, a repeat and a crash injected at each of its nodes, on model hosts.
//!
//! The operation is run once as it is, which tells its nodes. Then for every node and every [`Injection`] the whole
//! operation is run again, by the same [`Driver`](crate::operation::Driver) that runs it in earnest, and what became of it is
//! judged. (The idea is that of steno, which injects errors and repeats at each node of a saga.)
//!
//! What a step *declares* is taken from the plan: probe, undo, `interrupted`, `retry`, `on_failure`, locks, groups. What its
//! commands really do is not known, and is taken to be what the declarations promise: `do` has one effect, the probe sees it,
//! `undo` removes it. So a trial finds what a workflow forgot to say; it does not find a command that lies.
//!
//! Nothing here reads a clock, a host or a file; the same plan gives the same report.

mod hosts;
mod injection;
mod judge;
mod person;
mod report;
#[cfg(test)]
mod tests;
mod trace;
mod work;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use dsl::plan::Plan;
use dsl::value::Value;

pub use injection::{Injection, Moment};
pub use report::{Cell, Column, Finding, Report, Row, Unexercised, Verdict};

use crate::limits::{TRIAL_NODE_RUNS, TRIAL_RUNS};
use crate::operation::NodeId;
use judge::Judge;
use world::{Afterwards, End, Setting, World};

/// What a trial is made of.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The workflow, compiled for the values and hosts of the trial.
    pub plan: Arc<Plan>,
    /// What steps put out, by step and name, where that is not to be a model value of the type.
    pub outs: BTreeMap<(String, String), Value>,
    /// Only this step, or this node of it.
    pub only: Option<String>,
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impossible {
    /// What happened.
    pub why: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.hint)
    }
}

impl std::error::Error for Impossible {}

/// A run on model hosts where these effects are there already; the operation when it has completed.
#[cfg(test)]
pub(crate) fn run_once(
    plan: &Arc<Plan>,
    outs: &BTreeMap<(String, String), Value>,
    there: &BTreeSet<NodeId>,
) -> Result<crate::operation::Operation, String> {
    match World::new(Setting { plan, outs }, None).undisturbed(there) {
        (End::Completed, Some(operation)) => Ok(operation),
        (end, _) => Err(end.to_string()),
    }
}

impl Trial {
    /// Runs it all.
    pub fn run(&self) -> Result<Report, Impossible> {
        let setting = Setting { plan: &self.plan, outs: &self.outs };
        let undisturbed = World::new(setting, None).run(Afterwards::Leave);
        if undisturbed.end != End::Completed {
            return Err(Impossible {
                why: format!("it does not complete with the model's values: {}", undisturbed.end),
                hint: "give other values with --input, or with --out for what a step puts out".to_owned(),
            });
        }
        let chosen = self.chosen(&undisturbed.nodes)?;
        let mut judge = Judge::new(&self.plan, &undisturbed);
        let mut runs = 1;
        let injections: Vec<(&NodeId, Injection)> = chosen
            .iter()
            .filter(|node| undisturbed.exercised.contains(*node))
            .flat_map(|node| Injection::of(&self.plan, node).into_iter().map(move |injection| (node, injection)))
            .collect();
        let planned = 2 * injections.len() + 1;
        if planned > TRIAL_RUNS || planned.saturating_mul(undisturbed.nodes.len()) > TRIAL_NODE_RUNS {
            return Err(Impossible {
                why: format!(
                    "{} nodes are up to {planned} runs; the limits are {TRIAL_RUNS} runs and {TRIAL_NODE_RUNS} nodes in all of them",
                    undisturbed.nodes.len()
                ),
                hint: "fewer hosts (--hosts 1), or one step at a time (--node STEP)".to_owned(),
            });
        }
        for (node, injection) in injections {
            let run = |afterwards| World::new(setting, Some((node.clone(), injection))).run(afterwards);
            let ended = run(Afterwards::Resume);
            runs += 1;
            let stopped = matches!(ended.first, End::Stopped(_));
            judge.run(node, injection, &ended);
            // Where nothing was rolled back by itself, a person could ask for it.
            if stopped && injection.is_error() {
                judge.rollback(&run(Afterwards::RollBack));
                runs += 1;
            }
        }
        Ok(judge.report(&chosen, runs))
    }

    fn chosen(&self, nodes: &[NodeId]) -> Result<Vec<NodeId>, Impossible> {
        let place = |node: &NodeId| self.plan.steps.iter().position(|step| step.id == node.step);
        let only = self.only.as_deref().unwrap_or_default();
        let fits = |node: &&NodeId| only.is_empty() || node.step == *only || node.to_string() == *only;
        let mut chosen: Vec<NodeId> = nodes.iter().filter(fits).cloned().collect();
        // The nodes of an `each` were made when the operation ran, behind all others.
        chosen.sort_by_key(place);
        if chosen.is_empty() {
            const NAMED: usize = 30;
            let steps: BTreeSet<&str> = nodes.iter().map(|node| node.step.as_str()).collect();
            let names: Vec<&str> = steps.iter().copied().take(NAMED).collect();
            return Err(Impossible {
                why: format!("there is no step or node `{only}`"),
                hint: format!("the steps are {}; a node is written step@key", names.join(", ")),
            });
        }
        Ok(chosen)
    }
}
