//! What is recorded of instances, and what roles take from records, as it is declared. A part that could not be read is `None` or
//! left out.

use std::ops::Range;

use crate::expression::{Syntax, TemplateSyntax};
use crate::source::Spanned;

/// `Record(…)`
#[derive(Debug, Clone)]
pub(crate) struct RecordDecl {
    pub(crate) of: OfDecl,
    pub(crate) kind: Option<TemplateSyntax>,
    pub(crate) values: Vec<(String, TemplateSyntax)>,
    pub(crate) members: Vec<Spanned<String>>,
}

/// Of what there is a record.
#[derive(Debug, Clone)]
pub(crate) struct OfDecl {
    pub(crate) wiring: bool,
    /// The name of the instance; where none is given, the one of the workflow.
    pub(crate) name: Option<TemplateSyntax>,
    /// The name was given, even if it could not be read.
    pub(crate) named: bool,
    /// Where the action stands.
    pub(crate) at: Range<usize>,
}

/// The records that fill a role.
#[derive(Debug, Clone)]
pub(crate) struct SourceDecl {
    pub(crate) from: FromDecl,
    /// The name of the instance.
    pub(crate) name: Option<TemplateSyntax>,
    /// The name as it is written.
    pub(crate) text: String,
}

/// Which of an instance's hosts.
#[derive(Debug, Clone)]
pub(crate) enum FromDecl {
    Wired,
    Members { role: Option<String> },
}

impl RecordDecl {
    /// Calls `visit` with every expression in it that may read another step.
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Syntax)) {
        let values = self.values.iter().map(|(_, value)| value);
        let texts = self.of.name.iter().chain(&self.kind).chain(values);
        texts.flat_map(TemplateSyntax::expressions).for_each(visit);
    }
}

impl SourceDecl {
    /// As a workflow declares it, without a `where`.
    pub(crate) fn declared(&self) -> (&'static str, Vec<String>) {
        match &self.from {
            FromDecl::Wired => ("Wired", vec![format!("registry: \"{}\"", self.text)]),
            FromDecl::Members { role } => {
                let role = role.iter().map(|role| format!("role: \"{role}\""));
                ("Members", [format!("instance: \"{}\"", self.text)].into_iter().chain(role).collect())
            }
        }
    }
}
