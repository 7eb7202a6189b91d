//! Fuzzing on stable: changed workflows, generated expressions, files of inputs.
//!
//! What is found is made smaller by proptest and printed with the seed that repeats it. Without settings a fixed number of cases
//! from seed 0, so that a change is not blamed for what another seed would have found; `FUZZ_SECONDS=n` goes on for so long, and
//! `FUZZ_FIRST=n` begins at that seed (`make fuzz`).

mod corpus;
mod edits;
mod expressions;
mod judge;
mod run;
mod scene;

use run::seeds;

#[test]
fn changed_workflows_are_judged_without_a_panic_and_what_is_right_compiles() {
    let corpus = corpus::workflows();
    let seen = judge::Seen::default();
    let ran = seeds(&edits::changes(&corpus), |changes| judge::workflow(&edits::apply(&corpus, changes), &seen));
    // Else nothing of what is behind the reader was tried.
    let (right, compiled) = (seen.right.get(), seen.compiled.get());
    assert!(right * 20 > ran && compiled * 2 > right, "{right} of {ran} were right, {compiled} compiled");
}

#[test]
fn generated_expressions_are_judged_without_a_panic_and_what_is_right_has_a_value() {
    let seen = judge::Seen::default();
    let ran = seeds(&expressions::pair(), |(when, text)| judge::workflow(&expressions::workflow(when, text), &seen));
    assert!(seen.compiled.get() * 4 > ran, "{} of {ran} were right", seen.compiled.get());
}

#[test]
fn files_of_inputs_and_given_values_are_judged_without_a_panic() {
    seeds(&edits::given(), |(file, values)| {
        judge::inputs_file(file)?;
        judge::given(values)
    });
}

/// What every case of the fuzzer does must itself be known to see something.
#[test]
fn the_judge_sees_what_is_wrong() {
    let source = dsl::Source { name: "a.ron".to_owned(), text: "é".to_owned() };
    let mut found = dsl::check(&source, &corpus::AnyFile).diagnostics;
    assert!(judge::diagnostics(&source, &found).is_ok());
    for range in [0..1, 0..3, 1..2] {
        found[0].labels = vec![dsl::Label { range: range.clone(), text: String::new() }];
        assert!(judge::diagnostics(&source, &found).is_err(), "{range:?}");
    }
}
