//! The power cut, in its short form: `make powercut CUTS=n` makes as many cuts as one likes.

use std::process::Command;

/// Over all kinds of stores; the controls come on top.
const CUTS: &str = "72";

#[test]
fn what_was_acknowledged_survives_every_cut_and_the_controls_say_that_it_would_be_seen() {
    let run = Command::new(env!("CARGO_BIN_EXE_powercut")).args(["--cuts", CUTS]).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{}\n{said}\n{errors}", run.status);
    println!("{said}");
}
