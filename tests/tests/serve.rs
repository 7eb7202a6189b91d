//! `anneal serve` and `anneal resume --all`: unfinished operations go on by themselves, whatever ended the process before.

use anneal_tests::bench::Bench;
use anneal_tests::running::Running;
use anneal_tests::until::{SOON, until};

const READY: &str = "every unfinished operation goes on that can";

fn serve(bench: &Bench) -> Running {
    let serving = bench.anneal.start(["serve"]);
    serving.talk(READY, SOON);
    serving
}

/// Runs a workflow detached; its id.
fn detached(bench: &Bench, workflow: &str, folder: &std::path::Path) -> String {
    let args = bench.run_in(workflow, folder).into_iter().chain(["--detach".to_owned()]);
    bench.anneal.expect(0, args).stdout.trim().to_owned()
}

fn count(folder: &std::path::Path, word: &str) -> usize {
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    log.lines().filter(|line| *line == word).count()
}

#[test]
fn a_killed_serve_leaves_operations_that_go_on_by_themselves_under_the_next() {
    let bench = Bench::new();
    let folders = [1, 2].map(|n| bench.anneal.folder().join(format!("f{n}")));
    let serving = serve(&bench);
    let ids = folders.each_ref().map(|folder| detached(&bench, "verbs", folder));
    for folder in &folders {
        until("both to begin", SOON, || (count(folder, "wait") == 1).then_some(()));
    }
    bench.anneal.expect(0, ["ops"]).says(&["PROCESSING    at work"]);
    serving.kill();
    bench.anneal.expect(0, ["ops", "--open"]).says(&["PROCESSING    no process", "anneal serve"]);
    bench.anneal.expect(0, ["show", &ids[0]]).says(&["no process works on it"]);
    folders.iter().for_each(|folder| std::fs::write(folder.join("go"), "").expect("a file"));
    let serving = serve(&bench);
    for id in &ids {
        bench.until_state(id, "COMPLETED");
        serving.talk(id, SOON);
    }
    for folder in &folders {
        assert_eq!((count(folder, "wait"), count(folder, "after")), (1, 1), "a job was run again");
    }
    serving.terminate();
    serving.wait(SOON).must_be(0);
}

#[test]
fn a_serve_that_is_told_to_end_lets_go_and_jobs_go_on() {
    let bench = Bench::new();
    let serving = serve(&bench);
    let watching = bench.anneal.start(bench.run("verbs"));
    bench.until_logged("wait");
    let id = bench.id();
    serving.terminate();
    let ended = serving.wait(SOON);
    ended.must_be(0);
    ended.says(&["letting go of all", "ended"]);
    // Whoever watches is told, and asked for no less than that it goes on: it does so itself, or says how.
    bench.touch("go");
    let watched = watching.wait(SOON);
    assert!(watched.code == 0 || watched.code == 3, "{}", watched.all());
    if watched.code == 3 {
        watched.says(&["anneal resume"]);
        bench.anneal.expect(0, ["resume", &id]);
    }
    assert_eq!(bench.log(), ["make", "wait", "after", "tidy"], "the job went on, and was not run again");
}

#[test]
fn one_process_holds_a_store() {
    let bench = Bench::new();
    let serving = serve(&bench);
    let refused = bench.anneal.expect(1, ["serve"]);
    refused.says(&[&format!("process {} holds the store", serving.pid()), "one process holds a store"]);
    serving.interrupt();
    serving.wait(SOON).must_be(0);
    bench.anneal.expect(2, bench.run("verbs").into_iter().chain(["--detach".to_owned()])).says(&["anneal serve"]);
    assert!(bench.anneal.operations().is_empty(), "what cannot be detached from is not begun");
}

#[test]
fn its_log_is_text_or_lines_of_json() {
    let bench = Bench::new();
    let serving = bench.anneal.start(["serve", "--log-format", "json"]);
    serving.talk(READY, SOON);
    serving.terminate();
    let ended = serving.wait(SOON);
    ended.must_be(0);
    for line in ended.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    assert_eq!(ended.stdout, "");
}

#[test]
fn resume_all_goes_on_with_all_and_its_exit_code_says_what_they_came_to() {
    let bench = Bench::new();
    bench.anneal.expect(0, ["resume"]).says(&["nothing to go on with"]);
    let folders = [1, 2].map(|n| bench.anneal.folder().join(format!("f{n}")));
    let begin = |bench: &Bench| {
        let serving = serve(bench);
        for folder in &folders {
            let _ = std::fs::remove_dir_all(folder);
            detached(bench, "verbs", folder);
            until("it to begin", SOON, || (count(folder, "wait") == 1).then_some(()));
        }
        serving.kill();
    };
    let touch = |n: usize, name: &str| std::fs::write(folders[n].join(name), "").expect("a file");

    begin(&bench);
    let all = bench.anneal.start(["resume", "--all"]);
    all.talk("2 operations to go on with", SOON);
    touch(0, "go");
    all.talk("completed", SOON);
    touch(1, "go");
    all.wait(SOON).must_be(0);

    begin(&bench);
    touch(0, "go");
    touch(1, "fail");
    let ended = bench.anneal.expect(1, ["resume"]);
    ended.says(&["completed", "stopped and can be resumed", "anneal resume"]);

    // One of them rests until a person answers.
    let serving = serve(&bench);
    let gate = bench.anneal.folder().join("gate");
    let args = bench.run_in("gate", &gate).into_iter().chain(["--input", "busy=true", "--detach"].map(str::to_owned));
    bench.anneal.expect(0, args);
    until("it to begin", SOON, || (count(&gate, "wait") == 1).then_some(()));
    serving.kill();
    std::fs::write(gate.join("go"), "").expect("a file");
    bench.anneal.expect(3, ["resume", "--all"]).says(&["asks: Go on", "anneal approve"]);
    let ended = bench.anneal.expect(3, ["resume", "--all", "--json"]);
    let view: serde_json::Value = serde_json::from_str(&ended.stdout).expect("one line of JSON");
    assert_eq!((&view["workflow"], &view["now"]), (&"gate".into(), &"waits".into()));
}

#[test]
fn a_queued_or_cancelled_operation_is_gone_on_with_by_resume() {
    let bench = Bench::new();
    let serving = serve(&bench);
    let first = detached(&bench, "verbs", bench.folder());
    bench.until_logged("wait");
    let args = bench.run("verbs").into_iter().chain(["--queue", "--detach"].map(str::to_owned));
    let second = bench.anneal.expect(0, args).stdout.trim().to_owned();
    bench.anneal.expect(0, ["cancel", &first, "--detach"]).says(&["cancelled by tester@"]);
    serving.kill();
    bench.touch("go");
    // Being cancelled it needs nothing but somebody who works on it; it ends as that was asked for.
    bench.anneal.expect(1, ["resume", &first]).says(&["cancelled by tester@"]);
    bench.anneal.expect(0, ["fail", &first, "--reason", "not needed any more"]);
    bench.anneal.expect(0, ["resume", &second]);
    assert_eq!(bench.log(), ["make", "wait", "tidy", "make", "wait", "after", "tidy"]);
}
