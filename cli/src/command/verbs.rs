//! What is asked of one operation: `pause`, `retry`, `skip`, `mark`, `approve`, `reject`, `cancel`, `rollback`, `fail`, `kill`.
//!
//! What sets an operation going is watched like a run, unless it is detached from. Of the rest is said what was done and what
//! can be asked next – but where this process is the one that works on the operation, it watches whatever was asked.

use std::collections::BTreeMap;

use engine::operation::{CancelMode, Verb};
use engine::view::{Now, OperationView};
use server::VerbRequest;

use super::by;
use crate::args::{Asked, Cancel, Gate, GateNo, Global, Going, Insisted, Mark, MarkAs, Skip};
use crate::report::{OK, Problem, put_json, say};
use crate::session::Session;
use crate::show::{self, short};
use crate::time::clock;
use crate::told::Teller;
use crate::watch::{self, Goal, Watched};

/// What follows a verb.
#[derive(Debug, Clone, Copy)]
pub enum Then {
    /// It is watched until it rests.
    Watch(Goal),
    /// What was done is said.
    Say,
}

impl Then {
    fn watch_unless(detach: bool, goal: Goal) -> Then {
        if detach { Then::Say } else { Then::Watch(goal) }
    }
}

pub async fn retry(args: &Going, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    session.may_detach(args.detach.detach).await?;
    let then = Then::watch_unless(args.detach.detach, Goal::Completes);
    ask(&args.op.operation, Verb::Retry, &args.why.reason, then, global, session).await
}

pub async fn rollback(args: &Going, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    session.may_detach(args.detach.detach).await?;
    let then = Then::watch_unless(args.detach.detach, Goal::IsUndone);
    ask(&args.op.operation, Verb::Rollback, &args.why.reason, then, global, session).await
}

pub async fn pause(args: &Asked, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    ask(&args.op.operation, Verb::Pause, &args.why.reason, Then::Say, global, session).await
}

pub async fn skip(args: &Skip, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let verb = Verb::Skip { what: args.steps.clone() };
    ask(&args.op.operation, verb, &args.why.reason, Then::Say, global, session).await
}

pub async fn mark(args: &Mark, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let MarkAs::Succeeded = args.mark_as;
    let mut out = BTreeMap::new();
    for given in &args.out {
        let Some((name, value)) = given.split_once('=') else {
            return Err(Problem::usage(format!("`--out {given}` has no value")).hint("write it as NAME=VALUE"));
        };
        if out.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Problem::usage(format!("the output `{name}` is given twice")));
        }
    }
    let verb = Verb::Mark { what: vec![args.step.clone()], out };
    ask(&args.op.operation, verb, &args.why.reason, Then::Say, global, session).await
}

pub async fn approve(args: &Gate, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    session.may_detach(args.detach.detach).await?;
    let view = show(&args.op.operation, session).await?;
    let what: Vec<String> = args.step.iter().cloned().collect();
    let open = view.nodes.iter().filter(|node| node.state == "awaiting_approval");
    let others =
        open.filter(|node| !what.is_empty() && !what.contains(&node.id.step) && !what.contains(&node.id.to_string()));
    // Behind a gate that is still open nothing happens: whoever answers there watches.
    let then = Then::watch_unless(args.detach.detach || others.count() > 0, Goal::Completes);
    ask_of(view, Verb::Approve { what }, &args.why.reason, then, global, session).await
}

pub async fn reject(args: &GateNo, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let verb = Verb::Reject { what: args.step.iter().cloned().collect() };
    ask(&args.op.operation, verb, &args.why.reason, Then::Say, global, session).await
}

pub async fn fail(args: &Insisted, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    ask(&args.op.operation, Verb::Fail, &args.why.reason, Then::Say, global, session).await
}

pub async fn kill(args: &Insisted, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    ask(&args.op.operation, Verb::Kill, &args.why.reason, Then::Say, global, session).await
}

/// Stops it, and where that was asked too, undoes it afterwards: two events, each of its own (D5).
pub async fn cancel(args: &Cancel, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    session.may_detach(args.detach.detach).await?;
    let mode = if args.now { CancelMode::Forceful } else { CancelMode::Graceful };
    let then = Then::watch_unless(args.detach.detach, Goal::Stops);
    let view = show(&args.op.operation, session).await?;
    let id = view.id;
    let code = ask_of(view, Verb::Cancel { mode }, &args.why.reason, then, global, session).await?;
    if !args.rollback || code != OK {
        return Ok(code);
    }
    ask(&id.to_string(), Verb::Rollback, &args.why.reason, Then::Watch(Goal::IsUndone), global, session).await
}

async fn show(operation: &str, session: &mut Session<'_>) -> Result<OperationView, Problem> {
    session.ask(async |client| client.show(operation).await).await
}

/// Asks a verb of an operation; the exit code.
pub async fn ask(
    operation: &str,
    verb: Verb,
    why: &str,
    then: Then,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<u8, Problem> {
    let view = show(operation, session).await?;
    ask_of(view, verb, why, then, global, session).await
}

/// Asks a verb of an operation that was just looked at.
pub async fn ask_of(
    before: OperationView,
    verb: Verb,
    why: &str,
    then: Then,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<u8, Problem> {
    let id = before.id.to_string();
    let request = VerbRequest { verb, by: by(), why: why.to_owned() };
    let view = session.ask(async |client| client.verb(&id, &request).await).await?;
    let goal = match then {
        Then::Watch(goal) => Some(goal),
        Then::Say if session.is_owner() && view.in_hand => Some(Goal::Rests),
        Then::Say => None,
    };
    match goal {
        Some(goal) => {
            for node in before.nodes.iter().filter(|node| {
                before.now == Now::NoProcess && !global.json && matches!(node.state.as_str(), "running" | "undoing")
            }) {
                say(&format!("{} was at work when its engine ended", node.id));
            }
            let watched = Watched { id: view.id, after: before.events, by: by(), goal };
            watch::watch(watched, global, session).await
        }
        None if global.json => put_json(&view).map(|()| OK),
        None => said(&before, &view, session).await.map(|()| OK),
    }
}

/// Says what a verb did, and what can be asked next.
async fn said(before: &OperationView, view: &OperationView, session: &mut Session<'_>) -> Result<(), Problem> {
    let id = view.id.to_string();
    let entries = session.ask(async |client| client.journal(&id, before.events).await).await?;
    let mut teller = Teller::new(&view.gates);
    for entry in entries.iter().take_while(|entry| entry.seq <= view.events) {
        if let Some(text) = teller.text(entry) {
            say(&format!("{} {text}", clock(entry.at_ms)));
        }
    }
    let why = view.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    say(&format!("operation {} {}{why}", short(view.id), show::state_words(&view.state)));
    show::next(view).iter().for_each(|line| say(line));
    show::possible(view).iter().for_each(|line| say(line));
    Ok(())
}
