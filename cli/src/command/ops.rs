//! `anneal ops`: the operations, newest last.

use server::Row;

use crate::args::{Global, Ops};
use crate::report::{OK, Problem, put, put_json, say};
use crate::session::Session;
use crate::show::{now_words, short};
use crate::time::date;
use crate::told;

pub async fn run(ops: &Ops, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
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

fn waits_for(row: &Row) -> String {
    let held: Vec<String> = row.waits.iter().map(told::waits).collect();
    match (&row.waits_for, held.is_empty()) {
        (_, false) => format!("  ({})", held.join("; ")),
        (Some(why), true) => format!("  ({why})"),
        (None, true) => String::new(),
    }
}
