//! Diagnostics: what is wrong, where, and what to do about it.
//!
//! Every message that the compiler has for a person is one of these. They are data; [`Diagnostic::render`] shows one in
//! the manner of rustc, [`Diagnostic::to_json`] for programs. No diagnostic ever holds the text of a secret (I8).

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::code::Code;
use crate::excerpt::{Excerpt, excerpts, position};
use crate::limits;
use crate::source::Source;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can be run.
    Error,
    /// It can be run, but is hardly meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A place in the source, and what it has to do with the matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Bytes of the source.
    pub range: Range<usize>,
    /// A few words; may be empty.
    pub text: String,
}

/// One message of the compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of message; `anneal explain` knows more about each.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where; the first is the primary one. Empty where there is no place to point to.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub helps: Vec<String>,
    /// Where in another file of the workflow, such as a template; the labels then say where that is named.
    pub inside: Option<Box<Inside>>,
}

/// A place in another file than the workflow's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// The file; its name is its path in the workflow's folder.
    pub file: Arc<Source>,
    /// Where in it.
    pub label: Label,
}

impl Diagnostic {
    pub(crate) fn error(code: Code, message: impl Into<String>) -> Diagnostic {
        let message = printable(message.into());
        Diagnostic { code, severity: Severity::Error, message, labels: Vec::new(), helps: Vec::new(), inside: None }
    }

    pub(crate) fn warning(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message) }
    }

    pub(crate) fn at(mut self, range: &Range<usize>, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { range: range.clone(), text: printable(text.into()) });
        self
    }

    /// The matter is in another file.
    pub(crate) fn inside(mut self, file: &Arc<Source>, range: &Range<usize>, text: &str) -> Diagnostic {
        let label = Label { range: range.clone(), text: printable(text.to_owned()) };
        self.inside = Some(Box::new(Inside { file: Arc::clone(file), label }));
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.helps.push(printable(text.into()));
        self
    }

    pub(crate) fn helps(mut self, text: Option<impl Into<String>>) -> Diagnostic {
        self.helps.extend(text.map(|text| printable(text.into())));
        self
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The message as people read it, without a line end at the end. `source` is the one that was checked.
    pub fn render(&self, source: &Source, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let inside = self.inside.as_ref().map(|inside| (&*inside.file, std::slice::from_ref(&inside.label)));
        let shown: Vec<(Excerpt, &[Label])> = inside
            .into_iter()
            .chain([(source, self.labels.as_slice())])
            .flat_map(|(source, labels)| {
                let places: Vec<_> = labels.iter().map(|label| within(&source.text, &label.range)).collect();
                excerpts(source, &places).into_iter().map(move |excerpt| (excerpt, labels))
            })
            .collect();
        let snippets = shown.iter().map(|(excerpt, labels)| snippet(excerpt, labels));
        let mut group = level.primary_title(self.message.as_str()).id(self.code.id()).elements(snippets);
        for help in &self.helps {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let mut rendered = renderer.render(&[group]);
        // Behind the message, which is one line.
        let mut done = rendered.find('\n').unwrap_or(rendered.len());
        for (excerpt, _) in &shown {
            done = excerpt.put_column_right(&mut rendered, done);
        }
        rendered
    }

    /// The same facts for programs: `start` and `end` are bytes of the file, lines and columns count from 1, columns in
    /// characters. `span` is the primary place, `null` where there is none.
    pub fn to_json(&self, source: &Source) -> serde_json::Value {
        let place = |source: &Source, label: &Label| {
            let range = within(&source.text, &label.range);
            let (line, column) = position(&source.text, range.start);
            let (end_line, end_column) = position(&source.text, range.end);
            serde_json::json!({
                "start": range.start, "end": range.end, "line": line, "column": column,
                "end_line": end_line, "end_column": end_column, "text": label.text,
            })
        };
        let labels: Vec<_> = self.labels.iter().map(|label| place(source, label)).collect();
        // The primary place once more, so that an editor need not know what labels are.
        let span = labels.first().map(|label| {
            let mut span = label.clone();
            span.as_object_mut().map(|fields| fields.remove("text"));
            span
        });
        let mut json = serde_json::json!({
            "code": self.code.id(), "severity": self.severity.as_str(), "message": self.message,
            "file": source.name, "span": span, "labels": labels, "helps": self.helps,
        });
        if let Some(inside) = &self.inside {
            let label = place(&inside.file, &inside.label);
            json["inside"] = serde_json::json!({ "file": inside.file.name, "label": label });
        }
        json
    }
}

/// An excerpt for the renderer, with the labels that are in it.
fn snippet<'a>(excerpt: &'a Excerpt, labels: &'a [Label]) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let snippet = Snippet::source(without_c1(&excerpt.text)).line_start(excerpt.line).path(excerpt.file());
    snippet.annotations(excerpt.places.iter().map(|(index, place)| {
        let kind = if *index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let words = labels.get(*index).map(|label| label.text.as_str()).filter(|text| !text.is_empty());
        kind.span(place.clone()).label(words)
    }))
}

/// The renderer shows control characters by signs, but knows only those of ASCII. The others have two bytes, like the dot
/// that is shown instead of them, so that places stay right.
fn without_c1(text: &str) -> Cow<'_, str> {
    let is_c1 = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    if text.contains(is_c1) { Cow::Owned(text.replace(is_c1, "·")) } else { Cow::Borrowed(text) }
}

/// A text without control characters: whatever a file holds, it cannot write to the terminal.
fn printable(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// The range, cut to what the text has, on borders of characters.
fn within(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start);
    let end = text.floor_char_boundary(range.end).max(start);
    start..end
}

/// Whether what is wrong follows from something that stands elsewhere in the file.
fn follows_from_others(code: Code) -> bool {
    use Code as C;
    matches!(
        code,
        C::DuplicateKey
            | C::UnknownField
            | C::UnknownStep
            | C::DuplicateStep
            | C::UnknownRole
            | C::Cycle
            | C::NeedsCompanion
            | C::NoEffect
            | C::Misplaced
            | C::GroupStuck
            | C::WaitsForFinally
            | C::OtherRole
            | C::Overwrites
            | C::NotRoot
            | C::UnknownReference
            | C::TypeMismatch
            | C::MayBeAbsent
            | C::NoText
            | C::NotOneHost
            | C::NotHere
            | C::NoKey
    )
}

/// Where diagnostics are gathered, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    /// Where the named value is read whose expression is checked now.
    within: Option<Range<usize>>,
    /// What stands where in the file is not known for sure.
    doubt: bool,
    /// How many names were compared with wrong ones.
    compared: Cell<usize>,
}

impl Sink {
    pub(crate) fn push(&mut self, mut diagnostic: Diagnostic) {
        if let Some(place) = self.within.as_ref().filter(|_| diagnostic.code.depends_on_place()) {
            diagnostic = diagnostic.at(place, "read here");
        }
        if diagnostic.is_error() {
            self.errors += 1;
        }
        if self.doubt && follows_from_others(diagnostic.code) {
            return;
        }
        // What several steps share, such as the `when` of their group, is said once.
        if self.diagnostics.contains(&diagnostic) {
            return;
        }
        if self.diagnostics.len() < limits::DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        } else if diagnostic.is_error()
            && let Some(warning) = self.diagnostics.iter_mut().find(|d| !d.is_error())
        {
            *warning = diagnostic;
        }
    }

    /// What follows is about the expression of a named value that is read at `place`, until [`Sink::leave`]. Gives whether it
    /// is not inside of another one.
    pub(crate) fn enter(&mut self, place: &Range<usize>) -> bool {
        let outermost = self.within.is_none();
        self.within.get_or_insert_with(|| place.clone());
        outermost
    }

    pub(crate) fn leave(&mut self, outermost: bool) {
        if outermost {
            self.within = None;
        }
    }

    /// Whether the expression of a named value is checked now.
    pub(crate) fn is_within(&self) -> bool {
        self.within.is_some()
    }

    /// From here on, what follows from something that stands elsewhere is not said: a bracket that closes another one than
    /// meant moves everything behind it, and a step without the field that could not be read is another step. There is a
    /// syntax error already; the rest is said when that is mended. Gives how it was before.
    pub(crate) fn doubt(&mut self, doubt: bool) -> bool {
        std::mem::replace(&mut self.doubt, doubt)
    }

    /// No more are kept: what is costly to word need not be worded.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= limits::DIAGNOSTICS
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether something could not be read as RON in this range, or at its end.
    pub(crate) fn has_syntax_error_in(&self, range: &Range<usize>) -> bool {
        let inside = |label: &Label| range.start <= label.range.start && label.range.start <= range.end;
        self.diagnostics.iter().any(|d| d.code == Code::Syntax && d.labels.first().is_some_and(inside))
    }

    /// All of them, in the order of their places.
    pub(crate) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|d| d.labels.first().map_or(usize::MAX, |label| label.range.start));
        self.diagnostics
    }

    /// The nearest name, unless nobody would read it, or so many were looked for that one more would take too long.
    pub(crate) fn nearest<'a>(&self, wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        if self.is_full() || self.compared.get() > limits::NAMES_COMPARED {
            return None;
        }
        let counted = names.into_iter().inspect(|_| self.compared.set(self.compared.get() + 1));
        crate::nearest::nearest(wrong, counted)
    }
}
