//! The durable runner with a real store and an executor that does what a test tells it.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which may panic as tests do")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use dsl::expr::Template;
use dsl::plan::{Action, Edge, EdgeKind, Input, Interrupted, Plan, RecordOf, RecordSpec, Role, RoleSource, Step};
use dsl::types::{Field, Type};
use dsl::value::{SecretRef, Value};
use engine::operation::{Effect, Event, Life, NodeOutcome, ReachRecord, RecordKey, Verb};
use engine::runner::{Context, Executor, Options, Reporter, Standing, Task};
use engine::{Create, Engine, HostSpec, IfLocked, Kind};
use futures::future::BoxFuture;
use store::Secret;
use tokio::sync::Semaphore;

/// Every step succeeds as soon as there is a permit for it; what was asked is written down.
struct Told {
    permits: Arc<Semaphore>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Executor for Told {
    fn perform(&self, _: Arc<Context>, task: Task, _: Reporter) -> BoxFuture<'static, Option<NodeOutcome>> {
        let permits = Arc::clone(&self.permits);
        let word = match &task.effect {
            Effect::Do { node, attempt } => format!("do {node} {attempt}"),
            Effect::Reattach { node, attempt, .. } => format!("reattach {node} {attempt}"),
            other => format!("{other:?}"),
        };
        self.asked.lock().unwrap().push(word);
        Box::pin(async move {
            permits.acquire().await.unwrap().forget();
            Some(NodeOutcome::Succeeded { out: BTreeMap::new(), changed: true, output: None })
        })
    }
}

struct World {
    engine: Engine,
    permits: Arc<Semaphore>,
    asked: Arc<Mutex<Vec<String>>>,
}

fn open(folder: &Path) -> World {
    let (permits, asked) = (Arc::new(Semaphore::new(0)), Arc::default());
    let mut options = Options::new(folder);
    options.home = None;
    options.executor = Arc::new(Told { permits: Arc::clone(&permits), asked: Arc::clone(&asked) });
    let (engine, _) = Engine::open(options).unwrap();
    World { engine, permits, asked }
}

fn chain(steps: usize) -> Create {
    let step = |index: usize| {
        let before = index.checked_sub(1);
        let edge = before.map(|step| Edge::needs(step, EdgeKind::Keyed));
        let action = Action::Run { argv: vec![Template::literal("true")] };
        Step {
            needs: edge.into_iter().collect(),
            interrupted: Interrupted::Rerun,
            ..Step::new(format!("s{index}"), Some("host"), action)
        }
    };
    let roles = BTreeMap::from([("host".to_owned(), Role { one: true, slots: vec!["host".to_owned()], from: None })]);
    Create {
        id: uuid::Uuid::now_v7(),
        plan: Plan::new("chain", roles, (0..steps).map(step).collect()),
        assets: BTreeMap::new(),
        hosts: BTreeMap::from([("host".to_owned(), HostSpec::new(ReachRecord::Local))]),
        secrets: BTreeMap::from([(SecretRef("inputs.s".to_owned()), Secret::from("canary-4711"))]),
        by: "test".to_owned(),
        if_locked: IfLocked::Refuse,
    }
}

fn resume() -> Verb {
    Verb::Resume { decisions: BTreeMap::new() }
}

/// Waits until the journal has an event that `is` it.
async fn until(engine: &Engine, id: uuid::Uuid, is: impl Fn(&Event) -> bool) {
    let mut seen = engine.watch(id).unwrap();
    while !engine.entries(id, 0, 10_000).await.unwrap().iter().any(|entry| is(&entry.event)) {
        seen.changed().await.unwrap();
    }
}

#[tokio::test]
async fn a_result_and_the_intents_of_what_it_makes_ready_share_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(folder.path());
    world.permits.add_permits(1_000);
    let before = world.engine.store().stats().commits;
    let id = world.engine.create(chain(100)).await.unwrap();
    world.engine.idle().await;
    assert!(matches!(world.engine.load(id).await.unwrap().life, Life::Completed { .. }));
    let commits = world.engine.store().stats().commits - before;
    assert_eq!(commits, 101, "one for `created` and the first intent, one a step"); // D12
}

#[tokio::test]
async fn an_engine_that_let_go_goes_on_where_it_was_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let id = first.engine.create(chain(3)).await.unwrap();
    first.permits.add_permits(1);
    until(&first.engine, id, |event| matches!(event, Event::Started { node, .. } if node.step == "s1")).await;
    first.engine.let_go(id).await;
    first.engine.close().await.unwrap();

    let second = open(folder.path());
    assert!(!second.engine.in_hand(id), "opening alone sets nothing going");
    second.permits.add_permits(10);
    second.engine.verb(id, resume(), "test", "").await.unwrap();
    second.engine.idle().await;
    assert_eq!(*second.asked.lock().unwrap(), ["reattach s1@host 1", "do s2@host 1"]); // I2, I4
    assert!(matches!(second.engine.load(id).await.unwrap().life, Life::Completed { .. }));
    assert_eq!(second.engine.store().sealed().read(&id).unwrap(), None, "its secrets are gone with its end"); // D9
}

#[tokio::test]
async fn an_operation_whose_sealed_secrets_are_lost_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let mut create = chain(2);
    let field = Field { ty: Type::Text, optional: false, secret: true };
    let input = Input { field, value: Value::Secret(SecretRef("inputs.s".to_owned())) };
    create.plan.inputs = BTreeMap::from([("s".to_owned(), input)]);
    let id = first.engine.create(create).await.unwrap();
    first.engine.let_go(id).await;
    first.engine.close().await.unwrap();
    let file = folder.path().join("secrets").join(id.to_string());
    std::fs::remove_file(&file).unwrap();

    let second = open(folder.path());
    let refused = second.engine.verb(id, resume(), "test", "").await.unwrap_err();
    assert_eq!(refused.kind, Kind::Refused);
    assert!(refused.message.contains(file.to_str().unwrap()), "{refused}");
    assert!(refused.hint.as_ref().unwrap().contains("restore it from a backup"), "{refused}");
    let recovered = second.engine.recover().await.unwrap();
    assert!(recovered.taken.is_empty(), "{recovered:?}");
    assert!(second.asked.lock().unwrap().is_empty(), "nothing was started");
    second.engine.verb(id, Verb::Kill, "test", "").await.unwrap();
}

#[tokio::test]
async fn one_broken_operation_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(folder.path());
    let broken = world.engine.create(chain(2)).await.unwrap();
    let whole = world.engine.create(chain(3)).await.unwrap();
    world.engine.let_go_of_all().await;
    let digest = world.engine.load(broken).await.unwrap().plan_digest.parse().unwrap();
    world.engine.store().blobs().remove(&digest).unwrap();

    let error = world.engine.load(broken).await.unwrap_err();
    assert_eq!(error.kind, Kind::Quarantined);
    assert!(error.to_string().contains("backup"), "it says what to do: {error}");
    assert_eq!(world.engine.list().await.unwrap().len(), 2);
    assert!(world.engine.load(whole).await.is_ok()); // I11
}

#[tokio::test]
async fn verbs_that_make_no_sense_now_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(folder.path());
    world.permits.add_permits(10);
    let id = world.engine.create(chain(1)).await.unwrap();
    world.engine.idle().await;
    let error = world.engine.verb(id, resume(), "test", "").await.unwrap_err();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (Kind::Refused, "`resume` is not possible now: the operation has completed; start a new operation")
    );
    let events = world.engine.load(id).await.unwrap().seq;
    let error = world.engine.verb(uuid::Uuid::now_v7(), resume(), "test", "").await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert_eq!(world.engine.load(id).await.unwrap().seq, events, "a refusal leaves no trace");
}

#[tokio::test]
async fn operations_are_found_by_any_part_of_their_id_that_is_theirs_alone() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(folder.path());
    let one = world.engine.create(chain(1)).await.unwrap();
    let two = world.engine.create(chain(1)).await.unwrap();
    let text = one.to_string();
    assert_eq!(world.engine.find(&text).await.unwrap(), one);
    assert_eq!(world.engine.find(&text[28..]).await.unwrap(), one);
    let shared = text.chars().zip(two.to_string().chars()).take_while(|(a, b)| a == b).count();
    assert_eq!(world.engine.find(&text[..=shared]).await.unwrap(), one);
    assert_eq!(world.engine.find(&text[..shared]).await.unwrap_err().kind, Kind::Ambiguous);
    assert_eq!(world.engine.find("zzz").await.unwrap_err().kind, Kind::NotFound);
    assert!(matches!(world.engine.watch(one).unwrap().borrow().rest, Standing::Busy));
}

#[tokio::test]
async fn asking_twice_for_one_operation_creates_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(folder.path());
    world.permits.add_permits(10);
    let (first, mut second) = (chain(1), chain(1));
    second.id = first.id;
    let id = world.engine.create(first).await.unwrap();
    assert_eq!(world.engine.create(second).await.unwrap(), id);
    world.engine.idle().await;
    assert_eq!(world.engine.list().await.unwrap().len(), 1);
    assert_eq!(*world.asked.lock().unwrap(), ["do s0@host 1"]);
}

/// Does something on its host, and then records that the host is wired to `reg`.
fn wires() -> Create {
    let mut create = chain(2);
    let of = RecordOf::Wiring(Template::literal("reg"));
    let wired = RecordSpec { of, kind: None, members: Vec::new(), values: Vec::new() };
    create.plan.steps[1].action = Action::Record(wired);
    create.plan.instances = vec![Template::literal("reg")];
    create
}

/// Does something on the hosts that are wired to `reg`, which whoever creates it takes to be these.
fn uses(slots: &[&str]) -> Create {
    let mut create = chain(1);
    let from = Some(RoleSource::Wired { registry: Template::literal("reg") });
    let slots = slots.iter().map(|slot| (*slot).to_owned()).collect();
    create.plan.roles.insert("host".to_owned(), Role { one: false, slots, from });
    create.plan.instances = vec![Template::literal("reg")];
    create
}

#[tokio::test]
async fn an_operation_is_created_with_what_records_say_in_that_moment() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(folder.path());
    world.permits.add_permits(10);
    let wired = world.engine.create(wires()).await.unwrap();
    world.engine.idle().await;
    assert!(matches!(world.engine.load(wired).await.unwrap().life, Life::Completed { .. }));
    let key = RecordKey::Wiring { registry: "reg".to_owned(), host: "host".to_owned() };
    let record = engine::records::get(world.engine.store(), &key).unwrap().expect("it is recorded");
    assert_eq!((record.operation, record.version), (wired, 1));

    let error = world.engine.create(uses(&[])).await.unwrap_err();
    assert_eq!(error.kind, Kind::Changed);
    assert!(error.message.contains("the instance `reg`, which fills the role `host`, has changed"), "{error}");
    let mut left_out = uses(&[]);
    left_out.plan.left_out.insert("host".to_owned(), vec!["host".to_owned()]);
    for create in [uses(&["host"]), left_out] {
        let id = world.engine.create(create).await.unwrap();
        world.engine.idle().await;
        assert!(matches!(world.engine.load(id).await.unwrap().life, Life::Completed { .. }));
    }
}

#[tokio::test]
async fn an_operation_that_waited_while_what_it_was_created_from_changed_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(folder.path());
    let wired = world.engine.create(wires()).await.unwrap();
    let waits = world.engine.create(Create { if_locked: IfLocked::Queue, ..uses(&[]) }).await.unwrap();
    world.permits.add_permits(10);
    world.engine.idle().await;
    assert!(matches!(world.engine.load(wired).await.unwrap().life, Life::Completed { .. }));
    let Life::Failed { why } = world.engine.load(waits).await.unwrap().life else { panic!("it was given up") };
    assert!(why.starts_with("given up by engine: ") && why.ends_with("; run it again"), "{why}");
    assert!(why.contains("the instance `reg`, which fills the role `host`, has changed"), "{why}");
    assert_eq!(*world.asked.lock().unwrap(), ["do s0@host 1"], "it did nothing");
    assert_eq!(world.engine.holder("reg"), None, "and holds nothing");
}
