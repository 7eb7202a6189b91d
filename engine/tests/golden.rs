//! Golden journals: what every format wrote is read, means what it meant, and goes on; what a later one would write is left
//! alone. `docs/formats.md` has the rules, `golden/README.md` how the files are made.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which may panic as tests do")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dsl::plan::Plan;
use engine::operation::{
    Activity, Alone, Decision, Driver, Effect, Entry, Event, Failure, FailureClass, Input, JOURNAL_FORMAT, Life,
    NodeId, NodeOutcome, NodeState, OLDEST_FORMAT, Operation, Rest, Verb, World, replay,
};
use engine::runner::{Context, Executor, Options, Reporter, Task};
use engine::{Engine, Kind, journal};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use store::{Batch, Digest, Store};
use tempfile::TempDir;
use uuid::Uuid;

/// How long an operation whose steps answer at once may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct Golden {
    format: u32,
    name: String,
    plan: Arc<Plan>,
    lines: Vec<String>,
    entries: Vec<Entry>,
}

fn folder(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format.to_string())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The journals of every format that this build reads.
fn golden() -> Vec<Golden> {
    let mut all = Vec::new();
    for format in OLDEST_FORMAT..=JOURNAL_FORMAT {
        let before = all.len();
        for file in std::fs::read_dir(folder(format)).unwrap() {
            let path = file.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            let Some(name) = file.strip_suffix(".journal.json") else { continue };
            let lines: Vec<String> = read(&path).lines().map(str::to_owned).collect();
            let decoded =
                lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}: {error}")));
            let plan = read(&path.with_file_name(format!("{name}.plan.json")));
            let plan = Plan::from_json(plan.as_bytes()).unwrap_or_else(|error| panic!("the plan of {file}: {error}"));
            all.push(Golden { format, name: name.to_owned(), plan: Arc::new(plan), entries: decoded.collect(), lines });
        }
        assert!(all.len() > before, "format {format} has golden journals");
    }
    all
}

/// What people and later steps can see of an operation, in words that no change of our types changes.
fn state(operation: &Operation) -> String {
    let life = match &operation.life {
        Life::Processing(activity) => format!("processing: {}", about(activity)),
        Life::RollingBack(activity) => format!("rolling back: {}", about(activity)),
        Life::Finishing { activity, .. } => format!("finishing: {}", about(activity)),
        Life::Completed { outputs } => format!("completed: {}", json!(outputs)),
        Life::FailedTemp { reason } => format!("stopped: {}", json!(reason)),
        Life::Failed { why } => format!("failed: {why}"),
        Life::RolledBack => "rolled back".to_owned(),
    };
    let mut text = format!("format {}, {} entries\n{life}\n", operation.format, operation.seq);
    for node in &operation.nodes {
        let (id, word) = (&node.id, node.state.word());
        write!(text, "{id}: {word}, attempts {}, tries {}", node.attempts, node.tries).unwrap();
        if let NodeState::Succeeded(done) = &node.state
            && !done.out.is_empty()
        {
            write!(text, ", out {}", json!(done.out)).unwrap();
        }
        text.push('\n');
    }
    text
}

fn about(activity: &Activity) -> String {
    match activity {
        Activity::Queued => "queued".to_owned(),
        Activity::Active => "active".to_owned(),
        Activity::Pausing { by, why } => format!("pausing, asked by {by}: {why}"),
        Activity::Paused { by, why } => format!("paused by {by}: {why}"),
        Activity::Cancelling { mode, by, why } => format!("cancelling ({}), asked by {by}: {why}", json!(mode)),
    }
}

#[test]
fn every_journal_replays_to_the_state_that_it_had() {
    let update = std::env::var_os("UPDATE").is_some();
    for Golden { format, name, plan, entries, .. } in golden() {
        let mut operation = Operation::create(plan, &entries[0]).unwrap_or_else(|why| panic!("{format}/{name}: {why}"));
        for entry in &entries[1..] {
            operation.apply(entry).unwrap_or_else(|why| panic!("{format}/{name}: {why}"));
            operation.check().unwrap_or_else(|why| panic!("{format}/{name}, after entry {}: {why}", entry.seq));
        }
        assert_eq!(operation.format, format, "{name}");
        let (path, is) = (folder(format).join(format!("{name}.state")), state(&operation));
        // What an older format means never changes; a state of it is written down once.
        if update && (format == JOURNAL_FORMAT || !path.exists()) {
            std::fs::write(&path, &is).unwrap();
        }
        assert_eq!(is, read(&path), "{}", path.display());
    }
}

#[test]
fn the_newest_format_is_written_as_it_was_read() {
    for Golden { format, name, lines, entries, .. } in golden() {
        for (line, entry) in lines.iter().zip(&entries).filter(|_| format == JOURNAL_FORMAT) {
            assert_eq!(&serde_json::to_string(entry).unwrap(), line, "{name}");
        }
        // An older one may come out with more in it, but says the same.
        for entry in &entries {
            let again = serde_json::to_string(entry).unwrap();
            assert_eq!(&serde_json::from_str::<Entry>(&again).unwrap(), entry, "{format}/{name}");
        }
    }
}

#[test]
fn an_engine_can_take_over_after_any_entry() {
    for Golden { format, name, plan, entries, .. } in golden() {
        for length in 1..=entries.len() {
            let (at, prefix) = (format!("{format}/{name}, cut after entry {length}"), &entries[..length]);
            let operation = replay(Arc::clone(&plan), prefix).unwrap_or_else(|why| panic!("{at}: {why}"));
            let mut driver = Driver::new(operation, 1);
            let now_ms = prefix[length - 1].at_ms;
            let mut world = World { now_ms, jitter: &mut || 0.5, places: &mut Alone, records: &Alone };
            // Its locks are the operation's own: it had them when the journal was written.
            let inputs = vec![Input::Locked, Input::Go];
            let decision = driver.decide(inputs, &mut world).unwrap_or_else(|why| panic!("{at}: {why}"));
            assert_ne!(decision.rest, Rest::Stuck, "{at}");
            driver.operation().check().unwrap_or_else(|why| panic!("{at}: {why}"));
            let whole = prefix.iter().chain(&decision.entries);
            assert_eq!(replay(Arc::clone(&plan), whole).as_ref(), Ok(driver.operation()), "{at}");
        }
    }
}

/// Answers at once: what `half` does fails, all else succeeds.
#[derive(Default)]
struct AtOnce(Mutex<Vec<(Uuid, String)>>);

impl AtOnce {
    fn asked_of(&self, id: Uuid) -> Vec<String> {
        self.0.lock().unwrap().iter().filter(|(of, _)| *of == id).map(|(_, what)| what.clone()).collect()
    }
}

impl Executor for AtOnce {
    fn perform(&self, context: Arc<Context>, task: Task, _: Reporter) -> BoxFuture<'static, Option<NodeOutcome>> {
        let (what, fails) = match &task.effect {
            Effect::Do { node, attempt } => (format!("do {node} {attempt}"), node.step == "half"),
            Effect::Undo { node, attempt } => (format!("undo {node} {attempt}"), false),
            Effect::Reattach { node, attempt, .. } => (format!("reattach {node} {attempt}"), false),
            other => (format!("{other:?}"), false),
        };
        self.0.lock().unwrap().push((context.id, what));
        let failure = || Failure { class: FailureClass::Exit(1), message: "it failed".to_owned(), hint: None };
        let outcome = match fails {
            true => NodeOutcome::Failed { failure: failure(), output: None },
            false => NodeOutcome::Succeeded { out: BTreeMap::new(), changed: true, output: None },
        };
        Box::pin(std::future::ready(Some(outcome)))
    }
}

/// A copy of the data folder that a build of format 1 left.
fn old_data() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let archive = folder(1).join("data.tar.gz");
    let unpacked = Command::new("tar").arg("-C").arg(copy.path()).arg("-xzf").arg(archive).status().unwrap();
    assert!(unpacked.success());
    copy
}

fn open(data: &Path) -> (Engine, Arc<AtOnce>) {
    let executor = Arc::new(AtOnce::default());
    let mut options = Options::new(data);
    options.home = None;
    options.executor = Arc::<AtOnce>::clone(&executor);
    (Engine::open(options).unwrap().0, executor)
}

async fn ids(engine: &Engine) -> BTreeMap<String, Uuid> {
    engine.list().await.unwrap().into_iter().map(|summary| (summary.workflow, summary.id)).collect()
}

/// Waits until the life of an operation is as it should be.
async fn until(engine: &Engine, id: Uuid, is: impl Fn(&Life) -> bool) {
    // Watched before it is looked at: what changes between the two is heard of, and one that nobody works on stays as it is.
    let work = async {
        while let Some(mut seen) = engine.watch(id) {
            seen.mark_unchanged();
            if is(&engine.load(id).await.unwrap().life) {
                return true;
            }
            // Where the sender has gone, nobody works on it any more.
            let _ = seen.changed().await;
        }
        is(&engine.load(id).await.unwrap().life)
    };
    if tokio::time::timeout(PATIENCE, work).await != Ok(true) {
        panic!("it stays as it is: {}", state(&engine.load(id).await.unwrap()));
    }
}

fn completed(life: &Life) -> bool {
    matches!(life, Life::Completed { .. })
}

#[tokio::test]
async fn operations_of_the_first_format_go_on_to_their_end() {
    let data = old_data();
    let (engine, executor) = open(data.path());
    let ids = ids(&engine).await;
    let old: BTreeMap<String, Golden> =
        golden().into_iter().filter(|golden| golden.format == 1).map(|golden| (golden.name.clone(), golden)).collect();
    assert!(ids.keys().eq(old.keys()), "the folder has what the journals beside it tell");
    for (name, id) in &ids {
        let expected = read(&folder(1).join(format!("{name}.state")));
        assert_eq!(state(&engine.load(*id).await.unwrap()), expected, "{name}");
    }
    let token = engine.store().sealed().read(&ids["killed"]).unwrap().expect("its secrets");
    assert_eq!(token.len(), 1, "the sealed secrets of the first format are read");

    assert!(engine.recover().await.unwrap().left.is_empty());
    until(&engine, ids["killed"], completed).await;
    assert_eq!(executor.asked_of(ids["killed"]), ["reattach long@here 1", "do last@here 1"]);
    until(&engine, ids["half-done"], |life| *life == Life::RolledBack).await;
    let asked = executor.asked_of(ids["half-done"]);
    assert_eq!(asked, ["do half@machine 2", "undo make@machine 2"], "format 1 let be what failed attempts left");

    let long: NodeId = serde_json::from_value(json!("long@here")).unwrap();
    let decisions = BTreeMap::from([(long, Decision::Done)]);
    for (name, decisions) in [("unknown", decisions), ("failed", BTreeMap::new()), ("undo-failed", BTreeMap::new())] {
        engine.verb(ids[name], Verb::Resume { decisions }, "test", "").await.unwrap();
    }
    until(&engine, ids["unknown"], completed).await;
    until(&engine, ids["failed"], completed).await;
    until(&engine, ids["undo-failed"], |life| *life == Life::RolledBack).await;
    assert_eq!(executor.asked_of(ids["undo-failed"]), ["undo stuck@machine 3", "undo make@machine 2"]);

    for (name, Golden { entries, .. }) in &old {
        let now = engine.entries(ids[name], 0, 10_000).await.unwrap();
        assert_eq!(&now[..entries.len()], entries, "{name}: what was written stays");
        assert_eq!(engine.load(ids[name]).await.unwrap().format, 1, "{name}");
    }
    engine.close().await.unwrap();
}

/// All that the store has of an operation.
fn rows(store: &Store, id: Uuid) -> Vec<(Vec<u8>, Vec<u8>)> {
    let prefixes: [&[u8]; 2] = [b"j/", b"o/"];
    let walk = prefixes.iter().flat_map(|prefix| store.walk(&[prefix, id.as_bytes().as_slice()].concat()));
    walk.map(|row| row.map(|(key, row)| (key, row.value.to_vec())).unwrap()).collect()
}

fn entry_key(id: Uuid, seq: u64) -> Vec<u8> {
    [b"j/".as_slice(), id.as_bytes(), &seq.to_be_bytes()].concat()
}

/// Puts an event behind the others.
fn add(store: &Store, id: Uuid, event: Value) {
    let seq = journal::all_entries(store, id).unwrap().len() as u64 + 1;
    let entry = json!({ "seq": seq, "at_ms": 0, "event": event });
    store.commit_blocking(Batch::new(None).put(entry_key(id, seq), entry.to_string())).unwrap();
}

/// Changes what `created` says.
fn change(store: &Store, id: Uuid, with: impl FnOnce(&mut Value)) {
    let row = store.get(&entry_key(id, 1)).unwrap().unwrap();
    let mut entry: Value = serde_json::from_slice(&row.value).unwrap();
    with(&mut entry["event"]["created"]);
    store.commit_blocking(Batch::new(None).put(entry_key(id, 1), entry.to_string())).unwrap();
}

#[tokio::test]
async fn what_a_later_format_says_is_left_alone_and_the_others_go_on() {
    let data = old_data();
    let (engine, _) = open(data.path());
    let ids = ids(&engine).await;
    engine.close().await.unwrap();

    let store = Store::open(data.path()).unwrap().store;
    add(&store, ids["half-done"], json!({ "teleported": { "by": "x" } }));
    add(&store, ids["failed"], json!({ "resumed": { "by": "x", "why": "", "mood": "good" } }));
    change(&store, ids["unknown"], |created| created["format"] = json!(JOURNAL_FORMAT + 1));
    change(&store, ids["undo-failed"], |created| {
        let digest: Digest = created["plan"].as_str().unwrap().parse().unwrap();
        let mut plan: Value = serde_json::from_slice(&store.blobs().get(&digest).unwrap()).unwrap();
        plan["format"] = json!(dsl::plan::FORMAT + 1);
        created["plan"] = json!(store.blobs().put(plan.to_string().as_bytes()).unwrap().to_string());
    });
    store.close_blocking().unwrap();

    let (engine, executor) = open(data.path());
    let newer = [
        ("half-done", "unknown variant `teleported`"),
        ("failed", "unknown field `mood`"),
        ("unknown", "its journal has format 3"),
        ("undo-failed", "format 3"),
    ];
    let before = newer.map(|(name, _)| rows(engine.store(), ids[name]));
    let recovered = engine.recover().await.unwrap();
    assert_eq!(recovered.taken, [ids["killed"]], "the others go on");
    let left: Vec<_> = recovered.left.iter().map(|(id, error)| (*id, error.kind)).collect();
    // In the order of their creation; `failed` would not have gone on by itself.
    assert_eq!(left, ["undo-failed", "unknown", "half-done"].map(|name| (ids[name], Kind::NeedsEngine)));
    for (name, says) in newer {
        let resume = Verb::Resume { decisions: BTreeMap::new() };
        let error = engine.verb(ids[name], resume, "test", "").await.unwrap_err();
        assert_eq!(error.kind, Kind::NeedsEngine, "{name}: {error}");
        assert!(error.to_string().contains(says) && error.to_string().contains("version"), "{name}: {error}");
        assert!(executor.asked_of(ids[name]).is_empty(), "{name}");
    }
    until(&engine, ids["killed"], completed).await;
    assert_eq!(newer.map(|(name, _)| rows(engine.store(), ids[name])), before, "nothing of them was changed");
    assert_eq!(engine.list().await.unwrap().len(), ids.len(), "they are listed");
    engine.close().await.unwrap();
}

#[test]
fn golden_journals_know_every_event() {
    let seen: std::collections::BTreeSet<String> = golden()
        .iter()
        .flat_map(|golden| &golden.lines)
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone())
        .map(|event| match event {
            Value::String(name) => name,
            event => event.as_object().unwrap().keys().next().unwrap().clone(),
        })
        .collect();
    // The refusal of an unknown event lists those that there are.
    let error = serde_json::from_value::<Event>(json!({ "teleported": {} })).unwrap_err().to_string();
    let missing: Vec<&str> = error.split('`').skip(3).step_by(2).filter(|name| !seen.contains(*name)).collect();
    // Of a host that is replaced, and of a store that is restored: `make.sh` has neither.
    assert_eq!(missing, ["found", "host_replaced"]);
}
