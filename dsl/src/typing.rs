//! The types of expressions.
//!
//! [`Typing::expr`] turns what is written into an [`Expr`] and proves that it can be evaluated: names exist, operands fit,
//! what may be absent is not taken for granted, and no secret gets where it could be seen. An expression in which
//! something is wrong has the type [`Shape::Unknown`], about which nothing more is said.

mod calls;
mod operators;
mod references;

use std::collections::HashSet;
use std::ops::Range;

use crate::code::Code;
use crate::declared::Declared;
use crate::diagnostic::{Diagnostic, Sink};
use crate::expr::{Binary, Expr, Part, Template, Unary};
use crate::expression::{PartSyntax, Syntax, SyntaxKind, TemplateSyntax};
use crate::source::quote;
use crate::types::Type;
use crate::value::Value;

/// A checked expression with its type.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    pub(crate) expr: Expr,
    pub(crate) shape: Shape,
    /// It may be `none`.
    pub(crate) optional: bool,
    /// It may be `none` elsewhere, but is known to be there here.
    pub(crate) narrowed: bool,
    /// It is computed from a secret, which is declared there.
    pub(crate) secret: Option<Range<usize>>,
    /// Whether it is there depends on the value of a secret, which is declared there. That a secret itself is there is public.
    pub(crate) presence: Option<Range<usize>>,
    /// Its value may be a secret itself, which is known by name only, and not just computed from one.
    pub(crate) sealed: bool,
}

/// The type of an expression, optionality aside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Of(Type),
    /// The literal `none`.
    None,
    /// Something is wrong in it, and that is reported.
    Unknown,
}

/// Types that can be used alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Text,
    Whole,
    Float,
    Bool,
    Duration,
    File,
    List,
    Map,
    Record,
}

/// Which class a type is of.
pub(crate) fn class(ty: &Type) -> Class {
    match ty {
        Type::Text | Type::Url | Type::Address | Type::Image | Type::Choice(_) => Class::Text,
        Type::Int | Type::Port | Type::Bytes => Class::Whole,
        Type::Float => Class::Float,
        Type::Bool => Class::Bool,
        Type::Duration => Class::Duration,
        Type::File => Class::File,
        Type::List(_) => Class::List,
        Type::Map(_) => Class::Map,
        Type::Record(_) => Class::Record,
    }
}

/// Where an expression stands, which decides what it can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a step, given by its index in the file.
    Step { index: usize, undo: bool },
    /// In the `each` of a step, given by its index: it is computed once for all nodes.
    Each { index: usize },
    /// In an output of the workflow.
    Output,
    /// In a value that is fixed when the plan is made.
    Fixed,
}

/// What was named, to find out what was not.
#[derive(Debug, Default)]
pub(crate) struct Used {
    pub(crate) inputs: HashSet<String>,
    pub(crate) roles: HashSet<String>,
    pub(crate) lets: HashSet<String>,
    /// How much was written out of named values.
    pub(crate) parts: usize,
    /// How deep inside an expression the one is that is checked now.
    pub(crate) depth: usize,
}

/// What checking an expression needs.
pub(crate) struct Typing<'a> {
    pub(crate) declared: &'a Declared,
    /// Where each step of the file stands in the plan.
    pub(crate) position: &'a [usize],
    pub(crate) place: Place,
    /// Paths that are known to be present here, such as `inputs.proxy`.
    pub(crate) facts: Vec<String>,
    /// The element that `each` is, in a step that has one.
    pub(crate) each: Option<Typed>,
    /// It is a condition, which can ask first whether something is there.
    pub(crate) condition: bool,
    pub(crate) used: &'a mut Used,
    pub(crate) sink: &'a mut Sink,
}

impl Typed {
    pub(crate) fn new(expr: Expr, ty: Type) -> Typed {
        Typed {
            expr,
            shape: Shape::Of(ty),
            optional: false,
            narrowed: false,
            secret: None,
            presence: None,
            sealed: false,
        }
    }

    pub(crate) fn unknown() -> Typed {
        Typed {
            expr: Expr::Literal(Value::None),
            shape: Shape::Unknown,
            optional: false,
            narrowed: false,
            secret: None,
            presence: None,
            sealed: false,
        }
    }

    fn class(&self) -> Option<Class> {
        match &self.shape {
            Shape::Of(ty) => Some(class(ty)),
            Shape::None | Shape::Unknown => None,
        }
    }

    fn is_unknown(&self) -> bool {
        self.shape == Shape::Unknown
    }

    /// The type as messages show it.
    pub(crate) fn show(&self) -> String {
        match &self.shape {
            Shape::Of(ty) if self.optional => format!("an optional {ty}"),
            Shape::Of(ty) => format!("{ty}"),
            Shape::None => "none".to_owned(),
            Shape::Unknown => "unknown".to_owned(),
        }
    }
}

impl<'a> Typing<'a> {
    pub(crate) fn new(
        declared: &'a Declared,
        position: &'a [usize],
        place: Place,
        used: &'a mut Used,
        sink: &'a mut Sink,
    ) -> Typing<'a> {
        Typing { declared, position, place, facts: Vec::new(), each: None, condition: false, used, sink }
    }

    fn error(&mut self, code: Code, message: impl Into<String>, span: &Range<usize>, label: impl Into<String>) {
        self.sink.push(Diagnostic::error(code, message).at(span, label));
    }

    /// Whether this stands in a step of `finally`.
    fn is_final(&self) -> bool {
        match self.place {
            Place::Step { index, .. } | Place::Each { index } => self.declared.steps[index].finally.is_some(),
            Place::Output | Place::Fixed => false,
        }
    }

    /// Whether the step in which this stands waits for the end of another one only, by `Settled`.
    fn waits_for_an_end(&self, of: &str) -> bool {
        let other = self.declared.step_ids.get(of);
        match self.place {
            Place::Step { index, .. } | Place::Each { index } => {
                other.is_some_and(|other| self.declared.accepts_failure(index, *other))
            }
            Place::Output | Place::Fixed => false,
        }
    }

    /// Checks an expression.
    pub(crate) fn expr(&mut self, syntax: &Syntax) -> Typed {
        self.used.depth += 1;
        let typed = self.kind_of_expr(syntax);
        self.used.depth -= 1;
        typed
    }

    fn kind_of_expr(&mut self, syntax: &Syntax) -> Typed {
        let literal = |value: Value, ty: Type| Typed::new(Expr::Literal(value), ty);
        match &syntax.kind {
            SyntaxKind::None => Typed {
                expr: Expr::Literal(Value::None),
                shape: Shape::None,
                optional: true,
                narrowed: false,
                secret: None,
                presence: None,
                sealed: false,
            },
            SyntaxKind::Bool(b) => literal(Value::Bool(*b), Type::Bool),
            SyntaxKind::Int(i) => literal(Value::Int(*i), Type::Int),
            SyntaxKind::Float(x) => literal(Value::Float(*x), Type::Float),
            SyntaxKind::Text(text) => literal(Value::Text(text.clone()), Type::Text),
            SyntaxKind::Name(_) | SyntaxKind::Field(..) => self.reference(syntax),
            SyntaxKind::Index(base, index) => self.index(base, index),
            SyntaxKind::Unary(op, operand) => self.unary(*op, operand),
            SyntaxKind::Binary(op, left, right) => self.binary(*op, left, right, syntax),
            SyntaxKind::Coalesce(value, fallback) => self.coalesce(value, fallback),
            SyntaxKind::If(condition, yes, no) => self.choice(condition, yes, no),
            SyntaxKind::Call(name, arguments) => self.call(name, arguments, syntax),
            SyntaxKind::List(list) => self.list(list),
        }
    }

    /// Checks an expression whose value is needed: what may be absent is refused.
    pub(crate) fn present(&mut self, syntax: &Syntax) -> Typed {
        let typed = self.expr(syntax);
        self.require_present(typed, syntax)
    }

    fn require_present(&mut self, typed: Typed, syntax: &Syntax) -> Typed {
        if typed.is_unknown() || !typed.optional {
            return typed;
        }
        let path = syntax.path_text();
        let what = path.as_deref().map_or_else(|| "this".to_owned(), quote);
        let fallback = match typed.class() {
            Some(Class::Whole | Class::Float) => "0",
            Some(Class::Bool) => "false",
            Some(Class::Duration) => "'5m'",
            Some(Class::List) => "[]",
            _ => "'fallback'",
        };
        let (message, label) = match (&typed.shape, syntax.path().as_deref()) {
            (Shape::None, _) => ("a value is needed, not `none`".to_owned(), "no value".to_owned()),
            (_, Some([root, step, ..])) if root.value == "steps" => (
                format!("a value is needed, but {what} may be absent"),
                match self.is_final() || self.waits_for_an_end(step.value) {
                    true => format!("step `{}` may not have succeeded, and then puts nothing out", step.value),
                    false => format!("step `{}` may be skipped, and then puts nothing out", step.value),
                },
            ),
            _ => (format!("a value is needed, but {what} may be absent"), "may be absent".to_owned()),
        };
        let mut diagnostic = Diagnostic::error(Code::MayBeAbsent, message).at(&syntax.span, label);
        if let (Some(path), Shape::Of(_)) = (path, &typed.shape) {
            diagnostic = diagnostic.help(format!("say what it falls back to: `{path} ?? {fallback}`"));
            if self.condition {
                diagnostic = diagnostic.help(format!("or ask first whether it is there: `{path} != none && …`"));
            } else if let Place::Step { .. } = self.place {
                diagnostic =
                    diagnostic.help(format!("or run the step only where it is there: `when: \"{path} != none\"`"));
            }
        } else if let Shape::Of(_) = typed.shape {
            diagnostic = diagnostic.help(format!("say what it falls back to: `… ?? {fallback}`"));
        }
        self.sink.push(diagnostic);
        Typed::unknown()
    }

    /// Checks a condition: a `Bool` that everybody may see.
    pub(crate) fn condition(&mut self, syntax: &Syntax) -> Option<Expr> {
        self.condition = true;
        let typed = self.present(syntax);
        self.condition = false;
        let typed = self.public(typed, &syntax.span, "decide whether a step runs");
        match typed.class() {
            Some(Class::Bool) => Some(typed.expr),
            None => None,
            Some(_) => {
                let message = format!("`when` is {}, but Bool is needed", typed.show());
                let diagnostic =
                    Diagnostic::error(Code::TypeMismatch, message).at(&syntax.span, "neither true nor false");
                let example = syntax.path_text().map(|path| format!("compare it: `{path} == …`"));
                self.sink.push(diagnostic.helps(example));
                None
            }
        }
    }

    /// Refuses a secret where it would be seen.
    pub(crate) fn public(&mut self, typed: Typed, span: &Range<usize>, what: &str) -> Typed {
        let Some(declared) = &typed.secret else { return typed };
        let diagnostic = Diagnostic::error(Code::SecretLeaks, format!("a secret cannot {what}"))
            .at(span, "computed from a secret")
            .at(declared, "declared secret here")
            .help("secrets may go into `env` and `stdin`; only whether one is there is public: `x != none`");
        self.sink.push(diagnostic);
        Typed::unknown()
    }

    /// Checks an expression whose type is given. `what` names the field.
    pub(crate) fn of_class(&mut self, syntax: &Syntax, classes: &[Class], needed: &str, what: &str) -> Option<Typed> {
        let typed = self.present(syntax);
        let typed = self.public(typed, &syntax.span, &format!("be the value of `{what}`"));
        let found = typed.class()?;
        if classes.contains(&found) {
            return Some(typed);
        }
        let message = format!("`{what}` is {}, but {needed} is needed", typed.show());
        self.error(Code::TypeMismatch, message, &syntax.span, format!("not {needed}"));
        None
    }

    /// Checks a text with expressions in it. Where it must be public, `public` says what it would be used for.
    pub(crate) fn template(&mut self, syntax: &TemplateSyntax, public: Option<&str>) -> Template {
        let mut template = Template { parts: Vec::new(), secret: false };
        for part in &syntax.parts {
            let part = match part {
                PartSyntax::Text(text) => Part::Text(text.clone()),
                PartSyntax::Expr(syntax) => {
                    let typed = self.textual(syntax);
                    let typed = match public {
                        Some(what) => self.public(typed, &syntax.span, what),
                        None => typed,
                    };
                    template.secret |= typed.secret.is_some();
                    Part::Expr(typed.expr)
                }
            };
            template.parts.push(part);
        }
        template
    }

    /// Checks an expression that becomes a part of a text.
    fn textual(&mut self, syntax: &Syntax) -> Typed {
        let typed = self.present(syntax);
        match typed.class() {
            Some(Class::List | Class::Map | Class::Record) => {
                let message = format!("{} cannot be put into a text", typed.show());
                let help = match typed.class() {
                    Some(Class::List) => "join its elements: `join(…, ',')`",
                    Some(Class::Map) => "take the value of one host or element: `…['name'] ?? 'fallback'`",
                    _ => "use one of its fields",
                };
                self.sink
                    .push(Diagnostic::error(Code::NoText, message).at(&syntax.span, "has no text form").help(help));
                Typed::unknown()
            }
            _ => typed,
        }
    }
}

/// The paths that are present where the expression is `truth`.
pub(crate) fn facts(syntax: &Syntax, truth: bool, declared: &Declared) -> Vec<String> {
    match (&syntax.kind, truth) {
        (SyntaxKind::Binary(Binary::And, a, b), true) | (SyntaxKind::Binary(Binary::Or, a, b), false) => {
            let mut all = facts(a, truth, declared);
            all.extend(facts(b, truth, declared));
            all
        }
        (SyntaxKind::Binary(Binary::NotEqual, a, b), true) | (SyntaxKind::Binary(Binary::Equal, a, b), false) => {
            match (a.kind.is_none(), b.kind.is_none()) {
                (false, true) => present(a, declared),
                (true, false) => present(b, declared),
                _ => Vec::new(),
            }
        }
        (SyntaxKind::Unary(Unary::Not, operand), truth) => facts(operand, !truth, declared),
        (SyntaxKind::Field(..), truth) => {
            expression_of(syntax, declared).map_or_else(Vec::new, |syntax| facts(syntax, truth, declared))
        }
        _ => Vec::new(),
    }
}

/// The paths that are present where the value at this one is.
fn present(syntax: &Syntax, declared: &Declared) -> Vec<String> {
    let Some(path) = syntax.path() else { return Vec::new() };
    // What is present is in something that is present.
    let mut all: Vec<String> =
        (2..=path.len()).map(|n| path[..n].iter().map(|name| name.value).collect::<Vec<_>>().join(".")).collect();
    if let Some(syntax) = expression_of(syntax, declared) {
        all.extend(present(syntax, declared));
    }
    all
}

/// The expression of `let.name`.
fn expression_of<'d>(syntax: &Syntax, declared: &'d Declared) -> Option<&'d Syntax> {
    match syntax.path()?.as_slice() {
        [root, name] if root.value == "let" => declared.lets.get(name.value)?.syntax.as_ref(),
        _ => None,
    }
}
