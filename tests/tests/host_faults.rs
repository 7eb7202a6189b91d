//! The faults of hosts and connections that take a few seconds, each done for real. `make faults-hosts` does all of them.

use std::process::Command;

/// Runs one part in a world of its own.
fn as_expected(part: &str) {
    let run = Command::new(env!("CARGO_BIN_EXE_hostfaults")).args(["--quick", part]).output();
    let run = run.expect("the campaign starts");
    let (table, said) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "make faults-hosts PART={part}\n{table}\n{said}");
}

#[test]
fn whoever_cannot_be_reached_is_named_with_the_reason_and_in_time() {
    as_expected("reaching");
}

#[test]
fn a_command_outlives_its_connection_and_is_found_again_in_the_same_attempt() {
    as_expected("breaking");
}

#[test]
fn what_a_server_allows_is_learnt_and_kept_to() {
    as_expected("sessions");
}

#[test]
fn a_login_and_a_program_may_do_as_they_like() {
    as_expected("programs");
}

#[test]
fn output_is_kept_as_it_was_written() {
    as_expected("output");
}

#[test]
fn full_disks_and_wrong_clocks_are_told_or_do_not_matter() {
    as_expected("machine");
}

#[test]
fn long_and_bad_lines_only_take_longer() {
    as_expected("lines");
}
