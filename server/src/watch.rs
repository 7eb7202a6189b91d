//! Watching an operation: its journal as it grows, and the live output of what runs, as lines of JSON.
//!
//! What is sent as an entry is durable. Live output is not part of the journal and may be lost; it is looked for five
//! times a second while somebody watches.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use engine::operation::NodeId;
use engine::runner::{LiveKey, Standing, Waits};
use engine::{Engine, Error, Kind};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::api::WatchLine;
use crate::routes::PAGE;

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Lines that wait for a slow reader before we wait for it.
const QUEUE_LINES: usize = 256;

/// The answer that streams an operation from entry `after` on.
pub(crate) fn stream(engine: Engine, id: Uuid, after: u64) -> Response {
    let (to, mut lines) = mpsc::channel::<Bytes>(QUEUE_LINES);
    tokio::spawn(async move {
        let mut watcher =
            Watcher { engine, id, after, offsets: HashMap::new(), moved: HashMap::new(), waits: Vec::new(), to };
        let end = match watcher.run().await {
            Ok(end) => end,
            Err(Gone::Reader) => return,
            Err(Gone::Store(error)) => Some(error.to_string()),
        };
        // A reader that has gone wants no end.
        let _ = watcher.send(&WatchLine::End { broken: end }).await;
    });
    let stream =
        futures::stream::poll_fn(move |cx| lines.poll_recv(cx).map(|line| line.map(Ok::<_, std::convert::Infallible>)));
    ([(CONTENT_TYPE, "application/jsonl")], Body::from_stream(stream)).into_response()
}

enum Gone {
    Reader,
    Store(Error),
}

struct Watcher {
    engine: Engine,
    id: Uuid,
    after: u64,
    offsets: HashMap<LiveKey, u64>,
    /// What was told last of transfers: how many bytes.
    moved: HashMap<NodeId, u64>,
    /// What was told last that it waits for.
    waits: Vec<Waits>,
    to: mpsc::Sender<Bytes>,
}

impl Watcher {
    /// Why this process had to stop working on the operation, if it had to.
    async fn run(&mut self) -> Result<Option<String>, Gone> {
        let Some(mut seen) = self.engine.watch(self.id) else {
            self.entries().await?;
            return Ok(None);
        };
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = true;
        loop {
            let (standing, waits) = {
                let update = seen.borrow_and_update();
                (update.rest.clone(), update.waits.clone())
            };
            if looks {
                self.tails().await?;
            }
            self.entries().await?;
            if waits != self.waits {
                self.waits.clone_from(&waits);
                self.send(&WatchLine::Waits(waits)).await?;
            }
            match standing {
                Standing::Busy => {}
                Standing::AtRest | Standing::LetGo => return Ok(None),
                Standing::Broken(why) => return Ok(Some(why)),
            }
            tokio::select! {
                changed = seen.changed() => {
                    looks = false;
                    if changed.is_err() && seen.borrow().rest == Standing::Busy {
                        return Ok(Some("the task that worked on it ended, which is a bug in Anneal".to_owned()));
                    }
                }
                _ = look.tick() => looks = true,
                () = self.to.closed() => return Err(Gone::Reader),
            }
        }
    }

    async fn entries(&mut self) -> Result<(), Gone> {
        loop {
            let entries = self.engine.entries(self.id, self.after, PAGE).await.map_err(Gone::Store)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                self.after = entry.seq;
                self.send(&WatchLine::Entry(entry)).await?;
            }
        }
    }

    async fn tails(&mut self) -> Result<(), Gone> {
        for at in self.engine.live(self.id) {
            let offset = self.offsets.get(&at.key()).copied().unwrap_or(0);
            if at.offset <= offset {
                continue;
            }
            if let Some(tail) = self.engine.tail(self.id, &at, offset) {
                self.offsets.insert(at.key(), tail.offset);
                self.send(&WatchLine::Tail(tail)).await?;
            }
        }
        let moving = self.engine.moving(self.id);
        self.moved.retain(|node, _| moving.iter().any(|moving| moving.node == *node));
        for moving in moving {
            if self.moved.insert(moving.node.clone(), moving.bytes) != Some(moving.bytes) {
                self.send(&WatchLine::Moving(moving)).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, line: &WatchLine) -> Result<(), Gone> {
        let mut bytes = serde_json::to_vec(line)
            .map_err(|error| Gone::Store(Error::new(Kind::Internal, "a line cannot be written").source(error)))?;
        bytes.push(b'\n');
        self.to.send(Bytes::from(bytes)).await.map_err(|_| Gone::Reader)
    }
}
