//! `where` of roles and `by` of batches, by the pure core: who is asked, who passes by, whose turn it is.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which may panic as tests do")]

use std::collections::BTreeMap;
use std::sync::Arc;

use dsl::value::{FileRef, Value};
use dsl::{Files, Given, Source, check};
use engine::operation::{
    Alone, Driver, Effect, Entry, Event, Failure, FailureClass, HostRecord, Input, JOURNAL_FORMAT, Life, NodeId,
    NodeOutcome, NodeState, Operation, ReachRecord, Skip, World, replay,
};
use uuid::Uuid;

struct NoFiles;

impl Files for NoFiles {
    fn asset(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("there are none".to_owned())
    }
    fn file(&self, _: &str) -> Result<FileRef, String> {
        Err("there are none".to_owned())
    }
    fn secret_file(&self, _: &str) -> Result<String, String> {
        Err("there are none".to_owned())
    }
}

/// An operation whose executors are the test.
struct Run {
    driver: Driver,
    journal: Vec<Entry>,
    /// Nodes at work, with their attempts.
    at_work: BTreeMap<String, u32>,
}

impl Run {
    /// A workflow with a role `web` of these hosts; each has its second word as its label `zone`.
    fn new(role: &str, steps: &str, hosts: &[(&str, &str)]) -> Run {
        let text = format!(r#"Workflow(name: "w", roles: {{ "web": {role} }}, steps: [{steps}])"#);
        let checked = check(&Source { name: "w.ron".to_owned(), text }, &NoFiles);
        let workflow = checked.workflow.unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
        let mut given = Given::default();
        given.roles.insert("web".to_owned(), hosts.iter().map(|(slot, _)| (*slot).to_owned()).collect());
        let plan = Arc::new(workflow.compile(&given, &NoFiles).unwrap().plan);
        let host = |(slot, zone): &(&str, &str)| {
            let labels = BTreeMap::from([("zone".to_owned(), (*zone).to_owned())]);
            ((*slot).to_owned(), HostRecord { labels, ..HostRecord::first(ReachRecord::Local) })
        };
        let created = Entry {
            seq: 1,
            at_ms: 1,
            event: Event::Created {
                format: JOURNAL_FORMAT,
                operation: Uuid::from_u128(1),
                plan: "sha256:0".to_owned(),
                workflow: "w".to_owned(),
                by: "test".to_owned(),
                hosts: hosts.iter().map(host).collect(),
                locks: Vec::new(),
            },
        };
        let operation = Operation::create(plan, &created).unwrap();
        let mut run = Run { driver: Driver::new(operation, 1), journal: vec![created], at_work: BTreeMap::new() };
        run.learn(Input::Go);
        run
    }

    fn learn(&mut self, input: Input) {
        let mut world = World { now_ms: 1, jitter: &mut || 0.0, places: &mut Alone, records: &Alone };
        let decided = self.driver.decide(vec![input], &mut world).unwrap();
        self.journal.extend(decided.entries);
        for effect in decided.effects {
            let Effect::Do { node, attempt } = effect else { panic!("{effect:?}") };
            self.at_work.insert(node.to_string(), attempt);
        }
        self.driver.operation().check().unwrap();
    }

    fn end(&mut self, node: &str, outcome: NodeOutcome) {
        let attempt = self.at_work.remove(node).unwrap_or_else(|| panic!("{node} is not at work: {:?}", self.at_work));
        self.learn(Input::Node { node: node.parse().unwrap(), attempt, outcome });
    }

    fn done(&mut self, node: &str) {
        self.end(node, NodeOutcome::Succeeded { out: BTreeMap::new(), changed: true, output: None });
    }

    /// A host says of itself what a model host does, and this.
    fn says(&mut self, slot: &str, os: &str) {
        let Value::Record(mut facts) = dsl::host_facts::model() else { panic!("a record") };
        facts.insert("os".to_owned(), Value::Text(os.to_owned()));
        let out = BTreeMap::from([(dsl::host_facts::OUT.to_owned(), Value::Record(facts))]);
        self.end(&format!("facts/web@{slot}"), NodeOutcome::Succeeded { out, changed: false, output: None });
    }

    fn at_work(&self) -> Vec<&str> {
        self.at_work.keys().map(String::as_str).collect()
    }

    fn state(&self, node: &str) -> NodeState {
        self.driver.operation().node(&node.parse::<NodeId>().unwrap()).unwrap().state.clone()
    }

    /// It has completed, and its journal gives the same.
    fn completes(&self) {
        let operation = self.driver.operation();
        assert!(matches!(operation.life, Life::Completed { .. }), "{:?}", operation.life);
        assert_eq!(&replay(Arc::clone(&operation.plan), &self.journal).unwrap(), operation);
    }
}

const GROUP: &str = r#"Group(id: "g", over: "web", batch: (sizes: [1, 2], pause: "0s" BY), steps: [
    Step(id: "one", do: Run(["true"])), Step(id: "two", needs: ["one"], do: Run(["true"])),
])"#;

#[test]
fn a_host_that_passes_by_takes_no_place_in_a_batch() {
    let hosts = [("h1", "a"), ("h2", "a"), ("h3", "a"), ("h4", "a")];
    let mut run = Run::new(r#"Many(where: "host.facts.os == 'debian'")"#, &GROUP.replace("BY", ""), &hosts);
    assert_eq!(run.at_work(), ["facts/web@h1", "facts/web@h2", "facts/web@h3", "facts/web@h4"]);
    run.says("h1", "alpine");
    // The first of the canary's size is the first that does something.
    assert_eq!(run.state("two@h1"), NodeState::Skipped(Skip::WhenFalse));
    run.says("h2", "debian");
    run.says("h3", "debian");
    run.says("h4", "debian");
    assert_eq!(run.at_work(), ["one@h2"]);
    run.done("one@h2");
    run.done("two@h2");
    assert_eq!(run.at_work(), ["one@h3", "one@h4"]);
    for node in ["one@h3", "one@h4", "two@h3", "two@h4"] {
        run.done(node);
    }
    run.completes();
}

#[test]
fn one_zone_follows_the_other_in_the_order_of_the_hosts() {
    let hosts = [("h1", "b"), ("h2", "a"), ("h3", "b"), ("h4", "c"), ("h5", "b")];
    let by = r#", by: "host.labels['zone'] ?? ''""#;
    let mut run = Run::new(r#"Many(where: "host.name != 'h4'")"#, &GROUP.replace("BY", by), &hosts);
    assert_eq!(run.at_work(), ["one@h1"]);
    run.done("one@h1");
    run.done("two@h1");
    assert_eq!(run.at_work(), ["one@h3", "one@h5"]);
    run.done("one@h3");
    run.done("two@h3");
    assert_eq!(run.at_work(), ["one@h5"], "zone b has not left");
    run.done("one@h5");
    run.done("two@h5");
    assert_eq!(run.at_work(), ["one@h2"]);
    run.done("one@h2");
    run.done("two@h2");
    run.completes();
}

#[test]
fn nobody_enters_by_facts_before_all_are_known() {
    let hosts = [("h1", ""), ("h2", ""), ("h3", "")];
    let mut run = Run::new("Many", &GROUP.replace("BY", r#", by: "host.facts.os""#), &hosts);
    run.says("h2", "debian");
    run.says("h1", "alpine");
    assert_eq!(run.at_work(), ["facts/web@h3"]);
    run.says("h3", "alpine");
    assert_eq!(run.at_work(), ["one@h1"]);
    for node in ["one@h1", "two@h1", "one@h3", "two@h3", "one@h2", "two@h2"] {
        run.done(node);
    }
    run.completes();
}

#[test]
fn a_host_that_cannot_be_asked_means_what_its_readers_say() {
    let failed = || {
        let failure = Failure { class: FailureClass::Other, message: "no".to_owned(), hint: None };
        NodeOutcome::Failed { failure, output: None }
    };
    let step = r#"Step(id: "a", on: "web", ON do: Run(["echo", "${{ host.facts.os }}"]))"#;
    let hosts = [("h1", ""), ("h2", "")];
    let mut run = Run::new("Many", &step.replace("ON", "on_failure: Continue,"), &hosts);
    run.end("facts/web@h1", failed());
    run.says("h2", "debian");
    assert_eq!(run.at_work(), ["a@h2"], "the others go on");
    run.done("a@h2");
    assert_eq!(run.state("a@h1"), NodeState::NotReached);
    assert!(matches!(run.driver.operation().life, Life::FailedTemp { .. }));
    let mut run = Run::new("Many", &step.replace("ON", ""), &hosts);
    run.end("facts/web@h1", failed());
    run.says("h2", "debian");
    assert_eq!(run.at_work(), Vec::<&str>::new(), "nothing more begins");
    assert!(matches!(run.driver.operation().life, Life::FailedTemp { .. }));
}
