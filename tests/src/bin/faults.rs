//! `make faults ROUNDS=n`: the fault campaign, as a table. A seed may follow as a second argument.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command, and this is what it says")]

use std::process::ExitCode;

use anneal_tests::campaign::faults;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Ok(rounds), Ok(seed)) =
        (arguments.next().unwrap_or(Ok(20)), arguments.next().unwrap_or_else(|| Ok(fastrand::u64(..1_000_000))))
    else {
        println!("usage: faults [ROUNDS [SEED]]");
        return ExitCode::from(2);
    };
    let began = std::time::Instant::now();
    println!("seed {seed}; again with: make faults ROUNDS={rounds} SEED={seed}");
    let table = faults::run(rounds as usize, seed, |line| eprintln!("{line}"));
    print!("{}", table.shown("fault", "named"));
    println!("{} s", began.elapsed().as_secs());
    ExitCode::from(u8::from(!table.broken.is_empty()))
}
