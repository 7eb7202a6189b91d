//! A line split into words as a POSIX shell splits it, without any expansion: how Ansible reads host lines and arguments of ssh.

/// The words, or why there are none. With `comments` a `#` ends the line, even in the middle of a word.
pub fn split(line: &str, comments: bool) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if comments => break,
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("a quotation mark is not closed")? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("a quotation mark is not closed")? {
                        '"' => break,
                        '\\' => match chars.next().ok_or("a quotation mark is not closed")? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next().ok_or("it ends with a backslash")?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_as_a_shell_does() {
        let of = |line: &str| split(line, true).map(|words| words.join("|"));
        assert_eq!(of("a b\tc").unwrap(), "a|b|c");
        assert_eq!(of(r#"a x="b c" 'd e'f"#).unwrap(), "a|x=b c|d ef");
        assert_eq!(of(r#"x='say "hi"' y="it's" z="a\"b\\c\d" \#no"#).unwrap(), r#"x=say "hi"|y=it's|z=a"b\c\d|#no"#);
        assert_eq!(of("a # b c").unwrap(), "a");
        assert_eq!(of("a x=1#b c").unwrap(), "a|x=1");
        assert_eq!(of("a x='1 # 2' ''").unwrap(), "a|x=1 # 2|");
        assert_eq!(of("").unwrap(), "");
        assert_eq!(split("a #b", false).unwrap(), ["a", "#b"]);
        for wrong in ["'a", "\"a", "a\\", "\"a\\"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
