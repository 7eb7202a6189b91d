//! Lines of a text file: some must be there, some must not, some are said otherwise.
//!
//! What a line is to become is a text and not a rule, and a line that is one of those texts is never touched. So a second
//! patch finds nothing to do.

use regex::{Regex, RegexBuilder};

use super::Wrong;

/// What the lines of a file are to be, rendered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines {
    /// These stand in it; what is missing is added at the end.
    pub ensure: Vec<String>,
    /// These do not.
    pub absent: Vec<String>,
    /// A line in which the pattern is found becomes the text; the first pattern that is found counts.
    pub replace: Vec<(String, String)>,
}

/// Bytes that a compiled pattern may take.
const PATTERN_COMPILED_BYTES: usize = 1 << 20;

/// The text after the patch; the same text where there is nothing to do.
pub fn apply(text: &str, lines: &Lines) -> Result<String, Wrong> {
    let Lines { ensure, absent, replace } = lines;
    let wanted: Vec<&str> = ensure.iter().chain(replace.iter().map(|(_, with)| with)).map(String::as_str).collect();
    if let Some(line) =
        wanted.iter().copied().chain(absent.iter().map(String::as_str)).find(|line| line.contains(['\n', '\r']))
    {
        return Err(Wrong::of_patch(format!("{} lines are given as one", line.lines().count())));
    }
    if absent.iter().any(|line| wanted.contains(&line.as_str())) {
        return Err(Wrong::of_patch("the same line is to be there and not to be there"));
    }
    let patterns = replace.iter().map(|(pattern, with)| Ok((compile(pattern)?, with.as_str())));
    let patterns: Vec<(Regex, &str)> = patterns.collect::<Result<_, Wrong>>()?;
    let (mut out, mut end) = (String::with_capacity(text.len()), "\n");
    for (nth, whole) in text.split_inclusive('\n').enumerate() {
        let line = whole.strip_suffix('\n').map_or(whole, |line| line.strip_suffix('\r').unwrap_or(line));
        if nth == 0 && whole.ends_with("\r\n") {
            end = "\r\n";
        }
        if absent.iter().any(|other| other == line) {
            continue;
        }
        let found = patterns.iter().find(|(pattern, _)| !wanted.contains(&line) && pattern.is_match(line));
        out.push_str(found.map_or(line, |(_, with)| with));
        out.push_str(&whole[line.len()..]);
    }
    for line in ensure {
        if out.lines().any(|other| other == line) {
            continue;
        }
        if !out.is_empty() && !out.ends_with('\n') {
            out.push_str(end);
        }
        out.push_str(line);
        out.push_str(end);
    }
    Ok(out)
}

fn compile(pattern: &str) -> Result<Regex, Wrong> {
    let pattern = RegexBuilder::new(pattern).size_limit(PATTERN_COMPILED_BYTES).build();
    pattern.map_err(|_| Wrong::of_patch("a pattern is no regular expression"))
}
