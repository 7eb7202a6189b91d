//! Random plans: small, and with everything in them that decides what happens after a crash.

use std::collections::BTreeMap;

use dsl::expr::{Binary, Expr, Template};
use dsl::plan::{
    Action, Edge, EdgeKind, EdgeOrigin, Interrupted, OnFailure, Plan, Probe, Retry, RetryOn, Role, Step, Until,
};
use dsl::value::Value;
use fastrand::Rng;

/// A valid plan.
pub fn random(rng: &mut Rng) -> Plan {
    let many = (0..rng.usize(1..4)).map(|slot| format!("a{slot}")).collect();
    let roles = BTreeMap::from([
        ("many".to_owned(), Role { one: false, slots: many }),
        ("one".to_owned(), Role { one: true, slots: vec!["b".to_owned()] }),
    ]);
    let count = rng.usize(1..8);
    let mut steps: Vec<Step> = Vec::new();
    for index in 0..count {
        let step = step(rng, index, &steps);
        steps.push(step);
    }
    Plan::new("simulated", roles, steps)
}

fn step(rng: &mut Rng, index: usize, before: &[Step]) -> Step {
    let role = if rng.u8(0..3) > 0 { "many" } else { "one" };
    let mut needs = Vec::new();
    for (earlier, step) in before.iter().enumerate() {
        if rng.u8(0..3) == 0 {
            let kind = if step.role.as_deref() == Some(role) { EdgeKind::Keyed } else { EdgeKind::Barrier };
            needs.push(Edge { step: earlier, kind, origin: EdgeOrigin::Needs });
        }
    }
    let command = || Action::Run { argv: vec![Template::literal("effect")] };
    let action = match rng.u8(0..8) {
        0 => Action::Wait { until: Until::Ssh, within_ms: 60_000, every_ms: 1_000 },
        _ => command(),
    };
    let probe = rng.bool().then(|| Probe { action: command() });
    let undo = rng.bool().then(command);
    let interrupted = loop {
        let policy = *rng.choice(&ALL).unwrap_or(&Interrupted::Ask);
        match policy {
            Interrupted::Probe if probe.is_none() => {}
            Interrupted::UndoThenRerun if undo.is_none() => {}
            _ => break policy,
        }
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
    Step {
        needs,
        when,
        probe,
        undo,
        interrupted,
        retry: Retry { times: rng.u32(1..4), wait_ms: 1_000, factor: 2.0, cap_ms: 10_000, on: vec![RetryOn::Any] },
        timeout_ms: 120_000,
        on_failure: *rng
            .choice(&[OnFailure::Stop, OnFailure::Continue, OnFailure::Rollback])
            .unwrap_or(&OnFailure::Stop),
        ..Step::new(format!("s{index}"), Some(role), action)
    }
}

const ALL: [Interrupted; 5] =
    [Interrupted::Reattach, Interrupted::Probe, Interrupted::Rerun, Interrupted::UndoThenRerun, Interrupted::Ask];
