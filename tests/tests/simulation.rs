//! The simulation, in its short form: `make sim SEEDS=n` runs as many seeds as one likes.

use anneal_tests::sim::simulate;

/// Seeds that once found something; each names what.
const FOUND: &[(u64, &str)] = &[
    (1362, "a second report of one attempt was taken for the answer of the probe that was asked after the first"),
    (1836, "the same, after a crash"),
    (568, "a write kept in part left a node waiting behind one that was marked as not reached"),
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
        if let Err(why) = simulate(*seed) {
            panic!("{what}: {why}");
        }
    }
}
