//! One operation as one JSON file, for a report of a fault: what it was to do, what happened, what programs wrote.
//!
//! Invariant: no secret is in it (I8). It is made of what is free of them anyway: plan, journal and filtered outputs; the
//! sealed files are not read. Of an operation that cannot be read it holds what can be, and why the rest is missing.

use std::collections::BTreeMap;

use engine::operation::{Entry, Event, OutputRef};
use engine::view::OperationView;
use engine::{Engine, Error};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::routes::{PAGE, view};

/// The format of exported operations that this version writes and reads.
pub const EXPORT_FORMAT: u32 = 1;

/// Outputs that an export holds beside the journal; more are named and left out.
const OUTPUT_BYTES: usize = 64 * 1024 * 1024;

/// An exported operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// [`EXPORT_FORMAT`] of the writer.
    pub anneal_export: u32,
    /// The writer's version.
    pub version: String,
    /// When it was written, UTC milliseconds.
    pub at_ms: u64,
    /// Whether addresses and names of users were replaced.
    pub anonymous: bool,
    /// What could not be read, and why.
    pub problems: Vec<String>,
    /// The operation as it is shown.
    pub operation: Option<OperationView>,
    /// Its plan.
    pub plan: Option<serde_json::Value>,
    /// Its journal.
    pub journal: Vec<Entry>,
    /// What programs wrote, where the journal names a blob, by its digest.
    pub outputs: BTreeMap<String, ExportedOutput>,
    /// Where it comes from.
    pub store: StoreFacts,
}

/// What one program wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedOutput {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// What a fault may have to do with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreFacts {
    /// Its format.
    pub format: u16,
    /// How often it was restored or imported, plus one.
    pub incarnation: u32,
    /// Whether it was restored and is not released yet.
    pub held: bool,
    /// What was found damaged.
    pub damaged: Vec<String>,
    /// What opening it found and mended.
    pub notes: Vec<String>,
}

/// Exports an operation.
pub(crate) async fn of(engine: &Engine, id: Uuid, notes: &[String]) -> Result<Export, Error> {
    let mut problems = Vec::new();
    let operation = match view(engine, id).await {
        Ok(view) => Some(view),
        Err(error) if error.kind == engine::Kind::NotFound => return Err(error),
        Err(error) => {
            problems.push(format!("the operation cannot be read: {error}"));
            None
        }
    };
    let mut journal: Vec<Entry> = Vec::new();
    loop {
        match engine.entries(id, journal.last().map_or(0, |entry| entry.seq), PAGE).await {
            Ok(page) if page.is_empty() => break,
            Ok(page) => journal.extend(page),
            Err(error) => {
                problems.push(format!("its journal cannot be read further: {error}"));
                break;
            }
        }
    }
    let plan = plan(engine, &journal, &mut problems).await;
    let outputs = outputs(engine, &journal, &mut problems).await;
    let store = engine.store();
    Ok(Export {
        anneal_export: EXPORT_FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at_ms: engine::runner::now_ms(),
        anonymous: false,
        problems,
        operation,
        plan,
        journal,
        outputs,
        store: StoreFacts {
            format: store::FORMAT,
            incarnation: store.incarnation(),
            held: store.held().is_some(),
            damaged: store.damaged().iter().map(ToString::to_string).collect(),
            notes: notes.to_vec(),
        },
    })
}

async fn plan(engine: &Engine, journal: &[Entry], problems: &mut Vec<String>) -> Option<serde_json::Value> {
    let Event::Created { plan: digest, .. } = &journal.first()?.event else { return None };
    let (store, digest) = (engine.store().clone(), digest.clone());
    let read = tokio::task::spawn_blocking(move || engine::journal::plan(&store, &digest)).await;
    let json = match read {
        Ok(Ok(plan)) => serde_json::to_value(&plan).map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    json.map_err(|error| problems.push(format!("its plan cannot be read: {error}"))).ok()
}

async fn outputs(engine: &Engine, journal: &[Entry], problems: &mut Vec<String>) -> BTreeMap<String, ExportedOutput> {
    let (mut outputs, mut bytes, mut left_out) = (BTreeMap::new(), 0, 0);
    for entry in journal {
        let (Event::Succeeded { output: Some(output), .. } | Event::Failed { output: Some(output), .. }) = &entry.event
        else {
            continue;
        };
        let OutputRef::Blob { digest } = output else { continue };
        if bytes >= OUTPUT_BYTES {
            left_out += 1;
            continue;
        }
        match engine.output(output).await {
            Ok((stdout, stderr)) => {
                bytes += stdout.len() + stderr.len();
                outputs.insert(digest.clone(), ExportedOutput { stdout, stderr });
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    if left_out > 0 {
        problems.push(format!("{left_out} outputs are left out: the limit is {} MiB", OUTPUT_BYTES / 1024 / 1024));
    }
    outputs
}
