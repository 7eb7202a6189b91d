//! More than a server allows at once: sessions of a connection, and logins under way.

use std::io::Read;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::case::{CASE, Case, DONE, Expect, NO_CONNECTION, Part, QUICK, There, Work};
use super::host::{Given, PLAIN};
use super::play::Stage;
use crate::until::{SOON, until};

const MANY: Work = Work { steps: 12, script: "echo began >>\"$COUNT\"; sleep 0.3; echo result\n", ..QUICK };

const ALL: Expect = Expect { ran: 12, within: Duration::from_secs(40), ..DONE };

fn allows(config: &'static str) -> There {
    There::Host(Given { config, ..PLAIN })
}

/// Another client that has sessions of its own there.
#[expect(clippy::zombie_processes, reason = "it ends with the world's first process, which is ours")]
fn another_client(stage: &Stage) {
    for _ in 0..2 {
        let mut ssh = Command::new("ssh");
        ssh.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i"]);
        ssh.arg(stage.host().folder().join("user")).args(["-p", &stage.host().port.to_string()]);
        ssh.args(["root@127.0.0.1", "sleep", "60"]);
        let quiet = ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.spawn().expect("ssh starts: install openssh-client");
    }
}

/// Connections that never log in, as many as the server allows, until it ends them.
fn logins_under_way(stage: &Stage) {
    for _ in 0..3 {
        std::mem::forget(until("a login to be under way", SOON, || greeted(stage)));
    }
}

/// A connection that the server has taken: it says which version it speaks.
fn greeted(stage: &Stage) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", stage.host().port)).ok()?;
    let mut said = [0; 4];
    stream.read_exact(&mut said).ok()?;
    (said == *b"SSH-").then_some(stream)
}

/// The faults.
pub fn cases() -> Vec<Case> {
    let sessions = |fault, expect| Case { fault, part: Part::Sessions, expect, ..CASE };
    vec![
        Case { there: allows("MaxSessions 1"), work: MANY, ..sessions("MaxSessions 1, and 12 steps at once", ALL) },
        Case { there: allows("MaxSessions 2"), work: MANY, ..sessions("MaxSessions 2, and 12 steps at once", ALL) },
        Case {
            there: allows("MaxSessions 2"),
            work: MANY,
            before: another_client,
            ..sessions("MaxSessions 2, 12 steps at once, and another client with two", ALL)
        },
        Case { there: allows("MaxSessions 10"), work: MANY, ..sessions("MaxSessions 10, and 12 steps at once", ALL) },
        Case {
            quick: false,
            there: allows("MaxSessions 1"),
            work: Work { steps: 3, script: "echo began >>\"$COUNT\"; sleep 35; echo result\n", ..QUICK },
            ..sessions(
                "MaxSessions 1, and three steps of 35 s at once",
                Expect { ran: 3, within: Duration::from_secs(125), ..DONE },
            )
        },
        Case {
            there: allows("MaxSessions 0"),
            ..sessions(
                "MaxSessions 0",
                Expect {
                    end: super::case::End::Fails(engine::operation::FailureClass::Other),
                    says: &["the server gives no more sessions"],
                    within: Duration::from_secs(10),
                    ..NO_CONNECTION
                },
            )
        },
        Case {
            there: allows("MaxStartups 3\nLoginGraceTime 4"),
            before: logins_under_way,
            ..sessions("MaxStartups reached, for 4 s", Expect { within: Duration::from_secs(13), ..DONE })
        },
        Case {
            there: allows("MaxStartups 3\nLoginGraceTime 60"),
            before: logins_under_way,
            ..sessions(
                "MaxStartups reached, for longer than connecting may take",
                Expect {
                    says: &["hung up before the login, ", "MaxStartups"],
                    within: Duration::from_secs(15),
                    ..NO_CONNECTION
                },
            )
        },
        Case {
            quick: false,
            there: allows("MaxStartups 1:50:100\nLoginGraceTime 60"),
            before: |stage| std::mem::forget(until("a login to be under way", SOON, || greeted(stage))),
            ..sessions(
                "MaxStartups 1:50:100: every other login is dropped at random",
                Expect { within: Duration::from_secs(15), ..DONE },
            )
        },
    ]
}
