//! How fast commits are, against what the same disk does without a store, in the same run.
//!
//! ```sh
//! cargo run --release -p store --example chain -- [folder] [seconds]
//! ```
//!
//! A chain commits 400 bytes, waits, and commits again: what a workflow's step costs. Then 100 chains at once. The raw
//! rate is one write of 4 KiB at the end of a file and one fdatasync, again and again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use store::{Batch, Stats, Store};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const VALUE: usize = 400;

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let time = Duration::from_secs(seconds);
    let folder = folder.join(format!("anneal-chain-{}", std::process::id()));
    let done = measure(&folder, time);
    std::fs::remove_dir_all(&folder)?;
    done
}

fn measure(folder: &Path, time: Duration) -> Fallible<()> {
    let mut out = io::stdout().lock();
    std::fs::create_dir_all(folder)?;
    let before = raw(&folder.join("raw"), time / 2)?;
    let store = Store::open(&folder.join("data"))?.store;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let one = chains(&runtime, &store, 1, time)?;
    let many = chains(&runtime, &store, 100, time)?;
    let after = raw(&folder.join("raw"), time / 2)?;
    let raw = (before.0 + after.0) / 2.0;
    for (when, (rate, cpu)) in [("before", before), ("after", after)] {
        let cpu = cpu.as_secs_f64() * 1e6;
        writeln!(out, "raw append of 4 KiB and fdatasync, {when}: {rate:.0}/s, {cpu:.1} us CPU each")?;
    }
    for (name, Run { rate, cpu, stats }) in [("one chain", one), ("100 chains", many)] {
        writeln!(
            out,
            "{name:>10}: {rate:>6.0} commits/s = {:.2} of raw; {:.3} flushes, {:.0} bytes and {:.1} us CPU a commit",
            rate / raw,
            stats.syncs as f64 / stats.commits as f64,
            stats.bytes_written as f64 / stats.commits as f64,
            cpu.as_secs_f64() * 1e6 / stats.commits as f64,
        )?;
    }
    Ok(())
}

fn raw(path: &Path, time: Duration) -> io::Result<(f64, Duration)> {
    let _ = std::fs::remove_file(path);
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let (begin, cpu, mut count) = (Instant::now(), cpu()?, 0);
    while begin.elapsed() < time {
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok((f64::from(count) / begin.elapsed().as_secs_f64(), (self::cpu()? - cpu) / count.max(1)))
}

struct Run {
    rate: f64,
    cpu: Duration,
    stats: Stats,
}

fn chains(runtime: &tokio::runtime::Runtime, store: &Store, count: u32, time: Duration) -> Fallible<Run> {
    let (stats, cpu, begin) = (store.stats(), cpu()?, Instant::now());
    runtime.block_on(async {
        let chains: Vec<_> = (0..count)
            .map(|chain| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut version = None;
                    for n in 0_u64.. {
                        if begin.elapsed() >= time {
                            break;
                        }
                        let state = format!("o/{count}/{chain}");
                        let batch =
                            Batch::new(Some([1; 16])).put(format!("{state}/{n:08}"), [7; VALUE]).put(&state, "Running");
                        let batch = match version {
                            Some(version) => batch.expect_version(&state, version),
                            None => batch.expect_absent(&state),
                        };
                        version = Some(store.commit(batch).await?.sequence);
                    }
                    Fallible::Ok(())
                })
            })
            .collect();
        for chain in chains {
            chain.await??;
        }
        Fallible::Ok(())
    })?;
    let after = store.stats();
    let stats = Stats {
        commits: after.commits - stats.commits,
        syncs: after.syncs - stats.syncs,
        bytes_written: after.bytes_written - stats.bytes_written,
        ..Stats::default()
    };
    Ok(Run { rate: stats.commits as f64 / begin.elapsed().as_secs_f64(), cpu: self::cpu()? - cpu, stats })
}

/// What this process has used of the processors, by the system's accounting.
fn cpu() -> io::Result<Duration> {
    let mut text = String::new();
    io::Read::read_to_string(&mut File::open("/proc/self/stat")?, &mut text)?;
    let fields: Vec<u64> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let ticks = fields.get(11).unwrap_or(&0) + fields.get(12).unwrap_or(&0);
    Ok(Duration::from_millis(ticks * 10))
}
