//! Actions on files, from the workflow to the host and back, by an engine with a store of its own on this machine.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which may panic as tests do")]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use dsl::value::FileRef;
use dsl::{Files, Given, GivenValue, Origin, Source};
use engine::operation::{Life, ReachRecord};
use engine::runner::Options;
use engine::{Create, Engine, HostSpec, IfLocked};
use store::Secret;
use uuid::Uuid;

/// The one template of the workflows here.
struct Template(&'static str);

impl Files for Template {
    fn asset(&self, path: &str) -> Result<Vec<u8>, String> {
        if path == "app.j2" { Ok(self.0.as_bytes().to_vec()) } else { Err("no such file".to_owned()) }
    }

    fn file(&self, _: &str) -> Result<FileRef, String> {
        Err("no such file".to_owned())
    }

    fn secret_file(&self, _: &str) -> Result<String, String> {
        Err("no such file".to_owned())
    }
}

/// A workflow of these steps, with the inputs `folder` and the secret `password`, ready to be run.
fn create(steps: &str, template: &'static str, folder: &Path, password: &str) -> Create {
    let text = format!(
        r#"Workflow(name: "files", roles: {{ "m": One }}, steps: [{steps}],
            inputs: {{ "folder": Text(), "password": Text(secret: true), "names": List(of: Text, default: ["a", "b"]) }})"#
    );
    let source = Source { name: "files.ron".to_owned(), text };
    let checked = dsl::check(&source, &Template(template));
    let shown: Vec<String> = checked.diagnostics.iter().map(|d| d.render(&source, false)).collect();
    let workflow = checked.workflow.unwrap_or_else(|| panic!("{}", shown.join("\n")));
    let value = |text: &str| GivenValue { text: text.to_owned(), origin: Origin::Elsewhere };
    let given = Given {
        inputs: [("folder", folder.to_str().unwrap()), ("password", password)]
            .map(|(name, text)| (name.to_owned(), value(text)))
            .into(),
        roles: [("m".to_owned(), vec!["here".to_owned()])].into(),
    };
    let compiled = workflow.compile(&given, &Template(template)).unwrap();
    Create {
        id: Uuid::now_v7(),
        plan: compiled.plan,
        assets: compiled.assets,
        hosts: BTreeMap::from([("here".to_owned(), HostSpec::new(ReachRecord::Local))]),
        secrets: compiled.secrets.into_iter().map(|(name, text)| (name, Secret::from(text.into_exposed()))).collect(),
        by: "test".to_owned(),
        if_locked: IfLocked::Refuse,
    }
}

fn open(folder: &Path) -> Engine {
    let mut options = Options::new(folder);
    options.home = None;
    Engine::open(options).unwrap().0
}

async fn run(engine: &Engine, create: Create) -> Life {
    let id = engine.create(create).await.unwrap();
    engine.idle().await;
    engine.load(id).await.unwrap().life
}

/// Whether any file below has these bytes in it.
fn holds(folder: &Path, what: &str) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, what);
        }
        std::fs::read(&path).is_ok_and(|bytes| bytes.windows(what.len()).any(|window| window == what.as_bytes()))
    })
}

const TEMPLATE: &str = "# {{ name }}\n{% for n in names %}{{ n|upper }} = {{ port + loop.index }}\n{% endfor %}password = {{ password }}\n";

#[tokio::test]
async fn a_template_with_a_secret_arrives_and_nothing_of_it_stays_behind() {
    let (data, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let canary = "canary 'of\" the\\files";
    let steps = r#"
        Step(id: "port", on: "m", do: Run(["echo", "80"]), out: { "port": Stdout(type: Port) }),
        Step(id: "write", on: "m", do: WriteFiles(files: [
            (to: "${{ inputs.folder }}/app.conf", template: "app.j2", vars: {
                "name": "on ${{ host.name }}", "names": "${{ inputs.names }}", "port": "${{ steps.port.out.port }}",
                "password": "${{ inputs.password }}",
            }),
            (to: "${{ inputs.folder }}/public", content: "${{ steps.port.out.port }}\n"),
        ])),
        Step(id: "read", on: "m", needs: ["write"], do: Shell("cat \"$FOLDER/app.conf\""), env: { "FOLDER": "${{ inputs.folder }}" })"#;
    let engine = open(data.path());
    let life = run(&engine, create(steps, TEMPLATE, to.path(), canary)).await;
    assert!(matches!(life, Life::Completed { .. }), "{life:?}");
    let conf = to.path().join("app.conf");
    let written = std::fs::read_to_string(&conf).unwrap();
    assert_eq!(written, format!("# on here\nA = 81\nB = 82\npassword = {canary}\n"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&conf), mode(&to.path().join("public"))), (0o600, 0o644), "a secret is for its owner only");
    engine.close().await.unwrap();
    assert!(!holds(data.path(), canary), "neither in the journal nor in the output of the step that read it");
}

#[tokio::test]
async fn a_rollback_puts_files_back_and_all_are_looked_at_first() {
    let (data, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (old, new) = (to.path().join("old"), to.path().join("new"));
    std::fs::write(&old, "as it was").unwrap();
    let steps = r#"
        Step(id: "write", on: "m", undo: Restore, do: WriteFiles(files: [
            (to: "${{ inputs.folder }}/old", content: "${{ inputs.password }}", backup: true),
            (to: "${{ inputs.folder }}/new", content: "new", backup: true),
        ])),
        Step(id: "both", on: "m", needs: ["write"], do: Shell("[ -e \"$FOLDER/new\" ] && grep -q secret \"$FOLDER/old\""),
            env: { "FOLDER": "${{ inputs.folder }}" }),
        Step(id: "fail", on: "m", needs: ["both"], on_failure: Rollback, do: WriteFiles(files: [
            (to: "${{ inputs.folder }}/never", content: "x"),
            (to: "${{ inputs.folder }}", content: "a folder is no file"),
        ]))"#;
    let engine = open(data.path());
    let create = create(steps, "", to.path(), "a long secret");
    let id = create.id;
    let life = run(&engine, create).await;
    assert!(matches!(life, Life::RolledBack), "{life:?}");
    let entries = engine.entries(id, 0, 1_000).await.unwrap();
    let succeeded =
        |step: &str| format!("{entries:?}").contains(&format!("Succeeded {{ node: NodeId {{ step: \"{step}\""));
    assert!(succeeded("both"), "{entries:?}");
    assert_eq!(std::fs::read(&old).unwrap(), b"as it was");
    assert!(!new.exists());
    assert!(!to.path().join("never").exists(), "the other file of the step could not be written");
    engine.close().await.unwrap();
}

#[tokio::test]
async fn a_patched_file_keeps_the_rest_and_one_that_cannot_be_read_is_not_touched() {
    let (data, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = |name: &str| to.path().join(name);
    std::fs::write(file("a.json"), "{ \"keep\": 1.50 }\n").unwrap();
    std::fs::write(file("a.toml"), "# head\nkeep = 1 # why\n").unwrap();
    std::fs::write(file("broken.json"), "{\n  \"a\": 1,\n}\n").unwrap();
    let canary = "canary-patch-55";
    let patch = |path: &str, patch: &str| {
        format!(r#"do: PatchFile(path: "${{{{ inputs.folder }}}}/{path}", patch: {patch}, create: true)"#)
    };
    let steps = [
        format!(
            r#"Step(id: "json", on: "m", undo: Restore, {})"#,
            patch("a.json", r#"Json(merge: { "token": "${{ inputs.password }}", "names": "${{ inputs.names }}" })"#)
        ),
        format!(
            r#"Step(id: "toml", on: "m", undo: Restore, {})"#,
            patch("a.toml", r#"Toml(merge: { "more": { "x": true } })"#)
        ),
        format!(
            r#"Step(id: "lines", on: "m", undo: Restore, {})"#,
            patch("new", r#"Lines(ensure: ["on ${{ host.name }}"])"#)
        ),
    ];
    let engine = open(data.path());
    let life = run(&engine, create(&steps.join(","), "", to.path(), canary)).await;
    assert!(matches!(life, Life::Completed { .. }), "{life:?}");
    let read = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    let json = format!("{{ \"keep\": 1.50, \"token\": \"{canary}\", \"names\": [\"a\", \"b\"] }}\n");
    assert_eq!(read("a.json"), json);
    assert_eq!(read("a.toml"), "# head\nkeep = 1 # why\n\n[more]\nx = true\n");
    assert_eq!(read("new"), "on here\n");
    let touched = |name: &str| {
        let meta = std::fs::metadata(file(name)).unwrap();
        (meta.ino(), meta.mtime_nsec())
    };
    let before = touched("a.json");

    // Once more: nothing to do; and then a file that is no JSON, which takes the others back with it.
    let broken = format!(
        r#"Step(id: "broken", on: "m", needs: ["lines"], on_failure: Rollback, {})"#,
        patch("broken.json", r#"Json(merge: { "a": 2 })"#)
    );
    let again = create(&format!("{},{broken}", steps.join(",")), "", to.path(), canary);
    let id = again.id;
    std::fs::write(file("a.toml"), "keep = 2\n").unwrap();
    let life = run(&engine, again).await;
    assert!(matches!(life, Life::RolledBack), "{life:?}");
    let journal = format!("{:?}", engine.entries(id, 0, 1_000).await.unwrap());
    assert!(journal.contains("cannot be read as JSON: line 3, column 1"), "{journal}");
    assert_eq!(read("broken.json"), "{\n  \"a\": 1,\n}\n");
    assert_eq!(touched("a.json"), before, "what was so already is neither written nor put back");
    assert_eq!((read("a.toml"), read("new")), ("keep = 2\n".to_owned(), "on here\n".to_owned()));
    engine.close().await.unwrap();
    assert!(!holds(data.path(), canary));
}
