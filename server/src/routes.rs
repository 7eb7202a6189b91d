//! The routes of the API: those that read operations and create them here, the others below.

mod export;
mod secret;
mod store;
mod verb;

use std::collections::BTreeMap;
use std::sync::Arc;

use ::store::Secret;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use dsl::value::SecretRef;
use engine::journal::Summary;
use engine::operation::{Entry, Event, NodeId};
use engine::view::{Now, OperationView};
use engine::{Create, Engine, Error, Kind};
use serde::Deserialize;
use uuid::Uuid;

use crate::api::{About, ApiError, CreateRequest, Created, OutputView, Row, kind_word};
use crate::watch;

/// Bytes of the largest request: a plan with its scripts.
const REQUEST_BYTES: usize = 128 * 1024 * 1024;
/// Entries that one look at the journal reads.
pub(crate) const PAGE: usize = 1_000;

pub(crate) struct App {
    pub engine: Engine,
    pub notes: Vec<String>,
}

/// All routes.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/v1/about", get(about))
        .route("/v1/operations", get(list).post(create))
        .route("/v1/operations/{id}", get(show))
        .route("/v1/operations/{id}/watch", get(watch_operation))
        .route("/v1/operations/{id}/output", get(output))
        .route("/v1/operations/{id}/journal", get(journal))
        .route("/v1/operations/{id}/export", get(export::export))
        .route("/v1/operations/{id}/verb", post(verb::verb))
        .route("/v1/recover", post(verb::recover))
        .route("/v1/secrets", get(secret::list))
        .route("/v1/secrets/values", post(secret::values))
        .route("/v1/secrets/{name}", put(secret::set).delete(secret::remove))
        .route("/v1/secrets/{name}/rename", post(secret::rename))
        .route("/v1/prune", post(store::prune))
        .route("/v1/store/verify", get(store::verify))
        .route("/v1/store/compact", post(store::compact))
        .route("/v1/store/release", post(store::release))
        .route("/v1/store/backup", post(store::backup))
        .route("/v1/store/export", get(store::export))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .with_state(Arc::new(app))
}

/// An engine's error as an answer.
pub(crate) struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.0.kind {
            Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Ambiguous | Kind::Refused => StatusCode::CONFLICT,
            Kind::NeedsEngine => StatusCode::NOT_IMPLEMENTED,
            Kind::Store => StatusCode::INSUFFICIENT_STORAGE,
            Kind::Quarantined | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let kind = kind_word(self.0.kind);
        let error = ApiError { kind: kind.to_owned(), message: self.0.message, hint: self.0.hint };
        (status, Json(error)).into_response()
    }
}

async fn about(State(app): State<Arc<App>>) -> Json<About> {
    Json(About { version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id(), notes: app.notes.clone() })
}

async fn list(State(app): State<Arc<App>>) -> Result<Json<Vec<Row>>, Failure> {
    let mut rows = Vec::new();
    for summary in app.engine.list().await? {
        rows.push(row(&app, summary).await);
    }
    Ok(Json(rows))
}

async fn row(app: &App, summary: Summary) -> Row {
    let in_hand = app.engine.in_hand(summary.id);
    let waits = app.engine.waits(summary.id);
    let now = if summary.is_quarantined() {
        Now::Quarantined
    } else if !summary.goes_on_by_itself() {
        if summary.open { Now::Stopped } else { Now::Ended }
    } else if in_hand && waits.iter().all(|waits| waits.node.is_some()) {
        Now::AtWork
    } else if summary.waits_for.is_none() {
        Now::NoProcess
    } else {
        // Only its journal tells what it waits for; such operations are few.
        app.engine.load(summary.id).await.map_or(Now::Quarantined, |operation| Now::of(&operation, in_hand))
    };
    let Summary { id, workflow, state, waits_for, open, created_at_ms, by } = summary;
    Row { id, workflow, state, now, waits_for, waits, open, created_at_ms, by }
}

/// The body of a request, or an answer that repeats nothing of it: it may hold secrets (I8).
fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Failure> {
    match body {
        Ok(Json(body)) => Ok(body),
        Err(rejection) => {
            let message =
                format!("the request is not understood ({}); is the client of another version?", rejection.status());
            Err(Error::new(Kind::Invalid, message).into())
        }
    }
}

async fn create(
    State(app): State<Arc<App>>,
    request: Result<Json<CreateRequest>, JsonRejection>,
) -> Result<Json<Created>, Failure> {
    let request = body(request)?;
    let mut assets = BTreeMap::new();
    for (path, text) in request.assets {
        let bytes = data_encoding::BASE64
            .decode(text.as_bytes())
            .map_err(|_| Error::new(Kind::Invalid, format!("the file `{path}` is not base64")))?;
        assets.insert(path, bytes);
    }
    let secrets = request.secrets.into_iter().map(|(name, text)| (SecretRef(name), Secret::from(text))).collect();
    let create = Create {
        id: request.id,
        plan: request.plan,
        assets,
        hosts: request.hosts,
        secrets,
        by: request.by,
        if_locked: request.if_locked,
    };
    let id = app.engine.create(create).await?;
    Ok(Json(Created { id }))
}

async fn show(State(app): State<Arc<App>>, Path(part): Path<String>) -> Result<Json<OperationView>, Failure> {
    let id = app.engine.find(&part).await?;
    Ok(Json(view(&app.engine, id).await?))
}

/// An operation as it is shown.
pub(crate) async fn view(engine: &Engine, id: Uuid) -> Result<OperationView, Error> {
    let operation = engine.load(id).await?;
    let view = OperationView::of(&operation, engine.in_hand(id), engine::runner::now_ms());
    Ok(OperationView { waits: engine.waits(id), ..view })
}

async fn journal(
    State(app): State<Arc<App>>,
    Path(part): Path<String>,
    Query(After { after }): Query<After>,
) -> Result<Json<Vec<Entry>>, Failure> {
    let id = app.engine.find(&part).await?;
    Ok(Json(app.engine.entries(id, after, PAGE).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn watch_operation(
    State(app): State<Arc<App>>,
    Path(part): Path<String>,
    Query(After { after }): Query<After>,
) -> Result<Response, Failure> {
    let id = app.engine.find(&part).await?;
    Ok(watch::stream(app.engine.clone(), id, after))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// A step's id or a node's name; all where absent.
    step: Option<String>,
}

async fn output(
    State(app): State<Arc<App>>,
    Path(part): Path<String>,
    Query(Step { step }): Query<Step>,
) -> Result<Json<Vec<OutputView>>, Failure> {
    let id = app.engine.find(&part).await?;
    let wanted = |node: &NodeId| step.as_ref().is_none_or(|step| node.step == *step || node.to_string() == *step);
    if let Some(step) = &step {
        let operation = app.engine.load(id).await?;
        if !operation.nodes.iter().any(|node| wanted(&node.id)) {
            let steps: Vec<&str> = operation.plan.steps.iter().map(|step| step.id.as_str()).collect();
            return Err(Error::new(Kind::NotFound, format!("the operation has no step `{step}`"))
                .hint(format!("its steps are {}", steps.join(", ")))
                .into());
        }
    }
    let mut views = Vec::new();
    let mut after = 0;
    loop {
        let entries = app.engine.entries(id, after, PAGE).await?;
        let Some(last) = entries.last() else { return Ok(Json(views)) };
        after = last.seq;
        for entry in entries {
            let (node, attempt, output, state) = match entry.event {
                Event::Succeeded { node, attempt, output: Some(output), .. } => (node, attempt, output, "succeeded"),
                Event::Failed { node, attempt, output: Some(output), .. } => (node, attempt, output, "failed"),
                _ => continue,
            };
            if wanted(&node) {
                let (stdout, stderr) = app.engine.output(&output).await?;
                views.push(OutputView { node, attempt, at_ms: entry.at_ms, state: state.to_owned(), stdout, stderr });
            }
        }
    }
}
