//! Times as people read them. UTC throughout.

pub use engine::date;

/// `1.2 s`, `3m 05s`, `2h 10m`.
pub fn took(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{}.{} s", seconds, ms % 1_000 / 100),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// `08:04:41` of UTC milliseconds.
pub fn clock(ms: u64) -> String {
    date(ms).split_off(11)
}

/// `+  3.2 s`: a time in a run, from its beginning on.
pub fn since(ms: u64) -> String {
    format!("+{:>8}", took(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00:00");
        assert_eq!(date(951_826_201_000), "2000-02-29 12:10:01");
        assert_eq!(date(1_795_420_800_000), "2026-11-23 08:00:00");
    }

    #[test]
    fn spans_are_short() {
        assert_eq!([took(40), took(1_250), took(185_000), took(7_800_000)], ["0.0 s", "1.2 s", "3m 05s", "2h 10m"]);
    }
}
