//! `anneal resume OP`: go on with an operation, and watch it.

use std::collections::BTreeMap;

use engine::operation::{Decision, NodeId};
use engine::view::OperationView;
use server::ResumeRequest;

use super::by;
use crate::args::{Global, Resume};
use crate::report::{Problem, say};
use crate::session::Session;
use crate::watch::{self, Watched};

pub async fn run(args: &Resume, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let view = session.ask(async |client| client.show(&args.operation).await).await?;
    let mut decisions = BTreeMap::new();
    for (names, decision) in [(&args.rerun, Decision::Rerun), (&args.done, Decision::Done)] {
        for name in names {
            for node in nodes(&view, name)? {
                if decisions.insert(node.clone(), decision).is_some_and(|before| before != decision) {
                    return Err(Problem::usage(format!("`{node}` cannot be both run again and done")));
                }
            }
        }
    }
    let request = ResumeRequest { decisions, by: by(), why: args.reason.clone() };
    let id = view.id.to_string();
    session.ask(async |client| client.resume(&id, &request).await).await?;
    for node in view.nodes.iter().filter(|node| !view.in_hand && !global.json && node.state == "running") {
        say(&format!("{} was at work when its engine ended", node.id));
    }
    watch::watch(Watched { id: view.id, after: view.events, by: by() }, global, session).await
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
