//! Workflows as they are drawn: whole drawings, and that they are of the language they pretend to be.

use std::io::Write;
use std::process::{Command, Stdio};

use dsl::outline::{Outline, dot, mermaid, text};
use dsl::{Source, check};

use crate::fixture::{self, TestFiles};

/// The columns of a terminal.
const COLUMNS: usize = 80;

fn outlines() -> Vec<(std::path::PathBuf, Outline)> {
    let mut outlines = Vec::new();
    for path in fixture::all(&fixture::folder().join("plans")) {
        let source =
            Source { name: path.display().to_string(), text: std::fs::read_to_string(&path).expect("the fixture") };
        let workflow = check(&source, &TestFiles).workflow.expect("a valid workflow");
        outlines.push((path, workflow.outline()));
    }
    outlines
}

#[test]
fn drawings_are_as_expected_and_fit_a_terminal() {
    let folder = fixture::folder().join("outlines");
    let mut wrong = Vec::new();
    for (path, outline) in outlines() {
        let text = text::draw(&outline);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert_eq!(text, text::draw(&outline), "the same outline gives the same drawing");
        let found = format!("{text}\n{}\n{}", dot::draw(&outline), mermaid::draw(&outline));
        wrong.extend(fixture::compare(&folder.join(path.file_name().unwrap()), &found));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What nobody can write in a workflow, but a renderer must not rely on that.
fn hostile() -> Outline {
    let (_, mut outline) = outlines().swap_remove(2);
    outline.workflow = "a\"; } evil\n\\".to_owned();
    outline.about = "\u{1b}[2J".to_owned();
    let names = ["end", "\"] --> x[\"", "a -> b; \\\"", "<script>", "subgraph", "#quot;", "x\ny", "é`"];
    let old: Vec<String> = outline.steps.iter().map(|step| step.id.clone()).collect();
    for (at, step) in outline.steps.iter_mut().enumerate() {
        step.id = format!("{}{at}", names[at % names.len()]);
        step.about = Some("says \"hello\\".to_owned());
        for edge in &mut step.needs {
            let index = old.iter().position(|id| *id == edge.step).expect("a step");
            edge.step = format!("{}{index}", names[index % names.len()]);
        }
    }
    outline
}

#[test]
fn dot_is_the_language_of_graphviz() {
    for outline in outlines().into_iter().map(|(_, outline)| outline).chain([hostile()]) {
        let drawn = dot::draw(&outline);
        let (nodes, edges) = read_dot(&drawn).unwrap_or_else(|why| panic!("{why}\n{drawn}"));
        assert_eq!(nodes, outline.steps.len(), "{drawn}");
        assert_eq!(edges, outline.steps.iter().map(|step| step.needs.len()).sum::<usize>(), "{drawn}");
        // Where Graphviz is installed, it is asked too.
        let graphviz = Command::new("dot").arg("-Tcanon").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        if let Ok(mut child) = graphviz {
            child.stdin.take().unwrap().write_all(drawn.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success(), "{drawn}");
        }
    }
}

/// Reads the part of the language of dot that we write; how many nodes and edges it declares.
fn read_dot(drawn: &str) -> Result<(usize, usize), String> {
    let tokens = dot_tokens(drawn)?;
    let (mut nodes, mut edges, mut depth, mut at) = (0, 0, 0, 0);
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let is_id = |text: &str| text.starts_with('"') || text.starts_with(|c: char| c.is_ascii_alphabetic());
    while at < tokens.len() {
        match (token(at), token(at + 1), token(at + 2)) {
            ("digraph" | "subgraph", name, "{") if is_id(name) => (depth, at) = (depth + 1, at + 3),
            ("}", ..) if depth > 0 => (depth, at) = (depth - 1, at + 1),
            (name, "=", value) if is_id(name) && is_id(value) && token(at + 3) == ";" => at += 4,
            (from, "->", to) if is_id(from) && is_id(to) => {
                edges += 1;
                at = attributes(&tokens, at + 3)?;
            }
            ("node" | "edge", "[", _) => at = attributes(&tokens, at + 1)?,
            (name, "[", _) if name.starts_with('"') => {
                nodes += 1;
                at = attributes(&tokens, at + 1)?;
            }
            (other, ..) => return Err(format!("`{other}` is not expected")),
        }
    }
    if depth == 0 { Ok((nodes, edges)) } else { Err("a bracket is not closed".to_owned()) }
}

/// `[name=value, …];`
fn attributes(tokens: &[String], mut at: usize) -> Result<usize, String> {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    if token(at) != "[" {
        return Err(format!("`{}` instead of attributes", token(at)));
    }
    loop {
        if token(at + 2) != "=" || token(at + 1).starts_with('"') {
            return Err(format!("`{}` is no attribute", token(at + 1)));
        }
        at += 4;
        match (token(at), token(at + 1)) {
            (",", _) => {}
            ("]", ";") => return Ok(at + 2),
            (other, _) => return Err(format!("`{other}` after an attribute")),
        }
    }
}

fn dot_tokens(text: &str) -> Result<Vec<String>, String> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.ok_or("a text is never closed")? + 2
        } else if rest.starts_with("->") {
            2
        } else if first.is_ascii_alphanumeric() {
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if "{}[]=,;".contains(first) {
            1
        } else {
            return Err(format!("`{first}` is no token"));
        };
        tokens.push(rest[..length].to_owned());
        if tokens.last().is_some_and(|token| token.contains('\n')) {
            return Err("a text has a line end".to_owned());
        }
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

#[test]
fn mermaid_has_only_lines_of_its_language() {
    let line = regex::Regex::new(
        r#"^(flowchart TD|    subgraph (g\d+|finally)\["[^"<>`]*"\]|    end| {4,8}s\d+(\["([^"<>`]|<br/>)*"\]|\{\{"([^"<>`]|<br/>)*"\}\})|    s\d+ (-->|-\.->)(\|all\|)? s\d+)$"#,
    )
    .unwrap();
    for outline in outlines().into_iter().map(|(_, outline)| outline).chain([hostile()]) {
        let drawn = mermaid::draw(&outline);
        for found in drawn.lines() {
            assert!(line.is_match(found), "{found}\n{drawn}");
        }
        let count = |word: &str| drawn.lines().filter(|line| line.contains(word)).count();
        assert_eq!(count("subgraph "), count("    end"), "{drawn}");
    }
}

#[test]
fn text_writes_nothing_to_the_terminal_but_text() {
    let drawn = text::draw(&hostile());
    assert!(!drawn.contains(|c: char| c.is_control() && c != '\n'), "{drawn:?}");
}
