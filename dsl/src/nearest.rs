//! The nearest name: what somebody probably meant who wrote another.

/// Names longer than this are not compared; no name of the language is.
const COMPARED_CHARS: usize = 80;

/// The candidate that is nearest to `wrong`, where one is near enough to be what was meant.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong: Vec<char> = wrong.chars().take(COMPARED_CHARS + 1).collect();
    if wrong.is_empty() || wrong.len() > COMPARED_CHARS {
        return None;
    }
    let near_enough = (wrong.len() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let letters: Vec<char> = candidate.chars().take(COMPARED_CHARS + 1).collect();
            if letters.len().abs_diff(wrong.len()) > near_enough {
                return None;
            }
            let far = distance(&wrong, &letters);
            (far <= near_enough && far < letters.len()).then_some((far, candidate))
        })
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Edits – insert, delete, replace, swap neighbours – that make `b` of `a`, letter case aside.
fn distance(a: &[char], b: &[char]) -> usize {
    let same = |x: char, y: char| x == y || x.to_lowercase().eq(y.to_lowercase());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(!same(x, y))).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && same(x, b[j - 1]) && same(a[i - 1], y) {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let steps = ["run", "serving", "load_image"];
        assert_eq!(nearest("runn", steps), Some("run"));
        assert_eq!(nearest("srving", steps), Some("serving"));
        assert_eq!(nearest("laod_image", steps), Some("load_image"));
        assert_eq!(nearest("Run", steps), Some("run"));
        assert_eq!(nearest("x", steps), None);
        assert_eq!(nearest("", steps), None);
        assert_eq!(nearest("finish", steps), None);
        assert_eq!(nearest("a", ["b"]), None, "nothing is left of the name");
    }
}
