//! Plans from outside that contradict themselves.

use dsl::PlanError;
use dsl::expr::{Expr, HostProperty, Part, Template};
use dsl::plan::{Edge, EdgeKind, OnFailure, Plan};
use dsl::value::Value;

use crate::fixture;

fn plan(name: &str) -> Plan {
    fixture::run(&fixture::folder().join(format!("plans/{name}.ron"))).compiled.expect("a plan").plan
}

fn at(plan: &Plan, id: &str) -> usize {
    plan.steps.iter().position(|step| step.id == id).expect("a step")
}

fn template(expr: Expr) -> Template {
    Template { parts: vec![Part::Expr(expr)], secret: false }
}

/// Does the damage, and gives why the plan is refused.
fn refused(mut plan: Plan, damage: impl FnOnce(&mut Plan)) -> String {
    damage(&mut plan);
    match Plan::from_json(&plan.to_json().expect("to store it")) {
        Err(PlanError::Invalid(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn damaged_groups_are_refused() {
    let plan = plan("rolling");
    let names = ["count", "drain", "upgrade", "patch_gate", "balance", "clean"];
    let [count, drain, upgrade, gate, balance, clean] = names.map(|id| at(&plan, id));
    let why = |damage: &dyn Fn(&mut Plan)| refused(plan.clone(), damage);
    assert!(why(&|plan| plan.steps[drain].group = Some(7)).contains("unknown group"));
    assert!(why(&|plan| plan.steps[balance].group = Some(0)).contains("another role than its group"));
    assert!(why(&|plan| plan.groups[0].role = "nobody".to_owned()).contains("another role"));
    assert!(why(&|plan| plan.groups[0].sizes[1] = 0).contains("lets nobody in"));
    assert!(why(&|plan| plan.groups[0].stop_after = Some(0)).contains("lets nobody in"));
    assert!(why(&|plan| plan.groups[0].gate = Some(99)).contains("before the gate"));
    assert!(why(&|plan| plan.groups[0].gate = Some(count)).contains("a gate that is none"));
    assert!(why(&|plan| plan.groups[1].gate = Some(drain)).contains("a gate that is none"));
    assert!(why(&|plan| plan.groups[1].id = "patch".to_owned()).contains("id of another"));
    let edge = |step| Edge::needs(step, EdgeKind::Barrier);
    assert!(why(&|plan| plan.steps[upgrade].needs.push(edge(gate))).contains("a gate that a step waits for"));
    assert!(why(&|plan| plan.steps[clean].group = Some(0)).contains("`finally` with an undo or a group"));
}

#[test]
fn damaged_gates_and_finally_steps_are_refused() {
    let plan = plan("rolling");
    let [ask, drain, balance, clean, tell] = ["ask", "drain", "balance", "clean", "tell"].map(|id| at(&plan, id));
    let why = |damage: &dyn Fn(&mut Plan)| refused(plan.clone(), damage);
    assert!(why(&|plan| plan.steps[ask].role = Some("lb".to_owned())).contains("exactly if it is no gate"));
    assert!(why(&|plan| plan.steps[balance].role = None).contains("exactly if it is no gate"));
    assert!(why(&|plan| plan.steps[ask].undo = Some(plan.steps[balance].action.clone())).contains("is a gate with"));
    assert!(why(&|plan| plan.steps[tell].finally = None).contains("stands behind a step of `finally`"));
    assert!(why(&|plan| plan.steps[clean].on_failure = OnFailure::Stop).contains("stops it"));
    let edge = |step| Edge::needs(step, EdgeKind::Barrier);
    assert!(why(&|plan| plan.steps[clean].needs.push(edge(balance))).contains("waits for a step outside"));
    let read = |expr: Expr| move |plan: &mut Plan| plan.steps[balance].stdin = Some(template(expr.clone()));
    assert!(why(&read(Expr::OperationState)).contains("how the operation ended"));
    assert!(why(&read(Expr::OperationFailure)).contains("how the operation ended"));
    assert!(why(&read(Expr::Each)).contains("reads an element"));
    assert!(why(&read(Expr::Out { step: clean, name: "x".to_owned() })).contains("does not wait for"));
    let in_gate = |plan: &mut Plan| plan.steps[ask].when = Some(Expr::Host(HostProperty::Name));
    assert!(why(&in_gate).contains("reads a host"));
    let output = |expr: Expr| move |plan: &mut Plan| drop(plan.outputs.insert("o".to_owned(), template(expr.clone())));
    assert!(why(&output(Expr::Out { step: clean, name: "x".to_owned() })).contains("reads a step of `finally`"));
    assert!(why(&output(Expr::OperationState)).contains("how the operation ended"));
    assert!(why(&output(Expr::Host(HostProperty::Name))).contains("reads a host"));
    let name = |expr: Expr| move |plan: &mut Plan| plan.locks.push(template(expr.clone()));
    assert!(why(&name(Expr::Out { step: 0, name: "n".to_owned() })).contains("known before"));
    assert!(why(&name(Expr::OperationId)).contains("not an input"));
    assert!(why(&name(Expr::OperationStartedAt)).contains("not an input"));
    assert!(why(&name(Expr::Input("nothing".to_owned()))).contains("unknown input"));
    assert!(why(&|plan| plan.instances[0].secret = true).contains("is secret"));
    assert!(why(&|plan| plan.steps[drain].locks[0].secret = true).contains("a secret in the name of a lock"));
    assert!(why(&|plan| plan.deadline_ms = Some(0)).contains("deadline"));
}

#[test]
fn damaged_lists_are_refused() {
    let plan = plan("each");
    let [create, grant, ping, after] = ["create", "grant", "ping", "after"].map(|id| at(&plan, id));
    let why = |damage: &dyn Fn(&mut Plan)| refused(plan.clone(), damage);
    assert!(why(&|plan| plan.roles.get_mut("control").unwrap().one = false).contains("is not one host"));
    assert!(why(&|plan| plan.steps[create].parallel = Some(0)).contains("may run nowhere"));
    assert!(why(&|plan| plan.steps[create].each = Some(Expr::Each)).contains("reads an element"));
    assert!(why(&|plan| plan.steps[create].each = Some(Expr::Host(HostProperty::Name))).contains("reads a host"));
    assert!(why(&|plan| plan.steps[grant].each = Some(Expr::List(Vec::new()))).contains("with another `each`"));
    assert!(why(&|plan| plan.steps[ping].needs.clear()).contains("does not wait for"));
    assert!(why(&|plan| plan.steps[after].needs[0].kind = EdgeKind::Keyed).contains("on another role"));
    assert!(why(&|plan| plan.steps[after].each = Some(Expr::Literal(Value::None))).contains("is not one host"));
}
