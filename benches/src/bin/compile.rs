//! What the compiler costs: a large workflow to a plan with all of its nodes, and the check of a usual one.
//!
//! There is no peer: nothing else compiles the language. Usage: `compile`.
#![allow(clippy::print_stdout, reason = "a benchmark's table is what it is for")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use anneal_benches::{Bound, Fallible, Row, cpu_us, head, median};
use dsl::value::FileRef;
use dsl::{Files, Given, Source, check};
use engine::operation::{Entry, Event, HostRecord, JOURNAL_FORMAT, Operation, ReachRecord};

const STEPS: usize = 1_000;
const HOSTS: usize = 100;
const ROUNDS: usize = 5;
/// Steps of a workflow as people write them, and how often it is checked: the clock of the CPU ticks every 10 ms.
const USUAL_STEPS: usize = 50;
const CHECKS: usize = 200;

/// Workflows without files.
struct NoFiles;

impl Files for NoFiles {
    fn asset(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("there are none".to_owned())
    }

    fn file(&self, _: &str) -> Result<FileRef, String> {
        Err("there are none".to_owned())
    }

    fn secret_file(&self, _: &str) -> Result<String, String> {
        Err("there are none".to_owned())
    }
}

fn main() -> Fallible<()> {
    // First, while the process is small: the peak of memory is that of the process.
    let (large, nodes) = large()?;
    let peak = peak_mib()?;
    let usual = usual()?;
    head();
    let what = format!("{STEPS} steps on {HOSTS} hosts: text to {nodes} nodes, s");
    let rows = [
        row(what, format!("{large:.2} s"), large, 1.0),
        row(format!("{STEPS} steps on {HOSTS} hosts: peak memory, MiB"), format!("{peak:.0} MiB"), peak, 200.0),
        row(format!("check of {USUAL_STEPS} steps: CPU, ms"), format!("{usual:.2} ms"), usual, 10.0),
    ];
    let kept: Vec<bool> = rows.iter().map(Row::print).collect();
    if kept.iter().all(|kept| *kept) { Ok(()) } else { Err("a figure is over its bound".into()) }
}

fn row(what: String, ours: String, figure: f64, most: f64) -> Row {
    Row { what, ours, peer: "-".to_owned(), figure, bound: Bound::AtMost(most) }
}

/// Each step reads the one before it, every tenth needs it; all have an environment, a condition and an output.
fn workflow(steps: usize) -> Source {
    let mut text = String::from(
        "Workflow(name: \"large\", inputs: { \"port\": Port(default: 5000), \"go\": Bool(default: true) },\n\
         roles: { \"node\": Many }, steps: [\n",
    );
    for index in 0..steps {
        let (needs, reads) = match index.checked_sub(1) {
            None => (String::new(), "'none'".to_owned()),
            Some(before) if index % 10 == 0 => (format!("needs: [\"s{before}\"], "), "'none'".to_owned()),
            Some(before) => (String::new(), format!("steps.s{before}.out.x ?? 'none'")),
        };
        // A text takes everything.
        let _ = writeln!(
            text,
            "Step(id: \"s{index}\", on: \"node\", {needs}when: \"inputs.go && inputs.port > 1\", \
             do: Run([\"echo\", \"${{{{ inputs.port }}}}\", \"${{{{ {reads} }}}}\"]), \
             env: {{ \"HOST\": \"${{{{ host.name }}}}\" }}, out: {{ \"x\": Stdout(type: Text) }}, \
             retry: (times: 3, wait: \"5s\"), timeout: \"10m\"),"
        );
    }
    text.push_str("])\n");
    Source { name: "large.ron".to_owned(), text }
}

/// From the text to a plan that is stored, and to the nodes of its operation; seconds and nodes.
fn large() -> Fallible<(f64, usize)> {
    let source = workflow(STEPS);
    let slots: Vec<String> = (0..HOSTS).map(|host| format!("node-{host}")).collect();
    let mut given = Given::default();
    given.roles.insert("node".to_owned(), slots.clone());
    let host = |slot: &String| (slot.clone(), HostRecord::first(ReachRecord::Local));
    let hosts: BTreeMap<String, HostRecord> = slots.iter().map(host).collect();
    let (mut seconds, mut nodes) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let checked = check(&source, &NoFiles);
        let Some(workflow) = checked.workflow else {
            return Err(format!("{:?}", checked.diagnostics.first()).into());
        };
        let plan = workflow.compile(&given, &NoFiles).map_err(|wrong| format!("{:?}", wrong.first()))?.plan;
        let stored = plan.to_json()?;
        let entry = Entry {
            seq: 1,
            at_ms: 1,
            event: Event::Created {
                format: JOURNAL_FORMAT,
                operation: uuid::Uuid::now_v7(),
                plan: String::new(),
                workflow: plan.workflow.clone(),
                by: "benchmark".to_owned(),
                hosts: hosts.clone(),
                locks: Vec::new(),
            },
        };
        let operation = Operation::create(Arc::new(plan), &entry).map_err(|illegal| illegal.why)?;
        seconds.push(began.elapsed().as_secs_f64());
        nodes = operation.nodes.len();
        if nodes != STEPS * HOSTS || stored.is_empty() {
            return Err(format!("there are only {nodes} nodes").into());
        }
    }
    Ok((median(seconds), nodes))
}

/// CPU of one check, milliseconds.
fn usual() -> Fallible<f64> {
    let source = workflow(USUAL_STEPS);
    let before = cpu_us()?;
    for _ in 0..CHECKS {
        if check(&source, &NoFiles).workflow.is_none() {
            return Err("the workflow is not valid".into());
        }
    }
    Ok((cpu_us()? - before) / 1_000.0 / CHECKS as f64)
}

/// Peak of resident memory of this process (proc(5), `VmHWM`).
fn peak_mib() -> Fallible<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}
