//! What a person asks of an operation: each verb where it is legal and where it is not, from a second process too.

use anneal_tests::bench::Bench;
use anneal_tests::journal::{Entry, Event};
use anneal_tests::until::SOON;
use serde_json::json;

/// Every verb as it is typed, after the operation's id.
const VERBS: [(&str, &[&str]); 13] = [
    ("resume", &["resume"]),
    ("resume --from", &["resume", "--from", "make"]),
    ("retry", &["retry"]),
    ("pause", &["pause"]),
    ("skip", &["skip", "wait", "--reason", "r"]),
    ("mark", &["mark", "wait", "succeeded", "--reason", "r"]),
    ("approve", &["approve"]),
    ("reject", &["reject", "--reason", "r"]),
    ("cancel", &["cancel"]),
    ("cancel --now", &["cancel", "--now"]),
    ("rollback", &["rollback"]),
    ("fail", &["fail", "--reason", "r"]),
    ("kill", &["kill", "--reason", "r"]),
];

/// These verbs are legal, `show` says so, and every other one is refused, says why, and changes nothing.
fn only(bench: &Bench, id: &str, legal: &[&str]) {
    let before = bench.show(id);
    let verbs: Vec<&str> = before["verbs"].as_array().expect("verbs").iter().filter_map(|verb| verb.as_str()).collect();
    assert_eq!(verbs, legal, "what is possible");
    if !legal.is_empty() {
        bench.anneal.expect(0, ["show", id]).says(&[&format!("possible: {}", legal.join(", "))]);
    }
    for (verb, args) in VERBS.iter().filter(|(verb, _)| !legal.contains(verb)) {
        let args = [&[args[0], id], &args[1..]].concat();
        let refused = bench.anneal.expect(1, &args);
        refused.says(&[&format!("`{verb}` is not possible now"), "  help: "]);
        match legal.is_empty() {
            true => refused.says(&["start a new operation"]),
            false => refused.says(&[&format!("possible are {}", legal.join(", "))]),
        }
        let ended = bench.anneal.expect(1, args.iter().chain(&["--json"]));
        let error: serde_json::Value = serde_json::from_str(&ended.stderr).expect("one line of JSON");
        assert_eq!(error["error"]["kind"], "refused", "{error}");
    }
    assert_eq!(bench.show(id)["events"], before["events"], "a refused verb changed something");
}

fn has(journal: &[Entry], wanted: impl Fn(&Event) -> bool) -> bool {
    journal.iter().any(|entry| wanted(&entry.event))
}

/// Whoever these tests are.
fn me(by: &str) -> bool {
    by.starts_with("tester@")
}

#[test]
fn only_what_is_legal_can_be_asked() {
    let bench = Bench::new();
    let (running, id) = bench.waiting();
    only(&bench, &id, &["resume", "pause", "cancel", "cancel --now", "kill"]);
    bench.anneal.expect(0, ["pause", &id]);
    only(&bench, &id, &["resume", "cancel", "cancel --now", "kill"]);
    bench.touch("go");
    running.wait(SOON).must_be(3);
    only(&bench, &id, &["resume", "resume --from", "skip", "mark", "cancel", "cancel --now", "kill"]);
    bench.anneal.expect(0, ["cancel", &id]);
    only(&bench, &id, &["resume", "resume --from", "retry", "skip", "mark", "rollback", "fail"]);
    bench.anneal.expect(0, ["resume", &id]);
    only(&bench, &id, &[]);
}

#[test]
fn what_is_legal_is_named_at_a_gate_and_in_a_queue() {
    let bench = Bench::new();
    bench.anneal.expect(3, bench.run("gate"));
    only(&bench, &bench.id(), &["resume", "pause", "cancel", "cancel --now", "kill", "approve", "reject"]);

    let (running, first) = bench.waiting();
    let queued = bench.anneal.start(bench.run("verbs").into_iter().chain(["--queue".to_owned()]));
    queued.talk("waits for the lock", SOON);
    let second = bench.id();
    assert_ne!(first, second);
    only(&bench, &second, &["cancel", "cancel --now", "kill"]);
    bench.anneal.expect(0, ["cancel", &second, "--reason", "it took too long"]);
    queued.wait(SOON).must_be(1);
    bench.touch("go");
    running.wait(SOON).must_be(0);
}

#[test]
fn a_pause_from_another_process_ends_nothing_and_starts_nothing() {
    let bench = Bench::new();
    let (running, id) = bench.waiting();
    let paused = bench.anneal.expect(0, ["pause", &id, "--reason", "lunch"]);
    paused.says(&["paused by tester@", ": lunch", "possible: resume, cancel"]);
    bench.touch("go");
    let ended = running.wait(SOON);
    ended.must_be(3);
    ended.says(&["is not finished: paused by tester@", "anneal resume"]);
    assert_eq!(bench.log(), ["make", "wait"]);
    assert_eq!(bench.show(&id)["now"], "waits");
    bench.anneal.expect(0, ["resume", &id]);
    assert_eq!(bench.log(), ["make", "wait", "after", "tidy"]);
    let journal = bench.anneal.journal(&id);
    assert!(has(&journal, |event| matches!(event, Event::PauseAsked { by, why } if me(by) && why == "lunch")));
}

#[test]
fn a_pause_of_an_operation_that_no_process_works_on_starts_nothing_either() {
    let bench = Bench::new();
    let (running, id) = bench.waiting();
    running.kill();
    // This process takes it in hand, and stays until what runs has ended.
    let pause = bench.anneal.start(["pause", &id]);
    pause.talk("paused by tester@", SOON);
    bench.touch("go");
    pause.wait(SOON).must_be(0);
    assert_eq!(bench.log(), ["make", "wait"]);
    bench.anneal.expect(0, ["resume", &id]);
}

#[test]
fn a_cancel_lets_what_runs_end_and_finally_follows() {
    let bench = Bench::new();
    let (running, id) = bench.waiting();
    let cancel = bench.anneal.start(["cancel", &id, "--reason", "wrong host"]);
    cancel.talk("cancelled by tester@", SOON);
    bench.touch("go");
    cancel.wait(SOON).must_be(0);
    running.wait(SOON).must_be(1);
    assert_eq!(bench.log(), ["make", "wait", "tidy"]);
    bench.anneal.expect(0, ["show", &id]).says(&["FAILED_TEMP: cancelled by tester@", "wrong host"]);
    // It can be gone on with, or undone.
    bench.anneal.expect(0, ["rollback", &id]);
    assert_eq!(bench.log(), ["make", "wait", "tidy", "unmake", "tidy"]);
    assert_eq!(bench.show(&id)["state"], "ROLLED_BACK");
}

#[test]
fn a_cancel_now_kills_what_runs_and_a_rollback_may_follow_as_an_event_of_its_own() {
    let bench = Bench::new();
    let (running, id) = bench.waiting();
    let ended = bench.anneal.expect(0, ["cancel", &id, "--now", "--rollback", "--reason", "wrong host"]);
    ended.says(&["what runs is killed", "rolling back, asked by tester@", "was rolled back"]);
    running.wait(SOON);
    assert_eq!(bench.log(), ["make", "wait", "tidy", "unmake", "tidy"]);
    let journal = bench.anneal.journal(&id);
    assert!(has(
        &journal,
        |event| matches!(event, Event::CancelAsked { by, why, .. } if me(by) && why == "wrong host")
    ));
    assert!(has(&journal, |event| matches!(event, Event::RollbackAsked { by, .. } if me(by))));
}

#[test]
fn what_failed_is_tried_again_skipped_or_gone_on_from() {
    let bench = Bench::new();
    let id = bench.failed();
    bench.touch("go");
    bench.anneal.expect(0, ["retry", &id, "--reason", "mended"]).says(&["what failed is tried again"]);
    assert_eq!(bench.log(), ["make", "wait", "tidy", "wait", "after", "tidy"]);
    assert!(has(&bench.anneal.journal(&id), |event| matches!(event, Event::Retried { why, .. } if why == "mended")));

    let bench = Bench::new();
    let id = bench.failed();
    bench.anneal.expect(0, ["skip", &id, "wait", "--reason", "not needed"]).says(&["skipped by tester@", "possible: "]);
    bench.anneal.expect(1, ["skip", &id, "make", "--reason", "r"]).says(&["`make@machine` is succeeded"]);
    bench
        .anneal
        .expect(1, ["skip", &id, "nothing", "--reason", "r"])
        .says(&["no step or node `nothing`", "make, wait"]);
    bench.anneal.expect(0, ["resume", &id]);
    assert_eq!(bench.log(), ["make", "wait", "tidy", "after", "tidy"]);

    let bench = Bench::new();
    let id = bench.failed();
    bench.touch("go");
    bench.anneal.expect(0, ["resume", &id, "--from", "make", "--reason", "from the start"]);
    assert_eq!(bench.log(), ["make", "wait", "tidy", "make", "wait", "after", "tidy"]);
    assert!(has(&bench.anneal.journal(&id), |event| matches!(event, Event::Reset { by, .. } if me(by))));
}

#[test]
fn a_step_that_somebody_did_by_hand_is_marked_with_what_it_puts_out() {
    let bench = Bench::new();
    let file = bench.folder().join("text");
    let mend = anneal_tests::binary::repository("tests/workflows/mend.ron");
    let input = format!("file={}", file.display());
    bench.anneal.expect(1, ["run", &mend.to_string_lossy(), "--host", "machine=local", "--input", &input]);
    let id = bench.id();
    let mark = |out: &[&str]| {
        let args = ["mark", &id, "look", "succeeded", "--reason", "by hand"];
        args.iter().chain(out).map(|arg| (*arg).to_owned()).collect::<Vec<String>>()
    };
    bench.anneal.expect(1, mark(&[])).says(&["may read the output `text`", "--out text=VALUE"]);
    bench.anneal.expect(1, mark(&["--out", "txt=x"])).says(&["has no output `txt`", "its outputs are text"]);
    bench.anneal.expect(2, mark(&["--out", "text"])).says(&["has no value", "NAME=VALUE"]);
    bench.anneal.expect(0, mark(&["--out", "text=from me"])).says(&["marked as succeeded by tester@", ": by hand"]);
    assert_eq!(bench.anneal.expect(0, ["resume", &id]).stdout, "text = from me\n");
}

#[test]
fn an_operation_is_given_up_or_abandoned_only_with_a_reason() {
    let bench = Bench::new();
    let id = bench.failed();
    for args in [
        &["skip", &id, "wait"][..],
        &["mark", &id, "wait", "succeeded"],
        &["fail", &id],
        &["kill", &id],
        &["reject", &id],
    ] {
        bench.anneal.expect(2, args).says(&["--reason"]);
        bench.anneal.expect(2, [args, &["--reason", ""]].concat()).says(&["--reason"]);
    }
    bench.anneal.expect(0, ["fail", &id, "--reason", "the host is gone"]);
    bench.anneal.expect(0, ["show", &id]).says(&["FAILED: ", "the host is gone"]);

    let bench = Bench::new();
    let (running, id) = bench.waiting();
    bench.anneal.expect(0, ["kill", &id, "--reason", "it hangs"]);
    running.wait(SOON).must_be(1);
    assert_eq!(bench.show(&id)["state"], "FAILED");
    assert!(has(
        &bench.anneal.journal(&id),
        |event| matches!(event, Event::Killed { by, why } if me(by) && why == "it hangs")
    ));
}

#[test]
fn a_gate_says_what_it_asks_and_is_opened_by_another_process() {
    let bench = Bench::new();
    let running = bench.anneal.start(bench.run("gate").into_iter().chain(["--input", "busy=true"].map(str::to_owned)));
    running.talk("ask asks: Go on in ", SOON);
    bench.until_logged("wait");
    let id = bench.id();
    bench.anneal.expect(0, ["ops"]).says(&["at work", "(`ask@here` awaits approval)"]);
    bench.anneal.expect(0, ["approve", &id, "--detach", "--reason", "seen"]).says(&["approved by tester@", ": seen"]);
    bench.touch("go");
    running.wait(SOON).must_be(0);
    assert_eq!(bench.log(), ["wait", "after"]);
}

#[test]
fn where_all_waits_at_a_gate_nobody_stays_and_the_answer_goes_on() {
    let bench = Bench::new();
    let ended = bench.anneal.expect(3, bench.run("gate"));
    let id = bench.id();
    let short = &id[id.len() - 8..];
    ended.says(&[
        "ask asks: Go on in ",
        &format!("`anneal approve {short} ask` or `anneal reject {short} ask --reason TEXT`"),
    ]);
    let view = bench.show(&id);
    assert_eq!((&view["now"], &view["gates"]), (&json!("waits"), &json!(["ask"])));
    bench.anneal.expect(1, ["approve", &id, "after"]).says(&["`after@machine` is no gate", "open are ask@here"]);
    bench.anneal.expect(0, ["approve", &id]);
    assert_eq!(bench.log(), ["after"]);

    let bench = Bench::new();
    bench.anneal.expect(3, bench.run("gate"));
    let id = bench.id();
    bench.anneal.expect(0, ["reject", &id, "ask", "--reason", "not today"]);
    bench.anneal.expect(0, ["show", &id]).says(&["FAILED_TEMP", "not today"]);
    assert_eq!(bench.log(), [""; 0]);
}

#[test]
fn a_lock_that_is_held_is_refused_or_queued_for() {
    let bench = Bench::new();
    let (running, id) = bench.waiting();
    let refused = bench.anneal.expect(1, bench.run("verbs"));
    refused.says(&[&format!("operation {id} holds the lock"), "--queue"]);
    let queued = bench.anneal.start(bench.run("verbs").into_iter().chain(["--queue".to_owned()]));
    let short = &id[id.len() - 8..];
    queued.talk(&format!("held by operation {short}"), SOON);
    bench.anneal.expect(0, ["ops"]).says(&["STARTING      waits", &format!("held by operation {short}")]);
    bench.anneal.expect(0, ["show", &bench.id()]).says(&["waits for the lock", &format!("held by operation {short}")]);
    // It stays held while the operation that holds it can still go on.
    bench.touch("fail");
    running.talk("stopped and can be resumed", SOON);
    assert_eq!(bench.log(), ["make", "wait", "tidy"]);
    std::fs::remove_file(bench.folder().join("fail")).expect("a file to remove");
    bench.touch("go");
    bench.anneal.expect(0, ["resume", &id]);
    queued.wait(SOON).must_be(0);
    running.wait(SOON).must_be(1);
    assert_eq!(bench.log(), ["make", "wait", "tidy", "wait", "after", "tidy", "make", "wait", "after", "tidy"]);
}

#[test]
fn an_operation_that_takes_too_long_is_cancelled_by_its_deadline() {
    let bench = Bench::new();
    let text = r#"Workflow(
        name: "long", inputs: { "folder": Text() }, roles: { "machine": One }, deadline: "1s",
        steps: [Step(id: "wait", on: "machine", do: Shell("until [ -e \"$F/go\" ]; do sleep 0.05; done"), env: { "F": "${{ inputs.folder }}" }, timeout: "10m")],
    )"#;
    let file = bench.anneal.file("long.ron", text);
    let input = format!("folder={}", bench.folder().display());
    let args = ["run", &file.to_string_lossy(), "--host", "machine=local", "--input", &input];
    let running = bench.anneal.start(args);
    running.talk("cancelled by engine", SOON);
    bench.touch("go");
    let ended = running.wait(SOON);
    ended.must_be(1);
    ended.says(&["cancelled by engine"]);
}
