//! Access to a data folder: through whoever holds it, or by holding it ourselves (D1).

use std::path::Path;
use std::time::Duration;

use engine::runner::Options;
use engine::{Engine, Error, Kind};
use tokio::time::Instant;

use crate::client::Client;
use crate::routes::{App, router};
use crate::socket;

/// How long we ask a process that holds the store and does not answer: it may be starting or ending.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// Access to a data folder.
#[derive(Debug)]
pub struct Access {
    /// Speaks to whoever holds the store.
    pub client: Client,
    /// The engine, where that is this process.
    pub owner: Option<Engine>,
}

/// Connects to whoever holds the store; where nobody does, opens it and serves the socket.
pub async fn attach(options: Options) -> Result<Access, Error> {
    let deadline = Instant::now() + PATIENCE;
    let data_dir = options.data_dir.clone();
    loop {
        let client = Client::new(&data_dir);
        if client.about().await.is_ok() {
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
                serve(&engine, &data_dir, report.notes())?;
                return Ok(Access { client, owner: Some(engine) });
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

fn serve(engine: &Engine, data_dir: &Path, notes: Vec<String>) -> Result<(), Error> {
    let listener = socket::listen(data_dir).map_err(|error| {
        Error::new(Kind::Store, format!("cannot listen on {}/anneal.sock: {error}", data_dir.display()))
            .hint("use a --data-dir on a file system that has sockets")
    })?;
    let app = router(App { engine: engine.clone(), notes });
    tokio::spawn(async move {
        // It ends with the process.
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the socket is no longer served");
        }
    });
    Ok(())
}
