//! The filter that remote output passes before anything keeps or shows it (D9, I8).
//!
//! It looks for each secret of at least [`FILTERED_SECRET_BYTES`] bytes that equals no public value of the plan: as it is,
//! percent-, JSON- and shell-escaped, and inside base64 at each of its three alignments. Shorter ones would hide ordinary
//! words; they are protected by structure only: nothing we write puts them anywhere.
//!
//! Invariant: a secret that comes in pieces is found too; [`Stream`] holds back what might be the beginning of one.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use store::Secret;

use crate::host::Output;
use crate::limits::FILTERED_SECRET_BYTES;
use crate::vault::Vault;

/// What stands in place of a secret.
pub const MASK: &str = "<secret>";

/// A filter for the secrets of one operation. Clones, and streams that were begun before, know what it learns later.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    public: Vec<String>,
    patterns: BTreeSet<Vec<u8>>,
    filter: Arc<Filter>,
}

/// What is looked for at a time.
#[derive(Debug, Default)]
struct Filter {
    automaton: Option<AhoCorasick>,
    longest: usize,
    hides_all: bool,
}

impl Filter {
    fn new(patterns: &BTreeSet<Vec<u8>>) -> Filter {
        if patterns.is_empty() {
            return Filter::default();
        }
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        // Patterns are bounded by the size of a sealed secret, far below what the automaton can hold.
        match AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns) {
            Ok(automaton) => Filter { automaton: Some(automaton), longest, hides_all: false },
            Err(error) => {
                tracing::error!(%error, "secrets too large to filter for: all output of this operation is hidden");
                Filter { automaton: None, longest: 0, hides_all: true }
            }
        }
    }

    /// The bytes with every secret masked.
    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match &self.automaton {
            None if self.hides_all && !bytes.is_empty() => MASK.as_bytes().to_vec(),
            None => bytes.to_vec(),
            Some(automaton) => {
                let mut clean = Vec::with_capacity(bytes.len());
                let mut end = 0;
                for found in automaton.find_iter(bytes) {
                    clean.extend_from_slice(&bytes[end..found.start()]);
                    clean.extend_from_slice(MASK.as_bytes());
                    end = found.end();
                }
                clean.extend_from_slice(&bytes[end..]);
                clean
            }
        }
    }
}

impl Redactor {
    /// A filter for the secrets of `vault` that are no public value.
    pub fn new(vault: &Vault, public: &[String]) -> Redactor {
        let redactor = Redactor(Arc::new(RwLock::new(Known { public: public.to_vec(), ..Known::default() })));
        redactor.learn(&vault.secrets());
        redactor
    }

    /// Filters for these from now on, too.
    pub fn learn(&self, secrets: &[Secret]) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<Vec<u8>> = secrets
            .iter()
            .flat_map(|secret| parts(secret.expose()))
            .filter(|text| text.len() >= FILTERED_SECRET_BYTES && !known.public.contains(text))
            .flat_map(|text| spellings(&text))
            .collect();
        let before = known.patterns.len();
        known.patterns.extend(new);
        if known.patterns.len() > before {
            known.filter = Arc::new(Filter::new(&known.patterns));
        }
    }

    fn filter(&self) -> Arc<Filter> {
        // Whole after every statement that changes it.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).filter)
    }

    /// The bytes with every secret masked.
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.filter().bytes(bytes)
    }

    /// The text with every secret masked.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// Output as text: lossy UTF-8, the dropped middle named. Where the middle is missing, so is as much at both edges as a
    /// secret that was cut there could show.
    pub fn output(&self, output: &Output) -> String {
        let filter = self.filter();
        if output.dropped_bytes == 0 {
            let whole = [output.head.as_slice(), output.tail.as_slice()].concat();
            return String::from_utf8_lossy(&filter.bytes(&whole)).into_owned();
        }
        let edge = filter.longest.saturating_sub(1);
        let head = &output.head[..output.head.len().saturating_sub(edge)];
        let tail = &output.tail[edge.min(output.tail.len())..];
        let kept = head.len() + tail.len();
        let dropped = output.dropped_bytes + (output.head.len() + output.tail.len() - kept) as u64;
        let (head, tail) = (filter.bytes(head), filter.bytes(tail));
        format!(
            "{}\n[… {dropped} bytes left out …]\n{}",
            String::from_utf8_lossy(&head),
            String::from_utf8_lossy(&tail)
        )
    }

    /// A filter for output that comes in pieces.
    pub fn stream(&self) -> Stream {
        Stream { redactor: self.clone(), held: Vec::new() }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive() // I8
    }
}

/// A filter for output that comes in pieces.
#[derive(Debug)]
pub struct Stream {
    redactor: Redactor,
    held: Vec<u8>,
}

impl Stream {
    /// Takes a piece and gives what can be shown of all pieces so far.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let filter = self.redactor.filter();
        let Some(automaton) = &filter.automaton else { return filter.bytes(piece) };
        self.held.extend_from_slice(piece);
        let hold = filter.longest.saturating_sub(1);
        let mut safe = self.held.len().saturating_sub(hold);
        // A match that reaches into what is held back is let through whole.
        for found in automaton.find_iter(&self.held) {
            if found.start() < safe {
                safe = safe.max(found.end());
            }
        }
        let rest = self.held.split_off(safe);
        let shown = std::mem::replace(&mut self.held, rest);
        filter.bytes(&shown)
    }

    /// What was held back, at the end.
    pub fn finish(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.held);
        self.redactor.bytes(&rest)
    }
}

/// What of a secret is secret by itself: the whole; of several lines each, which may be written apart, behind a prefix; and of a URL
/// its user info and its password, as they stand and decoded.
fn parts(secret: &str) -> Vec<String> {
    let mut parts = vec![secret.to_owned()];
    if secret.contains('\n') {
        parts.extend(secret.lines().map(|line| line.trim().to_owned()));
    }
    let user_info = secret.split_once("://").and_then(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        authority.rsplit_once('@').map(|(user_info, _)| user_info)
    });
    if let Some(user_info) = user_info {
        let mut all = vec![user_info.to_owned()];
        all.extend(user_info.split_once(':').map(|(_, password)| password.to_owned()));
        let decoded: Vec<String> = all.iter().map(|part| decoded(part)).collect();
        parts.extend(all);
        parts.extend(decoded);
    }
    parts
}

/// RFC 3986 section 2.1, undone.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The ways in which a program may write a secret down.
fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let mut spellings = vec![secret.as_bytes().to_vec(), percent(secret, true), percent(secret, false)];
    if let Ok(json) = serde_json::to_string(secret) {
        let json = &json[1..json.len() - 1];
        spellings.push(json.as_bytes().to_vec());
        // As Go writes it, and with it docker.
        spellings.push(json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e").into_bytes());
    }
    spellings.push(secret.replace('\'', "'\\''").into_bytes());
    spellings.push(backslashed(secret));
    spellings.extend(base64(secret.as_bytes()));
    spellings.extend(wrapped(secret.as_bytes()));
    spellings.retain(|spelling| spelling.len() >= FILTERED_SECRET_BYTES);
    spellings
}

/// RFC 3986 section 2.1, with upper- or lower-case digits.
fn percent(secret: &str, upper: bool) -> Vec<u8> {
    let mut text = String::new();
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else if upper {
            text.push_str(&format!("%{byte:02X}"));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    text.into_bytes()
}

/// As `printf %q` and many prompts write it.
fn backslashed(secret: &str) -> Vec<u8> {
    let mut text = String::new();
    for c in secret.chars() {
        if !c.is_alphanumeric() && !"_-./:=@%+,".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text.into_bytes()
}

/// The part of the base64 of any text around the secret that depends on the secret alone, at each alignment.
fn base64(secret: &[u8]) -> Vec<Vec<u8>> {
    (0..3usize)
        .filter_map(|shift| {
            let mut padded = vec![0u8; shift];
            padded.extend_from_slice(secret);
            let text = data_encoding::BASE64_NOPAD.encode(&padded).into_bytes();
            let from = [0, 2, 3][shift];
            // The last character also holds bits of what follows, unless the length is a multiple of three.
            let to = if padded.len().is_multiple_of(3) { text.len() } else { text.len() - 1 };
            (from < to).then(|| text[from..to].to_vec())
        })
        .collect()
}

/// The lines of the secret's base64 where it is longer than a line: as `base64`, and as PEM, break it.
fn wrapped(secret: &[u8]) -> Vec<Vec<u8>> {
    let text = data_encoding::BASE64.encode(secret).into_bytes();
    let lines = [76, 64].into_iter().filter(|width| text.len() > *width);
    lines.flat_map(|width| text.chunks(width).map(<[u8]>::to_vec).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dsl::value::SecretRef;
    use store::Secret;

    use super::*;

    fn redactor(secret: &str) -> Redactor {
        let name = SecretRef("inputs.s".to_owned());
        Redactor::new(
            &Vault::new(BTreeMap::from([(name, Secret::from(secret.to_owned()))])),
            &["public-value".to_owned()],
        )
    }

    #[test]
    fn every_usual_spelling_is_masked() {
        let secret = "pa$$ w'rd/\"x\\";
        let redactor = redactor(secret);
        let base64 = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
        for spelling in [
            secret.to_owned(),
            "pa%24%24%20w%27rd%2F%22x%5C".to_owned(),
            "pa%24%24%20w%27rd%2f%22x%5c".to_owned(),
            serde_json::to_string(secret).unwrap(),
            base64(secret),
            base64(&format!("u:{secret}")),
            base64(&format!("user:{secret}:more")),
            secret.replace('\'', "'\\''"),
        ] {
            let clean = redactor.text(&format!("<{spelling}>"));
            assert!(clean.contains(MASK), "{spelling} became {clean}");
        }
    }

    #[test]
    fn a_secret_in_pieces_is_masked_wherever_it_is_cut() {
        let redactor = redactor("canary-4711");
        let text = b"before canary-4711 after canary-4711";
        for cut in 0..text.len() {
            let mut stream = redactor.stream();
            let mut shown = stream.push(&text[..cut]);
            shown.extend(stream.push(&text[cut..]));
            shown.extend(stream.finish());
            assert_eq!(String::from_utf8(shown).unwrap(), "before <secret> after <secret>", "cut at {cut}");
        }
        let mut stream = redactor.stream();
        let mut shown: Vec<u8> = text.iter().flat_map(|byte| stream.push(&[*byte])).collect();
        shown.extend(stream.finish());
        assert_eq!(String::from_utf8(shown).unwrap(), "before <secret> after <secret>");
    }

    #[test]
    fn the_password_in_a_url_is_masked_by_itself() {
        let redactor = redactor("http://user1:pass%26word1@host1:3128/");
        for text in
            ["curl -U user1:pass%26word1", "Proxy password pass&word1", "\"pass\\u0026word1\"", "user1:pass&word1"]
        {
            assert!(redactor.text(text).contains(MASK), "{text} became {}", redactor.text(text));
        }
        assert_eq!(redactor.text("host1:3128 answers"), "host1:3128 answers");
    }

    #[test]
    fn a_secret_that_is_cut_where_output_was_dropped_does_not_show_its_halves() {
        let output = Output { head: b"head canary-".to_vec(), tail: b"4711 tail".to_vec(), dropped_bytes: 5 };
        let text = redactor("canary-4711").output(&output);
        assert!(!text.contains("canary") && !text.contains("4711"), "{text}");
    }

    #[test]
    fn what_is_learnt_later_is_masked_in_streams_that_were_begun_before() {
        let redactor = redactor("canary-4711");
        let mut stream = redactor.stream();
        let mut shown = stream.push(b"canary-4711 now and canary-");
        redactor.learn(&[Secret::from("canary-0815 is longer")]);
        shown.extend(stream.push(b"0815 is longer"));
        shown.extend(stream.finish());
        assert_eq!(String::from_utf8(shown).unwrap(), "<secret> now and <secret>");
        assert_eq!(redactor.clone().text("canary-4711, canary-0815 is longer"), "<secret>, <secret>");
    }

    #[test]
    fn lines_of_a_secret_and_of_its_base64_are_masked_by_themselves() {
        let key = format!("-----BEGIN KEY-----\n{}\n{}\n-----END KEY-----", "aB3".repeat(21), "xYz".repeat(15));
        let redactor = redactor(&key);
        for line in key.lines() {
            assert_eq!(redactor.text(&format!("> {line} <")), "> <secret> <");
        }
        let base64 = data_encoding::BASE64.encode(key.as_bytes());
        for width in [64, 76] {
            for line in base64.as_bytes().chunks(width).filter(|line| line.len() >= FILTERED_SECRET_BYTES) {
                let line = String::from_utf8_lossy(line);
                assert_eq!(redactor.text(&format!("| {line} |")), "| <secret> |", "{width}");
            }
        }
    }

    #[test]
    fn short_secrets_and_public_values_are_left_alone() {
        assert_eq!(redactor("ubuntu").text("user ubuntu"), "user ubuntu");
        assert_eq!(redactor("public-value").text("a public-value"), "a public-value");
    }
}
