//! `anneal resume --all`: every unfinished operation goes on, and all are watched: a line when each of them rests.
//!
//! Where the process that works on them ends before them, they are gone on with from here.

use std::collections::BTreeSet;

use engine::view::{Now, OperationView};
use futures::StreamExt;
use server::{Client, ClientError, WatchLine};
use uuid::Uuid;

use crate::args::Global;
use crate::report::{FAILED, OK, Problem, RESTS, put_json, say};
use crate::session::Session;
use crate::show::{self, short};
use crate::stop::Stop;
use crate::told::count;

/// Operations that are watched at once; the others are looked at when these rest.
const WATCHED: usize = 64;

pub async fn run(detach: bool, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let mut stop = Stop::new()?;
    let (mut seen, mut rest) = (BTreeSet::new(), Tally::default());
    loop {
        let recovered = session.ask(async |client| client.recover().await).await?;
        for left in &recovered.left {
            if seen.insert(left.id) {
                rest.failed += 1;
                let hint = left.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
                say(&format!("{} cannot go on: {}{hint}", short(left.id), left.why));
            }
        }
        let to_watch: Vec<Uuid> = recovered.taken.into_iter().filter(|id| !seen.contains(id)).collect();
        if to_watch.is_empty() {
            break;
        }
        if !global.json {
            say(&format!("{} to go on with", count(to_watch.len(), "operation")));
        }
        if detach {
            return Ok(OK);
        }
        let client = session.client().await?;
        let mut ends =
            futures::stream::iter(to_watch.into_iter().map(|id| watch(client.clone(), id))).buffer_unordered(WATCHED);
        let gone = loop {
            let end = tokio::select! {
                end = ends.next() => end,
                () = stop.asked() => {
                    session.let_go_of_all().await;
                    say("detached: what runs on hosts goes on; `anneal resume` goes on with all of them");
                    return Ok(RESTS);
                }
            };
            match end {
                None => break false,
                Some(Ok(Some(ended))) => {
                    seen.insert(ended.view.id);
                    rest.add(&ended, global)?;
                }
                // The process that worked on them ended.
                Some(Ok(None)) => break true,
                Some(Err(error)) => return Err(error.into()),
            }
        };
        drop(ends);
        if !gone {
            break;
        }
        session.forget();
    }
    if seen.is_empty() && !global.json {
        say("nothing to go on with: no operation is unfinished but those that stopped or wait for a person");
    }
    Ok(rest.code())
}

/// How an operation came to rest.
struct Ended {
    view: OperationView,
    broken: Option<String>,
}

/// Watches an operation until it rests. Nothing where the process that works on it ended.
async fn watch(client: Client, id: Uuid) -> Result<Option<Ended>, ClientError> {
    let id = id.to_string();
    match watch_of(&client, &id).await {
        Err(ClientError::Gone(_)) => Ok(None),
        ended => ended,
    }
}

async fn watch_of(client: &Client, id: &str) -> Result<Option<Ended>, ClientError> {
    let after = client.show(id).await?.events;
    let mut lines = client.watch(id, after).await?;
    loop {
        match lines.next().await? {
            Some(WatchLine::End { broken }) => return Ok(Some(Ended { view: client.show(id).await?, broken })),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

/// What they came to.
#[derive(Default)]
struct Tally {
    failed: usize,
    waiting: usize,
}

impl Tally {
    fn add(&mut self, ended: &Ended, global: &Global) -> Result<(), Problem> {
        let Ended { view, broken } = ended;
        match (&view.now, view.state.as_str(), broken) {
            (_, "COMPLETED", None) => {}
            (Now::Waits | Now::AtWork | Now::NoProcess, _, None) => self.waiting += 1,
            _ => self.failed += 1,
        }
        if global.json {
            return put_json(view);
        }
        let why = broken.as_ref().or(view.why.as_ref()).map(|why| format!(": {why}")).unwrap_or_default();
        say(&format!("{}  {:<16}  {}{why}", short(view.id), view.workflow, show::state_words(&view.state)));
        if view.state != "COMPLETED" {
            show::next(view).iter().for_each(|line| say(&format!("          {line}")));
        }
        Ok(())
    }

    fn code(&self) -> u8 {
        match (self.failed, self.waiting) {
            (0, 0) => OK,
            (0, _) => RESTS,
            _ => FAILED,
        }
    }
}
