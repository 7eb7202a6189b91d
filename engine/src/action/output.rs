//! Output of programs, filtered: where it is kept, and what of it is told.

use std::borrow::Cow;

use crate::error::Error;
use crate::limits::INLINE_OUTPUT_BYTES;
use crate::operation::OutputRef;
use crate::runner::Context;

/// Keeps output in the journal where it is small, else in a blob (D3). It has passed the filter for secrets.
pub async fn keep(context: &Context, stdout: &str, stderr: &str) -> Result<Option<OutputRef>, Error> {
    if stdout.is_empty() && stderr.is_empty() {
        return Ok(None);
    }
    let inline = OutputRef::Inline { stdout: stdout.to_owned(), stderr: stderr.to_owned() };
    if stdout.len() + stderr.len() <= INLINE_OUTPUT_BYTES {
        return Ok(Some(inline));
    }
    let bytes = serde_json::to_vec(&inline)
        .map_err(|error| Error::new(crate::error::Kind::Internal, "output cannot be written").source(error))?;
    let store = context.store.clone();
    let digest = tokio::task::spawn_blocking(move || store.blobs().put(&bytes))
        .await
        .map_err(|error| Error::new(crate::error::Kind::Internal, "the blob writer ended").source(error))??;
    Ok(Some(OutputRef::Blob { digest: digest.to_string() }))
}

/// The last line that says something.
pub fn last_line(text: &str) -> Option<String> {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    let mut short: String = line.chars().take(300).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    Some(clean(&short))
}

/// The text without what would do something to a terminal: control characters as they are written in Rust.
pub fn clean(text: &str) -> String {
    shown(text, |c| c == '\t' || !c.is_control())
}

/// What programs wrote, for a terminal or as it is: lines stay lines, and all else that a terminal would obey is shown.
pub fn harmless(text: &str, terminal: bool) -> Cow<'_, str> {
    match terminal {
        true => shown(&text.replace("\r\n", "\n"), |c| matches!(c, '\t' | '\n') || !c.is_control()).into(),
        false => text.into(),
    }
}

fn shown(text: &str, as_it_is: impl Fn(char) -> bool) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        match as_it_is(c) {
            true => shown.push(c),
            false => shown.extend(c.escape_default()),
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let text = "a\tb\r\n\u{1b}]0;title\u{7}c\u{9b}2J\n";
        assert_eq!(harmless(text, true), "a\tb\n\\u{1b}]0;title\\u{7}c\\u{9b}2J\n");
        assert_eq!(harmless(text, false), text);
    }

    #[test]
    fn a_line_that_a_host_wrote_does_nothing_to_a_terminal() {
        assert_eq!(last_line("a\n\u{1b}[31mred\r\n \n"), Some("\\u{1b}[31mred".to_owned()));
        assert_eq!(last_line("\n \n"), None);
        assert_eq!(last_line(&"x".repeat(400)).map(|line| line.chars().count()), Some(301));
    }
}
