//! Whatever is given wrong, missing, full or damaged: a clear paragraph with what to do, nothing lost, no panic.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anneal_tests::anneal::{Anneal, Ended};
use anneal_tests::binary::repository;
use anneal_tests::mounted::{Disk, Kind};
use anneal_tests::snapshot::{self, Normal};
use anneal_tests::testbed::{Flavour, Host, nobodys_address};

const ONE: &str = r#"Workflow(
    name: "one",
    roles: { "m": One },
    steps: [Step(id: "a", on: "m", do: Run(["echo", "a ran"]))],
)"#;

fn check(anneal: &Anneal, name: &str, ended: &Ended) {
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let normal = Normal::new()
        .pattern(r"lock \(os error \d+\)", "lock")
        .text(anneal.data().to_string_lossy(), "<DATA>")
        .text(anneal.folder().to_string_lossy(), "<FOLDER>")
        .text(repository(".").to_string_lossy(), "<REPOSITORY>");
    snapshot::check(&format!("bad-input/{name}"), &normal.of(&ended.shown()));
}

#[test]
fn a_file_that_is_no_workflow_is_refused_before_anything_else() {
    let anneal = Anneal::new();
    let workflow = |steps: &str| format!("Workflow(name: \"w\", roles: {{ \"m\": One }}, steps: [\n{steps}\n])\n");
    let cases: [(&str, Vec<u8>); 6] = [
        ("invalid-ron", b"Workflow(\n    name: \"w\",\n    steps: [\n        Step(id: \"a\" on: \"m\"),\n".to_vec()),
        ("empty", Vec::new()),
        ("wrong-types", workflow("    Step(id: \"a\", on: \"m\", do: Run(\"ls\"), timeout: 5, needs: \"b\"),").into()),
        ("unknown-step", workflow("    Step(id: \"a\", on: \"m\", needs: [\"runn\"], do: Run([\"ls\"])),").into()),
        (
            "cycle",
            workflow(
                "    Step(id: \"a\", on: \"m\", needs: [\"b\"], do: Run([\"ls\"])),\n    \
                 Step(id: \"b\", on: \"m\", needs: [\"a\"], do: Run([\"ls\"])),",
            )
            .into(),
        ),
        ("binary", (0..=255).cycle().skip(128).take(4096).collect()),
    ];
    for (name, bytes) in cases {
        anneal.file("w.ron", bytes);
        let ended = anneal.expect(2, ["run", "w.ron", "--host", "m=local"]);
        check(&anneal, name, &ended);
    }
    check(&anneal, "missing-file", &anneal.expect(2, ["run", "nothing.ron", "--host", "m=local"]));
    check(&anneal, "folder", &anneal.expect(2, ["run", ".", "--host", "m=local"]));
    assert!(!anneal.data().exists(), "a store was made for nothing");
}

#[test]
fn elements_that_are_no_names_of_nodes_are_refused_before_there_is_an_operation() {
    let anneal = Anneal::new();
    let step = r#"Step(id: "a", on: "m", each: "inputs.l", do: Run(["echo", "${{ each }}"]))"#;
    let inputs = r#"inputs: { "l": List(of: Text) }"#;
    anneal.file("w.ron", format!(r#"Workflow(name: "w", {inputs}, roles: {{ "m": One }}, steps: [{step}])"#));
    let given = |list: &str| anneal.expect(2, ["run", "w.ron", "--host", "m=local", "--input", &format!("l={list}")]);
    check(&anneal, "each-twice", &given("[\"a\",\"a\"]"));
    check(&anneal, "each-empty", &given("[\"a\",\"\"]"));
    assert_eq!(anneal.expect(0, ["ops", "--json"]).stdout.trim(), "[]");
}

#[test]
fn inputs_and_inventories_that_do_not_fit_are_refused() {
    let anneal = Anneal::new();
    anneal.file("one.ron", ONE);
    anneal.file("inv.ron", "Inventory(\n    hosts: { \"a\": Ssh(address: \"192.0.2.1\", passwort: Env(\"P\")) },\n)\n");
    anneal.file("garbage.ron", [0xff, 0x00, 0xfe]);
    check(&anneal, "inventory-field", &anneal.expect(2, ["run", "one.ron", "--inventory", "inv.ron"]));
    check(&anneal, "inventory-binary", &anneal.expect(2, ["run", "one.ron", "--inventory", "garbage.ron"]));
    check(&anneal, "inventory-missing", &anneal.expect(2, ["run", "one.ron", "--inventory", "none.ron"]));
    check(&anneal, "no-host", &anneal.expect(2, ["run", "one.ron"]));
    check(&anneal, "no-login", &anneal.expect(2, ["run", "one.ron", "--host", "m=ubuntu@192.0.2.1"]));
    check(
        &anneal,
        "unknown-input",
        &anneal.expect(2, ["run", "hello", "--host", "machine=local", "--input", "nmae=x"]),
    );
    check(
        &anneal,
        "input-type",
        &anneal.expect(2, ["run", "hello", "--host", "machine=local", "--input", "seconds=soon"]),
    );
    check(
        &anneal,
        "input-range",
        &anneal.expect(2, ["run", "hello", "--host", "machine=local", "--input", "seconds=0"]),
    );
    check(
        &anneal,
        "input-file",
        &anneal.expect(2, ["run", "registry-install", "--host", "registry=local", "--input", "image=none.tar"]),
    );
    check(
        &anneal,
        "password-on-the-command-line",
        &anneal.expect(2, ["run", "one.ron", "--host", "m=ubuntu:hunter22@192.0.2.1"]),
    );
    assert!(!anneal.data().exists(), "a store was made for nothing");
}

const KEY_INVENTORY: &str = r#"Inventory(
    hosts: { "m": Ssh(address: "ADDRESS", port: PORT, user: "ubuntu", password: Env("PASSWORD")) },
)"#;

/// Runs a workflow whose one step needs the host.
fn on_host(anneal: &Anneal, address: &str, port: u16, more: &[&str]) -> Ended {
    anneal.file("one.ron", ONE);
    anneal.file("inv.ron", KEY_INVENTORY.replace("ADDRESS", address).replace("PORT", &port.to_string()));
    anneal.run(["run", "one.ron", "--inventory", "inv.ron"].iter().chain(more))
}

#[test]
fn a_host_that_cannot_be_logged_in_to_is_named_with_what_to_do() {
    let mut host = Host::up("login", Flavour::Bare);
    let right = Anneal::new().with_env("PASSWORD", "ubuntu");
    let wrong = Anneal::new().with_env("PASSWORD", "Wr0ng-canary-Passw0rd");
    let accept = ["--accept-new-host-keys"];

    let ended = on_host(&right, &nobodys_address(), 22, &accept);
    check(&right, "host-unreachable", &ended);
    let ended = on_host(&right, host.address(), 2222, &accept);
    check(&right, "host-port-stopped", &ended);
    let ended = on_host(&right, host.address(), 22, &[]);
    check(&right, "host-key-unknown", &ended);
    let ended = on_host(&wrong, host.address(), 22, &accept);
    assert!(!ended.all().contains("Wr0ng-canary-Passw0rd"));
    check(&wrong, "host-wrong-password", &ended);

    // Mended, a failed operation goes on: the key is known now.
    let ended = on_host(&right, host.address(), 22, &accept);
    ended.must_be(0);
    let ids = right.operations();
    right.expect(0, ["resume", &ids[2]]).says(&["completed"]);

    host.replace();
    let ended = on_host(&right, host.address(), 22, &accept);
    check(&right, "host-key-changed", &ended);
    assert_eq!(right.operations().len(), 5, "an operation is missing");
}

#[test]
fn a_full_disk_on_the_host_stops_the_step_and_is_mended() {
    let host = Host::up("full", Flavour::Bare);
    let anneal = Anneal::new().with_env("PASSWORD", "ubuntu");
    let jobs = "/home/ubuntu/.local/state/anneal";
    host.sh(&format!(
        "mkdir -p {jobs} /srv/small && mount -t tmpfs -o size=64k tmpfs {jobs} && chown ubuntu {jobs} && \
         mount -t tmpfs -o size=64k tmpfs /srv/small && chown ubuntu /srv/small && dd if=/dev/zero of={jobs}/fill bs=1k 2>/dev/null; :"
    ));
    let ended = on_host(&anneal, host.address(), 22, &["--accept-new-host-keys"]);
    check(&anneal, "host-disk-full-jobs", &ended);
    let id = anneal.operations().pop().expect("an operation");
    host.sh(&format!("rm {jobs}/fill"));
    anneal.expect(0, ["resume", &id]);
    assert_eq!(anneal.expect(0, ["logs", &id, "a"]).stdout, "a ran\n");

    anneal.file("big", vec![7; 200_000]);
    anneal.file(
        "upload.ron",
        r#"Workflow(name: "upload", inputs: { "file": File() }, roles: { "m": One },
            steps: [Step(id: "up", on: "m", do: Upload(from: "${{ inputs.file }}", to: "/srv/small/big"))])"#,
    );
    let ended = anneal.run(["run", "upload.ron", "--inventory", "inv.ron", "--input", "file=big"]);
    check(&anneal, "host-disk-full-upload", &ended);
    let id = anneal.operations().pop().expect("an operation");
    assert_eq!(host.sh("ls -A /srv/small"), "", "something is left of the upload");
    host.sh("mount -o remount,size=1m /srv/small");
    anneal.expect(0, ["resume", &id]);
    assert_eq!(host.sh("stat -c %s /srv/small/big"), "200000\n");
}

#[test]
fn a_full_disk_here_loses_nothing_and_is_mended() {
    let anneal = Anneal::new();
    let disk = Disk::over(anneal.data(), Kind::Tmpfs, "64m");
    anneal.file("one.ron", ONE);
    anneal.expect(0, ["run", "one.ron", "--host", "m=local"]);
    // Not a byte is left.
    let fill = anneal.data().join("fill");
    let mut file = fs::File::create(&fill).expect("a file");
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|bytes| bytes > 0) {}
    drop(file);
    let ended = anneal.run(["run", "one.ron", "--host", "m=local"]);
    assert_ne!(ended.code, 0);
    // Whether the index could be written or has to be made again is a matter of bytes.
    let stderr = ended.stderr.lines().filter(|line| !line.starts_with("note: rebuilt the index"));
    let stderr = stderr.map(|line| format!("{line}\n")).collect();
    check(&anneal, "disk-full-here", &Ended { stderr, ..ended });
    let before = anneal.expect(0, ["ops"]);
    before.says(&["COMPLETED"]);
    fs::remove_file(&fill).expect("a file");
    anneal.expect(0, ["run", "one.ron", "--host", "m=local"]);
    let list = anneal.json(["ops", "--json"]);
    let states: Vec<&str> =
        list.as_array().expect("a list").iter().map(|one| one["state"].as_str().expect("a state")).collect();
    assert_eq!(states, ["COMPLETED", "COMPLETED"]);
    drop(disk);
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let anneal = Anneal::new();
    let disk = Disk::over(anneal.data(), Kind::Tmpfs, "64m");
    anneal.file("one.ron", ONE);
    anneal.expect(0, ["run", "one.ron", "--host", "m=local"]);
    disk.remount("ro");
    let ended = anneal.run(["ops"]);
    assert_ne!(ended.code, 0);
    check(&anneal, "data-read-only", &ended);
    disk.remount("rw");
    anneal.expect(0, ["ops"]).says(&["COMPLETED"]);
}

#[test]
fn a_data_folder_held_by_a_process_that_does_not_answer_is_named() {
    let anneal = Anneal::new();
    anneal.file("one.ron", ONE);
    anneal.expect(0, ["run", "one.ron", "--host", "m=local"]);
    let lock = fs::OpenOptions::new().write(true).mode(0o600).open(anneal.data().join("lock")).expect("a lock");
    lock.lock().expect("the lock");
    let ended = anneal.run(["ops"]);
    assert_ne!(ended.code, 0);
    check(&anneal, "held", &ended);
    drop(lock);
    anneal.expect(0, ["ops"]);
}

/// A store with two operations: the first completed, the second failed and still to be resumed.
struct Stored {
    anneal: Anneal,
    first: String,
    second: String,
    mend: PathBuf,
}

impl Stored {
    fn new() -> Stored {
        let anneal = Anneal::new();
        let workflow = repository("tests/workflows/mend.ron").to_string_lossy().into_owned();
        let run = |file: &Path, code| {
            anneal.expect(
                code,
                ["run", &workflow, "--host", "machine=local", "--input", &format!("file={}", file.display())],
            );
            anneal.operations().pop().expect("an operation")
        };
        let here = anneal.file("here", "here\n");
        let mend = anneal.folder().join("work/mend");
        let (first, second) = (run(&here, 0), run(&mend, 1));
        Stored { anneal, first, second, mend }
    }

    /// The second operation can still be resumed.
    fn second_goes_on(&self) {
        fs::write(&self.mend, "mended\n").expect("a file");
        assert_eq!(self.anneal.expect(0, ["resume", &self.second]).stdout, "text = mended\n");
    }

    fn data(&self, path: &str) -> PathBuf {
        self.anneal.data().join(path)
    }
}

#[test]
fn a_lost_manifest_is_named_and_nothing_is_guessed() {
    let stored = Stored::new();
    let aside = stored.anneal.folder().join("aside");
    fs::rename(stored.data("MANIFEST"), &aside).expect("a file");
    let ended = stored.anneal.expect(1, ["ops"]);
    check(&stored.anneal, "lost-manifest", &ended);
    fs::rename(&aside, stored.data("MANIFEST")).expect("a file");
    stored.second_goes_on();
}

#[test]
fn a_lost_log_segment_is_named_and_nothing_is_guessed() {
    let stored = Stored::new();
    let aside = stored.anneal.folder().join("aside");
    fs::rename(stored.data("log/1/00000001.log"), &aside).expect("a file");
    let ended = stored.anneal.expect(1, ["ops"]);
    check(&stored.anneal, "lost-segment", &ended);
    fs::rename(&aside, stored.data("log/1/00000001.log")).expect("a file");
    stored.second_goes_on();
}

#[test]
fn a_lost_index_is_made_again() {
    let stored = Stored::new();
    fs::remove_dir_all(stored.data("index")).expect("a folder");
    let ended = stored.anneal.expect(0, ["ops"]);
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
    check(&stored.anneal, "lost-index", &Ended { stdout: String::new(), ..ended });
    stored.second_goes_on();
}

#[test]
fn a_lost_key_is_named_and_can_be_put_back() {
    let stored = Stored::new();
    let aside = stored.anneal.folder().join("aside");
    fs::rename(stored.data("key"), &aside).expect("a file");
    let ended = stored.anneal.expect(0, ["ops"]);
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
    check(&stored.anneal, "lost-key", &Ended { stdout: String::new(), ..ended });
    // What has secrets cannot begin, and says so.
    stored.anneal.file("secret.ron", SECRET);
    stored.anneal.file("secret-inv.ron", "Inventory(hosts: { \"m\": Local }, inputs: { \"word\": File(\"word\") })");
    stored.anneal.file("word", "a-secret-word");
    let ended = stored.anneal.run(["run", "secret.ron", "--inventory", "secret-inv.ron"]);
    assert!(!ended.all().contains("a-secret-word"));
    assert_eq!(ended.code, 1);
    check(&stored.anneal, "lost-key-run", &ended);
    fs::rename(&aside, stored.data("key")).expect("a file");
    stored.second_goes_on();
}

const SECRET: &str = r#"Workflow(
    name: "secret",
    inputs: { "word": Text(secret: true) },
    roles: { "m": One },
    steps: [Step(id: "a", on: "m", do: Shell("echo $WORD"), env: { "WORD": "${{ inputs.word }}" })],
)"#;

#[test]
fn a_newer_format_is_left_alone() {
    let stored = Stored::new();
    let manifest = fs::read_to_string(stored.data("MANIFEST")).expect("a manifest");
    fs::write(stored.data("MANIFEST"), manifest.replace("anneal-store 2", "anneal-store 9")).expect("a manifest");
    let ended = stored.anneal.expect(1, ["ops"]);
    check(&stored.anneal, "newer-format", &ended);
    fs::write(stored.data("MANIFEST"), manifest).expect("a manifest");
    stored.second_goes_on();
}

#[test]
fn a_damaged_operation_is_quarantined_and_the_others_go_on() {
    let stored = Stored::new();
    let log = stored.data("log/1/00000001.log");
    let mut bytes = fs::read(&log).expect("a log");
    // A byte inside the first operation's success of `look`.
    let at = bytes.windows(10).position(|window| window == b"\"succeeded").expect("a success in the log");
    bytes[at + 3] ^= 0x20;
    fs::write(&log, &bytes).expect("a log");
    let anneal = &stored.anneal;
    let ended = anneal.expect(0, ["ops"]);
    check(anneal, "damaged-ops", &ended);
    let ended = anneal.expect(1, ["show", &stored.first]);
    check(anneal, "damaged-show", &ended);
    anneal.expect(1, ["resume", &stored.first]).says(&["damaged", "the other operations are not touched"]);
    anneal.expect(1, ["logs", &stored.first]).says(&["damaged"]);
    anneal.expect(0, ["show", &stored.second]);
    stored.second_goes_on();
    // Without the index it is the same.
    fs::remove_dir_all(stored.data("index")).expect("a folder");
    anneal.expect(0, ["ops"]).says(&["QUARANTINED", "COMPLETED"]);
    anneal.expect(1, ["show", &stored.first]).says(&["damaged"]);
    anneal.expect(0, ["show", &stored.second]).says(&["COMPLETED"]);
}
