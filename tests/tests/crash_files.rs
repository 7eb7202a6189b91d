//! The engine is killed in the middle of every action on files, on this machine and on one that is reached over SSH. What it
//! goes on with is right to the byte, nothing is left beside it, and an undo puts back what was there at the beginning.

use std::path::{Path, PathBuf};

use anneal_tests::anneal::Anneal;
use anneal_tests::sshd::Sshd;
use anneal_tests::until::{LONG, until};

/// Large enough to be caught in the middle.
const BYTES: usize = 48 << 20;
/// So many files are written or patched by one step each.
const FILES: usize = 12;

struct Bench {
    anneal: Anneal,
    sshd: Sshd,
    content: Vec<u8>,
}

impl Bench {
    fn new() -> Bench {
        let mut rng = fastrand::Rng::with_seed(7);
        let content = std::iter::repeat_with(|| rng.u64(..).to_le_bytes()).take(BYTES / 8).flatten().collect();
        let bench = Bench { anneal: Anneal::new(), sshd: Sshd::start(), content };
        bench.anneal.file("large", &bench.content);
        bench
    }

    /// A folder for what a step on a role works with.
    fn folder(&self, name: &str, role: &str) -> PathBuf {
        let folder = self.anneal.folder().join(format!("{name} {role}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// Runs a step on a role until `middle` is seen in its folder, kills the engine, and goes on to the end, which is a failure
    /// of another step: so the operation can be rolled back. Gives its id.
    fn crash(&self, step: &str, role: &str, folder: &Path, middle: impl Fn(&Path) -> bool) -> String {
        let other = if role == "near" { "far" } else { "near" };
        self.anneal.file(
            "workflow.ron",
            format!(
                r#"Workflow(name: "crash", inputs: {{ "dir": Text(), "large": File() }}, roles: {{ "{role}": One, "{other}": One }}, steps: [
                    Step(id: "work", on: "{role}", {step}),
                    Step(id: "stop", on: "{other}", needs: ["work"], do: Run(["false"])),
                ])"#
            ),
        );
        let dir = folder.to_str().expect("UTF-8");
        let large = self.anneal.folder().join("work/large");
        self.anneal.file(
            "inv.ron",
            format!(
                "Inventory(hosts: {{ \"near\": Local, \"far\": {} }}, roles: {{ \"near\": [\"near\"], \"far\": [\"far\"] }},
                 inputs: {{ \"dir\": Value(\"{dir}\"), \"large\": Value(\"{}\") }})",
                self.sshd.host(),
                large.display()
            ),
        );
        let running = self.anneal.start(["run", "workflow.ron", "--inventory", "inv.ron", "--accept-new-host-keys"]);
        until("the middle of it", LONG, || middle(folder).then_some(()));
        let ended = running.kill();
        assert_eq!(ended.code, 137, "it was too late: {}", ended.all());
        let id = self.anneal.operations().pop().expect("an operation");
        // Until `stop` has failed, once.
        self.anneal.expect(1, ["resume", &id]).says(&["exit code 1"]);
        let left: Vec<String> = names(folder).into_iter().filter(|name| name.starts_with(".anneal-")).collect();
        assert_eq!(left, Vec::<String>::new(), "{role} {step}");
        id
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// A temporary file has come so far.
fn half_there(folder: &Path) -> bool {
    let large = |name: &String| {
        let meta = std::fs::metadata(folder.join(name));
        name.starts_with(".anneal-") && meta.is_ok_and(|meta| meta.len() > BYTES as u64 / 8)
    };
    names(folder).iter().any(large)
}

#[test]
fn a_large_file_is_right_after_a_crash_wherever_it_goes() {
    let bench = Bench::new();
    let steps = [
        ("upload", r#"do: Upload(from: "${{ inputs.large }}", to: "${{ inputs.dir }}/to")"#),
        ("download", r#"do: Download(from: "${{ inputs.large.path }}", to: "${{ inputs.dir }}/to")"#),
        (
            "copy",
            r#"do: Copy(from: (role: "OTHER", path: "LARGE"), to: (path: "${{ inputs.dir }}/to"), backup: true), undo: Restore"#,
        ),
    ];
    let large = bench.anneal.folder().join("work/large");
    for (name, step) in steps {
        for role in ["near", "far"] {
            let folder = bench.folder(name, role);
            std::fs::write(folder.join("to"), "original").expect("a file");
            let other = if role == "near" { "far" } else { "near" };
            let large = large.to_str().expect("UTF-8");
            let step = step.replace("OTHER", other).replace("LARGE", large).replace("${{ inputs.large.path }}", large);
            let id = bench.crash(&step, role, &folder, half_there);
            assert!(std::fs::read(folder.join("to")).expect("a file") == bench.content, "{name} {role}");
            if name == "copy" {
                bench.anneal.expect(0, ["rollback", &id]);
                assert_eq!(std::fs::read(folder.join("to")).expect("a file"), b"original", "{role}");
            }
        }
    }
}

#[test]
fn many_files_are_right_after_a_crash_and_are_put_back_as_they_were() {
    let bench = Bench::new();
    let files: String = (0..FILES)
        .map(|n| format!(r#"(to: "${{{{ inputs.dir }}}}/{n}", content: "new {n}\n", backup: true),"#))
        .collect();
    let each: String = (0..FILES).map(|n| format!("'{n}',")).collect();
    let steps = [
        ("write", format!("do: WriteFiles(files: [{files}]), undo: Restore")),
        (
            "patch",
            format!(
                r#"each: "[{each}]", parallel: 2, undo: Restore,
                   do: PatchFile(path: "${{{{ inputs.dir }}}}/${{{{ each }}}}", patch: Lines(replace: [(pattern: "^old", with: "new ${{{{ each }}}}")]))"#
            ),
        ),
    ];
    for (name, step) in &steps {
        for role in ["near", "far"] {
            let folder = bench.folder(name, role);
            for n in 0..FILES {
                std::fs::write(folder.join(n.to_string()), format!("old {n}\n")).expect("a file");
            }
            let is_new = |folder: &Path, n: usize| {
                std::fs::read(folder.join(n.to_string())).is_ok_and(|content| content.starts_with(b"new"))
            };
            let some = |folder: &Path| (0..FILES).filter(|n| is_new(folder, *n)).count() > FILES / 4;
            let id = bench.crash(step, role, &folder, some);
            let all = |word: &str| {
                for n in 0..FILES {
                    let content = std::fs::read_to_string(folder.join(n.to_string())).expect("a file");
                    assert_eq!(content, format!("{word} {n}\n"), "{name} {role}");
                }
            };
            all("new");
            bench.anneal.expect(0, ["rollback", &id]);
            all("old");
        }
    }
}
