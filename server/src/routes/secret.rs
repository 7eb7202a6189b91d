//! Secrets that outlive operations. Values come and go here and nowhere else, over a socket that is its owner's alone, as the key is
//! that they are sealed with.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::store::{Secret, Store};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use engine::lasting::{self, Lasting};
use engine::runner::now_ms;
use engine::{Error, Kind};

use super::{App, Failure, body};
use crate::api::{SecretRename, SecretSet, SecretSetAnswer, SecretValue, SecretValues};

/// Secrets that are asked for at once.
const ASKED: usize = engine::limits::LASTING_SECRETS;

/// Does what waits for the disk where waiting harms nobody.
async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let store = app.engine.store().clone();
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.map_err(|error| Error::new(Kind::Internal, "a worker at the store ended").source(error))?
}

pub async fn list(State(app): State<Arc<App>>) -> Result<Json<Vec<Lasting>>, Failure> {
    Ok(Json(blocking(&app, lasting::list).await?))
}

pub async fn set(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Result<Json<SecretSet>, JsonRejection>,
) -> Result<Json<SecretSetAnswer>, Failure> {
    let value = Secret::from(body(request)?.value);
    let replaced = blocking(&app, move |store| lasting::set(store, &name, value, now_ms())).await?;
    Ok(Json(SecretSetAnswer { replaced }))
}

pub async fn remove(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<()>, Failure> {
    Ok(Json(blocking(&app, move |store| lasting::remove(store, &name)).await?))
}

pub async fn rename(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Result<Json<SecretRename>, JsonRejection>,
) -> Result<Json<()>, Failure> {
    let to = body(request)?.to;
    Ok(Json(blocking(&app, move |store| lasting::rename(store, &name, &to)).await?))
}

/// Those of the names that there are.
pub async fn values(
    State(app): State<Arc<App>>,
    request: Result<Json<SecretValues>, JsonRejection>,
) -> Result<Json<BTreeMap<String, SecretValue>>, Failure> {
    let SecretValues { names } = body(request)?;
    if names.len() > ASKED {
        let message = format!("{} secrets are asked for; the limit is {ASKED}", names.len());
        return Err(Error::new(Kind::Invalid, message).into());
    }
    let found = blocking(&app, move |store| {
        let mut found = BTreeMap::new();
        for name in names {
            if let Some(value) = lasting::get(store, &name)? {
                found.insert(name, SecretValue(value.expose().to_owned()));
            }
        }
        Ok(found)
    });
    Ok(Json(found.await?))
}
