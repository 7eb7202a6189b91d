//! `anneal ops`: the operations, newest last.

use crate::args::Global;
use crate::report::{OK, Problem, put, put_json, say};
use crate::session::Session;
use crate::show::short;
use crate::time::date;

pub async fn run(global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let operations = session.ask(async |client| client.list().await).await?;
    if global.json {
        put_json(&operations)?;
        return Ok(OK);
    }
    if operations.is_empty() {
        say("no operations yet; `anneal run FILE` makes one");
        return Ok(OK);
    }
    let width = operations.iter().map(|operation| operation.workflow.len()).max().unwrap_or(0).max(8);
    put(&format!("{:<8}  {:<12}  {:<width$}  {:<19}  BY", "ID", "STATE", "WORKFLOW", "CREATED (UTC)"))?;
    for operation in &operations {
        let waits = operation.waits_for.as_ref().map(|why| format!("  ({why})")).unwrap_or_default();
        put(&format!(
            "{:<8}  {:<12}  {:<width$}  {:<19}  {}{waits}",
            short(operation.id),
            operation.state,
            operation.workflow,
            date(operation.created_at_ms),
            operation.by,
        ))?;
    }
    Ok(OK)
}
