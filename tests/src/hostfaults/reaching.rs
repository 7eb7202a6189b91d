//! Getting a connection: nobody there, nobody who answers, somebody else, and who does not let us in.

use std::time::Duration;

use engine::operation::FailureClass;

use super::case::{CASE, Case, DONE, End, Expect, NO_CONNECTION, Part, There};
use super::host::{Given, PLAIN};
use super::net::Wall;
use super::odd::Odd;

const REFUSED: Expect = Expect { end: End::Fails(FailureClass::Other), ..NO_CONNECTION };

/// The faults.
pub fn cases() -> Vec<Case> {
    let reaching = |fault, expect| Case { fault, part: Part::Reaching, expect, ..CASE };
    vec![
        Case {
            there: There::Nobody,
            ..reaching(
                "nobody listens",
                Expect {
                    says: &["cannot be reached: Connection refused"],
                    within: Duration::from_secs(5),
                    ..NO_CONNECTION
                },
            )
        },
        Case {
            before: |stage| stage.wall_for_good(Wall::BlackHole),
            ..reaching(
                "packets are dropped while connecting",
                Expect {
                    says: &["did not answer while connecting, for 10 s"],
                    within: Duration::from_secs(14),
                    ..NO_CONNECTION
                },
            )
        },
        Case {
            before: |stage| stage.wall_for_good(Wall::Resets),
            ..reaching(
                "a firewall resets connections",
                Expect {
                    says: &["cannot be reached: Connection refused"],
                    within: Duration::from_secs(5),
                    ..NO_CONNECTION
                },
            )
        },
        Case {
            there: There::Odd(Odd::Silent),
            ..reaching(
                "a server that takes connections and says nothing",
                Expect {
                    says: &["did not answer while greeting us, for 15 s"],
                    within: Duration::from_secs(19),
                    ..NO_CONNECTION
                },
            )
        },
        Case {
            there: There::Odd(Odd::Wordy),
            ..reaching(
                "a server that says lines without end before its version",
                Expect {
                    says: &["what answers there is no SSH server"],
                    within: Duration::from_secs(5),
                    ..NO_CONNECTION
                },
            )
        },
        Case {
            there: There::Odd(Odd::HangsUp),
            ..reaching(
                "a server that hangs up at once, each time",
                Expect {
                    says: &["hung up before the login, ", "MaxStartups"],
                    within: Duration::from_secs(15),
                    ..NO_CONNECTION
                },
            )
        },
        Case {
            before: |stage| {
                let host = stage.host();
                std::fs::copy(host.folder().join("host.pub"), host.folder().join("authorized")).expect("a file");
            },
            ..reaching(
                "a key that the host does not take",
                Expect {
                    says: &["refused the login; tried key ", "check the user, and the key or the password"],
                    within: Duration::from_secs(10),
                    ..REFUSED
                },
            )
        },
        Case {
            there: There::Host(Given { user: "bob", ..PLAIN }),
            ..reaching(
                "a login that the host does not have",
                Expect { says: &["refused the login; tried key "], within: Duration::from_secs(10), ..REFUSED },
            )
        },
        Case {
            before: |stage| {
                stage.run().must_be(0);
                stage.forget();
                let host = stage.host();
                host.power_off();
                host.new_key("host");
                host.power_on();
            },
            ..reaching(
                "another host key than before",
                Expect {
                    says: &["the host key of m", "has changed: known is SHA256:", "it now shows SHA256:"],
                    within: Duration::from_secs(10),
                    ..REFUSED
                },
            )
        },
        Case { there: There::Host(Given { address: "::1", ..PLAIN }), ..reaching("a host that has IPv6 only", DONE) },
    ]
}
