//! `anneal test`: the whole output for workflows that forget something, for the same ones mended, and for the bundled ones.

use std::time::{Duration, Instant};

use anneal_tests::anneal::{Anneal, Ended};
use anneal_tests::binary::repository;
use anneal_tests::snapshot::{self, Normal};

/// Tries a file of `tests/trials`, or a bundled workflow.
fn tried(code: i32, name: &str, more: &[&str]) -> Ended {
    let anneal = Anneal::new();
    let name = match name.strip_suffix(".ron") {
        Some(_) => {
            let text = std::fs::read_to_string(repository(&format!("tests/trials/{name}"))).expect("a fixture");
            anneal.file(name, text);
            name
        }
        None => name,
    };
    let ended = anneal.expect(code, ["test", name].iter().chain(more));
    assert!(!anneal.data().exists(), "no store is made: nothing is run");
    ended
}

fn check(snapshot: &str, ended: &Ended) {
    snapshot::check(&format!("trial/{snapshot}"), &Normal::new().of(&ended.shown()));
}

#[test]
fn a_workflow_that_forgets_something_is_unsafe_and_mended_it_is_safe() {
    check("unsafe", &tried(1, "unsafe.ron", &[]));
    let mended = tried(0, "mended.ron", &[]);
    assert!(mended.stdout.contains(" 0 unsafe, 0 would ask"), "{}", mended.stdout);
    check("mended", &mended);
}

#[test]
fn every_feature_of_the_language_is_tried() {
    check("everything", &tried(0, "everything.ron", &[]));
    let more = ["--input", "strict=true", "--out", "look.used=95", "--hosts", "4", "--node", "warn"];
    check("everything-one-node", &tried(0, "everything.ron", &more));
}

#[test]
fn the_bundled_workflows_are_tried() {
    check("hello", &tried(0, "hello", &[]));
    let begun = Instant::now();
    check("registry-install", &tried(0, "registry-install", &[]));
    assert!(begun.elapsed() < Duration::from_secs(10), "it is quick: {:?}", begun.elapsed());
    check("registry-install-image", &tried(0, "registry-install", &["--input", "image=registry.tar"]));
}

#[test]
fn as_json_it_says_the_same() {
    let ended = tried(1, "unsafe.ron", &["--json"]);
    assert_eq!(ended.stderr, "");
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["workflow"], "forgetful");
    let nodes = report["nodes"].as_array().expect("nodes");
    let pay = nodes.iter().find(|row| row["node"] == "pay@db").expect("a node");
    assert_eq!((&pay["repeat"], &pay["verdict"]), (&"runs_twice".into(), &"unsafe".into()));
    assert!(report["findings"].as_array().is_some_and(|findings| findings.iter().any(|one| one["step"] == "announce")));
}

#[test]
fn what_cannot_be_tried_is_said_with_what_to_do() {
    let said = |more: &[&str], words: &[&str]| tried(2, "everything.ron", more).says(words);
    said(&["--node", "nothing"], &["there is no step or node `nothing`", "look"]);
    said(&["--out", "look.nothing=1"], &["steps.look.out.nothing"]);
    said(&["--out", "look.used=many"], &["whole number"]);
    said(&["--out", "look"], &["--out STEP.NAME=VALUE"]);
    said(&["--input", "port=5"], &["at least 1024"]);
    let anneal = Anneal::new();
    anneal.file("divides.ron", DIVIDES);
    anneal.expect(2, ["test", "divides.ron", "--out", "look.n=0"]).says(&[
        "does not complete",
        "division by zero",
        "--out",
    ]);
}

const DIVIDES: &str = r#"Workflow(
    name: "divides",
    roles: { "m": One },
    steps: [Step(id: "look", on: "m", do: Run(["nproc"]), out: { "n": Stdout(type: Int) })],
    outputs: { "share": "${{ 100 / steps.look.out.n }}" },
)"#;

#[test]
fn the_manual_shows_what_it_says() {
    let page = std::fs::read_to_string(repository("docs/test.md")).expect("the manual");
    let shown = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an output");
    let ended = tried(0, "hello", &[]);
    assert_eq!(shown.trim_end(), format!("$ anneal test hello\n{}", ended.stdout).trim_end());
}
