//! Expressions out of the grammar of docs/grammar.md, most of them without sense, and some that always fit.

use proptest::prelude::*;

const ATOMS: [&str; 44] = [
    "1",
    "0",
    "9223372036854775807",
    "0.5",
    "1e308",
    "true",
    "false",
    "none",
    "''",
    "'a'",
    "'5m'",
    "'é'",
    "'{}'",
    "'\\''",
    "[]",
    "[1, 2]",
    "['a']",
    "inputs.text",
    "inputs.int",
    "inputs.float",
    "inputs.bool",
    "inputs.wait",
    "inputs.size",
    "inputs.list",
    "inputs.map",
    "inputs.rec",
    "inputs.rec.a",
    "inputs.rec.b",
    "inputs.opt",
    "inputs.secret",
    "let.named",
    "let.host",
    "steps.one.out.text",
    "steps.one.out.n",
    "steps.many.out.n",
    "steps.many.out.json",
    "steps.one.state",
    "host.name",
    "host.address",
    "roles.vm.address",
    "each",
    "operation.id",
    "operation.started_at",
    "steps.each.out.n",
];
const OPERATORS: [&str; 14] = ["==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "/", "??", "in"];
const FUNCTIONS: [&str; 15] = [
    "len",
    "basename",
    "starts_with",
    "join",
    "split",
    "sha256",
    "json",
    "seconds",
    "sum",
    "min",
    "max",
    "count",
    "any",
    "all",
    "format",
];

/// Any expression of the grammar.
pub fn any() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(&ATOMS[..]).prop_map(str::to_owned);
    atom.prop_recursive(5, 24, 3, |inner| {
        let operator = prop::sample::select(&OPERATORS[..]);
        let function = prop::sample::select(&FUNCTIONS[..]);
        prop_oneof![
            4 => (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            2 => inner.clone().prop_map(|a| format!("({a})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} ?? {b})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            1 => inner.clone().prop_map(|a| format!("!{a}")),
            1 => inner.clone().prop_map(|a| format!("-{a}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            1 => (inner.clone(), "[a-z]{1,4}").prop_map(|(a, name)| format!("{a}.{name}")),
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(|all| format!("[{}]", all.join(", "))),
            3 => (function, prop::collection::vec(inner, 0..3)).prop_map(|(f, all)| format!("{f}({})", all.join(", "))),
        ]
    })
}

/// Expressions that nearly always fit, by their types.
#[derive(Clone)]
struct Typed {
    text: BoxedStrategy<String>,
    int: BoxedStrategy<String>,
    float: BoxedStrategy<String>,
    test: BoxedStrategy<String>,
    wait: BoxedStrategy<String>,
    texts: BoxedStrategy<String>,
    ints: BoxedStrategy<String>,
    maybe: BoxedStrategy<String>,
}

/// `form` with these in its places `@`, in turn.
fn form(form: &'static str, parts: Vec<BoxedStrategy<String>>) -> BoxedStrategy<String> {
    let fill = move |parts: Vec<String>| {
        let mut parts = parts.into_iter();
        form.split_inclusive('@').map(|piece| piece.replace('@', &parts.next().unwrap_or_default())).collect::<String>()
    };
    parts.prop_map(fill).boxed()
}

/// One of the atoms, or one of the forms.
fn one_of(atoms: &[&str], forms: Vec<BoxedStrategy<String>>) -> BoxedStrategy<String> {
    let atoms: Vec<String> = atoms.iter().map(|atom| (*atom).to_owned()).collect();
    let atom = prop::sample::select(atoms).boxed();
    if forms.is_empty() { atom } else { prop_oneof![1 => atom, 3 => proptest::strategy::Union::new(forms)].boxed() }
}

impl Typed {
    /// With so many operators inside each other at most.
    fn of(depth: usize) -> Typed {
        let below = depth.checked_sub(1).map(Typed::of);
        let forms = |forms: &[(&'static str, &str)]| -> Vec<BoxedStrategy<String>> {
            let Some(below) = &below else { return Vec::new() };
            let part = |kind: char| match kind {
                't' => below.text.clone(),
                'i' => below.int.clone(),
                'f' => below.float.clone(),
                'b' => below.test.clone(),
                'w' => below.wait.clone(),
                'T' => below.texts.clone(),
                'I' => below.ints.clone(),
                'm' => below.maybe.clone(),
                other => panic!("no such kind: {other}"),
            };
            forms.iter().map(|(text, kinds)| form(text, kinds.chars().map(part).collect())).collect()
        };
        Typed {
            text: one_of(
                &[
                    "'a'",
                    "''",
                    "'é{}'",
                    "inputs.text",
                    "host.name",
                    "roles.vm.address",
                    "each",
                    "operation.id",
                    "steps.one.out.text",
                ],
                forms(&[
                    ("(@ ?? @)", "mt"),
                    ("(@ + @)", "tt"),
                    ("(@ ? @ : @)", "btt"),
                    ("join(@, @)", "Tt"),
                    ("join(@, '/')", "I"),
                    ("basename(@)", "t"),
                    ("sha256(@)", "t"),
                    ("json(@)", "m"),
                    ("json(@)", "T"),
                    ("json([@, @])", "ff"),
                    ("format('{}{{{}', @, @)", "wi"),
                    ("(@ ?? @)", "mt"),
                    ("(inputs.opt != none ? inputs.opt : @)", "t"),
                ]),
            ),
            int: one_of(
                &[
                    "0",
                    "1",
                    "9223372036854775807",
                    "inputs.int",
                    "inputs.size",
                    "inputs.rec.b",
                    "let.named",
                    "steps.one.out.n",
                ],
                forms(&[
                    ("(@ + @)", "ii"),
                    ("(@ - @)", "ii"),
                    ("(@ * @)", "ii"),
                    ("(@ / @)", "ii"),
                    ("(-@)", "i"),
                    ("len(@)", "t"),
                    ("len(@)", "T"),
                    ("len(@)", "I"),
                    ("sum(@)", "I"),
                    ("(max(@) ?? @)", "Ii"),
                    ("(min(@) ?? 0)", "I"),
                    ("count([@, @])", "bb"),
                    ("seconds(@)", "w"),
                    ("(@ ? @ : @)", "bii"),
                    ("(@[@] ?? @)", "Iii"),
                    ("(inputs.map[@] ?? @)", "ti"),
                    ("(steps.many.out.n[@] ?? @)", "ti"),
                ]),
            ),
            float: one_of(
                &["0.5", "1e300", "inputs.float"],
                forms(&[("(@ + @)", "fi"), ("(@ * @)", "ff"), ("(@ / @)", "if"), ("sum([@, @])", "fi"), ("(-@)", "f")]),
            ),
            test: one_of(
                &["true", "false", "inputs.bool", "steps.one.state == 'succeeded'", "inputs.opt == none"],
                forms(&[
                    ("(@ && @)", "bb"),
                    ("(@ || @)", "bb"),
                    ("!@", "b"),
                    ("(@ == @)", "tt"),
                    ("(@ < @)", "if"),
                    ("(@ >= @)", "ww"),
                    ("(@ in @)", "tT"),
                    ("(@ in @)", "iI"),
                    ("starts_with(@, @)", "tt"),
                    ("(@ != none)", "m"),
                    ("any([@, @])", "bb"),
                    ("all([@])", "b"),
                    ("(@ > '1m')", "w"),
                    ("(@ ? @ : @)", "bbb"),
                    ("(inputs.opt != none && inputs.opt == @)", "t"),
                ]),
            ),
            wait: one_of(
                &["inputs.wait", "inputs.wait * 2"],
                forms(&[
                    ("(@ + @)", "ww"),
                    ("(@ - @)", "ww"),
                    ("(@ * @)", "iw"),
                    ("(@ / @)", "wi"),
                    ("(max([@, @]) ?? @)", "www"),
                ]),
            ),
            texts: one_of(
                &["inputs.list", "['a', 'b']"],
                forms(&[("split(@, @)", "tt"), ("[@, @]", "tt"), ("(@ ? @ : @)", "bTT"), ("split(@, ',')", "t")]),
            ),
            ints: one_of(
                &["[1, 2]", "inputs.map", "steps.many.out.n"],
                forms(&[("[@, @]", "ii"), ("[@]", "i"), ("[len(@), @]", "Ti")]),
            ),
            maybe: one_of(
                &["inputs.opt", "inputs.rec.a", "none", "inputs.list[0]", "inputs.secret"],
                forms(&[("(@ ?? @)", "mm"), ("@[@]", "Ti"), ("(@ ? @ : @)", "bmt"), ("(@ ? none : @)", "bt")]),
            ),
        }
    }
}

/// One that is mostly a Bool, and one that mostly has a text.
pub fn pair() -> impl Strategy<Value = (String, String)> {
    let typed = Typed::of(4);
    let text = prop_oneof![typed.text, typed.int, typed.float, typed.wait, typed.test.clone()];
    (prop_oneof![5 => typed.test, 1 => any()], prop_oneof![5 => text, 1 => any()])
}

/// A workflow whose steps have everything in it that an expression may read.
pub fn workflow(when: &str, text: &str) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let (when, text) = (escaped(when), escaped(text));
    format!(
        r#"Workflow(name: "a", roles: {{ "vm": One, "node": Many }},
        inputs: {{
            "text": Text(default: "x"), "int": Int(default: 3), "float": Float(default: 0.5), "bool": Bool(default: true),
            "wait": Duration(default: "90s"), "size": Bytes(default: "2 KiB"), "list": List(of: Text, default: ["a", "b"]),
            "map": Map(of: Int, default: {{ "a": 1 }}), "opt": Text(optional: true), "secret": Text(secret: true),
            "rec": Record(fields: {{ "a": Text(optional: true), "b": Int(default: 3) }}),
        }},
        let: {{ "named": "inputs.int + 1", "host": "host.name" }},
        steps: [
            Step(id: "one", on: "vm", do: Run(["true"]), out: {{ "text": Stdout(type: Text), "n": Regex(pattern: "a", type: Int) }}),
            Step(id: "many", on: "node", do: Run(["true"]), out: {{ "n": Stdout(type: Int), "json": Json(path: ".", type: Map(of: Record(fields: {{ "x": Bool(optional: true) }}))) }}),
            Step(id: "each", on: "vm", each: "inputs.list", do: Run(["true"]), out: {{ "n": Stdout(type: Int) }}),
            Step(id: "test", on: "vm", each: "inputs.list", when: "{when}", do: Run(["true"])),
            Step(id: "show", on: "vm", each: "inputs.list", do: Run(["true"]), stdin: "${{{{ {text} }}}}"),
        ])"#
    )
}
