//! Functions: what each takes, and what it gives.

use std::ops::Range;

use super::{Class, Shape, Typed, Typing, class};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, Function};
use crate::expression::{Syntax, SyntaxKind};
use crate::format::around_places;
use crate::source::{Spanned, count, quote, there_are};
use crate::types::Type;
use crate::value::Value;

/// A function: its name, what it is, how it is written, and how many arguments it takes. `format` takes more.
const FUNCTIONS: [(&str, Function, &str, usize); 15] = [
    ("len", Function::Len, "len(x)", 1),
    ("basename", Function::Basename, "basename(x)", 1),
    ("starts_with", Function::StartsWith, "starts_with(text, prefix)", 2),
    ("join", Function::Join, "join(list, separator)", 2),
    ("split", Function::Split, "split(text, separator)", 2),
    ("sha256", Function::Sha256, "sha256(x)", 1),
    ("json", Function::Json, "json(x)", 1),
    ("seconds", Function::Seconds, "seconds(duration)", 1),
    ("sum", Function::Sum, "sum(list)", 1),
    ("min", Function::Min, "min(list)", 1),
    ("max", Function::Max, "max(list)", 1),
    ("count", Function::Count, "count(list)", 1),
    ("any", Function::Any, "any(list)", 1),
    ("all", Function::All, "all(list)", 1),
    ("format", Function::Format, "format('{} of {}', a, b)", 1),
];

impl Typing<'_> {
    pub(super) fn call(&mut self, name: &Spanned<String>, arguments: &[Syntax], whole: &Syntax) -> Typed {
        let known = FUNCTIONS.iter().find(|(known, ..)| *known == name.value);
        let formats = known.is_some_and(|(_, function, ..)| *function == Function::Format);
        let typed: Vec<Typed> = arguments
            .iter()
            .map(|argument| {
                let typed = self.present(argument);
                // What only becomes a part of a text need not be known to compute with it.
                if formats { typed } else { self.computable(typed, argument) }
            })
            .collect();
        let Some((_, function, example, takes)) = known else {
            let names = FUNCTIONS.map(|(name, ..)| name);
            let nearest = self.sink.nearest(&name.value, names);
            let message = format!("there is no function {}", quote(&name.value));
            let diagnostic = Diagnostic::error(Code::UnknownReference, message).at(&name.span, "not known");
            self.sink.push(match nearest {
                Some(nearest) => diagnostic.help(format!("did you mean `{nearest}`?")),
                None => diagnostic.help(there_are(names)),
            });
            return Typed::unknown();
        };
        if typed.len() < *takes || typed.len() > *takes && !formats {
            let takes = count(*takes, "argument");
            let least = if formats { "at least " } else { "" };
            let message = format!("`{}` takes {least}{takes}, not {}", name.value, typed.len());
            let diagnostic = Diagnostic::error(Code::Arguments, message).at(&whole.span, "called here");
            self.sink.push(diagnostic.help(format!("it is written `{example}`")));
            return Typed::unknown();
        }
        if typed.iter().any(Typed::is_unknown) {
            return Typed::unknown();
        }
        for (at, argument) in typed.iter().enumerate() {
            if let Some(needed) = wrong_argument(*function, at, argument) {
                let message = format!("`{}` needs {needed} here, not {}", name.value, argument.show());
                self.error(Code::TypeMismatch, message, &arguments[at].span, "of another type");
                return Typed::unknown();
            }
        }
        if !self.fits_places(*function, arguments, whole) {
            return Typed::unknown();
        }
        self.result(*function, typed, arguments)
    }

    /// Checks what depends on the text of an argument, and not only on its type.
    fn fits_places(&mut self, function: Function, arguments: &[Syntax], whole: &Syntax) -> bool {
        match (function, arguments) {
            (Function::Split, [_, separator]) if matches!(&separator.kind, SyntaxKind::Text(text) if text.is_empty()) =>
            {
                self.error(Code::Empty, "the separator is empty", &separator.span, "something must stand here");
                false
            }
            (Function::Format, [text, values @ ..]) => {
                let SyntaxKind::Text(literal) = &text.kind else {
                    let message = "the places of `format` cannot be counted";
                    let diagnostic = Diagnostic::error(Code::Arguments, message).at(&text.span, "not a text in quotes");
                    self.sink.push(diagnostic.help("its first argument is a text in single quotes: `'{} of {}'`"));
                    return false;
                };
                let Some(around) = around_places(literal) else {
                    let message = "a bracket in the text of `format` is no place";
                    let diagnostic = Diagnostic::error(Code::Arguments, message).at(&text.span, "in here");
                    self.sink.push(diagnostic.help("a place is `{}`; a bracket itself is doubled: `{{` and `}}`"));
                    return false;
                };
                let places = around.len() - 1;
                if places != values.len() {
                    let (has, given) = (count(places, "place"), count(values.len(), "value"));
                    let message = format!("the text of `format` has {has}, for {given}");
                    self.error(Code::Arguments, message, &whole.span, "one value for each place");
                }
                places == values.len()
            }
            _ => true,
        }
    }

    fn result(&mut self, function: Function, typed: Vec<Typed>, arguments: &[Syntax]) -> Typed {
        let mut secret = typed.iter().find_map(|argument| argument.secret.clone());
        let of = typed.first().and_then(element).cloned();
        let is_literal_list =
            matches!(typed.first().map(|list| &list.expr), Some(Expr::List(list)) if !list.is_empty());
        let ty = match function {
            Function::Json => {
                let [Typed { shape: Shape::Of(ty), .. }] = typed.as_slice() else { return Typed::unknown() };
                if let Err(ty) = readable_secrets(ty) {
                    let message = format!("a secret {ty} cannot be computed with");
                    let diagnostic = Diagnostic::error(Code::SecretComputed, message);
                    self.sink.push(diagnostic.at(&arguments[0].span, "its value is not known here"));
                    return Typed::unknown();
                }
                if holds_secret(ty) {
                    secret.get_or_insert_with(|| arguments[0].span.clone());
                }
                Type::Text
            }
            Function::Len | Function::Seconds | Function::Count => Type::Int,
            Function::StartsWith | Function::Any | Function::All => Type::Bool,
            Function::Basename | Function::Join | Function::Sha256 | Function::Format => Type::Text,
            Function::Split => Type::List(Box::new(Type::Text)),
            Function::Min | Function::Max => of.unwrap_or(Type::Int),
            Function::Sum => match of.as_ref().map(class) {
                Some(Class::Float) => Type::Float,
                Some(Class::Duration) => Type::Duration,
                _ => Type::Int,
            },
        };
        let mut exprs: Vec<Expr> = typed.into_iter().map(|argument| argument.expr).collect();
        if function == Function::Sum {
            exprs.push(Expr::Literal(match ty {
                Type::Float => Value::Float(0.0),
                Type::Duration => Value::DurationMs(0),
                _ => Value::Int(0),
            }));
        }
        // How much is there follows from what was split, and whether there is a least element from how much is there.
        let tells = matches!(function, Function::Split | Function::Min | Function::Max);
        Typed {
            optional: matches!(function, Function::Min | Function::Max) && !is_literal_list,
            presence: secret.clone().filter(|_: &Range<usize>| tells),
            secret,
            ..Typed::new(Expr::Call(function, exprs), ty)
        }
    }
}

/// The type of the elements of a list, or of the values of a map.
pub(super) fn element(typed: &Typed) -> Option<&Type> {
    match &typed.shape {
        Shape::Of(Type::List(of) | Type::Map(of)) => Some(of),
        _ => None,
    }
}

/// What the argument should be instead, where it does not fit.
fn wrong_argument(function: Function, at: usize, argument: &Typed) -> Option<&'static str> {
    let found = argument.class();
    let is_text = found == Some(Class::Text);
    let of = element(argument).map(class);
    let fits = |fits: bool, needed: &'static str| (!fits).then_some(needed);
    match (function, at) {
        (Function::Len, _) => {
            fits(is_text || matches!(found, Some(Class::List | Class::Map)), "a text, a list or a map")
        }
        (Function::Basename | Function::Sha256, _) => fits(is_text || found == Some(Class::File), "a text or a file"),
        (Function::Join, 0) => match of {
            Some(Class::List | Class::Map | Class::Record) => Some("a list of single values"),
            of => fits(of.is_some(), "a list"),
        },
        (Function::Json, _) => None,
        (Function::Seconds, _) => fits(found == Some(Class::Duration), "a Duration"),
        (Function::Sum | Function::Min | Function::Max, _) => {
            let numbers = matches!(of, Some(Class::Whole | Class::Float | Class::Duration));
            fits(numbers, "a list or a map of numbers or of durations")
        }
        (Function::Count | Function::Any | Function::All, _) => {
            fits(of == Some(Class::Bool), "a list or a map of Bools")
        }
        (Function::Format, 1..) => {
            fits(!matches!(found, Some(Class::List | Class::Map | Class::Record)), "a single value")
        }
        (Function::StartsWith | Function::Join | Function::Split | Function::Format, _) => fits(is_text, "a text"),
    }
}

/// Whether a value of this type may have a secret in it.
fn holds_secret(ty: &Type) -> bool {
    match ty {
        Type::List(of) | Type::Map(of) => holds_secret(of),
        Type::Record(fields) => fields.values().any(|field| field.secret || holds_secret(&field.ty)),
        _ => false,
    }
}

/// A secret is a text wherever it is known, so one of another type cannot be written as what it is; gives that type.
fn readable_secrets(ty: &Type) -> Result<(), &Type> {
    match ty {
        Type::List(of) | Type::Map(of) => readable_secrets(of),
        Type::Record(fields) => {
            fields.values().try_for_each(|field| match field.secret && class(&field.ty) != Class::Text {
                true => Err(&field.ty),
                false => readable_secrets(&field.ty),
            })
        }
        _ => Ok(()),
    }
}
