//! `anneal replay OP|FILE`: a run shown again from its journal. Nothing is run, nothing is changed, no host is touched.

use std::path::Path;
use std::time::Duration;

use engine::operation::{Entry, Event};
use engine::view::OperationView;
use server::{EXPORT_FORMAT, Export, WatchLine};

use crate::args::{Global, Replay};
use crate::report::{OK, Problem, RESTS, put_json, say};
use crate::session::Session;
use crate::show::state_words;
use crate::stop::Stop;
use crate::time::since;
use crate::told::Teller;

/// What is shown again.
struct Run {
    entries: Vec<Entry>,
    view: Option<OperationView>,
}

pub async fn run(args: &Replay, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let path = Path::new(&args.what);
    let Run { entries, view } = if path.is_file() { of_file(path)? } else { of_store(&args.what, session).await? };
    let begin = entries.first().map_or(0, |entry| entry.at_ms);
    let mut teller = Teller::new(view.as_ref().map_or(&[], |view| &view.gates));
    if let (false, Some(Event::Created { operation, workflow, by, .. })) =
        (global.json, entries.first().map(|entry| &entry.event))
    {
        say(&format!("operation {operation}: {workflow}, asked for by {by} at {} UTC", crate::time::date(begin)));
    }
    let mut stop = Stop::new()?;
    let mut before = begin;
    for entry in entries {
        let text = teller.text(&entry);
        if global.json || text.is_some() {
            let wait = pause(args, entry.at_ms.saturating_sub(before));
            tokio::select! {
                go_on = wait => if !go_on? { return Ok(OK) },
                () = stop.asked() => return Ok(RESTS),
            }
            before = entry.at_ms;
        }
        let at = entry.at_ms.saturating_sub(begin);
        match (global.json, text) {
            (true, _) => put_json(&WatchLine::Entry(entry))?,
            (false, Some(text)) => say(&format!("{} {text}", since(at))),
            (false, None) => {}
        }
    }
    if let (false, Some(view)) = (global.json, view) {
        let why = view.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        say(&format!("{} {}{why}", since(view.at_ms.saturating_sub(begin)), state_words(&view.state)));
    }
    Ok(OK)
}

/// Waits before the next line; whether to go on.
async fn pause(args: &Replay, gap_ms: u64) -> Result<bool, Problem> {
    if let Some(speed) = args.speed {
        tokio::time::sleep(Duration::from_millis(gap_ms) / speed).await;
    }
    if !args.step {
        return Ok(true);
    }
    let line = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await;
    match line {
        Ok(Ok(bytes)) => Ok(bytes > 0),
        Ok(Err(error)) => Err(Problem::failed(format!("standard input cannot be read: {error}"))),
        Err(error) => Err(Problem::failed(format!("standard input cannot be read: {error}"))),
    }
}

async fn of_store(operation: &str, session: &mut Session<'_>) -> Result<Run, Problem> {
    let view = session.ask(async |client| client.show(operation).await).await?;
    let id = view.id.to_string();
    let mut entries: Vec<Entry> = Vec::new();
    while (entries.len() as u64) < view.events {
        let after = entries.last().map_or(0, |entry| entry.seq);
        let page = session.ask(async |client| client.journal(&id, after).await).await?;
        if page.is_empty() {
            break;
        }
        entries.extend(page);
    }
    entries.retain(|entry| entry.seq <= view.events);
    Ok(Run { entries, view: Some(view) })
}

fn of_file(path: &Path) -> Result<Run, Problem> {
    let name = path.display();
    let text = std::fs::read(path).map_err(|error| Problem::usage(format!("`{name}` cannot be read: {error}")))?;
    let json: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| Problem::usage(format!("`{name}` is no exported operation: {error}")).hint(WRITES))?;
    match json["anneal_export"].as_u64() {
        Some(format) if format == u64::from(EXPORT_FORMAT) => {}
        Some(format) => {
            return Err(Problem::usage(format!(
                "`{name}` has format {format} of exported operations, newer than ours"
            ))
            .hint("use the version of Anneal that wrote it, or a later one"));
        }
        None => return Err(Problem::usage(format!("`{name}` is no exported operation")).hint(WRITES)),
    }
    let export: Export = serde_json::from_value(json)
        .map_err(|error| Problem::usage(format!("`{name}` is no exported operation: {error}")).hint(WRITES))?;
    Ok(Run { entries: export.journal, view: export.operation })
}

const WRITES: &str = "`anneal export OP -o FILE` writes one; an operation is named by its id";
