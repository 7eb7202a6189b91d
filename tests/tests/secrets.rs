//! Secrets that the store keeps: `anneal secret`, and `Sealed("name")` wherever a secret is referred to.

use std::process::Command;

use anneal_tests::anneal::{Anneal, Ended, files_below, piped};
use anneal_tests::canary::{Canary, absent};
use anneal_tests::until::SOON;

const READY: &str = "every unfinished operation goes on that can";

/// Says how long the secrets are that reach it, and nothing else of them.
const WORKFLOW: &str = r#"Workflow(
    name: "lengths",
    inputs: { "word": Text(secret: true), "more": Text(secret: true) },
    roles: { "m": One },
    steps: [
        Step(
            id: "measure", on: "m", do: Shell("printf '%s %s' \"${#WORD}\" \"$(wc -c)\""),
            env: { "WORD": "${{ inputs.word }}" }, stdin: "${{ inputs.more }}", out: { "lengths": Stdout(type: Text) },
        ),
    ],
    outputs: { "lengths": "${{ steps.measure.out.lengths }}" },
)"#;

/// An operator with the workflow and an inventory.
fn operator(word: &str) -> Anneal {
    let anneal = Anneal::new().with_env("ANNEAL_LOG", "trace");
    anneal.file("lengths.ron", WORKFLOW);
    anneal.file("inv.ron", format!(r#"Inventory(hosts: {{ "m": Local }}, inputs: {{ "word": {word} }})"#));
    anneal.file("more.ron", r#"{ "more": From(Sealed("more")) }"#);
    anneal
}

fn set(anneal: &Anneal, name: &str, value: &str) {
    let mut command: Command = anneal.command(["secret", "set", name, "--from-file", "-"]);
    piped(&mut command, format!("{value}\n").as_bytes());
}

fn run(anneal: &Anneal, code: i32) -> Ended {
    anneal.expect(code, ["run", "lengths.ron", "--inventory", "inv.ron", "--inputs", "more.ron"])
}

#[test]
fn a_sealed_secret_reaches_the_host_whether_or_not_another_process_holds_the_store() {
    let (word, more) = (Canary::new("the word"), Canary::new("more"));
    let canaries = [word.clone(), more.clone()];
    let lengths = format!("{} {}", word.value.len(), more.value.len());
    for served in [false, true] {
        let anneal = operator(r#"Sealed("word")"#);
        let serving = served.then(|| {
            let serving = anneal.start(["serve"]);
            serving.talk(READY, SOON);
            serving
        });
        set(&anneal, "word", &word.value);
        set(&anneal, "more", "another, which is replaced");
        set(&anneal, "more", &more.value);
        let ended = run(&anneal, 0);
        ended.says(&[&lengths]);
        absent(&canaries, "the output of run", ended.all().as_bytes());
        let planned = anneal.run(["plan", "lengths.ron", "--inventory", "inv.ron", "--inputs", "more.ron"]);
        assert_eq!(planned.code, 4, "{}", planned.all());
        absent(&canaries, "the output of plan", planned.all().as_bytes());
        for json in [&[][..], &["--json"]] {
            let listed = anneal.expect(0, ["secret", "list"].iter().chain(json));
            listed.says(&["more", "word", "usual"]);
            absent(&canaries, "the list of secrets", listed.all().as_bytes());
            let exported = anneal.expect(0, ["store", "export"].iter().chain(json));
            absent(&canaries, "the exported store", exported.all().as_bytes());
        }
        if let Some(serving) = serving {
            serving.terminate();
            let ended = serving.wait(SOON);
            absent(&canaries, "the log of serve", ended.all().as_bytes());
        }
        for (path, bytes) in files_below(anneal.data()) {
            absent(&canaries, &path.display().to_string(), &bytes);
        }
    }
}

#[test]
fn a_secret_that_is_renamed_or_removed_is_not_found_and_said_to_be_missing() {
    let anneal = operator(r#"Sealed("word")"#);
    run(&anneal, 2).says(&["input `word`", "no secret `word` is sealed", "anneal secret set word"]);
    set(&anneal, "word", "the-first-secret");
    set(&anneal, "more", "the-second-secret");
    run(&anneal, 0).says(&["16 17"]);
    anneal.expect(0, ["secret", "rename", "word", "old.word"]);
    run(&anneal, 2).says(&["no secret `word` is sealed"]);
    anneal.expect(1, ["secret", "rename", "old.word", "more"]).says(&["there is a secret `more` already"]);
    anneal.expect(0, ["secret", "remove", "old.word"]);
    anneal.expect(2, ["secret", "remove", "old.word"]).says(&["there is no secret `old.word`"]);
    anneal.expect(0, ["secret", "list"]).says(&["more"]);
    anneal.expect(2, ["secret", "set", "Bad Name", "--from-file", "inv.ron"]).says(&["no name of a secret"]);
    anneal.expect(2, ["secret", "set", "none", "--from-file", "nothing"]).says(&["nothing"]);
    anneal.expect(2, ["secret", "set", "asked"]).says(&["no terminal"]);
}

#[test]
fn a_backup_has_the_secrets_and_an_export_has_not() {
    let anneal = operator(r#"Sealed("word")"#);
    set(&anneal, "word", "the-first-secret");
    set(&anneal, "more", "the-second-secret");
    let to = |name: &str| anneal.folder().join(name).display().to_string();
    let (backup, file) = (to("backup"), to("export.jsonl"));
    anneal.expect(0, ["store", "backup", &backup]);
    anneal.expect(0, ["store", "export", "--output", &file]);
    anneal.expect(0, ["store", "restore", &backup, "--data-dir", &to("restored")]);
    anneal.expect(0, ["store", "import", &file, "--data-dir", &to("imported")]);
    anneal.expect(0, ["secret", "list", "--data-dir", &to("restored")]).says(&["more", "word"]);
    anneal.expect(0, ["secret", "list", "--data-dir", &to("imported")]).says(&["no secrets yet"]);
}

#[test]
fn a_host_may_have_a_sealed_password() {
    let anneal = Anneal::new();
    let password = Canary::new("a password");
    anneal.file(
        "inv.ron",
        r#"Inventory(hosts: { "m": Ssh(address: "127.0.0.1", port: 1, user: "u", password: Sealed("m.password")) })"#,
    );
    let exec = ["exec", "m", "--inventory", "inv.ron", "--timeout", "1s", "--", "true"];
    anneal.expect(2, exec).says(&["password of host `m`", "no secret `m.password` is sealed"]);
    set(&anneal, "m.password", &password.value);
    // Nobody listens there: it goes as far as that.
    let ended = anneal.expect(1, exec);
    assert!(!ended.all().contains("is sealed"), "{}", ended.all());
    absent(&[password], "the output", ended.all().as_bytes());
}
