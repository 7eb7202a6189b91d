//! A connection that breaks while a command runs: the command goes on, and is found again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use engine::operation::Unknown;

use super::case::{CASE, Case, DONE, End, Expect, GATED, Part, There, Work};
use super::host::{Given, PLAIN};
use super::net::Wall;
use super::play::Play;
use crate::until::{SOON, until};

/// From the last byte to the last question without an answer, and some.
const NOTICED: Duration = Duration::from_secs(45);

const FOUND: Expect = Expect { found_again: Some(true), ..DONE };

const WRITES: Work = Work {
    script: "echo began >>\"$COUNT\"; seq 1 1000; until [ -e \"$GATE\" ]; do echo more; sleep 0.1; done >>\"$GATE.more\"; seq 1001 2000\n",
    ..GATED
};

/// Waits until the engine has given the connection up, and tells after how long.
fn until_noticed(play: &Play<'_>) {
    let (began, before) = (Instant::now(), play.stage.connections());
    until("the connection to be given up", NOTICED, || gone(play, &before));
    play.note(format!("noticed after {:.0} s", began.elapsed().as_secs_f64()));
}

fn gone(play: &Play<'_>, before: &BTreeSet<u16>) -> Option<()> {
    play.stage.connections().is_disjoint(before).then_some(())
}

/// The faults.
pub fn cases() -> Vec<Case> {
    let breaking = |fault, expect| Case { fault, part: Part::Breaking, work: GATED, expect, ..CASE };
    vec![
        Case {
            meanwhile: |play| {
                play.until_begun(1);
                play.from_now();
                play.stage.host().cut();
                play.open();
            },
            ..breaking("the server closes the connection while a command runs", FOUND)
        },
        Case {
            work: WRITES,
            meanwhile: |play| {
                play.until_begun(1);
                // Live output is on its way by then.
                until("more to be written", SOON, || play.stage.folder("gate.more").exists().then_some(()));
                play.stay(Duration::from_secs(2));
                let before = play.stage.connections();
                let wall = play.wall(Wall::Resets);
                until("the connection to be reset", SOON, || gone(play, &before));
                drop(wall);
                play.from_now();
                play.open();
            },
            ..breaking(
                "the connection is reset in the middle of output",
                Expect {
                    also: |_, outcome| {
                        let all: String = (1..=2000).map(|n| format!("{n}\n")).collect();
                        outcome.wrote(&all).map(|_| "its output is whole".to_owned())
                    },
                    ..FOUND
                },
            )
        },
        Case {
            quick: false,
            meanwhile: |play| {
                play.until_begun(1);
                let wall = play.wall(Wall::BlackHole);
                play.stay(Duration::from_secs(20));
                drop(wall);
                play.from_now();
                play.open();
            },
            ..breaking("packets are dropped for 20 s while a command runs", Expect { found_again: None, ..DONE })
        },
        Case {
            quick: false,
            meanwhile: |play| {
                play.until_begun(1);
                let wall = play.wall(Wall::BlackHole);
                until_noticed(play);
                play.stay(Duration::from_secs(15));
                drop(wall);
                play.from_now();
                play.open();
            },
            ..breaking(
                "packets are dropped until the connection is given up, and longer",
                Expect { also: |play, outcome| outcome.wrote("result\n").map(|_| play.noted()), ..FOUND },
            )
        },
        Case {
            quick: false,
            meanwhile: |play| {
                play.until_begun(1);
                // As a machine that was replaced by another one: nobody there knows of the connection, or answers for it.
                let _walls = play.wall_around_connections();
                play.stage.host().cut();
                play.from_now();
                until_noticed(play);
                play.open();
            },
            ..breaking(
                "half-open: the other end is gone without a word",
                Expect {
                    also: |play, outcome| outcome.wrote("result\n").map(|_| play.noted()),
                    within: NOTICED,
                    ..FOUND
                },
            )
        },
        Case {
            meanwhile: |play| {
                play.until_begun(1);
                play.stage.host().restart_server();
                play.from_now();
                play.open();
            },
            ..breaking(
                "the SSH server is restarted while a command runs",
                Expect { found_again: Some(false), within: Duration::from_secs(10), ..DONE },
            )
        },
        Case {
            there: There::Host(Given { restarts: true, ..PLAIN }),
            meanwhile: |play| {
                play.until_begun(1);
                let host = play.stage.host();
                host.power_off();
                host.power_on();
                play.from_now();
            },
            ..breaking(
                "the host is rebooted in the middle of a command",
                Expect { end: End::Unknown(Unknown::Rebooted), also: |_, _| Ok(String::new()), ..DONE },
            )
        },
    ]
}
