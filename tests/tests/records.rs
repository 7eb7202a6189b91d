//! What is recorded of instances, with the real binary on this machine: recorded, used by another workflow, put back, forgotten.

use std::path::Path;

use anneal_tests::anneal::Anneal;
use anneal_tests::binary::repository;
use anneal_tests::until::{SOON, until};
use serde_json::Value;

const INVENTORY: &str = r#"Inventory(
    hosts: { "r1": Local, "n1": Local, "n2": Local },
    roles: { "registry": ["r1"], "nodes": ["n1", "n2"] },
)"#;

struct World {
    anneal: Anneal,
    inventory: String,
}

impl World {
    fn new() -> World {
        let anneal = Anneal::new();
        let inventory = anneal.folder().join("inventory.ron");
        std::fs::write(&inventory, INVENTORY).expect("an inventory");
        World { inventory: inventory.to_string_lossy().into_owned(), anneal }
    }

    fn run<'a>(&'a self, workflow: &'a str, more: &[&'a str]) -> Vec<String> {
        let file = repository(&format!("tests/workflows/{workflow}.ron")).to_string_lossy().into_owned();
        let mut args = vec!["run".to_owned(), file, "--inventory".to_owned(), self.inventory.clone()];
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    }

    fn expect(&self, code: i32, args: Vec<String>) -> anneal_tests::anneal::Ended {
        self.anneal.expect(code, args)
    }

    fn json(&self, args: &[&str]) -> Value {
        let ended = self.anneal.expect(0, [args, &["--json"]].concat());
        serde_json::from_str(&ended.stdout).expect("JSON")
    }

    fn instance(&self) -> Value {
        self.json(&["instances", "show", "reg/1"])
    }
}

fn lines(path: &Path) -> Vec<String> {
    let mut lines: Vec<String> = std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn what_one_workflow_records_another_one_runs_on() {
    let world = World::new();
    let nothing = world.anneal.expect(0, ["instances"]);
    assert!(nothing.stdout.is_empty() && nothing.stderr.contains("nothing is recorded"), "{}", nothing.stderr);
    let first = world.expect(0, world.run("records-install", &[]));
    assert!(first.stdout.contains("again = false") && first.stdout.contains("kind = none"), "{}", first.stdout);

    let listed = world.anneal.expect(0, ["instances"]).stdout;
    let row = listed.lines().nth(1).expect("a row");
    assert!(row.starts_with("reg/1") && row.contains("registry"), "{listed}");
    let view = world.instance();
    let of = &view["record"]["content"]["instance"];
    assert_eq!(of["kind"], "registry");
    assert_eq!(of["values"]["server"], "127.0.0.1:5000");
    assert_eq!(of["members"]["registry"][0]["slot"], "r1");
    let wired: Vec<&String> = view["wirings"].as_object().expect("wirings").keys().collect();
    assert_eq!(wired, ["n1", "n2"]);
    let shown = world.anneal.expect(0, ["instances", "show", "reg/1"]).stdout;
    assert!(shown.contains("wired: 2 hosts") && shown.contains("runtime: docker"), "{shown}");

    // Once more with the same values: nothing changes, and the workflow sees what it recorded before.
    let again = world.expect(0, world.run("records-install", &["--input", "port=5001"]));
    assert!(again.stdout.contains("again = true") && again.stdout.contains("kind = registry"), "{}", again.stdout);
    let view = world.instance();
    assert_eq!(view["record"]["content"]["instance"]["values"]["before"], "127.0.0.1:5000");
    assert_eq!(view["record"]["version"], 2);
    let version = view["record"]["version"].clone();

    // What fails is rolled back, and its records with it.
    world.expect(1, world.run("records-install", &["--input", "port=6000", "--input", "fail=true"]));
    let back = world.instance();
    assert_eq!(back["record"]["content"], view["record"]["content"]);
    assert_eq!(back["record"]["made_at_ms"], view["record"]["made_at_ms"]);
    assert_ne!(back["record"]["version"], version, "each write counts");
    assert_eq!(back["wirings"]["n1"]["content"], view["wirings"]["n1"]["content"]);

    // A plan of it knows what is recorded, and changes nothing.
    let to = world.anneal.folder().join("to");
    std::fs::create_dir(&to).expect("a folder");
    let to_input = format!("to={}", to.display());
    let mut plan = world.run("records-use", &["--input", &to_input]);
    plan[0] = "plan".to_owned();
    let told = world.expect(4, plan).stdout;
    assert!(told.contains("n1\n") && told.contains("forget that `n1` is wired to `reg/1`"), "{told}");

    // Killed in the middle, it goes on on the hosts that it was created with.
    let running = world.anneal.start(world.run("records-use", &["--input", &to_input]));
    until("both nodes to be at work", SOON, || (lines(&to.join("begun")).len() == 2).then_some(()));
    running.kill();
    let held = world.instance();
    assert!(held["held_by"].is_string(), "its operation holds the lock: {held}");
    let refused = world.anneal.expect(1, ["instances", "forget", "reg/1", "--yes"]);
    assert!(refused.stderr.contains("holds the instance `reg/1`"), "{}", refused.stderr);
    std::fs::write(to.join("gate"), "").expect("a gate");
    world.anneal.expect(0, ["resume"]);
    assert_eq!(lines(&to.join("members")), ["r1 127.0.0.1:5001"]);
    assert_eq!(lines(&to.join("nodes")), ["n1", "n2"]);
    assert_eq!(lines(&to.join("begun")).len(), 2, "nothing ran twice");
    assert_eq!(world.instance()["wirings"], serde_json::json!({}), "both are forgotten");

    // Nobody is wired any more: nothing to do, which is no error.
    world.expect(0, world.run("records-use", &["--input", &to_input]));
    assert_eq!(lines(&to.join("nodes")), ["n1", "n2"]);

    // Pruning the journals loses no record.
    world.anneal.expect(0, ["ops", "prune", "--keep", "0"]);
    assert_eq!(world.json(&["ops"]), serde_json::json!([]));
    assert_eq!(world.instance()["record"], back["record"]);
    world.anneal.expect(0, ["store", "compact"]);
    assert_eq!(world.instance()["record"], back["record"]);

    let asked = world.anneal.expect(2, ["instances", "forget", "reg/1"]);
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    world.anneal.expect(0, ["instances", "forget", "reg/1", "--yes"]);
    world.anneal.expect(2, ["instances", "show", "reg/1"]);
    let lost = world.expect(2, world.run("records-use", &["--input", &to_input]));
    assert!(
        lost.stderr.contains("of which nothing is recorded") && lost.stderr.contains("anneal instances"),
        "{}",
        lost.stderr
    );
}

#[test]
fn a_host_that_records_name_and_nobody_describes_is_named() {
    let world = World::new();
    world.expect(0, world.run("records-install", &[]));
    std::fs::write(&world.inventory, r#"Inventory(hosts: { "r1": Local, "n1": Local })"#).expect("an inventory");
    let to = format!("to={}", world.anneal.folder().display());
    let ended = world.expect(2, world.run("records-use", &["--input", &to]));
    assert!(ended.stderr.contains("`nodes` with the host `n2`, which the inventory does not have"), "{}", ended.stderr);
    std::fs::write(world.anneal.folder().join("gate"), "").expect("a gate");
    world.expect(0, world.run("records-use", &["--input", &to, "--limit", "r1,n1"]));
    assert_eq!(lines(&world.anneal.folder().join("nodes")), ["n1"], "what the limit leaves out is not touched");
    let given = world.expect(2, world.run("records-use", &["--input", &to, "--host", "nodes=local"]));
    assert!(given.stderr.contains("is filled from records"), "{}", given.stderr);
}
