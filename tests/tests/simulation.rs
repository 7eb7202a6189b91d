//! The simulation, in its short form: `make sim SEEDS=n` runs as many seeds as one likes.

use anneal_tests::sim::{simulate, simulate_all};

/// Seeds that once found something; each names what.
const FOUND: &[(u64, &str)] = &[
    (8, "a retry that was due and had to wait for a place was waited for with no pause"),
    (6, "an undo whose host could not be reached was begun again while the first might still run"),
    (17, "an operation that was cancelled while it waited for its locks kept its place in the queue"),
    (22, "hosts entered a group again, all at once, after a failure"),
    (26, "the gate behind a first batch was passed over in a group with one size of batch"),
    (32, "going forward after a rollback that was broken off, a step was still called succeeded whose undo had failed"),
    (0, "a step of `finally` waited for ever for a lock that a lost node of its own operation held"),
    (122, "and then ran without that lock when it was given back"),
    (117, "a node that waited kept a lock that another, which had to come first, needed"),
    (123, "`resume` decided the outcome of a step of `finally` that began anew"),
    (176, "an undo was begun in the same breath in which the operation was paused"),
    (184, "`resume --from` a step whose undo had failed"),
    (3838, "a lock that went from one undo to the next in one step stayed recorded as the first one's"),
    (7604, "a lock that was left over from a torn write was given back although its node had taken it again"),
    (
        1536,
        "what was undone in part was called succeeded when the undo was about to be tried again, and it went forward",
    ),
    (3360, "a host with an attempt whose end is not known had left its group when a person set it going again"),
    (9119, "the end of a pause in `finally` made a success of an undo that had failed"),
];

#[test]
fn no_invariant_breaks_whatever_write_the_engine_dies_at() {
    for seed in 0..300 {
        if let Err(why) = simulate(seed) {
            panic!("{why}\nagain with: make sim SEEDS=1 FIRST={seed}");
        }
    }
}

#[test]
fn what_the_simulation_once_found_stays_mended() {
    for (seed, what) in FOUND {
        if let Err(why) = simulate_all(*seed, true) {
            panic!("{what}: {why}");
        }
    }
}
