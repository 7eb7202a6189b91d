//! Text literals, and where each byte of them came from.

use std::ops::Range;

/// A text of the file, with the place of every byte of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text {
    /// What it says, escapes resolved.
    pub(crate) value: String,
    /// Where the literal stands, with its quotation marks.
    pub(crate) span: Range<usize>,
    /// Where its content begins.
    content: usize,
    /// Where each byte of `value` came from, and the end; only where escapes moved them.
    origins: Option<Vec<u32>>,
}

impl Text {
    /// Reads the literal that stands at `span`; an error is ron's, with where it is.
    pub(crate) fn read(source: &str, span: Range<usize>) -> Result<Text, (Range<usize>, String)> {
        let literal = &source[span.clone()];
        let value: String = super::options().from_str(literal).map_err(|error| {
            let start = offset(literal, error.span.start.line, error.span.start.col);
            let end = offset(literal, error.span.end.line, error.span.end.col);
            (span.start + start..span.start + end.max(start + 1).min(literal.len()), error.code.to_string())
        })?;
        let content = span.start + literal.find('"').map_or(0, |at| at + 1);
        let origins = (literal.starts_with('"') && literal.contains('\\')).then(|| origins(source, content, &value));
        Ok(Text { value, span, content, origins })
    }

    /// A word that stands where a text should.
    pub(super) fn bare(word: &str, span: Range<usize>) -> Text {
        Text { value: word.to_owned(), content: span.start, span, origins: None }
    }

    /// Where a part of the value stands in the file.
    pub(crate) fn locate(&self, part: Range<usize>) -> Range<usize> {
        match &self.origins {
            None => self.content + part.start..self.content + part.end,
            Some(origins) => {
                let at = |i: usize| origins.get(i).or(origins.last()).map_or(self.content, |at| *at as usize);
                let start = at(part.start);
                start..at(part.end).max(start)
            }
        }
    }
}

/// Follows the escapes of a literal that ron has read, so that they are known to be right.
fn origins(source: &str, content: usize, value: &str) -> Vec<u32> {
    let mut origins = Vec::with_capacity(value.len() + 1);
    let (mut at, bytes) = (content, source.as_bytes());
    for c in value.chars() {
        // A backslash before a line end joins the lines and says nothing itself.
        while bytes.get(at) == Some(&b'\\') && matches!(bytes.get(at + 1), Some(b'\n' | b'\r')) {
            at += 1;
            while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
                at += 1;
            }
        }
        origins.extend(std::iter::repeat_n(at as u32, c.len_utf8()));
        at += match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\\'), Some(b'x')) => 4 * c.len_utf8(),
            (Some(b'\\'), Some(b'u')) => bytes[at..].iter().position(|b| *b == b'}').map_or(2, |n| n + 1),
            (Some(b'\\'), _) => 2,
            _ => c.len_utf8(),
        };
    }
    origins.push(at as u32);
    origins
}

/// The byte at a line and column as ron counts them: from 1, columns in characters.
pub(super) fn offset(text: &str, line: usize, column: usize) -> usize {
    let start = match line.checked_sub(2) {
        None => 0,
        Some(nth) => text.match_indices('\n').nth(nth).map_or(text.len(), |(at, _)| at + 1),
    };
    text[start..].char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(literal: &str, part: &str) -> String {
        let source = format!("  {literal} ");
        let text = Text::read(&source, 2..2 + literal.len()).expect("a literal");
        let at = text.value.find(part).expect("the part");
        source[text.locate(at..at + part.len())].to_owned()
    }

    #[test]
    fn a_part_is_found_behind_escapes() {
        assert_eq!(located(r#""abc""#, "bc"), "bc");
        assert_eq!(located(r##"r#"a"bc"#"##, "bc"), "bc");
        assert_eq!(located(r#""a\n\"\x41\u{1F600}bc""#, "bc"), "bc");
        assert_eq!(located(r#""a\xc3\xa9bc""#, "bc"), "bc");
        assert_eq!(located("\"a\\\n   bc\"", "bc"), "bc");
        assert_eq!(located(r#""\\bc\\""#, "\\"), "\\\\");
        assert_eq!(located("\"é ü bc\"", "bc"), "bc");
    }
}
