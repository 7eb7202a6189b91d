//! One slip is one error: what cannot be read is unknown, and nothing false is said of what depends on it.

use dsl::Source;

use crate::fixture;

/// What depends on another place than its own: a false one of these sends people to a line that is right.
const OF_OTHERS: [&str; 7] = ["A0107", "A0113", "A0114", "A0125", "A0202", "A0203", "A0204"];

fn codes(text: String) -> Vec<&'static str> {
    let outcome = fixture::run_source(Source { name: "slip.ron".to_owned(), text }, None);
    outcome.diagnostics.iter().map(|diagnostic| diagnostic.code.id()).collect()
}

/// Each piece of punctuation of valid workflows taken away, and doubled, one at a time.
#[test]
fn a_slip_of_syntax_has_no_false_followers() {
    let mut wrong = Vec::new();
    let mut slips = 0;
    for path in fixture::all(&fixture::folder().join("plans")) {
        let text = std::fs::read_to_string(&path).expect("the fixture");
        let begin = text.find("steps:").expect("steps");
        for (at, _) in text.char_indices().filter(|(at, c)| *at > begin && "()[]{},:".contains(*c)) {
            let without = format!("{}{}", &text[..at], &text[at + 1..]);
            let twice = format!("{}{}", &text[..=at], &text[at..]);
            for slip in [without, twice] {
                let found = codes(slip);
                slips += 1;
                let false_ones: Vec<_> = found.iter().filter(|code| OF_OTHERS.contains(code)).collect();
                if found.contains(&"A0102") && !false_ones.is_empty() {
                    let line = text[..at].matches('\n').count() + 1;
                    let column = at - text[..at].rfind('\n').unwrap_or(0);
                    wrong.push(format!("{}:{line}:{column}: {found:?}", path.display()));
                }
            }
        }
    }
    assert!(slips > 500, "{slips}");
    assert!(wrong.is_empty(), "{} of {slips}:\n{}", wrong.len(), wrong.join("\n"));
}
