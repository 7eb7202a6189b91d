//! What the command says about itself and about workflows: whole outputs, and the documented shapes of `--json`.

use anneal_tests::anneal::Anneal;
use anneal_tests::snapshot::{self, Normal};

fn normal(anneal: &Anneal) -> Normal {
    // A line is broken where the terminal ends; the default of the data folder stands in it.
    Normal::new().text(anneal.folder().to_string_lossy(), "<FOLDER>")
}

#[test]
fn help_of_every_command_is_as_written() {
    let anneal = Anneal::new();
    let mut commands: Vec<Vec<String>> = vec![vec![]];
    let mut shown = 0;
    while let Some(command) = commands.pop() {
        shown += 1;
        let name = if command.is_empty() { "anneal".to_owned() } else { format!("anneal-{}", command.join("-")) };
        let ended =
            anneal.command(command.iter().map(String::as_str).chain(["--help"])).env_remove("ANNEAL_DATA_DIR").output();
        let ended = ended.expect("the binary starts");
        assert!(ended.status.success() && ended.stderr.is_empty(), "{name}");
        let help = String::from_utf8_lossy(&ended.stdout);
        snapshot::check(&format!("help/{name}"), &help);
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // A command's name stands two in; what is further in goes on with the line before.
        let names = listed.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
        let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        commands.extend(names.map(|name| [command.as_slice(), &[name.to_owned()]].concat()));
    }
    assert!(shown >= 25, "only {shown} commands were found");
}

#[test]
fn check_shows_all_that_is_wrong_at_once() {
    let anneal = Anneal::new();
    anneal.file("good.ron", GOOD);
    anneal.file("bad.ron", BAD);
    let ended = anneal.expect(2, ["check", "good.ron", "bad.ron", "missing.ron"]);
    snapshot::check("check", &normal(&anneal).of(&ended.shown()));
}

const GOOD: &str = r#"Workflow(
    name: "good",
    roles: { "m": One },
    steps: [Step(id: "a", on: "m", do: Run(["true"]))],
)"#;

const BAD: &str = r#"Workflow(
    name: "bad",
    inputs: { "port": Port(default: 70000) },
    roles: { "m": One },
    steps: [
        Step(id: "a", on: "m", needs: ["bb"], do: Run(["true"])),
        Step(id: "b", on: "other", do: Shell("echo ${{ inputs.port }}")),
    ],
)"#;

#[test]
fn check_as_json_is_a_list_of_diagnostics() {
    let anneal = Anneal::new();
    anneal.file("good.ron", GOOD);
    anneal.file("bad.ron", BAD);
    assert_eq!(anneal.json(["check", "good.ron", "--json"]), serde_json::json!([]));
    let ended = anneal.expect(2, ["check", "bad.ron", "missing.ron", "--json"]);
    assert_eq!(ended.stderr, "");
    let list: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let list = list.as_array().expect("a list");
    assert!(list.len() >= 4, "{list:?}");
    for diagnostic in list {
        assert_eq!(diagnostic["severity"], "error", "{diagnostic}");
        assert!(diagnostic["message"].is_string() && diagnostic["file"].is_string(), "{diagnostic}");
    }
    let with_place = list.iter().filter(|diagnostic| diagnostic["code"].is_string()).count();
    assert_eq!(with_place, list.len() - 1, "all but the missing file have a code");
}

#[test]
fn operations_as_json_have_the_documented_fields() {
    let anneal = Anneal::new();
    assert_eq!(anneal.json(["ops", "--json"]), serde_json::json!([]));
    anneal.file("good.ron", GOOD);
    let ended = anneal.expect(0, ["run", "good.ron", "--host", "m=local", "--json"]);
    assert_eq!(ended.stderr, "");
    let lines: Vec<serde_json::Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (last, entries) = lines.split_last().expect("lines");
    let seqs: Vec<u64> = entries.iter().filter_map(|line| line["entry"]["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "the journal, from its beginning, without gaps");
    assert_eq!(last["state"], "COMPLETED", "the last line is the operation itself");

    let list = anneal.json(["ops", "--json"]);
    let fields =
        |value: &serde_json::Value| -> Vec<String> { value.as_object().expect("an object").keys().cloned().collect() };
    assert_eq!(fields(&list[0]), ["by", "created_at_ms", "id", "now", "open", "state", "workflow"]);
    let view = anneal.json(["show", list[0]["id"].as_str().expect("an id"), "--json"]);
    assert_eq!(&view, last, "`show` says the same");
    assert_eq!(
        fields(&view),
        [
            "about",
            "at_ms",
            "by",
            "created_at_ms",
            "events",
            "gates",
            "hosts",
            "id",
            "in_hand",
            "nodes",
            "now",
            "outputs",
            "state",
            "undecided",
            "verbs",
            "waits",
            "why",
            "workflow"
        ]
    );
    assert_eq!(
        fields(&view["nodes"][0]),
        ["about", "attempts", "hint", "id", "started_at_ms", "state", "took_ms", "why"]
    );
}

#[test]
fn operations_are_listed_and_shown_for_people() {
    let anneal = Anneal::new();
    let normal = normal(&anneal);
    snapshot::check("ops-none", &normal.of(&anneal.expect(0, ["ops"]).shown()));
    anneal.file("good.ron", GOOD);
    anneal.file("fails.ron", FAILS);
    snapshot::check("run-completed", &normal.of(&anneal.expect(0, ["run", "good.ron", "--host", "m=local"]).shown()));
    snapshot::check("run-failed", &normal.of(&anneal.expect(1, ["run", "fails.ron", "--host", "m=local"]).shown()));
    snapshot::check("ops", &normal.of(&anneal.expect(0, ["ops"]).shown()));
    let id = anneal.operations().pop().expect("an operation");
    snapshot::check("show-failed", &normal.of(&anneal.expect(0, ["show", &id]).shown()));
    snapshot::check("logs", &normal.of(&anneal.expect(0, ["logs", &id]).shown()));
}

const FAILS: &str = r#"Workflow(
    name: "fails",
    about: "Fails in the middle.",
    roles: { "m": One },
    steps: [
        Step(id: "a", on: "m", do: Run(["echo", "some output"])),
        Step(id: "b", on: "m", needs: ["a"], do: Shell("echo to stdout; echo it cannot be done >&2; exit 7")),
        Step(id: "c", on: "m", needs: ["b"], do: Run(["true"])),
    ],
)"#;

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let anneal = Anneal::new();
    anneal.file("good.ron", GOOD);
    anneal.expect(0, ["run", "good.ron", "--host", "m=local"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = anneal.command(["ops"]).stdout(writer).output().expect("the binary starts");
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
