//! `make sim SEEDS=n`: the simulation over many seeds, as a table. The first seed may follow as a second argument.
#![allow(clippy::print_stdout, reason = "it is a command, and this is what it says")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anneal_tests::sim::{Report, simulate};

/// Failures that are printed whole.
const PRINTED: usize = 20;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Ok(seeds), Ok(first)) = (arguments.next().unwrap_or(Ok(1_000)), arguments.next().unwrap_or(Ok(0))) else {
        println!("usage: sim [SEEDS [FIRST]]");
        return ExitCode::from(2);
    };
    let (next, total) = (AtomicU64::new(first), Mutex::new((Report::default(), Vec::new())));
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + seeds {
                    return;
                }
                let simulated = simulate(seed);
                // A report is whole after every statement.
                let mut total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                match simulated {
                    Ok(report) => total.0.add(&report),
                    Err(why) => total.1.push(why),
                }
            }
        };
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (report, failures) = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failures.iter().take(PRINTED).for_each(|why| println!("{why}"));
    println!("seeds {seeds} (from {first}), runs {}, writes {}", report.runs, report.writes);
    for (what, count) in [
        ("engine died around a write", report.crashes),
        ("disk full", report.full),
        ("jobs begun on hosts", report.jobs),
        ("hosts restarted", report.reboots),
        ("connections lost or silent", report.lost),
        ("wall clock set", report.clocks),
        ("outcomes unknown", report.unknown),
        ("verbs asked for", report.verbs),
        ("of them refused", report.refused),
        ("waits for a lock", report.waits),
        ("changes of records", report.recorded),
    ] {
        println!("  {what:<28} {count:>12}");
    }
    println!("invariants broken: {}", failures.len());
    ExitCode::from(u8::from(!failures.is_empty()))
}
