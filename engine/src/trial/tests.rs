//! The model against steps of which each says one thing.

use std::collections::BTreeMap;
use std::sync::Arc;

use dsl::expr::{Expr, Template};
use dsl::plan::{
    Action, Edge, EdgeKind, Interrupted, Method, OnFailure, Plan, Probe, Request, Retry, RetryOn, Role, Step,
};
use dsl::value::Value;

use super::{Cell, Report, Trial, Verdict};

fn command() -> Action {
    Action::Run { argv: vec![Template::literal("effect")] }
}

fn step(id: &str) -> Step {
    Step::new(id, Some("host"), command())
}

fn retry(on: Vec<RetryOn>) -> Retry {
    Retry { times: 3, wait_ms: 1_000, factor: 2.0, cap_ms: 60_000, on, jitter: 0.25 }
}

/// Steps one behind the other, on one host.
fn plan(mut steps: Vec<Step>) -> Plan {
    for (index, step) in steps.iter_mut().enumerate().skip(1) {
        step.needs.push(Edge::needs(index - 1, EdgeKind::Keyed));
    }
    let roles = BTreeMap::from([("host".to_owned(), Role { one: true, slots: vec!["h".to_owned()], from: None })]);
    Plan::new("tried", roles, steps)
}

fn tried(steps: Vec<Step>) -> Report {
    let trial = Trial { plan: Arc::new(plan(steps)), outs: BTreeMap::new(), only: None };
    trial.run().unwrap_or_else(|why| panic!("{why}"))
}

/// The row of the only node, and how many findings there are.
fn one(step: Step) -> ([Cell; 4], Verdict, usize) {
    let report = tried(vec![step]);
    let row = &report.nodes[0];
    ([row.error, row.repeat, row.crash, row.reboot], row.verdict, report.findings.len())
}

#[test]
fn what_protects_a_step_from_being_repeated() {
    use Cell::{Asks, GoesOn, Probed, RunsAgain, Stops, Undone};
    let probe = || Some(Probe { action: command(), always: false });
    assert_eq!(one(step("plain")), ([Stops, Asks, GoesOn, Asks], Verdict::Asks, 1));
    let probed = Step { probe: probe(), ..step("probed") };
    assert_eq!(one(probed), ([Stops, Probed, GoesOn, Probed], Verdict::Safe, 0));
    let rerun = Step { interrupted: Interrupted::Rerun, ..step("rerun") };
    assert_eq!(one(rerun), ([Stops, RunsAgain, GoesOn, RunsAgain], Verdict::Safe, 0));
    let undone = Step { undo: Some(command()), interrupted: Interrupted::UndoThenRerun, ..step("undone") };
    assert_eq!(one(undone), ([Stops, Undone, GoesOn, Undone], Verdict::Safe, 0));
    let asks = Step { probe: probe(), interrupted: Interrupted::Ask, ..step("asks") };
    assert_eq!(one(asks), ([Stops, Asks, GoesOn, Asks], Verdict::Asks, 1));
}

#[test]
fn what_runs_from_here_is_tried_like_the_rest() {
    use Cell::{Asks, GoesOn, NotApplicable, Probed, RunsAgain, Stops};
    let request = |method| {
        Action::Http(Request {
            method,
            url: Template::literal("http://h/"),
            headers: Vec::new(),
            body: None,
            status: Vec::new(),
            follow: 0,
            ca: None,
        })
    };
    let from_here =
        |action: Action| Step { interrupted: action.default_interrupted(), ..Step::new("here", None, action) };
    assert_eq!(
        one(from_here(request(Method::Put))),
        ([Stops, NotApplicable, RunsAgain, NotApplicable], Verdict::Safe, 0)
    );
    let post = || from_here(request(Method::Post));
    assert_eq!(one(post()), ([Stops, NotApplicable, Asks, NotApplicable], Verdict::Asks, 1));
    let local = || Action::Local { argv: vec![Template::literal("effect")] };
    let probed = Step { probe: Some(Probe { action: local(), always: false }), ..post() };
    assert_eq!(one(probed), ([Stops, NotApplicable, Probed, NotApplicable], Verdict::Safe, 0));
    assert_eq!(one(from_here(local())), ([Stops, Asks, GoesOn, Asks], Verdict::Asks, 1));
    let condition = Expr::Literal(Value::Bool(true));
    let assert = Action::Assert { condition, text: Template::literal("wrong") };
    assert_eq!(one(from_here(assert)), ([Stops, NotApplicable, RunsAgain, NotApplicable], Verdict::Safe, 0));
}

#[test]
fn a_retry_after_a_timeout_repeats_what_was_done_unless_something_protects_it() {
    let on = || vec![RetryOn::Timeout];
    let report = tried(vec![Step { retry: retry(on()), ..step("a") }]);
    assert_eq!((report.nodes[0].repeat, report.nodes[0].verdict), (Cell::RunsTwice, Verdict::Unsafe));
    assert!(!report.is_safe());
    assert_eq!(report.findings[0].verdict, Verdict::Unsafe, "the worst is first");

    let undo = Step { undo: Some(command()), interrupted: Interrupted::UndoThenRerun, retry: retry(on()), ..step("a") };
    assert_eq!(tried(vec![undo]).nodes[0].verdict, Verdict::Unsafe, "`retry` does not undo");
    let mended = Step { interrupted: Interrupted::Rerun, retry: retry(on()), ..step("a") };
    assert_eq!(tried(vec![mended]).nodes[0].verdict, Verdict::Safe);
    let mended = Step { probe: Some(Probe { action: command(), always: false }), retry: retry(on()), ..step("a") };
    assert_eq!(tried(vec![mended]).nodes[0].verdict, Verdict::Safe);
}

#[test]
fn a_retry_after_an_exit_code_is_warned_of() {
    let codes = || retry(vec![RetryOn::Exit(vec![7])]);
    let report = tried(vec![Step { retry: codes(), ..step("a") }]);
    let warning = report.findings.iter().find(|finding| finding.verdict == Verdict::Safe).expect("a warning");
    assert!(warning.why.contains("half done"), "{warning:?}");
    let report = tried(vec![Step { retry: codes(), interrupted: Interrupted::Rerun, ..step("a") }]);
    assert_eq!(report.findings, []);
}

#[test]
fn a_rollback_that_the_workflow_asks_for_leaves_nothing_behind_or_says_what() {
    let undo = || Some(command());
    let rerun = |id: &str| Step { interrupted: Interrupted::Rerun, ..step(id) };
    let last = || Step { undo: undo(), on_failure: OnFailure::Rollback, ..rerun("last") };
    let report = tried(vec![rerun("first"), last()]);
    assert_eq!(report.nodes[0].error, Cell::LeftBehind);
    assert_eq!((report.nodes[1].error, report.nodes[1].verdict), (Cell::RolledBack, Verdict::Safe));
    assert_eq!(report.rollback_leaves, ["first"], "a person's rollback, when `first` fails, leaves it too");

    let report = tried(vec![Step { undo: undo(), ..rerun("first") }, last()]);
    assert!(report.is_safe());
    assert!(report.rollback_leaves.is_empty());

    // What failed half-way has an effect too.
    let report = tried(vec![Step { undo: None, ..last() }]);
    assert_eq!(report.nodes[0].error, Cell::LeftBehind);
}

#[test]
fn gates_are_opened_and_uploads_and_waits_come_again() {
    let gate = Action::Gate {
        text: Template::literal("go?"),
        approvers: vec!["alice".to_owned()],
        not_requester: true,
        within_ms: Some(60_000),
        otherwise: dsl::plan::Otherwise::Reject,
    };
    assert_eq!(
        one(Step::new("gate", None, gate)),
        ([Cell::Stops, Cell::NotApplicable, Cell::GoesOn, Cell::NotApplicable], Verdict::Safe, 0)
    );
    let wait = Action::Wait { until: dsl::plan::Until::Ssh, within_ms: 1_000, every_ms: 100 };
    assert_eq!(
        one(Step::new("wait", Some("host"), wait)),
        ([Cell::Stops, Cell::NotApplicable, Cell::RunsAgain, Cell::NotApplicable], Verdict::Safe, 0)
    );
    let from = dsl::plan::UploadFrom::Asset("x".to_owned());
    let upload = Action::Upload { from, to: Template::literal("/x"), mode: None };
    let spec = dsl::plan::FileSpec {
        to: Template::literal("/x"),
        content: dsl::plan::FileContent::Text(Template::literal("x")),
        mode: None,
        owner: None,
        group: None,
        backup: true,
    };
    let lines =
        dsl::plan::Patch::Lines { ensure: vec![Template::literal("x")], absent: Vec::new(), replace: Vec::new() };
    let patch = Action::PatchFile { path: Template::literal("/x"), patch: lines, create: false };
    let path = || Template::literal("/x");
    let download = Action::Download(dsl::plan::DownloadSpec { from: path(), to: path(), mode: None });
    let copy = Action::Copy(dsl::plan::CopySpec {
        from_role: "host".to_owned(),
        from: path(),
        to: path(),
        mode: None,
        owner: None,
        group: None,
        backup: false,
    });
    for action in [upload, Action::WriteFiles { files: vec![spec] }, patch, download, copy] {
        let retried = Step { retry: retry(vec![RetryOn::Connection]), ..Step::new("file", Some("host"), action) };
        assert_eq!(one(retried), ([Cell::Stops, Cell::RunsAgain, Cell::RunsAgain, Cell::RunsAgain], Verdict::Safe, 0));
    }
}

#[test]
fn a_restart_is_found_again_and_its_host_is_not_restarted_under_it() {
    let reboot = Step::new("restart", Some("host"), Action::Reboot { within_ms: 60_000 });
    assert_eq!(one(reboot), ([Cell::Stops, Cell::NotApplicable, Cell::GoesOn, Cell::NotApplicable], Verdict::Safe, 0));
}

#[test]
fn a_lock_that_several_hosts_want_is_given_on() {
    let mut plan = plan(vec![Step { locks: vec![Template::literal("one")], ..step("a") }]);
    let slots = ["h1", "h2", "h3"].map(str::to_owned).to_vec();
    plan.roles.insert("host".to_owned(), Role { one: false, slots, from: None });
    let trial = Trial { plan: Arc::new(plan), outs: BTreeMap::new(), only: Some("a@h2".to_owned()) };
    let report = trial.run().unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(report.nodes.len(), 1);
    assert_eq!(report.nodes[0].crash, Cell::GoesOn);
    assert!(report.findings[0].what.contains("locks"), "{:?}", report.findings);
}

#[test]
fn a_long_operation_is_no_endless_one() {
    let trial = Trial {
        plan: Arc::new(plan((0..300).map(|n| step(&format!("s{n}"))).collect())),
        outs: BTreeMap::new(),
        only: Some("s299".to_owned()),
    };
    let report = trial.run().unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(report.nodes[0].crash, Cell::GoesOn, "an engine that died late is no engine that goes on for ever");
}

#[test]
fn what_cannot_be_tried_is_said() {
    let many = (0..100).map(|n| format!("h{n}")).collect();
    let mut plan = plan((0..100).map(|n| step(&format!("s{n}"))).collect());
    plan.roles.insert("host".to_owned(), Role { one: false, slots: many, from: None });
    let trial = Trial { plan: Arc::new(plan), outs: BTreeMap::new(), only: None };
    let why = trial.run().expect_err("ten thousand nodes are too many");
    assert!(why.hint.contains("--hosts"), "{why}");
    let why = Trial { only: Some("nothing".to_owned()), ..trial }.run().expect_err("no such step");
    assert!(why.why.contains("nothing"), "{why}");
}

#[test]
fn what_waits_for_an_end_only_comes_again_with_the_failure_that_it_stood_behind() {
    let first = Step { on_failure: OnFailure::Continue, interrupted: Interrupted::Rerun, ..step("first") };
    let behind = Step { interrupted: Interrupted::Rerun, ..step("behind") };
    let mut plan = plan(vec![first, behind]);
    plan.steps[1].needs[0].settled = true;
    let trial = Trial { plan: Arc::new(plan), outs: BTreeMap::new(), only: None };
    let report = trial.run().unwrap_or_else(|why| panic!("{why}"));
    for row in &report.nodes {
        assert_eq!(row.verdict, Verdict::Safe, "{}: {:?}", row.node, report.findings);
    }
}
