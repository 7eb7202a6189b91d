//! A workflow that is ready: compiled for what is given, with hosts and secrets.

use std::collections::{BTreeMap, BTreeSet};

use engine::HostSpec;

use super::check;
use crate::args::{Global, With};
use crate::report::{Problem, say};
use crate::session::Session;
use crate::{files, given, inputs_file, inventory, sealed};

/// What an operation is created from.
pub struct Prepared {
    pub plan: dsl::plan::Plan,
    pub assets: BTreeMap<String, Vec<u8>>,
    pub hosts: BTreeMap<String, HostSpec>,
    /// By the names that plan and hosts call them.
    pub secrets: BTreeMap<String, String>,
}

/// Compiles it, and says what is wrong with it; nothing where that keeps it from being run.
pub async fn prepare(with: &With, global: &Global, session: &mut Session<'_>) -> Result<Option<Prepared>, Problem> {
    let opened = files::open_or_bundled(&with.workflow)?;
    let checked = dsl::check(&opened.source, &*opened.files);
    let errors = checked.workflow.is_none();
    if errors || !global.json {
        check::show(&checked.diagnostics, &opened.source);
    }
    let Some(workflow) = checked.workflow else { return Ok(None) };
    let mut inventory = match &with.inventory {
        Some(path) => inventory::open(path, &inventory::Password::new(with.vault_password_file.clone()))?,
        None => inventory::Inventory::default(),
    };
    let mut file = BTreeMap::new();
    for path in &with.inputs_files {
        let source = inputs_file::open(path)?;
        match dsl::read_inputs(&source) {
            Ok(values) => file.extend(values.into_iter().map(|(name, value)| (name, inputs_file::input(value)))),
            Err(diagnostics) => {
                check::show(&diagnostics, &inputs_file::blanked(&source));
                return Ok(None);
            }
        }
    }
    sealed::fetch(&mut inventory, &mut file, session).await?;
    let everything = given::gather(with, &inventory, &file, &workflow)?;
    let mut compiled = match workflow.compile(&everything.given, &*opened.files) {
        Ok(compiled) => compiled,
        Err(diagnostics) => {
            check::show(&diagnostics, &opened.source);
            return Ok(None);
        }
    };
    compiled.plan.left_out = everything.left_out;
    let mut hosts = everything.hosts;
    keep_labels_that_are_read(&mut hosts, &compiled.plan)?;
    if !global.json {
        check::show(&compiled.warnings, &opened.source);
    }
    let mut secrets: BTreeMap<String, String> =
        everything.secrets.into_iter().map(|(name, text)| (name, text.to_string())).collect();
    secrets.extend(compiled.secrets.into_iter().map(|(name, text)| (name.0, text.into_exposed())));
    warn_of_short_secrets(&secrets);
    Ok(Some(Prepared { plan: compiled.plan, assets: compiled.assets, hosts, secrets }))
}

/// Where a host has more labels than an operation keeps – each variable of an inventory of Ansible's is one – those that the plan names.
fn keep_labels_that_are_read(hosts: &mut BTreeMap<String, HostSpec>, plan: &dsl::plan::Plan) -> Result<(), Problem> {
    let mut many = hosts.values_mut().filter(|host| host.labels.len() > engine::limits::LABELS).peekable();
    if many.peek().is_none() {
        return Ok(());
    }
    let plan = serde_json::to_value(plan)
        .map_err(|error| Problem::failed(format!("the plan cannot be written as JSON: {error}")))?;
    let mut named = BTreeSet::new();
    texts(&plan, &mut named);
    many.for_each(|host| host.labels.retain(|name, _| named.contains(name.as_str())));
    Ok(())
}

/// All texts of a JSON value.
fn texts<'j>(value: &'j serde_json::Value, into: &mut BTreeSet<&'j str>) {
    use serde_json::Value as Json;
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
        Json::String(text) => drop(into.insert(text)),
        Json::Array(list) => list.iter().for_each(|value| texts(value, into)),
        Json::Object(map) => map.values().for_each(|value| texts(value, into)),
    }
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
