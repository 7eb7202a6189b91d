//! One case after the other, each from a seed of its own.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Cases of each test where nothing else is said.
const CASES: u64 = 4_000;
/// What one case may take: more than any does on a busy machine, and less than a person waits for something that hangs.
const LONGEST: Duration = Duration::from_secs(20);

/// A number from the environment.
fn env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// Judges a case for each seed; gives how many there were.
///
/// # Panics
/// When one fails, with the smallest case that fails likewise.
pub fn seeds<S: Strategy>(strategy: &S, judge: impl Fn(&S::Value) -> Result<(), String>) -> u64
where
    S::Value: Debug,
{
    let first = env("FUZZ_FIRST").unwrap_or(0);
    let until = env("FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    for ran in 0.. {
        if until.map_or(ran >= CASES, |until| Instant::now() >= until) {
            return ran;
        }
        one(strategy, first + ran, &judge);
    }
    unreachable!("a loop without an end")
}

fn one<S: Strategy>(strategy: &S, seed: u64, judge: impl Fn(&S::Value) -> Result<(), String>)
where
    S::Value: Debug,
{
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let case = strategy.new_tree(&mut runner).unwrap_or_else(|why| panic!("seed {seed}: no case: {why}"));
    let start = Instant::now();
    let judged = runner.run_one(case, |case| judge(&case).map_err(TestCaseError::fail));
    match judged {
        Ok(_) => {}
        Err(TestError::Fail(why, smallest)) => {
            panic!("FUZZ_FIRST={seed}: {why}\nthe smallest such case: {smallest:#?}")
        }
        Err(TestError::Abort(why)) => panic!("FUZZ_FIRST={seed}: {why}"),
    }
    assert!(start.elapsed() < LONGEST, "FUZZ_FIRST={seed} takes {:?}", start.elapsed());
}
