//! The shape of a RON file, with the place of everything in it.
//!
//! ron itself stops at the first error and keeps no places. So its brackets and separators are found here, which allows to
//! go on behind an error and to point at every value; what a literal *means* is read by ron, and a file that this module
//! takes for RON is shown to ron as a whole ([`judge`]), whose verdict counts.

use serde::de::IgnoredAny;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::{limits, source};

mod lexer;
mod node;
mod text;
mod tree;

pub(crate) use node::{Kind, Node, Struct};
pub(crate) use text::Text;

/// Reads a source into a tree. `None` where nothing of it could be read; errors are in the sink.
pub(crate) fn parse(source: &str, sink: &mut Sink) -> Option<Node> {
    if source.len() > limits::SOURCE_BYTES {
        let message = format!("the file has {} bytes; {} are allowed", source.len(), limits::SOURCE_BYTES);
        sink.push(
            Diagnostic::error(Code::TooLarge, message).help("scripts and large texts belong into files of their own"),
        );
        return None;
    }
    let lexed = lexer::lex(source, sink);
    tree::build(source, lexed, sink)
}

/// Whether a file, or the beginning of one, is meant to be a workflow: its first value is `Workflow(…)`, right or wrong.
pub fn is_workflow(text: &str) -> bool {
    let tokens = lexer::lex(text, &mut Sink::default()).tokens;
    let [first, second, ..] = tokens.as_slice() else { return false };
    text.get(first.span.clone()) == Some("Workflow") && text.get(second.span.clone()) == Some("(")
}

/// Lets ron read the whole file; what it refuses is refused. Asked last, when nothing else is wrong: then what ron says is
/// news.
pub(crate) fn judge(source: &str, sink: &mut Sink) {
    let text = source.strip_prefix('\u{feff}').unwrap_or(source);
    let skipped = source.len() - text.len();
    if let Err(error) = options().from_str::<IgnoredAny>(text) {
        let start = skipped + text::offset(text, error.span.start.line, error.span.start.col);
        let end = skipped + text::offset(text, error.span.end.line, error.span.end.col);
        let message = source::sentence(&error.code.to_string());
        sink.push(Diagnostic::error(Code::Syntax, "this is not RON").at(&(start..end.max(start + 1)), message));
    }
}

/// How ron is asked: a value may stand where an optional one is expected, and nesting is limited.
pub(crate) fn options() -> ron::Options {
    ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_is_told_from_other_files() {
        assert!(is_workflow("\u{feff}// Words.\n/* More. */ #![schema = \"x\"]\nWorkflow (\n name: "));
        for other in
            ["", "Inventory(hosts: {})", "(name: \"a\")", "Workflow", "\"Workflow\"(", "// Workflow(", "[Workflow()]"]
        {
            assert!(!is_workflow(other), "{other}");
        }
    }

    #[test]
    fn the_judge_points_at_what_it_refuses() {
        let mut sink = Sink::default();
        judge("Workflow(\n    name: \"é\", ]\n)", &mut sink);
        let diagnostics = sink.into_sorted();
        assert_eq!(diagnostics[0].code, Code::Syntax);
        assert_eq!(diagnostics[0].labels[0].range, 26..27);
    }
}
