//! `anneal check FILE|FOLDER...`: all that is wrong with workflow files, before any host is touched.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use dsl::{Diagnostic, Source};

use crate::args::{Check, Global};
use crate::report::{OK, Problem, USAGE, put, put_json, say};
use crate::{files, scan};

pub fn run(check: &Check, global: &Global) -> Result<u8, Problem> {
    let mut checking = Checking { json: global.json, ..Checking::default() };
    for path in &check.files {
        if !path.is_dir() {
            checking.file(path)?;
            continue;
        }
        checking.folders = true;
        match scan::folder(path) {
            Ok(found) if found.workflows.is_empty() => {
                let problem = Problem::usage(format!("there is no workflow in `{}`", path.display()));
                checking.unreadable(path, &problem.hint("a workflow is a `.ron` file that begins with `Workflow(`"));
                checking.passed_over(&found.others);
            }
            Ok(found) => {
                found.workflows.iter().try_for_each(|path| checking.file(path))?;
                checking.passed_over(&found.others);
            }
            Err(problem) => checking.unreadable(path, &problem),
        }
    }
    checking.end()
}

/// What was found so far.
#[derive(Default)]
struct Checking {
    json: bool,
    /// A folder was named, so how many files there were is news.
    folders: bool,
    diagnostics: Vec<serde_json::Value>,
    valid: usize,
    /// Valid, but with warnings.
    warned: usize,
    wrong: usize,
    others: usize,
}

impl Checking {
    fn file(&mut self, path: &Path) -> Result<(), Problem> {
        let opened = match files::open(path) {
            Ok(opened) => opened,
            Err(problem) => {
                self.unreadable(path, &problem);
                return Ok(());
            }
        };
        let checked = dsl::check(&opened.source, &*opened.files);
        if self.json {
            self.diagnostics.extend(checked.diagnostics.iter().map(|diagnostic| diagnostic.to_json(&opened.source)));
        } else {
            show(&checked.diagnostics, &opened.source);
        }
        let Some(workflow) = checked.workflow else {
            self.wrong += 1;
            return Ok(());
        };
        self.valid += 1;
        self.warned += usize::from(!checked.diagnostics.is_empty());
        match self.json {
            true => Ok(()),
            false => put(&format!("{}: workflow `{}` is valid", opened.source.name, workflow.name())),
        }
    }

    /// A file or folder that cannot be read counts as a wrong one.
    fn unreadable(&mut self, path: &Path, problem: &Problem) {
        self.wrong += 1;
        if !self.json {
            crate::report::error(problem, false);
            return;
        }
        self.diagnostics.push(serde_json::json!({
            "code": null, "severity": "error", "message": problem.message, "file": path,
            "span": null, "labels": [], "helps": problem.hint.iter().collect::<Vec<_>>(),
        }));
    }

    fn passed_over(&mut self, others: &[PathBuf]) {
        self.others += others.len();
        if !self.json {
            others.iter().for_each(|path| say(&format!("{}: passed over, it is no workflow", path.display())));
        }
    }

    /// The summary; the exit code is that of the worst.
    fn end(self) -> Result<u8, Problem> {
        if self.json {
            put_json(&self.diagnostics)?;
        } else if self.folders {
            let mut parts = vec![format!("{} valid", self.valid)];
            if self.warned > 0 {
                parts.push(format!("{} of them with warnings", self.warned));
            }
            if self.wrong > 0 {
                parts.push(format!("{} wrong", self.wrong));
            }
            if self.others > 0 {
                parts.push(format!("{} passed over", self.others));
            }
            put(&parts.join(", "))?;
        }
        Ok(if self.wrong > 0 { USAGE } else { OK })
    }
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
