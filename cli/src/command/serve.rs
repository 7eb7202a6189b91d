//! `anneal serve`: the process that holds the store, without a terminal. It goes on with every unfinished operation, answers
//! all other commands, and ends when it is told to: then it lets go of all, and their jobs go on on their hosts.

use engine::runner::Recovered;
use server::Owner;

use crate::args::Global;
use crate::data_dir::data_dir;
use crate::report::{FAILED, OK, Problem};
use crate::session::Session;
use crate::stop::Stop;

pub async fn run(global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let mut stop = Stop::new()?;
    let folder = data_dir(global)?;
    if !session.attach().await? {
        let pid = session.ask(async |client| client.about().await).await?.pid;
        return Err(Problem::failed(format!("process {pid} holds the store in {} already", folder.display()))
            .hint("one process holds a store: end that one, or use another --data-dir"));
    }
    let Some(owner) = session.take_owner() else {
        return Err(Problem::failed("the store was let go of this moment").hint("try again"));
    };
    tracing::info!(data_dir = %folder.display(), pid = std::process::id(), "serving");
    match owner.engine.store().held() {
        Some(_) => tracing::warn!("the store was restored and is held: nothing goes on until `anneal store release`"),
        None => recover(&owner).await?,
    }
    stop.asked().await;
    tracing::info!(
        operations = owner.engine.busy(),
        "asked to end: letting go of all; their jobs go on on their hosts"
    );
    tokio::select! {
        ended = owner.let_go_and_end() => ended?,
        () = stop.asked() => {
            // What was answered is durable, and the rest is found again: that is what the journal is for.
            tracing::warn!("asked again: ending at once");
            return Ok(FAILED);
        }
    }
    tracing::info!("ended");
    Ok(OK)
}

/// What it took and what it left, with the reason (I11).
async fn recover(owner: &Owner) -> Result<(), Problem> {
    let Recovered { taken, left } = owner.engine.recover().await?;
    for id in &taken {
        tracing::info!(operation = %id, "goes on");
    }
    // Each of these was logged where it failed.
    tracing::info!(taken = taken.len(), left = left.len(), "every unfinished operation goes on that can");
    Ok(())
}
