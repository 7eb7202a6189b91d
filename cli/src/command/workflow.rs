//! `anneal workflow …`: the bundled workflows – what there is, what one takes and does, a copy to change, and what a new
//! release changed in it.

mod copy;
mod diff;

use dsl::outline::{Outline, OutlineInput};

use super::check;
use crate::args::{Global, ShowWorkflow, WorkflowCommand};
use crate::columns::{table, wrap};
use crate::files::{self, Opened};
use crate::report::{OK, Problem, USAGE, put, put_json, put_text};

pub fn run(command: &WorkflowCommand, global: &Global) -> Result<u8, Problem> {
    match command {
        WorkflowCommand::List => list(global),
        WorkflowCommand::Show(args) => show(args, global),
        WorkflowCommand::Export(args) => copy::run(args, global),
        WorkflowCommand::Diff(args) => diff::run(args, global),
    }
}

fn list(global: &Global) -> Result<u8, Problem> {
    let mut rows = Vec::new();
    for name in workflows::names() {
        let (_, workflow) = bundled(name)?;
        rows.push((name.to_owned(), workflow.about().to_owned()));
    }
    if global.json {
        put_json(
            &rows.iter().map(|(name, about)| serde_json::json!({ "name": name, "about": about })).collect::<Vec<_>>(),
        )?;
    } else {
        table(&rows).iter().try_for_each(|line| put(line.strip_prefix("  ").unwrap_or(line)))?;
    }
    Ok(OK)
}

/// A bundled workflow, checked.
fn bundled(name: &str) -> Result<(Opened, dsl::Workflow), Problem> {
    let opened = files::open_bundled(name)?;
    match dsl::check(&opened.source, &*opened.files).workflow {
        Some(workflow) => Ok((opened, workflow)),
        None => Err(Problem::failed(format!("the bundled workflow `{name}` is not valid"))
            .hint("this build is damaged; install it again")),
    }
}

fn show(args: &ShowWorkflow, global: &Global) -> Result<u8, Problem> {
    let opened = files::open_or_bundled(&args.workflow)?;
    if args.source {
        put_text(&opened.source.text)?;
        return Ok(OK);
    }
    let checked = dsl::check(&opened.source, &*opened.files);
    let Some(workflow) = checked.workflow else {
        check::show(&checked.diagnostics, &opened.source);
        return Ok(USAGE);
    };
    let outline = workflow.outline();
    if global.json {
        put_json(&outline)?;
    } else {
        lines(&outline, &args.workflow).iter().try_for_each(|line| put(line))?;
    }
    Ok(OK)
}

/// A workflow as people read it.
fn lines(outline: &Outline, name: &str) -> Vec<String> {
    let about = if outline.about.is_empty() { String::new() } else { format!(": {}", outline.about) };
    let mut lines = wrap(&format!("{}{about}", outline.workflow), 2, 80);
    let mut part = |title: &str, rows: Vec<(String, String)>| {
        if !rows.is_empty() {
            lines.extend([String::new(), title.to_owned()]);
            lines.extend(table(&rows));
        }
    };
    let mut inputs = Vec::new();
    outline.inputs.iter().for_each(|input| add_input("", input, &mut inputs));
    part("Inputs", inputs);
    part("Roles", outline.roles.iter().map(|role| (role.name.clone(), role.declared())).collect());
    let (body, finally): (Vec<_>, Vec<_>) = outline.steps.iter().partition(|step| step.finally.is_none());
    let step = |step: &&dsl::outline::OutlineStep| {
        let mut words = step.about.clone().unwrap_or_default();
        if !words.is_empty() {
            words.push(' ');
        }
        let role = step.role.as_ref().map(|role| format!(" on {role}")).unwrap_or_default();
        let out = if step.out.is_empty() { String::new() } else { format!(", gives {}", step.out.join(", ")) };
        words.push_str(&format!("({}{role}{out})", step.action));
        (step.id.clone(), words)
    };
    part("Steps", body.iter().map(step).collect());
    part("Finally", finally.iter().map(step).collect());
    part("Outputs", outline.outputs.iter().map(|name| (name.clone(), String::new())).collect());
    let hosts =
        outline.roles.iter().filter(|role| role.min > 0).map(|role| format!(" --host {}=USER@ADDRESS", role.name));
    let must = outline.inputs.iter().filter(|input| input.default.is_none() && !input.optional && !input.secret);
    let must = must.map(|input| format!(" --input {}=VALUE", input.name));
    lines.push(String::new());
    lines.push(format!("run: anneal run {name}{}{}", hosts.collect::<String>(), must.collect::<String>()));
    lines.push(format!("see: anneal graph {name}"));
    lines
}

fn add_input(before: &str, input: &OutlineInput, rows: &mut Vec<(String, String)>) {
    let name = format!("{before}{}", input.name);
    let mut kind = input.ty.clone();
    match &input.default {
        Some(default) => kind.push_str(&format!(" = {default}")),
        None if input.optional => kind.push_str(", optional"),
        None => kind.push_str(", needed"),
    }
    if input.secret {
        kind.push_str(", secret");
    }
    let about = input.about.as_deref().map(|about| format!(" – {about}")).unwrap_or_default();
    rows.push((name.clone(), format!("{kind}{about}")));
    input.fields.iter().for_each(|field| add_input(&format!("{name}."), field, rows));
}

/// The files of a bundled workflow, by their path in its folder; the first is the workflow itself.
fn files_of(name: &str) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let (opened, workflow) = bundled(name)?;
    let mut files = vec![(format!("{name}.ron"), opened.source.text.into_bytes())];
    files.extend(workflow.assets().iter().map(|(path, bytes)| (path.clone(), bytes.clone())));
    Ok(files)
}
