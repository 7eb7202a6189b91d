//! `anneal run FILE|NAME`: compile, create the operation, and watch it.

use server::CreateRequest;

use super::by;
use super::prepared::{self, Prepared};
use crate::args::{Global, Run};
use crate::report::{OK, Problem, USAGE, put, put_json};
use crate::session::Session;
use crate::watch::{self, Goal, Watched};

pub async fn run(run: &Run, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let Some(prepared) = prepared::prepare(&run.with, global, session).await? else { return Ok(USAGE) };
    let Prepared { plan, assets, hosts, secrets } = prepared;
    let assets = assets.into_iter().map(|(path, bytes)| (path, data_encoding::BASE64.encode(&bytes))).collect();
    let id = uuid::Uuid::now_v7();
    let request = CreateRequest {
        id,
        plan,
        assets,
        hosts,
        secrets,
        by: by(),
        if_locked: if run.queue { engine::IfLocked::Queue } else { engine::IfLocked::Refuse },
    };

    session.may_detach(run.detach).await?;
    session.ask(async |client| client.create(&request).await).await?;
    drop(request);
    if run.detach {
        let view = session.ask(async |client| client.show(&id.to_string()).await).await?;
        return if global.json { put_json(&view).map(|()| OK) } else { put(&id.to_string()).map(|()| OK) };
    }
    watch::watch(Watched { id, after: 0, by: by(), goal: Goal::Completes }, global, session).await
}
