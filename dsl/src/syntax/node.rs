//! The tree of a file: values with their places, their meaning not yet known.

use std::ops::Range;

use super::text::Text;
use crate::source::Spanned;

/// A value of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Where it stands; of something in brackets, all of it.
    pub(crate) span: Range<usize>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A text.
    Text(Text),
    /// A number, not yet read.
    Number,
    /// `true` or `false`.
    Bool(bool),
    /// A word alone, such as `One`.
    Word(String),
    /// `None`: as if the field were not there.
    Absent,
    /// `Name(…)` or `(…)`.
    Struct(Struct),
    /// `[…]`.
    List(Vec<Node>),
    /// `{…}`.
    Map(Vec<(Text, Node)>),
    /// Something that could not be read; it is reported.
    Broken,
}

/// `Name(…)` or `(…)`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Struct {
    /// The word before the bracket.
    pub(crate) name: Option<Spanned<String>>,
    /// Values without a name.
    pub(crate) positional: Vec<Node>,
    /// Values with a name.
    pub(crate) fields: Vec<(Spanned<String>, Node)>,
    /// Something in it could not be read, so a field may be missing that is there.
    pub(crate) broken: bool,
}

impl Node {
    /// A place that is short enough to be underlined: the word or bracket that a longer value begins with.
    pub(crate) fn head(&self) -> Range<usize> {
        match &self.kind {
            Kind::Struct(Struct { name: Some(name), .. }) => name.span.clone(),
            Kind::Struct(_) | Kind::List(_) | Kind::Map(_) => self.span.start..self.span.start + 1,
            _ => self.span.clone(),
        }
    }

    /// What it is, for people.
    pub(crate) fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Text(_) => "a text",
            Kind::Number => "a number",
            Kind::Bool(_) => "a boolean",
            Kind::Word(_) => "a word",
            Kind::Absent => "`None`",
            Kind::Struct(_) => "a struct",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Broken => "something unreadable",
        }
    }
}
