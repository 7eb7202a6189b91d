//! The client of the socket: one connection a request.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use engine::lasting::Lasting;
use engine::operation::Entry;
use engine::runner::{Pruned, Released};
use engine::view::OperationView;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::api::{
    About, ApiError, BackupAnswer, BackupRequest, CompactAnswer, CreateRequest, Created, OutputView, PruneRequest,
    RecoveredAnswer, ReleaseRequest, Row, SecretRename, SecretSet, SecretSetAnswer, SecretValue, SecretValues,
    VerbRequest, VerifyAnswer, WatchLine,
};
use crate::socket;

/// Speaks to the process that holds a store.
#[derive(Debug, Clone)]
pub struct Client {
    data_dir: PathBuf,
}

/// Why a request has no answer.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody answers, or the connection broke.
    Gone(String),
    /// The answer is not understood: the process is of another version. Asking again would not help.
    Protocol(String),
    /// The answer is an error.
    Api(ApiError),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Gone(why) => write!(f, "the process that holds the data folder does not answer: {why}"),
            ClientError::Protocol(why) => {
                write!(f, "the process that holds the data folder is not understood (another version?): {why}")
            }
            ClientError::Api(error) => {
                f.write_str(&error.message)?;
                match &error.hint {
                    Some(hint) => write!(f, "; {hint}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for ClientError {}

fn gone(error: &dyn fmt::Display) -> ClientError {
    ClientError::Gone(error.to_string())
}

impl Client {
    pub(crate) fn new(data_dir: &Path) -> Client {
        Client { data_dir: data_dir.to_owned() }
    }

    /// Who holds the store.
    pub async fn about(&self) -> Result<About, ClientError> {
        self.get("/v1/about").await
    }

    /// All operations, oldest first.
    pub async fn list(&self) -> Result<Vec<Row>, ClientError> {
        self.get("/v1/operations").await
    }

    /// One operation, by a part of its id.
    pub async fn show(&self, id: &str) -> Result<OperationView, ClientError> {
        self.get(&format!("/v1/operations/{}", escape(id))).await
    }

    /// Creates an operation.
    pub async fn create(&self, request: &CreateRequest) -> Result<Uuid, ClientError> {
        let created: Created = self.post("/v1/operations", request).await?;
        Ok(created.id)
    }

    /// Asks something of an operation; how it stands then.
    pub async fn verb(&self, id: &str, request: &VerbRequest) -> Result<OperationView, ClientError> {
        self.post(&format!("/v1/operations/{}/verb", escape(id)), request).await
    }

    /// Every unfinished operation goes on.
    pub async fn recover(&self) -> Result<RecoveredAnswer, ClientError> {
        self.post("/v1/recover", &()).await
    }

    /// Entries of an operation's journal after entry `after`; nothing at its end.
    pub async fn journal(&self, id: &str, after: u64) -> Result<Vec<Entry>, ClientError> {
        self.get(&format!("/v1/operations/{}/journal?after={after}", escape(id))).await
    }

    /// An operation as one JSON file.
    pub async fn export(&self, id: &str, anonymous: bool) -> Result<serde_json::Value, ClientError> {
        self.get(&format!("/v1/operations/{}/export?anonymous={anonymous}", escape(id))).await
    }

    /// The secrets that outlive operations, without their values.
    pub async fn secrets(&self) -> Result<Vec<Lasting>, ClientError> {
        self.get("/v1/secrets").await
    }

    /// Seals one; whether it replaced another.
    pub async fn set_secret(&self, name: &str, request: &SecretSet) -> Result<bool, ClientError> {
        let answer: SecretSetAnswer = self.ask(Method::PUT, &secret_path(name), request).await?;
        Ok(answer.replaced)
    }

    /// Forgets one.
    pub async fn remove_secret(&self, name: &str) -> Result<(), ClientError> {
        self.ask(Method::DELETE, &secret_path(name), &()).await
    }

    /// Gives one another name.
    pub async fn rename_secret(&self, name: &str, request: &SecretRename) -> Result<(), ClientError> {
        self.post(&format!("{}/rename", secret_path(name)), request).await
    }

    /// The values of those that there are.
    pub async fn secret_values(&self, request: &SecretValues) -> Result<BTreeMap<String, SecretValue>, ClientError> {
        self.post("/v1/secrets/values", request).await
    }

    /// Looks at all of the store.
    pub async fn verify_store(&self) -> Result<VerifyAnswer, ClientError> {
        self.get("/v1/store/verify").await
    }

    /// Compacts the store.
    pub async fn compact_store(&self) -> Result<CompactAnswer, ClientError> {
        self.post("/v1/store/compact", &()).await
    }

    /// Releases a store that was restored.
    pub async fn release_store(&self, request: &ReleaseRequest) -> Result<Released, ClientError> {
        self.post("/v1/store/release", request).await
    }

    /// Forgets operations.
    pub async fn prune(&self, request: &PruneRequest) -> Result<Pruned, ClientError> {
        self.post("/v1/prune", request).await
    }

    /// Backs the store up.
    pub async fn back_up_store(&self, request: &BackupRequest) -> Result<BackupAnswer, ClientError> {
        self.post("/v1/store/backup", request).await
    }

    /// Exports the store.
    pub async fn export_store(&self) -> Result<Chunks, ClientError> {
        let answer = self.send(Method::GET, "/v1/store/export", Bytes::new()).await?;
        Ok(Chunks { body: failed_if(answer).await?.into_body() })
    }

    /// What programs wrote.
    pub async fn output(&self, id: &str, step: Option<&str>) -> Result<Vec<OutputView>, ClientError> {
        let query = step.map(|step| format!("?step={}", escape(step))).unwrap_or_default();
        self.get(&format!("/v1/operations/{}/output{query}", escape(id))).await
    }

    /// Watches an operation from entry `after` on.
    pub async fn watch(&self, id: &str, after: u64) -> Result<Lines, ClientError> {
        let path = format!("/v1/operations/{}/watch?after={after}", escape(id));
        let answer = self.send(Method::GET, &path, Bytes::new()).await?;
        let answer = failed_if(answer).await?;
        Ok(Lines { body: answer.into_body(), rest: Vec::new() })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        decode(answer).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.ask(Method::POST, path, body).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| gone(&error))?;
        let answer = self.send(method, path, Bytes::from(body)).await?;
        decode(answer).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, ClientError> {
        let stream = socket::connect(&self.data_dir).await.map_err(|error| gone(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| gone(&error))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "anneal")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| gone(&error))?;
        sender.send_request(request).await.map_err(|error| gone(&error))
    }
}

async fn decode<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, ClientError> {
    let answer = failed_if(answer).await?;
    let bytes = answer.into_body().collect().await.map_err(|error| gone(&error))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Protocol(error.to_string()))
}

async fn failed_if(answer: Response<Incoming>) -> Result<Response<Incoming>, ClientError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let bytes = answer.into_body().collect().await.map_err(|error| gone(&error))?.to_bytes();
    Err(match serde_json::from_slice(&bytes) {
        Ok(error) => ClientError::Api(error),
        Err(_) => ClientError::Protocol(format!("it answers {status}")),
    })
}

fn secret_path(name: &str) -> String {
    format!("/v1/secrets/{}", escape(name))
}

/// RFC 3986 section 2.1, for one segment or value.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The lines of a watched operation.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<WatchLine>, ClientError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let line = serde_json::from_slice(&line).map_err(|error| ClientError::Protocol(error.to_string()))?;
                return Ok(Some(line));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(gone(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// A long answer, piece by piece.
#[derive(Debug)]
pub struct Chunks {
    body: Incoming,
}

impl Chunks {
    /// The next piece; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(gone(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}
