//! Watching an operation: on a terminal one live line per running node, plain lines elsewhere, lines of JSON with `--json`.
//!
//! Ctrl-C detaches (D5): what runs on hosts goes on, and how to go on is said.

mod display;

use display::Display;
use server::{Access, WatchLine};
use uuid::Uuid;

use crate::args::Global;
use crate::report::{FAILED, OK, Problem, RESTS, put, put_json, say};
use crate::show::{self, short};

/// Watches an operation from entry `after` on, until it rests; the exit code.
pub async fn watch(access: &Access, id: Uuid, after: u64, global: &Global) -> Result<u8, Problem> {
    let mut lines = access.client.watch(&id.to_string(), after).await?;
    let mut display = if global.json { Display::json() } else { Display::people(id) };
    let mut broken = None;
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        tokio::select! {
            line = lines.next() => match line {
                Ok(Some(WatchLine::End { broken: why })) => {
                    broken = why;
                    break;
                }
                Ok(Some(line)) => display.line(&line)?,
                Ok(None) => {
                    broken = Some("the process that worked on it ended".to_owned());
                    break;
                }
                Err(error) => {
                    display.finish();
                    return Err(error.into());
                }
            },
            _ = &mut interrupt => {
                display.finish();
                return Ok(detach(access, id));
            }
        }
    }
    display.finish();
    let view = access.client.show(&id.to_string()).await?;
    let code = match (view.state.as_str(), &broken) {
        ("COMPLETED" | "ROLLED_BACK", None) if view.state == "COMPLETED" => OK,
        ("STARTING" | "PROCESSING" | "ROLLING_BACK", None) => RESTS,
        _ => FAILED,
    };
    if global.json {
        put_json(&view)?;
    } else {
        summary(&view, broken.as_deref())?;
    }
    stay(access).await;
    Ok(code)
}

fn summary(view: &engine::view::OperationView, broken: Option<&str>) -> Result<(), Problem> {
    let id = short(view.id);
    let took = crate::time::took(view.at_ms.saturating_sub(view.created_at_ms));
    let why = view.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    say(&format!("operation {id} {}{why} (after {took})", view.state.replace('_', " ").to_lowercase()));
    for (name, value) in &view.outputs {
        put(&format!("{name} = {value}"))?;
    }
    for node in view.nodes.iter().filter(|node| node.state == "failed" || node.state == "undo_failed") {
        say(&format!("  {}: {}", node.id, node.why.as_deref().unwrap_or("")));
    }
    match broken {
        Some(why) => {
            say(&format!("error: {why}"));
            say(&format!("  help: nothing that was done is lost; mend the cause, then `anneal resume {id}`"));
        }
        None => show::next(view).iter().for_each(|line| say(line)),
    }
    Ok(())
}

/// Lets go of the operation, and says how to go on.
fn detach(access: &Access, id: Uuid) -> u8 {
    let id = short(id);
    match &access.owner {
        Some(engine) => {
            engine.let_go();
            say(&format!("detached: what runs on hosts goes on; nothing new is started until `anneal resume {id}`"));
        }
        None => say(&format!("detached: another process goes on with it; `anneal logs {id} --follow` watches it")),
    }
    RESTS
}

/// The process that holds the store stays as long as others' operations need it.
async fn stay(access: &Access) {
    let Some(engine) = &access.owner else { return };
    if engine.busy() > 0 {
        say(&format!("this process holds the store and goes on with {} other operations (Ctrl-C lets go)", engine.busy()));
        tokio::select! {
            () = engine.idle() => {}
            _ = tokio::signal::ctrl_c() => engine.let_go(),
        }
    }
}
