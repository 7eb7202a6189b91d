//! `anneal replay` and `anneal export`: a run shown again, here and elsewhere, and nothing secret in what is handed on.

use std::io::Write;
use std::process::Stdio;

use anneal_tests::anneal::Anneal;
use anneal_tests::bench::Bench;
use anneal_tests::canary::{Canary, absent};
use anneal_tests::journal::entries_of;

/// The lines of a watched run or of a replay, without their times.
fn lines(stderr: &str) -> Vec<String> {
    let marks = ["•", "✓", "✗", "-", "?", "has"];
    let words = stderr.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let told = words.filter_map(|words| {
        let at = words.iter().position(|word| marks.contains(word)).filter(|at| *at <= 3)?;
        Some(words[at..].join(" "))
    });
    told.collect()
}

#[test]
fn a_replay_shows_the_lines_of_the_run_and_changes_nothing() {
    let bench = Bench::new();
    bench.touch("go");
    let run = bench.anneal.expect(0, bench.run("verbs"));
    let (id, log) = (bench.id(), bench.log());
    let events = bench.show(&id)["events"].clone();
    let wanted = lines(&run.stderr);
    assert!(wanted.len() >= 8, "{wanted:?}");

    let file = bench.anneal.folder().join("export.json").to_string_lossy().into_owned();
    bench.anneal.expect(0, ["export", &id, "-o", &file]).says(&["no secret is in it", "--anonymous"]);
    let elsewhere = Anneal::new();
    for (anneal, args) in [
        (&bench.anneal, vec!["replay", &id]),
        (&bench.anneal, vec!["replay", &id, "--speed", "1000"]),
        (&elsewhere, vec!["replay", &file]),
    ] {
        let replay = anneal.expect(0, &args);
        assert_eq!(lines(&replay.stderr), wanted, "{args:?}\n{}", replay.stderr);
        replay.says(&["verbs, asked for by tester@", "+   ", "completed"]);
    }
    assert!(!elsewhere.data().exists(), "a replay of a file needs no store");
    let json = bench.anneal.expect(0, ["replay", &id, "--json"]);
    let of_file = elsewhere.expect(0, ["replay", &file, "--json"]);
    assert_eq!(json.stdout, of_file.stdout);
    assert_eq!(entries_of(&json.stdout), bench.anneal.journal(&id));
    assert_eq!((bench.log(), &bench.show(&id)["events"]), (log, &events));
    elsewhere
        .expect(2, ["replay", &elsewhere.file("x", "{}").to_string_lossy()])
        .says(&["is no exported operation", "anneal export"]);
}

#[test]
fn a_replay_goes_step_by_step_as_long_as_somebody_presses_enter() {
    let bench = Bench::new();
    bench.touch("go");
    bench.anneal.expect(0, bench.run("verbs"));
    let mut command = bench.anneal.command(["replay", &bench.id(), "--step"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary starts");
    child.stdin.take().expect("a pipe").write_all(b"\n\n").expect("it reads");
    let ended = child.wait_with_output().expect("it ends");
    assert!(ended.status.success());
    assert_eq!(lines(&String::from_utf8_lossy(&ended.stderr)).len(), 2);
}

#[test]
fn an_export_holds_no_secret_and_anonymous_no_name() {
    let (secret, typed) = (Canary::new("a secret that a program prints"), Canary::new("a secret in a file"));
    let anneal = Anneal::new().with_env("WORD", &secret.value);
    anneal.file("line", &typed.value);
    anneal.file(
        "secret.ron",
        r#"Workflow(
            name: "secret", inputs: { "word": Text(secret: true), "line": Text(secret: true) }, roles: { "m": One },
            steps: [
                Step(id: "print", on: "m", do: Shell("echo \"$W\"; head -c 40000 /dev/zero | tr '\\0' x; echo \"$W\" 192.0.2.77"), env: { "W": "${{ inputs.word }}" }),
                Step(id: "fail", on: "m", needs: ["print"], do: Shell("echo \"$L\" >&2; exit 1"), env: { "L": "${{ inputs.line }}" }),
            ],
        )"#,
    );
    anneal.file(
        "inv.ron",
        r#"Inventory(hosts: { "m1": Local }, roles: { "m": ["m1"] }, inputs: { "word": Env("WORD"), "line": File("line") })"#,
    );
    anneal.expect(1, ["run", "secret.ron", "--inventory", "inv.ron"]);
    let id = anneal.operations().pop().expect("an operation");
    for args in [&["export", &id][..], &["export", &id, "--anonymous"], &["replay", &id], &["store", "export"]] {
        let ended = anneal.expect(0, args);
        absent(&[secret.clone(), typed.clone()], &args.join(" "), ended.all().as_bytes());
    }
    let export = anneal.json(["export", &id]);
    assert_eq!(export["outputs"].as_object().map(serde_json::Map::len), Some(1), "a large output comes with it");
    assert!(export["plan"]["steps"].is_array() && export["store"]["format"].is_u64(), "{export}");
    assert!(export.to_string().contains("tester@") && export.to_string().contains("192.0.2.77"));
    let anonymous = anneal.expect(0, ["export", &id, "--anonymous"]).stdout;
    assert!(!anonymous.contains("tester") && !anonymous.contains("192.0.2.77"), "{anonymous}");
    assert!(anonymous.contains("user-1@machine-1") && anonymous.contains("address-1"), "{anonymous}");
}
