//! `anneal show OP`: one operation, its nodes, and what to do next.

use crate::args::{Global, Show};
use crate::report::{OK, Problem, put, put_json};
use crate::session::Session;
use crate::show;

pub async fn run(args: &Show, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let view = session.ask(async |client| client.show(&args.op.operation).await).await?;
    if global.json {
        put_json(&view)?;
    } else {
        for line in show::operation(&view) {
            put(&line)?;
        }
    }
    Ok(OK)
}
