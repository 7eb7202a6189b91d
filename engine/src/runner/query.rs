//! What can be asked of the engine; nothing here changes anything.

use std::sync::Arc;

use tokio::sync::watch;
use uuid::Uuid;

use super::engine::{Engine, blocking};
use super::live::{LiveAt, Moving, Tail};
use super::standing::{Update, Waits};
use crate::error::{Error, Kind};
use crate::journal::{self, Summary};
use crate::operation::{Entry, Operation, OutputRef};

impl Engine {
    /// The operations, oldest first.
    pub async fn list(&self) -> Result<Vec<Summary>, Error> {
        let store = self.shared.store.clone();
        blocking(move || journal::summaries(&store)).await
    }

    /// The operation whose id begins or ends with `part`; ids of one morning begin alike, so ends are what lists show.
    pub async fn find(&self, part: &str) -> Result<Uuid, Error> {
        let part = part.to_ascii_lowercase();
        if let Ok(id) = part.parse::<Uuid>() {
            return Ok(id);
        }
        let ids: Vec<Uuid> = self.list().await?.into_iter().map(|summary| summary.id).collect();
        let fits = |id: &&Uuid| id.to_string().starts_with(&part) || id.to_string().ends_with(&part);
        let found: Vec<&Uuid> = ids.iter().filter(fits).collect();
        match (found.as_slice(), part.is_empty()) {
            (_, true) | ([], _) => {
                Err(Error::new(Kind::NotFound, format!("there is no operation `{part}`"))
                    .hint("`anneal ops` lists them"))
            }
            ([id], false) => Ok(**id),
            (several, false) => {
                let ids: Vec<String> = several.iter().take(5).map(ToString::to_string).collect();
                Err(Error::new(
                    Kind::Ambiguous,
                    format!("`{part}` fits {} operations: {}", several.len(), ids.join(", ")),
                )
                .hint("give more of the id"))
            }
        }
    }

    /// An operation as its journal tells of it.
    pub async fn load(&self, id: Uuid) -> Result<Operation, Error> {
        let shared = Arc::clone(&self.shared);
        blocking(move || journal::load(&shared.store, &shared.plans, id)).await
    }

    /// Entries of its journal after `seq`.
    pub async fn entries(&self, id: Uuid, after: u64, limit: usize) -> Result<Vec<Entry>, Error> {
        let store = self.shared.store.clone();
        blocking(move || journal::entries(&store, id, after, limit)).await
    }

    /// What a program wrote.
    pub async fn output(&self, output: &OutputRef) -> Result<(String, String), Error> {
        match output {
            OutputRef::Inline { stdout, stderr } => Ok((stdout.clone(), stderr.clone())),
            OutputRef::Blob { digest } => {
                let bad = || Error::new(Kind::Quarantined, format!("the output `{digest}` cannot be read"));
                let parsed: store::Digest = digest.parse().map_err(|_| bad())?;
                let store = self.shared.store.clone();
                let bytes = blocking(move || Ok(store.blobs().get(&parsed)?)).await?;
                match serde_json::from_slice(&bytes) {
                    Ok(OutputRef::Inline { stdout, stderr }) => Ok((stdout, stderr)),
                    Ok(OutputRef::Blob { .. }) | Err(_) => Err(bad()),
                }
            }
        }
    }

    /// Tells when an operation has changed; nothing where this process does not work on it.
    pub fn watch(&self, id: Uuid) -> Option<watch::Receiver<Update>> {
        self.shared.hands().get(&id).map(|hand| hand.seen.clone())
    }

    /// Live output after `offset` bytes of it.
    pub fn tail(&self, id: Uuid, at: &LiveAt, offset: u64) -> Option<Tail> {
        let board = self.shared.hands().get(&id).map(|hand| hand.board.clone())?;
        board.tail(at, offset)
    }

    /// All live outputs of an operation, and how far they have come.
    pub fn live(&self, id: Uuid) -> Vec<LiveAt> {
        let board = self.shared.hands().get(&id).map(|hand| hand.board.clone());
        board.map(|board| board.all()).unwrap_or_default()
    }

    /// The transfers of an operation that are under way.
    pub fn moving(&self, id: Uuid) -> Vec<Moving> {
        let board = self.shared.hands().get(&id).map(|hand| hand.board.clone());
        board.map(|board| board.moving()).unwrap_or_default()
    }

    /// What an operation waits for of others, as the process that works on it sees it.
    pub fn waits(&self, id: Uuid) -> Vec<Waits> {
        self.shared.hands().get(&id).map(|hand| hand.seen.borrow().waits.clone()).unwrap_or_default()
    }
}
