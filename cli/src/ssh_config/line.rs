//! A line of `ssh_config`: a keyword and its arguments.

/// Bytes of the longest line.
const LINE_BYTES: usize = 64 * 1024;
/// What separates words.
const SPACE: [char; 5] = [' ', '\t', '\r', '\n', '\x0c'];

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// Its keyword, in small letters.
    pub keyword: String,
    /// All that stands behind the keyword, as it is.
    pub rest: String,
    /// The same as words.
    pub args: Vec<String>,
}

/// The lines of a file. The error says which line is wrong, and why.
pub fn lines(text: &str) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for (index, text) in text.split('\n').enumerate() {
        let number = index + 1;
        if text.len() > LINE_BYTES {
            return Err(format!("line {number} has {} bytes; {LINE_BYTES} are the most", text.len()));
        }
        let mut rest = text.trim_end_matches(SPACE).trim_start_matches(SPACE);
        let keyword = match delimited(&mut rest) {
            Some(keyword) if keyword.is_empty() || keyword.starts_with('#') => continue,
            Some(keyword) => keyword.to_lowercase(),
            None => return Err(format!("line {number}: a quote is not closed")),
        };
        let args = words(rest).ok_or_else(|| format!("line {number}: a quote is not closed"))?;
        lines.push(Line { number, keyword, rest: rest.to_owned(), args });
    }
    Ok(lines)
}

/// Takes a word off the beginning, and the white space and at most one `=` behind it. Nothing where a quote is not closed.
pub fn delimited(rest: &mut &str) -> Option<String> {
    let Some(end) = rest.find(|c| SPACE.contains(&c) || c == '"' || c == '=') else {
        return Some(std::mem::take(rest).to_owned());
    };
    if rest[end..].starts_with('"') {
        // What stands before the quote is part of the word.
        let (before, quoted) = (&rest[..end], &rest[end + 1..]);
        let close = quoted.find('"')?;
        let word = format!("{before}{}", &quoted[..close]);
        *rest = quoted[close + 1..].trim_start_matches(SPACE);
        return Some(word);
    }
    let (word, behind) = rest.split_at(end);
    let equals = behind.starts_with('=');
    let mut behind = behind[1..].trim_start_matches(SPACE);
    if !equals && behind.starts_with('=') {
        behind = behind[1..].trim_start_matches(SPACE);
    }
    *rest = behind;
    Some(word.to_owned())
}

/// Words with quotes of both kinds and `\` before a quote, a `\` or a space; `#` at the beginning of a word ends the line. Nothing
/// where a quote is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        match chars.peek() {
            None | Some('#') => return Some(words),
            Some(_) => {}
        }
        let (mut word, mut quote) = (String::new(), None);
        while let Some(c) = chars.next() {
            match (c, quote) {
                ('\\', _) => {
                    let escapes = |next: &char| matches!(next, '\'' | '"' | '\\') || (quote.is_none() && *next == ' ');
                    word.push(chars.next_if(escapes).unwrap_or('\\'));
                }
                (' ' | '\t', None) => break,
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, _) => word.push(c),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match lines(text) {
            Ok(lines) => {
                lines.iter().map(|line| format!("{} {:?}", line.keyword, line.args)).collect::<Vec<_>>().join("; ")
            }
            Err(why) => why,
        }
    }

    #[test]
    fn keywords_quotes_and_comments_are_as_in_openssh() {
        let cases = [
            ("Host a b", r#"host ["a", "b"]"#),
            ("  \tPort\t22  \r", r#"port ["22"]"#),
            ("Port=22", r#"port ["22"]"#),
            ("Port = 22", r#"port ["22"]"#),
            ("Port ==22", r#"port ["=22"]"#),
            ("IdentityFile \"a b\" # c", r#"identityfile ["a b"]"#),
            ("IdentityFile 'a \"b' c\\ d \\x", r#"identityfile ["a \"b", "c d", "\\x"]"#),
            ("\"Port\" 22", r#"port ["22"]"#),
            ("User a#b #c", r#"user ["a#b"]"#),
            ("# all of it\n\n \nUser x", r#"user ["x"]"#),
            ("Port", "port []"),
            ("User \"\"", r#"user [""]"#),
            ("ok 1\nUser \"a", "line 2: a quote is not closed"),
            ("\"User", "line 1: a quote is not closed"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
