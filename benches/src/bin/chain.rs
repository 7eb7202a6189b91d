//! A chain of 2,000 steps that do nothing, each durable before the next begins, against the same disk's own rate of
//! appending 4 KiB and `fdatasync`, alternating in one run.
//!
//! Usage: `chain [FOLDER]`; the folder decides which disk.
#![allow(clippy::print_stdout, reason = "a benchmark's table is what it is for")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anneal_benches::{Bound, Fallible, Row, cpu_us, head, median, work};

const STEPS: usize = 2_000;
const ROUNDS: usize = 5;

struct Chain {
    per_second: f64,
    syncs_a_step: f64,
    bytes_a_step: f64,
    cpu_us_a_step: f64,
}

fn main() -> Fallible<()> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("anneal-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = measure(&folder);
    fs::remove_dir_all(&folder)?;
    if done? { Ok(()) } else { Err("a figure is over its bound".into()) }
}

fn measure(folder: &Path) -> Fallible<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        raw.push(append(&folder.join("raw"))?);
        ours.push(runtime.block_on(chain(&folder.join(format!("data{round}"))))?);
    }
    let rate = median(ours.iter().map(|chain| chain.per_second).collect());
    let disk = median(raw);
    let syncs = median(ours.iter().map(|chain| chain.syncs_a_step).collect());
    let bytes = median(ours.iter().map(|chain| chain.bytes_a_step).collect());
    let cpu = median(ours.iter().map(|chain| chain.cpu_us_a_step).collect());
    head();
    let flushes = Row {
        what: format!("chain of {STEPS} steps: device flushes a step"),
        ours: format!("{syncs:.3}"),
        peer: "-".to_owned(),
        figure: syncs,
        bound: Bound::AtMost(1.05),
    };
    let speed = Row {
        what: format!("chain of {STEPS} steps: steps/s against the disk"),
        ours: format!("{rate:.0}/s"),
        peer: format!("{disk:.0} appends/s"),
        figure: rate / disk,
        bound: Bound::AtLeast(0.66),
    };
    let kept = [flushes.print(), speed.print()];
    println!("(not bounded here: {bytes:.0} bytes of log and {cpu:.0} us of CPU a step)");
    Ok(kept.iter().all(|kept| *kept))
}

/// Appends of 4 KiB, each followed by `fdatasync`, a second.
fn append(path: &Path) -> Fallible<f64> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
    let block = [7u8; 4096];
    let began = Instant::now();
    for _ in 0..STEPS {
        file.write_all(&block)?;
        file.sync_data()?;
    }
    Ok(STEPS as f64 / began.elapsed().as_secs_f64())
}

async fn chain(data_dir: &Path) -> Fallible<Chain> {
    let engine = work::engine(data_dir)?;
    let before = engine.store().stats();
    let (began, cpu) = (Instant::now(), cpu_us()?);
    let id = engine.create(work::chain(STEPS)).await?;
    engine.idle().await;
    let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_us()? - cpu);
    let after = engine.store().stats();
    let operation = engine.load(id).await?;
    if !operation.life.is_final() || operation.progress().0 != STEPS {
        return Err(format!("the chain did not complete: {:?}", operation.life).into());
    }
    let steps = STEPS as f64;
    Ok(Chain {
        per_second: steps / took,
        syncs_a_step: (after.syncs - before.syncs) as f64 / steps,
        bytes_a_step: (after.log_bytes - before.log_bytes) as f64 / steps,
        cpu_us_a_step: cpu / steps,
    })
}
