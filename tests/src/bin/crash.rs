//! `make crash ROUNDS=n`: the crash campaign, as a table. A seed may follow as a second argument.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command, and this is what it says")]

use std::process::ExitCode;

use anneal_tests::campaign::crash;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Ok(rounds), Ok(seed)) =
        (arguments.next().unwrap_or(Ok(100)), arguments.next().unwrap_or_else(|| Ok(fastrand::u64(..1_000_000))))
    else {
        println!("usage: crash [ROUNDS [SEED]]");
        return ExitCode::from(2);
    };
    let began = std::time::Instant::now();
    let data = std::env::temp_dir().join(format!("anneal-crash-{seed}-{}", std::process::id()));
    println!("seed {seed}; again with: make crash ROUNDS={rounds} SEED={seed}");
    let report = crash::run(rounds as usize, seed, &data, |line| eprintln!("{line}"));
    print!("{}", report.table.shown("injection", "acknowledged events"));
    println!(
        "operations {}; resumed {} times; attempts executed on hosts {}; {} s",
        report.operations,
        report.resumed,
        report.executed,
        began.elapsed().as_secs()
    );
    if !report.table.broken.is_empty() {
        println!("the data folder is kept: {}", data.display());
        return ExitCode::FAILURE;
    }
    match std::fs::remove_dir_all(&data) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{} cannot be removed: {error}", data.display());
            ExitCode::FAILURE
        }
    }
}
