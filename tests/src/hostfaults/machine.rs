//! The host's disks and its clock.

use std::time::{Duration, SystemTime};

use engine::operation::FailureClass;

use super::case::{CASE, Case, DONE, End, Expect, NO_CONNECTION, Part, QUICK, There, Work};
use super::host::{Given, PLAIN};

const REFUSED: Expect =
    Expect { end: End::Fails(FailureClass::Other), within: Duration::from_secs(10), ..NO_CONNECTION };
const LATE: Expect = Expect { end: End::Fails(FailureClass::Timeout), also: |_, _| Ok(String::new()), ..DONE };

/// Every process of the login sees a clock that is a year slow.
const YEAR_BEHIND: There =
    There::Host(Given { config: "SetEnv LD_PRELOAD=/usr/$LIB/faketime/libfaketime.so.1 FAKETIME=-365d", ..PLAIN });
/// The same, a year fast.
const YEAR_AHEAD: There =
    There::Host(Given { config: "SetEnv LD_PRELOAD=/usr/$LIB/faketime/libfaketime.so.1 FAKETIME=+365d", ..PLAIN });

fn upload(to: &'static str) -> Work {
    Work { action: to, more: "timeout: \"1m\"", ..QUICK }
}

/// The faults.
pub fn cases() -> Vec<Case> {
    let mut cases = disks();
    cases.extend(clocks());
    cases
}

fn disks() -> Vec<Case> {
    let disk = |fault, setup, expect| Case {
        fault,
        part: Part::Machine,
        there: There::Host(Given { setup, ..PLAIN }),
        expect,
        ..CASE
    };
    vec![
        disk(
            "the disk of the job folder is full",
            "mount -o remount,size=64k /var/lib/anneal; mkdir -p /var/lib/anneal/jobs\n\
             head -c 100000 /dev/zero >/var/lib/anneal/fill 2>/dev/null || :",
            Expect { says: &["the disk of m", "is full at /var/lib/anneal/jobs/", "nothing was begun"], ..REFUSED },
        ),
        Case {
            work: upload("Upload(from: \"work.sh\", to: \"/root/file\")"),
            ..disk(
                "the disk of an upload's target is full",
                "mount -o remount,size=64k /root; head -c 100000 /dev/zero >/root/fill 2>/dev/null || :",
                Expect { says: &["is full at /root"], ..REFUSED },
            )
        },
        disk(
            "a read-only file system for job files: there is another place",
            "mount -o remount,ro /var/lib/anneal",
            DONE,
        ),
        disk(
            "read-only file systems only",
            "for at in /var/lib/anneal /root /dev/shm; do mount -o remount,ro $at; done",
            Expect { says: &["Read-only file system"], ..REFUSED },
        ),
        Case {
            work: upload("Upload(from: \"work.sh\", to: \"/root/file\")"),
            ..disk(
                "an upload to a read-only file system",
                "mount -o remount,ro /root",
                Expect { says: &["Read-only file system"], ..REFUSED },
            )
        },
    ]
}

fn clocks() -> Vec<Case> {
    let clock = |fault, there, work, expect| Case { fault, part: Part::Machine, there, work, expect, ..CASE };
    let says_when = Work { script: "echo began >>\"$COUNT\"; date +%s\n", ..QUICK };
    let wrong = Expect {
        also: |_, outcome| {
            let said = outcome.stdout().and_then(|text| text.trim().parse::<u64>().ok()).ok_or("no time")?;
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|error| error.to_string())?;
            let days = now.as_secs().abs_diff(said) / 86_400;
            if days >= 364 { Ok(format!("its clock is {days} days off")) } else { Err("its clock is right".to_owned()) }
        },
        ..DONE
    };
    let hangs = |more| Work { script: "echo began >>\"$COUNT\"; sleep 600\n", more, ..QUICK };
    let talks = Work {
        script: "echo began >>\"$COUNT\"; for i in 1 2 3 4 5 6; do echo $i; sleep 1; done\n",
        more: "idle_timeout: \"4s\"",
        ..QUICK
    };
    vec![
        clock("a clock a year behind", YEAR_BEHIND, says_when, wrong),
        clock("a clock a year ahead", YEAR_AHEAD, says_when, wrong),
        clock("a clock a year behind, and a deadline", YEAR_BEHIND, hangs("timeout: \"3s\""), LATE),
        clock("a clock a year ahead, and a limit on silence", YEAR_AHEAD, hangs("idle_timeout: \"3s\""), LATE),
        clock(
            "a clock a year ahead, and a program that is never silent for long",
            YEAR_AHEAD,
            talks,
            Expect { also: |_, outcome| outcome.wrote("1\n2\n3\n4\n5\n6\n"), ..DONE },
        ),
        Case {
            quick: false,
            ..clock(
                "a clock a year behind, and a deadline that the host keeps",
                YEAR_BEHIND,
                hangs("timeout: \"65s\""),
                Expect { within: Duration::from_secs(100), ..LATE },
            )
        },
    ]
}
