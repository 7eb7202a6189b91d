//! What the types promise: an expression that is accepted has a value, whatever is given.
//!
//! Random expressions, mostly well typed, are checked; each accepted one is evaluated with optional values present and
//! absent, with the step that it reads run and skipped, and with and without the texts of secrets. Only arithmetic may fail
//! and, without the texts, what needs one.

use dsl::eval::EvalError;
use dsl::value::Value;
use dsl::{Given, GivenValue, Origin, Source, check, render};

use crate::fixture::TestFiles;
use crate::values::Scene;

#[derive(Clone, Copy, PartialEq)]
enum Ty {
    Text,
    Int,
    Float,
    Bool,
    Duration,
    List,
    OptionalText,
    OptionalInt,
}

const ALL: [Ty; 8] =
    [Ty::Text, Ty::Int, Ty::Float, Ty::Bool, Ty::Duration, Ty::List, Ty::OptionalText, Ty::OptionalInt];

fn atom(ty: Ty, rng: &mut fastrand::Rng) -> &'static str {
    let atoms: &[&str] = match ty {
        Ty::Text => &["'x'", "inputs.name", "inputs.url", "inputs.mode", "host.name", "roles.vm.address", "''", "each"],
        Ty::Int => &["1", "0", "inputs.n", "inputs.port", "inputs.size", "9223372036854775807"],
        Ty::Float => &["0.5", "inputs.x"],
        Ty::Bool => &["true", "false", "inputs.flag", "steps.make.state == 'skipped'"],
        Ty::Duration => &["inputs.wait", "inputs.wait * 2"],
        Ty::List => &["inputs.names", "['a', 'b']", "[]", "[inputs.password, 'x']"],
        Ty::OptionalText => &[
            "inputs.opt",
            "inputs.rec.text",
            "inputs.secret",
            "inputs.rec.secret",
            "steps.make.out.text",
            "(inputs.flag ? inputs.rec : inputs.rec).secret",
            "none",
            "inputs.names[0]",
        ],
        Ty::OptionalInt => {
            &["inputs.opt_n", "inputs.rec.n", "steps.make.out.n", "inputs.pin", "none", "[1, 2][inputs.n]"]
        }
    };
    atoms[rng.usize(..atoms.len())]
}

/// An expression that probably has this type.
fn expression(ty: Ty, depth: usize, rng: &mut fastrand::Rng) -> String {
    if depth == 0 || rng.u8(..5) == 0 {
        return atom(ty, rng).to_owned();
    }
    // Now and then something that does not fit.
    let ty = if rng.u8(..60) == 0 { ALL[rng.usize(..ALL.len())] } else { ty };
    let mut sub = |ty| expression(ty, depth - 1, rng);
    let (text, int, float) = (sub(Ty::Text), sub(Ty::Int), sub(Ty::Float));
    let (test, wait, list) = (sub(Ty::Bool), sub(Ty::Duration), sub(Ty::List));
    let (maybe, maybe_n, other) = (sub(Ty::OptionalText), sub(Ty::OptionalInt), sub(ty));
    let forms: Vec<String> = match ty {
        Ty::Text => vec![
            format!("({maybe} ?? {text})"),
            format!("({text} + {other})"),
            format!("({test} ? {text} : {other})"),
            format!("join({list}, {text})"),
            format!("basename({text})"),
            format!("sha256({text})"),
            format!("json({other})"),
            format!("json(inputs.rec ?? {other})"),
            format!("format('{{}}-{{}}', {int}, {other})"),
            format!("(inputs.opt != none ? inputs.opt : {text})"),
            format!("(inputs.rec == none || inputs.rec.text == none ? {text} : inputs.rec.text)"),
        ],
        Ty::Int => vec![
            format!("({maybe_n} ?? {int})"),
            format!("({int} + {other})"),
            format!("({int} * {other})"),
            format!("({int} / {other})"),
            format!("(-{int})"),
            format!("len({text})"),
            format!("len({list})"),
            format!("({test} ? {int} : {other})"),
            format!("sum([{int}, {other}])"),
            format!("max([{int}, {other}])"),
            format!("(min({test} ? [{int}] : []) ?? {other})"),
            format!("count([{test}, {test}])"),
            format!("seconds({wait})"),
        ],
        Ty::Float => {
            vec![format!("({float} - {int})"), format!("({int} / {float})"), format!("({test} ? {float} : {int})")]
        }
        Ty::Bool => vec![
            format!("({text} == {text})"),
            format!("({int} < {float})"),
            format!("({wait} >= '1m')"),
            format!("({test} && {other})"),
            format!("({test} || {other})"),
            format!("!{test}"),
            format!("({text} in {list})"),
            format!("starts_with({text}, {text})"),
            format!("({maybe} == none)"),
            format!("any([{test}, {test}])"),
            format!("all([{test}, {test}])"),
            format!("(inputs.opt_n != none && inputs.opt_n > {int})"),
            format!("(!(inputs.rec != none) || inputs.rec.flag)"),
        ],
        Ty::Duration => vec![
            format!("({wait} + {other})"),
            format!("sum([{wait}, {other}])"),
            format!("max([{wait}, {other}])"),
            format!("({wait} - {other})"),
            format!("({int} * {wait})"),
            format!("({wait} / {int})"),
            format!("(inputs.opt_wait ?? {wait})"),
            "(inputs.opt_wait ?? '5m')".to_owned(),
        ],
        Ty::List => vec![
            format!("[{text}, {other}[0] ?? 'x']"),
            format!("[{text}, {text}]"),
            format!("split({text}, {text})"),
            format!("split({text}, ',')"),
            format!("({test} ? {list} : {other})"),
        ],
        Ty::OptionalText => vec![
            format!("({maybe} ?? {other})"),
            format!("{list}[{int}]"),
            format!("({test} ? {maybe} : {text})"),
            format!("({test} ? none : {text})"),
        ],
        Ty::OptionalInt => vec![format!("({maybe_n} ?? {other})"), format!("({test} ? {int} : {maybe_n})")],
    };
    forms[rng.usize(..forms.len())].clone()
}

const INPUTS: &str = r#"{
    "port": Port(default: 5000), "n": Int(default: 1), "x": Float(default: 0.5), "flag": Bool(default: true),
    "wait": Duration(default: "90s"), "size": Bytes(default: "2 KiB"), "name": Text(default: "Ünïcode/x"),
    "mode": Choice(of: ["fast", "slow"], default: "fast"), "names": List(of: Text, default: ["a", "b"]),
    "url": Url(default: "http://h/"), "opt": Text(optional: true), "opt_n": Int(optional: true),
    "opt_wait": Duration(optional: true), "password": Text(secret: true), "secret": Text(secret: true, optional: true),
    "pin": Int(secret: true, optional: true),
    "rec": Record(optional: true, fields: {
        "text": Text(optional: true), "n": Int(default: 3), "flag": Bool(default: false), "secret": Text(optional: true, secret: true),
    }),
}"#;

#[test]
fn an_accepted_expression_has_a_value() {
    let count: u64 = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_500);
    let (mut accepted, mut secret) = (0, 0);
    for seed in 0..count {
        let mut rng = fastrand::Rng::with_seed(seed);
        let ty = [Ty::Text, Ty::Int, Ty::Float, Ty::Bool, Ty::Duration][rng.usize(..5)];
        let depth = rng.usize(1..4);
        let expression = expression(ty, depth, &mut rng);
        let text = format!(
            r#"Workflow(name: "test", inputs: {INPUTS}, roles: {{"vm": One}}, steps: [
                Step(id: "make", on: "vm", when: "inputs.flag", do: Run(["true"]), out: {{ "n": Stdout(type: Int), "text": Stdout(type: Text) }}),
                Step(id: "see", on: "vm", each: "inputs.names", do: Run(["true"]), env: {{ "VALUE": "${{{{ {expression} }}}}" }})])"#
        );
        let source = Source { name: "test".to_owned(), text };
        let Some(workflow) = check(&source, &TestFiles).workflow else { continue };
        accepted += 1;
        for present in [false, true] {
            let all = [
                ("password", "correct horse"),
                ("opt", "o"),
                ("opt_n", "-3"),
                ("opt_wait", "1s"),
                ("secret", "battery staple"),
                ("pin", "1234567890"),
                ("rec.text", "t"),
                ("rec.secret", "another secret"),
            ];
            let value = |text: &str| GivenValue { text: text.to_owned(), origin: Origin::Elsewhere };
            let given = all.iter().take(if present { all.len() } else { 1 });
            let given = Given {
                inputs: given.map(|(name, text)| ((*name).to_owned(), value(text))).collect(),
                roles: [("vm".to_owned(), vec!["a".to_owned()])].into(),
            };
            let compiled = workflow.compile(&given, &TestFiles).expect("a plan");
            let template = &compiled.plan.steps[1].env["VALUE"];
            let mut scene = Scene {
                inputs: compiled.plan.inputs.iter().map(|(name, input)| (name.clone(), input.value.clone())).collect(),
                secrets: compiled.secrets.into_iter().map(|(name, text)| (name, text.into_exposed())).collect(),
                ..Scene::default()
            };
            if present {
                scene.outs.insert((0, "n".to_owned()), Value::Int(5));
                scene.outs.insert((0, "text".to_owned()), Value::Text("out".to_owned()));
            }
            match render(template, &scene) {
                Ok(_) => {}
                Err(EvalError::Overflow(_) | EvalError::DivisionByZero | EvalError::NoSeparator) => {}
                Err(error) => panic!("seed {seed}: {expression}: {error}"),
            }
            scene.secrets.clear();
            match render(template, &scene) {
                Ok(_) => {}
                Err(EvalError::Overflow(_) | EvalError::DivisionByZero | EvalError::NoSeparator) => {}
                Err(EvalError::SecretText(_)) if template.secret => secret += 1,
                Err(error) => panic!("seed {seed}: {expression}: {error}"),
            }
        }
    }
    assert!(accepted > count / 4 && secret > count / 50, "{accepted} accepted, {secret} secret");
}
