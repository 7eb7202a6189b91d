use std::time::Instant;
use dsl::{Source, check};
use crate::fixture::TestFiles;
#[test]
fn timing() {
    let steps = |wrong: &str| -> String {
        let step = |i: usize| {
            let needs = if i == 0 { String::new() } else { format!("needs: [\"s{}{wrong}\"], ", i - 1) };
            format!("Step(id: \"s{i}\", on: \"vm\", {needs}do: Run([\"true\"])),\n")
        };
        let steps: String = (0..10_000).map(step).collect();
        format!("Workflow(name: \"a\", roles: {{\"vm\": One}}, steps: [{steps}])")
    };
    let mut cases = vec![("good".to_owned(), steps("")), ("wrong".to_owned(), steps("x"))];
    for open in ["(", "[", "{", "a(", "a(b:", "Some(", "{\"a\":", "[(", "/*", "#![", "\"", "r#", "'", "${{"] {
        cases.push((open.to_owned(), open.repeat(100_000)));
    }
    for (name, text) in cases {
        let source = Source { name: "x".into(), text };
        let t = Instant::now();
        let checked = check(&source, &TestFiles);
        let a = t.elapsed();
        let n: usize = checked.diagnostics.iter().map(|d| d.render(&source, false).len()).sum();
        println!("{name}: check {a:?} render {:?} of {} ({n} bytes)", t.elapsed() - a, checked.diagnostics.len());
    }
}
