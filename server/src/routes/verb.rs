//! What a person asks of an operation, and that all of them go on.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use engine::operation::Verb;
use engine::view::OperationView;
use engine::{Engine, Error, Kind};
use uuid::Uuid;

use super::{App, Failure, body, view};
use crate::api::{Left, RecoveredAnswer, VerbRequest};

pub async fn verb(
    State(app): State<Arc<App>>,
    Path(part): Path<String>,
    request: Result<Json<VerbRequest>, JsonRejection>,
) -> Result<Json<OperationView>, Failure> {
    let VerbRequest { verb, by, why } = body(request)?;
    let engine = &app.engine;
    let id = engine.find(&part).await?;
    let asks_to_go_on = matches!(&verb, Verb::Resume { decisions } if decisions.is_empty());
    match engine.verb(id, verb, &by, &why).await {
        Err(refused) if refused.kind == Kind::Refused && asks_to_go_on && only_needs_a_process(engine, id).await? => {
            engine.go_on(id).await?;
        }
        answer => answer?,
    }
    Ok(Json(view(engine, id).await?))
}

/// Whether all that an operation lacks is somebody who works on it: it waits for its locks, or is being cancelled. `resume`
/// means no event then, and yet somebody who asks for it wants it to go on.
async fn only_needs_a_process(engine: &Engine, id: Uuid) -> Result<bool, Error> {
    let operation = engine.load(id).await?;
    Ok(!engine.in_hand(id) && operation.life.is_live() && !operation.legal().contains(&"resume"))
}

pub async fn recover(State(app): State<Arc<App>>) -> Result<Json<RecoveredAnswer>, Failure> {
    let recovered = app.engine.recover().await?;
    let left = recovered.left.into_iter().map(|(id, error)| Left { id, why: error.message, hint: error.hint });
    Ok(Json(RecoveredAnswer { taken: recovered.taken, left: left.collect() }))
}
