//! Whole outputs against checked-in text files, with what changes from run to run replaced.
//!
//! `UPDATE=1 cargo nextest run -p anneal-tests` writes them anew; `git diff` then shows what changed.

use std::path::Path;

use regex::Regex;

/// Compares a text with `tests/snapshots/<name>.txt`.
///
/// # Panics
/// When they differ.
pub fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a snapshot");
        return;
    }
    let wanted =
        std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} is missing: UPDATE=1 writes it", path.display()));
    assert!(wanted == text, "not as {} (UPDATE=1 accepts it)\n--- wanted\n{wanted}\n--- is\n{text}", path.display());
}

/// Replaces what changes from run to run: ids, times, addresses, folders, process ids.
pub struct Normal(Vec<(Regex, String)>);

impl Normal {
    /// The usual.
    ///
    /// # Panics
    /// Never: the patterns are constant.
    pub fn new() -> Normal {
        let rules = [
            (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "<ID>"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<DATE>"),
            (r"(?m)^\d\d:\d\d:\d\d ", "<TIME> "),
            (r"\b\d\d:\d\d:\d\d\b", "<TIME>"),
            (r" +\d+\.\d s\b", " <TOOK>"),
            (r" +\d+m \d\ds\b", " <TOOK>"),
            (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:<FINGERPRINT>"),
            (r"\b10\.\d+\.\d+\.253\b", "<NOBODY>"),
            (r"\b10\.\d+\.\d+\.\d+\b", "<ADDRESS>"),
            (r"process \d+", "process <PID>"),
            (r"by (tester)@[^\s:,]+", "by $1@<MACHINE>"),
            (r"(tester)@[a-zA-Z0-9.-]+", "$1@<MACHINE>"),
            (r"at byte \d+", "at byte <N>"),
            (r"\b[0-9a-f]{64}\b", "<SHA256>"),
            // The end of an id, as lists and hints show it.
            (r"\b(operation|show|resume|logs) [0-9a-f]{8}\b", "$1 <END>"),
            (r"(?m)^[0-9a-f]{8}  ", "<END>     "),
        ];
        Normal(rules.map(|(pattern, with)| (Regex::new(pattern).expect("a pattern"), with.to_owned())).to_vec())
    }

    /// Also replaces this text.
    ///
    /// # Panics
    /// Never: the text is escaped.
    pub fn text(mut self, text: impl AsRef<str>, with: &str) -> Normal {
        self.0.insert(0, (Regex::new(&regex::escape(text.as_ref())).expect("a pattern"), with.to_owned()));
        self
    }

    /// Also replaces what matches this pattern.
    ///
    /// # Panics
    /// When it is no pattern.
    pub fn pattern(mut self, pattern: &str, with: &str) -> Normal {
        self.0.insert(0, (Regex::new(pattern).expect("a pattern"), with.to_owned()));
        self
    }

    /// The text with everything replaced.
    pub fn of(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (pattern, with)| pattern.replace_all(&text, with.as_str()).into_owned())
    }
}

impl Default for Normal {
    fn default() -> Normal {
        Normal::new()
    }
}
