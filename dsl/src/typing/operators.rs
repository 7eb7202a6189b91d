//! Operators.

use super::{Class, Shape, Typed, Typing, facts};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::expr::{Binary, Expr, Unary};
use crate::expression::{Syntax, SyntaxKind};
use crate::source::quote;
use crate::types::Type;
use crate::value::Value;
use crate::{duration, kind};

impl Typing<'_> {
    /// Checks `syntax` where `facts` hold in addition.
    fn expr_with(&mut self, syntax: &Syntax, facts: Vec<String>) -> Typed {
        let known = self.facts.len();
        self.facts.extend(facts);
        let typed = self.expr(syntax);
        self.facts.truncate(known);
        typed
    }

    /// Refuses a secret that is no text where its value would have to be known.
    pub(super) fn computable(&mut self, typed: Typed, syntax: &Syntax) -> Typed {
        let Some(declared) = &typed.secret else { return typed };
        if !typed.sealed || matches!(typed.class(), Some(Class::Text) | None) {
            return typed;
        }
        let message = format!("a secret {} cannot be computed with", typed.show());
        let diagnostic = Diagnostic::error(Code::SecretComputed, message)
            .at(&syntax.span, "its value is not known here")
            .at(declared, "declared secret here");
        self.sink.push(diagnostic.help("it can be put into a text, compared with `none`, or replaced by `??`"));
        Typed::unknown()
    }

    /// An operand: a value that is there and can be computed with.
    fn operand(&mut self, syntax: &Syntax) -> Typed {
        let typed = self.present(syntax);
        self.computable(typed, syntax)
    }

    fn operand_with(&mut self, syntax: &Syntax, facts: Vec<String>) -> Typed {
        let typed = self.expr_with(syntax, facts);
        let typed = self.require_present(typed, syntax);
        self.computable(typed, syntax)
    }

    fn mismatch(&mut self, syntax: &Syntax, message: String, label: &str) -> Typed {
        self.error(Code::TypeMismatch, message, &syntax.span, label);
        Typed::unknown()
    }

    pub(super) fn unary(&mut self, op: Unary, operand: &Syntax) -> Typed {
        let typed = self.operand(operand);
        let (fits, needed) = match (op, typed.class()) {
            (_, None) => return Typed::unknown(),
            (Unary::Not, found) => (found == Some(Class::Bool), "`!` needs a Bool"),
            (Unary::Negate, found) => (matches!(found, Some(Class::Whole | Class::Float)), "`-` needs a number"),
        };
        if !fits {
            let message = format!("{needed}, not {}", typed.show());
            return self.mismatch(operand, message, "of another type");
        }
        let shape = match (op, typed.class()) {
            (Unary::Negate, Some(Class::Whole)) => Shape::Of(Type::Int),
            _ => typed.shape,
        };
        Typed {
            expr: Expr::Unary(op, Box::new(typed.expr)),
            shape,
            optional: false,
            narrowed: false,
            secret: typed.secret,
            presence: None,
            sealed: false,
        }
    }

    pub(super) fn binary(&mut self, op: Binary, left: &Syntax, right: &Syntax, whole: &Syntax) -> Typed {
        match op {
            Binary::Equal | Binary::NotEqual => self.equality(op, left, right, whole),
            Binary::And | Binary::Or => self.logic(op, left, right),
            Binary::In => self.membership(left, right),
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                let (a, b) = (self.operand(left), self.operand(right));
                let (a, b) = self.same_unit(a, b, left, right);
                let ordered = |t: &Typed| matches!(t.class(), Some(Class::Whole | Class::Float | Class::Duration));
                self.combine(op, a, b, whole, |a, b| (ordered(a) && comparable(a, b)).then_some(Type::Bool))
            }
            Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide => {
                let (a, b) = (self.operand(left), self.operand(right));
                self.combine(op, a, b, whole, |a, b| arithmetic(op, a.class()?, b.class()?))
            }
        }
    }

    fn combine(
        &mut self,
        op: Binary,
        a: Typed,
        b: Typed,
        whole: &Syntax,
        result: impl Fn(&Typed, &Typed) -> Option<Type>,
    ) -> Typed {
        if a.is_unknown() || b.is_unknown() {
            return Typed::unknown();
        }
        match result(&a, &b) {
            Some(ty) => Typed {
                secret: a.secret.clone().or(b.secret.clone()),
                ..Typed::new(Expr::Binary(op, Box::new(a.expr), Box::new(b.expr)), ty)
            },
            None => {
                let message = format!("`{}` cannot be used between {} and {}", sign(op), a.show(), b.show());
                self.mismatch(whole, message, "has no meaning")
            }
        }
    }

    fn equality(&mut self, op: Binary, left: &Syntax, right: &Syntax, whole: &Syntax) -> Typed {
        if left.kind.is_none() || right.kind.is_none() {
            let (a, b) = (self.expr(left), self.expr(right));
            let (value, compared) = if left.kind.is_none() { (&b, right) } else { (&a, left) };
            if value.is_unknown() {
                return Typed::unknown();
            }
            if !value.optional && !value.narrowed {
                let what = compared.path_text().map_or_else(|| "this".to_owned(), |path| quote(&path));
                let message = format!("{what} is never `none`");
                return self.mismatch(compared, message, "always there");
            }
            // Whether a secret is there is public; what is there or not by the value of a secret tells about it.
            let secret = value.presence.clone();
            let expr = Expr::Binary(op, Box::new(a.expr), Box::new(b.expr));
            return Typed { secret, ..Typed::new(expr, Type::Bool) };
        }
        let (a, b) = (self.operand(left), self.operand(right));
        let (a, b) = self.same_unit(a, b, left, right);
        for (choice, text, syntax) in [(&a, &b, right), (&b, &a, left)] {
            if let (Shape::Of(Type::Choice(of)), Expr::Literal(Value::Text(text))) = (&choice.shape, &text.expr)
                && !of.contains(text)
            {
                let nearest = self.sink.nearest(text, of.iter().map(String::as_str));
                let message = format!("{} is none of the choices", quote(text));
                let diagnostic = Diagnostic::error(Code::TypeMismatch, message).at(&syntax.span, "never equal");
                self.sink.push(match nearest {
                    Some(nearest) => diagnostic.help(format!("did you mean '{nearest}'?")),
                    None => diagnostic.help(crate::source::there_are(of)),
                });
                return Typed::unknown();
            }
        }
        self.combine(op, a, b, whole, |a, b| comparable(a, b).then_some(Type::Bool))
    }

    /// A text literal beside a duration or size is one: `inputs.wait > '5m'`.
    fn same_unit(&mut self, a: Typed, b: Typed, left: &Syntax, right: &Syntax) -> (Typed, Typed) {
        let shapes = (a.shape.clone(), b.shape.clone());
        (self.with_unit(a, &shapes.1, left), self.with_unit(b, &shapes.0, right))
    }

    fn with_unit(&mut self, literal: Typed, beside: &Shape, syntax: &Syntax) -> Typed {
        let (SyntaxKind::Text(text), Shape::Of(ty)) = (&syntax.kind, beside) else { return literal };
        let value = match ty {
            Type::Duration => duration::parse(text).map(Value::DurationMs),
            Type::Bytes => kind::parse_text(&Type::Bytes, text),
            _ => return literal,
        };
        match value {
            Ok(value) => Typed::new(Expr::Literal(value), ty.clone()),
            Err(reason) => self.mismatch(syntax, format!("this is compared with a {ty}: {reason}"), "cannot be read"),
        }
    }

    fn logic(&mut self, op: Binary, left: &Syntax, right: &Syntax) -> Typed {
        let a = self.operand(left);
        // The right side counts only where the left one did not decide.
        let b = self.operand_with(right, facts(left, op == Binary::And, self.declared));
        for (typed, syntax) in [(&a, left), (&b, right)] {
            if !matches!(typed.class(), Some(Class::Bool) | None) {
                let message = format!("`&&` and `||` need a Bool, not {}", typed.show());
                return self.mismatch(syntax, message, "neither true nor false");
            }
        }
        if a.is_unknown() || b.is_unknown() {
            return Typed::unknown();
        }
        let secret = a.secret.or(b.secret);
        Typed { secret, ..Typed::new(Expr::Binary(op, Box::new(a.expr), Box::new(b.expr)), Type::Bool) }
    }

    fn membership(&mut self, left: &Syntax, right: &Syntax) -> Typed {
        let (a, b) = (self.operand(left), self.operand(right));
        if a.is_unknown() || b.is_unknown() {
            return Typed::unknown();
        }
        let Some(of) = super::calls::element(&b) else {
            let message = format!("`in` needs a list or a map on its right, not {}", b.show());
            return self.mismatch(right, message, "neither a list nor a map");
        };
        let element = Typed::new(Expr::Literal(Value::None), of.clone());
        if !comparable(&a, &element) {
            let what = if b.class() == Some(Class::Map) { "map" } else { "list" };
            let message = format!("{} is never in a {what} of {of}", a.show());
            return self.mismatch(left, message, "of another type");
        }
        let secret = a.secret.or(b.secret);
        Typed { secret, ..Typed::new(Expr::Binary(Binary::In, Box::new(a.expr), Box::new(b.expr)), Type::Bool) }
    }

    pub(super) fn coalesce(&mut self, value: &Syntax, fallback: &Syntax) -> Typed {
        let (a, b) = (self.expr(value), self.expr(fallback));
        if a.is_unknown() || b.is_unknown() {
            return Typed::unknown();
        }
        if !a.optional && !a.narrowed {
            let what = value.path_text().map_or_else(|| "this".to_owned(), |path| quote(&path));
            let message = format!("{what} is never absent, so `??` has no effect");
            return self.mismatch(value, message, "always there");
        }
        let b = self.with_unit(b, &a.shape, fallback);
        let Some(shape) = unify(&a, &b) else {
            let message = format!("the fallback is {}, but the value is {}", b.show(), a.show());
            return self.mismatch(fallback, message, "of another type");
        };
        Typed {
            expr: Expr::Coalesce(Box::new(a.expr), Box::new(b.expr)),
            shape,
            optional: a.optional && b.optional,
            narrowed: false,
            presence: a.presence.or(b.presence),
            sealed: a.sealed || b.sealed,
            secret: a.secret.or(b.secret),
        }
    }

    pub(super) fn choice(&mut self, condition: &Syntax, yes: &Syntax, no: &Syntax) -> Typed {
        let test = self.operand(condition);
        let (a, b) = (
            self.expr_with(yes, facts(condition, true, self.declared)),
            self.expr_with(no, facts(condition, false, self.declared)),
        );
        if !matches!(test.class(), Some(Class::Bool) | None) {
            let message = format!("a condition needs a Bool, not {}", test.show());
            return self.mismatch(condition, message, "neither true nor false");
        }
        if test.is_unknown() || a.is_unknown() || b.is_unknown() {
            return Typed::unknown();
        }
        let Some(shape) = unify(&a, &b) else {
            let message = format!("one side is {}, the other {}", a.show(), b.show());
            return self.mismatch(no, message, "of another type");
        };
        Typed {
            expr: Expr::If(Box::new(test.expr), Box::new(a.expr), Box::new(b.expr)),
            shape,
            optional: a.optional || b.optional,
            narrowed: false,
            presence: test.secret.clone().or(a.presence).or(b.presence),
            sealed: a.sealed || b.sealed,
            secret: test.secret.or(a.secret).or(b.secret),
        }
    }

    pub(super) fn list(&mut self, list: &[Syntax]) -> Typed {
        let (mut exprs, mut of, mut secret, mut presence) = (Vec::new(), None::<Typed>, None, None);
        let mut unknown = false;
        for syntax in list {
            let typed = self.operand(syntax);
            unknown |= typed.is_unknown();
            secret = secret.or(typed.secret.clone());
            presence = presence.or(typed.presence.clone());
            exprs.push(typed.expr.clone());
            of = match of {
                None => Some(typed),
                Some(first) => match unify(&first, &typed) {
                    Some(shape) => Some(Typed { shape, ..first }),
                    None if unknown => Some(first),
                    None => {
                        let message = format!("a list has elements of one type: {} and {}", first.show(), typed.show());
                        return self.mismatch(syntax, message, "of another type");
                    }
                },
            };
        }
        match of.map(|of| of.shape) {
            _ if unknown => Typed::unknown(),
            Some(Shape::Of(ty)) => {
                Typed { secret, presence, ..Typed::new(Expr::List(exprs), Type::List(Box::new(ty))) }
            }
            _ => Typed::new(Expr::List(exprs), Type::List(Box::new(Type::Text))),
        }
    }

    /// `map['key']` and `list[0]`, which may not be there.
    pub(super) fn index(&mut self, base: &Syntax, index: &Syntax) -> Typed {
        let (a, b) = (self.operand(base), self.operand(index));
        if a.is_unknown() || b.is_unknown() {
            return Typed::unknown();
        }
        let (element, fits, needed) = match &a.shape {
            Shape::Of(Type::List(of)) => ((**of).clone(), b.class() == Some(Class::Whole), "a whole number"),
            Shape::Of(Type::Map(of)) => ((**of).clone(), b.class() == Some(Class::Text), "a text"),
            _ => {
                let message = format!("{} has no elements", a.show());
                return self.mismatch(base, message, "neither a list nor a map");
            }
        };
        if !fits {
            let message = format!("the index is {}, but {needed} is needed", b.show());
            return self.mismatch(index, message, "of another type");
        }
        Typed {
            expr: Expr::Index(Box::new(a.expr), Box::new(b.expr)),
            shape: Shape::Of(element),
            optional: true,
            narrowed: false,
            presence: b.secret.clone().or(a.presence),
            sealed: a.secret.is_some(),
            secret: a.secret.or(b.secret),
        }
    }
}

/// How an operator is written.
fn sign(op: Binary) -> &'static str {
    match op {
        Binary::Equal => "==",
        Binary::NotEqual => "!=",
        Binary::Less => "<",
        Binary::LessOrEqual => "<=",
        Binary::Greater => ">",
        Binary::GreaterOrEqual => ">=",
        Binary::And => "&&",
        Binary::Or => "||",
        Binary::Add => "+",
        Binary::Subtract => "-",
        Binary::Multiply => "*",
        Binary::Divide => "/",
        Binary::In => "in",
    }
}

/// Whether two values can be equal or ordered.
fn comparable(a: &Typed, b: &Typed) -> bool {
    match (a.class(), b.class()) {
        (Some(Class::Whole | Class::Float), Some(Class::Whole | Class::Float)) => true,
        (Some(a @ (Class::Text | Class::Bool | Class::Duration)), Some(b)) => a == b,
        _ => false,
    }
}

/// The type of `a op b`.
fn arithmetic(op: Binary, a: Class, b: Class) -> Option<Type> {
    use Class::{Duration, Float, Text, Whole};
    match (op, a, b) {
        (Binary::Add, Text, Text) => Some(Type::Text),
        (_, Whole, Whole) => Some(Type::Int),
        (_, Whole | Float, Whole | Float) => Some(Type::Float),
        (Binary::Add | Binary::Subtract, Duration, Duration) => Some(Type::Duration),
        (Binary::Multiply | Binary::Divide, Duration, Whole) | (Binary::Multiply, Whole, Duration) => {
            Some(Type::Duration)
        }
        _ => None,
    }
}

/// The type that both have, optionality aside.
fn unify(a: &Typed, b: &Typed) -> Option<Shape> {
    match (&a.shape, &b.shape) {
        (Shape::Unknown, _) | (_, Shape::Unknown) => Some(Shape::Unknown),
        (Shape::None, other) | (other, Shape::None) => Some(other.clone()),
        (Shape::Of(x), Shape::Of(y)) if x == y => Some(Shape::Of(x.clone())),
        // The list without elements is one of every type.
        (Shape::Of(Type::List(_)), Shape::Of(Type::List(_))) if is_empty_list(a) => Some(b.shape.clone()),
        (Shape::Of(Type::List(_)), Shape::Of(Type::List(_))) if is_empty_list(b) => Some(a.shape.clone()),
        (Shape::Of(Type::List(x)), Shape::Of(Type::List(y))) => match (super::class(x), super::class(y)) {
            (Class::Text, Class::Text) => Some(Shape::Of(Type::List(Box::new(Type::Text)))),
            (Class::Whole, Class::Whole) => Some(Shape::Of(Type::List(Box::new(Type::Int)))),
            _ => None,
        },
        (Shape::Of(_), Shape::Of(_)) => match (a.class()?, b.class()?) {
            (Class::Text, Class::Text) => Some(Shape::Of(Type::Text)),
            (Class::Whole, Class::Whole) => Some(Shape::Of(Type::Int)),
            (Class::Whole | Class::Float, Class::Whole | Class::Float) => Some(Shape::Of(Type::Float)),
            _ => None,
        },
    }
}

fn is_empty_list(typed: &Typed) -> bool {
    matches!(&typed.expr, Expr::List(list) if list.is_empty())
}
