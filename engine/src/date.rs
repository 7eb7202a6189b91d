//! Times as people read them. UTC throughout.

/// `2026-11-23 08:04:41` of UTC milliseconds.
pub fn date(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000 / 1_000);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3_600, rest % 3_600 / 60, rest % 60)
}

/// The same after RFC 3339: `2026-11-23T08:04:41Z`.
pub fn rfc3339(ms: u64) -> String {
    date(ms).replace(' ', "T") + "Z"
}

/// Year, month and day of a day since 1970-01-01, by the proleptic Gregorian calendar (H. Hinnant, `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}
