//! The fan: many workflows of ten no-op steps at once, each step durable before the next of its workflow begins – here, and
//! in Restate and in DBOS on SQLite, on the same disk, alternating in one run.
//!
//! Usage: `durable FOLDER PEERS CACHE`: the folder decides which disk, PEERS is `benches/peers`, and CACHE is the folder that
//! its `setup.sh` printed. A peer that does not run makes its row fail. `durable FOLDER` alone measures no peer: for profiling.
#![allow(clippy::print_stdout, reason = "a benchmark's table is what it is for")]
#![allow(clippy::print_stderr, reason = "a peer that does not run is said loudly")]

use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anneal_benches::{Bound, Fallible, Row, cpu_us, head, median, work};
use engine::Engine;
use engine::runner::Standing;
use serde::Deserialize;

const WORKFLOWS: usize = 1_000;
const STEPS: usize = 10;
const CONCURRENCY: usize = 100;
/// DBOS takes its time; its rate does not depend on how many there are.
const DBOS_WORKFLOWS: usize = 200;
const ROUNDS: usize = 3;

/// One contestant's round.
struct Fan {
    per_second: f64,
    cpu_us_a_step: f64,
    /// What the whole device was asked to flush meanwhile, by anybody.
    device_flushes_a_step: f64,
}

/// What a peer prints.
#[derive(Deserialize)]
struct Printed {
    steps: f64,
    seconds: f64,
    cpu_seconds: f64,
}

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let folder = arguments.next().unwrap_or_else(std::env::temp_dir);
    let folder = folder.canonicalize()?.join(format!("anneal-bench-{}", std::process::id()));
    let peers = arguments.next().zip(arguments.next());
    fs::create_dir_all(&folder)?;
    let done = measure(&folder, peers);
    fs::remove_dir_all(&folder)?;
    if done? { Ok(()) } else { Err("a figure is over its bound".into()) }
}

fn measure(folder: &Path, peers: Option<(PathBuf, PathBuf)>) -> Fallible<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut ours, mut syncs, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut restate, mut dbos) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (fan, syncs_a_step, bytes_a_step) = runtime.block_on(fan(&folder.join(format!("data{round}"))))?;
        ours.push(fan);
        syncs.push(syncs_a_step);
        bytes.push(bytes_a_step);
        let Some((programs, cache)) = &peers else { continue };
        let (node, python) = (PathBuf::from("node"), cache.join("dbos/venv/bin/python"));
        restate.extend(peer(folder, &node, &programs.join("restate.mjs"), &cache.join("restate"), WORKFLOWS));
        dbos.extend(peer(folder, &python, &programs.join("dbos_fan.py"), &cache.join("dbos"), DBOS_WORKFLOWS));
    }
    // A peer that failed once has no median that could be trusted.
    let of = |fans: &[Fan], figure: fn(&Fan) -> f64| match fans.len() {
        ROUNDS => median(fans.iter().map(figure).collect()),
        _ => f64::NAN,
    };
    let rate = of(&ours, |fan| fan.per_second);
    let cpu = of(&ours, |fan| fan.cpu_us_a_step);
    let peer_cpu = of(&restate, |fan| fan.cpu_us_a_step);
    let syncs = median(syncs);
    let shown = |figure: f64, unit: &str, who: &str| match figure.is_nan() {
        true => format!("{who} DID NOT RUN"),
        false => format!("{figure:.0}{unit} {who}"),
    };
    let against = |what: &str, peer: f64, who: &str, bound: f64| Row {
        what: format!("fan: steps/s against {what}"),
        ours: format!("{rate:.0}/s"),
        peer: shown(peer, "/s", who),
        figure: rate / peer,
        bound: Bound::AtLeast(bound),
    };
    head();
    let rows = [
        against("Restate", of(&restate, |fan| fan.per_second), "Restate", 8.0),
        against("DBOS on SQLite", of(&dbos, |fan| fan.per_second), "DBOS", 8.0),
        Row {
            what: "fan: CPU a step".to_owned(),
            ours: format!("{cpu:.0} us"),
            peer: shown(peer_cpu, " us", "Restate"),
            figure: cpu,
            bound: Bound::AtMost(80.0),
        },
        Row {
            what: "fan: device flushes a step".to_owned(),
            ours: format!("{syncs:.3}"),
            peer: "-".to_owned(),
            figure: syncs,
            bound: Bound::AtMost(0.1),
        },
    ];
    let kept = rows.map(|row| row.print());
    let device = |fans: &[Fan]| format!("{:.2}", of(fans, |fan| fan.device_flushes_a_step));
    println!(
        "(not bounded here: {:.0} bytes of log a step; {} of CPU a step; flushes a step that the device counted, those of \
         other processes too: anneal {}, Restate {}, DBOS {})",
        median(bytes),
        shown(of(&dbos, |fan| fan.cpu_us_a_step), " us", "DBOS"),
        device(&ours),
        device(&restate),
        device(&dbos),
    );
    Ok(kept.iter().all(|kept| *kept))
}

/// Our part; with it the store's own count of flushes, and the bytes of its log, a step.
async fn fan(data_dir: &Path) -> Fallible<(Fan, f64, f64)> {
    let engine = work::engine(data_dir)?;
    let before = engine.store().stats();
    let (began, cpu, flushes) = (Instant::now(), cpu_us()?, device_flushes(data_dir)?);
    let begun = Arc::new(AtomicUsize::new(0));
    let lanes: Vec<_> = (0..CONCURRENCY).map(|_| tokio::spawn(lane(engine.clone(), Arc::clone(&begun)))).collect();
    for lane in lanes {
        lane.await??;
    }
    engine.idle().await;
    let steps = (WORKFLOWS * STEPS) as f64;
    let fan = Fan {
        per_second: steps / began.elapsed().as_secs_f64(),
        cpu_us_a_step: (cpu_us()? - cpu) / steps,
        device_flushes_a_step: (device_flushes(data_dir)? - flushes) / steps,
    };
    let after = engine.store().stats();
    let completed = engine.list().await?.iter().filter(|operation| operation.state == "COMPLETED").count();
    if completed != WORKFLOWS {
        return Err(format!("{completed} of {WORKFLOWS} operations completed").into());
    }
    engine.close().await?;
    Ok((fan, (after.syncs - before.syncs) as f64 / steps, (after.log_bytes - before.log_bytes) as f64 / steps))
}

/// One operation after the other, until all were begun.
async fn lane(engine: Engine, begun: Arc<AtomicUsize>) -> Fallible<()> {
    while begun.fetch_add(1, Ordering::Relaxed) < WORKFLOWS {
        let id = engine.create(work::chain(STEPS)).await?;
        if let Some(mut seen) = engine.watch(id) {
            // It fails where the sender has gone: then the operation is over.
            let _ = seen.wait_for(|update| update.rest != Standing::Busy).await;
        }
    }
    Ok(())
}

/// A peer's part, in a folder of its own on the same disk.
fn peer(folder: &Path, with: &Path, program: &Path, installed: &Path, workflows: usize) -> Option<Fan> {
    let round = || -> Fallible<Fan> {
        let data = folder.join("peer");
        fs::create_dir_all(&data)?;
        let flushes = device_flushes(&data)?;
        let mut command = Command::new(with);
        command.env("ANNEAL_BENCH_PEER", installed).arg(program).arg(&data);
        let output = command.args([workflows, STEPS, CONCURRENCY].map(|number| number.to_string())).output()?;
        let flushes = device_flushes(&data)? - flushes;
        fs::remove_dir_all(&data)?;
        if !output.status.success() {
            return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into());
        }
        let printed: Printed = serde_json::from_slice(&output.stdout)?;
        Ok(Fan {
            per_second: printed.steps / printed.seconds,
            cpu_us_a_step: printed.cpu_seconds * 1e6 / printed.steps,
            device_flushes_a_step: flushes / printed.steps,
        })
    };
    round().map_err(|error| eprintln!("PEER FAILED: {}: {error}", program.display())).ok()
}

/// Flushes that the folder's device has completed since it was started, for whomever (Linux, `iostats`: field 16).
fn device_flushes(path: &Path) -> Fallible<f64> {
    let number = fs::metadata(path.parent().unwrap_or(path))?.st_dev();
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).unwrap_or_default();
    Ok(stat.split_whitespace().nth(15).and_then(|field| field.parse().ok()).unwrap_or(f64::NAN))
}
