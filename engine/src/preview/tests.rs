//! The course of random plans against runs of them on model hosts, and the rules one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dsl::eval::render;
use dsl::expr::{Binary, Expr, Function, HostProperty, Part, Template, Unary};
use dsl::plan::{
    Action, Edge, EdgeKind, EdgeOrigin, FileContent, FileSpec, Input, OnState, Otherwise, Out, Plan, Probe, Role, Step,
    Until,
};
use dsl::types::{Field, Type};
use dsl::value::{SecretRef, Value};
use fastrand::Rng;
use store::Secret;
use uuid::Uuid;

use super::course::Course;
use super::mask::Shade;
use super::question::{Learnt, Question};
use super::report::{Report, Verdict};
use crate::operation::{CoreScope, Failure, FailureClass, HostRecord, NodeId, NodeState, Operation, ReachRecord, Skip};
use crate::redact::Redactor;
use crate::trial::run_once;
use crate::vault::Vault;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn literal(value: Value) -> Box<Expr> {
    Box::new(Expr::Literal(value))
}

fn out(step: usize, name: &str) -> Expr {
    Expr::Out { step, name: name.to_owned() }
}

fn template(words: &str, expr: Expr) -> Template {
    Template { parts: vec![Part::Text(words.to_owned()), Part::Expr(expr)], secret: false }
}

fn run(arguments: Vec<Template>) -> Action {
    Action::Run { argv: std::iter::once(Template::literal("do")).chain(arguments).collect() }
}

/// Asks nobody: `answer` says what is learnt.
fn previewed(plan: &Arc<Plan>, answer: impl FnMut(&Question) -> Learnt) -> Report {
    with_secrets(plan, Vault::default(), answer)
}

fn with_secrets(plan: &Arc<Plan>, vault: Vault, mut answer: impl FnMut(&Question) -> Learnt) -> Report {
    let slots = plan.roles.values().flat_map(|role| role.slots.clone());
    let hosts = slots.map(|slot| (slot, HostRecord::first(ReachRecord::Local))).collect();
    let redactor = Redactor::new(&vault, &[]);
    let course = Course::new(Arc::clone(plan), BTreeMap::new(), (hosts, BTreeMap::new()), vault, redactor, Uuid::nil());
    let mut course = course.unwrap_or_else(|why| panic!("{why}"));
    loop {
        let questions = course.next().unwrap_or_else(|why| panic!("{why}"));
        if questions.is_empty() {
            return course.report().unwrap_or_else(|why| panic!("{why}"));
        }
        for question in questions {
            let learnt = answer(&question);
            course.learn(&question.node, learnt).unwrap_or_else(|why| panic!("{why}"));
        }
    }
}

/// Steps of one host, each behind the one before it, where `so` says which probes find it so.
fn verdicts(mut steps: Vec<Step>, so: &[&str]) -> Vec<Verdict> {
    for (index, step) in steps.iter_mut().enumerate().skip(1) {
        step.needs.push(Edge::needs(index - 1, EdgeKind::Keyed));
    }
    let roles = BTreeMap::from([("one".to_owned(), Role { one: true, slots: vec!["h".to_owned()], from: None })]);
    let plan = Arc::new(Plan::new("tried", roles, steps));
    let report = previewed(&plan, |question| match (&question.probe, so.contains(&question.node.step.as_str())) {
        (Some(_), true) => Learnt::ProbedSo,
        (Some(_), false) => Learnt::ProbedNotSo(Vec::new()),
        (None, _) => Learnt::Reached,
    });
    report.nodes.into_iter().map(|row| row.expected).collect()
}

fn step(id: &str) -> Step {
    Step::new(id, Some("one"), run(Vec::new()))
}

fn probed(id: &str) -> Step {
    Step { probe: Some(Probe { action: run(Vec::new()), always: false }), ..step(id) }
}

fn puts_out(id: &str) -> Step {
    Step { out: BTreeMap::from([("x".to_owned(), Out::Stdout { ty: Type::Text })]), ..step(id) }
}

fn unknown(until: &str, now: Option<&str>) -> Verdict {
    Verdict::Unknown { until: vec![until.to_owned()], now: now.map(str::to_owned) }
}

fn so() -> Verdict {
    Verdict::AlreadySo { says: "says the probe".to_owned() }
}

#[test]
fn it_is_so_only_where_nothing_before_it_would_change_anything() {
    let now = Some("now it is so, says the probe");
    assert_eq!(verdicts(vec![probed("a"), probed("b")], &["a", "b"]), [so(), so()]);
    let told = verdicts(vec![probed("a"), probed("b"), probed("c")], &["b", "c"]);
    assert_eq!(told[1..], [unknown("a", now), unknown("b", now)]);
    let told = verdicts(vec![probed("a"), probed("b")], &[]);
    let does = || "do".to_owned();
    assert_eq!(told[1], Verdict::WillChange { does: does(), files: Vec::new(), unless: vec!["a".to_owned()] });
    let told = verdicts(vec![step("a"), probed("b")], &["b"]);
    assert_eq!(told, [Verdict::WillRun { does: does() }, unknown("a", now)]);
    // A gate and a wait change nothing by themselves.
    let wait = Action::Wait { until: Until::Ssh, within_ms: 1_000, every_ms: 100 };
    let told = verdicts(vec![Step::new("wait", Some("one"), wait), probed("b")], &["b"]);
    assert_eq!(told[1], so());
}

#[test]
fn an_expression_that_does_not_come_to_read_an_output_has_its_value() {
    let reads = || Box::new(Expr::Binary(Binary::Equal, Box::new(out(0, "x")), literal(text("x"))));
    let told = |when: Expr| {
        let told = verdicts(vec![puts_out("a"), Step { when: Some(when), ..step("b") }], &[]);
        told[1].clone()
    };
    let no = || literal(Value::Bool(false));
    let yes = || literal(Value::Bool(true));
    let skipped = Verdict::Skipped { why: "its `when` is false".to_owned() };
    assert_eq!(told(Expr::Binary(Binary::And, no(), reads())), skipped);
    assert_eq!(told(Expr::Binary(Binary::Or, yes(), reads())), Verdict::WillRun { does: "do".to_owned() });
    assert_eq!(told(Expr::If(no(), reads(), no())), skipped);
    // In a run the left side is computed first, and might fail: then nothing is skipped.
    assert_eq!(told(Expr::Binary(Binary::And, reads(), no())), unknown("a", None));
    assert_eq!(
        told(Expr::Binary(Binary::Equal, Box::new(Expr::OperationId), literal(text("")))),
        unknown("operation.id", None)
    );
    // What was skipped has no output, and that is known.
    let skips = Step { when: Some(Expr::Literal(Value::Bool(false))), ..puts_out("a") };
    let or_none = Expr::Coalesce(Box::new(out(0, "x")), literal(text("none")));
    let reader = Step { action: run(vec![template("got-", or_none)]), ..step("b") };
    assert_eq!(verdicts(vec![skips, reader], &[])[1], Verdict::WillRun { does: "do got-none".to_owned() });
}

#[test]
fn a_host_that_cannot_be_used_stops_nothing_elsewhere() {
    let roles = BTreeMap::from([(
        "many".to_owned(),
        Role { one: false, slots: vec!["h1".to_owned(), "h2".to_owned()], from: None },
    )]);
    let needs = vec![Edge::needs(0, EdgeKind::Keyed)];
    let steps = vec![
        Step { role: Some("many".to_owned()), ..probed("a") },
        Step { role: Some("many".to_owned()), needs, ..probed("b") },
    ];
    let plan = Arc::new(Plan::new("tried", roles, steps));
    let down = Failure { class: FailureClass::Connection, message: "it is down".to_owned(), hint: None };
    let report = previewed(&plan, |question| match question.node.key.as_str() {
        "h1" => Learnt::NoHost(down.clone()),
        _ => Learnt::ProbedSo,
    });
    let down = || Verdict::CannotTell { why: "it is down".to_owned(), hint: None };
    let told: Vec<Verdict> = report.nodes.into_iter().map(|row| row.expected).collect();
    assert_eq!(told, [down(), so(), down(), so()]);
}

#[test]
fn what_is_computed_of_a_secret_has_another_value_in_each_shade() {
    let input = |name: &str| Expr::Input(name.to_owned());
    let is_x = Expr::Binary(Binary::Equal, Box::new(input("pw")), literal(text("x")));
    let told = Expr::If(Box::new(is_x), literal(text("yes")), literal(text("no")));
    let given = Expr::Binary(Binary::NotEqual, Box::new(input("pw")), literal(Value::None));
    let parts = [("a=", input("user")), ("\nb=", told), ("\nc=", input("pw")), ("\nd=", given)];
    let parts = parts.into_iter().flat_map(|(words, expr)| [Part::Text(words.to_owned()), Part::Expr(expr)]).collect();
    let content = FileContent::Text(Template { parts, secret: true });
    let file = FileSpec { to: Template::literal("/f"), content, mode: None, owner: None, group: None, backup: false };
    let steps = vec![Step::new("w", Some("one"), Action::WriteFiles { files: vec![file] })];
    let roles = BTreeMap::from([("one".to_owned(), Role { one: true, slots: vec!["h".to_owned()], from: None })]);
    let mut plan = Plan::new("tried", roles, steps);
    let name = SecretRef("inputs.pw".to_owned());
    for (input, value) in [("user", text("ann")), ("pw", Value::Secret(name.clone()))] {
        let field = Field { ty: Type::Text, optional: false, secret: input == "pw" };
        plan.inputs.insert(input.to_owned(), Input { field, value });
    }
    let vault = Vault::new(BTreeMap::from([(name, Secret::from("hunter2-hunter2"))]));
    let mut shades = Vec::new();
    with_secrets(&Arc::new(plan), vault, |question| {
        let look = question.look.as_ref().expect("files are looked at");
        if let [Shade::Twice(texts)] = &look.shades.written[..] {
            shades.extend(texts.clone());
        }
        Learnt::LooksSo(String::new())
    });
    let lines: Vec<Vec<&str>> = shades.iter().map(|text| text.lines().collect()).collect();
    assert_eq!(lines.len(), 2);
    // Whether there is a secret at all is none.
    assert!(lines.iter().all(|lines| lines[0] == "a=ann" && lines[3] == "d=true"), "{lines:?}");
    assert!(lines[0][1] != lines[1][1] && lines[0][2] != lines[1][2], "{lines:?}");
    assert!(!shades.concat().contains("hunter2"));
}

/// A random plan: what steps put out, and what is there on its hosts before it runs.
struct Random {
    plan: Arc<Plan>,
    outs: BTreeMap<(String, String), Value>,
    there: BTreeSet<NodeId>,
}

impl Random {
    fn new(rng: &mut Rng) -> Random {
        let slots = |name: &str, count| (0..count).map(|n| format!("{name}{n}")).collect();
        let roles = BTreeMap::from([
            ("many".to_owned(), Role { one: false, slots: slots("a", rng.usize(1..4)), from: None }),
            ("one".to_owned(), Role { one: true, slots: slots("b", 1), from: None }),
        ]);
        let mut plan = Plan::new("random", roles, Vec::new());
        for index in 0..rng.usize(2..9) {
            let step = random_step(rng, index, &plan.steps);
            plan.steps.push(step);
        }
        if rng.bool() {
            let on_state = [OnState::Always, OnState::Succeeded, OnState::Failed, OnState::Cancelled];
            let step = Step { finally: rng.choice(&on_state).copied(), needs: Vec::new(), ..probed("last") };
            plan.steps.push(step);
        }
        let (mut outs, mut there) = (BTreeMap::new(), BTreeSet::new());
        for step in &plan.steps {
            outs.insert((step.id.clone(), "x".to_owned()), text(if rng.bool() { "x" } else { "y" }));
            let list = ["p", "q"].iter().filter(|_| rng.bool()).map(|key| text(key)).collect();
            outs.insert((step.id.clone(), "list".to_owned()), Value::List(list));
            for key in ["a0", "a1", "a2", "b0", "p", "q"].iter().filter(|_| rng.u8(0..3) > 0) {
                there.insert(NodeId { step: step.id.clone(), key: (*key).to_owned() });
            }
        }
        Random { plan: Arc::new(plan), outs, there }
    }
}

fn random_step(rng: &mut Rng, index: usize, before: &[Step]) -> Step {
    let id = format!("s{index}");
    let mut reads = BTreeSet::new();
    let role = if rng.bool() { "many" } else { "one" };
    let mut each = None;
    if role == "one" && rng.u8(0..4) == 0 {
        let source = before.iter().position(|step| step.role.as_deref() == Some("one") && step.each.is_none());
        each = Some(match source.filter(|_| rng.bool()) {
            Some(step) => {
                reads.insert(step);
                out(step, "list")
            }
            None => Expr::Literal(Value::List(vec![text("p"), text("q")])),
        });
    }
    let this = Step { each, ..Step::new(id.clone(), Some(role), run(Vec::new())) };
    let argument = Template { parts: vec![Part::Expr(random_text(rng, &this, before, &mut reads))], secret: false };
    let when = (rng.u8(0..3) == 0).then(|| random_bool(rng, &this, before, &mut reads, 3));
    let probe = rng.u8(0..3) > 0;
    let action = match rng.u8(0..8) {
        0 => Action::Wait { until: Until::Ssh, within_ms: 60_000, every_ms: 1_000 },
        1 if this.each.is_none() => {
            let text = Template::literal("go on?");
            let otherwise = Otherwise::Approve;
            let gate = Action::Gate { text, approvers: Vec::new(), not_requester: false, within_ms: None, otherwise };
            let needs = edges(&Step::new("", None, gate.clone()), before, &BTreeSet::new(), rng);
            return Step { needs, ..Step::new(id, None, gate) };
        }
        _ => run(vec![argument]),
    };
    let mut this = Step {
        when,
        action,
        probe: probe.then(|| Probe { action: run(Vec::new()), always: rng.u8(0..6) == 0 }),
        ..this
    };
    for (name, ty) in [("x", Type::Text), ("list", Type::List(Box::new(Type::Text)))] {
        this.out.insert(name.to_owned(), Out::Stdout { ty });
    }
    this.run_at = (rng.u8(0..6) == 0).then(|| "one".to_owned());
    this.needs = edges(&this, before, &reads, rng);
    this
}

/// Edges to all steps that are read, and to some others.
fn edges(of: &Step, before: &[Step], reads: &BTreeSet<usize>, rng: &mut Rng) -> Vec<Edge> {
    let wanted = |index: &usize, rng: &mut Rng| reads.contains(index) || rng.u8(0..4) == 0;
    let steps: Vec<usize> = (0..before.len()).filter(|index| wanted(index, rng)).collect();
    let edge = |step: usize| {
        let same = of.role.is_some() && before[step].role == of.role && before[step].each == of.each;
        Edge {
            step,
            kind: if same { EdgeKind::Keyed } else { EdgeKind::Barrier },
            origin: EdgeOrigin::Reference,
            settled: false,
        }
    };
    steps.into_iter().map(edge).collect()
}

/// Whether one step reads a single value of another.
fn reads_one(of: &Step, read: &Step) -> bool {
    let same = read.role == of.role && read.each == of.each;
    same || (read.each.is_none() && read.role.as_deref() == Some("one"))
}

fn random_text(rng: &mut Rng, this: &Step, before: &[Step], reads: &mut BTreeSet<usize>) -> Expr {
    let step = (!before.is_empty()).then(|| rng.usize(0..before.len())).filter(|&step| before[step].role.is_some());
    match (rng.u8(0..5), step) {
        (0..=2, Some(step)) => {
            reads.insert(step);
            match reads_one(this, &before[step]) {
                true => Expr::Coalesce(Box::new(out(step, "x")), literal(text("none"))),
                false => Expr::Call(Function::Join, vec![out(step, "x"), Expr::Literal(text("-"))]),
            }
        }
        (3, _) if this.each.is_some() => Expr::Each,
        (3, _) => Expr::Host(HostProperty::Name),
        _ => Expr::Literal(text("plain")),
    }
}

fn random_bool(rng: &mut Rng, this: &Step, before: &[Step], reads: &mut BTreeSet<usize>, depth: u8) -> Expr {
    let kind = if depth == 0 { rng.u8(0..3) } else { rng.u8(0..10) };
    let step = (!before.is_empty()).then(|| rng.usize(0..before.len()));
    let mut below = || Box::new(random_bool(rng, this, before, reads, depth - 1));
    match kind {
        3 => Expr::Binary(Binary::And, below(), below()),
        4 => Expr::Binary(Binary::Or, below(), below()),
        5 => Expr::If(below(), below(), below()),
        6 => Expr::Unary(Unary::Not, below()),
        7 => Expr::Binary(Binary::Equal, Box::new(random_text(rng, this, before, reads)), literal(text("x"))),
        8 => Expr::Binary(Binary::NotEqual, Box::new(random_text(rng, this, before, reads)), literal(text("none"))),
        9 => match step.filter(|&step| before[step].role.is_some() && reads_one(this, &before[step])) {
            Some(step) => {
                reads.insert(step);
                Expr::StepChanged(step)
            }
            None => Expr::Literal(Value::Bool(false)),
        },
        2 => match step.filter(|&step| before[step].role.is_some() && reads_one(this, &before[step])) {
            Some(step) => {
                reads.insert(step);
                let word = if rng.bool() { "succeeded" } else { "skipped" };
                Expr::Binary(Binary::Equal, Box::new(Expr::StepState(step)), literal(text(word)))
            }
            None => Expr::Literal(Value::Bool(true)),
        },
        _ => Expr::Literal(Value::Bool(rng.bool())),
    }
}

/// What a run must have made of what the preview said of a node. Tells which verdict it was.
fn agrees(random: &Random, row: &super::Row, operation: &Operation) -> &'static str {
    let Some(node) = operation.node(&row.node) else {
        assert!(row.node.key == "*", "a run has no `{}`", row.node);
        return "each unknown";
    };
    let step = operation.step_of(node);
    match &row.expected {
        Verdict::Skipped { .. } => {
            assert_eq!(node.state, NodeState::Skipped(Skip::WhenFalse), "{}", row.node);
            "skipped"
        }
        Verdict::AlreadySo { .. } if step.probe.as_ref().is_some_and(|probe| !probe.always) => {
            assert_eq!(node.state, NodeState::Skipped(Skip::AlreadySo), "{}", row.node);
            "already so"
        }
        Verdict::AlreadySo { .. } => {
            assert!(matches!(node.state, NodeState::Succeeded(_)), "{}: {:?}", row.node, node.state);
            "already so"
        }
        Verdict::WillChange { .. } => {
            assert!(matches!(node.state, NodeState::Succeeded(_)), "{}: {:?}", row.node, node.state);
            assert!(!random.there.contains(&row.node), "{} was there", row.node);
            "will change"
        }
        Verdict::WillRun { does } => {
            assert!(matches!(node.state, NodeState::Succeeded(_)), "{}: {:?}", row.node, node.state);
            if let Action::Run { argv } = &step.action {
                let scope = CoreScope { operation, node: Some(node) };
                let words = argv.iter().map(|word| super::words::quoted(&render(word, &scope).expect("a text").text));
                let words = words.collect::<Vec<_>>().join(" ");
                let at = if step.run_at.is_some() { ", at b0" } else { "" };
                assert_eq!(*does, format!("{words}{at}"), "{}", row.node);
            }
            "will run"
        }
        Verdict::Asks { .. } => "asks",
        Verdict::Unknown { .. } => "unknown",
        Verdict::CannotTell { why, .. } => panic!("{}: {why}", row.node),
    }
}

#[test]
fn what_is_said_of_random_plans_is_what_runs_of_them_do() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..3_000 {
        let mut rng = Rng::with_seed(seed);
        let random = Random::new(&mut rng);
        let report = previewed(&random.plan, |question| match (&question.probe, &question.look) {
            (Some(_), _) if random.there.contains(&question.node) => Learnt::ProbedSo,
            (Some(_), _) => Learnt::ProbedNotSo(Vec::new()),
            (None, Some(_)) if rng.bool() => Learnt::LooksSo("it is".to_owned()),
            (None, Some(_)) => Learnt::NotYet("it is not".to_owned()),
            (None, None) => Learnt::Reached,
        });
        let operation = run_once(&random.plan, &random.outs, &random.there)
            .unwrap_or_else(|why| panic!("seed {seed}: {why}\n{:#?}", random.plan.steps));
        // A panic names the seed by the line above it.
        let told: BTreeSet<&NodeId> = report.nodes.iter().map(|row| &row.node).collect();
        let all_told = |node: &crate::operation::Node| {
            told.contains(&node.id) || told.contains(&NodeId { step: node.id.step.clone(), key: "*".to_owned() })
        };
        assert!(operation.nodes.iter().all(all_told), "seed {seed}: a node was not told of");
        for row in &report.nodes {
            let verdict = std::panic::catch_unwind(|| agrees(&random, row, &operation));
            *seen.entry(verdict.unwrap_or_else(|_| panic!("seed {seed}: {row:?}"))).or_default() += 1;
        }
    }
    for verdict in ["skipped", "already so", "will change", "will run", "unknown", "each unknown", "asks"] {
        assert!(seen.get(verdict).is_some_and(|count| *count > 100), "`{verdict}` is hardly ever said: {seen:?}");
    }
}
