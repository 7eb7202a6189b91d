//! Access to a data folder: through whoever holds it, or by holding it ourselves (D1).

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::runner::Options;
use engine::{Engine, Error, Kind};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::Client;
use crate::routes::{App, router};
use crate::socket;

/// How long we ask a process that holds the store and does not answer: it may be starting or ending.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
/// How long whoever is being answered may take when the owner ends; watchers of operations at rest end by themselves.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Access to a data folder.
#[derive(Debug)]
pub struct Access {
    /// Speaks to whoever holds the store.
    pub client: Client,
    /// The store, where this process holds it.
    pub owner: Option<Owner>,
}

/// A store that this process holds and serves.
#[derive(Debug)]
pub struct Owner {
    /// The engine.
    pub engine: Engine,
    /// What opening the store found and mended.
    pub notes: Vec<String>,
    data_dir: PathBuf,
    door: Option<Door>,
}

/// The socket as it is served.
#[derive(Debug)]
struct Door {
    close: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Owner {
    fn new(engine: Engine, data_dir: &Path, notes: Vec<String>) -> Result<Owner, Error> {
        let mut owner = Owner { engine, notes, data_dir: data_dir.to_owned(), door: None };
        owner.serve()?;
        Ok(owner)
    }

    fn serve(&mut self) -> Result<(), Error> {
        let listener = socket::listen(&self.data_dir).map_err(|error| {
            Error::new(Kind::Store, format!("cannot listen on {}/anneal.sock: {error}", self.data_dir.display()))
                .hint("use a --data-dir on a file system that has sockets")
        })?;
        let app = router(App { engine: self.engine.clone(), notes: self.notes.clone() });
        let (close, closed) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            // Closed by a word, or with the process.
            let closed = async { drop(closed.await) };
            if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(closed).await {
                tracing::error!(%error, "the socket is no longer served");
            }
        });
        self.door = Some(Door { close, served });
        Ok(())
    }

    /// Ends now: nobody new comes in, all operations are let go of – their jobs go on on their hosts – and the store closes.
    pub async fn let_go_and_end(mut self) -> Result<(), Error> {
        socket::remove(&self.data_dir);
        if let Some(Door { close, mut served }) = self.door.take() {
            // Where it is not heard, nothing is served any more.
            let _ = close.send(());
            // Watchers are told that their operations rest, and go.
            self.engine.let_go_of_all().await;
            if tokio::time::timeout(LAST_ANSWERS, &mut served).await.is_err() {
                served.abort();
            }
        }
        // What was asked for in the last moment.
        self.engine.let_go_of_all().await;
        self.engine.close().await
    }

    /// Ends: nobody new comes in, whoever is being answered is, and the store closes. Where an operation came in hand in that
    /// moment, nothing ends and the owner is given back.
    pub async fn end(mut self) -> Result<Option<Owner>, Error> {
        socket::remove(&self.data_dir);
        if let Some(Door { close, mut served }) = self.door.take() {
            // Where it is not heard, nothing is served any more.
            let _ = close.send(());
            if tokio::time::timeout(LAST_ANSWERS, &mut served).await.is_err() {
                served.abort();
            }
        }
        if self.engine.busy() > 0 {
            self.serve()?;
            return Ok(Some(self));
        }
        self.engine.close().await?;
        Ok(None)
    }
}

/// Whoever holds the store, if anybody answers.
pub async fn holder(data_dir: &Path) -> Option<Client> {
    let client = Client::new(data_dir);
    answers(&client, Instant::now() + PATIENCE).await.then_some(client)
}

/// Whether somebody answers. A process that is stopped has its socket open, and says nothing.
async fn answers(client: &Client, deadline: Instant) -> bool {
    tokio::time::timeout_at(deadline, client.about()).await.is_ok_and(|about| about.is_ok())
}

/// Connects to whoever holds the store; where nobody does, opens it and serves the socket.
pub async fn attach(options: Options) -> Result<Access, Error> {
    let deadline = Instant::now() + PATIENCE;
    let data_dir = options.data_dir.clone();
    loop {
        let client = Client::new(&data_dir);
        if answers(&client, deadline).await {
            return Ok(Access { client, owner: None });
        }
        let open = {
            let options = options.clone();
            tokio::task::spawn_blocking(move || Engine::open(options))
                .await
                .map_err(|error| Error::new(Kind::Internal, "opening the store ended").source(error))?
        };
        match open {
            Ok((engine, report)) => {
                let owner = Owner::new(engine, &data_dir, report.notes())?;
                return Ok(Access { client, owner: Some(owner) });
            }
            // Held by a process that does not answer yet, or not any more.
            Err(error) if held(&error) && Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            Err(error) if held(&error) => {
                return Err(error.hint("the process that holds it does not answer; end it, or use another --data-dir"));
            }
            Err(error) => return Err(error),
        }
    }
}

fn held(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<store::Error>())
        .is_some_and(|error| matches!(error.kind(), store::ErrorKind::Held { .. }))
}
