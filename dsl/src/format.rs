//! The text of `format`: what stands around its places `{}`. `{{` and `}}` are literal brackets.

/// The texts before, between and behind the places, so one more than there are places; `None` where a bracket is neither a
/// place nor doubled.
pub(crate) fn around_places(text: &str) -> Option<Vec<String>> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('{', Some('}')) => parts.push(std::mem::take(&mut part)),
            ('{', Some('{')) | ('}', Some('}')) => part.push(c),
            ('{' | '}', _) => return None,
            _ => {
                part.push(c);
                continue;
            }
        }
        chars.next();
    }
    parts.push(part);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_doubled_brackets_are_told_apart() {
        let parts = |text: &str| around_places(text).map(|parts| parts.join("|"));
        assert_eq!(parts("{} of {}").as_deref(), Some("| of |"));
        assert_eq!(parts("a {{{}}} b").as_deref(), Some("a {|} b"));
        assert_eq!(parts("").as_deref(), Some(""));
        for wrong in ["{", "}", "{0}", "{ }", "a}b", "{}}"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }
}
