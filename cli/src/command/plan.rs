//! `anneal plan FILE|NAME`: what a run would do, host by host. It needs no store, unless a secret is sealed in it: host keys are read, and recorded where that is
//! asked for, as a run does.

use std::collections::HashMap;

use dsl::value::SecretRef;
use engine::preview::{Content, FileChange, Preview, Report, Row, Verdict};

use super::prepared::{self, Prepared};
use crate::args::{Global, Plan};
use crate::data_dir::data_dir;
use crate::report::{FAILED, MAY_DO, OK, Problem, USAGE, put, put_json};
use crate::session::Session;
use crate::stop::Stop;

pub async fn run(plan: &Plan, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let Some(prepared) = prepared::prepare(&plan.with, global, session).await? else { return Ok(USAGE) };
    let Prepared { plan, assets, hosts, secrets } = prepared;
    let preview = Preview {
        plan,
        assets,
        hosts,
        secrets: secrets.into_iter().map(|(name, text)| (SecretRef(name), text.into())).collect(),
        data_dir: data_dir(global)?,
        home: std::env::home_dir(),
    };
    let mut stop = Stop::new()?;
    let Some(report) = preview.run(stop.asked()).await? else {
        return Err(Problem::failed("stopped before all hosts had answered; nothing was changed"));
    };
    if global.json {
        put_json(&report)?;
    } else {
        lines(&report).iter().try_for_each(|line| put(line))?;
    }
    Ok(match (report.counts.cannot_tell > 0, report.counts.may_do()) {
        (true, _) => FAILED,
        (false, true) => MAY_DO,
        (false, false) => OK,
    })
}

/// The report for people: under each host what would be done there.
fn lines(report: &Report) -> Vec<String> {
    let mut hosts: Vec<(&str, Vec<&Row>)> = Vec::new();
    let mut places: HashMap<Option<&String>, usize> = HashMap::new();
    for row in &report.nodes {
        let place = *places.entry(row.host.as_ref()).or_insert(hosts.len());
        if place == hosts.len() {
            hosts.push((row.host.as_ref().map_or("here", String::as_str), Vec::new()));
        }
        hosts[place].1.push(row);
    }
    let mut lines = Vec::new();
    for (host, rows) in hosts {
        lines.push(host.to_owned());
        rows.into_iter().for_each(|row| lines.extend(about(row)));
        lines.push(String::new());
    }
    lines.push(summary(report));
    lines
}

fn about(row: &Row) -> Vec<String> {
    let name = match &row.host {
        Some(host) if *host == row.node.key => row.node.step.clone(),
        Some(_) => row.node.to_string(),
        None => row.node.step.clone(),
    };
    let more = |text: String| format!("      {text}");
    let line = |mark: &str, words: String| format!("  {mark} {name:<24}  {words}").trim_end().to_owned();
    match &row.expected {
        Verdict::AlreadySo { says } => vec![line("✓", format!("is already so: {says}"))],
        Verdict::Skipped { why } => vec![line("-", format!("would be skipped: {why}"))],
        Verdict::WillChange { does, files, unless } => {
            let mut lines = vec![line("~", format!("will change: {does}"))];
            if !unless.is_empty() {
                lines.push(more(format!("unless {} does it before", some_of(unless))));
            }
            for file in files {
                lines.extend(changes(file).into_iter().map(more));
            }
            lines
        }
        Verdict::WillRun { does } => vec![line("•", format!("will run: {does}"))],
        Verdict::Unknown { until, now } => {
            let mut lines = vec![line("?", format!("unknown until {}", known_after(until)))];
            lines.extend(now.iter().map(|now| more(now.clone())));
            lines
        }
        Verdict::CannotTell { why, hint } => {
            let mut lines = vec![line("✗", format!("cannot tell: {why}"))];
            lines.extend(hint.iter().map(|hint| more(format!("help: {hint}"))));
            lines
        }
        Verdict::Asks { text, approvers } if approvers.is_empty() => vec![line("?", format!("asks: {text}"))],
        Verdict::Asks { text, approvers } => vec![line("?", format!("asks {}: {text}", approvers.join(", ")))],
    }
}

fn changes(file: &FileChange) -> Vec<String> {
    let kind = if file.new { "new file" } else { "file" };
    let attributes: String = file.attributes.iter().map(|attribute| format!(", {attribute}")).collect();
    let head = format!("{kind} {}{attributes}", file.path);
    match &file.content {
        Content::Same => vec![head],
        Content::Lines { difference } => {
            std::iter::once(head).chain(difference.lines().map(|line| format!("  {line}"))).collect()
        }
        Content::Secret => vec![head, "  <secret content differs>".to_owned()],
        Content::Bytes { was, will } => {
            let bytes = |bytes: &engine::preview::Bytes| {
                let sha256 = bytes.sha256.as_ref().map(|sha256| format!(", sha256 {sha256}")).unwrap_or_default();
                format!("{} bytes{sha256}", bytes.size_bytes)
            };
            let was = was.iter().map(|was| format!("  - {}", bytes(was)));
            std::iter::once(head).chain(was).chain([format!("  + {}", bytes(will))]).collect()
        }
        Content::Unread { why } => vec![head, format!("  {why}")],
    }
}

/// The steps that must have run.
fn known_after(until: &[String]) -> String {
    let verb = match until {
        [one] if one.starts_with("operation.") => "is known",
        [_] => "has run",
        _ => "have run",
    };
    format!("{} {verb}", some_of(until))
}

/// The first few names, and how many more there are.
fn some_of(names: &[String]) -> String {
    const NAMED: usize = 3;
    let mut words: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    if names.len() > NAMED {
        words.push(format!("{} more", names.len() - NAMED));
    }
    match words.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        words => words.concat(),
    }
}

fn summary(report: &Report) -> String {
    let counts = &report.counts;
    let words = [
        (counts.will_change, "will change"),
        (counts.will_run, "will run"),
        (counts.unknown, "unknown"),
        (counts.cannot_tell, "cannot be told"),
        (counts.asks, "asks"),
        (counts.already_so, "already so"),
        (counts.skipped, "skipped"),
    ];
    let words: Vec<String> =
        words.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let words = if words.is_empty() { "no steps".to_owned() } else { words.join(", ") };
    format!("{}: {words}; nothing was changed", report.workflow)
}
