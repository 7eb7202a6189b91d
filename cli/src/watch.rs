//! Watching an operation: on a terminal one live line per running node, plain lines elsewhere, lines of JSON with `--json`.
//!
//! Ctrl-C detaches (D5): what runs on hosts goes on, and how to go on is said. Where the process that works on the operation
//! ends before it, the operation is gone on with: whoever watches has asked for it.

mod display;
mod hosts;

use std::collections::BTreeMap;

use display::Display;
use engine::operation::Verb;
use engine::view::{Now, OperationView};
use server::{ClientError, Lines, VerbRequest, WatchLine};
use uuid::Uuid;

use crate::args::Global;
use crate::report::{FAILED, OK, Problem, RESTS, put, put_json, say};
use crate::session::Session;
use crate::show::{self, short};
use crate::stop::Stop;

/// What is watched.
pub struct Watched {
    /// The operation.
    pub id: Uuid,
    /// From which entry of its journal on.
    pub after: u64,
    /// Who watches, for the journal.
    pub by: String,
    /// What whoever watches wants it to come to.
    pub goal: Goal,
}

/// What an operation is to come to: then the command has done what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It completes.
    Completes,
    /// It stops, and can be resumed or rolled back.
    Stops,
    /// It is rolled back.
    IsUndone,
    /// It rests, whatever it has come to.
    Rests,
}

impl Goal {
    /// The exit code for an operation that rests.
    fn code(self, state: &str) -> u8 {
        match (self, state) {
            (Goal::Rests, _)
            | (Goal::Completes, "COMPLETED")
            | (Goal::Stops, "FAILED_TEMP")
            | (Goal::IsUndone, "ROLLED_BACK") => OK,
            (_, "STARTING" | "PROCESSING" | "ROLLING_BACK") => RESTS,
            _ => FAILED,
        }
    }
}

/// Watches an operation until it rests; the exit code.
pub async fn watch(watched: Watched, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let display = if global.json {
        Display::json()
    } else {
        let gates = session.ask(async |client| client.show(&watched.id.to_string()).await).await?.gates;
        Display::people(watched.id, &gates)
    };
    shown_by(display, watched, global, session).await
}

/// The same, with what its hosts write instead of its steps.
pub async fn by_host(watched: Watched, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let display = if global.json {
        Display::json()
    } else {
        let hosts = session.ask(async |client| client.show(&watched.id.to_string()).await).await?.hosts;
        Display::by_host(watched.id, hosts.keys().map(|host| host.chars().count()).max().unwrap_or(0))
    };
    shown_by(display, watched, global, session).await
}

async fn shown_by(
    mut display: Display,
    watched: Watched,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<u8, Problem> {
    let mut stop = Stop::new()?;
    let Watched { id, mut after, by, goal } = watched;
    // The entry that opened a question which was shown last.
    let mut asked = 0;
    let end = loop {
        let mut lines = session.ask(async |client| client.watch(&id.to_string(), after).await).await?;
        let end = tokio::select! {
            end = show_lines(&mut lines, (&mut after, &mut asked), &mut display, id, session) => end,
            () = stop.asked() => Ok(End::Asked),
        };
        match end {
            Ok(End::Gone) => {}
            Ok(end) => break end,
            Err(problem) => {
                display.finish();
                // Nobody reads what we show: that is no reason to drop the operation without a word.
                session.let_go(id).await;
                return Err(if problem.code == OK { Problem { code: RESTS, ..problem } } else { problem });
            }
        }
        go_on(session, id, &by).await?;
    };
    display.finish();
    let broken = match end {
        End::Asked => return Ok(detach(session, id).await),
        End::Rests { broken } => broken,
        End::Gone => None,
    };
    let view = session.ask(async |client| client.show(&id.to_string()).await).await?;
    let code = if broken.is_some() { FAILED } else { goal.code(&view.state) };
    if global.json {
        put_json(&view)?;
    } else {
        summary(&view, broken.as_deref(), code, asked == view.events)?;
    }
    Ok(code)
}

enum End {
    /// The operation rests.
    Rests { broken: Option<String> },
    /// The process that works on it ended.
    Gone,
    /// Somebody asks us to stop.
    Asked,
}

async fn show_lines(
    lines: &mut Lines,
    (after, asked): (&mut u64, &mut u64),
    display: &mut Display,
    id: Uuid,
    session: &mut Session<'_>,
) -> Result<End, Problem> {
    loop {
        match lines.next().await {
            Ok(Some(WatchLine::End { broken })) => return Ok(End::Rests { broken }),
            Ok(Some(line)) => {
                if let WatchLine::Entry(entry) = &line {
                    *after = entry.seq;
                }
                if let Some(node) = display.wants_output(&line) {
                    let (id, node) = (id.to_string(), node.to_string());
                    let outputs = session.ask(async |client| client.output(&id, Some(&node)).await).await?;
                    display.outputs(&outputs)?;
                }
                display.line(&line)?;
                if let Some(gate) = display.asks(&line) {
                    let view = session.ask(async |client| client.show(&id.to_string()).await).await?;
                    show::question(&view, gate).iter().for_each(|line| display.note(line));
                    *asked = *after;
                }
            }
            Ok(None) | Err(ClientError::Gone(_)) => return Ok(End::Gone),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes the operation in hand again, after the process that worked on it ended under us.
async fn go_on(session: &mut Session<'_>, id: Uuid, by: &str) -> Result<(), Problem> {
    let id = id.to_string();
    let view = session.ask(async |client| client.show(&id).await).await?;
    if view.now != Now::NoProcess {
        return Ok(());
    }
    let verb = Verb::Resume { decisions: BTreeMap::new() };
    let request = VerbRequest { verb, by: by.to_owned(), why: "the process that worked on it ended".to_owned() };
    session.ask(async |client| client.verb(&id, &request).await).await.map(drop)
}

fn summary(view: &OperationView, broken: Option<&str>, code: u8, asked: bool) -> Result<(), Problem> {
    let id = short(view.id);
    let took = crate::time::took(view.at_ms.saturating_sub(view.created_at_ms));
    let why = view.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    say(&format!("operation {id} {}{why} (after {took})", show::state_words(&view.state)));
    for (name, value) in &view.outputs {
        put(&format!("{name} = {value}"))?;
    }
    let failed = |node: &&engine::view::NodeView| node.state == "failed" || node.state == "undo_failed";
    for node in view.nodes.iter().filter(failed).filter(|_| code != OK) {
        say(&format!("  {}: {}", node.id, node.why.as_deref().unwrap_or("")));
    }
    match broken {
        Some(why) => {
            say(&format!("error: {why}"));
            say(&format!("  help: nothing that was done is lost; mend the cause, then `anneal resume {id}`"));
        }
        // What is asked stands just above.
        None if asked => {}
        None => show::next(view).iter().for_each(|line| say(line)),
    }
    Ok(())
}

/// Lets go of the operation, and says how to go on.
async fn detach(session: &Session<'_>, id: Uuid) -> u8 {
    let short = short(id);
    if session.is_owner() {
        session.let_go(id).await;
        say(&format!("detached: what runs on hosts goes on; nothing new is started until `anneal resume {short}`"));
    } else {
        say(&format!("detached: another process goes on with it; `anneal logs {short} --follow` watches it"));
    }
    RESTS
}
