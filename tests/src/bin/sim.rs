//! `make sim SEEDS=n`: the simulation over many seeds, as a table. The first seed may follow as a second argument.
#![allow(clippy::print_stdout, reason = "it is a command, and this is what it says")]

use std::process::ExitCode;

use anneal_tests::sim::{Report, simulate};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Ok(seeds), Ok(first)) = (arguments.next().unwrap_or(Ok(1_000)), arguments.next().unwrap_or(Ok(0))) else {
        println!("usage: sim [SEEDS [FIRST]]");
        return ExitCode::from(2);
    };
    let mut total = Report::default();
    let mut failures = 0u64;
    for seed in first..first + seeds {
        match simulate(seed) {
            Ok(report) => {
                total.runs += report.runs;
                total.writes += report.writes;
                total.crashes += report.crashes;
                total.jobs += report.jobs;
                total.reboots += report.reboots;
                total.unknown += report.unknown;
            }
            Err(why) => {
                failures += 1;
                println!("{why}");
            }
        }
    }
    println!("seeds {seeds} (from {first}); runs {}; crashes {}", total.runs, total.crashes);
    println!(
        "writes {}; jobs on hosts {}; host restarts {}; unknown outcomes {}",
        total.writes, total.jobs, total.reboots, total.unknown
    );
    println!("invariants broken: {failures}");
    ExitCode::from(u8::from(failures > 0))
}
