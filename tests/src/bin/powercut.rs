//! `make powercut CUTS=n SEED=n`: the power is cut, as a table. `--replay SEED:CUT` checks a disk again that was kept.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command, and this is what it says")]

use std::process::ExitCode;

use anneal_tests::powercut::run::{INSIDE, Wanted, inside, outside};
use anneal_tests::powercut::{child, worker::CHILD};

const CUTS: usize = 1200;
const SEED: u64 = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments.as_slice() {
        [CHILD] => child::serve().map(|()| 0).map_err(|error| error.to_string()),
        [INSIDE, run, rest @ ..] => match (run.parse(), wanted(rest)) {
            (Ok(run), Some(wanted)) => inside(run, &wanted, &|text| println!("{text}")),
            _ => usage(),
        },
        rest => match wanted(rest) {
            Some(wanted) => outside(&wanted),
            None => usage(),
        },
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

fn wanted(arguments: &[&str]) -> Option<Wanted> {
    let (mut cuts, mut seed) = (CUTS, SEED);
    let mut rest = arguments;
    loop {
        match rest {
            [] => return Some(Wanted::Campaign { cuts, seed }),
            ["--replay", name] => return Some(Wanted::Replay((*name).to_owned())),
            ["--cuts", number, more @ ..] => (cuts, rest) = (number.parse().ok()?, more),
            ["--seed", number, more @ ..] => (seed, rest) = (number.parse().ok()?, more),
            _ => return None,
        }
    }
}

fn usage() -> Result<u8, String> {
    Err("usage: powercut [--cuts N] [--seed N] | --replay SEED:CUT".to_owned())
}
