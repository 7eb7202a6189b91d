//! Fixtures: RON files with directives in their first lines, and the folder of files that stands in for a workflow's.
//!
//! `//! input NAME=VALUE` gives a value from elsewhere, `//! argument NAME=VALUE` on the command line, `//! role
//! NAME=a,b` hosts, `//! compile` nothing. With any of them a fixture is compiled, else it is only checked.

use std::path::{Path, PathBuf};

use dsl::value::FileRef;
use dsl::{Called, Compiled, Diagnostic, Files, Given, GivenValue, Origin, Source, check};

/// The folder of the tests.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The files under `tests/files`; on the "operator's machine" there are `/images/registry.tar` and `/secrets/key`. What is called
/// is a workflow under `tests/called`, an example of the manual, or a bundled one.
pub struct TestFiles;

impl Files for TestFiles {
    fn asset(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(folder().join("files").join(path)).map_err(|_| "no such file".to_owned())
    }

    fn file(&self, path: &str) -> Result<FileRef, String> {
        match path {
            "/images/registry.tar" => Ok(FileRef { path: path.to_owned(), size_bytes: 7, sha256: "ab".repeat(32) }),
            _ => Err("no such file".to_owned()),
        }
    }

    fn workflow(&self, name: &str) -> Result<Called, String> {
        let source = |text| Source { name: format!("{name}.ron"), text };
        if let Ok(text) = std::fs::read_to_string(folder().join("called").join(format!("{name}.ron"))) {
            return Ok(Called { source: source(text), files: Box::new(TestFiles) });
        }
        // The name of an example is the first text in it.
        let mut examples = crate::reference::examples("workflows.md").into_iter();
        if let Some(text) = examples.find(|text| text.split('"').nth(1) == Some(name)) {
            return Ok(Called { source: source(text), files: Box::new(TestFiles) });
        }
        let text = std::fs::read_to_string(bundled().join(format!("{name}.ron"))).map_err(|_| "no such workflow")?;
        Ok(Called { source: source(text), files: Box::new(Bundled) })
    }

    fn secret_file(&self, path: &str) -> Result<String, String> {
        match path {
            "/secrets/key" => Ok("-----BEGIN KEY-----\ncanary-4f1d9c\n-----END KEY-----\n".to_owned()),
            _ => Err("no such file".to_owned()),
        }
    }
}

fn bundled() -> PathBuf {
    folder().join("../../workflows")
}

/// The files of the bundled workflows.
struct Bundled;

impl Files for Bundled {
    fn asset(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(bundled().join(path)).map_err(|_| "no such file".to_owned())
    }

    fn file(&self, path: &str) -> Result<FileRef, String> {
        TestFiles.file(path)
    }

    fn secret_file(&self, path: &str) -> Result<String, String> {
        TestFiles.secret_file(path)
    }
}

/// The fixtures in a folder, by name.
pub fn all(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ron"))
        .collect();
    all.sort();
    assert!(!all.is_empty());
    all
}

/// Compares with the file beside the fixture; `UPDATE=1` writes it instead. Gives what differs.
pub fn compare(fixture: &Path, found: &str) -> Option<String> {
    let expected = fixture.with_extension("txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&expected, found).expect("to write the expectation");
        return None;
    }
    let wanted = std::fs::read_to_string(&expected).unwrap_or_default();
    (wanted != found).then(|| format!("{}\n--- expected\n{wanted}\n--- found\n{found}", fixture.display()))
}

/// What a fixture gives.
pub struct Outcome {
    pub source: Source,
    pub diagnostics: Vec<Diagnostic>,
    pub compiled: Option<Compiled>,
}

pub fn run(path: &Path) -> Outcome {
    let text = String::from_utf8_lossy(&std::fs::read(path).expect("the fixture")).into_owned();
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let (given, compiles) = directives(&text);
    run_source(Source { name, text }, compiles.then_some(&given))
}

pub fn run_source(source: Source, given: Option<&Given>) -> Outcome {
    let checked = check(&source, &TestFiles);
    assert_eq!(checked.workflow.is_some(), !checked.diagnostics.iter().any(Diagnostic::is_error));
    let mut diagnostics = checked.diagnostics;
    let mut compiled = None;
    if let (Some(workflow), Some(given)) = (checked.workflow, given) {
        match workflow.compile(given, &TestFiles) {
            Ok(made) => {
                diagnostics.extend(made.warnings.clone());
                compiled = Some(made);
            }
            Err(errors) => diagnostics.extend(errors),
        }
    }
    Outcome { source, diagnostics, compiled }
}

/// What the directives of a fixture give, and whether there are any.
pub fn directives(text: &str) -> (Given, bool) {
    let (mut given, mut any) = (Given::default(), false);
    for line in text.lines() {
        let Some(directive) = line.strip_prefix("//! ") else { break };
        any = true;
        let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
        let mut input = |origin| {
            given.inputs.insert(name.to_owned(), GivenValue { text: value.to_owned(), origin });
        };
        match word {
            "input" => input(Origin::Elsewhere),
            "argument" => input(Origin::CommandLine),
            "role" => {
                let slots = value.split(',').filter(|slot| !slot.is_empty()).map(str::to_owned).collect();
                given.roles.insert(name.to_owned(), slots);
            }
            "compile" => {}
            other => panic!("no such directive: {other}"),
        }
    }
    (given, any)
}

/// All diagnostics as a terminal without colour shows them.
pub fn rendered(outcome: &Outcome) -> String {
    outcome.diagnostics.iter().map(|d| format!("{}\n\n", d.render(&outcome.source, false))).collect()
}
