//! What a login does before a command, where a program may be, and what a program leaves behind.

use std::time::Duration;

use engine::operation::FailureClass;

use super::case::{CASE, Case, DONE, End, Expect, NO_CONNECTION, Part, QUICK, There, Work};
use super::host::{Given, PLAIN};

const REFUSED: Expect = Expect { end: End::Fails(FailureClass::Other), ..NO_CONNECTION };

fn with(setup: &'static str) -> There {
    There::Host(Given { setup, ..PLAIN })
}

fn anna(setup: &'static str) -> There {
    There::Host(Given { setup, user: "anna", ..PLAIN })
}

/// The processes of this world that carry the marker of a job.
fn marked() -> Vec<u32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let marked = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains("ANNEAL_TEST_MARK=stubborn")
    };
    pids.filter(marked).collect()
}

/// The faults.
pub fn cases() -> Vec<Case> {
    let programs = |fault, there, expect| Case { fault, part: Part::Programs, there, expect, ..CASE };
    let mut cases = vec![
        programs("a login script that writes text", with("echo 'echo hello; printf text' >/root/.bashrc"), DONE),
        programs("a banner before the login", There::Host(Given { config: "Banner /etc/passwd", ..PLAIN }), DONE),
        programs(
            "a login script that writes without end",
            with("echo 'while :; do echo y; done' >/root/.bashrc"),
            Expect { says: &["its login writes without end"], within: Duration::from_secs(10), ..REFUSED },
        ),
        programs(
            "a login script that ends the shell",
            with("echo 'echo goodbye; exit 7' >/root/.bashrc"),
            Expect {
                says: &["runs no commands for this login", "it ended with 7: goodbye"],
                within: Duration::from_secs(5),
                ..REFUSED
            },
        ),
        programs(
            "a forced command that says something and ends",
            There::Host(Given { config: "ForceCommand echo only this", ..PLAIN }),
            Expect {
                says: &["runs no commands for this login", "only this"],
                within: Duration::from_secs(5),
                ..REFUSED
            },
        ),
        programs("noexec on /var", with("mount -o remount,noexec /var/lib/anneal"), DONE),
        programs("noexec on /tmp", with("mount --bind /tmp /tmp; mount -o remount,bind,noexec /tmp"), DONE),
        programs("no home folder", anna("rmdir \"$FOLDER/anna\""), DONE),
        programs("a home folder that its user may not write in", anna("chown 0:0 \"$FOLDER/anna\""), DONE),
        programs("no HOME in the environment", anna("echo 'unset HOME' >\"$FOLDER/anna/.bashrc\""), DONE),
    ];
    cases.push(Case {
        quick: false,
        ..programs(
            "a login script that hangs",
            with("echo 'sleep 600' >/root/.bashrc"),
            Expect {
                says: &["did not answer while starting a shell, for 45 s"],
                within: Duration::from_secs(50),
                ..NO_CONNECTION
            },
        )
    });
    cases.push(Case {
        work: Work { script: "echo began >>\"$COUNT\"; sleep 20 & echo result\n", ..QUICK },
        ..programs(
            "a child in the background that keeps the descriptors",
            There::Host(PLAIN),
            Expect { within: Duration::from_secs(5), ..DONE },
        )
    });
    cases.push(Case {
        work: Work { more: "probe: Shell(\"sleep 20 & exit 1\")", ..QUICK },
        ..programs(
            "a probe whose child in the background keeps the channel",
            There::Host(PLAIN),
            Expect { within: Duration::from_secs(8), ..DONE },
        )
    });
    cases.push(Case {
        work: Work {
            script: "echo began >>\"$COUNT\"; export ANNEAL_TEST_MARK=stubborn; trap '' TERM\n\
                     setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' & wait\n",
            more: "timeout: \"2s\"",
            ..QUICK
        },
        ..programs(
            "a child that left the process group and ignores signals, at the deadline",
            There::Host(PLAIN),
            Expect {
                end: End::Fails(FailureClass::Timeout),
                says: &["did not end within 2 s and was killed; nothing of it is left"],
                also: |_, _| match marked() {
                    none if none.is_empty() => Ok("no process is left".to_owned()),
                    left => Err(format!("these are left: {left:?}")),
                },
                ..DONE
            },
        )
    });
    cases
}
