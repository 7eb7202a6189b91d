//! What a program writes: much, bytes that are no text, a line without its end.

use std::path::Path;
use std::time::Duration;

use super::case::{CASE, Case, DONE, Expect, Outcome, Part, QUICK, There, Work};
use super::host::{Given, PLAIN};
use super::play::Play;
use crate::journal;

/// A gigabyte and two lines, at 250 MB a second or so.
const GIGABYTE: &str = "echo began >>\"$COUNT\"; echo first\n\
    i=0; while [ $i -lt 100 ]; do head -c 10000000 /dev/zero | tr '\\0' x; i=$((i + 1)); sleep 0.04; done\n\
    echo; echo last\n";
/// What the command may need of memory, in KiB.
const MEMORY_KIB: u64 = 150 << 10;
/// What the host may need of its disk, in bytes.
const DISK: u64 = 700 << 20;

fn sizes(play: &Play<'_>) {
    let jobs = play.stage.host().path("/var/lib/anneal");
    let memory = std::cell::Cell::new(0);
    let disk = play.largest(|| {
        memory.set(memory.get().max(play.memory_kib().unwrap_or(0)));
        Some(size_below(&jobs))
    });
    play.note(format!("{} {disk}", memory.get()));
}

/// Bytes of the files below a folder.
fn size_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => size_below(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

fn gigabyte(play: &Play<'_>, outcome: &Outcome) -> Result<String, String> {
    let noted = play.noted();
    let (memory, disk) = noted.split_once(' ').ok_or("nothing was measured")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    let (memory, disk) = (number(memory)?, number(disk)?);
    let logs = play.stage.anneal.run(["logs", &journal::operation(&outcome.entries), "work0"]);
    let lines: Vec<&str> = logs.stdout.lines().collect();
    if !lines.iter().any(|line| line.ends_with("first")) || !lines.iter().any(|line| line.ends_with("last")) {
        return Err(format!("its first or last line is missing in {} bytes of log", logs.stdout.len()));
    }
    let seen = format!("at most {} MB here, {} MB on the host's disk", memory >> 10, disk >> 20);
    if memory > MEMORY_KIB || disk > DISK || logs.stdout.len() > 2 << 20 { Err(seen) } else { Ok(seen) }
}

/// The faults.
pub fn cases() -> Vec<Case> {
    let output =
        |fault, script, expect| Case { fault, part: Part::Output, work: Work { script, ..QUICK }, expect, ..CASE };
    vec![
        Case {
            quick: false,
            there: There::Host(Given { setup: "mount -o remount,size=2g /var/lib/anneal", ..PLAIN }),
            meanwhile: sizes,
            ..output(
                "a gigabyte of output",
                GIGABYTE,
                Expect { within: Duration::from_secs(60), also: gigabyte, ..DONE },
            )
        },
        output(
            "output that is no text",
            "echo began >>\"$COUNT\"; printf 'a\\000b\\377c\\n'\n",
            Expect { also: |_, outcome| outcome.wrote("a\0b\u{fffd}c\n"), ..DONE },
        ),
        output(
            "a last line without its end",
            "echo began >>\"$COUNT\"; printf 'one\\ntwo'\n",
            Expect { also: |_, outcome| outcome.wrote("one\ntwo"), ..DONE },
        ),
    ]
}
