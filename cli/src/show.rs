//! How an operation is shown to people: plain, aligned, ending with what to do next.

use engine::operation::NodeId;
use engine::view::{NodeView, Now, OperationView};
use uuid::Uuid;

use crate::time::{date, took};
use crate::told;

/// The end of an id. UUIDs of version 7 that were made close together begin alike and end differently.
pub fn short(id: Uuid) -> String {
    let text = id.simple().to_string();
    text[24..].to_owned()
}

/// An operation, line by line.
pub fn operation(view: &OperationView) -> Vec<String> {
    let mut lines = vec![
        format!("operation  {}", view.id),
        format!("workflow   {}  {}", view.workflow, view.about).trim_end().to_owned(),
        format!("state      {}", state(view)),
        format!("created    {} UTC by {}", date(view.created_at_ms), view.by),
    ];
    if view.at_ms > view.created_at_ms {
        lines.push(format!("last event {} UTC, after {}", date(view.at_ms), took(view.at_ms - view.created_at_ms)));
    }
    for (slot, address) in &view.hosts {
        lines.push(format!("host       {slot}  {address}"));
    }
    for (role, hosts) in &view.left_out {
        lines.push(format!("left out   {role}: {}  (--limit)", hosts.join(", ")));
    }
    for (step, why) in &view.secret_args {
        lines.push(format!("secrets    may be seen in arguments and URLs of {step}: {why}"));
    }
    lines.push(String::new());
    let width = view.nodes.iter().map(|node| node.id.to_string().len()).max().unwrap_or(0);
    for node in &view.nodes {
        lines.push(self::node(node, width));
    }
    if !view.outputs.is_empty() {
        lines.push(String::new());
        lines.extend(view.outputs.iter().map(|(name, value)| format!("{name} = {value}")));
    }
    let next = next(view);
    if !next.is_empty() || !view.verbs.is_empty() {
        lines.push(String::new());
        lines.extend(next);
        lines.extend(possible(view));
    }
    lines
}

/// What can be asked of it now.
pub fn possible(view: &OperationView) -> Option<String> {
    (!view.verbs.is_empty()).then(|| format!("possible: {}", view.verbs.join(", ")))
}

/// A state of ETSI SOL003 in a sentence.
pub fn state_words(state: &str) -> &'static str {
    match state {
        "STARTING" | "PROCESSING" => "is not finished",
        "COMPLETED" => "completed",
        "FAILED_TEMP" => "stopped and can be resumed",
        "FAILED" => "was given up",
        "ROLLING_BACK" => "is being rolled back",
        "ROLLED_BACK" => "was rolled back",
        _ => "is in an unknown state",
    }
}

fn state(view: &OperationView) -> String {
    match &view.why {
        Some(why) => format!("{}: {why}", view.state),
        None => view.state.clone(),
    }
}

fn node(node: &NodeView, width: usize) -> String {
    let mark = mark(&node.state);
    let time = match (node.state.as_str(), node.took_ms) {
        ("succeeded" | "failed" | "running" | "undone", Some(ms)) => took(ms),
        _ => String::new(),
    };
    let attempts = if node.attempts > 1 { format!("  (attempt {})", node.attempts) } else { String::new() };
    let why = node.why.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
    let id = node.id.to_string();
    format!("{mark} {id:<width$}  {:<13} {time:>8}{attempts}{why}", node.state.replace('_', " ")).trim_end().to_owned()
}

/// A mark that needs no colour.
pub fn mark(state: &str) -> &'static str {
    match state {
        "succeeded" => "✓",
        "skipped" => "-",
        "failed" | "undo_failed" => "✗",
        "running" | "undoing" | "retrying" => "•",
        "indeterminate" | "awaiting_approval" => "?",
        "undone" => "↶",
        _ => " ",
    }
}

/// What a person can do now.
pub fn next(view: &OperationView) -> Vec<String> {
    let id = short(view.id);
    let hints: Vec<String> = view
        .nodes
        .iter()
        .filter(|node| node.state == "failed")
        .filter_map(|node| node.hint.as_ref().map(|hint| format!("help: {}: {hint}", node.id)))
        .collect();
    let mut lines = hints;
    lines.extend(view.waits.iter().map(told::waits));
    for gate in view.nodes.iter().filter(|node| node.state == "awaiting_approval") {
        lines.extend(question(view, &gate.id));
    }
    for node in &view.undecided {
        lines.push(format!(
            "next: look at the host, then `anneal resume {id} --rerun {node}` or `anneal resume {id} --done {node}`"
        ));
    }
    let asked = view.nodes.iter().any(|node| node.state == "awaiting_approval") || !view.undecided.is_empty();
    match view.now {
        Now::AtWork => lines.push(format!("next: anneal logs {id} --follow")),
        Now::Waits if asked || !view.waits.is_empty() => {}
        Now::Waits => lines.push(format!("next: anneal resume {id}")),
        Now::NoProcess => {
            lines.push("no process works on it".to_owned());
            if view.undecided.is_empty() {
                lines.push(format!("next: anneal resume {id}"));
            }
        }
        Now::Stopped => {
            lines.push(match view.nodes.iter().any(|node| matches!(node.state.as_str(), "failed" | "undo_failed")) {
                true => format!("next: mend the cause, then anneal resume {id}"),
                false => format!("next: anneal resume {id} goes on, anneal rollback {id} undoes what was done"),
            })
        }
        Now::Ended | Now::Quarantined => {}
    }
    lines
}

/// What is asked at a gate, and how to answer.
pub fn question(view: &OperationView, gate: &NodeId) -> Vec<String> {
    let id = short(view.id);
    let several = view.nodes.iter().filter(|node| node.id.step == gate.step).count() > 1;
    let name = if several { gate.to_string() } else { gate.step.clone() };
    let asked = view.nodes.iter().find(|node| node.id == *gate).and_then(|node| node.why.as_deref()).unwrap_or("");
    vec![
        format!("{name} asks: {asked}"),
        format!("next: `anneal approve {id} {name}` or `anneal reject {id} {name} --reason TEXT`"),
    ]
}

/// What becomes of an operation, in a word or two.
pub fn now_words(now: Now) -> &'static str {
    match now {
        Now::AtWork => "at work",
        Now::Waits => "waits",
        Now::NoProcess => "no process",
        Now::Stopped => "stopped",
        Now::Ended => "",
        Now::Quarantined => "damaged",
    }
}
