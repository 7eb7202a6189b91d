//! The tools of the language: `graph`, `check` of folders, `explain`, `workflow …`, `run --limit`, `exec`.

use std::path::Path;

use anneal_tests::anneal::Anneal;
use anneal_tests::binary::repository;
use anneal_tests::snapshot::{self, Normal};
use anneal_tests::until::{SOON, until};

const GOOD: &str = r#"Workflow(
    name: "good",
    roles: { "m": One },
    steps: [Step(id: "a", on: "m", do: Run(["true"]))],
)"#;

const WARNED: &str = r#"// With a word before it.
Workflow(
    name: "warned",
    inputs: { "unused": Text },
    roles: { "m": One },
    steps: [Step(id: "a", on: "m", do: Run(["true"]))],
)"#;

const BAD: &str = r#"Workflow(
    name: "bad",
    roles: { "m": One },
    steps: [Step(id: "é", on: "m", needs: ["b"], do: Run(["true"])), Step(id: "a", on: "m", needs: ["b"], do: Run(["true"]))],
)"#;

/// Three hosts, which are this machine under three names.
const INVENTORY: &str = r#"Inventory(
    hosts: { "web-1": Local, "web-2": Local, "web-3": Local, "db-1": Local },
    roles: { "web": ["web-1", "web-2", "web-3"], "db": ["db-1"] },
)"#;

fn normal(anneal: &Anneal) -> Normal {
    Normal::new().text(anneal.folder().to_string_lossy(), "<FOLDER>")
}

fn check(anneal: &Anneal, name: &str, code: i32, args: &[&str]) {
    let shown = anneal.expect(code, args).shown();
    snapshot::check(&format!("tools/{name}"), &normal(anneal).of(&shown));
}

#[test]
fn a_graph_is_drawn_in_three_ways_and_is_data_too() {
    let anneal = Anneal::new();
    check(&anneal, "graph", 0, &["graph", "registry-install"]);
    check(&anneal, "graph-dot", 0, &["graph", "hello", "--format", "dot"]);
    check(&anneal, "graph-mermaid", 0, &["graph", "hello", "--format", "mermaid"]);
    anneal.file("bad.ron", BAD);
    check(&anneal, "graph-bad", 2, &["graph", "bad.ron"]);
    check(&anneal, "graph-none", 2, &["graph", "registry-instal"]);
    let outline = anneal.json(["graph", "registry-install", "--json"]);
    assert_eq!(outline["steps"][1]["needs"][0]["step"], "reachable");
    assert_eq!(outline["steps"][1]["needs"][0]["kind"], "keyed");
    assert_eq!(outline["steps"][1]["needs"][0]["origin"], "needs");
}

#[test]
fn a_folder_is_checked_as_a_whole_and_what_is_no_workflow_is_named() {
    let anneal = Anneal::new();
    anneal.file("all/good.ron", GOOD);
    anneal.file("all/inv.ron", INVENTORY);
    anneal.file("all/readme.md", "Workflow(");
    anneal.file("all/.hidden/bad.ron", BAD);
    anneal.file("all/deeper/warned.ron", WARNED);
    std::os::unix::fs::symlink(anneal.folder().join("work/all"), anneal.folder().join("work/all/round")).unwrap();
    check(&anneal, "check-folder", 0, &["check", "all"]);
    anneal.file("all/bad.ron", BAD);
    anneal.file("all/latin.ron", b"Workflow(name: \"\xe9\")");
    check(&anneal, "check-folder-wrong", 2, &["check", "all"]);
    std::fs::create_dir(anneal.folder().join("work/none")).unwrap();
    anneal.file("none/inv.ron", INVENTORY);
    check(&anneal, "check-folder-none", 2, &["check", "none"]);
    let ended = anneal.expect(0, ["check", &repository("workflows").to_string_lossy()]);
    ended.says(&["workflow `hello` is valid", "workflow `registry-install` is valid"]);
}

#[test]
fn diagnostics_for_editors_have_the_documented_fields() {
    let anneal = Anneal::new();
    anneal.file("all/bad.ron", BAD);
    anneal.file("all/inv.ron", INVENTORY);
    let ended = anneal.expect(2, ["check", "all", "missing.ron", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let fields = |value: &serde_json::Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    for one in list.as_array().expect("a list") {
        assert_eq!(fields(one), ["code", "file", "helps", "labels", "message", "severity", "span"]);
    }
    let needs = list.as_array().unwrap().iter().find(|one| one["code"] == "A0107").expect("A0107");
    assert_eq!(fields(&needs["span"]), ["column", "end", "end_column", "end_line", "line", "start"]);
    let number = |name: &str| needs["span"][name].as_u64().unwrap() as usize;
    assert_eq!(&BAD[number("start")..number("end")], "\"b\"");
    let line = BAD.lines().nth(number("line") - 1).unwrap();
    let shown: String = line.chars().skip(number("column") - 1).take(number("end_column") - number("column")).collect();
    assert_eq!((shown.as_str(), needs["file"].as_str()), ("\"b\"", Some("all/bad.ron")));
    assert_eq!(needs["labels"][0]["text"], "not a step of this workflow");
    let missing = list.as_array().unwrap().last().unwrap();
    assert!(missing["code"].is_null() && missing["span"].is_null() && missing["severity"] == "error", "{missing}");
}

#[test]
fn files_that_would_hang_or_flood_a_reader_are_refused() {
    let anneal = Anneal::new();
    let pipe = anneal.folder().join("work/pipe.ron");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o600), 0).unwrap();
    anneal.expect(2, ["check", "pipe.ron"]).says(&["neither a file nor a folder"]);
    anneal.expect(2, ["check", "/dev/zero"]).says(&["neither a file nor a folder"]);
    anneal.expect(2, ["check", "."]).says(&["there is no workflow", "pipe.ron: passed over"]);
    anneal.file("huge.ron", vec![b'['; 50 << 20]);
    anneal.expect(2, ["check", "huge.ron"]).says(&["52428800 bytes", "2097152 at most"]);
    anneal.file("deep.ron", format!("Workflow(name: \"a\", steps: {}", "[".repeat(1 << 20)));
    anneal.expect(2, ["check", "deep.ron"]).says(&["A0103"]);
    anneal.file("wide.ron", format!("Workflow(name: \"a\", steps: [{}])", "1,".repeat(1_000_000)));
    anneal.expect(2, ["check", "wide.ron"]).says(&["A01"]);
    let image = ["run", "registry-install", "--host", "registry=local", "--input", "image=pipe.ron"];
    anneal.expect(2, image).says(&["it is not a file"]);
}

#[test]
fn files_of_a_workflow_lie_in_its_folder_whatever_links_say() {
    let anneal = Anneal::new();
    let work = anneal.folder().join("work");
    std::fs::write(anneal.folder().join("outside.sh"), "#!/bin/sh\n").unwrap();
    anneal.file("flow/inside.sh", "#!/bin/sh\n");
    let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, work.join("flow").join(name)).unwrap();
    link(&anneal.folder().join("outside.sh"), "out.sh");
    link(Path::new("../../outside.sh"), "out2.sh");
    link(anneal.folder(), "up");
    link(Path::new("round.sh"), "round.sh");
    link(Path::new("inside.sh"), "in.sh");
    link(Path::new("/dev/zero"), "zero.sh");
    let step = |at: usize, file: &str| {
        format!(
            "Step(id: \"s{at}\", on: \"m\", do: Script(file: \"{file}\")), Step(id: \"u{at}\", on: \"m\", do: Upload(from: \"{file}\", to: \"/tmp/x\")),"
        )
    };
    let workflow = |files: &[&str]| {
        let steps: String = files.iter().enumerate().map(|(at, file)| step(at, file)).collect();
        format!("Workflow(name: \"w\", roles: {{ \"m\": One }}, steps: [{steps}])")
    };
    anneal.file("flow/in.ron", workflow(&["in.sh", "inside.sh", "./inside.sh"]));
    anneal.expect(0, ["check", "flow/in.ron"]);
    for (file, code) in [
        ("out.sh", "leads out of the workflow's folder"),
        ("out2.sh", "leads out of the workflow's folder"),
        ("up/outside.sh", "leads out of the workflow's folder"),
        ("round.sh", "A0121"),
        ("zero.sh", "A0121"),
        ("../flow/inside.sh", "A0122"),
        ("/etc/passwd", "A0122"),
        ("sub/../../x.sh", "A0122"),
        ("scripts", "A0121"),
    ] {
        anneal.file("flow/w.ron", workflow(&[file]));
        anneal.expect(2, ["check", "flow/w.ron"]).says(&[code]);
    }
}

#[test]
fn every_code_is_explained() {
    let anneal = Anneal::new();
    let list = anneal.expect(0, ["explain"]).stdout;
    assert_eq!(list, anneal.expect(0, ["explain", "--list"]).stdout);
    assert_eq!(list.lines().count(), dsl::codes().len());
    for info in dsl::codes() {
        assert!(list.contains(&format!("{}  {}\n", info.id, info.title)), "{}", info.id);
        let shown = anneal.expect(0, ["explain", info.id]).stdout;
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    check(&anneal, "explain", 0, &["explain", "a0107"]);
    check(&anneal, "explain-unknown", 2, &["explain", "A0199"]);
    assert_eq!(anneal.json(["explain", "A0107", "--json"])["code"], "A0107");
}

#[test]
fn bundled_workflows_are_listed_shown_copied_and_compared() {
    let anneal = Anneal::new();
    check(&anneal, "workflow-list", 0, &["workflow", "list"]);
    check(&anneal, "workflow-show", 0, &["workflow", "show", "registry-install"]);
    check(&anneal, "workflow-none", 2, &["workflow", "export", "helo", "x"]);
    let source = anneal.expect(0, ["workflow", "show", "hello", "--source"]).stdout;
    assert_eq!(source, std::fs::read_to_string(repository("workflows/hello.ron")).unwrap());

    check(&anneal, "workflow-export", 0, &["workflow", "export", "hello", "copy"]);
    check(&anneal, "workflow-same", 0, &["workflow", "diff", "hello", "copy"]);
    anneal.expect(0, ["check", "copy"]);
    anneal.expect(0, ["workflow", "show", "copy/hello.ron"]).says(&["hello: ", "anneal run copy/hello.ron"]);
    check(&anneal, "workflow-export-again", 2, &["workflow", "export", "hello", "copy"]);

    let copy = anneal.folder().join("work/copy");
    let text = std::fs::read_to_string(copy.join("hello.ron")).unwrap();
    std::fs::write(copy.join("hello.ron"), text.replace("name: \"hello\"", "name: \"mine\"")).unwrap();
    std::fs::remove_file(copy.join("scripts/hello.sh")).unwrap();
    check(&anneal, "workflow-diff", 1, &["workflow", "diff", "hello", "copy"]);
    let json = anneal.expect(1, ["workflow", "diff", "hello", "copy", "--json"]).stdout;
    assert!(json.contains("\"what\":\"changed\"") && json.contains("\"what\":\"new in this release\""), "{json}");
    anneal.expect(0, ["workflow", "export", "hello", "copy", "--force"]);
    anneal.expect(0, ["workflow", "diff", "hello", "copy"]);
    check(&anneal, "workflow-diff-none", 2, &["workflow", "diff", "hello"]);
}

#[test]
fn an_export_never_leaves_its_folder() {
    let anneal = Anneal::new();
    let (work, outside) = (anneal.folder().join("work"), anneal.folder().join("outside"));
    std::fs::create_dir(&outside).unwrap();
    for (name, to) in [("a", outside.as_path()), ("b", Path::new("../../outside/not-there"))] {
        std::fs::create_dir(work.join(name)).unwrap();
        std::os::unix::fs::symlink(to, work.join(name).join("scripts")).unwrap();
        for force in [&[][..], &["--force"]] {
            let ended = anneal.expect(2, ["workflow", "export", "hello", name].iter().chain(force));
            ended.says(&["a link that leads out"]);
        }
        assert!(!work.join(name).join("hello.ron").exists(), "half of it was written");
    }
    // A link in place of a file is replaced and not followed.
    std::fs::create_dir(work.join("c")).unwrap();
    std::fs::write(outside.join("mine"), "mine").unwrap();
    std::os::unix::fs::symlink(outside.join("mine"), work.join("c/hello.ron")).unwrap();
    anneal.expect(2, ["workflow", "export", "hello", "c"]).says(&["there already"]);
    anneal.expect(0, ["workflow", "export", "hello", "c", "--force"]);
    assert_eq!(std::fs::read_to_string(outside.join("mine")).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

const LIMITED: &str = r#"Workflow(
    name: "limited",
    roles: { "web": Many(min: 2), "db": Many(min: 0), "lead": Optional },
    steps: [
        Step(id: "a", on: "web", do: Run(["echo", "on ${{ host.name }}"])),
        Step(id: "b", on: "db", do: Run(["true"])),
        Step(id: "c", on: "lead", do: Run(["true"])),
    ],
)"#;

#[test]
fn a_limit_leaves_out_hosts_and_nothing_else() {
    let anneal = Anneal::new();
    anneal.file("inv.ron", INVENTORY);
    anneal.file("limited.ron", LIMITED);
    let run = |limit: &[&str]| -> Vec<String> {
        let limit = limit.iter().flat_map(|limit| ["--limit", limit]);
        ["run", "limited.ron", "-i", "inv.ron"].into_iter().chain(limit).map(str::to_owned).collect()
    };
    let nodes = |limit: &[&str]| -> Vec<String> {
        anneal.expect(0, run(limit));
        let id = anneal.operations().pop().unwrap();
        let view = anneal.json(["show", &id, "--json"]);
        view["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(nodes(&[]), ["a@web-1", "a@web-2", "a@web-3", "b@db-1"]);
    assert_eq!(nodes(&["web=web-3,web-1"]), ["a@web-1", "a@web-3", "b@db-1"], "in the role's order; db is not limited");
    assert_eq!(nodes(&["web-1,web-2"]), ["a@web-1", "a@web-2"], "db-1 is not named");
    let id = anneal.operations().pop().unwrap();
    check(&anneal, "show-limited", 0, &["show", &id]);
    for (name, limit) in [
        ("limit-too-few", &["web=web-1"][..]),
        ("limit-role", &["wbe=web-1"]),
        ("limit-host", &["web=web-1,web-33"]),
        ("limit-anywhere", &["web-1,db-2"]),
        ("limit-empty", &["web="]),
    ] {
        let args = run(limit);
        check(&anneal, name, 2, &args.iter().map(String::as_str).collect::<Vec<_>>());
    }
    anneal.file("one.ron", GOOD.replace("\"m\"", "\"db\""));
    let one = ["run", "one.ron", "-i", "inv.ron", "--limit", "db-1"];
    anneal.expect(0, one);
    anneal.file("two.ron", GOOD.replace("\"m\": One", "\"db\": One, \"web\": Many").replace("\"m\"", "\"web\""));
    let two = ["run", "two.ron", "-i", "inv.ron", "--limit", "web-1"];
    anneal.expect(2, two).says(&["leaves the role `db` 0 of its 1 hosts, and it needs exactly one host"]);
}

#[test]
fn a_command_runs_on_all_hosts_of_a_role_as_an_operation() {
    let anneal = Anneal::new();
    anneal.file("inv.ron", INVENTORY);
    let exec = |target: &str, argv: &[&str]| -> Vec<String> {
        ["exec", target, "-i", "inv.ron", "--"].iter().chain(argv).map(|arg| (*arg).to_owned()).collect()
    };
    // Each argument arrives as it is: no shell, no expression.
    let odd = ["a b", "$HOME", "${{ inputs.x }}", "'\"", "*", "", "-n", "é"];
    let ended = anneal.expect(0, exec("web", &[["printf", "[%s]\\n"].as_slice(), &odd].concat()));
    for host in ["web-1", "web-2", "web-3"] {
        let lines: Vec<&str> = ended.stdout.lines().filter_map(|line| line.strip_prefix(host)).collect();
        let wanted: Vec<String> = odd.iter().map(|arg| format!(" | [{arg}]")).collect();
        assert_eq!(lines, wanted, "{}", ended.all());
    }
    assert_eq!(ended.stdout.lines().count(), 3 * odd.len());
    ended.says(&["completed"]);
    let ended = anneal.expect(0, exec("db-1", &["sh", "-c", "echo out; echo err >&2"]));
    assert_eq!(ended.stdout, "db-1 | out\n");
    ended.says(&["db-1 | err"]);

    let ops = anneal.json(["ops", "--json"]);
    assert_eq!((ops.as_array().unwrap().len(), &ops[0]["workflow"]), (2, &"exec".into()));
    check(&anneal, "exec-none", 2, &["exec", "wbe", "-i", "inv.ron", "--", "true"]);
    check(&anneal, "exec-no-command", 2, &["exec", "web", "-i", "inv.ron"]);
    let lines = anneal.expect(0, ["exec", "db", "-i", "inv.ron", "--json", "--", "echo", "out"]).stdout;
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (view, entries) = lines.split_last().expect("lines");
    assert_eq!((&view["state"], &view["nodes"][0]["id"]), (&"COMPLETED".into(), &"exec@db-1".into()));
    assert!(entries.iter().any(|line| line["entry"].is_object()), "{entries:?}");
}

#[test]
fn one_host_that_fails_stops_no_other_and_the_exit_code_says_so() {
    let anneal = Anneal::new();
    anneal.file("inv.ron", INVENTORY);
    let marks = anneal.folder().join("marks");
    std::fs::create_dir(&marks).unwrap();
    // Whoever comes first fails; one after the other.
    let script = format!("mkdir {0}/first 2>/dev/null && exit 7; echo went", marks.display());
    let ended = anneal.expect(1, ["exec", "web", "-i", "inv.ron", "--parallel", "1", "--", "sh", "-c", &script]);
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.all());
    ended.says(&["exit code 7", "anneal resume"]);
    let id = anneal.operations().pop().unwrap();
    let again = anneal.expect(0, ["resume", &id]);
    again.says(&["completed"]);
    let ended = anneal.run(["exec", "db", "-i", "inv.ron", "--timeout", "1s", "--", "sleep", "60"]);
    ended.must_be(1);
    let id = anneal.operations().pop().unwrap();
    anneal.expect(0, ["fail", &id, "--reason", "a test"]);
}

#[test]
fn a_killed_exec_is_gone_on_with() {
    let anneal = Anneal::new();
    anneal.file("inv.ron", INVENTORY);
    let gate = anneal.folder().join("gate");
    let script = format!("echo begun >> {0}.log; until test -e {0}; do sleep 0.1; done; echo ended", gate.display());
    let running = anneal.start(["exec", "web", "-i", "inv.ron", "--", "sh", "-c", &script]);
    let begun = || std::fs::read_to_string(gate.with_extension("log")).unwrap_or_default().lines().count();
    until("all three to begin", SOON, || (begun() == 3).then_some(()));
    running.kill();
    std::fs::write(&gate, "").unwrap();
    let id = anneal.operations().pop().unwrap();
    anneal.expect(0, ["resume", &id]).says(&["completed"]);
    assert_eq!(begun(), 3, "no command ran twice");
    let logs = anneal.expect(0, ["logs", &id]).stdout;
    assert_eq!(logs, "ended\n".repeat(3));
}
