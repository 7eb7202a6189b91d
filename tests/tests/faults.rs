//! The fault campaign in short: every kind of fault at least once. `make faults ROUNDS=20` is the long one.

use anneal_tests::campaign::faults;

/// How many of each random kind.
const ROUNDS: usize = 1;

#[test]
fn whatever_is_wrong_with_the_data_folder_is_named_and_nothing_acknowledged_is_lost() {
    let seed = fastrand::u64(..1_000_000);
    let table = faults::run(ROUNDS, seed, |line| println!("{line}"));
    let shown = table.shown("fault", "named");
    println!("{shown}");
    assert!(table.broken.is_empty(), "make faults ROUNDS={ROUNDS} SEED={seed}\n{shown}");
}
