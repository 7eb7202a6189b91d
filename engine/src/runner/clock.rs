//! The wall clock, read at the edge and nowhere else (D6).

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The time as one operation sees it: the wall clock when it was taken in hand, or its last event where that is later, and from
/// then on only what has really passed. Setting the wall clock moves no wait.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall_ms: u64,
    since: Instant,
}

impl Clock {
    /// A clock that never shows less than `last_ms`.
    pub fn from(last_ms: u64) -> Clock {
        Clock { wall_ms: now_ms().max(last_ms), since: Instant::now() }
    }

    /// UTC milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.wall_ms.saturating_add(u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// UTC milliseconds.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
