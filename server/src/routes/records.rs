//! What is recorded of instances.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use engine::operation::RecordKey;
use engine::records::{self, Filled, Wants};
use engine::{Error, Kind};

use super::{App, Failure, body};
use crate::api::{InstanceRow, InstanceView};

/// Does what reads the store where waiting harms nobody.
async fn reading<T: Send + 'static>(
    app: &App,
    read: impl FnOnce(&::store::Store) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let store = app.engine.store().clone();
    let done = tokio::task::spawn_blocking(move || read(&store)).await;
    done.map_err(|error| Error::new(Kind::Internal, "a reader of the store ended").source(error))?
}

pub async fn list(State(app): State<Arc<App>>) -> Result<Json<Vec<InstanceRow>>, Failure> {
    let (mut instances, wired) =
        reading(&app, |store| Ok((records::instances(store)?, records::wired(store)?))).await?;
    let names: std::collections::BTreeSet<String> = instances.keys().chain(wired.keys()).cloned().collect();
    let row = |name: String| InstanceRow {
        record: instances.remove(&name),
        wired: wired.get(&name).copied().unwrap_or(0),
        held_by: app.engine.holder(&name),
        name,
    };
    Ok(Json(names.into_iter().map(row).collect()))
}

pub async fn show(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<InstanceView>, Failure> {
    let of = name.clone();
    let (record, wirings) = reading(&app, move |store| {
        Ok((records::get(store, &RecordKey::Instance(of.clone()))?, records::wirings(store, &of)?))
    })
    .await?;
    if record.is_none() && wirings.is_empty() {
        let message = format!("nothing is recorded of an instance `{name}`");
        return Err(Error::new(Kind::NotFound, message).hint("`anneal instances` lists them").into());
    }
    let held_by = app.engine.holder(&name);
    Ok(Json(InstanceView { name, record, wirings, held_by }))
}

pub async fn fill(
    State(app): State<Arc<App>>,
    wants: Result<Json<Wants>, JsonRejection>,
) -> Result<Json<Filled>, Failure> {
    let wants = body(wants)?;
    Ok(Json(reading(&app, move |store| records::fill(store, &wants)).await?))
}
