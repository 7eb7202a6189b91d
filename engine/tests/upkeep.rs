//! A restored store beside the job folders of its hosts, and pruning: real stores, real jobs on this machine.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which may panic as tests do")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use dsl::expr::Template;
use dsl::plan::{Action, Edge, EdgeKind, Plan, Role, Step};
use engine::operation::{Activity, CancelMode, Event, HostKeyRecord, Life, ReachRecord, SshRecord, Verb};
use engine::runner::{Options, Retention};
use engine::{Create, Engine, HostSpec, IfLocked, Kind};
use tempfile::TempDir;
use uuid::Uuid;

/// A folder in which steps leave their names in `log`, and wait for `go` where they are told to.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> World {
        World { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, name: &str) -> Engine {
        let mut options = Options::new(self.path(name));
        options.home = None;
        Engine::open(options).unwrap().0
    }

    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Steps one after the other; those in `wait` wait for the file that has their name.
    fn chain(&self, steps: &[&str], wait: &[&str]) -> Create {
        let step = |(index, name): (usize, &&str)| {
            let before = index.checked_sub(1);
            let edge = before.map(|step| Edge::needs(step, EdgeKind::Keyed));
            let folder = self.folder.path().display();
            let waits = format!("until [ -e {folder}/{name} ]; do sleep 0.02; done");
            let then = if wait.contains(name) { waits.as_str() } else { ":" };
            let action = Action::Shell { text: format!("echo {name} >>{folder}/log; {then}") };
            let undo = Action::Shell { text: format!("echo un{name} >>{folder}/log; {then}") };
            Step {
                needs: edge.into_iter().collect(),
                undo: Some(undo),
                ..Step::new((*name).to_owned(), Some("host"), action)
            }
        };
        let roles =
            BTreeMap::from([("host".to_owned(), Role { one: true, slots: vec!["host".to_owned()], from: None })]);
        Create {
            id: Uuid::now_v7(),
            plan: Plan::new("chain", roles, steps.iter().enumerate().map(step).collect()),
            assets: BTreeMap::new(),
            hosts: BTreeMap::from([("host".to_owned(), HostSpec::new(ReachRecord::Local))]),
            secrets: BTreeMap::new(),
            by: "test".to_owned(),
            if_locked: IfLocked::Refuse,
        }
    }

    fn touch(&self, name: &str) {
        std::fs::write(self.path(name), "").unwrap();
    }

    async fn until_logged(&self, word: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.log().iter().any(|line| line == word) {
            assert!(Instant::now() < deadline, "{word} never came: {:?}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// An operation of which `one` was done at the time of the backup, and more afterwards: the restored store.
    async fn restored(&self, after: impl AsyncFnOnce(&Engine, Uuid)) -> (Engine, Uuid) {
        let first = self.open("first");
        let id = first.create(self.chain(&["one", "two", "three", "four"], &["two", "four"])).await.unwrap();
        self.until_logged("two").await;
        first.store().backup(&self.path("backup"), 1_795_420_800_000).unwrap();
        after(&first, id).await;
        first.let_go_of_all().await;
        first.close().await.unwrap();
        store::restore(&self.path("backup"), &self.path("second")).unwrap();
        (self.open("second"), id)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A job that a failed test leaves behind ends by this.
        for name in ["one", "two", "three", "four"] {
            let _ = std::fs::write(self.path(name), "");
        }
    }
}

fn resume() -> Verb {
    Verb::Resume { decisions: BTreeMap::new() }
}

#[tokio::test]
async fn what_was_done_after_the_backup_is_found_and_not_done_again() {
    let world = World::new();
    let (second, id) = world
        .restored(async |_, _| {
            world.touch("two");
            world.until_logged("four").await;
        })
        .await;
    for refused in [
        second.create(world.chain(&["one"], &[])).await.map(drop),
        second.verb(id, resume(), "test", "").await,
        second.go_on(id).await,
        second.recover().await.map(drop),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.to_string().contains("2026-11-23 08:00:00 UTC and is held"), "{error}");
    }
    let seq = second.load(id).await.unwrap().seq;
    let looked = second.reconcile().await.unwrap();
    let found: Vec<String> = looked[0].found.iter().map(|one| format!("{} {}", one.node, one.attempt)).collect();
    assert_eq!(found, ["three@host 1", "four@host 1"]);
    assert_eq!(second.load(id).await.unwrap().seq, seq, "looking changes nothing");

    let released = second.release(false).await.unwrap();
    assert!(released.was_held && !released.held && released.left.is_empty(), "{released:?}");
    assert_eq!(second.busy(), 0, "a release sets nothing going");
    assert_eq!(second.load(id).await.unwrap().seq, seq + 2);
    assert!(!second.release(false).await.unwrap().was_held);
    second.recover().await.unwrap();
    world.touch("four");
    second.idle().await;
    assert!(matches!(second.load(id).await.unwrap().life, Life::Completed { .. }));
    assert_eq!(world.log(), ["one", "two", "three", "four"]); // I2
}

#[tokio::test]
async fn attempts_after_a_restore_carry_the_incarnation_of_the_store() {
    let world = World::new();
    let (second, id) = world.restored(async |_, _| ()).await;
    second.release(false).await.unwrap();
    world.touch("two");
    world.touch("four");
    second.recover().await.unwrap();
    second.idle().await;
    let entries = second.entries(id, 0, 1_000).await.unwrap();
    let incarnations = entries.iter().filter_map(|entry| match &entry.event {
        Event::Started { node, incarnation, .. } => Some((node.step.as_str(), *incarnation)),
        _ => None,
    });
    assert_eq!(incarnations.collect::<Vec<_>>(), [("one", 1), ("two", 1), ("three", 2), ("four", 2)]);
    assert_eq!(world.log(), ["one", "two", "three", "four"]);
}

#[tokio::test]
async fn a_release_that_was_killed_before_its_end_is_made_again() {
    let world = World::new();
    let (second, id) = world
        .restored(async |_, _| {
            world.touch("two");
            world.until_logged("four").await;
        })
        .await;
    // As if killed between the record and the release: the manifest is the one of before.
    second.release(false).await.unwrap();
    let seq = second.load(id).await.unwrap().seq;
    second.close().await.unwrap();
    store::restore(&world.path("backup"), &world.path("third")).unwrap();
    std::fs::copy(world.path("third/MANIFEST"), world.path("second/MANIFEST")).unwrap();
    let second = world.open("second");
    assert!(second.store().held().is_some());
    let released = second.release(false).await.unwrap();
    assert!(released.was_held && !released.held && released.operations[0].found.is_empty(), "{released:?}");
    assert_eq!(second.load(id).await.unwrap().seq, seq, "nothing is recorded twice");
    world.touch("four");
    second.recover().await.unwrap();
    second.idle().await;
    assert_eq!(world.log(), ["one", "two", "three", "four"]);
}

#[tokio::test]
async fn an_operation_that_was_being_rolled_back_does_not_go_on_by_itself() {
    let world = World::new();
    let (second, id) = world
        .restored(async |first, id| {
            first.verb(id, Verb::Cancel { mode: CancelMode::Graceful }, "test", "").await.unwrap();
            world.touch("two");
            first.idle().await;
            std::fs::remove_file(world.path("two")).unwrap();
            first.verb(id, Verb::Rollback, "test", "").await.unwrap();
            world.until_logged("untwo").await;
        })
        .await;
    let released = second.release(false).await.unwrap();
    assert!(!released.held && released.left[0].why.contains("rolled back"), "{released:?}");
    world.touch("two");
    second.recover().await.unwrap();
    second.idle().await;
    assert!(matches!(second.load(id).await.unwrap().life, Life::FailedTemp { .. }));
    assert_eq!(world.log(), ["one", "two", "untwo"], "neither forward nor back");
    second.verb(id, Verb::Rollback, "test", "").await.unwrap();
    second.idle().await;
    assert!(matches!(second.load(id).await.unwrap().life, Life::RolledBack));
}

#[tokio::test]
async fn an_operation_whose_folder_is_gone_is_paused_and_named() {
    let world = World::new();
    let (second, id) = world
        .restored(async |first, _| {
            world.touch("two");
            world.touch("four");
            first.idle().await;
        })
        .await;
    let released = second.release(false).await.unwrap();
    assert!(released.left[0].why.contains("most likely ended since"), "{released:?}");
    second.recover().await.unwrap();
    second.idle().await;
    let life = second.load(id).await.unwrap().life;
    assert!(matches!(&life, Life::Processing(Activity::Paused { by, .. }) if by == "engine"), "{life:?}");
    assert_eq!(world.log(), ["one", "two", "three", "four"]);
}

#[tokio::test]
async fn a_host_that_cannot_be_asked_holds_the_store_unless_by_force() {
    let world = World::new();
    let first = world.open("first");
    let mut create = world.chain(&["one"], &[]);
    // Nobody listens at port 1 of this machine.
    let reach = ReachRecord::Ssh(SshRecord {
        address: "127.0.0.1".to_owned(),
        port: 1,
        user: "root".to_owned(),
        auth: Vec::new(),
        host_key: HostKeyRecord::Strict,
        sudo_password: None,
        known_as: None,
        known_hosts: Vec::new(),
        via: Vec::new(),
    });
    create.hosts = BTreeMap::from([("host".to_owned(), HostSpec::new(reach))]);
    let id = first.create(create).await.unwrap();
    first.let_go_of_all().await;
    first.store().backup(&world.path("backup"), 1).unwrap();
    store::restore(&world.path("backup"), &world.path("second")).unwrap();
    let second = world.open("second");
    let released = second.release(false).await.unwrap();
    assert!(released.held && released.left.len() == 1 && second.store().held().is_some(), "{released:?}");
    assert!(released.operations[0].unreachable.contains_key("host"), "{released:?}");
    let released = second.release(true).await.unwrap();
    assert!(!released.held && second.store().held().is_none(), "{released:?}");
    let life = second.load(id).await.unwrap().life;
    assert!(
        matches!(life, Life::Processing(Activity::Pausing { .. } | Activity::Paused { .. }) | Life::FailedTemp { .. }),
        "{life:?}"
    );
}

/// Makes blobs old enough to be swept.
fn age_blobs(path: &Path) {
    for entry in std::fs::read_dir(path).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            age_blobs(&entry.path());
        } else {
            let file = std::fs::File::options().write(true).open(entry.path()).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(7_200)).unwrap();
        }
    }
}

#[tokio::test]
async fn a_prune_forgets_what_has_ended_and_nothing_else() {
    let world = World::new();
    let engine = world.open("store");
    let mut ended = Vec::new();
    for name in ["one", "three", "four"] {
        ended.push(engine.create(world.chain(&[name], &[])).await.unwrap());
        engine.idle().await;
    }
    let live = engine.create(world.chain(&["two"], &["two"])).await.unwrap();
    world.until_logged("two").await;
    let canary = engine.entries(live, 0, 1_000).await.unwrap();
    age_blobs(&world.path("store/blobs"));
    let keys = |prefix: &[u8]| engine.store().keys(prefix, None, 1_000).unwrap().len();
    let (rows, summaries) = (keys(b"j/"), keys(b"o/"));

    assert_eq!(engine.prune(Retention::default()).await.unwrap_err().kind, Kind::Invalid);
    let young = Retention { older_than_ms: Some(3_600_000), ..Retention::default() };
    assert!(engine.prune(Retention { dry_run: true, ..young }).await.unwrap().operations.is_empty());
    let keep = Retention { keep: Some(1), ..Retention::default() };
    let would = engine.prune(Retention { dry_run: true, ..keep }).await.unwrap();
    assert_eq!((&would.operations[..], would.blobs), (&ended[..2], 2), "two plans: {would:?}");
    assert_eq!((keys(b"j/"), keys(b"o/")), (rows, summaries), "a dry run changes nothing");

    let pruned = engine.prune(keep).await.unwrap();
    assert_eq!((pruned, keys(b"o/")), (would, 2));
    assert_eq!(engine.load(ended[0]).await.unwrap_err().kind, Kind::NotFound);
    assert!(engine.load(ended[2]).await.is_ok());
    assert_eq!(engine.entries(live, 0, 1_000).await.unwrap(), canary);
    world.touch("two");
    engine.idle().await;
    assert!(matches!(engine.load(live).await.unwrap().life, Life::Completed { .. }));

    let all = engine.prune(Retention { keep: Some(0), ..Retention::default() }).await.unwrap();
    assert_eq!(all.operations, [ended[2], live]);
    assert_eq!((keys(b"j/"), keys(b"o/"), keys(b"p/"), keys(b"l/")), (0, 0, 0, 0));
    engine.close().await.unwrap();
    assert!(store::verify(&world.path("store")).unwrap().problems.is_empty());
}

#[tokio::test]
async fn a_prune_that_was_killed_shows_nothing_half_and_is_ended_by_the_next() {
    let world = World::new();
    let engine = world.open("store");
    let id = engine.create(world.chain(&["one"], &[])).await.unwrap();
    engine.idle().await;
    // An operation of many rows, and what the first commit of its deletion leaves.
    let row = |seq: u64| [b"j/".as_slice(), id.as_bytes(), &seq.to_be_bytes()].concat();
    let rows = (1_000..3_500).fold(store::Batch::new(None), |batch, seq| batch.put(row(seq), b"[]"));
    engine.store().commit(rows).await.unwrap();
    let cut = store::Batch::new(None).put([b"p/".as_slice(), id.as_bytes()].concat(), b"");
    engine.store().commit(cut.delete([b"o/".as_slice(), id.as_bytes()].concat())).await.unwrap();
    assert!(engine.list().await.unwrap().is_empty());
    assert!(engine.reconcile().await.unwrap().is_empty());
    assert_eq!(engine.load(id).await.unwrap_err().kind, Kind::NotFound);
    let pruned = engine.prune(Retention { keep: Some(0), ..Retention::default() }).await.unwrap();
    assert!(pruned.operations.is_empty());
    for prefix in [b"j/", b"p/", b"o/"] {
        assert!(engine.store().keys(prefix, None, 10).unwrap().is_empty());
    }
}

#[tokio::test]
async fn one_that_cannot_be_read_goes_only_when_asked_for_and_frees_its_locks() {
    let world = World::new();
    let engine = world.open("store");
    let with_lock = |name: &str| {
        let mut create = world.chain(&[name], &["two"]);
        create.plan.locks = vec![Template::literal("the-lock")];
        create
    };
    let id = engine.create(with_lock("two")).await.unwrap();
    world.until_logged("two").await;
    engine.let_go(id).await;
    let digest = engine.load(id).await.unwrap().plan_digest.parse().unwrap();
    assert_eq!(engine.prune_quarantined(id, false).await.unwrap_err().kind, Kind::Refused);
    engine.store().blobs().remove(&digest).unwrap();
    let engine_has = |prefix: &[u8]| engine.store().keys(prefix, None, 10).unwrap().len();
    let pruned = engine.prune(Retention { keep: Some(0), ..Retention::default() }).await.unwrap();
    assert!(pruned.operations.is_empty() && pruned.blobs_stay.is_some(), "{pruned:?}");
    assert_eq!(engine.create(with_lock("one")).await.unwrap_err().kind, Kind::Refused);
    engine.prune_quarantined(id, false).await.unwrap();
    assert_eq!((engine_has(b"j/"), engine_has(b"l/")), (0, 0));
    engine.create(with_lock("one")).await.unwrap();
    engine.idle().await;
    assert!(engine.list().await.unwrap().iter().all(|one| one.id != id));
}
