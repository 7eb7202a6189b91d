//! What is shown of an operation: plain data, the same for the terminal, `--json` and the API. No secret is in it (I8).

use std::collections::BTreeMap;

use dsl::plan::Action;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::operation::{Activity, CoreScope, FailedBecause, Failure, Life, Node, NodeId, NodeState, Operation, Skip};
use crate::runner::Waits;

/// An operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationView {
    /// Its id.
    pub id: Uuid,
    /// Name of its workflow.
    pub workflow: String,
    /// What the workflow is for.
    pub about: String,
    /// State by ETSI SOL003, such as `PROCESSING`.
    pub state: String,
    /// Why it is in that state, where that needs saying.
    pub why: Option<String>,
    /// Nodes whose outcome only a person can decide.
    pub undecided: Vec<NodeId>,
    /// Who asked for it.
    pub by: String,
    /// UTC milliseconds.
    pub created_at_ms: u64,
    /// When the last thing happened, UTC milliseconds.
    pub at_ms: u64,
    /// Events in its journal.
    pub events: u64,
    /// Whether a process works on it now.
    pub in_hand: bool,
    /// What becomes of it.
    pub now: Now,
    /// Its hosts: slot and address.
    pub hosts: BTreeMap<String, String>,
    /// Its nodes, in the plan's order.
    pub nodes: Vec<NodeView>,
    /// The workflow's outputs, when it has completed.
    pub outputs: BTreeMap<String, String>,
    /// What can be asked of it now.
    pub verbs: Vec<String>,
    /// What it waits for of other operations, where a process works on it.
    pub waits: Vec<Waits>,
    /// Which of its steps are gates.
    pub gates: Vec<String>,
    /// Hosts that its roles would have, but for the `--limit` that it was asked with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, Vec<String>>,
    /// Steps in whose arguments and URLs secrets may be seen, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_args: BTreeMap<String, String>,
}

/// What becomes of an operation, as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Now {
    /// A process works on it.
    AtWork,
    /// It waits: for a person, or for what another operation holds.
    Waits,
    /// It would go on by itself, and no process works on it.
    NoProcess,
    /// It stopped at a failure or a cancel; a person can set it going again.
    Stopped,
    /// It ended for good.
    Ended,
    /// It cannot be read.
    Quarantined,
}

impl Now {
    /// What becomes of an operation; `in_hand` says whether a process works on it.
    pub fn of(operation: &Operation, in_hand: bool) -> Now {
        let at_work = |node: &Node| {
            matches!(node.state, NodeState::Running { .. } | NodeState::Undoing { .. } | NodeState::Backoff { .. })
        };
        let open_for_good = |node: &NodeId| {
            let action = operation.node(node).map(|node| &operation.step_of(node).action);
            matches!(action, Some(Action::Gate { within_ms: None, .. }))
        };
        match (operation.life.activity(), in_hand) {
            (None, _) if operation.life.is_final() => Now::Ended,
            (None, _) => Now::Stopped,
            (Some(Activity::Queued), true) => Now::Waits,
            (Some(Activity::Paused { .. }), _) => Now::Waits,
            (Some(_), true) => Now::AtWork,
            // All that is left to do comes after a gate.
            (Some(Activity::Active), false)
                if operation.open_gates().next().is_some()
                    && operation.open_gates().all(open_for_good)
                    && !operation.nodes.iter().any(at_work) =>
            {
                Now::Waits
            }
            (Some(_), false) => Now::NoProcess,
        }
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeView {
    /// Its name, `step@slot`.
    pub id: NodeId,
    /// What the step is for.
    pub about: Option<String>,
    /// The word for its state.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When the last attempt was started, UTC milliseconds.
    pub started_at_ms: Option<u64>,
    /// How long the last attempt took, or has taken; milliseconds.
    pub took_ms: Option<u64>,
    /// Why it is in that state.
    pub why: Option<String>,
    /// What a person can do.
    pub hint: Option<String>,
}

impl OperationView {
    /// The view of an operation at a time; `in_hand` says whether a process works on it now. What it waits for of others is
    /// known to that process only, which adds it.
    pub fn of(operation: &Operation, in_hand: bool, now_ms: u64) -> OperationView {
        // What nobody works on takes no time that we know of.
        let now_ms = if in_hand { now_ms.max(operation.at_ms) } else { operation.at_ms };
        OperationView {
            id: operation.id,
            workflow: operation.plan.workflow.clone(),
            about: operation.plan.about.clone(),
            state: operation.life.etsi(operation.begun()).to_string(),
            why: why(operation),
            undecided: operation.undecided().into_iter().cloned().collect(),
            by: operation.by.clone(),
            created_at_ms: operation.created_at_ms,
            at_ms: operation.at_ms,
            events: operation.seq,
            in_hand,
            now: Now::of(operation, in_hand),
            hosts: operation.hosts.iter().map(|(slot, host)| (slot.clone(), host.address().to_owned())).collect(),
            nodes: operation.nodes.iter().map(|node| NodeView::of(operation, node, now_ms)).collect(),
            outputs: match &operation.life {
                Life::Completed { outputs } => outputs.clone(),
                _ => BTreeMap::new(),
            },
            verbs: operation.legal().into_iter().map(str::to_owned).collect(),
            waits: Vec::new(),
            gates: operation
                .plan
                .steps
                .iter()
                .filter(|step| matches!(step.action, Action::Gate { .. }))
                .map(|step| step.id.clone())
                .collect(),
            left_out: operation.plan.left_out.clone(),
            secret_args: (operation.plan.steps.iter())
                .filter_map(|step| Some((step.id.clone(), step.allow_secret_args.clone()?)))
                .collect(),
        }
    }
}

fn why(operation: &Operation) -> Option<String> {
    let because = |why: &str| if why.is_empty() { String::new() } else { format!(": {why}") };
    match &operation.life {
        Life::Processing(activity) | Life::RollingBack(activity) | Life::Finishing { activity, .. } => match activity {
            Activity::Queued => Some("waits for its locks".to_owned()),
            Activity::Active => operation.open_gates().next().map(|gate| format!("`{gate}` awaits approval")),
            Activity::Pausing { by, why } => Some(format!("pausing, asked by {by}{}", because(why))),
            Activity::Paused { by, why } => Some(format!("paused by {by}{}", because(why))),
            Activity::Cancelling { by, why, .. } => Some(format!("being cancelled by {by}{}", because(why))),
        },
        Life::FailedTemp { reason } => Some(match reason {
            FailedBecause::Nodes(nodes) => {
                let names: Vec<String> = nodes.iter().take(5).map(ToString::to_string).collect();
                let more = if nodes.len() > 5 { " and others" } else { "" };
                format!("failed: {}{more}", names.join(", "))
            }
            reason => operation.because(reason),
        }),
        Life::Failed { why } => Some(why.clone()),
        Life::Completed { .. } | Life::RolledBack => None,
    }
}

impl NodeView {
    fn of(operation: &Operation, node: &Node, now_ms: u64) -> NodeView {
        let (mut why, hint) = explain(&node.state);
        if let (NodeState::AwaitingApproval { .. }, Action::Gate { text, .. }) =
            (&node.state, &operation.step_of(node).action)
        {
            // The compiler refuses secrets in it; what cannot be said is left out.
            let asked = dsl::eval::render(text, &CoreScope { operation, node: Some(node) });
            why = asked.ok().map(|asked| asked.text.to_string());
        }
        let started = (node.started_ms > 0).then_some(node.started_ms);
        let end = match node.state {
            NodeState::Running { .. } | NodeState::Undoing { .. } | NodeState::AwaitingApproval { .. } => now_ms,
            _ => node.since_ms,
        };
        NodeView {
            id: node.id.clone(),
            about: operation.step_of(node).about.clone(),
            state: node.state.word().to_owned(),
            attempts: node.attempts,
            started_at_ms: started,
            took_ms: started.map(|started| end.saturating_sub(started)),
            why,
            hint,
        }
    }
}

/// Why a node is in its state, and what a person can do.
pub fn explain(state: &NodeState) -> (Option<String>, Option<String>) {
    let failure = |failure: &Failure| (Some(failure.message.clone()), failure.hint.clone());
    match state {
        NodeState::Backoff { failure: f, .. } | NodeState::Failed { failure: f, .. } => failure(f),
        NodeState::UndoFailed { failure: f, .. } => failure(f),
        NodeState::Indeterminate { why, .. } => (Some(why.to_string()), None),
        NodeState::Skipped(skip) => (Some(skip_words(skip)), None),
        NodeState::NotReached => (Some("something it needs did not succeed".to_owned()), None),
        NodeState::Waiting
        | NodeState::Running { .. }
        | NodeState::AwaitingApproval { .. }
        | NodeState::Succeeded(_)
        | NodeState::Undoing { .. }
        | NodeState::Undone => (None, None),
    }
}

/// Why a node was skipped, in words.
pub fn skip_words(skip: &Skip) -> String {
    match skip {
        Skip::WhenFalse => "not wanted: its `when` is false".to_owned(),
        Skip::AlreadySo => "already so".to_owned(),
        Skip::ByOperator { by, why } => format!("skipped by {by}: {why}"),
    }
}
