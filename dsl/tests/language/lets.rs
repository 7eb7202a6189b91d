//! Named values are what their expressions are, wherever they are read.

use std::time::{Duration, Instant};

use dsl::plan::{EdgeKind, EdgeOrigin, Plan};
use dsl::{Checked, Given, Source, check};

use crate::fixture::TestFiles;

fn checked(text: String) -> Checked {
    check(&Source { name: "test".to_owned(), text }, &TestFiles)
}

fn plan(lets: &str, value: impl Fn(&str) -> String) -> Plan {
    let (users, proxy, up, port) = (value("users"), value("proxy"), value("up"), value("port"));
    let text = format!(
        r#"Workflow(name: "test", {lets} roles: {{"vm": One, "node": Many}},
            inputs: {{ "opt": Text(optional: true), "users": List(of: Text, default: ["a"]), "wait": Duration(default: "1m") }},
            deadline: "${{{{ {wait} * 3 }}}}",
            steps: [
                Step(id: "look", on: "node", do: Run(["hostname"]), out: {{ "up": Stdout(type: Bool), "n": Stdout(type: Int) }}),
                Step(id: "own", on: "node", when: "{up}", do: Run(["x", "${{{{ {port} + 1 }}}}"])),
                Step(id: "all", on: "vm", when: "{proxy} != none && all({up})", do: Run(["x", "${{{{ {proxy} }}}}", "${{{{ inputs.opt }}}}"]), timeout: "${{{{ {wait} }}}}"),
                Step(id: "some", on: "vm", each: "{users}", do: Run(["x", "${{{{ {each} }}}}"])),
            ],
            outputs: {{ "ready": "${{{{ count({up}) }}}}" }})"#,
        wait = value("wait"),
        each = value("element"),
    );
    let checked = checked(text);
    assert!(checked.diagnostics.is_empty(), "{:?}", checked.diagnostics);
    let slots = |n: usize| (0..n).map(|i| format!("h{i}")).collect();
    let given =
        Given { roles: [("vm".to_owned(), slots(1)), ("node".to_owned(), slots(2))].into(), ..Given::default() };
    checked.workflow.expect("a workflow").compile(&given, &TestFiles).expect("a plan").plan
}

#[test]
fn a_named_value_means_its_expression_in_that_place() {
    let values = [
        ("users", "inputs.users"),
        ("proxy", "inputs.opt"),
        ("up", "steps.look.out.up"),
        ("port", "(steps.look.out.n)"),
        ("wait", "inputs.wait"),
        ("element", "(each + '!')"),
    ];
    let lets: Vec<String> = values.iter().map(|(name, value)| format!("\"{name}\": \"{value}\"")).collect();
    let named = plan(&format!("let: {{ {} }},", lets.join(", ")), |name| format!("let.{name}"));
    let written_out = |name: &str| values.iter().find(|(known, _)| *known == name).expect("a value").1.to_owned();
    assert_eq!(named, plan("", written_out));
    assert_eq!(Plan::from_json(&named.to_json().unwrap()).unwrap(), named);
    let edge = |step: usize| {
        named.steps[step].needs.iter().map(|edge| (edge.step, edge.kind, edge.origin)).collect::<Vec<_>>()
    };
    assert_eq!(edge(1), [(0, EdgeKind::Keyed, EdgeOrigin::Reference)], "host by host");
    assert_eq!(edge(2), [(0, EdgeKind::Barrier, EdgeOrigin::Reference)], "of all hosts");
}

fn with_lets(lets: &[(String, String)], when: &str, steps: usize) -> Vec<&'static str> {
    let lets: Vec<String> = lets.iter().map(|(name, value)| format!("\"{name}\": \"{value}\"")).collect();
    let steps: String =
        (0..steps).map(|i| format!("Step(id: \"s{i}\", on: \"vm\", when: \"{when}\", do: Run([\"true\"])),")).collect();
    let text =
        format!("Workflow(name: \"a\", let: {{ {} }}, roles: {{\"vm\": One}}, steps: [{steps}])", lets.join(", "));
    checked(text).diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code.id()).collect()
}

#[test]
fn what_grows_without_measure_is_refused_quickly() {
    let start = Instant::now();
    let chain = |n: usize, first: &str, next: &dyn Fn(usize) -> String| -> Vec<(String, String)> {
        (0..n).map(|i| (format!("a{i}"), if i == 0 { first.to_owned() } else { next(i - 1) })).collect()
    };
    let doubled = chain(100, "true", &|i| format!("let.a{i} || let.a{i}"));
    assert_eq!(with_lets(&doubled, "let.a99", 1), ["A0116"]);
    let wide = chain(6, "true", &|i| format!("let.a{i} || (let.a{i} && let.a{i})"));
    assert_eq!(with_lets(&wide, "let.a5", 1_000), ["A0116"], "too much of it in all");
    assert_eq!(with_lets(&chain(31, "true", &|i| format!("!let.a{i}")), "!let.a30", 1), Vec::<&str>::new());
    assert_eq!(with_lets(&chain(32, "true", &|i| format!("!let.a{i}")), "!let.a31", 1), ["A0103"]);
    assert_eq!(with_lets(&chain(40, "true", &|i| format!("!let.a{i}")), "true", 1), ["A0103"]);
    let circle: Vec<_> = (0..500).map(|i| (format!("a{i}"), format!("let.a{}", (i + 1) % 500))).collect();
    assert_eq!(with_lets(&circle, "let.a0", 10), ["A0160"]);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}
