//! The whole engine on this machine alone, without SSH and without root: complete, killed, detached, asked from a second
//! process, failed and mended, rolled back, undecided.

use std::process::Command;

use anneal_tests::anneal::Anneal;
use anneal_tests::binary::repository;
use anneal_tests::journal::{self, Event, Unknown};
use anneal_tests::running::Running;
use anneal_tests::until::{SOON, until};

const LOCAL: &str = "machine=local";

fn workflow(name: &str) -> String {
    repository(&format!("tests/workflows/{name}.ron")).to_string_lossy().into_owned()
}

/// A workflow that waits until its gate is opened.
struct Gated {
    anneal: Anneal,
    gate: std::path::PathBuf,
    name: &'static str,
}

impl Gated {
    fn new(name: &'static str) -> Gated {
        let anneal = Anneal::new();
        let gate = anneal.folder().join("gate");
        Gated { anneal, gate, name }
    }

    /// Starts it, up to where its job waits.
    fn start(&self, json: bool) -> Running {
        let (file, gate) = (workflow(self.name), format!("gate={}", self.gate.display()));
        let mut args = vec!["run", &file, "--host", LOCAL, "--input", &gate];
        if json {
            args.push("--json");
        }
        let running = self.anneal.start(args);
        until("the job to begin", SOON, || (self.begun() == 1).then_some(()));
        running
    }

    /// How often its job began.
    fn begun(&self) -> usize {
        std::fs::read_to_string(self.gate.with_extension("count")).unwrap_or_default().lines().count()
    }

    fn open(&self) {
        std::fs::write(&self.gate, "").expect("a gate");
    }

    fn id(&self) -> String {
        self.anneal.operations().pop().expect("an operation")
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        // A job that a failed test leaves behind ends by this, while the folder is still there.
        let _ = std::fs::write(&self.gate, "");
    }
}

#[test]
fn hello_completes_without_root_or_ssh() {
    let anneal = Anneal::new();
    let ended = anneal.expect(0, ["run", "hello", "--host", LOCAL, "--input", "seconds=1", "--input", "name=you"]);
    assert!(ended.stdout.starts_with("greeting = hello you, 1 times\nkernel = Linux "), "{}", ended.stdout);
    let leftovers = anneal_tests::anneal::files_below(&anneal.local_jobs());
    assert!(leftovers.is_empty(), "job files of an operation that has completed: {leftovers:?}");
}

#[test]
fn a_killed_engine_reattaches_and_the_output_is_complete_exactly_once() {
    let anneal = Anneal::new();
    let running = anneal.start(["run", "hello", "--host", LOCAL, "--input", "seconds=3", "--json"]);
    let entry = running.event("count started", SOON, journal::started("count"));
    let Event::Started { .. } = entry.event else { unreachable!() };
    running.line("second 1 of 3", SOON);
    running.kill();
    let id = anneal.operations().pop().expect("an operation");
    assert_eq!(anneal.json(["show", &id, "--json"])["state"], "PROCESSING");
    let ended = anneal.expect(0, ["resume", &id]);
    assert!(ended.stdout.starts_with("greeting = hello world, 3 times\n"), "{}", ended.stdout);
    let logs = anneal.expect(0, ["logs", &id, "count"]);
    assert_eq!(logs.stdout, "second 1 of 3\nsecond 2 of 3\nsecond 3 of 3\ncounted 3\n");
    let journal = anneal.journal(&id);
    assert_eq!(journal.iter().filter(|entry| journal::started("count")(entry)).count(), 1, "it was started again");
    assert!(journal.iter().any(|entry| matches!(&entry.event, Event::Reattached { node, .. } if node.step == "count")));
}

#[test]
fn ctrl_c_detaches_and_says_how_to_go_on() {
    let gated = Gated::new("slow");
    let running = gated.start(false);
    running.interrupt();
    let ended = running.wait(SOON);
    ended.must_be(3);
    ended.says(&["detached: what runs on hosts goes on; nothing new is started until `anneal resume "]);
    let command = ended.stderr.rsplit_once("`anneal ").and_then(|(_, rest)| rest.split_once('`')).expect("a command").0;
    gated.open();
    gated.anneal.expect(0, command.split(' '));
    assert_eq!(gated.begun(), 1, "the job was run again");
}

#[test]
fn a_second_process_is_answered_by_the_one_that_runs_the_operation() {
    let gated = Gated::new("slow");
    let running = gated.start(true);
    let anneal = &gated.anneal;
    running.event("wait started", SOON, journal::started("wait"));
    // The lock is held, so every answer comes from the other process.
    let id = gated.id();
    anneal.expect(0, ["ops"]).says(&["PROCESSING", "slow", &id[id.len() - 8..]]);
    let view = anneal.json(["show", &id, "--json"]);
    assert_eq!((view["in_hand"].as_bool(), view["state"].as_str()), (Some(true), Some("PROCESSING")));
    anneal.expect(0, ["show", &id]).says(&["✓ first@machine", "• wait@machine", "--follow"]);
    assert_eq!(anneal.expect(0, ["logs", &id, "first"]).stdout, "first on Linux\n");
    let follow = anneal.start(["logs", &id, "wait", "--follow"]);
    follow.line("waiting", SOON);
    let resume = anneal.start(["resume", &id]);
    resume.talk("operation ", SOON);
    gated.open();
    let followed = follow.wait(SOON);
    followed.must_be(0);
    assert_eq!(followed.stdout, "waiting\ndone\n");
    resume.wait(SOON).must_be(0);
    running.wait(SOON).must_be(0);
    assert_eq!(gated.begun(), 1);
}

#[test]
fn a_second_run_is_carried_out_by_the_process_that_holds_the_store_which_stays_for_it() {
    let gated = Gated::new("slow");
    let running = gated.start(false);
    let other = gated.anneal.folder().join("other");
    let (file, gate) = (workflow("slow"), format!("gate={}", other.display()));
    let second = gated.anneal.start(["run", &file, "--host", LOCAL, "--input", &gate]);
    until("the second job to begin", SOON, || other.with_extension("count").exists().then_some(()));
    gated.open();
    running.talk("this process holds the store and goes on with operations of others: 1", SOON);
    std::fs::write(&other, "").expect("a gate");
    second.wait(SOON).must_be(0);
    running.wait(SOON).must_be(0);
    let list = gated.anneal.json(["ops", "--json"]);
    let states = list.as_array().expect("a list").iter().map(|one| one["state"].as_str().expect("a state"));
    assert_eq!(states.collect::<Vec<_>>(), ["COMPLETED", "COMPLETED"]);
}

#[test]
fn whoever_asked_for_it_goes_on_with_the_operation_when_the_process_that_works_is_killed() {
    let gated = Gated::new("slow");
    let running = gated.start(true);
    let id = gated.id();
    let (resume, follow) = (gated.anneal.start(["resume", &id]), gated.anneal.start(["logs", &id, "wait", "--follow"]));
    resume.talk("operation ", SOON);
    follow.line("waiting", SOON);
    running.kill();
    gated.open();
    resume.wait(SOON).must_be(0);
    follow.wait(SOON).must_be(0);
    assert_eq!(gated.begun(), 1);
}

#[test]
fn ids_may_be_shortened_at_both_ends_as_long_as_they_fit_one() {
    let anneal = Anneal::new();
    let file = anneal.folder().join("text").to_string_lossy().into_owned();
    std::fs::write(&file, "text\n").expect("a file");
    for _ in 0..2 {
        anneal.expect(0, ["run", &workflow("mend"), "--host", LOCAL, "--input", &format!("file={file}")]);
    }
    let ids = anneal.operations();
    let [first, second] = &ids[..] else { panic!("two operations, not {ids:?}") };
    let common = first.bytes().zip(second.bytes()).take_while(|(a, b)| a == b).count();
    for part in [&second[..=common], &second[second.len() - 8..], second, &second[second.len() - 8..].to_uppercase()] {
        assert_eq!(anneal.json(["show", part, "--json"])["id"], second.as_str(), "{part}");
    }
    anneal.expect(2, ["show", &second[..common]]).says(&["fits 2 operations", first, second, "give more of the id"]);
    anneal.expect(2, ["show", "ffffffff"]).says(&["there is no operation `ffffffff`", "`anneal ops` lists them"]);
    let nobody = "01900000-0000-7000-8000-000000000000";
    for command in ["show", "logs", "resume"] {
        anneal.expect(2, [command, nobody]).says(&["there is no operation", "`anneal ops` lists them"]);
        anneal.expect(2, [command, ""]).says(&["a value is required for '"]);
    }
    anneal.expect(1, ["resume", second]).says(&["the operation has completed"]);
    anneal.expect(2, ["logs", second, "nostep"]).says(&["no step `nostep`", "before, look, after"]);
}

#[test]
fn a_failed_step_says_what_to_do_and_is_mended() {
    let anneal = Anneal::new();
    let file = anneal.folder().join("text");
    let ended =
        anneal.expect(1, ["run", &workflow("mend"), "--host", LOCAL, "--input", &format!("file={}", file.display())]);
    ended.says(&[
        "look@machine: the program ended with exit code 1",
        "No such file",
        "mend the cause, then anneal resume",
    ]);
    let id = anneal.operations().pop().expect("an operation");
    assert_eq!(anneal.json(["show", &id, "--json"])["state"], "FAILED_TEMP");
    // Not mended yet: it fails again, with a new attempt.
    anneal.expect(1, ["resume", &id]);
    std::fs::write(&file, "mended\n").expect("a file");
    assert_eq!(anneal.expect(0, ["resume", &id]).stdout, "text = mended\n");
    let count = std::fs::read_to_string(file.with_extension("count")).expect("a count");
    assert_eq!(count, "before\n", "a step that had succeeded was run again");
}

#[test]
fn a_failure_that_asks_for_it_undoes_everything_in_reverse() {
    let anneal = Anneal::new();
    let folder = anneal.folder().join("made");
    std::fs::create_dir(&folder).expect("a folder");
    let ended = anneal
        .expect(1, ["run", &workflow("rollback"), "--host", LOCAL, "--input", &format!("folder={}", folder.display())]);
    ended.says(&["rolled back"]);
    assert_eq!(std::fs::read_to_string(folder.join("undone")).expect("a list"), "two\none\n");
    assert!(!folder.join("one").exists());
    let id = anneal.operations().pop().expect("an operation");
    assert_eq!(anneal.json(["show", &id, "--json"])["state"], "ROLLED_BACK");
    anneal.expect(1, ["resume", &id]).says(&["the operation was rolled back", "start a new operation"]);
}

/// Runs `ask` up to where its job waits, kills the engine, then the job: nobody knows how it ended.
fn undecided() -> (Gated, String) {
    let gated = Gated::new("ask");
    gated.start(true).kill();
    kill_job(&gated.gate.to_string_lossy());
    let id = gated.id();
    let ended = gated.anneal.run(["resume", &id]);
    ended.must_be(3);
    ended.says(&["pay@machine", "outcome unknown", "--rerun pay@machine", "--done pay@machine"]);
    let view = gated.anneal.json(["show", &id, "--json"]);
    assert_eq!(view["undecided"], serde_json::json!(["pay@machine"]));
    assert_eq!(view["state"], "PROCESSING");
    // Asking again decides nothing.
    let refused = gated.anneal.run(["resume", &id]);
    refused.says(&["nobody knows how `pay@machine` ended", "--done pay@machine"]);
    assert!(refused.code == 1 || refused.code == 3, "{}", refused.code);
    gated.anneal.expect(2, ["resume", &id, "--rerun", "after"]).says(&["no step whose outcome is open", "pay@machine"]);
    (gated, id)
}

/// Kills every process that has this in its environment, with SIGKILL.
fn kill_job(part: &str) {
    let processes: Vec<String> = std::fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter(|entry| {
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == format!("GATE={part}").as_bytes())
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!processes.is_empty(), "the job does not run");
    // The supervisor is the parent of the job's shell: it would record the end.
    let mut all = Vec::new();
    for pid in &processes {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let group = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(2)).unwrap_or("").to_owned();
        if !group.is_empty() {
            all.push(format!("-{group}"));
        }
    }
    all.sort();
    all.dedup();
    let _ = Command::new("kill").args(["-KILL", "--"]).args(&all).status();
}

#[test]
fn an_unknown_outcome_is_run_again_when_a_person_says_so() {
    let (gated, id) = undecided();
    gated.open();
    gated.anneal.expect(0, ["resume", &id, "--rerun", "pay", "--reason", "nothing was paid"]);
    assert_eq!(gated.begun(), 2);
    let journal = gated.anneal.journal(&id);
    let unknown =
        journal.iter().any(|entry| matches!(entry.event, Event::Indeterminate { why: Unknown::Vanished, .. }));
    assert!(unknown, "the outcome is not recorded as unknown");
    let decided = journal.iter().any(|entry| match &entry.event {
        Event::Decided { by, why, decision: journal::Decision::Rerun, .. } => {
            by.starts_with("tester@") && why == "nothing was paid"
        }
        _ => false,
    });
    assert!(decided, "who decided, and why, is not recorded");
}

#[test]
fn an_unknown_outcome_is_taken_as_done_when_a_person_says_so() {
    let (gated, id) = undecided();
    gated.anneal.expect(0, ["resume", &id, "--done", "pay@machine"]);
    assert_eq!(gated.begun(), 1);
    let view = gated.anneal.json(["show", &id, "--json"]);
    assert_eq!(view["state"], "COMPLETED");
}

#[test]
fn exit_codes_are_those_of_the_contract() {
    let anneal = Anneal::new();
    anneal.expect(0, ["ops"]);
    anneal.expect(0, ["--version"]);
    anneal.expect(2, ["--no-such-option"]);
    anneal.expect(2, ["run", "no-such-workflow", "--host", LOCAL]);
    anneal.expect(2, ["check", "nothing.ron"]);
    let file = anneal.file(
        "fails.ron",
        r#"Workflow(name: "fails", roles: { "machine": One }, steps: [
        Step(id: "fail", on: "machine", do: Run(["false"])),
    ])"#,
    );
    anneal
        .expect(1, ["run", &file.to_string_lossy(), "--host", LOCAL])
        .says(&["exit code 1 and wrote nothing", "anneal resume"]);
}

#[test]
fn a_local_job_sees_nothing_of_the_engines_environment_but_who_and_where_it_is() {
    let anneal = Anneal::new().with_env("OF_THE_ENGINE", "canary-4711");
    let text = r#"Workflow(name: "env", roles: { "machine": One }, steps: [
        Step(id: "look", on: "machine", do: Shell("env | sort; test -n \"$HOME\" && test -n \"$PATH\""), env: { "GIVEN": "yes" }),
    ])"#;
    let file = anneal.file("env.ron", text);
    anneal.expect(0, ["run", &file.to_string_lossy(), "--host", LOCAL]);
    let id = anneal.operations().pop().expect("an operation");
    let logs = anneal.expect(0, ["logs", &id, "look"]).stdout;
    assert!(logs.contains("GIVEN=yes") && !logs.contains("canary-4711"), "{logs}");
}
