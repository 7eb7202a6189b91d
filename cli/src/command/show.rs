//! `anneal show OP`: one operation, its nodes, and what to do next.

use crate::args::{Global, Show};
use crate::report::{OK, Problem, put, put_json};
use crate::show;

use super::attach;

pub async fn run(args: &Show, global: &Global) -> Result<u8, Problem> {
    let access = attach(global).await?;
    let view = access.client.show(&args.operation).await?;
    if global.json {
        put_json(&view)?;
    } else {
        for line in show::operation(&view) {
            put(&line)?;
        }
    }
    Ok(OK)
}
