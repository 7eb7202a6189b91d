//! `anneal resume OP`: go on with an operation, and watch it. `anneal resume` or `resume --all`: with all of them.

mod all;

use std::collections::BTreeMap;

use engine::operation::{Decision, NodeId, Verb};
use engine::view::OperationView;

use super::verbs::{self, Then};
use crate::args::{Global, Resume};
use crate::report::Problem;
use crate::session::Session;
use crate::watch::Goal;

pub async fn run(args: &Resume, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    session.may_detach(args.detach.detach).await?;
    let Some(operation) = &args.operation else { return all::run(args.detach.detach, global, session).await };
    let view = session.ask(async |client| client.show(operation).await).await?;
    let verb = match args.from.is_empty() {
        true => Verb::Resume { decisions: decisions(args, &view)? },
        false => Verb::ResumeFrom { from: args.from.clone() },
    };
    let then = if args.detach.detach { Then::Say } else { Then::Watch(Goal::Completes) };
    verbs::ask_of(view, verb, &args.reason, then, global, session).await
}

fn decisions(args: &Resume, view: &OperationView) -> Result<BTreeMap<NodeId, Decision>, Problem> {
    let mut decisions = BTreeMap::new();
    for (names, decision) in [(&args.rerun, Decision::Rerun), (&args.done, Decision::Done)] {
        for name in names {
            for node in nodes(view, name)? {
                if decisions.insert(node.clone(), decision).is_some_and(|before| before != decision) {
                    return Err(Problem::usage(format!("`{node}` cannot be both run again and done")));
                }
            }
        }
    }
    Ok(decisions)
}

/// The undecided nodes that a name means: one, or all of a step.
fn nodes(view: &OperationView, name: &str) -> Result<Vec<NodeId>, Problem> {
    let found: Vec<NodeId> =
        view.undecided.iter().filter(|node| node.step == name || node.to_string() == name).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let open: Vec<String> = view.undecided.iter().map(ToString::to_string).collect();
    Err(Problem::usage(format!("`{name}` is no step whose outcome is open")).hint(match open.is_empty() {
        true => "no outcome is open in this operation: leave --rerun and --done out".to_owned(),
        false => format!("open are {}", open.join(", ")),
    }))
}
