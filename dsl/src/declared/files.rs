//! Files that a step writes or changes, as they are declared.

use std::ops::Range;

use super::Scalar;
use crate::expression::{Syntax, TemplateSyntax};
use crate::source::Spanned;

/// A name, and where it stands.
pub(crate) type NameAt<'a> = (&'a str, Range<usize>);

/// One file of `WriteFile` or `WriteFiles`.
#[derive(Debug, Clone)]
pub(crate) struct FileDecl {
    pub(crate) to: Option<TemplateSyntax>,
    pub(crate) content: Option<ContentDecl>,
    pub(crate) mode: Option<Scalar<u32>>,
    pub(crate) owner: Option<TemplateSyntax>,
    pub(crate) group: Option<TemplateSyntax>,
    pub(crate) backup: bool,
}

/// What is in it.
#[derive(Debug, Clone)]
pub(crate) enum ContentDecl {
    Text(TemplateSyntax),
    Jinja { file: Spanned<String>, vars: Vec<(Spanned<String>, DatumDecl)> },
}

/// `PatchFile(…)`
#[derive(Debug, Clone)]
pub(crate) struct PatchDecl {
    pub(crate) path: Option<TemplateSyntax>,
    pub(crate) patch: Option<PatchKind>,
    pub(crate) create: bool,
}

/// What a file is patched with.
#[derive(Debug, Clone)]
pub(crate) enum PatchKind {
    Json(Vec<(Spanned<String>, DatumDecl)>),
    Toml(Vec<(Spanned<String>, DatumDecl)>),
    Yaml(Vec<(Spanned<String>, DatumDecl)>),
    Lines { ensure: Vec<TemplateSyntax>, absent: Vec<TemplateSyntax>, replace: Vec<(String, TemplateSyntax)> },
}

impl PatchDecl {
    /// Calls `visit` with every expression in it that may read another step.
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Syntax)) {
        self.path.iter().flat_map(TemplateSyntax::expressions).for_each(&mut *visit);
        match &self.patch {
            Some(PatchKind::Json(map) | PatchKind::Toml(map) | PatchKind::Yaml(map)) => {
                map.iter().for_each(|(_, datum)| datum.visit(visit))
            }
            Some(PatchKind::Lines { ensure, absent, replace }) => {
                let with = replace.iter().map(|(_, with)| with);
                let lines = ensure.iter().chain(absent).chain(with);
                lines.flat_map(TemplateSyntax::expressions).for_each(visit);
            }
            None => {}
        }
    }
}

/// A value that is written as data. A part that could not be read is left out; it is reported.
#[derive(Debug, Clone)]
pub(crate) enum DatumDecl {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(TemplateSyntax),
    List(Vec<DatumDecl>),
    Map(Vec<(Spanned<String>, DatumDecl)>),
}

impl FileDecl {
    /// Calls `visit` with every expression in it that may read another step.
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Syntax)) {
        let templates = self.to.iter().chain(&self.owner).chain(&self.group);
        templates.flat_map(TemplateSyntax::expressions).for_each(&mut *visit);
        match &self.content {
            Some(ContentDecl::Text(text)) => text.expressions().for_each(visit),
            Some(ContentDecl::Jinja { vars, .. }) => vars.iter().for_each(|(_, datum)| datum.visit(visit)),
            None => {}
        }
    }

    /// The template that it is made of, with the names of its `vars` and where they stand.
    pub(crate) fn jinja(&self) -> Option<(&Spanned<String>, Vec<NameAt<'_>>)> {
        let Some(ContentDecl::Jinja { file, vars }) = &self.content else { return None };
        Some((file, vars.iter().map(|(name, _)| (name.value.as_str(), name.span.clone())).collect()))
    }
}

impl DatumDecl {
    /// Calls `visit` with every expression in it.
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Syntax)) {
        match self {
            DatumDecl::Null | DatumDecl::Bool(_) | DatumDecl::Int(_) | DatumDecl::Float(_) => {}
            DatumDecl::Text(text) => text.expressions().for_each(visit),
            DatumDecl::List(list) => list.iter().for_each(|datum| datum.visit(visit)),
            DatumDecl::Map(map) => map.iter().for_each(|(_, datum)| datum.visit(visit)),
        }
    }
}
