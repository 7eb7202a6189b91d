//! Lines that are long, slow, or lose packets.

use std::time::Duration;

use super::case::{CASE, Case, DONE, Expect, Part, QUICK, There, Work};
use super::host::PLAIN;
use super::line::Line;
use super::net::Wall;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Several steps, each with output.
const WORK: Work = Work { steps: 4, script: "echo began >>\"$COUNT\"; seq 1 2000\n", ..QUICK };

fn over(delay_ms: u64, jitter_ms: u64) -> There {
    There::Over(Line { delay: MS(delay_ms), jitter: MS(jitter_ms), bytes_a_second: None }, PLAIN)
}

/// The faults. The delay is that of one way.
pub fn cases() -> Vec<Case> {
    let line = |fault, there, within_s| Case {
        fault,
        part: Part::Lines,
        there,
        work: WORK,
        expect: Expect {
            ran: 4,
            within: Duration::from_secs(within_s),
            also: |_, outcome| {
                let all: String = (1..=2000).map(|n| format!("{n}\n")).collect();
                outcome.wrote(&all)
            },
            ..DONE
        },
        ..CASE
    };
    vec![
        line("a line of 50 ms", over(50, 10), 15),
        Case {
            before: |stage| stage.wall_for_good(Wall::Loses(5)),
            ..line("a line of 50 ms that loses 5 %", over(50, 10), 40)
        },
        Case {
            quick: false,
            before: |stage| stage.wall_for_good(Wall::Loses(10)),
            ..line("a line of 200 ms that loses 10 %", over(200, 50), 90)
        },
        Case {
            quick: false,
            before: |stage| stage.wall_for_good(Wall::Loses(20)),
            ..line("a line of 200 ms that loses 20 %", over(200, 50), 200)
        },
        Case {
            quick: false,
            ..line(
                "a line of 4 KB a second",
                There::Over(Line { delay: MS(20), jitter: MS(0), bytes_a_second: Some(4096) }, PLAIN),
                90,
            )
        },
    ]
}
