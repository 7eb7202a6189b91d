//! The names of hosts of an inventory: `web[01:50:2].example`, `db[a:c]:5432`, `[2001:db8::1]:22`.

/// The most hosts that one pattern is.
pub const RANGE_HOSTS: usize = 10_000;

/// The longest pattern, bytes.
const PATTERN_BYTES: usize = 1_024;
/// The most ranges in one pattern.
const RANGES: usize = 8;

/// The hosts of a pattern, and the port it says.
pub fn expand(pattern: &str) -> Result<(Vec<String>, Option<u32>), String> {
    if pattern.len() > PATTERN_BYTES {
        return Err(format!("a name of hosts has {} bytes; {PATTERN_BYTES} are the most", pattern.len()));
    }
    let (mut rest, port) = split_port(pattern)?;
    let mut hosts = vec![String::new()];
    let mut ranges = 0;
    while let Some((head, from)) = rest.split_once('[') {
        let (range, tail) = from.split_once(']').ok_or("a `]` is missing")?;
        ranges += 1;
        if ranges > RANGES {
            return Err(format!("it has more than {RANGES} ranges"));
        }
        let parts = bounds(range)?.parts(RANGE_HOSTS / hosts.len().max(1))?;
        hosts = hosts.iter().flat_map(|host| parts.iter().map(move |part| format!("{host}{head}{part}"))).collect();
        rest = tail;
    }
    hosts.iter_mut().for_each(|host| host.push_str(rest));
    Ok((hosts, port))
}

/// A port is one only behind what can be an address; else the colon belongs to the name, as in `2001:db8::1`.
fn split_port(pattern: &str) -> Result<(&str, Option<u32>), String> {
    let Some((name, digits)) = pattern.rsplit_once(':') else { return Ok((pattern, None)) };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok((pattern, None));
    }
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name = match bracketed {
        Some(inner) if is_address(inner) => inner,
        Some(_) | None if has_bare_colon(name) || !is_address(name) => return Ok((pattern, None)),
        Some(_) | None => name,
    };
    let port = digits.parse().ok().filter(|port| *port <= 65_535);
    Ok((name, Some(port.ok_or("its port is over 65535")?)))
}

/// Whether a colon stands outside of all brackets.
fn has_bare_colon(name: &str) -> bool {
    let mut inside = false;
    name.chars().any(|c| {
        inside = match c {
            '[' => true,
            ']' => false,
            _ => inside,
        };
        c == ':' && !inside
    })
}

/// A host name, an IPv4 or an IPv6 address, each with ranges.
fn is_address(name: &str) -> bool {
    if has_bare_colon(name) {
        return is_ipv6(name);
    }
    !name.is_empty() && split_outside(name, '.').into_iter().all(is_label)
}

fn split_outside(name: &str, at: char) -> Vec<&str> {
    let mut inside = false;
    name.split(|c| {
        inside = match c {
            '[' => true,
            ']' => false,
            _ => inside,
        };
        c == at && !inside
    })
    .collect()
}

/// A label of a name: letters, digits, ranges, and in the middle `-` and `_`.
fn is_label(label: &str) -> bool {
    let mut rest = label;
    let mut last = None;
    while let Some(c) = rest.chars().next() {
        if c == '[' {
            let Some((range, behind)) = rest[1..].split_once(']') else { return false };
            if bounds(range).is_err() {
                return false;
            }
            rest = behind;
        } else if c.is_alphanumeric() || c == '_' || (c == '-' && last.is_some()) {
            rest = &rest[c.len_utf8()..];
        } else {
            return false;
        }
        last = Some(c);
    }
    last.is_some_and(|last| last != '-' && last != '_')
}

fn is_ipv6(name: &str) -> bool {
    let parts = split_outside(name, ':');
    let hex = |part: &&str| {
        let range = part.strip_prefix('[').and_then(|part| part.strip_suffix(']'));
        range.is_some() || (part.len() <= 4 && part.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    (3..=9).contains(&parts.len()) && parts.iter().all(|part| part.is_empty() || hex(part))
}

/// Begin, end and step of a range.
enum Range {
    Letters(usize, usize, usize),
    Numbers(u64, u64, usize, usize),
}

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

fn bounds(range: &str) -> Result<Range, String> {
    let parts: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match parts[..] {
        [begin, end] => (begin, end, 1),
        [begin, end, step] => (begin, end, step.parse().map_err(|_| "the step of a range is no number")?),
        _ => return Err("a range is [BEGIN:END] or [BEGIN:END:STEP]".to_owned()),
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        return Err("a range has no end".to_owned());
    }
    if step == 0 {
        return Err("the step of a range is 0".to_owned());
    }
    let letter = |text: &str| match text.as_bytes() {
        [one] => LETTERS.iter().position(|letter| letter == one),
        _ => None,
    };
    if let (Some(begin), Some(end)) = (letter(begin), letter(end)) {
        if begin > end {
            return Err("a range ends before it begins".to_owned());
        }
        return Ok(Range::Letters(begin, end, step));
    }
    let padded = begin.len() > 1 && begin.starts_with('0');
    if padded && begin.len() != end.len() {
        return Err("begin and end of a range with leading zeros must be of one length".to_owned());
    }
    let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse::<u64>().map_err(|_| "a range is too large".to_owned()),
        false => Err("a range goes from a number to a number, or from a letter to a letter".to_owned()),
    };
    Ok(Range::Numbers(number(begin)?, number(end)?, step, if padded { begin.len() } else { 0 }))
}

impl Range {
    /// What it stands for, in order.
    fn parts(self, most: usize) -> Result<Vec<String>, String> {
        let parts: Vec<String> = match self {
            Range::Letters(begin, end, step) => {
                let letters = LETTERS.get(begin..=end).unwrap_or_default();
                letters.iter().step_by(step).take(most + 1).map(|letter| char::from(*letter).to_string()).collect()
            }
            Range::Numbers(begin, end, step, width) => {
                (begin..=end).step_by(step).take(most + 1).map(|number| format!("{number:0width$}")).collect()
            }
        };
        if parts.len() > most { Err(format!("it is more than {RANGE_HOSTS} hosts")) } else { Ok(parts) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> String {
        match expand(pattern) {
            Ok((hosts, port)) => hosts.join(" ") + &port.map_or_else(String::new, |port| format!(" :{port}")),
            Err(why) => why,
        }
    }

    #[test]
    fn ranges_and_ports_are_read_as_ansible_does() {
        assert_eq!(of("web"), "web");
        assert_eq!(of("web[1:3]"), "web1 web2 web3");
        assert_eq!(of("web[01:05:2].example:2222"), "web01.example web03.example web05.example :2222");
        assert_eq!(of("db[a:c]"), "dba dbb dbc");
        assert_eq!(of("r[1:2]n[a:b]"), "r1na r1nb r2na r2nb");
        assert_eq!(of("[:2]x"), "0x 1x 2x");
        assert_eq!(of("192.0.2.[1:2]:22"), "192.0.2.1 192.0.2.2 :22");
        assert_eq!(of("2001:db8::1"), "2001:db8::1");
        assert_eq!(of("[2001:db8::1]:22"), "2001:db8::1 :22");
        assert_eq!(of("a_:22"), "a_:22", "no name of a host, so no port");
        assert_eq!(of("x[3:1]"), "");
    }

    #[test]
    fn a_range_that_is_none_or_too_large_is_refused() {
        for (pattern, says) in [
            ("a[1:999999999]", "more than 10000 hosts"),
            ("a[1:99999999999999999999999]", "too large"),
            ("a[1:200]b[1:200]", "more than 10000 hosts"),
            ("a[1]", "[BEGIN:END]"),
            ("a[1:2:0]", "step"),
            ("a[1:2", "missing"),
            ("a[01:100]", "length"),
            ("a[c:a]", "before it begins"),
            ("a[1:]", "no end"),
            ("a[1:b]", "from a number"),
            ("[1:1][1:1][1:1][1:1][1:1][1:1][1:1][1:1][1:1]", "8 ranges"),
            (&"a".repeat(2_000), "1024"),
            ("a:99999", "65535"),
        ] {
            assert!(of(pattern).contains(says), "{pattern}: {}", of(pattern));
        }
    }
}
