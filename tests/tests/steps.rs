//! What steps say of how they wait, where they run and whether they changed something: run on hosts that are `Local`.

use anneal_tests::anneal::Anneal;
use anneal_tests::until::SOON;

/// Writes what it is called to `log`, with its host: `log NAME EXIT`.
const LOG: &str = "#!/bin/sh\necho \"$1 $WHERE\" >>\"$LOG\"\nexit \"${2:-0}\"\n";

const WORKFLOW: &str = r#"Workflow(
    name: "steps",
    inputs: { "log": Text(), "fails": Int(default: 0) },
    roles: { "balancer": One, "web": Many, "worker": Many },
    defaults: (env: { "LOG": "${{ inputs.log }}", "WHERE": "${{ host.name }}" }),
    steps: [
        Step(id: "drain", on: "web", run_at: "balancer", do: Script(file: "log.sh", args: ["drain"])),
        Step(id: "patch", on: "web", needs: ["drain"], on_failure: Continue,
            do: Script(file: "log.sh", args: ["patch", "${{ host.name == 'w1' ? inputs.fails : 10 }}"]),
            out: { "changed": ExitIs(true_on: [10], false_on: [0]) }),
        Step(id: "undrain", on: "web", run_at: "balancer", needs: [Settled("patch")],
            do: Script(file: "log.sh", args: ["undrain-${{ steps.patch.state }}"])),
        Step(id: "all", on: "web", needs: [All("undrain")], do: Script(file: "log.sh", args: ["all"])),
        Step(id: "both", on: ["web", "worker"], needs: ["all"], do: Script(file: "log.sh", args: ["both"])),
        Step(id: "count", on: "balancer", needs: ["both"], do: Run(["echo", "${{ count(steps.patch.changed) }} of ${{ len(steps.patch.state) }}"]),
            out: { "text": Stdout(type: Text) }),
    ],
    outputs: { "changed": "${{ steps.count.out.text }}" },
)"#;

fn log(anneal: &Anneal) -> Vec<String> {
    let text = std::fs::read_to_string(anneal.folder().join("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn run(fails: u32) -> (Anneal, i32, String) {
    let anneal = Anneal::new();
    let file = anneal.file("steps.ron", WORKFLOW);
    anneal.file("log.sh", LOG);
    let at = format!("log={}", anneal.folder().join("log").display());
    let fails = format!("fails={fails}");
    let inventory = anneal.file(
        "hosts.ron",
        r#"Inventory(
            hosts: { "lb": Local, "w1": Local, "w2": Local, "x1": Local },
            roles: { "balancer": ["lb"], "web": ["w1", "w2"], "worker": ["w2", "x1"] },
        )"#,
    );
    let args = [
        "run",
        &file.display().to_string(),
        "--inventory",
        &inventory.display().to_string(),
        "--input",
        &at,
        "--input",
        &fails,
    ]
    .map(str::to_owned);
    let ended = anneal.run(args);
    let shown = ended.shown();
    (anneal, ended.code, shown)
}

fn count(log: &[String], line: &str) -> usize {
    log.iter().filter(|one| *one == line).count()
}

#[test]
fn steps_run_about_a_host_at_another_and_on_several_roles_once() {
    let (anneal, code, shown) = run(0);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("changed = 1 of 2"), "{shown}");
    let log = log(&anneal);
    for line in ["drain w1", "drain w2", "undrain-succeeded w1", "both w1", "both w2", "both x1"] {
        assert_eq!(count(&log, line), 1, "{line} in {log:?}");
    }
    let at = |line: &str| log.iter().position(|one| one == line).expect(line);
    let first_all = at("all w1").min(at("all w2"));
    assert!(first_all > at("undrain-succeeded w1") && first_all > at("undrain-succeeded w2"), "a barrier: {log:?}");
}

#[test]
fn who_waits_for_an_end_comes_after_a_failure_and_again_when_it_is_resumed() {
    let (anneal, code, shown) = run(3);
    assert_eq!(code, 1, "{shown}");
    let before = log(&anneal);
    assert_eq!((count(&before, "undrain-failed w1"), count(&before, "undrain-succeeded w2")), (1, 1), "{before:?}");
    assert_eq!(count(&before, "all w1"), 1, "what comes behind the end of a failure goes on: {before:?}");
    let id = anneal.operations().pop().expect("an operation");
    anneal.expect(1, ["resume", &id]);
    let after = log(&anneal);
    assert_eq!(count(&after, "patch w1"), 2, "{after:?}");
    assert_eq!(count(&after, "undrain-failed w1"), 2, "done about the new attempt: {after:?}");
    assert_eq!(count(&after, "patch w2"), 1, "what succeeded is not run again: {after:?}");
}

const INNER: &str = r#"Workflow(
    name: "inner",
    inputs: { "name": Text(), "log": Text(), "token": Text(secret: true, generate: 20) },
    roles: { "vm": One },
    steps: [
        Step(id: "a", on: "vm", do: Script(file: "inner.sh", args: ["${{ inputs.name }}"]),
            env: { "LOG": "${{ inputs.log }}", "TOKEN": "${{ inputs.token }}" }, out: { "said": Stdout(type: Text) }),
        Step(id: "wait", on: "vm", needs: ["a"], do: Shell("while [ ! -e \"$LOG.go\" ]; do sleep 0.1; done"), env: { "LOG": "${{ inputs.log }}" }),
    ],
    finally: [Step(id: "end", on: "vm", do: Shell("echo end >>\"$LOG\""), env: { "LOG": "${{ inputs.log }}" })],
    outputs: { "said": "${{ steps.a.out.said }} by ${{ roles.vm.name }}" },
)"#;

const OUTER: &str = r#"Workflow(
    name: "outer",
    inputs: { "log": Text() },
    roles: { "one": One },
    steps: [
        Step(id: "first", on: "one", do: Run(["echo", "it's $(me)"]), out: { "text": Stdout(type: Text) }),
        Call(id: "call", workflow: "parts/inner.ron", roles: { "vm": "one" }, with: { "name": "${{ steps.first.out.text }}", "log": "${{ inputs.log }}" }),
        Step(id: "last", on: "one", needs: ["call"], do: Run(["echo", "${{ steps.call.out.said }}"]), out: { "text": Stdout(type: Text) }),
    ],
    outputs: { "text": "${{ steps.last.out.text }}" },
)"#;

#[test]
fn a_call_is_resumed_where_it_was_as_the_rest_is() {
    let anneal = Anneal::new();
    let file = anneal.file("outer.ron", OUTER).display().to_string();
    anneal.file("parts/inner.ron", INNER);
    anneal.file("parts/inner.sh", "#!/bin/sh\necho \"a $1\" >>\"$LOG\"\nprintf '%s' \"$1\"\n");
    let log_file = anneal.folder().join("log").display().to_string();
    let running = anneal.start(["run", &file, "--host", "one=local", "--input", &format!("log={log_file}")]);
    running.talk("call/wait@one", SOON);
    running.kill();
    let id = anneal.operations().pop().expect("an operation");
    std::fs::write(format!("{log_file}.go"), "").expect("the file that the step waits for");
    let ended = anneal.expect(0, ["resume", &id]);
    ended.says(&["text = it's $(me) by one", "call/wait@one was at work when its engine ended"]);
    assert_eq!(log(&anneal), ["a it's $(me)", "end"], "nothing was done twice");
}

/// What the manual shows, called with one host where it takes several, and by another call behind it with two.
const REPORT: &str = r#"Workflow(
    name: "report",
    inputs: { "log": Text() },
    roles: { "node": Many(min: 1), "monitor": One },
    steps: [
        Step(id: "ask", on: "node", do: Run(["echo", "${{ host.name }}"]), out: { "name": Stdout(type: Text) }),
        Step(id: "tell", on: "monitor", do: Shell("echo \"$TEXT\" >>\"$LOG\""),
            env: { "LOG": "${{ inputs.log }}", "TEXT": "${{ len(steps.ask.out.name) }}: ${{ join(steps.ask.out.name, ' ') }}" }),
    ],
)"#;

/// What is called when something failed.
const REPAIR: &str = r#"Workflow(
    name: "repair",
    inputs: { "log": Text(), "of": Text() },
    roles: { "vm": One },
    defaults: (env: { "LOG": "${{ inputs.log }}" }),
    steps: [
        Step(id: "look", on: "vm", do: Shell("echo look >>\"$LOG\"")),
        Step(id: "mend", on: "vm", needs: ["look"], do: Shell("echo \"mend $OF\" >>\"$LOG\""), env: { "OF": "${{ inputs.of }}" }),
    ],
)"#;

const CALLS: &str = r#"Workflow(
    name: "calls",
    inputs: { "log": Text() },
    roles: { "one": One, "two": Many(min: 1) },
    steps: [
        Step(id: "deploy", on: "one", on_failure: Continue, do: Run(["false"])),
        Call(id: "repair", workflow: "repair.ron", needs: [Settled("deploy")], when: "steps.deploy.state == 'failed'",
            roles: { "vm": "one" }, with: { "log": "${{ inputs.log }}", "of": "${{ steps.deploy.state }}" }),
        Call(id: "first", workflow: "report.ron", needs: ["repair"], roles: { "node": "one", "monitor": "one" }, with: { "log": "${{ inputs.log }}" }),
        Call(id: "second", workflow: "report.ron", needs: ["first"], roles: { "node": "two", "monitor": "one" }, with: { "log": "${{ inputs.log }}" }),
    ],
)"#;

#[test]
fn a_call_keeps_its_meaning_with_other_roles_and_behind_a_failure() {
    let anneal = Anneal::new();
    let file = anneal.file("calls.ron", CALLS).display().to_string();
    anneal.file("report.ron", REPORT);
    anneal.file("repair.ron", REPAIR);
    let log_file = format!("log={}", anneal.folder().join("log").display());
    let hosts = ["--host", "one=local", "--host", "two=local"];
    anneal.expect(1, [&["run", &file][..], &hosts, &["--input", &log_file]].concat());
    assert_eq!(log(&anneal), ["look", "mend failed", "1: one", "1: two"]);
}

/// A group with `by` stands before a call that asks its hosts for facts.
const ZONES: &str = r#"Workflow(
    name: "zones",
    roles: { "node": Many },
    steps: [
        Group(id: "roll", over: "node", batch: (sizes: [1], by: "host.labels['zone'] ?? ''"),
            steps: [Step(id: "patch", on: "node", do: Run(["true"]))]),
        Call(id: "after", workflow: "asks.ron", needs: ["roll"]),
    ],
)"#;

const ASKS: &str = r#"Workflow(
    name: "asks",
    roles: { "node": Many },
    steps: [Step(id: "ask", on: "node", when: "host.facts.os != 'plan9'", do: Run(["true"]))],
)"#;

#[test]
fn a_group_waits_only_for_the_facts_that_it_asks_for() {
    let anneal = Anneal::new();
    let file = anneal.file("zones.ron", ZONES).display().to_string();
    anneal.file("asks.ron", ASKS);
    anneal.expect(0, ["run", &file, "--host", "node=local"]).says(&["completed"]);
}

#[test]
fn a_program_that_only_reads_leaves_nothing_on_its_host_and_is_run_again_where_the_engine_died() {
    let anneal = Anneal::new();
    let file = anneal.file(
        "look.ron",
        r#"Workflow(
            name: "look",
            inputs: { "here": Text() },
            roles: { "web": One },
            defaults: (env: { "HERE": "${{ inputs.here }}" }),
            steps: [
                Step(id: "done", on: "web", do: Run(["true"])),
                Step(id: "look", on: "web", needs: ["done"], reads: true,
                    do: Shell("echo began >>\"$HERE/began\"; while [ ! -e \"$HERE/go\" ]; do sleep 0.05; done; echo seen"),
                    out: { "seen": Stdout(type: Text) }),
            ],
            outputs: { "seen": "${{ steps.look.out.seen }}" },
        )"#,
    );
    let began = || std::fs::read_to_string(anneal.folder().join("work/began")).unwrap_or_default().lines().count();
    let here = format!("here={}", anneal.folder().join("work").display());
    let file = file.display().to_string();
    let killed = anneal.start(["run", &file, "--host", "web=local", "--input", &here]);
    anneal_tests::until::until("the program to begin", SOON, || (began() == 1).then_some(()));
    killed.kill();
    let id = anneal.operations().pop().expect("an operation");
    let files: Vec<String> = std::fs::read_dir(anneal.local_jobs().join(&id))
        .expect("its job folder")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(files.iter().any(|name| name.starts_with("done.")), "{files:?}");
    assert!(!files.iter().any(|name| name.starts_with("look.")), "{files:?}");
    anneal.file("go", "");
    anneal.expect(0, ["resume", &id]);
    assert_eq!(began(), 2, "it was run again, and nobody was asked");
}
