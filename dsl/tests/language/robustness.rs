//! No input, however it is made, makes the compiler panic, hang or exhaust its stack.

use std::time::{Duration, Instant};

use dsl::{Checked, Given, Source, check};

use crate::fixture::{self, TestFiles};

pub fn checked(text: impl Into<String>) -> (Source, Checked) {
    let source = Source { name: "test.ron".to_owned(), text: text.into() };
    let checked = check(&source, &TestFiles);
    for diagnostic in &checked.diagnostics {
        diagnostic.render(&source, false);
        diagnostic.to_json(&source);
    }
    (source, checked)
}

pub fn codes(checked: &Checked) -> Vec<&'static str> {
    checked.diagnostics.iter().map(|d| d.code.id()).collect()
}

/// Deletes, doubles, flips, moves and cuts pieces of a file.
fn mutate(bytes: &mut Vec<u8>, rng: &mut fastrand::Rng) {
    for _ in 0..rng.usize(1..6) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.usize(..bytes.len());
        let piece = at..(at + rng.usize(1..40)).min(bytes.len());
        match rng.u8(..7) {
            0 => drop(bytes.drain(piece)),
            1 => {
                let copy = bytes[piece].to_vec();
                bytes.splice(at..at, copy);
            }
            2 => bytes[at] ^= 1 << rng.u8(..8),
            3 => bytes[at] = b"()[]{},:\"'\\/#$\n\0 ?!.-\xff"[rng.usize(..22)],
            4 => {
                let to = rng.usize(..=bytes.len());
                let copy = bytes[piece].to_vec();
                bytes.splice(to..to, copy);
            }
            5 => bytes.truncate(at),
            _ => {
                let words: [&[u8]; 14] = [
                    b"${{",
                    b"}}",
                    b"none",
                    b" ?? ",
                    b"Some(",
                    b"steps.run.out.x",
                    b"Step(",
                    b"99999999999999999999",
                    b"Group(",
                    b"each: \"['a']\", ",
                    b"batch: (sizes: [1], gate_after_first: true), ",
                    b"finally: [",
                    b"Gate(text: \"a\")",
                    b"on_state: Failed, ",
                ];
                bytes.splice(at..at, words[rng.usize(..words.len())].iter().copied());
            }
        }
    }
}

#[test]
fn mutated_workflows_never_panic() {
    let read = |folder: &str| -> Vec<(Vec<u8>, Given)> {
        let texts = fixture::all(&fixture::folder().join(folder));
        let texts = texts.into_iter().map(|path| std::fs::read(path).expect("the fixture"));
        texts.map(|text| (text.clone(), fixture::directives(&String::from_utf8_lossy(&text)).0)).collect()
    };
    let (plans, wrong) = (read("plans"), read("diagnostics"));
    let count: u64 = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2_000);
    for seed in 0..count {
        let mut rng = fastrand::Rng::with_seed(seed);
        // Every other time a valid workflow, so that the later passes are reached.
        let seeds = if seed % 2 == 0 { &plans } else { &wrong };
        let (mut bytes, given) = seeds[rng.usize(..seeds.len())].clone();
        mutate(&mut bytes, &mut rng);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let result = std::panic::catch_unwind(|| {
            let source = Source { name: "mutated.ron".to_owned(), text: text.clone() };
            let outcome = fixture::run_source(source, Some(&given));
            for diagnostic in &outcome.diagnostics {
                diagnostic.render(&outcome.source, false);
                diagnostic.to_json(&outcome.source);
            }
        });
        assert!(result.is_ok(), "seed {seed}:\n{text}");
    }
}

/// Pieces of the language, one after the other without any sense, and now and then any byte.
fn babble(pieces: &[&str], rng: &mut fastrand::Rng) -> String {
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(1..40) {
        match rng.u8(..8) {
            0 => bytes.push(rng.u8(..)),
            _ => bytes.extend_from_slice(pieces[rng.usize(..pieces.len())].as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn babble_never_panics() {
    let expressions = [
        "(",
        ")",
        "[",
        "]",
        ", ",
        ".",
        " ?? ",
        " ? ",
        " : ",
        "!",
        "-",
        " + ",
        " == ",
        " in ",
        "'a'",
        "'{}'",
        "''",
        "1",
        "0.5",
        "none",
        "inputs.list",
        "inputs.map",
        "inputs.key",
        "let.a",
        "let.b",
        "steps.s.out.n",
        "host.name",
        "each",
        "operation.started_at",
        "split(",
        "sum(",
        "max(",
        "json(",
        "format(",
        "all(",
        "count(",
        "seconds(",
        "sha256(",
        "join(",
        "9223372036854775807",
    ];
    let words = [
        "Workflow(",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"",
        "name: \"a\", ",
        "let: { ",
        "\"b\": \"let.a\", ",
        "inputs: { ",
        "\"k\": SecretFile, ",
        "\"m\": Map(of: Text, default: {}), ",
        "\"l\": Login, ",
        "\"t\": Text(secret: true, generate: 9), ",
        "roles: { \"vm\": Many }, ",
        "steps: [",
        "Step(id: \"s\", on: \"vm\", do: Run([\"true\"])), ",
        "\"${{ let.b }}\"",
        "//",
        "/*",
        "r#",
    ];
    let count: u64 = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2_000);
    for seed in 0..count {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (expression, named) = (babble(&expressions, &mut rng), babble(&expressions, &mut rng));
        let quoted = |text: &str| text.replace('\\', "/").replace('"', "'");
        let whole = babble(&words, &mut rng);
        let workflow = format!(
            r#"Workflow(name: "a", roles: {{"vm": Many}}, let: {{ "a": "{}", "b": "let.a" }},
                inputs: {{ "list": List(of: Int, default: []), "map": Map(of: Bool, default: {{}}), "key": Text(secret: true) }},
                steps: [Step(id: "s", on: "vm", do: Run(["true"]), out: {{ "n": Stdout(type: Int) }}),
                    Step(id: "t", on: "vm", when: "{}", do: Run(["true"]), stdin: "${{{{ {} }}}}")])"#,
            quoted(&named),
            quoted(&expression),
            quoted(&expression),
        );
        let result = std::panic::catch_unwind(|| {
            checked(workflow.clone());
            checked(whole.clone());
        });
        assert!(result.is_ok(), "seed {seed}:\n{workflow}\n{whole}");
    }
}

#[test]
fn a_large_file_is_refused_unread() {
    let start = Instant::now();
    let (source, checked) = checked("[".repeat(50 << 20));
    assert_eq!(codes(&checked), ["A0101"]);
    let shown = checked.diagnostics[0].render(&source, false);
    assert!(shown.starts_with("error[A0101]: the file has 52428800 bytes; 2097152 are allowed"), "{shown}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn bombs_of_brackets_are_refused() {
    for open in ["(", "[", "{", "a(", "a(b:", "Some(", "{\"a\":", "[(", "/*", "#![", "\"", "r#", "'", "${{"] {
        let (_, checked) = checked(open.repeat(30_000));
        assert!(checked.workflow.is_none(), "{open}");
        let (_, checked) = self::checked(format!("Workflow(name: \"a\", steps: {}", open.repeat(10_000)));
        assert!(checked.workflow.is_none(), "{open}");
        assert!(checked.diagnostics.len() <= dsl::limits::DIAGNOSTICS);
    }
}

#[test]
fn hundreds_of_thousands_of_elements_on_one_line_are_refused_in_time() {
    let start = Instant::now();
    let many = |element: &str| element.repeat((2 << 20) / element.len() - 100);
    let step = |fields: &str| format!("steps: [Step(id: \"a\", on: \"vm\", {fields})]");
    for text in [
        format!("steps: [{}]", many("1,")),
        format!("steps: [{}]", many("(),")),
        format!("inputs: {{{}}}", many("\"a\":Text,")),
        format!("roles: {{{}}}", many("\"a\":One,")),
        format!("outputs: {{{}}}", many("\"\":\"\",")),
        step(&format!("do: Run([{}])", many("\"\","))),
        step(&format!("needs: [{}], do: Run([\"true\"])", many("\"x\","))),
        step(&format!("env: {{{}}}, do: Run([\"true\"])", many("\"A\":\"\","))),
        step(&many("a:1,")),
        many("a,"),
        many("-"),
        many("\"\""),
    ] {
        let (source, checked) = checked(format!("Workflow(name: \"a\", {text})"));
        assert!(source.text.len() <= dsl::limits::SOURCE_BYTES && checked.workflow.is_none(), "{}", &text[..40]);
        assert!(checked.diagnostics.len() <= dsl::limits::DIAGNOSTICS, "{}", &text[..40]);
        for diagnostic in &checked.diagnostics {
            let shown = diagnostic.render(&source, false);
            assert!(shown.len() < 5_000, "{} bytes\n{}", shown.len(), &text[..40]);
        }
    }
    // Generous: a debug build on a busy machine, twelve files, and it must not be quadratic. What is handed to the renderer is
    // counted by the tests of `excerpt.rs`.
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

#[test]
fn a_place_in_a_very_long_line_is_shown_with_its_column() {
    let ones: String = (0..20_000).map(|i| format!("\"r{i}\":One,")).collect();
    let (source, checked) =
        checked(format!("Workflow(name: \"a\", steps: [], roles: {{\"é\": One,{ones}\"r7\":Two}}, about: \"é\")"));
    let found: Vec<String> = checked.diagnostics.iter().map(|d| d.render(&source, false)).collect();
    let twice = found.iter().find(|shown| shown.contains("given twice")).expect("the duplicate");
    let column = |at: usize| 1 + source.text[..at].chars().count();
    let (first, second) = (source.text.find("\"r7\"").unwrap(), source.text.rfind("\"r7\"").unwrap());
    let wanted = [format!("--> test.ron:1:{}\n", column(second)), format!("::: test.ron:1:{}\n", column(first))];
    assert!(wanted.iter().all(|place| twice.contains(place)) && twice.len() < 2_000, "{wanted:?}\n{twice}");
    assert!(twice.contains("\"r7\":Two}, about: \"é\")\n"), "{twice}");
}

fn with_when(expression: &str) -> Checked {
    let step = format!("Step(id: \"a\", on: \"vm\", when: \"{expression}\", do: Run([\"true\"]))");
    checked(format!("Workflow(name: \"a\", roles: {{\"vm\": One}}, steps: [{step}])")).1
}

#[test]
fn bombs_of_expressions_are_refused() {
    let deep = [
        "(".repeat(1_000) + "true" + &")".repeat(1_000),
        "!".repeat(2_000) + "true",
        "[".repeat(2_000),
        "len(".repeat(1_000),
        "1 + ".repeat(900) + "1 == 1",
        "none ?? ".repeat(400) + "true",
        "true ? true : ".repeat(250) + "true",
        "a.".repeat(2_000) + "a",
        "host.name[0]".to_owned() + &"[0]".repeat(1_000),
    ];
    for expression in deep {
        let found = with_when(&expression);
        assert_eq!(codes(&found), ["A0103"], "{}…", &expression[..40]);
    }
    assert_eq!(codes(&with_when(&format!("true || {}", "1 == 1 || ".repeat(500)))), ["A0116"]);
}

#[test]
fn the_deepest_expression_can_be_stored_and_evaluated() {
    // Calls nest deepest in JSON.
    let depth = dsl::limits::EXPRESSION_DEPTH - 2;
    let expression = format!("len({}'x'{}) == 1", "basename(".repeat(depth - 1), ")".repeat(depth - 1));
    let found = with_when(&expression);
    assert_eq!(codes(&found), Vec::<&str>::new());
    let given = Given { roles: [("vm".to_owned(), vec!["a".to_owned()])].into(), ..Given::default() };
    let plan = found.workflow.expect("a workflow").compile(&given, &TestFiles).expect("a plan").plan;
    assert_eq!(dsl::plan::Plan::from_json(&plan.to_json().unwrap()).unwrap(), plan);
    let when = plan.steps[0].when.as_ref().expect("a condition");
    assert_eq!(dsl::eval(when, &crate::values::Scene::default()), Ok(dsl::value::Value::Bool(true)));
}

/// JSON that is nested too deeply is refused where a plan is read, so no plan may be.
#[test]
fn the_deepest_expression_in_the_deepest_data_can_be_stored() {
    let depth = dsl::limits::EXPRESSION_DEPTH - 2;
    let expression = format!("${{{{ {}'x'{} }}}}", "basename(".repeat(depth), ")".repeat(depth));
    let data = |depth: usize| {
        let (open, close) = ("{ \"name\": ".repeat(depth), " }".repeat(depth));
        let vars = format!("{open}\"{expression}\"{close}");
        let file = format!("(to: \"/a\", template: \"templates/name.j2\", vars: {vars})");
        let step = format!("Step(id: \"a\", on: \"vm\", do: WriteFiles(files: [{file}]))");
        checked(format!("Workflow(name: \"a\", roles: {{\"vm\": One}}, steps: [{step}])")).1
    };
    assert_eq!(codes(&data(dsl::limits::DATA_NESTING + 1)), ["A0116"]);
    let found = data(dsl::limits::DATA_NESTING);
    assert_eq!(codes(&found), Vec::<&str>::new());
    let given = Given { roles: [("vm".to_owned(), vec!["a".to_owned()])].into(), ..Given::default() };
    let plan = found.workflow.expect("a workflow").compile(&given, &TestFiles).expect("a plan").plan;
    assert_eq!(dsl::plan::Plan::from_json(&plan.to_json().unwrap()).unwrap(), plan);
}

#[test]
fn the_deepest_conditions_of_a_group_and_a_step_in_it_can_be_evaluated_together() {
    let depth = dsl::limits::EXPRESSION_DEPTH - 2;
    let deepest = format!("{}'x'{} == 'x'", "basename(".repeat(depth), ")".repeat(depth));
    let too_deep = format!("!({deepest})");
    assert_eq!((codes(&with_when(&deepest)), codes(&with_when(&too_deep))), (vec![], vec!["A0103"]));
    let step = format!("Step(id: \"a\", when: \"{deepest}\", do: Run([\"true\"]))");
    let group = format!("Group(id: \"g\", over: \"vm\", when: \"{deepest}\", steps: [{step}])");
    let found = checked(format!("Workflow(name: \"a\", roles: {{\"vm\": One}}, steps: [{group}])")).1;
    let given = Given { roles: [("vm".to_owned(), vec!["a".to_owned()])].into(), ..Given::default() };
    let plan = found.workflow.expect("a workflow").compile(&given, &TestFiles).expect("a plan").plan;
    let plan = dsl::plan::Plan::from_json(&plan.to_json().unwrap()).expect("to read it again");
    let when = plan.steps[0].when.as_ref().expect("a condition");
    assert_eq!(dsl::eval(when, &crate::values::Scene::default()), Ok(dsl::value::Value::Bool(true)));
}

#[test]
fn ten_thousand_steps_are_checked_quickly_and_as_many_errors_too() {
    let steps = |wrong: &str| -> String {
        let step = |i: usize| {
            let needs = if i == 0 { String::new() } else { format!("needs: [\"s{}{wrong}\"], ", i - 1) };
            format!("Step(id: \"s{i}\", on: \"vm\", {needs}do: Run([\"true\"])),\n")
        };
        let steps: String = (0..10_000).map(step).collect();
        format!("Workflow(name: \"a\", roles: {{\"vm\": One}}, steps: [{steps}])")
    };
    let start = Instant::now();
    let (_, good) = checked(steps(""));
    assert_eq!(codes(&good), Vec::<&str>::new());
    let (_, wrong) = checked(steps("x"));
    assert_eq!(wrong.diagnostics.len(), dsl::limits::DIAGNOSTICS);
    // Generous: this is a debug build on a busy machine, and it must not be quadratic.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn a_workflow_with_too_many_edges_is_refused() {
    let step = |i: usize, more: &str| format!("Step(id: \"s{i}\", {more}do: Run([\"true\"])),\n");
    let inside: String = (0..800).map(|i| step(i, "")).collect();
    let outside: String = (800..1_600).map(|i| step(i, "on: \"vm\", needs: [\"g\"], ")).collect();
    let roles = "roles: {\"vm\": Many}";
    let group = format!("Group(id: \"g\", over: \"vm\", when: \"1\", steps: [{inside}])");
    let start = Instant::now();
    let (_, found) = checked(format!("Workflow(name: \"a\", {roles}, steps: [{group}, {outside}])"));
    // The group's condition is wrong for each of its steps, and said once.
    assert_eq!(codes(&found), ["A0203", "A0116"]);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn a_circle_of_ten_thousand_steps_is_reported_in_short() {
    let n = 10_000;
    let steps: String = (0..n)
        .map(|i| format!("Step(id: \"s{i}\", on: \"vm\", needs: [\"s{}\"], do: Run([\"true\"])),\n", (i + 1) % n))
        .collect();
    let (source, checked) = checked(format!("Workflow(name: \"a\", roles: {{\"vm\": One}}, steps: [{steps}])"));
    assert_eq!(codes(&checked), ["A0114"]);
    assert!(checked.diagnostics[0].render(&source, false).len() < 5_000);
}

#[test]
fn places_are_right_behind_a_byte_order_mark_and_other_letters() {
    let (source, checked) = checked("\u{feff}Workflow(name: \"é€😀\", stepps: [])");
    let found: Vec<&str> = checked.diagnostics.iter().map(|d| &source.text[d.labels[0].range.clone()]).collect();
    assert_eq!(found, ["Workflow", "\"é€😀\"", "stepps"]);
    let (_, good) = self::checked(
        "\u{feff}Workflow(name: \"a\", roles: {\"vm\": One}, steps: [Step(id: \"a\", on: \"vm\", do: Run([\"é\"]))])\r\n",
    );
    assert!(good.workflow.is_some());
}

#[test]
fn a_file_cannot_write_to_the_terminal() {
    let text = "Workflow(name: \"a\u{1b}[31m\", about: \"\u{1b}]0;x\u{7}\", roles: {\"vm\": One},
        inputs: {\"c\": Choice(of: [\"fast\u{1b}[2J\"], default: \"fast\u{1b}[2K\")},
        steps: [Step(id: \"a\", on: \"vm\u{9b}31m\", needs: [\"b\u{1b}c\"], do: Run([\"${{ inputs.x\u{1b} }}\"]))])";
    let (source, checked) = checked(text);
    assert!(checked.diagnostics.len() >= 5);
    for diagnostic in &checked.diagnostics {
        let shown = diagnostic.render(&source, false);
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }
}

#[test]
fn limits_are_listed_with_what_they_limit() {
    let table = dsl::limits::table();
    assert!(table.len() > 30);
    assert!(table.iter().all(|limit| limit.value > 0 && limit.about.ends_with('.')));
    assert!(table.iter().any(|limit| limit.name == "ASSET_BYTES" && limit.value == 1 << 20));
}
