//! The crash campaign in short: every kind of injection once. `make crash ROUNDS=100` is the long one.

use anneal_tests::campaign::crash;

/// As many rounds as have every kind of injection.
const ROUNDS: usize = 15;

#[test]
fn whatever_is_killed_nothing_acknowledged_is_lost_and_nothing_is_run_twice() {
    let seed = fastrand::u64(..1_000_000);
    let folder = tempfile::Builder::new().prefix("anneal-crash-").tempdir().expect("a folder");
    let report = crash::run(ROUNDS, seed, &folder.path().join("data"), |line| println!("{line}"));
    let table = report.table.shown("injection", "acknowledged events");
    println!("seed {seed}\n{table}");
    assert_eq!(report.table.total().injected as usize, ROUNDS + 1, "rounds and the whole at the end\n{table}");
    if !report.table.broken.is_empty() {
        let kept = folder.keep();
        panic!("make crash ROUNDS={ROUNDS} SEED={seed}; the data folder is kept: {}\n{table}", kept.display());
    }
}
