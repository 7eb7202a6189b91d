//! One operation as a file for a report of a fault.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::{App, Failure};
use crate::{anonymous, export};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// Addresses and names of users are replaced.
    #[serde(default)]
    anonymous: bool,
}

pub async fn export(
    State(app): State<Arc<App>>,
    Path(part): Path<String>,
    Query(How { anonymous }): Query<How>,
) -> Result<Json<serde_json::Value>, Failure> {
    let id = app.engine.find(&part).await?;
    let export = export::of(&app.engine, id, &app.notes).await?;
    let json = serde_json::to_value(&export)
        .map_err(|error| engine::Error::new(engine::Kind::Internal, "the export cannot be written").source(error))?;
    Ok(Json(if anonymous { anonymous::replace(json) } else { json }))
}
