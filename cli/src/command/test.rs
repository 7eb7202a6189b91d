//! `anneal test FILE|NAME`: the trial of a workflow on model hosts, as a table and what is to be done.

use std::collections::BTreeMap;
use std::sync::Arc;

use dsl::plan::{Action, InstanceSeen, Plan};
use dsl::value::{FileRef, Value};
use dsl::{Files, Given, GivenValue, Origin, RoleKind, Source, Workflow};
use engine::trial::{Finding, Report, Trial, Verdict};

use super::check;
use crate::args::{Global, Test};
use crate::report::{FAILED, OK, Problem, USAGE, put, put_json};
use crate::{files, given};

pub fn run(test: &Test, global: &Global) -> Result<u8, Problem> {
    let opened = files::open_or_bundled(&test.workflow)?;
    let checked = dsl::check(&opened.source, &*opened.files);
    if checked.workflow.is_none() || !global.json {
        check::show(&checked.diagnostics, &opened.source);
    }
    let Some(workflow) = checked.workflow else { return Ok(USAGE) };
    let given = given_or_model(test, &workflow)?;
    let mut compiled = match workflow.compile(&given, &ModelFiles(&*opened.files)) {
        Ok(compiled) => compiled,
        Err(diagnostics) => {
            check::show(&diagnostics, &opened.source);
            return Ok(USAGE);
        }
    };
    model_records(test, &mut compiled.plan);
    let outs = outs(test, &compiled.plan)?;
    let trial = Trial { plan: Arc::new(compiled.plan), outs, only: test.node.clone() };
    let report = trial.run().map_err(|impossible| Problem::usage(impossible.why).hint(impossible.hint))?;
    if global.json {
        put_json(&report)?;
    } else {
        lines(&report, &workflow, &opened.source).iter().try_for_each(|line| put(line))?;
    }
    Ok(if report.is_safe() { OK } else { FAILED })
}

/// What is given, and model values and hosts for what is not.
fn given_or_model(test: &Test, workflow: &Workflow) -> Result<Given, Problem> {
    let mut given = Given::default();
    for flag in &test.inputs {
        let (name, value) = given::input(flag)?;
        given.inputs.insert(name, value);
    }
    for (name, text) in workflow.model_inputs(&given) {
        given.inputs.insert(name, GivenValue { text, origin: Origin::Elsewhere });
    }
    for role in workflow.roles().into_iter().filter(|role| !role.from_records) {
        let count = match role.kind {
            RoleKind::One | RoleKind::Optional => 1,
            RoleKind::Many { min, max } => test.hosts.unwrap_or(min.max(2)).clamp(min, max),
        };
        let slot = |n: usize| if count == 1 { role.name.to_owned() } else { format!("{}-{n}", role.name) };
        given.roles.insert(role.name.to_owned(), (1..=count).map(slot).collect());
    }
    Ok(given)
}

/// Model hosts for the roles that records fill, and then the instance is there; else there is no record yet.
fn model_records(test: &Test, plan: &mut Plan) {
    let count = test.hosts.unwrap_or(2);
    let from = plan.roles.iter().filter(|(_, role)| role.from.is_some());
    let filled: BTreeMap<String, Vec<String>> =
        from.map(|(name, _)| (name.clone(), (1..=count).map(|n| format!("{name}-{n}")).collect())).collect();
    if !filled.is_empty() {
        let model = InstanceSeen { kind: "model".to_owned(), members: BTreeMap::new(), values: BTreeMap::new() };
        plan.seen.values_mut().for_each(|seen| *seen = Some(model.clone()));
    }
    plan.fill(&filled);
}

/// The values of `--out`, each of its type.
fn outs(test: &Test, plan: &Plan) -> Result<BTreeMap<(String, String), Value>, Problem> {
    let mut outs = BTreeMap::new();
    for flag in &test.outs {
        let parts = flag.split_once('=').and_then(|(name, text)| Some((name.split_once('.')?, text)));
        let Some(((step, name), text)) = parts else {
            return Err(Problem::usage(format!("--out {flag}: a step or a name is missing"))
                .hint("write --out STEP.NAME=VALUE"));
        };
        let known = plan.steps.iter().find(|known| known.id == step);
        let Some((known, out)) = known.and_then(|known| Some((known, known.out.get(name)?))) else {
            return Err(Problem::usage(format!("--out {flag}: there is no `steps.{step}.out.{name}`")));
        };
        if out.is_secret() {
            return Err(Problem::usage(format!(
                "--out {step}.{name}: it is a secret, of which only the name is known here"
            )));
        }
        let is_facts = known.action == Action::Facts;
        let value = if is_facts { dsl::host_facts::model_but(text) } else { dsl::json::given(out, text) };
        let value = value.map_err(|why| Problem::usage(format!("--out {step}.{name}: {why}")))?;
        outs.insert((step.to_owned(), name.to_owned()), value);
    }
    Ok(outs)
}

/// The files of the workflow, and any file for an input: none of those is opened.
struct ModelFiles<'a>(&'a dyn Files);

impl Files for ModelFiles<'_> {
    fn asset(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.asset(path)
    }

    fn file(&self, path: &str) -> Result<FileRef, String> {
        Ok(FileRef { path: path.to_owned(), size_bytes: 0, sha256: "0".repeat(64) })
    }

    fn secret_file(&self, _: &str) -> Result<String, String> {
        Ok("model-secret".to_owned())
    }
}

/// The report for people.
fn lines(report: &Report, workflow: &Workflow, source: &Source) -> Vec<String> {
    let mut lines = table(report);
    if !report.not_exercised.is_empty() {
        lines.extend([String::new(), "not exercised:".to_owned()]);
        let width = report.not_exercised.iter().map(|one| one.what.len()).max().unwrap_or(0);
        lines.extend(report.not_exercised.iter().map(|one| format!("  {:width$}  {}", one.what, one.why)));
    }
    for finding in &report.findings {
        lines.push(String::new());
        lines.extend(about(finding, workflow, source));
    }
    if !report.rollback_leaves.is_empty() {
        lines.push(String::new());
        let steps = report.rollback_leaves.join(", ");
        lines.push(format!(
            "a rollback, if a person asks for one, leaves what these did, for they have no `undo`: {steps}"
        ));
    }
    lines.push(String::new());
    lines.push(summary(report));
    lines
}

fn table(report: &Report) -> Vec<String> {
    let head = ["node", "error", "repeat", "crash", "reboot", "verdict"].map(str::to_owned);
    let rows = report.nodes.iter().map(|row| {
        let cells = [row.error, row.repeat, row.crash, row.reboot].map(|cell| cell.to_string());
        let [error, repeat, crash, reboot] = cells;
        [row.node.to_string(), error, repeat, crash, reboot, row.verdict.to_string()]
    });
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn about(finding: &Finding, workflow: &Workflow, source: &Source) -> Vec<String> {
    let word = match finding.verdict {
        Verdict::Safe => "warning".to_owned(),
        verdict => verdict.to_string(),
    };
    let place = workflow.place_of(&finding.step, source);
    let place = place.map_or_else(String::new, |(line, column)| format!("  {}:{line}:{column}", source.name));
    let nodes = match finding.nodes.as_slice() {
        [one] => one.to_string(),
        many => format!("{} ({} nodes)", finding.step, many.len()),
    };
    vec![
        format!("{word}: {nodes}{place}"),
        format!("  {}", finding.what),
        format!("  because {}", finding.why),
        format!("  help: {}", finding.mend),
    ]
}

fn summary(report: &Report) -> String {
    let nodes = report.nodes.len();
    let (asks, not_safe) = (report.count(Verdict::Asks), report.count(Verdict::Unsafe));
    let count = |n: usize, noun: &str| if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") };
    format!(
        "{}: {}, {}, {not_safe} unsafe, {asks} would ask; on model hosts: what it declares was tried, not what its commands do",
        report.workflow,
        count(nodes, "node"),
        count(report.runs, "run"),
    )
}
