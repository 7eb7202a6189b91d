//! `anneal plan`: what it says of real hosts, that a run then does it, and that nothing whatever is changed by asking.

use std::path::Path;

use anneal_tests::anneal::{Anneal, Ended};
use anneal_tests::snapshot::{self, Normal};
use anneal_tests::sshd::Sshd;
use anneal_tests::testbed::{Flavour, Host, archive};
use anneal_tests::until::{SOON, until};
use serde_json::Value;

const SECRET: &str = "canary-0815-hunter2";

/// Every verdict but "cannot tell".
const MIXED: &str = r#"Workflow(
    name: "mixed",
    inputs: { "folder": Text(), "password": Text(secret: true) },
    roles: { "m": One },
    steps: [
        Step(id: "preview_reach", on: "m", do: Wait(until: Ssh, within: "5s")),
        Step(id: "preview_there", on: "m", needs: ["preview_reach"], probe: Shell("test -d / || exit 1"), do: Run(["mkdir", "/"])),
        Step(id: "preview_files", on: "m", needs: ["preview_there"], do: WriteFiles(files: [
            (to: "${{ inputs.folder }}/app.conf", template: "app.j2", vars: { "name": "${{ host.name }}", "password": "${{ inputs.password }}" }),
            (to: "${{ inputs.folder }}/new/plain", content: "one\ntwo\n", mode: "0600", backup: true),
        ])),
        Step(id: "preview_patch", on: "m", needs: ["preview_there"], do: PatchFile(
            path: "${{ inputs.folder }}/daemon.json", patch: Json(merge: { "debug": true, "token": "${{ inputs.password }}" }),
        )),
        Step(id: "preview_upload", on: "m", needs: ["preview_there"], do: Upload(from: "asset.bin", to: "${{ inputs.folder }}/asset.bin", mode: "0755")),
        Step(id: "preview_same", on: "m", needs: ["preview_there"], do: WriteFile(to: "${{ inputs.folder }}/same", content: "same\n")),
        Step(
            id: "preview_probe", on: "m", needs: ["preview_there"],
            probe: Run(["test", "-e", "${{ inputs.folder }}/made"]), do: Run(["touch", "${{ inputs.folder }}/made"]),
            env: { "PREVIEW_MARK": "${{ inputs.folder }}" },
        ),
        Step(id: "preview_plain", on: "m", needs: ["preview_there"], do: Run(["echo", "it's"]), out: { "x": Stdout(type: Text) }),
        Step(id: "preview_reads", on: "m", do: Run(["echo", "${{ steps.preview_plain.out.x }}"])),
        Step(id: "preview_after", on: "m", needs: ["preview_plain"], probe: Shell("exit 0"), do: Run(["true"])),
        Step(id: "preview_not", on: "m", when: "inputs.folder == '' && steps.preview_plain.out.x == ''", do: Run(["true"])),
        Step(id: "preview_gate", needs: ["preview_plain"], do: Gate(text: "go on with ${{ inputs.folder }}?")),
    ],
    finally: [
        Step(id: "preview_failed", on: "m", on_state: Failed, do: Run(["true"])),
        Step(id: "preview_told", on: "m", do: Run(["echo", "${{ operation.state }}"])),
    ],
)"#;

const TEMPLATE: &str = "name = {{ name }}\npassword = {{ password }}\nend\n";

/// An operator with that workflow, and a folder that it is about.
struct Operator {
    anneal: Anneal,
    folder: tempfile::TempDir,
}

impl Operator {
    fn new() -> Operator {
        let anneal = Anneal::new().with_env("PASSWORD", SECRET);
        anneal.file("mixed.ron", MIXED);
        anneal.file("app.j2", TEMPLATE);
        anneal.file("asset.bin", [0, 159, 146, 150]);
        anneal.file("inputs.ron", r#"{ "password": From(Env("PASSWORD")) }"#);
        let folder = tempfile::Builder::new().prefix("anneal-preview-").tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
        write("app.conf", "name = other\npassword = was-another-one\nend\n");
        write("daemon.json", "{\n  \"log-level\": \"info\",\n  \"token\": \"was-another-one\"\n}\n");
        write("same", "same\n");
        Operator { anneal, folder }
    }

    fn args<'a>(&'a self, command: &'a str, input: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec![command, "mixed.ron", "--input", input, "--inputs", "inputs.ron"];
        args.extend(more);
        args
    }

    fn plan(&self, code: i32, more: &[&str]) -> Ended {
        let input = format!("folder={}", self.folder.path().display());
        self.anneal.expect(code, self.args("plan", &input, more))
    }

    /// Everything that may change when something is done here: names, kinds, modes, owners, times, contents.
    fn everything(&self) -> Vec<String> {
        let mut all = tree(self.folder.path());
        all.extend(tree(self.anneal.folder()));
        all
    }
}

fn tree(folder: &Path) -> Vec<String> {
    let script =
        "find \"$1\" -printf '%p %y %m %U:%G %T@ %C@ %s\\n' | sort; find \"$1\" -type f | sort | xargs -r sha256sum";
    let output = std::process::Command::new("sh").args(["-c", script, "sh"]).arg(folder).output().expect("a listing");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// What job folders and backups of this machine have of the workflow's steps.
fn job_files() -> String {
    let output = std::process::Command::new("find").args(["/var/lib/anneal", "-name", "*preview_*"]).output();
    String::from_utf8_lossy(&output.expect("find starts").stdout).into_owned()
}

/// Processes that still have the mark of a probe in their environment.
fn marked(mark: &Path) -> Vec<String> {
    let mark = format!("PREVIEW_MARK={}", mark.display());
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let has_mark = |path: &Path| {
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    processes.map(|entry| entry.path()).filter(|path| has_mark(path)).map(|path| path.display().to_string()).collect()
}

fn verdicts(json: &Value) -> Vec<(String, String)> {
    let nodes = json["nodes"].as_array().expect("nodes").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    nodes.map(|node| (text(&node["node"]), text(&node["expected"]["is"]))).collect()
}

#[test]
fn this_machine_is_looked_at_and_left_as_it_is() {
    let operator = Operator::new();
    let before = operator.everything();
    let ended = operator.plan(4, &["--host", "m=local"]);
    assert_eq!(operator.everything(), before, "something was changed");
    assert_eq!(marked(operator.folder.path()), Vec::<String>::new());
    let normal = Normal::new()
        .text(operator.folder.path().to_string_lossy(), "<TARGET>")
        .text(operator.anneal.folder().to_string_lossy(), "<FOLDER>");
    snapshot::check("preview/mixed", &normal.of(&ended.shown()));
    for hidden in [SECRET, "was-another-one"] {
        assert!(!ended.all().contains(hidden), "`{hidden}` is shown:\n{}", ended.all());
    }
}

#[test]
fn a_host_is_asked_over_ssh_and_a_run_then_does_what_was_said() {
    let sshd = Sshd::start();
    let operator = Operator::new();
    operator.anneal.file("inv.ron", format!("Inventory(hosts: {{ \"m\": {} }})", sshd.host()));
    let inventory = ["--inventory", "inv.ron"];

    // Its key is not known, and nothing is accepted without being asked for.
    operator.plan(1, &inventory).says(&["cannot tell: the host key of m", "is not known"]);
    let data = operator.anneal.data().to_owned();
    assert!(!data.exists(), "a data folder was made");

    let accepting = [&inventory[..], &["--accept-new-host-keys"]].concat();
    operator.plan(4, &accepting);
    let names: Vec<_> =
        std::fs::read_dir(&data).expect("the data folder").map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["known_hosts"], "something else than a host key was stored");

    let (before, jobs) = (operator.everything(), job_files());
    let ended = operator.plan(4, &[&inventory[..], &["--json"]].concat());
    assert_eq!(operator.everything(), before, "something was changed");
    assert_eq!(job_files(), jobs, "a job folder or a backup appeared");
    assert_eq!(marked(operator.folder.path()), Vec::<String>::new());
    for hidden in [SECRET, "was-another-one"] {
        assert!(!ended.all().contains(hidden), "`{hidden}` is shown:\n{}", ended.all());
    }
    let json: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let said = verdicts(&json);
    let is = |step: &str| {
        let found = said.iter().find(|(node, _)| node.starts_with(&format!("{step}@")));
        found.unwrap_or_else(|| panic!("nothing is said of `{step}`")).1.as_str()
    };
    for (step, wanted) in [
        ("preview_reach", "already_so"),
        ("preview_there", "already_so"),
        ("preview_files", "will_change"),
        ("preview_patch", "will_change"),
        ("preview_upload", "will_change"),
        ("preview_same", "already_so"),
        ("preview_probe", "will_change"),
        ("preview_plain", "will_run"),
        ("preview_reads", "unknown"),
        ("preview_after", "unknown"),
        ("preview_not", "skipped"),
        ("preview_gate", "asks"),
        ("preview_failed", "skipped"),
        ("preview_told", "unknown"),
    ] {
        assert_eq!(is(step), wanted, "{step}");
    }

    // The run: it stops at the gate, and what was said of the rest is so.
    let input = format!("folder={}", operator.folder.path().display());
    let running = operator.anneal.start(operator.args("run", &input, &inventory));
    let id = until("the gate to ask", SOON, || {
        let id = operator.anneal.operations().pop()?;
        let shown = operator.anneal.json(["show", &id, "--json"]);
        let gates = shown["nodes"]
            .as_array()?
            .iter()
            .any(|node| node["id"] == "preview_gate@here" && node["state"] == "awaiting_approval");
        gates.then_some(id)
    });
    operator.anneal.expect(0, ["approve", &id, "preview_gate"]);
    running.wait(SOON).must_be(0);
    let shown = operator.anneal.json(["show", &id, "--json"]);
    let state = |node: &str| {
        let nodes = shown["nodes"].as_array().expect("nodes");
        nodes.iter().find(|one| one["id"] == node).expect("a node")["state"].as_str().expect("a state").to_owned()
    };
    for (node, verdict) in &said {
        let state = state(node);
        match verdict.as_str() {
            "skipped" => assert_eq!(state, "skipped", "{node}"),
            "will_change" | "will_run" | "asks" => assert_eq!(state, "succeeded", "{node}"),
            "already_so" => assert!(state == "skipped" || state == "succeeded", "{node} is {state}"),
            _ => {}
        }
    }
    // And once more: what was changed is as it should be.
    let json = operator.plan(4, &[&inventory[..], &["--json"]].concat()).stdout;
    let said = verdicts(&serde_json::from_str(&json).expect("JSON"));
    assert!(said.iter().all(|(_, verdict)| verdict != "will_change"), "{said:?}");
}

#[test]
fn exit_codes_tell_nothing_to_do_from_something_and_from_nobody_knows() {
    let anneal = Anneal::new();
    let workflow = |probe: &str| {
        format!(
            "Workflow(name: \"w\", roles: {{ \"m\": Many }}, steps: [Step(id: \"a\", on: \"m\", probe: Shell(\"{probe}\"), do: Run([\"true\"]))])"
        )
    };
    anneal.file("w.ron", workflow("exit 0"));
    let plan = |code: i32, more: &[&str]| anneal.expect(code, [&["plan", "w.ron", "--host", "m=local"], more].concat());
    plan(0, &[]).says(&["w: 1 already so; nothing was changed"]);
    anneal.file("w.ron", workflow("exit 1"));
    plan(4, &[]).says(&["w: 1 will change"]);
    anneal.file("w.ron", workflow("echo broken >&2; exit 2"));
    plan(1, &[]).says(&["cannot tell: the probe gave no answer: exit code 2 (broken)"]);
    plan(2, &["--input", "none=1"]);
    // One host that is down does not keep the others from being told of.
    anneal.file("w.ron", workflow("exit 0"));
    std::fs::create_dir_all(anneal.folder().join("home/.ssh")).expect("a folder");
    std::fs::write(anneal.folder().join("home/.ssh/id_ed25519"), "no key").expect("a file");
    let ended = plan(1, &["--host", "m=root@127.0.0.1:1"]);
    ended.says(&[
        "✓ a",
        "is already so",
        "cannot tell: m-2 (root@127.0.0.1:1) cannot be reached",
        "1 cannot be told, 1 already so",
    ]);
}

#[test]
fn being_stopped_ends_it_and_probes_have_their_timeout() {
    let anneal = Anneal::new();
    let began = anneal.folder().join("began");
    let probe = |timeout: &str| {
        format!(
            "Workflow(name: \"w\", roles: {{ \"m\": One }}, steps: [Step(id: \"a\", on: \"m\", timeout: \"{timeout}\", env: {{ \"PREVIEW_MARK\": \"{0}\" }}, \
             probe: Shell(\"touch {0}; sleep 600\"), do: Run([\"true\"]))])",
            began.display()
        )
    };
    anneal.file("w.ron", probe("1s"));
    anneal
        .expect(1, ["plan", "w.ron", "--host", "m=local"])
        .says(&["cannot tell", "did not end within 1 s and was killed"]);
    std::fs::remove_file(&began).expect("it began");
    anneal.file("w.ron", probe("10m"));
    let running = anneal.start(["plan", "w.ron", "--host", "m=local"]);
    until("the probe to begin", SOON, || began.exists().then_some(()));
    running.interrupt();
    let ended = running.wait(SOON);
    ended.must_be(1);
    ended.says(&["stopped before all hosts had answered; nothing was changed"]);
    // What the probe ran has ended too.
    assert_eq!(marked(&began), Vec::<String>::new());
}

/// All of a host's files but those that its own services, a login and a clock change.
fn files_of(host: &Host) -> String {
    host.sh(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /var/log -o -path /var/lib/systemd \
         -o -path /home/ubuntu/.cache \\) -prune -o -printf '%p %y %m %U:%G %T@ %C@ %s\\n' | sort",
    )
}

#[test]
fn registry_install_is_previewed_on_a_bare_machine_and_on_an_installed_one() {
    let host = Host::up("preview", Flavour::Bare);
    let anneal = Anneal::new().with_env("REG_PASSWORD", "ubuntu");
    let inventory = format!(
        "Inventory(hosts: {{ \"reg\": Ssh(address: \"{}\", user: \"ubuntu\", password: Env(\"REG_PASSWORD\")) }}, roles: {{ \"registry\": [\"reg\"] }})",
        host.address()
    );
    anneal.file("inv.ron", inventory);
    let image = format!("image={}", archive().display());
    let with = ["registry-install", "--accept-new-host-keys", "--inventory", "inv.ron", "--input", &image];
    let normal = Normal::new().text(archive().to_string_lossy(), "<ARCHIVE>").pattern(r"\d+ bytes", "<N> bytes");

    // The first login makes what logins make.
    host.sh("su ubuntu -c 'sudo -n true </dev/null' 2>/dev/null || :");
    let before = files_of(&host);
    let ended = anneal.expect(4, ["plan"].iter().chain(&with));
    assert_eq!(files_of(&host), before, "the host was changed");
    assert!(host.sh("ls -A /var/lib/anneal 2>/dev/null || :").is_empty(), "a job folder appeared");
    snapshot::check("preview/registry-install-bare", &normal.of(&ended.shown()));

    anneal.expect(0, ["run"].iter().chain(&with));
    let before = files_of(&host);
    let ended = anneal.expect(4, ["plan"].iter().chain(&with));
    assert_eq!(files_of(&host), before, "the host was changed");
    snapshot::check("preview/registry-install-installed", &normal.of(&ended.shown()));
}
