//! Watching an operation: on a terminal one live line per running node, plain lines elsewhere, lines of JSON with `--json`.
//!
//! Ctrl-C detaches (D5): what runs on hosts goes on, and how to go on is said.

mod display;

use display::Display;
use server::{Access, ClientError, WatchLine};
use tokio::signal::unix::{Signal, SignalKind, signal};
use uuid::Uuid;

use crate::args::Global;
use crate::command::attach;
use crate::report::{FAILED, OK, Problem, RESTS, put, put_json, say};
use crate::show::{self, short};

/// Watches an operation from entry `after` on, until it rests; the exit code.
///
/// The process that works on it may end: with the operation, or before. What it did is in the store, so the rest is read
/// from there.
pub async fn watch(mut access: Access, id: Uuid, mut after: u64, global: &Global) -> Result<u8, Problem> {
    let mut lines = access.client.watch(&id.to_string(), after).await?;
    let mut display = if global.json { Display::json() } else { Display::people(id) };
    let mut stop = Stop::new()?;
    let broken = loop {
        tokio::select! {
            line = lines.next() => match line {
                Ok(Some(WatchLine::End { broken })) => break broken,
                Ok(Some(line)) => {
                    if let WatchLine::Entry(entry) = &line {
                        after = entry.seq;
                    }
                    display.line(&line)?;
                }
                Ok(None) | Err(ClientError::Gone(_)) => {
                    access = attach(global).await?;
                    lines = access.client.watch(&id.to_string(), after).await?;
                }
                Err(error) => {
                    display.finish();
                    return Err(error.into());
                }
            },
            () = stop.asked() => {
                display.finish();
                return Ok(detach(&access, id));
            }
        }
    };
    display.finish();
    let view = match access.client.show(&id.to_string()).await {
        Err(ClientError::Gone(_)) => {
            access = attach(global).await?;
            access.client.show(&id.to_string()).await?
        }
        view => view?,
    };
    let code = match (view.state.as_str(), &broken) {
        ("COMPLETED", None) => OK,
        ("STARTING" | "PROCESSING" | "ROLLING_BACK", None) => RESTS,
        _ => FAILED,
    };
    if global.json {
        put_json(&view)?;
    } else {
        summary(&view, broken.as_deref())?;
    }
    stay(&access).await;
    Ok(code)
}

fn summary(view: &engine::view::OperationView, broken: Option<&str>) -> Result<(), Problem> {
    let id = short(view.id);
    let took = crate::time::took(view.at_ms.saturating_sub(view.created_at_ms));
    let why = view.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    say(&format!("operation {id} {}{why} (after {took})", show::state_words(&view.state)));
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
        if let Ok(mut stop) = Stop::new() {
            tokio::select! {
                () = engine.idle() => {}
                () = stop.asked() => engine.let_go(),
            }
        }
    }
}

/// Somebody asks us to stop: Ctrl-C, `kill`, a closed terminal.
struct Stop {
    signals: [Signal; 3],
}

impl Stop {
    fn new() -> Result<Stop, Problem> {
        let listen = |kind| signal(kind).map_err(|error| Problem::failed(format!("signals cannot be heard: {error}")));
        let signals =
            [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?];
        Ok(Stop { signals })
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
