//! What is asked of the store as a whole while a process holds it. Paths are absolute: whoever asks lies elsewhere.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use engine::runner::{Pruned, Released, now_ms};
use engine::{Error, Kind};
use store::Store;
use tokio::sync::mpsc;

use super::{App, Failure, body};
use crate::api::{BackupAnswer, BackupRequest, CompactAnswer, PruneRequest, ReleaseRequest, VerifyAnswer};

/// Bytes of an exported store that are sent at once, and how many such pieces wait for a slow reader.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES: usize = 8;

/// Does what waits for the disk where waiting harms nobody.
async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(Store) -> Result<T, store::Error> + Send + 'static,
) -> Result<T, Error> {
    let store = app.engine.store().clone();
    let done = tokio::task::spawn_blocking(move || work(store)).await;
    Ok(done.map_err(|error| Error::new(Kind::Internal, "a worker at the store ended").source(error))??)
}

pub async fn verify(State(app): State<Arc<App>>) -> Result<Json<VerifyAnswer>, Failure> {
    let found = blocking(&app, |store| store.verify()).await?;
    Ok(Json(VerifyAnswer::from(found)))
}

pub async fn release(
    State(app): State<Arc<App>>,
    request: Result<Json<ReleaseRequest>, JsonRejection>,
) -> Result<Json<Released>, Failure> {
    let ReleaseRequest { force, dry_run } = body(request)?;
    if !dry_run {
        return Ok(Json(app.engine.release(force).await?));
    }
    let held = app.engine.store().held().is_some();
    let operations = if held { app.engine.reconcile().await? } else { Vec::new() };
    Ok(Json(Released::of(operations, held)))
}

pub async fn prune(
    State(app): State<Arc<App>>,
    request: Result<Json<PruneRequest>, JsonRejection>,
) -> Result<Json<Pruned>, Failure> {
    Ok(Json(match body(request)? {
        PruneRequest::Ended(retention) => app.engine.prune(retention).await?,
        PruneRequest::Quarantined { operation, dry_run } => {
            let id = app.engine.find(&operation).await?;
            app.engine.prune_quarantined(id, dry_run).await?
        }
    }))
}

pub async fn compact(State(app): State<Arc<App>>) -> Result<Json<CompactAnswer>, Failure> {
    let done = app.engine.store().compact().await.map_err(Error::from)?;
    Ok(Json(CompactAnswer::from(done)))
}

pub async fn backup(
    State(app): State<Arc<App>>,
    request: Result<Json<BackupRequest>, JsonRejection>,
) -> Result<Json<BackupAnswer>, Failure> {
    let BackupRequest { to } = body(request)?;
    let to = PathBuf::from(to);
    if !to.is_absolute() {
        return Err(Error::new(Kind::Invalid, "the folder of a backup must be given from the root").into());
    }
    let made = blocking(&app, move |store| store.backup(Path::new(&to), now_ms())).await?;
    Ok(Json(BackupAnswer::from(made)))
}

/// Streams the export. Where it breaks off, so does the answer: the last line of a whole export says that it is one.
pub async fn export(State(app): State<Arc<App>>) -> Response {
    let (to, mut pieces) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    let store = app.engine.store().clone();
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces { to: to.clone(), piece: Vec::with_capacity(PIECE_BYTES) };
        let done = store.export(&mut pieces, now_ms()).map_err(Error::from);
        let done = done.and_then(|_| pieces.flush().map_err(|error| Error::new(Kind::Store, error.to_string())));
        if let Err(error) = done {
            tracing::error!(%error, "an export of the store broke off");
            // A reader that has gone wants no end.
            let _ = to.blocking_send(Err(io::Error::other(error.to_string())));
        }
    });
    let stream = futures::stream::poll_fn(move |cx| pieces.poll_recv(cx));
    ([(CONTENT_TYPE, "application/jsonl")], Body::from_stream(stream)).into_response()
}

struct Pieces {
    to: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.to.blocking_send(Ok(piece)).map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads it"))
    }
}
