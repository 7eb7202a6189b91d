//! Patterns of ssh_config(5): `*` is any text, `?` any character; a list of them is separated by commas, and `!` before one rules
//! out what it matches.

pub use engine::host::matches_pattern as matches;

/// Whether a list matches. What it rules out outweighs all else.
pub fn list_matches(list: &str, text: &str) -> bool {
    let mut matched = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if matches(not, text) => return false,
            Some(_) => {}
            None => matched |= matches(pattern, text),
        }
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match() {
        for (pattern, text) in
            [("*", ""), ("*", "a"), ("a*", "abc"), ("*b*c", "abxbc"), ("a?c", "abc"), ("**", "x"), ("a", "a")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("?", ""), ("a*b", "abc"), ("A", "a"), ("a?", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_list_rules_out() {
        for (list, text, expected) in
            [("a,b", "b", true), ("*,!b", "b", false), ("!b,*", "b", false), ("!b", "a", false), ("*,!b", "a", true)]
        {
            assert_eq!(list_matches(list, text), expected, "{list} {text}");
        }
    }
}
