//! Expressions as they are written: from text to a tree with places, not yet knowing what the names mean.

mod lexer;
mod parser;
mod template;

use std::ops::Range;

use crate::expr::{Binary, Unary};
use crate::source::Spanned;

pub(crate) use template::{PartSyntax, TemplateSyntax, expression, foreign, template};

/// An expression as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Syntax {
    pub(crate) kind: SyntaxKind,
    /// Where it stands in the workflow.
    pub(crate) span: Range<usize>,
    /// How many levels it has; never more than the limit, so that walking it is safe.
    pub(crate) depth: usize,
}

/// What kind of expression it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SyntaxKind {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// `inputs`, `steps`, …
    Name(String),
    Field(Box<Syntax>, Spanned<String>),
    Index(Box<Syntax>, Box<Syntax>),
    Unary(Unary, Box<Syntax>),
    Binary(Binary, Box<Syntax>, Box<Syntax>),
    Coalesce(Box<Syntax>, Box<Syntax>),
    If(Box<Syntax>, Box<Syntax>, Box<Syntax>),
    Call(Spanned<String>, Vec<Syntax>),
    List(Vec<Syntax>),
}

impl Syntax {
    /// `inputs.proxy.http` as its names; `None` for anything else.
    pub(crate) fn path(&self) -> Option<Vec<Spanned<&str>>> {
        let (mut names, mut at) = (Vec::new(), self);
        loop {
            match &at.kind {
                SyntaxKind::Field(base, name) => {
                    names.push(Spanned::new(name.value.as_str(), name.span.clone()));
                    at = base;
                }
                SyntaxKind::Name(name) => {
                    names.push(Spanned::new(name.as_str(), at.span.clone()));
                    names.reverse();
                    return Some(names);
                }
                _ => return None,
            }
        }
    }

    /// [`Syntax::path`] as one text, `inputs.proxy.http`.
    pub(crate) fn path_text(&self) -> Option<String> {
        let names: Vec<&str> = self.path()?.into_iter().map(|name| name.value).collect();
        Some(names.join("."))
    }

    /// Calls `visit` with every expression in this one, and this one.
    pub(crate) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Syntax)) {
        visit(self);
        self.kind.children(&mut |child| child.walk(visit));
    }
}

impl SyntaxKind {
    /// Calls `see` with the expressions right below.
    pub(crate) fn children<'a>(&'a self, see: &mut dyn FnMut(&'a Syntax)) {
        match self {
            SyntaxKind::None
            | SyntaxKind::Bool(_)
            | SyntaxKind::Int(_)
            | SyntaxKind::Float(_)
            | SyntaxKind::Text(_)
            | SyntaxKind::Name(_) => {}
            SyntaxKind::Field(a, _) | SyntaxKind::Unary(_, a) => see(a),
            SyntaxKind::Index(a, b) | SyntaxKind::Binary(_, a, b) | SyntaxKind::Coalesce(a, b) => {
                see(a);
                see(b);
            }
            SyntaxKind::If(a, b, c) => [a, b, c].into_iter().for_each(|x| see(x)),
            SyntaxKind::Call(_, list) | SyntaxKind::List(list) => list.iter().for_each(see),
        }
    }
}
