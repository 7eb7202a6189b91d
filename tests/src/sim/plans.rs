//! Random plans: small, and with everything in them that decides what happens after a crash.

use std::collections::BTreeMap;

use dsl::expr::{Binary, Expr, HostProperty, Template};
use dsl::plan::{
    Action, Edge, EdgeKind, EdgeOrigin, Group, Interrupted, OnFailure, OnState, Otherwise, Plan, Probe, RecordOf,
    RecordSpec, RecordedRole, Retry, RetryOn, Role, Step, Until,
};
use dsl::value::Value;
use engine::operation::{HostRecord, ReachRecord};
use fastrand::Rng;

/// The names of locks that steps of all plans share.
const LOCKS: [&str; 2] = ["tape", "switch"];
/// The output that a step of a role with one host may have, for an `each` behind it.
pub const ITEMS: &str = "items";

/// A valid plan.
pub fn random(rng: &mut Rng) -> Plan {
    let many = (0..rng.usize(1..5)).map(|slot| format!("a{slot}")).collect();
    let roles = BTreeMap::from([
        ("many".to_owned(), Role { one: false, slots: many, from: None }),
        ("one".to_owned(), Role { one: true, slots: vec!["b".to_owned()], from: None }),
    ]);
    let mut plan = Plan::new("simulated", roles, Vec::new());
    for index in 0..rng.usize(1..7) {
        let step = match rng.u8(0..10) {
            0 => gate(rng, index, &plan.steps),
            1 => each(rng, index, &plan.steps),
            2 => here(rng, index, &plan.steps),
            _ => step(rng, index, &plan.steps, None),
        };
        plan.steps.push(step);
    }
    if rng.u8(0..3) == 0 {
        group(rng, &mut plan);
        // By numbers of its own, so that a seed goes on as it did.
        per_host(&mut rng.clone(), &mut plan);
    }
    let body = plan.steps.len();
    if rng.u8(0..3) == 0 {
        for _ in 0..rng.usize(1..3) {
            finally(rng, &mut plan, body);
        }
    }
    plan.deadline_ms = (rng.u8(0..8) == 0).then(|| rng.u64(5_000..200_000));
    plan
}

fn needs(rng: &mut Rng, role: Option<&str>, each: Option<&Expr>, before: &[Step], from: usize) -> Vec<Edge> {
    let mut needs = Vec::new();
    for (earlier, step) in before.iter().enumerate().skip(from) {
        if rng.u8(0..3) == 0 {
            let same = role.is_some() && step.role.as_deref() == role && step.each.as_ref() == each;
            let kind = if same { EdgeKind::Keyed } else { EdgeKind::Barrier };
            // `All` is a barrier on the same role too, and `Settled` takes a failure for enough.
            let kind = if rng.u8(0..6) == 0 { EdgeKind::Barrier } else { kind };
            needs.push(Edge { settled: rng.u8(0..4) == 0, ..Edge::needs(earlier, kind) });
        }
    }
    needs
}

fn command() -> Action {
    Action::Run { argv: vec![Template::literal("effect")] }
}

fn step(rng: &mut Rng, index: usize, before: &[Step], role: Option<&str>) -> Step {
    let role = role.unwrap_or(if rng.u8(0..3) > 0 { "many" } else { "one" });
    let needs = needs(rng, Some(role), None, before, 0);
    let action = match rng.u8(0..8) {
        0 => Action::Wait { until: Until::Ssh, within_ms: 60_000, every_ms: 1_000 },
        _ => command(),
    };
    let when = match (rng.u8(0..6), needs.first()) {
        (0, _) => Some(Expr::Literal(Value::Bool(rng.bool()))),
        (1, Some(edge)) => Some(Expr::Binary(
            Binary::Equal,
            Box::new(Expr::StepState(edge.step)),
            Box::new(Expr::Literal(Value::Text("succeeded".to_owned()))),
        )),
        _ => None,
    };
    let waits = matches!(action, Action::Wait { .. });
    let run_at = (role == "many" && !waits && rng.u8(0..6) == 0).then(|| "one".to_owned());
    policies(rng, Step { needs, when, run_at, ..Step::new(format!("s{index}"), Some(role), action) })
}

/// What is drawn for every step that runs something.
fn policies(rng: &mut Rng, step: Step) -> Step {
    let probe = rng.bool().then(|| Probe { action: command(), always: rng.u8(0..4) == 0 });
    let undo = rng.bool().then(command);
    let interrupted = loop {
        let policy = *rng.choice(&ALL).unwrap_or(&Interrupted::Ask);
        match policy {
            Interrupted::Probe if probe.is_none() => {}
            Interrupted::UndoThenRerun if undo.is_none() => {}
            _ => break policy,
        }
    };
    let locks = LOCKS.iter().filter(|_| rng.u8(0..6) == 0).map(|lock| Template::literal(*lock)).collect();
    Step {
        probe,
        undo,
        interrupted,
        locks,
        parallel: (rng.u8(0..5) == 0).then(|| rng.u32(1..3)),
        retry: Retry {
            times: rng.u32(1..4),
            wait_ms: 1_000,
            factor: 2.0,
            cap_ms: 10_000,
            on: vec![RetryOn::Any],
            jitter: rng.f64(),
        },
        timeout_ms: 120_000,
        on_failure: *rng
            .choice(&[OnFailure::Stop, OnFailure::Continue, OnFailure::Rollback])
            .unwrap_or(&OnFailure::Stop),
        ..step
    }
}

fn gate(rng: &mut Rng, index: usize, before: &[Step]) -> Step {
    let action = Action::Gate {
        text: Template::literal("go on?"),
        approvers: Vec::new(),
        not_requester: false,
        within_ms: rng.bool().then(|| rng.u64(1_000..100_000)),
        otherwise: if rng.bool() { Otherwise::Approve } else { Otherwise::Reject },
    };
    Step { needs: needs(rng, None, None, before, 0), ..Step::new(format!("s{index}"), None, action) }
}

/// A step from here: one node, on no host of the plan's.
fn here(rng: &mut Rng, index: usize, before: &[Step]) -> Step {
    let needs = needs(rng, None, None, before, 0);
    let step = |action| Step { needs, ..Step::new(format!("s{index}"), None, action) };
    if rng.bool() {
        let condition = Expr::Literal(Value::Bool(true));
        return step(Action::Assert { condition, text: Template::literal("wrong") });
    }
    let local = || Action::Local { argv: vec![Template::literal("effect")] };
    let step = policies(rng, step(local()));
    Step {
        probe: step.probe.map(|_| Probe { action: local(), always: false }),
        undo: step.undo.map(|_| local()),
        ..step
    }
}

/// A step for each element of a list: one that stands there, one that a step puts out, or one that cannot be told.
fn each(rng: &mut Rng, index: usize, before: &[Step]) -> Step {
    let text = |text: &str| Value::Text(text.to_owned());
    let source = before.iter().position(|step| step.role.as_deref() == Some("one") && step.each.is_none());
    let list = match (rng.u8(0..6), source) {
        (0, _) => Expr::Literal(Value::List(vec![text("same"), text("same")])),
        (1, _) => Expr::Literal(Value::List(Vec::new())),
        (2..=3, Some(step)) => Expr::Out { step, name: ITEMS.to_owned() },
        _ => Expr::Literal(Value::List(vec![text("x"), text("y")])),
    };
    let mut needs = needs(rng, Some("one"), Some(&list), before, 0);
    if let Expr::Out { step, .. } = list
        && !needs.iter().any(|edge| edge.step == step)
    {
        needs.push(Edge { origin: EdgeOrigin::Reference, ..Edge::needs(step, EdgeKind::Barrier) });
    }
    policies(rng, Step { needs, each: Some(list), ..Step::new(format!("s{index}"), Some("one"), command()) })
}

/// Steps that hosts pass through in batches; they stand last, so that nothing outside waits for them.
fn group(rng: &mut Rng, plan: &mut Plan) {
    let gate_step = rng.u8(0..3) == 0;
    if gate_step {
        let gate = gate(rng, plan.steps.len(), &[]);
        plan.steps.push(gate);
    }
    let gate = gate_step.then(|| plan.steps.len() - 1);
    let before = plan.steps.len();
    for index in before..before + rng.usize(1..4) {
        let mut step = step(rng, index, &plan.steps, Some("many"));
        step.needs.retain(|edge| Some(edge.step) != gate);
        // The compiler refuses a group in which a host would wait for all.
        step.needs.iter_mut().filter(|edge| edge.step >= before).for_each(|edge| edge.kind = EdgeKind::Keyed);
        step.group = Some(0);
        plan.steps.push(step);
    }
    plan.groups.push(Group {
        id: "group".to_owned(),
        role: "many".to_owned(),
        sizes: (0..rng.usize(1..4)).map(|_| rng.u32(1..3)).collect(),
        pause_ms: if rng.bool() { 0 } else { rng.u64(1_000..20_000) },
        stop_after: rng.bool().then(|| rng.u32(1..3)),
        gate,
        filter: None,
        by: None,
    });
}

/// The name of a label.
const ZONE: &str = "zone";

/// A host with labels that follow from its name.
pub fn host(slot: &str) -> HostRecord {
    let zone = (slot.bytes().map(u32::from).sum::<u32>() % 2).to_string();
    HostRecord { labels: BTreeMap::from([(ZONE.to_owned(), zone)]), ..HostRecord::first(ReachRecord::Local) }
}

/// A `where` of the role, and a `by` of the batch.
fn per_host(rng: &mut Rng, plan: &mut Plan) {
    let text = |text: &str| Box::new(Expr::Literal(Value::Text(text.to_owned())));
    let zone = || Box::new(Expr::Index(Box::new(Expr::Host(HostProperty::Labels)), text(ZONE)));
    let not = |what: Box<Expr>, of: &str| Expr::Binary(Binary::NotEqual, what, text(of));
    if rng.u8(0..3) == 0 {
        let filter = if rng.bool() { not(zone(), "1") } else { not(Box::new(Expr::Host(HostProperty::Name)), "a0") };
        for step in plan.steps.iter_mut().filter(|step| step.role.as_deref() == Some("many")) {
            let own = step.when.take();
            step.when = Some(match own {
                Some(own) => Expr::Binary(Binary::And, Box::new(filter.clone()), Box::new(own)),
                None => filter.clone(),
            });
        }
        plan.groups[0].filter = Some(filter);
    }
    plan.groups[0].by = rng.bool().then(|| *zone());
}

fn finally(rng: &mut Rng, plan: &mut Plan, body: usize) {
    let (index, role) = (plan.steps.len(), if rng.bool() { "many" } else { "one" });
    let needs = needs(rng, Some(role), None, &plan.steps, body);
    let step = policies(rng, Step { needs, ..Step::new(format!("s{index}"), Some(role), command()) });
    let on_state = [OnState::Always, OnState::Succeeded, OnState::Failed, OnState::Cancelled];
    let interrupted = match step.interrupted {
        Interrupted::UndoThenRerun => Interrupted::Rerun,
        other => other,
    };
    plan.steps.push(Step {
        undo: None,
        interrupted,
        on_failure: OnFailure::Continue,
        finally: Some(*rng.choice(&on_state).unwrap_or(&OnState::Always)),
        ..step
    });
}

/// Some worlds record: steps that ran something record or forget an instance or a wiring instead. The operation declares the
/// instances whose locks it has, and has at least one.
pub fn records(rng: &mut Rng, plan: &mut Plan, locks: &mut Vec<String>) {
    if rng.u8(0..3) > 0 {
        return;
    }
    if locks.is_empty() {
        locks.push("instance/a".to_owned());
    }
    let names: Vec<String> = locks.iter().map(|lock| lock.trim_start_matches("instance/").to_owned()).collect();
    plan.instances = names.iter().map(Template::literal).collect();
    for step in &mut plan.steps {
        let effects = matches!(step.action, Action::Run { .. } | Action::Local { .. } | Action::Assert { .. });
        if !effects || rng.u8(0..3) == 0 || (step.role.is_some() && step.each.is_some()) {
            continue;
        }
        // A name that is not declared is refused when its turn comes.
        let name = if rng.u8(0..12) == 0 { "other" } else { names[rng.usize(0..names.len())].as_str() };
        let name = Template::literal(name);
        let of = if step.role.is_some() { RecordOf::Wiring(name) } else { RecordOf::Instance(name) };
        let value = Template::literal(rng.u8(0..3).to_string());
        step.action = match (&of, rng.u8(0..4)) {
            (_, 0) => Action::Forget(of),
            (RecordOf::Instance(_), _) => Action::Record(RecordSpec {
                of,
                kind: Some(Template::literal("cluster")),
                members: vec![RecordedRole { name: "many".to_owned(), role: "many".to_owned() }],
                values: vec![("v".to_owned(), value)],
            }),
            (RecordOf::Wiring(_), _) => Action::Record(RecordSpec {
                of,
                kind: None,
                members: Vec::new(),
                values: vec![("v".to_owned(), value)],
            }),
        };
        step.probe = None;
        step.run_at = None;
        step.interrupted = Interrupted::Rerun;
        step.undo = (step.finally.is_none() && rng.u8(0..3) > 0).then_some(Action::Restore);
    }
}

const ALL: [Interrupted; 5] =
    [Interrupted::Reattach, Interrupted::Probe, Interrupted::Rerun, Interrupted::UndoThenRerun, Interrupted::Ask];
