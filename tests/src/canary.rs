//! Canaries: secrets with values that occur nowhere else, and the search for them in every spelling.

use std::sync::atomic::{AtomicU32, Ordering};

use aho_corasick::AhoCorasick;
use data_encoding::{BASE64_NOPAD, HEXLOWER};

/// A secret to be searched for.
#[derive(Debug, Clone)]
pub struct Canary {
    /// What it is, for the message.
    pub what: String,
    /// Its value.
    pub value: String,
    spellings: Vec<&'static str>,
    automaton: AhoCorasick,
}

impl Canary {
    /// A canary with a new value. It has characters that percent-encoding changes.
    pub fn new(what: &str) -> Canary {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Canary::of(what, &format!("Kanari+{:08x}/{count}:v0gel", fastrand::u32(..)))
    }

    /// A canary with this value.
    pub fn of(what: &str, value: &str) -> Canary {
        assert!(value.len() >= 12, "a canary has 12 bytes or more");
        let mut spellings = vec![("as it is", value.as_bytes().to_vec())];
        for (upper, what) in [(true, "percent-encoded"), (false, "percent-encoded in small letters")] {
            spellings.push((what, percent(value, upper)));
        }
        spellings.push(("in hexadecimal", HEXLOWER.encode(value.as_bytes()).into_bytes()));
        for (shift, what) in [(0, "base64"), (1, "base64, one byte in"), (2, "base64, two bytes in")] {
            spellings.push((what, base64_middle(value.as_bytes(), shift)));
        }
        let automaton = AhoCorasick::new(spellings.iter().map(|(_, spelling)| spelling)).expect("a few short patterns");
        let spellings = spellings.into_iter().map(|(what, _)| what).collect();
        Canary { what: what.to_owned(), value: value.to_owned(), spellings, automaton }
    }

    /// How the bytes show it, if they do.
    pub fn found_in(&self, bytes: &[u8]) -> Option<&'static str> {
        self.automaton.find(bytes).map(|found| self.spellings[found.pattern().as_usize()])
    }
}

/// None of the canaries is in these bytes.
///
/// # Panics
/// When one is.
pub fn absent(canaries: &[Canary], place: &str, bytes: &[u8]) {
    for canary in canaries {
        if let Some(how) = canary.found_in(bytes) {
            panic!("{} is in {place}, {how}", canary.what);
        }
    }
}

fn percent(text: &str, upper: bool) -> Vec<u8> {
    let one = |byte: u8| match (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte), upper) {
        (true, _) => char::from(byte).to_string(),
        (false, true) => format!("%{byte:02X}"),
        (false, false) => format!("%{byte:02x}"),
    };
    text.bytes().map(one).collect::<String>().into_bytes()
}

/// The characters of base64 that depend on nothing but the secret, when it begins `shift` bytes after a multiple of three.
fn base64_middle(secret: &[u8], shift: usize) -> Vec<u8> {
    let padded = [vec![0; shift], secret.to_vec()].concat();
    let whole = padded.len() / 3 * 3;
    let text = BASE64_NOPAD.encode(&padded[..whole]).into_bytes();
    text[if shift == 0 { 0 } else { 4 }..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_found_in_every_spelling_and_nowhere_else() {
        let canary = Canary::of("a test", "Kanari+0815/4711:v0gel");
        for before in ["", "u", "us", "use"] {
            let text = format!("{before}{}:after", canary.value);
            assert!(canary.found_in(text.as_bytes()).is_some());
            assert!(canary.found_in(BASE64_NOPAD.encode(text.as_bytes()).as_bytes()).is_some(), "{before}");
        }
        assert!(canary.found_in(b"http://u:Kanari%2B0815%2F4711%3Av0gel@h").is_some());
        assert_eq!(canary.found_in(b"Kanari+0815/4711:v0ge"), None);
    }
}
