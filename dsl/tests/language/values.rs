//! What expressions give.

use std::collections::BTreeMap;

use dsl::eval::{EvalError, Scope};
use dsl::expr::{Expr, HostProperty, InstanceProperty, Template};
use dsl::plan::{Action, Plan};
use dsl::value::{FileRef, SecretRef, Value};
use dsl::{Given, GivenValue, Origin, Source, check, eval, render};

use crate::fixture::TestFiles;

/// A scope of given things.
#[derive(Default)]
pub struct Scene {
    pub inputs: BTreeMap<String, Value>,
    pub outs: BTreeMap<(usize, String), Value>,
    pub secrets: BTreeMap<SecretRef, String>,
}

impl Scope for Scene {
    fn input(&self, name: &str) -> Value {
        self.inputs.get(name).cloned().unwrap_or(Value::None)
    }

    fn out(&self, step: usize, name: &str) -> Value {
        self.outs.get(&(step, name.to_owned())).cloned().unwrap_or(Value::None)
    }

    fn step_state(&self, _: usize) -> Value {
        Value::Text("succeeded".to_owned())
    }

    fn step_changed(&self, _: usize) -> Value {
        Value::Bool(true)
    }

    fn everywhere(&self, _: &dsl::expr::Expr) -> Value {
        Value::None
    }

    fn host(&self, property: HostProperty) -> Value {
        match property {
            HostProperty::Name => text("vm1"),
            HostProperty::Address => text("10.0.0.7"),
            HostProperty::Labels => Value::Record(BTreeMap::from([("zone".to_owned(), text("a"))])),
        }
    }

    fn role(&self, role: &str, property: HostProperty) -> Value {
        text(&format!("{role} {property:?}"))
    }

    fn operation_id(&self) -> Value {
        text("op")
    }

    fn operation_started_at(&self) -> Value {
        text("2026-11-23T08:04:41Z")
    }

    fn operation_state(&self) -> Value {
        text("x")
    }

    fn operation_failure(&self) -> Value {
        text("x")
    }

    fn each(&self) -> Value {
        text("x")
    }

    fn instance(&self, _: usize, property: InstanceProperty) -> Value {
        match property {
            InstanceProperty::Name | InstanceProperty::Kind => text("x"),
            InstanceProperty::Exists => Value::Bool(true),
            InstanceProperty::Values => Value::Record([("server".to_owned(), text("r:5000"))].into()),
            InstanceProperty::Members => Value::Record([("node".to_owned(), Value::List(vec![text("n1")]))].into()),
        }
    }

    fn secret(&self, name: &SecretRef) -> Option<String> {
        self.secrets.get(name).cloned()
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

const INPUTS: &str = r#"{
    "port": Port(default: 5000), "n": Int(default: 7), "x": Float(default: 0.5), "flag": Bool(default: true),
    "wait": Duration(default: "90s"), "size": Bytes(default: "2 KiB"), "name": Text(default: "Ünïcode"),
    "mode": Choice(of: ["fast", "slow"], default: "fast"), "list": List(of: Text, default: ["a", "b"]),
    "opt": Text(optional: true), "later": Duration(optional: true), "image": File(optional: true),
    "proxy": Record(optional: true, fields: { "http": Text(optional: true), "port": Port }),
    "password": Text(optional: true, secret: true), "pin": Int(optional: true, secret: true),
}"#;

/// Compiles a workflow whose one interesting step has this as an environment variable.
fn plan(expression: &str, given: &[(&str, &str)]) -> (Plan, Scene) {
    let steps = format!(
        r#"Step(id: "make", on: "vm", when: "inputs.flag", do: Run(["true"]), out: {{ "x": Stdout(type: Int) }}),
           Step(id: "see", on: "vm", do: Run(["true"]), env: {{ "VALUE": "{expression}" }})"#
    );
    let text = format!("Workflow(name: \"test\", inputs: {INPUTS}, roles: {{\"vm\": One}}, steps: [{steps}])");
    let source = Source { name: "test".to_owned(), text };
    let checked = check(&source, &TestFiles);
    let shown: String = checked.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.render(&source, false)).collect();
    let workflow = checked.workflow.unwrap_or_else(|| panic!("{shown}"));
    let given = Given {
        inputs: given
            .iter()
            .map(|(name, text)| {
                ((*name).to_owned(), GivenValue { text: (*text).to_owned(), origin: Origin::Elsewhere })
            })
            .collect(),
        roles: [("vm".to_owned(), vec!["vm1".to_owned()])].into(),
    };
    let compiled = workflow.compile(&given, &TestFiles).expect("to compile");
    let scene = Scene {
        inputs: compiled.plan.inputs.iter().map(|(name, input)| (name.clone(), input.value.clone())).collect(),
        outs: [((0, "x".to_owned()), Value::Int(3))].into(),
        secrets: compiled.secrets.into_iter().map(|(name, text)| (name, text.into_exposed())).collect(),
    };
    (compiled.plan, scene)
}

fn rendered(expression: &str, given: &[(&str, &str)]) -> Result<String, EvalError> {
    let (plan, scene) = plan(&format!("${{{{ {expression} }}}}"), given);
    render(&plan.steps[1].env["VALUE"], &scene).map(|rendered| rendered.text)
}

#[test]
fn expressions_give_what_they_say() {
    let cases = [
        ("inputs.port", "5000"),
        ("inputs.n + 2 * 3", "13"),
        ("(inputs.n + 2) * 3", "27"),
        ("10 - 2 - 3", "5"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("7.0 / 2", "3.5"),
        ("inputs.x * 4", "2"),
        ("-inputs.n", "-7"),
        ("!inputs.flag", "false"),
        ("inputs.n > 5 && inputs.n <= 7", "true"),
        ("inputs.n == 7.0", "true"),
        ("false || inputs.mode == 'fast'", "true"),
        ("inputs.mode != 'slow' ? 'quick' : 'lazy'", "quick"),
        ("inputs.flag ? false ? 1 : 2 : 3", "2"),
        ("inputs.name + '!'", "Ünïcode!"),
        ("len(inputs.name)", "7"),
        ("len(inputs.list)", "2"),
        ("join(inputs.list, ', ')", "a, b"),
        ("join([1, 2, 3], '')", "123"),
        ("inputs.list[1] ?? 'c'", "b"),
        ("inputs.list[2] ?? 'c'", "c"),
        ("inputs.list[-1] ?? 'c'", "c"),
        ("'b' in inputs.list", "true"),
        ("inputs.n in [1, 7]", "true"),
        ("starts_with(inputs.name, 'Ü')", "true"),
        ("basename('/a/b/c/')", "c"),
        ("join(split('a,b,,c', ','), '|')", "a|b||c"),
        ("len(split('', ','))", "0"),
        ("split('k=v=w', '=')[1] ?? ''", "v"),
        ("sha256('abc')", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("json(inputs.list)", "[\"a\",\"b\"]"),
        ("json([0.5, 1])", "[0.5,1]"),
        ("json('a\\\\'\\\\n')", "\"a'\\n\""),
        ("json(inputs.wait)", "\"1m30s\""),
        ("seconds(inputs.wait)", "90"),
        ("sum([1, 2, inputs.n])", "10"),
        ("sum([0.5, 1])", "1.5"),
        ("sum([inputs.wait, inputs.wait])", "3m"),
        ("min([3, 1, 2])", "1"),
        ("max([inputs.x, 2])", "2"),
        ("max([inputs.wait, inputs.wait * 2])", "3m"),
        ("min(inputs.flag ? [2, 3] : []) ?? 0", "2"),
        ("max(inputs.flag ? [] : [2, 3]) ?? 9", "9"),
        ("count([true, inputs.flag, false])", "2"),
        ("any([false, inputs.flag])", "true"),
        ("all([true, inputs.flag, false])", "false"),
        ("format('{}/{} {{{}}}', inputs.n, inputs.wait, inputs.name)", "7/1m30s {Ünïcode}"),
        ("inputs.wait", "1m30s"),
        ("inputs.wait + inputs.wait", "3m"),
        ("inputs.wait * 2", "3m"),
        ("2 * inputs.wait / 3", "1m"),
        ("inputs.wait > '1m'", "true"),
        ("'2m' < inputs.wait", "false"),
        ("inputs.size", "2048"),
        ("inputs.size >= '2 KiB'", "true"),
        ("inputs.later ?? '5m'", "5m"),
        ("inputs.opt ?? inputs.name", "Ünïcode"),
        ("inputs.opt == none", "true"),
        ("none != inputs.opt", "false"),
        ("inputs.opt ?? none ?? 'x'", "x"),
        ("inputs.opt != none && inputs.opt == 'x'", "false"),
        ("inputs.opt == none || inputs.opt == 'x'", "true"),
        ("inputs.opt != none ? inputs.opt : 'y'", "y"),
        ("!(inputs.opt == none) ? inputs.opt : 'y'", "y"),
        ("inputs.proxy.http ?? 'direct'", "direct"),
        ("inputs.proxy.port ?? 1", "1"),
        ("inputs.image == none", "true"),
        ("steps.make.out.x ?? 0", "3"),
        ("(steps.make.out.x ?? 0) + 1", "4"),
        ("steps.make.out.x ?? 0 + 1", "3"),
        ("steps.make.state == 'succeeded'", "true"),
        ("host.name + '/' + host.address", "vm1/10.0.0.7"),
        ("roles.vm.address", "vm Address"),
        ("operation.id", "op"),
        ("operation.started_at", "2026-11-23T08:04:41Z"),
        ("'}}' + '\\\\'\\\\\\\\'", "}}'\\"),
        ("9223372036854775807", "9223372036854775807"),
        ("1.0", "1"),
    ];
    for (expression, wanted) in cases {
        assert_eq!(rendered(expression, &[]).as_deref(), Ok(wanted), "{expression}");
    }
    assert_eq!(rendered("inputs.proxy.http ?? 'direct'", &[("proxy.port", "3128")]).as_deref(), Ok("direct"));
    assert_eq!(rendered("inputs.proxy.port ?? 1", &[("proxy.port", "3128")]).as_deref(), Ok("3128"));
    assert_eq!(rendered("inputs.opt != none ? inputs.opt : 'y'", &[("opt", "z")]).as_deref(), Ok("z"));
    let image = [("image", "/images/registry.tar")];
    assert_eq!(rendered("inputs.image != none ? basename(inputs.image) : ''", &image).as_deref(), Ok("registry.tar"));
}

#[test]
fn calculations_are_checked() {
    let cases = [
        ("9223372036854775807 + inputs.n", EvalError::Overflow("+")),
        ("-9223372036854775807 - inputs.n", EvalError::Overflow("-")),
        ("9223372036854775807 * inputs.n", EvalError::Overflow("*")),
        ("inputs.n / (inputs.n - 7)", EvalError::DivisionByZero),
        ("inputs.x / (inputs.x - 0.5)", EvalError::DivisionByZero),
        ("inputs.wait - '2m' + inputs.wait", EvalError::Overflow("-")),
        ("inputs.wait / (inputs.n - 7)", EvalError::DivisionByZero),
        ("inputs.wait * 9223372036854775807", EvalError::Overflow("*")),
        ("inputs.wait * -1", EvalError::Overflow("*")),
        ("sum([9223372036854775807, inputs.n])", EvalError::Overflow("sum")),
        ("len(split(inputs.name, inputs.opt ?? ''))", EvalError::NoSeparator),
    ];
    for (expression, wanted) in cases {
        // A text beside a duration is one only where they are compared.
        let expression = expression.replace("'2m'", "inputs.wait * 2");
        assert_eq!(rendered(&expression, &[]), Err(wanted), "{expression}");
    }
    assert_eq!(
        rendered("false && inputs.n / 0 == 1", &[]).as_deref(),
        Ok("false"),
        "what does not count is not computed"
    );
    assert_eq!(rendered("true || inputs.n / 0 == 1", &[]).as_deref(), Ok("true"));
}

#[test]
fn templates_join_texts_and_expressions() {
    let (plan, scene) = plan("a ${{ inputs.n }}${{ inputs.flag }} $${{ b }} ${NAME} {{ c }} $$ é", &[]);
    let found = render(&plan.steps[1].env["VALUE"], &scene).expect("a text");
    assert_eq!((found.text.as_str(), found.secret), ("a 7true ${{ b }} ${NAME} {{ c }} $$ é", false));
}

#[test]
fn a_secret_without_its_text_can_only_be_passed_on() {
    let given = [("password", "correct horse"), ("pin", "1234567890")];
    let (plan, mut scene) = plan("${{ inputs.password ?? '' }}", &given);
    let template = &plan.steps[1].env["VALUE"];
    assert!(template.secret);
    let known = render(template, &scene).expect("the executor knows it");
    assert_eq!(known.text, "correct horse");
    assert!(known.secret);
    assert!(!format!("{known:?}").contains("horse"));
    scene.secrets.clear();
    let name = SecretRef("inputs.password".to_owned());
    assert_eq!(render(template, &scene), Err(EvalError::SecretText(name.clone())));
    for (expression, wanted) in [
        ("inputs.password != none", Ok(Value::Bool(true))),
        ("none == inputs.password", Ok(Value::Bool(false))),
        ("inputs.password ?? 'x'", Ok(Value::Secret(name.clone()))),
        ("inputs.password != none ? inputs.password : 'x'", Ok(Value::Secret(name.clone()))),
        ("(inputs.password ?? '') == 'x'", Err(EvalError::SecretText(name.clone()))),
        ("len(inputs.password ?? '')", Err(EvalError::SecretText(name.clone()))),
        ("'x' + (inputs.password ?? '')", Err(EvalError::SecretText(name.clone()))),
        ("(inputs.password ?? '') in ['x']", Err(EvalError::SecretText(name.clone()))),
        ("join([inputs.password ?? ''], ',')", Err(EvalError::SecretText(name.clone()))),
        ("(inputs.password ?? '') == 'x' ? 1 : 2", Err(EvalError::SecretText(name.clone()))),
    ] {
        let (plan, mut scene) = self::plan(&format!("${{{{ {expression} }}}}"), &given);
        let template = &plan.steps[1].env["VALUE"];
        let [dsl::expr::Part::Expr(expr)] = template.parts.as_slice() else { panic!("one expression") };
        assert_eq!(
            template.secret,
            !expression.contains("none ==") && !expression.ends_with("!= none"),
            "{expression}"
        );
        let texts = std::mem::take(&mut scene.secrets);
        assert_eq!(eval(expr, &scene), wanted, "{expression}");
        scene.secrets = texts;
        assert!(render(template, &scene).is_ok(), "{expression}");
    }
    assert_eq!(rendered("inputs.pin ?? 0", &given).as_deref(), Ok("1234567890"));
}

#[test]
fn an_expression_that_no_compiler_made_is_an_error_and_no_panic() {
    let mut deep = Expr::Literal(Value::Int(1));
    for _ in 0..500 {
        deep = Expr::Unary(dsl::expr::Unary::Negate, Box::new(deep));
    }
    assert_eq!(eval(&deep, &Scene::default()), Err(EvalError::TooDeep));
    let wrong = Expr::Call(dsl::expr::Function::Join, Vec::new());
    assert_eq!(eval(&wrong, &Scene::default()), Err(EvalError::Unexpected("a list or a map", "none")));
    let file = Value::File(FileRef { path: "/a".to_owned(), size_bytes: 1, sha256: String::new() });
    let wrong =
        Expr::Binary(dsl::expr::Binary::Less, Box::new(Expr::Literal(file)), Box::new(Expr::Literal(Value::None)));
    assert!(matches!(eval(&wrong, &Scene::default()), Err(EvalError::Unexpected(..))));
    let huge = Template { parts: vec![dsl::expr::Part::Text("x".repeat(2 << 20))], secret: false };
    assert_eq!(render(&huge, &Scene::default()), Err(EvalError::TooLong));
}

#[test]
fn values_from_inputs_are_fixed_in_the_plan() {
    let text = r#"Workflow(name: "test", roles: {"vm": One},
        inputs: { "wait": Duration(default: "3m"), "n": Int(default: 4), "mode": Text(default: "0755"), "port": Port(default: 8080) },
        steps: [
            Step(id: "a", on: "vm", do: Wait(until: Tcp(port: "${{ inputs.port + 1 }}"), within: "${{ inputs.wait * 2 }}", every: "${{ inputs.wait / 60 }}")),
            Step(id: "b", on: "vm", do: Upload(from: "etc/app.conf", to: "/etc/app", mode: "${{ inputs.mode }}"), timeout: "${{ inputs.wait }}",
                 retry: (times: "${{ inputs.n }}", wait: "${{ inputs.wait }}", factor: "${{ inputs.n / 2 }}", cap: "${{ inputs.wait * 3 }}")),
        ])"#;
    let source = Source { name: "test".to_owned(), text: text.to_owned() };
    let workflow = check(&source, &TestFiles).workflow.expect("a workflow");
    let given = Given { roles: [("vm".to_owned(), vec!["vm1".to_owned()])].into(), ..Given::default() };
    let plan = workflow.compile(&given, &TestFiles).expect("a plan").plan;
    let [a, b] = plan.steps.as_slice() else { panic!("two steps") };
    let Action::Wait { until, within_ms, every_ms } = &a.action else { panic!("a wait") };
    assert_eq!(*until, dsl::plan::Until::Tcp { port: Template::literal("8081") });
    assert_eq!((*within_ms, *every_ms, a.timeout_ms), (360_000, 3_000, 390_000));
    let Action::Upload { mode, .. } = &b.action else { panic!("an upload") };
    assert_eq!((*mode, b.timeout_ms), (Some(0o755), 180_000));
    assert_eq!((b.retry.times, b.retry.wait_ms, b.retry.factor, b.retry.cap_ms), (4, 180_000, 2.0, 540_000));
    assert_eq!(b.retry.on, [dsl::plan::RetryOn::Connection, dsl::plan::RetryOn::Timeout]);
}

#[test]
fn what_several_hosts_put_out_is_a_map_whose_values_can_be_computed_with() {
    let cases = [
        ("count(steps.look.out.up)", "2"),
        ("any(steps.look.out.up)", "true"),
        ("all(steps.look.out.up)", "false"),
        ("len(steps.look.out.up)", "3"),
        ("sum(steps.look.out.n)", "9"),
        ("min(steps.look.out.n) ?? 0", "2"),
        ("max(steps.look.out.n) ?? 0", "4"),
        ("4 in steps.look.out.n", "true"),
        ("join(steps.look.out.n, '+')", "3+4+2"),
        ("steps.look.out.n['b'] ?? 0", "4"),
        ("json(steps.look.out.n)", "{\"a\":3,\"b\":4,\"c\":2}"),
    ];
    let outputs: String = cases
        .iter()
        .enumerate()
        .map(|(i, (expression, _))| format!("\"o{i}\": \"${{{{ {expression} }}}}\", "))
        .collect();
    let text = format!(
        r#"Workflow(name: "test", roles: {{"node": Many}}, outputs: {{ {outputs} }}, steps: [
            Step(id: "look", on: "node", do: Run(["true"]), out: {{ "up": Stdout(type: Bool), "n": Stdout(type: Int) }})])"#
    );
    let workflow = check(&Source { name: "test".to_owned(), text }, &TestFiles).workflow.expect("a workflow");
    let slots = ["a", "b", "c"].map(str::to_owned).to_vec();
    let given = Given { roles: [("node".to_owned(), slots.clone())].into(), ..Given::default() };
    let plan = workflow.compile(&given, &TestFiles).expect("a plan").plan;
    let map = |values: [Value; 3]| Value::Record(slots.iter().cloned().zip(values).collect());
    let up = map([true, false, true].map(Value::Bool));
    let outs = [((0, "up".to_owned()), up), ((0, "n".to_owned()), map([3, 4, 2].map(Value::Int)))];
    let scene = Scene { outs: outs.into(), ..Scene::default() };
    for (i, (expression, wanted)) in cases.iter().enumerate() {
        let found = render(&plan.outputs[&format!("o{i}")], &scene).map(|rendered| rendered.text);
        assert_eq!(found.as_deref(), Ok(*wanted), "{expression}");
    }
}
