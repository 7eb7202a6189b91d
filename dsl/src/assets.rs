//! The scripts and files that belong to a workflow: where they may lie, and what may be in them.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use crate::code::Code;
use crate::declared::{ActionKind, Declared, FileDecl};
use crate::diagnostic::{Diagnostic, Sink};
use crate::jinja::{self, What};
use crate::limits;
use crate::source::{Files, Source, Spanned, count, quote, sentence};

/// The bytes of each file by its path.
pub(crate) type Assets = BTreeMap<String, Vec<u8>>;

/// The path of a file of the workflow in its one form: relative, without `.` and `..`.
pub(crate) fn normal_path(path: &str) -> Result<String, &'static str> {
    if path.starts_with('/') || path.contains('\\') || path.contains('\0') {
        return Err("an absolute path, or one with a backslash");
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("`..` leads out of the folder"),
            part => parts.push(part),
        }
    }
    if parts.is_empty() { Err("no file is named") } else { Ok(parts.join("/")) }
}

/// Loads what the steps name; reports what cannot be used.
pub(crate) fn load(declared: &Declared, files: &dyn Files, sink: &mut Sink) -> Assets {
    let mut loader =
        Loader { files, assets: Assets::new(), seen: HashSet::new(), scripts: HashSet::new(), bytes: 0, sink };
    for step in &declared.steps {
        for action in [&step.probe, &step.action, &step.undo].into_iter().flatten() {
            if let Some((ca, path)) = action.ca().and_then(|ca| Some((ca, ca.literal()?))) {
                loader.load(&Spanned::new(path, ca.span.clone()));
            }
            match &action.kind {
                ActionKind::Script { file: Some(file), .. } => loader.script(file),
                ActionKind::Upload { from: Some(from), .. } => {
                    if let Some(path) = from.literal() {
                        loader.load(&Spanned::new(path, from.span.clone()));
                    }
                }
                ActionKind::WriteFiles { files } => {
                    files.iter().filter_map(FileDecl::jinja).for_each(|(file, vars)| loader.template(file, &vars));
                }
                _ => {}
            }
        }
    }
    loader.assets
}

struct Loader<'a> {
    files: &'a dyn Files,
    assets: Assets,
    /// Paths that were asked for, readable or not.
    seen: HashSet<String>,
    /// Paths whose text was looked at.
    scripts: HashSet<String>,
    bytes: usize,
    sink: &'a mut Sink,
}

impl Loader<'_> {
    fn load(&mut self, written: &Spanned<String>) -> Option<String> {
        let path = match normal_path(&written.value) {
            Ok(path) => path,
            Err(reason) => {
                let message = format!("{} is not in the workflow's folder", quote(&written.value));
                let diagnostic = Diagnostic::error(Code::PathLeaves, message).at(&written.span, reason);
                self.sink.push(diagnostic.help("name it relative to the folder that the workflow lies in"));
                return None;
            }
        };
        if !self.seen.insert(path.clone()) {
            return Some(path);
        }
        let bytes = match self.files.asset(&path) {
            Ok(bytes) => bytes,
            Err(reason) => {
                let message = format!("{} cannot be read: {}", quote(&path), sentence(&reason));
                let diagnostic = Diagnostic::error(Code::MissingFile, message).at(&written.span, "named here");
                self.sink.push(diagnostic.help("paths are relative to the folder that the workflow lies in"));
                return None;
            }
        };
        self.bytes = self.bytes.saturating_add(bytes.len());
        let too_large = if bytes.len() > limits::ASSET_BYTES {
            Some(format!("{} has {}; {} are allowed", quote(&path), count(bytes.len(), "byte"), limits::ASSET_BYTES))
        } else if self.bytes > limits::ASSETS_BYTES {
            Some(format!("the files of the workflow have more than {} bytes together", limits::ASSETS_BYTES))
        } else if self.assets.len() >= limits::ASSETS {
            Some(format!("the workflow names more than {} files", limits::ASSETS))
        } else {
            None
        };
        if let Some(message) = too_large {
            let diagnostic = Diagnostic::error(Code::OutOfLimits, message).at(&written.span, "too much");
            self.sink.push(diagnostic.help("for larger files declare an input of type `File`"));
            return None;
        }
        self.assets.insert(path.clone(), bytes);
        Some(path)
    }

    fn script(&mut self, written: &Spanned<String>) {
        let Some(path) = self.load(written) else { return };
        if !self.scripts.insert(path.clone()) {
            return;
        }
        let shown = quote(&path);
        let text = match self.text(&path) {
            Some(Ok(text)) => text.to_owned(),
            Some(Err(message)) => return self.wrong(Code::BadScript, message, written),
            None => return,
        };
        if text.trim().is_empty() {
            return self.wrong(Code::BadScript, format!("{shown} is empty"), written);
        }
        if let Some(at) = text.find("${{") {
            let line = 1 + text[..at].matches('\n').count();
            let message = format!("an expression stands in line {line} of {shown}");
            let diagnostic = Diagnostic::error(Code::Splice, message)
                .at(&written.span, "nothing is ever spliced into a script")
                .help("pass the value by `args` and read it as \"$1\", or by `env` and read it as \"$NAME\"");
            self.sink.push(diagnostic);
        }
    }

    /// The text of a file that was loaded; an error says why it is none.
    fn text(&self, path: &str) -> Option<Result<&str, String>> {
        let shown = quote(path);
        Some(match std::str::from_utf8(self.assets.get(path)?) {
            Err(error) => Err(format!("{shown} is not UTF-8: byte {} is wrong", error.valid_up_to())),
            Ok(text) => match text.find('\0') {
                Some(at) => Err(format!("{shown} has a NUL byte in it, at byte {at}")),
                None => Ok(text),
            },
        })
    }

    fn wrong(&mut self, code: Code, message: String, written: &Spanned<String>) {
        self.sink.push(Diagnostic::error(code, message).at(&written.span, "named here"));
    }

    /// A Jinja template: what is wrong in it is shown where it stands.
    fn template(&mut self, written: &Spanned<String>, vars: &[(&str, Range<usize>)]) {
        let Some(path) = self.load(written) else { return };
        let text = match self.text(&path) {
            Some(Ok(text)) => text.to_owned(),
            Some(Err(message)) => return self.wrong(Code::BadTemplate, message, written),
            None => return,
        };
        let names: Vec<&str> = vars.iter().map(|(name, _)| *name).collect();
        let source = Arc::new(Source { name: path.clone(), text });
        match jinja::check(&source.text, &names) {
            Ok(unused) => {
                for (name, span) in vars.iter().filter(|(name, _)| unused.contains(name)) {
                    let message = format!("{} does not use {}", quote(&path), quote(name));
                    self.sink.push(Diagnostic::warning(Code::UnusedVar, message).at(span, "giving it has no effect"));
                }
            }
            Err(wrong) => {
                for wrong in wrong {
                    let diagnostic = match wrong.what {
                        What::Syntax(said) => {
                            let message = format!("the template {} cannot be read: {said}", quote(&path));
                            Diagnostic::error(Code::BadTemplate, message).inside(&source, &wrong.range, "here")
                        }
                        What::Unknown(name) => {
                            let nearest = self.sink.nearest(&name, names.iter().copied());
                            let message = format!(
                                "the template {} names {}, which is not given to it",
                                quote(&path),
                                quote(&name)
                            );
                            Diagnostic::error(Code::UnknownVar, message)
                                .inside(&source, &wrong.range, "not one of its `vars`")
                                .helps(nearest.map(|nearest| format!("did you mean `{nearest}`?")))
                                .help(format!(
                                    "a template sees its `vars` only: `vars: {{ \"{}\": \"${{{{ … }}}}\" }}`",
                                    crate::source::plain(&name)
                                ))
                        }
                    };
                    self.sink.push(diagnostic.at(&written.span, "used here"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_form_and_stays_inside() {
        assert_eq!(normal_path("./scripts//a.sh").as_deref(), Ok("scripts/a.sh"));
        for out in ["../a", "a/../../b", "a/../b", "/etc/passwd", "", ".", "a\\b"] {
            assert!(normal_path(out).is_err(), "{out}");
        }
    }
}
