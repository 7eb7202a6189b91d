//! Looking after the store: while a process holds it and while none does.

use anneal_tests::bench::Bench;
use anneal_tests::until::{SOON, until};
use serde_json::Value;

/// A store with two operations: one that completed, and one that stopped.
fn stored() -> Bench {
    let bench = Bench::new();
    bench.touch("go");
    bench.anneal.expect(0, bench.run("verbs"));
    std::fs::remove_file(bench.folder().join("go")).expect("a file to remove");
    bench.failed();
    bench
}

fn path(bench: &Bench, name: &str) -> String {
    bench.anneal.folder().join(name).to_string_lossy().into_owned()
}

#[test]
fn a_sound_store_is_verified_compacted_and_backed_up_with_and_without_a_holder() {
    let bench = stored();
    for held in [false, true] {
        let serving = held.then(|| bench.anneal.start(["serve"]));
        if let Some(serving) = &serving {
            serving.talk("every unfinished operation", SOON);
        }
        bench.anneal.expect(0, ["store", "verify"]).says(&["all is as it was written", "commits"]);
        assert_eq!(bench.anneal.json(["store", "verify", "--json"])["problems"], serde_json::json!([]));
        bench.anneal.expect(0, ["store", "compact"]).says(&["→", "keys"]);
        let backup = path(&bench, if held { "held" } else { "free" });
        bench.anneal.expect(0, ["store", "backup", &backup]).says(&[&backup, "as safe as the store"]);
        bench.anneal.expect(0, ["store", "verify", &backup]).says(&["all is as it was written"]);
        // What is there is not written over.
        bench.anneal.expect(1, ["store", "backup", &backup]);
        let file = path(&bench, "store.jsonl");
        bench.anneal.expect(0, ["store", "export", "-o", &file]).says(&["the secrets and their key are not in it"]);
        let printed = bench.anneal.expect(0, ["store", "export"]).stdout;
        assert!(printed.lines().last().expect("lines").starts_with("{\"end\":"), "{printed}");
        if let Some(serving) = serving {
            let into = bench.anneal.command(["store", "restore", &backup]).output().expect("the binary starts");
            assert!(!into.status.success(), "a store that is there was restored over");
            serving.terminate();
            serving.wait(SOON).must_be(0);
        }
    }
    assert_eq!(bench.anneal.operations().len(), 2);
}

#[test]
fn a_backup_and_an_export_become_stores_again_which_are_held() {
    let bench = stored();
    let wanted = bench.anneal.json(["ops", "--json"]);
    let (backup, file) = (path(&bench, "backup"), path(&bench, "store.jsonl"));
    bench.anneal.expect(0, ["store", "backup", &backup]);
    bench.anneal.expect(0, ["store", "export", "-o", &file]);
    for (verb, from) in [("restore", &backup), ("import", &file)] {
        let to = path(&bench, verb);
        let made = bench.anneal.expect(0, ["store", verb, from, "--data-dir", &to]);
        made.says(&["it is held", "anneal store release"]);
        assert_eq!(bench.anneal.json(["ops", "--json", "--data-dir", &to]), wanted);
        bench.anneal.expect(0, ["store", "verify", "--data-dir", &to]);
        let at_to = |code: i32, args: &[&str]| bench.anneal.expect(code, [args, &["--data-dir", &to]].concat());
        let id = bench.id();
        for args in [&["resume", &id][..], &["skip", &id, "wait", "--reason", "r"], &["resume", "--all"]] {
            at_to(1, args).says(&["the store was restored from a backup of", "anneal store release"]);
        }
        let run = bench.run("gate");
        at_to(1, &run.iter().map(String::as_str).collect::<Vec<_>>()).says(&["is held", "anneal store release"]);
        assert_eq!(bench.anneal.json(["ops", "--json", "--data-dir", &to]), wanted, "a held store was changed");
        let looked = at_to(0, &["store", "release", "--dry-run"]);
        looked.says(&["BEGUN SINCE THE BACKUP", &id[28..], "nothing was changed"]);
        at_to(0, &["store", "release"]).says(&["is released", "anneal resume --all"]);
        at_to(0, &["store", "release"]).says(&["is not held"]);
        at_to(0, &["skip", &id, "wait", "--reason", "r"]);
        // Where a store is, none is made.
        bench.anneal.expect(1, ["store", verb, from, "--data-dir", &to]);
    }
    bench.anneal.expect(1, ["store", "restore", &path(&bench, "nothing"), "--data-dir", &path(&bench, "x")]);
    bench.anneal.expect(2, ["store", "import", &path(&bench, "nothing"), "--data-dir", &path(&bench, "x")]);
}

#[test]
fn what_went_on_after_the_backup_is_taken_in_and_not_done_again() {
    let bench = stored();
    let (id, before) = (bench.id(), bench.log());
    let backup = path(&bench, "backup");
    bench.anneal.expect(0, ["store", "backup", &backup]);
    let going = bench.anneal.start(["resume", &id]);
    until("the second attempt", SOON, || (bench.log().len() > before.len()).then_some(()));
    going.kill();
    let to = path(&bench, "to");
    bench.anneal.expect(0, ["store", "restore", &backup, "--data-dir", &to]);
    let at_to = |code: i32, args: &[&str]| bench.anneal.expect(code, [args, &["--data-dir", &to]].concat());
    at_to(0, &["store", "release"]).says(&["wait@machine attempt 2", "is released"]);
    bench.touch("go");
    at_to(0, &["resume", "--all"]);
    let log = bench.log();
    assert_eq!(log.iter().filter(|word| *word == "wait").count(), before.iter().filter(|w| *w == "wait").count() + 1);
    at_to(0, &["ops", "prune", "--keep", "1", "--dry-run"]).says(&["1 operation would be forgotten"]);
    at_to(0, &["ops", "prune", "--keep", "1"]).says(&["1 operation forgotten"]);
    assert_eq!(bench.anneal.json(["ops", "--json", "--data-dir", &to]).as_array().map(Vec::len), Some(1));
    at_to(0, &["show", &id]);
    at_to(0, &["ops", "prune", "--older-than", "30d"]).says(&["0 operations forgotten"]);
    at_to(2, &["ops", "prune"]);
    at_to(2, &["ops", "prune", &id]);
    at_to(1, &["ops", "prune", &id, "--quarantined"]).says(&["is not quarantined"]);
    at_to(0, &["store", "verify"]);
}

#[test]
fn damage_is_named_with_what_to_do_and_the_exit_code_says_so() {
    let bench = stored();
    let blob = bench.anneal.data_files().into_iter().find(|(path, _)| path.to_string_lossy().contains("/blobs/"));
    let (blob, mut bytes) = blob.expect("a blob");
    bytes[0] ^= 1;
    std::fs::write(&blob, bytes).expect("a damaged blob");
    let name = blob.file_name().expect("a name").to_string_lossy().into_owned();
    bench.anneal.expect(1, ["store", "verify"]).says(&["✗ ", &name, "help: ", "the rest is"]);
    let ended = bench.anneal.expect(1, ["store", "verify", "--json"]);
    let found: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(found["problems"].as_array().map(Vec::len), Some(1), "{found}");
}
