//! docs/grammar.md is what the compiler reads: files that are made out of it are read, nothing that the reader knows is missing
//! in it, and of expressions it accepts exactly what the parser accepts.

mod expressions;
mod files;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use dsl::{Source, check};

use crate::fixture::{self, TestFiles};
use crate::vocabulary::{is_word, vocabulary};
use rules::{Item, Rules};

fn page() -> String {
    std::fs::read_to_string(fixture::folder().join("../../docs/grammar.md")).expect("the grammar")
}

/// The blocks of this language, one behind the other.
fn blocks(language: &str) -> String {
    let page = page();
    let begin = format!("```{language}\n");
    let blocks = page.split(&begin).skip(1).filter_map(|block| block.split("```").next());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_field_and_word_that_is_read_is_in_the_grammar_and_nothing_else() {
    let rules = Rules::read(&blocks("grammar"));
    let (mut structs, mut words) = (BTreeMap::<String, BTreeSet<String>>::new(), BTreeSet::new());
    rules.visit(&mut |item| match item {
        Item::Word(word) | Item::Values(word, _) => drop(words.insert(word.clone())),
        Item::Fields(name, fields) => {
            if !name.is_empty() {
                words.insert(name.clone());
            }
            let of = structs.entry(name.clone()).or_default();
            of.extend(rules.fields(fields).into_iter().map(|field| field.name.clone()));
        }
        Item::Rule(_) | Item::List(_) | Item::Map(..) => {}
    });
    let known = vocabulary();
    let mut lacking = Vec::new();
    for (name, fields) in &known.structs {
        let here = structs.get(name).cloned().unwrap_or_default();
        lacking.extend(fields.difference(&here).map(|field| format!("{name}({field}: …)")));
    }
    for (name, fields) in &structs {
        // Structs without a name, and the fragments that are taken in by `..`, are told apart by nothing.
        let read: BTreeSet<String> = match name.as_str() {
            "" => known.structs.values().flatten().cloned().collect(),
            name => known.structs.get(name).cloned().unwrap_or_default(),
        };
        // Types of JSON are read by one shape for all.
        let extra = fields.difference(&read).filter(|field| *field != "optional");
        lacking.extend(extra.map(|field| format!("{name}({field}: …), which the reader does not know")));
    }
    lacking.extend(known.words.difference(&words).cloned());
    let unread = words.difference(&known.words).filter(|word| is_word(word) && !known.structs.contains_key(*word));
    // `None` is RON's; `Workflow`, `Step` and `Group` are structs; `Secret` is asked for by name.
    lacking.extend(
        unread.filter(|word| !["None", "Secret"].contains(&word.as_str())).map(|word| format!("{word}, unread")),
    );
    assert!(lacking.is_empty(), "docs/grammar.md and the reader differ in: {lacking:#?}");
    assert_eq!(rules.undefined(), BTreeSet::new(), "rules that are neither defined nor single values");
}

/// What is wrong with the form of a file, and not with what it means.
const OF_FORM: [&str; 10] = ["A0102", "A0103", "A0104", "A0105", "A0106", "A0108", "A0109", "A0110", "A0115", "A0201"];

#[test]
fn files_that_are_made_out_of_the_grammar_are_read() {
    let rules = Rules::read(&blocks("grammar"));
    let mut made = files::Files::new(&rules);
    for seed in 0..1_500 {
        let text = made.workflow(seed);
        let source = Source { name: "made.ron".to_owned(), text };
        let checked = check(&source, &TestFiles);
        let wrong: Vec<String> = checked
            .diagnostics
            .iter()
            .filter(|d| OF_FORM.contains(&d.code.id()))
            .map(|d| d.render(&source, false))
            .collect();
        assert!(wrong.is_empty(), "seed {seed}: {}\n{}", wrong.join("\n"), source.text);
    }
    let unused = made.unused();
    assert!(unused.is_empty(), "these were never made, so nothing is known of them: {unused:#?}");
}

#[test]
fn the_grammar_of_expressions_accepts_what_the_parser_accepts() {
    let grammar = expressions::Grammar::read(&blocks("ebnf"));
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..12_000 {
        let tokens = grammar.tokens(&mut fastrand::Rng::with_seed(seed));
        let text = tokens.join(" ").replace('\\', "\\\\");
        let workflow = format!(
            r#"Workflow(name: "a", roles: {{ "vm": One }}, steps: [Step(id: "a", on: "vm", when: "{text}", do: Run(["true"]))])"#
        );
        let checked = check(&Source { name: "a.ron".to_owned(), text: workflow }, &TestFiles);
        let parser = !checked.diagnostics.iter().any(|d| ["A0201", "A0103", "A0117"].contains(&d.code.id()));
        let here = grammar.accepts(&tokens);
        assert_eq!(here, parser, "seed {seed}: the grammar says {here}, the parser {parser}: {text}");
        if here {
            accepted += 1;
        } else {
            refused += 1;
        }
    }
    assert!(accepted > 3_000 && refused > 3_000, "{accepted} accepted, {refused} refused");
}
