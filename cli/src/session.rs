//! A command's dealings with the store: whoever holds it answers, and if that is this process, it ends properly.
//!
//! Another process that holds the store may end while we ask. Then we ask again: the next time we may be the one that
//! holds it.

use engine::runner::Options;
use server::{Access, Client, ClientError};
use uuid::Uuid;

use crate::args::Global;
use crate::data_dir::data_dir;
use crate::report::{Problem, say};
use crate::stop::Stop;

/// How often a question is asked of processes that end under it.
const TRIES: usize = 5;

/// A command's dealings with the store.
pub struct Session<'a> {
    global: &'a Global,
    access: Option<Access>,
}

impl<'a> Session<'a> {
    pub fn new(global: &'a Global) -> Session<'a> {
        Session { global, access: None }
    }

    /// Asks whoever holds the store.
    pub async fn ask<T>(&mut self, question: impl AsyncFn(&Client) -> Result<T, ClientError>) -> Result<T, Problem> {
        for _ in 1..TRIES {
            match question(&self.access().await?.client).await {
                Err(ClientError::Gone(_)) if !self.is_owner() => self.access = None,
                answer => return Ok(answer?),
            }
        }
        Ok(question(&self.access().await?.client).await?)
    }

    async fn access(&mut self) -> Result<&Access, Problem> {
        let access = match self.access.take() {
            Some(access) => access,
            None => {
                let access = server::attach(Options::new(data_dir(self.global)?)).await?;
                for note in access.owner.iter().flat_map(|owner| &owner.notes) {
                    say(&format!("note: {note}"));
                }
                access
            }
        };
        Ok(self.access.insert(access))
    }

    /// Finds whoever holds the store, or opens it; whether it is this process.
    pub async fn attach(&mut self) -> Result<bool, Problem> {
        Ok(self.access().await?.owner.is_some())
    }

    /// A client of whoever holds the store.
    pub async fn client(&mut self) -> Result<Client, Problem> {
        Ok(self.access().await?.client.clone())
    }

    /// Asks anew who holds the store, where it was another process.
    pub fn forget(&mut self) {
        if !self.is_owner() {
            self.access = None;
        }
    }

    /// The store, where this process holds it.
    pub fn take_owner(&mut self) -> Option<server::Owner> {
        self.access.take().and_then(|access| access.owner)
    }

    /// Lets go of all operations, if it is this process that works on them.
    pub async fn let_go_of_all(&self) {
        if let Some(owner) = self.access.as_ref().and_then(|access| access.owner.as_ref()) {
            owner.engine.let_go_of_all().await;
        }
    }

    /// Refuses to detach where nobody else would go on.
    pub async fn may_detach(&mut self, detach: bool) -> Result<(), Problem> {
        if detach && self.attach().await? {
            return Err(Problem::usage("--detach needs another process that goes on, and none holds the store")
                .hint("start `anneal serve` first, or leave --detach out"));
        }
        Ok(())
    }

    /// Whether this process holds the store.
    pub fn is_owner(&self) -> bool {
        self.access.as_ref().is_some_and(|access| access.owner.is_some())
    }

    /// Lets go of one operation, if it is this process that works on it.
    pub async fn let_go(&self, id: Uuid) {
        if let Some(owner) = self.access.as_ref().and_then(|access| access.owner.as_ref()) {
            owner.engine.let_go(id).await;
        }
    }

    /// The end of the command. A process that holds the store stays as long as others' operations need it.
    pub async fn end(self) -> Result<(), Problem> {
        let Some(mut owner) = self.access.and_then(|access| access.owner) else { return Ok(()) };
        loop {
            let busy = owner.engine.busy();
            if busy > 0 {
                say(&format!(
                    "this process holds the store and goes on with operations of others: {busy} (Ctrl-C lets go)"
                ));
                let mut stop = Stop::new()?;
                tokio::select! {
                    () = owner.engine.idle() => {}
                    () = stop.asked() => owner.engine.let_go_of_all().await,
                }
            }
            match owner.end().await? {
                Some(again) => owner = again,
                None => return Ok(()),
            }
        }
    }
}
