//! Whatever the language has is shown by an example of the manual that a test checks and compiles.

use std::collections::BTreeSet;

use crate::fixture;
use crate::vocabulary::{Vocabulary, vocabulary};

/// What several types of inputs have and mean the same by: one example will do.
const OF_TYPES: [&str; 7] = ["about", "default", "max", "min", "optional", "pattern", "secret"];

/// What no example of the manual shows, and why.
const NOT_SHOWN: &[(&str, &str)] = &[];

/// The examples of a page of the docs that are whole workflows.
pub fn examples(page: &str) -> Vec<String> {
    let path = fixture::folder().join("../../docs").join(page);
    let text = std::fs::read_to_string(path).expect("a page");
    let blocks = text.split("```ron\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.filter(|block| block.starts_with("Workflow(")).map(str::to_owned).collect()
}

#[test]
fn every_field_word_and_function_is_shown_by_an_example_of_the_manual() {
    let Vocabulary { structs, words, functions } = vocabulary();
    let mut shown = BTreeSet::new();
    examples("workflows.md").iter().for_each(|text| shows(text, &mut shown));
    let fields = structs.iter().flat_map(|(name, fields)| fields.iter().map(move |field| field_of(name, field)));
    let all: BTreeSet<String> = fields.chain(words).chain(functions.iter().map(|name| format!("{name}()"))).collect();
    let allowed: BTreeSet<&str> = NOT_SHOWN.iter().map(|(what, _)| *what).collect();
    let lacking: Vec<&String> = all.difference(&shown).filter(|what| !allowed.contains(what.as_str())).collect();
    assert!(lacking.is_empty(), "no example of docs/workflows.md that is a whole workflow shows {lacking:#?}");
    let needless: Vec<_> = allowed.iter().filter(|what| shown.contains(**what) || !all.contains(**what)).collect();
    assert!(needless.is_empty(), "these are shown, or are not there: {needless:?}");
}

/// A field with the struct that it stands in.
fn field_of(place: &str, field: &str) -> String {
    let types =
        ["Text", "Int", "Float", "Bool", "Port", "Duration", "Bytes", "Url", "Address", "Image", "File", "SecretFile"];
    let types = types.into_iter().chain(["Choice", "List", "Map", "Record", "Login"]).collect::<Vec<_>>();
    match types.contains(&place) && OF_TYPES.contains(&field) {
        true => format!("a type({field}:)"),
        false => format!("{place}({field}:)"),
    }
}

/// Fields with the struct that they stand in, words, and in texts the calls of functions.
fn shows(text: &str, shown: &mut BTreeSet<String>) {
    let (mut at, mut inside, mut word) = (0, Vec::<String>::new(), String::new());
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        at += c.len_utf8();
        match c {
            '/' if rest.starts_with("//") => at += rest.find('\n').unwrap_or(rest.len()) - 1,
            '"' => {
                let end = rest.char_indices().skip(1).scan(false, |escaped, (i, c)| {
                    let ends = c == '"' && !*escaped;
                    *escaped = c == '\\' && !*escaped;
                    Some((i, ends))
                });
                let end = end.filter(|(_, ends)| *ends).map(|(i, _)| i).next().unwrap_or(rest.len() - 1);
                at += end;
                calls(&rest[1..end], shown);
            }
            c if c == '_' || c.is_ascii_alphanumeric() => {
                word.push(c);
                continue;
            }
            ':' => {
                let place = inside.last().cloned().unwrap_or_default();
                shown.insert(field_of(&place, &word));
            }
            '(' | '[' | '{' => inside.push(if c == '(' { word.clone() } else { String::new() }),
            ')' | ']' | '}' => drop(inside.pop()),
            _ => {}
        }
        if word.starts_with(|c: char| c.is_ascii_uppercase()) {
            shown.insert(word.clone());
        }
        word.clear();
    }
}

fn calls(text: &str, shown: &mut BTreeSet<String>) {
    for (at, _) in text.match_indices('(') {
        let name = text[..at].rsplit(|c: char| c != '_' && !c.is_ascii_alphanumeric()).next().unwrap_or("");
        shown.insert(format!("{name}()"));
    }
}

#[test]
fn what_an_example_shows_is_seen_with_its_place() {
    let mut shown = BTreeSet::new();
    shows(
        r#"Step(id: "a \" len(", retry: (times: 3), do: Run(["x: 1"]), // Gate(
        out: { "n": Stdout(type: Int) }, when: "max(x) > 1")"#,
        &mut shown,
    );
    let wanted =
        ["Step(id:)", "(times:)", "Step(do:)", "Run", "Stdout(type:)", "Int", "max()", "len()", "Step", "Stdout"];
    assert!(wanted.iter().all(|what| shown.contains(*what)), "{shown:?}");
    assert!(!shown.contains("Gate") && !shown.contains("Step(x:)") && !shown.contains("Step(times:)"), "{shown:?}");
}
