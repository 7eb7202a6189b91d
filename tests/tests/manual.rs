//! The examples of the manual that are whole workflows run as they stand, on this machine.

use std::fmt::Write;
use std::path::Path;

use anneal_tests::anneal::{Anneal, Ended};
use anneal_tests::binary::repository;
use anneal_tests::until::SOON;
use dsl::value::FileRef;
use dsl::{Called, Files, Given, RoleKind, Source, Workflow};

/// Examples that are not run, and why.
const NOT_RUN: [(&str, &str); 9] = [
    ("web-server", "it installs a package on a host that it logs in to"),
    ("configure", "it changes /etc/docker and the host's sshd"),
    ("move-data", "it restarts a host"),
    ("two-registries", "it installs Docker"),
    ("check-registry", "its instance must be recorded first; `records` runs such a pair"),
    ("out-of-service", "it asks a load balancer and tells a mail server"),
    ("maintenance", "it asks a server of the company"),
    ("renew-certificate", "it waits for a server of the company, and tells others"),
    ("tell-slack", "it tells Slack"),
];

/// Examples that are meant to fail, and what they say.
const FAIL: [(&str, &str); 1] = [("cleaned-up", "No such file or directory")];

/// Values that are not the example's own.
const INPUTS: [(&str, &str, &str); 3] = [
    ("give-and-take", "app", "<FOLDER>"),
    ("policies", "folder", "<FOLDER>/p"),
    ("single-files", "folder", "<FOLDER>/f"),
];

/// What `give-and-take` runs.
const PROGRAMS: [(&str, &str); 4] = [
    (
        "status",
        r#"echo '{ "version": "1.2", "peers": [{ "name": "a", "port": 80 }, { "name": "b", "port": 81 }], "more": 1 }'; exit 2"#,
    ),
    ("is-leader", "exit 0"),
    ("issue-token", r#"echo '{ "token": "a-secret-of-the-manual", "user": "ann" }'"#),
    (
        "join",
        r#"test "$TOKEN" = a-secret-of-the-manual && test "$TOKEN_USER" = ann && case $1 in a:80 | b:81) ;; *) exit 1 ;; esac"#,
    ),
];

fn examples() -> Vec<String> {
    let text = std::fs::read_to_string(repository("docs/workflows.md")).expect("the manual");
    let blocks = text.split("```ron\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.filter(|block| block.starts_with("Workflow(")).map(str::to_owned).collect()
}

/// What an example is called.
fn name_of(text: &str) -> &str {
    text.split('"').nth(1).expect("the name stands first")
}

/// The files below this folder, and the workflows that the examples name.
struct Assets(&'static str);

const ASSETS: Assets = Assets("dsl/tests/files");

impl Files for Assets {
    fn asset(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(repository(self.0).join(path)).map_err(|error| error.to_string())
    }

    fn file(&self, _: &str) -> Result<FileRef, String> {
        Err("no example needs one".to_owned())
    }

    fn secret_file(&self, _: &str) -> Result<String, String> {
        Err("no example needs one".to_owned())
    }

    fn workflow(&self, name: &str) -> Result<Called, String> {
        let source = |text| Source { name: format!("{name}.ron"), text };
        if let Some(text) = examples().into_iter().find(|text| name_of(text) == name) {
            return Ok(Called { source: source(text), files: Box::new(ASSETS) });
        }
        let bundled = Assets("workflows");
        let text = bundled.asset(&format!("{name}.ron"))?;
        Ok(Called { source: source(String::from_utf8_lossy(&text).into_owned()), files: Box::new(bundled) })
    }
}

#[test]
fn every_example_of_the_manual_that_can_run_here_runs() {
    let (mut ran, mut lacking) = (0, Vec::new());
    let examples = examples();
    let mut names = Vec::new();
    for text in examples {
        let source = Source { name: "workflows.md".to_owned(), text };
        let workflow = dsl::check(&source, &ASSETS).workflow.expect("a valid example");
        names.push(workflow.name().to_owned());
        if NOT_RUN.iter().any(|(name, _)| *name == workflow.name()) {
            continue;
        }
        let ended = run(&workflow, &source.text);
        let fails = FAIL.iter().find(|(name, _)| *name == workflow.name());
        let (code, says) = fails.map_or((0, ""), |(_, says)| (1, *says));
        ran += 1;
        if ended.code != code || !ended.all().contains(says) || ended.stderr.contains("panicked") {
            lacking.push(format!("{} ended with {}, not {code}\n{}", workflow.name(), ended.code, ended.all()));
        }
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
    assert!(ran >= 20, "only {ran} examples ran");
    for name in NOT_RUN.iter().map(|(name, _)| name).chain(FAIL.iter().map(|(name, _)| name)) {
        assert!(names.iter().any(|known| known == name), "there is no example {name}");
    }
}

/// Runs it to its end: a person who must approve does.
fn run(workflow: &Workflow, text: &str) -> Ended {
    let anneal = Anneal::new();
    let folder = anneal.folder().join("work");
    for (name, text) in PROGRAMS {
        anneal.file(name, format!("#!/bin/sh\n{text}\n"));
        executable(&folder.join(name));
    }
    anneal.file("license", "MIT\n");
    for (path, bytes) in workflow.assets() {
        anneal.file(path, bytes);
    }
    // Whom an example calls is looked for beside it.
    examples().iter().for_each(|other| drop(anneal.file(&format!("{}.ron", name_of(other)), other)));
    anneal.file("example.ron", text);
    anneal.file("inventory.ron", inventory(workflow));
    anneal.file("inputs.ron", inputs(workflow, &folder));
    let args = ["run", "example.ron", "--inventory", "inventory.ron", "--inputs", "inputs.ron"];
    // Where a gate waits for a time, whoever runs it waits too.
    if text.contains("Gate(") {
        let running = anneal.start(args);
        running.talk(" asks: ", SOON);
        let id = anneal.operations().pop().expect("an operation");
        anneal.expect(1, ["approve", &id]).says(&["may not answer", "ask alice or bob@ops-1"]);
        approve(&anneal, &["--detach"]).must_be(0);
        return running.wait(SOON);
    }
    let ended = anneal.run(args);
    if ended.code == 3 { approve(&anneal, &[]) } else { ended }
}

/// Alice says yes; whoever runs the operation may not be asked.
fn approve(anneal: &Anneal, more: &[&str]) -> Ended {
    let id = anneal.operations().pop().expect("an operation");
    let mut command = anneal.command([&["approve", id.as_str()], more].concat());
    let output = command.env("USER", "alice").output().expect("the binary starts");
    Ended {
        code: output.status.code().unwrap_or(128),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// Two hosts for each role that takes them, all of them this machine.
fn inventory(workflow: &Workflow) -> String {
    let (mut hosts, mut roles) = (String::new(), String::new());
    for role in workflow.roles() {
        let count = match role.kind {
            RoleKind::One | RoleKind::Optional => 1,
            RoleKind::Many { min, max } => min.max(2).min(max),
        };
        let names: Vec<String> = (1..=count).map(|n| format!("\"{}-{n}\"", role.name)).collect();
        names.iter().for_each(|name| write!(hosts, "{name}: Local, ").expect("a text takes everything"));
        write!(roles, "\"{}\": [{}], ", role.name, names.join(", ")).expect("a text takes everything");
    }
    format!("Inventory(hosts: {{ {hosts} }}, roles: {{ {roles} }})")
}

/// What must be given: models, secrets by a command.
fn inputs(workflow: &Workflow, folder: &Path) -> String {
    let mut text = "{".to_owned();
    for (name, value) in workflow.model_inputs(&Given::default()) {
        let secret = workflow.inputs().iter().any(|input| input.name == name && input.field.secret);
        let value = if secret { format!("From(Command([\"echo\", {value:?}]))") } else { format!("{value:?}") };
        write!(text, "{name:?}: {value}, ").expect("a text takes everything");
    }
    for (_, name, value) in INPUTS.iter().filter(|(of, ..)| *of == workflow.name()) {
        let value = value.replace("<FOLDER>", &folder.to_string_lossy());
        write!(text, "{name:?}: {value:?}, ").expect("a text takes everything");
    }
    text + "}"
}
