//! What is done with whole hosts and between them, as it is declared.

use super::Scalar;
use crate::expression::TemplateSyntax;
use crate::source::Spanned;

/// `Download(…)`
#[derive(Debug, Clone)]
pub(crate) struct DownloadDecl {
    pub(crate) from: Option<TemplateSyntax>,
    pub(crate) to: Option<TemplateSyntax>,
    pub(crate) mode: Option<Scalar<u32>>,
}

/// `Copy(…)`
#[derive(Debug, Clone)]
pub(crate) struct CopyDecl {
    pub(crate) from_role: Option<Spanned<String>>,
    pub(crate) from: Option<TemplateSyntax>,
    /// The role of the step, where `to` names it.
    pub(crate) to_role: Option<Spanned<String>>,
    pub(crate) to: Option<TemplateSyntax>,
    pub(crate) mode: Option<Scalar<u32>>,
    pub(crate) owner: Option<TemplateSyntax>,
    pub(crate) group: Option<TemplateSyntax>,
    pub(crate) backup: bool,
}

impl CopyDecl {
    /// All texts in it that may have expressions.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &TemplateSyntax> {
        self.from.iter().chain(&self.to).chain(&self.owner).chain(&self.group)
    }
}
