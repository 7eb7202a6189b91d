//! The scripts and files that belong to a workflow: where they may lie, and what may be in them.

use std::collections::{BTreeMap, HashSet};

use crate::code::Code;
use crate::declared::{ActionKind, Declared};
use crate::diagnostic::{Diagnostic, Sink};
use crate::limits;
use crate::source::{Files, Spanned, count, quote, sentence};

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
            match &action.kind {
                ActionKind::Script { file: Some(file), .. } => loader.script(file),
                ActionKind::Upload { from: Some(from), .. } => {
                    if let Some(path) = from.literal() {
                        loader.load(&Spanned::new(path, from.span.clone()));
                    }
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
        let Some(bytes) = self.assets.get(&path) else { return };
        let shown = quote(&path);
        let mut wrong = |message: String| {
            self.sink.push(Diagnostic::error(Code::BadScript, message).at(&written.span, "named here"));
        };
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return wrong(format!("{shown} is not UTF-8: byte {} is wrong", error.valid_up_to())),
        };
        if let Some(at) = text.find('\0') {
            return wrong(format!("{shown} has a NUL byte in it, at byte {at}"));
        }
        if text.trim().is_empty() {
            return wrong(format!("{shown} is empty"));
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
