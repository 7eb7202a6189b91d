//! Words in columns of a terminal.

/// A text on lines of so many characters at most; all but the first begin with so many spaces. A longer word has a line of
/// its own.
pub fn wrap(text: &str, indent: usize, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().map_or("", |line| line.as_str());
        let empty = line.trim_start().is_empty();
        if !empty && line.chars().count() + 1 + word.chars().count() > columns {
            lines.push(" ".repeat(indent));
        }
        if let Some(line) = lines.last_mut() {
            if !line.trim_start().is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Rows of a name and words, the words below each other, in 80 columns.
pub fn table(rows: &[(String, String)]) -> Vec<String> {
    const COLUMNS: usize = 80;
    const NAMES: usize = 36;
    let width = rows.iter().map(|(name, _)| name.chars().count()).filter(|n| *n <= NAMES).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (name, words) in rows {
        let behind = width + 4;
        let too_long = name.chars().count() > width;
        let first = match too_long {
            true => format!("  {name}"),
            false => format!("  {name:<width$}  "),
        };
        let words = wrap(words, 0, COLUMNS - behind);
        let mut words = words.iter();
        match too_long {
            true => lines.push(first),
            false => lines.push(format!("{first}{}", words.next().map_or("", String::as_str)).trim_end().to_owned()),
        }
        lines.extend(words.filter(|line| !line.is_empty()).map(|line| format!("{:behind$}{line}", "")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_broken_between_lines() {
        assert_eq!(wrap("one two three", 2, 8), ["one two", "  three"]);
        assert_eq!(wrap("a-very-long-word x", 0, 4), ["a-very-long-word", "x"]);
        assert_eq!(wrap("", 2, 8), [""]);
    }

    #[test]
    fn a_name_that_is_too_long_has_a_line_of_its_own() {
        let rows = [("a".to_owned(), "first".to_owned()), ("b".repeat(40), "second".to_owned())];
        assert_eq!(table(&rows), ["  a  first".to_owned(), format!("  {}", "b".repeat(40)), "     second".to_owned()]);
    }
}
