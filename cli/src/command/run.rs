//! `anneal run FILE|NAME`: compile, create the operation, and watch it.

use std::collections::BTreeMap;

use server::CreateRequest;

use super::{by, check};
use crate::args::{Global, Run};
use crate::report::{OK, Problem, USAGE, put, put_json, say};
use crate::session::Session;
use crate::watch::{self, Goal, Watched};
use crate::{files, given, inputs_file, inventory};

pub async fn run(run: &Run, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let opened = files::open_or_bundled(&run.workflow)?;
    let checked = dsl::check(&opened.source, &*opened.files);
    let errors = checked.workflow.is_none();
    if errors || !global.json {
        check::show(&checked.diagnostics, &opened.source);
    }
    let Some(workflow) = checked.workflow else { return Ok(USAGE) };
    let inventory = match &run.inventory {
        Some(path) => inventory::open(path)?,
        None => inventory::Inventory::default(),
    };
    let mut file = BTreeMap::new();
    for path in &run.inputs_files {
        let source = inputs_file::open(path)?;
        match dsl::read_inputs(&source) {
            Ok(values) => file.extend(values),
            Err(diagnostics) => {
                check::show(&diagnostics, &inputs_file::blanked(&source));
                return Ok(USAGE);
            }
        }
    }
    let everything = given::gather(run, &inventory, file, &workflow)?;
    let mut compiled = match workflow.compile(&everything.given, &*opened.files) {
        Ok(compiled) => compiled,
        Err(diagnostics) => {
            check::show(&diagnostics, &opened.source);
            return Ok(USAGE);
        }
    };
    compiled.plan.left_out = everything.left_out;
    if !global.json {
        check::show(&compiled.warnings, &opened.source);
    }
    let mut secrets: BTreeMap<String, String> =
        everything.secrets.into_iter().map(|(name, text)| (name, text.to_string())).collect();
    secrets.extend(compiled.secrets.into_iter().map(|(name, text)| (name.0, text.into_exposed())));
    warn_of_short_secrets(&secrets);
    let assets =
        compiled.assets.iter().map(|(path, bytes)| (path.clone(), data_encoding::BASE64.encode(bytes))).collect();
    let id = uuid::Uuid::now_v7();
    let request = CreateRequest {
        id,
        plan: compiled.plan,
        assets,
        hosts: everything.hosts,
        secrets,
        by: by(),
        if_locked: if run.queue { engine::IfLocked::Queue } else { engine::IfLocked::Refuse },
    };

    session.may_detach(run.detach).await?;
    session.ask(async |client| client.create(&request).await).await?;
    drop(request);
    if run.detach {
        let view = session.ask(async |client| client.show(&id.to_string()).await).await?;
        return if global.json { put_json(&view).map(|()| OK) } else { put(&id.to_string()).map(|()| OK) };
    }
    watch::watch(Watched { id, after: 0, by: by(), goal: Goal::Completes }, global, session).await
}

/// Short secrets cannot be told from ordinary words in output (D9).
fn warn_of_short_secrets(secrets: &BTreeMap<String, String>) {
    let short: Vec<&str> = secrets
        .iter()
        .filter(|(_, text)| text.len() < engine::limits::FILTERED_SECRET_BYTES)
        .map(|(name, _)| name.as_str())
        .collect();
    if !short.is_empty() {
        let least = engine::limits::FILTERED_SECRET_BYTES;
        say(&format!(
            "warning: shorter than {least} bytes, so not filtered out of what programs write: {}",
            short.join(", ")
        ));
    }
}
