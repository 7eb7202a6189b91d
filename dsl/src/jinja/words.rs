//! The words of a template's tags, with where they stand: to point at the one that is wrong. Which of them are names from
//! outside is the template engine's knowledge; this only knows where to look.

use std::ops::Range;

/// As what a word is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// A variable or a function; or a word of the language.
    Name,
    /// Behind `|`.
    Filter,
    /// Behind `is` or `is not`.
    Test,
}

/// The words in `{{ … }}` and `{% … %}`, without those in texts, behind a dot and in comments.
pub(super) fn words(text: &str) -> Vec<(Range<usize>, Use)> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('{') {
        let start = at + found;
        let close = match text.as_bytes().get(start + 1) {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            Some(b'#') => {
                at = text[start..].find("#}").map_or(text.len(), |end| start + end + 2);
                continue;
            }
            _ => {
                at = start + 1;
                continue;
            }
        };
        let before = all.len();
        at = tag(text, start + 2, close, &mut all);
        // What stands between `raw` and `endraw` is text.
        if all.get(before).is_some_and(|(range, _)| &text[range.clone()] == "raw") {
            at = text[at..].find("endraw").map_or(text.len(), |end| at + end);
        }
    }
    all
}

/// Reads a tag up to its end; gives what is behind it.
fn tag(text: &str, start: usize, close: &str, all: &mut Vec<(Range<usize>, Use)>) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut usage, mut skip) = (start, Use::Name, false);
    while at < bytes.len() {
        if text[at..].starts_with(close) {
            return at + close.len();
        }
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at = text.floor_char_boundary(at.min(text.len())) + 1;
                (usage, skip) = (Use::Name, false);
            }
            b if b.is_ascii_alphabetic() || b == b'_' => {
                let end = at + bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                let word = &text[at..end];
                if usage == Use::Test && word == "not" {
                    at = end;
                    continue;
                }
                if !skip {
                    all.push((at..end, usage));
                }
                (usage, skip) = (if word == "is" && !skip { Use::Test } else { Use::Name }, false);
                at = end;
            }
            b => {
                if !b.is_ascii_whitespace() {
                    (usage, skip) = (if b == b'|' { Use::Filter } else { Use::Name }, b == b'.');
                }
                at += text[at..].chars().next().map_or(1, char::len_utf8);
            }
        }
        at = at.min(text.len());
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_with_what_they_are_for() {
        let text = "x {{ a.b | c('d') }}{# e #}{% if f is not g %}{% raw %}{{ h }}{% endraw %}{{ \"i\" ~ j }} {k";
        let found: Vec<(&str, Use)> = words(text).into_iter().map(|(range, usage)| (&text[range], usage)).collect();
        let names = ["a", "if", "f", "is", "raw", "j"];
        assert_eq!(
            found.iter().filter(|(_, usage)| *usage == Use::Name).map(|(word, _)| *word).collect::<Vec<_>>(),
            names
        );
        assert!(found.contains(&("c", Use::Filter)) && found.contains(&("g", Use::Test)), "{found:?}");
    }

    #[test]
    fn nothing_in_a_template_breaks_it() {
        for text in ["{{ 'é", "{{ é", "{{ \"\\", "{%", "{", "{{ a.", "{# é", "{{ 'é' }}é", "{% raw", "{% raw %}é"]
        {
            words(text);
        }
    }
}
