//! The wall clock, read at the edge and nowhere else (D6).

use std::time::{SystemTime, UNIX_EPOCH};

/// UTC milliseconds.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
