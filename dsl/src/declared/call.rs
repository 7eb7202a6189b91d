//! `Call(…)` as it is declared.

use std::sync::Arc;

use super::BatchDecl;
use crate::expression::TemplateSyntax;
use crate::source::Spanned;
use crate::workflow::Workflow;

/// A workflow that is written out in another one.
#[derive(Debug, Clone)]
pub(crate) struct CallDecl {
    /// Which, as it is written.
    pub(crate) workflow: Option<Spanned<String>>,
    /// Values for its inputs.
    pub(crate) with: Vec<(Spanned<String>, WithDecl)>,
    /// Its roles, and those of the caller that fill them.
    pub(crate) roles: Vec<(Spanned<String>, Spanned<String>)>,
    pub(crate) batch: Option<BatchDecl>,
    /// The workflow itself, once it was found and is without errors.
    pub(crate) callee: Option<Arc<Workflow>>,
}

/// A value for an input.
#[derive(Debug, Clone)]
pub(crate) enum WithDecl {
    /// A text, perhaps with expressions in it.
    Text(TemplateSyntax),
    /// A number, `true` or `false`, as it is written.
    Word(Spanned<String>),
}
