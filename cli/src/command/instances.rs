//! `anneal instances`: what is recorded of instances, and forgetting it.

use std::collections::BTreeMap;

use dsl::{Files, Given, GivenValue, Origin, Source};
use engine::operation::{Content, Freshness, Record};
use server::{CreateRequest, InstanceRow, InstanceView};

use super::by;
use crate::args::{ForgetInstance, Global, Instances, InstancesCommand};
use crate::report::{OK, Problem, put, put_json, say};
use crate::session::Session;
use crate::show::short;
use crate::time::date;
use crate::told::count;
use crate::watch::{self, Goal, Watched};

pub async fn run(instances: &Instances, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    match &instances.command {
        None => list(global, session).await,
        Some(InstancesCommand::Show(of)) => {
            let view = session.ask(async |client| client.instance(&of.name).await).await?;
            if global.json {
                put_json(&view)?;
            } else {
                lines(&view).iter().try_for_each(|line| put(line))?;
            }
            Ok(OK)
        }
        Some(InstancesCommand::Forget(of)) => forget(of, global, session).await,
    }
}

async fn list(global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let rows = session.ask(async |client| client.instances().await).await?;
    if global.json {
        put_json(&rows)?;
        return Ok(OK);
    }
    if rows.is_empty() {
        say("nothing is recorded of any instance yet; a workflow does it by `Record`");
        return Ok(OK);
    }
    let kind = |row: &InstanceRow| match &row.record {
        Some(Record { content: Content::Instance { kind, .. }, .. }) => kind.clone(),
        _ => "?".to_owned(),
    };
    let wide = |least: usize, texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).max(least);
    let names = wide(8, &mut rows.iter().map(|row| row.name.chars().count()));
    let kinds = wide(8, &mut rows.iter().map(|row| kind(row).chars().count()));
    put(&format!(
        "{:<names$}  {:<kinds$}  {:>7}  {:>5}  {:<19}  OPERATION",
        "NAME", "KIND", "MEMBERS", "WIRED", "CHANGED (UTC)"
    ))?;
    for row in &rows {
        let (members, changed, operation) = match &row.record {
            Some(record) => (members(record).to_string(), date(record.changed_at_ms), short(record.operation)),
            None => ("?".to_owned(), "?".to_owned(), "?".to_owned()),
        };
        let held = row.held_by.map_or_else(String::new, |by| format!("  (held by {})", short(by)));
        put(&format!(
            "{:<names$}  {:<kinds$}  {members:>7}  {:>5}  {changed:<19}  {operation}{held}",
            row.name,
            kind(row),
            row.wired
        ))?;
    }
    Ok(OK)
}

fn members(record: &Record) -> usize {
    match &record.content {
        Content::Instance { members, .. } => members.values().map(Vec::len).sum(),
        Content::Wiring { .. } => 0,
    }
}

/// One instance for people.
fn lines(view: &InstanceView) -> Vec<String> {
    let mut lines = Vec::new();
    match &view.record {
        None => lines.push(format!("{}: nothing but wirings is recorded", view.name)),
        Some(record) => {
            if let Content::Instance { kind, members, values } = &record.content {
                lines.push(format!("{}: {kind}", view.name));
                lines.push(format!("  {}", changed(record)));
                for (role, members) in members {
                    lines.push(format!("  members `{role}`"));
                    lines.extend(members.iter().map(|member| {
                        format!("    {}  {} (generation {})", member.slot, member.address, member.generation)
                    }));
                }
                lines.extend(said("  ", values));
            }
        }
    }
    if let Some(by) = view.held_by {
        lines.push(format!("  held by operation {}", short(by)));
    }
    if !view.wirings.is_empty() {
        lines.push(format!("  wired: {}", count(view.wirings.len(), "host")));
    }
    for (host, record) in &view.wirings {
        let Content::Wiring { values, freshness } = &record.content else { continue };
        let stale = match freshness {
            Freshness::Fresh => String::new(),
            Freshness::Stale { want, since_ms } => format!("  stale since {}: should use {want}", date(*since_ms)),
        };
        lines.push(format!("    {host}{stale}  {}", changed(record)));
        lines.extend(said("      ", values));
    }
    lines
}

fn changed(record: &Record) -> String {
    let (at, by) = (date(record.changed_at_ms), short(record.operation));
    format!("version {}, recorded {at} by operation {by}", record.version)
}

fn said(indent: &str, values: &BTreeMap<String, String>) -> Vec<String> {
    let printable = |text: &String| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    values.iter().map(|(name, value)| format!("{indent}{name}: {}", printable(value))).collect()
}

/// What forgets an instance: an operation, so that it waits for nobody's work and is in the journal.
const FORGET: &str = r#"Workflow(
    name: "forget-instance",
    about: "Forget what is recorded of an instance.",
    inputs: { "name": Text() },
    instance: "${{ inputs.name }}",
    steps: [Step(id: "forget", do: Forget(), undo: Restore)],
)"#;

async fn forget(of: &ForgetInstance, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let view = session.ask(async |client| client.instance(&of.name).await).await?;
    if view.record.is_none() {
        let message = format!("nothing is recorded of the instance `{}` but who is wired to it", of.name);
        return Err(Problem::usage(message).hint("a workflow forgets wirings: `Forget(wiring: \"…\")`"));
    }
    if !of.yes {
        return Err(Problem::usage(format!("`{}` would be forgotten", of.name)).hint("say --yes where that is meant"));
    }
    let id = uuid::Uuid::now_v7();
    let request = CreateRequest {
        id,
        plan: plan(&of.name)?,
        assets: BTreeMap::new(),
        hosts: BTreeMap::new(),
        secrets: BTreeMap::new(),
        by: by(),
        if_locked: engine::IfLocked::Refuse,
    };
    session.may_detach(false).await?;
    session.ask(async |client| client.create(&request).await).await?;
    if !view.wirings.is_empty() && !global.json {
        say(&format!("{} stay recorded as wired to it", count(view.wirings.len(), "host")));
    }
    watch::watch(Watched { id, after: 0, by: by(), goal: Goal::Completes }, global, session).await
}

fn plan(name: &str) -> Result<dsl::plan::Plan, Problem> {
    let source = Source { name: "forget-instance.ron".to_owned(), text: FORGET.to_owned() };
    let bug = |what: String| Problem::failed(format!("a bug in Anneal: the instance cannot be forgotten: {what}"));
    let checked = dsl::check(&source, &NoFiles);
    let workflow = checked.workflow.ok_or_else(|| bug(format!("{:?}", checked.diagnostics)))?;
    let mut given = Given::default();
    given.inputs.insert("name".to_owned(), GivenValue { text: name.to_owned(), origin: Origin::CommandLine });
    let compiled = workflow.compile(&given, &NoFiles);
    Ok(compiled.map_err(|diagnostics| bug(format!("{diagnostics:?}")))?.plan)
}

/// It has none.
struct NoFiles;

impl Files for NoFiles {
    fn asset(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("it has no files".to_owned())
    }

    fn file(&self, _: &str) -> Result<dsl::value::FileRef, String> {
        Err("it has no files".to_owned())
    }

    fn secret_file(&self, _: &str) -> Result<String, String> {
        Err("it has no files".to_owned())
    }
}
