//! Durations and sizes as they are written: `500ms`, `90s`, `2m`, `1h30m`, `1d`; `64 MiB`, `1 GB`, `512`.

use crate::limits;

/// Units of time with their milliseconds, from the largest.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size with their bytes.
const SIZES: [(&str, u64); 10] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// The shortest usual way to write a duration of `ms` milliseconds.
pub fn show(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut rest = ms;
    let mut text = String::new();
    for (unit, size) in TIMES {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    text
}

/// Reads a duration; gives milliseconds. Units stand from the largest to the smallest, each once.
pub fn parse(text: &str) -> Result<u64, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("a duration such as `90s`, `5m` or `1h30m` is expected".to_owned());
    }
    let (mut total, mut smallest) = (0_u64, usize::MAX);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[digits..digits + letters];
        let Some(index) = TIMES.iter().position(|(name, _)| *name == unit).filter(|_| digits > 0) else {
            return Err(if letters == 0 && digits == rest.len() {
                "a duration has a unit: `ms`, `s`, `m`, `h` or `d`".to_owned()
            } else {
                "a duration is written such as `500ms`, `90s`, `5m`, `1h30m` or `1d`".to_owned()
            });
        };
        if smallest != usize::MAX && index <= smallest {
            return Err("the units of a duration stand from the largest to the smallest, each once".to_owned());
        }
        smallest = index;
        let part = rest[..digits].parse::<u64>().ok().and_then(|n| n.checked_mul(TIMES[index].1));
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= limits::DURATION_MS)
            .ok_or_else(|| format!("a duration is at most {}", show(limits::DURATION_MS)))?;
        rest = &rest[digits + letters..];
    }
    Ok(total)
}

/// Reads a size such as `64 MiB`, `1.5 GB` or `512`; gives bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let wrong = || "a size is written such as `512`, `64 MiB` or `1.5 GB`".to_owned();
    let number = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = (&text[..number], text[number..].trim_start());
    let size =
        if unit.is_empty() { Some(1) } else { SIZES.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size) };
    let size = size.ok_or_else(wrong)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if part.is_empty() || part.len() > 6 {
        return Err(wrong());
    }
    let whole: u128 = whole.parse().map_err(|_| wrong())?;
    let scale = 10_u128.pow(part.len() as u32);
    let part: u128 = part.parse().map_err(|_| wrong())?;
    let bytes = whole
        .checked_mul(u128::from(size))
        .and_then(|bytes| bytes.checked_add(part * u128::from(size) / scale))
        .filter(|bytes| *bytes <= u128::from(limits::BYTES));
    match bytes {
        Some(bytes) => Ok(bytes as u64),
        None => Err(format!("a size is at most {} bytes", limits::BYTES)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_shown() {
        for (text, ms) in [("500ms", 500), ("90s", 90_000), ("5m", 300_000), ("1h30m", 5_400_000), ("1d", 86_400_000)] {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
        for ms in [1, 999, 1_000, 61_001, 86_400_000, 90_061_001] {
            assert_eq!(parse(&show(ms)), Ok(ms));
        }
        for wrong in ["", "5", "m", "-5m", "5 m", "5m1h", "1m1m", "5min", "1.5h", "9999999999999999999d", "4000d", "é"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        for (text, bytes) in
            [("512", 512), ("64 MiB", 64 << 20), ("64MiB", 64 << 20), ("1.5 GB", 1_500_000_000), ("0", 0)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "MiB", "1 mib", "1.", ".5", "-1", "1e3", "99999999999 TiB", "1.2.3", "1 é"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
