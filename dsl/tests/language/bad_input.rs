//! Bad input, case by case: each is an error with its place, in bounded time. Files as people meet them are in the package of
//! end-to-end tests (`bad_input`, `tools`): too large, no UTF-8, links that lead out of the folder.

use std::time::{Duration, Instant};

use crate::robustness::{checked, codes};

/// A step of an otherwise right workflow.
fn with_step(fields: &str) -> String {
    format!("Workflow(name: \"a\", roles: {{\"vm\": One}}, steps: [Step(id: \"a\", on: \"vm\", {fields})])")
}

#[test]
fn odd_bytes_paths_and_numbers_are_errors_with_their_places() {
    let run = "do: Run([\"true\"])";
    let upload = |from: &str| with_step(&format!("do: Upload(from: \"{from}\", to: \"/a\")"));
    let template = |path: &str| with_step(&format!("do: WriteFile(to: \"/a\", template: \"{path}\")"));
    let script = |path: &str| with_step(&format!("do: Script(file: \"{path}\")"));
    let cases: Vec<(&str, String, &[&str])> = vec![
        ("a NUL in an argument", with_step("do: Run([\"a\\0b\"])"), &["A0115"]),
        ("a NUL as it is", with_step("do: Run([\"a\0b\"])"), &["A0115"]),
        ("a NUL outside of texts", with_step(&format!("\0 {run}")), &["A0102"]),
        ("a NUL in an id", with_step(run).replace("id: \"a\"", "id: \"a\\0\""), &["A0115"]),
        ("a NUL in a path", script("scripts/ok.sh\\0"), &["A0115"]),
        ("a byte order mark inside", with_step(&format!("\u{feff}{run}")), &["A0102"]),
        ("a line separator between tokens", with_step(&format!("\u{2028}{run}")), &[]),
        ("a line separator in an id", with_step(run).replace("id: \"a\"", "id: \"a\u{2028}b\""), &["A0111"]),
        ("carriage returns", with_step(run).replace(", ", ",\r\n"), &[]),
        ("carriage returns alone", with_step(run).replace(", ", ",\r"), &[]),
        ("no character", with_step("do: Run([\"\\u{110000}\"])"), &["A0102"]),
        ("half a pair", with_step("do: Run([\"\\u{d800}\"])"), &["A0102"]),
        ("a script above", script("../ok.sh"), &["A0122"]),
        ("a script above, in the middle", script("scripts/../../ok.sh"), &["A0122"]),
        ("a script anywhere", script("/bin/sh"), &["A0122"]),
        ("an upload above", upload("etc/../../app.conf"), &["A0122"]),
        ("an upload of anything", upload("/etc/shadow"), &["A0122"]),
        ("a template above", template("../a.j2"), &["A0122"]),
        ("a template anywhere", template("/etc/passwd"), &["A0122"]),
        ("a folder as a template", template("templates"), &["A0121"]),
        ("a number of a million digits", with_step(&format!("parallel: {}, {run}", "9".repeat(1_000_000))), &["A0115"]),
        ("an infinite number", with_step(&format!("retry: (times: 2, factor: 1e999), {run}")), &["A0115"]),
        (
            "a number too large in an expression",
            with_step(&format!("when: \"9223372036854775808 > 1\", {run}")),
            &["A0201"],
        ),
        ("a duration too large", with_step(&format!("timeout: \"99999999999999999999d\", {run}")), &["A0115"]),
        ("a text too long", with_step(&format!("do: Run([\"{}\"])", "x".repeat((64 << 10) + 1))), &["A0116"]),
        ("a name too long", with_step(run).replace("id: \"a\"", &format!("id: \"{}\"", "a".repeat(65))), &["A0111"]),
        ("an expression too long", with_step(&format!("when: \"{}true\", {run}", "true || ".repeat(600))), &["A0116"]),
        (
            "a pattern that takes too much",
            with_step(&format!("{run}, out: {{\"a\": Regex(pattern: \"((a{{1000}}){{1000}})\", type: Text)}}")),
            &["A0118"],
        ),
    ];
    for (what, text, wanted) in cases {
        let (source, found) = checked(text);
        let errors: Vec<&str> = found.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code.id()).collect();
        let shown: String = found.diagnostics.iter().map(|d| d.render(&source, false) + "\n").collect();
        assert_eq!(errors, wanted, "{what}: {shown}");
        assert!(
            found.diagnostics.iter().all(|d| !d.is_error() || !d.labels.is_empty()),
            "{what} has no place: {shown}"
        );
        assert!(shown.len() < 5_000, "{what}: {} bytes", shown.len());
    }
}

#[test]
fn lines_are_counted_alike_whatever_ends_them() {
    let place = |end: &str| {
        let (source, found) = checked(["Workflow(", "    name: \"a\",", "    stepps: [],", ")"].join(end));
        let wrong = found.diagnostics.iter().find(|d| d.code.id() == "A0105").expect("the unknown field");
        let json = wrong.to_json(&source);
        (json["span"]["line"].as_u64(), json["span"]["column"].as_u64())
    };
    assert_eq!((place("\n"), place("\r\n")), ((Some(3), Some(5)), (Some(3), Some(5))));
}

#[test]
fn as_many_edges_as_there_may_be_are_checked_in_time() {
    let step = |i: usize, more: &str| format!("Step(id: \"s{i}\", {more}do: Run([\"true\"])),\n");
    let inside: String = (0..1_000).map(|i| step(i, "")).collect();
    let outside =
        |count: usize| -> String { (1_000..1_000 + count).map(|i| step(i, "on: \"vm\", needs: [\"g\"], ")).collect() };
    let group = format!("Group(id: \"g\", over: \"vm\", steps: [{inside}])");
    let start = Instant::now();
    for (count, wanted) in [(500, vec![]), (501, vec!["A0116"])] {
        let (_, found) =
            checked(format!("Workflow(name: \"a\", roles: {{\"vm\": Many}}, steps: [{group}, {}])", outside(count)));
        assert_eq!(codes(&found), wanted, "{count} steps that wait for 1000");
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}
