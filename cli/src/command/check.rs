//! `anneal check FILE...`: all that is wrong with workflow files, before any host is touched.

use std::io::IsTerminal;

use dsl::{Diagnostic, Source};

use crate::args::{Check, Global};
use crate::files;
use crate::report::{OK, Problem, USAGE, put, put_json, say};

pub fn run(check: &Check, global: &Global) -> Result<u8, Problem> {
    let mut code = OK;
    let mut all = Vec::new();
    for file in &check.files {
        let opened = match files::open(file) {
            Ok(opened) => opened,
            Err(problem) if global.json => {
                all.push(serde_json::json!({ "severity": "error", "message": problem.message, "file": file, "helps": problem.hint }));
                code = USAGE;
                continue;
            }
            Err(problem) => {
                crate::report::error(&problem, false);
                code = USAGE;
                continue;
            }
        };
        let checked = dsl::check(&opened.source, &*opened.files);
        if global.json {
            all.extend(checked.diagnostics.iter().map(|diagnostic| diagnostic.to_json(&opened.source)));
        } else {
            show(&checked.diagnostics, &opened.source);
        }
        match &checked.workflow {
            None => code = USAGE,
            Some(workflow) if !global.json => {
                put(&format!("{}: workflow `{}` is valid", opened.source.name, workflow.name()))?;
            }
            Some(_) => {}
        }
    }
    if global.json {
        put_json(&all)?;
    }
    Ok(code)
}

/// Says diagnostics on stderr, and how many there are.
pub fn show(diagnostics: &[Diagnostic], source: &Source) {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for diagnostic in diagnostics {
        say(&diagnostic.render(source, color));
        say("");
    }
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    if errors > 0 {
        let noun = if errors == 1 { "error" } else { "errors" };
        say(&format!("{}: {errors} {noun}; no host was touched", source.name));
    }
}
