//! `anneal ops`: the operations, newest last; `anneal ops prune`.

use engine::runner::Retention;
use server::{PruneRequest, Row};

use crate::args::{Global, Ops, OpsCommand, Prune};
use crate::report::{OK, Problem, put, put_json, say};
use crate::session::Session;
use crate::show::{now_words, short};
use crate::size::size;
use crate::time::date;
use crate::told::{self, count};

pub async fn run(ops: &Ops, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    if let Some(OpsCommand::Prune(args)) = &ops.command {
        return prune(args, global, session).await;
    }
    let mut rows = session.ask(async |client| client.list().await).await?;
    rows.retain(|row| row.open || !ops.open);
    if global.json {
        put_json(&rows)?;
        return Ok(OK);
    }
    if rows.is_empty() {
        say(if ops.open { "no operation is open" } else { "no operations yet; `anneal run FILE` makes one" });
        return Ok(OK);
    }
    let width = rows.iter().map(|row| row.workflow.len()).max().unwrap_or(0).max(8);
    put(&format!("{:<8}  {:<12}  {:<10}  {:<width$}  {:<19}  BY", "ID", "STATE", "NOW", "WORKFLOW", "CREATED (UTC)"))?;
    for row in &rows {
        put(&format!(
            "{:<8}  {:<12}  {:<10}  {:<width$}  {:<19}  {}{}",
            short(row.id),
            row.state,
            now_words(row.now),
            row.workflow,
            date(row.created_at_ms),
            row.by,
            waits_for(row),
        ))?;
    }
    if rows.iter().any(|row| row.now == engine::view::Now::NoProcess) {
        say("no process works on some: `anneal resume` goes on with them, `anneal serve` does so by itself");
    }
    Ok(OK)
}

async fn prune(args: &Prune, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let Prune { operation, keep, older_than, dry_run, .. } = args;
    let request = match operation {
        Some(operation) => PruneRequest::Quarantined { operation: operation.clone(), dry_run: *dry_run },
        None => PruneRequest::Ended(Retention { keep: *keep, older_than_ms: *older_than, dry_run: *dry_run }),
    };
    let pruned = session.ask(async |client| client.prune(&request).await).await?;
    if global.json {
        put_json(&pruned)?;
        return Ok(OK);
    }
    for id in &pruned.operations {
        put(&id.to_string())?;
    }
    let blobs = count(usize::try_from(pruned.blobs).unwrap_or(usize::MAX), "blob");
    let went = if *dry_run { "would be forgotten" } else { "forgotten" };
    say(&format!("{} {went}, and {blobs} of {}", count(pruned.operations.len(), "operation"), size(pruned.bytes)));
    match &pruned.blobs_stay {
        Some(why) => say(&format!("no blob is deleted: {why}")),
        None if *dry_run => {}
        None => say("the log gives its space back by itself when it is worth it, or by `anneal store compact`"),
    }
    Ok(OK)
}

fn waits_for(row: &Row) -> String {
    let held: Vec<String> = row.waits.iter().map(told::waits).collect();
    match (&row.waits_for, held.is_empty()) {
        (_, false) => format!("  ({})", held.join("; ")),
        (Some(why), true) => format!("  ({why})"),
        (None, true) => String::new(),
    }
}
