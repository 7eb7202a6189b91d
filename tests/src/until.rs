//! Waiting for a condition, with a deadline. Nothing in the tests waits for a time to pass.

use std::time::{Duration, Instant};

/// How long a thing that takes a moment may take on a machine that does much else.
pub const SOON: Duration = Duration::from_secs(30);
/// How long an installation may take.
pub const LONG: Duration = Duration::from_secs(240);

/// Asks until there is an answer.
///
/// # Panics
/// When the deadline passes; `what` says what was waited for.
pub fn until<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {} s for: {what}", within.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}
