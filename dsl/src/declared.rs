//! A workflow as it is declared: read and spanned, its names not yet resolved.
//!
//! What could not be read is `None` or missing and has been reported, so later passes stay silent about it.

use std::collections::HashMap;
use std::ops::Range;

use crate::expression::{Syntax, TemplateSyntax};
use crate::kind::Kind;
use crate::plan::{Interrupted, OnFailure, Out, RetryOn};
use crate::source::Spanned;
use crate::value::Value;

/// A workflow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declared {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) about: Option<String>,
    pub(crate) inputs: Named<InputDecl>,
    pub(crate) roles: Named<RoleDecl>,
    pub(crate) steps: Vec<StepDecl>,
    pub(crate) outputs: Vec<(Spanned<String>, Option<TemplateSyntax>)>,
    /// Index of each step by its id.
    pub(crate) step_ids: HashMap<String, usize>,
}

/// Things with names, in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Named<T> {
    list: Vec<T>,
    by_name: HashMap<String, usize>,
}

impl<T> Default for Named<T> {
    fn default() -> Named<T> {
        Named { list: Vec::new(), by_name: HashMap::new() }
    }
}

impl<T> Named<T> {
    pub(crate) fn insert(&mut self, name: &str, item: T) {
        self.by_name.insert(name.to_owned(), self.list.len());
        self.list.push(item);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.by_name.get(name).and_then(|index| self.list.get(*index))
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.list.iter()
    }
}

/// An input, or a field of a record.
#[derive(Debug, Clone)]
pub(crate) struct InputDecl {
    pub(crate) name: Spanned<String>,
    /// The type; `None` where it could not be read.
    pub(crate) kind: Option<Kind>,
    pub(crate) default: Option<Value>,
    pub(crate) optional: bool,
    pub(crate) about: Option<String>,
    pub(crate) secret: bool,
}

/// A role.
#[derive(Debug, Clone)]
pub(crate) struct RoleDecl {
    pub(crate) name: Spanned<String>,
    /// How many hosts; `None` where it could not be read.
    pub(crate) kind: Option<RoleKind>,
}

/// How many hosts fill a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleKind {
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// Several.
    Many {
        /// At least so many.
        min: usize,
        /// At most so many.
        max: usize,
    },
}

/// A step.
#[derive(Debug, Clone)]
pub(crate) struct StepDecl {
    /// Its id; `None` where it has none or a wrong one.
    pub(crate) id: Option<Spanned<String>>,
    pub(crate) about: Option<String>,
    pub(crate) on: Option<Spanned<String>>,
    pub(crate) needs: Vec<Spanned<String>>,
    pub(crate) when: Option<Syntax>,
    pub(crate) probe: Option<ActionDecl>,
    pub(crate) action: Option<ActionDecl>,
    pub(crate) undo: Option<ActionDecl>,
    pub(crate) interrupted: Option<Spanned<Interrupted>>,
    pub(crate) retry: Option<RetryDecl>,
    pub(crate) timeout: Option<Scalar<u64>>,
    pub(crate) on_failure: OnFailure,
    pub(crate) out: Vec<(Spanned<String>, Option<Out>)>,
    pub(crate) env: Vec<(Spanned<String>, TemplateSyntax)>,
    pub(crate) stdin: Option<TemplateSyntax>,
    pub(crate) as_user: Option<TemplateSyntax>,
    /// It has a `when` or a `probe`, even one that could not be read, so it may be skipped.
    pub(crate) may_be_skipped: bool,
    /// It has a `probe`, even one that could not be read.
    pub(crate) has_probe: bool,
    /// It has an `undo`, even one that could not be read.
    pub(crate) has_undo: bool,
}

impl StepDecl {
    /// The id, as messages show it.
    pub(crate) fn title(&self) -> String {
        match &self.id {
            Some(id) => format!("step {}", crate::source::quote(&id.value)),
            None => "a step".to_owned(),
        }
    }
}

/// A value that stands in the file, or follows from inputs when the plan is made.
#[derive(Debug, Clone)]
pub(crate) enum Scalar<T> {
    Literal(Spanned<T>),
    Expr(Syntax),
}

impl<T> Scalar<T> {
    /// Where it stands.
    pub(crate) fn span(&self) -> Range<usize> {
        match self {
            Scalar::Literal(literal) => literal.span.clone(),
            Scalar::Expr(syntax) => syntax.span.clone(),
        }
    }
}

/// `retry: (…)`
#[derive(Debug, Clone)]
pub(crate) struct RetryDecl {
    pub(crate) times: Option<Scalar<u32>>,
    pub(crate) wait: Option<Scalar<u64>>,
    pub(crate) factor: Option<Scalar<f64>>,
    pub(crate) cap: Option<Scalar<u64>>,
    pub(crate) on: Option<Vec<RetryOn>>,
}

/// An action.
#[derive(Debug, Clone)]
pub(crate) struct ActionDecl {
    pub(crate) kind: ActionKind,
}

/// What an action does. A part that could not be read is `None` or left out.
#[derive(Debug, Clone)]
pub(crate) enum ActionKind {
    Run { argv: Vec<TemplateSyntax> },
    Shell { text: String },
    Script { file: Option<Spanned<String>>, args: Vec<TemplateSyntax> },
    Upload { from: Option<TemplateSyntax>, to: Option<TemplateSyntax>, mode: Option<Scalar<u32>> },
    Wait { until: Option<UntilDecl>, within: Option<Scalar<u64>>, every: Option<Scalar<u64>> },
}

impl ActionDecl {
    /// Whether it is a program: something with arguments, environment and output.
    pub(crate) fn is_command(&self) -> bool {
        matches!(self.kind, ActionKind::Run { .. } | ActionKind::Shell { .. } | ActionKind::Script { .. })
    }
}

/// What a `Wait` waits for.
#[derive(Debug, Clone)]
pub(crate) enum UntilDecl {
    Ssh,
    Tcp { port: Option<Scalar<u16>> },
    Http { url: Option<TemplateSyntax>, status: Vec<u16> },
}
