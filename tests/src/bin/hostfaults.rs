//! `make faults-hosts`: the faults of hosts and connections, as a table. `--quick`, the name of a part (`reaching` …) and
//! `--only WORDS` choose.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command, and this is what it says")]

use std::process::ExitCode;

use anneal_tests::hostfaults::case::PARTS;
use anneal_tests::hostfaults::run::{Wanted, run, shown};
use anneal_tests::hostfaults::world;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended = match arguments.split_first() {
        Some((first, rest)) if first == world::INSIDE => wanted(rest).and_then(|wanted| inside(&wanted)),
        _ => wanted(&arguments).and_then(|_| world::enter(&arguments)),
    };
    ended.map_or_else(
        |why| {
            eprintln!("error: {why}");
            ExitCode::from(2)
        },
        ExitCode::from,
    )
}

fn inside(wanted: &Wanted) -> Result<u8, String> {
    world::prepare()?;
    let began = std::time::Instant::now();
    let rows = run(wanted, |line| eprintln!("{line}"));
    print!("{}", shown(&rows));
    println!("{} s", began.elapsed().as_secs());
    let as_expected = !rows.is_empty() && rows.iter().all(|row| row.differences.is_empty());
    Ok(u8::from(!as_expected))
}

fn wanted(arguments: &[String]) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match (argument.as_str(), PARTS.iter().find(|(name, _)| name == argument)) {
            ("--quick", _) => wanted.quick = true,
            ("--only", _) => wanted.words = Some(rest.next().ok_or("--only needs words")?.clone()),
            (_, Some((_, part))) => wanted.part = Some(*part),
            (other, None) => return Err(format!("{other}? usage: hostfaults [--quick] [PART] [--only WORDS]")),
        }
    }
    Ok(wanted)
}
