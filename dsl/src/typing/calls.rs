//! Functions.

use super::{Class, Shape, Typed, Typing};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, Function};
use crate::expression::Syntax;
use crate::source::{Spanned, count, quote, there_are};
use crate::types::Type;

/// A function: its name, what it is, how it is written, how many arguments it takes, and what it gives.
const FUNCTIONS: [(&str, Function, &str, usize, Type); 4] = [
    ("len", Function::Len, "len(x)", 1, Type::Int),
    ("basename", Function::Basename, "basename(x)", 1, Type::Text),
    ("starts_with", Function::StartsWith, "starts_with(text, prefix)", 2, Type::Bool),
    ("join", Function::Join, "join(list, separator)", 2, Type::Text),
];

impl Typing<'_> {
    pub(super) fn call(&mut self, name: &Spanned<String>, arguments: &[Syntax], whole: &Syntax) -> Typed {
        let typed: Vec<Typed> = arguments.iter().map(|argument| self.argument(argument)).collect();
        let Some((_, function, example, takes, gives)) = FUNCTIONS.iter().find(|(known, ..)| *known == name.value)
        else {
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
        if typed.len() != *takes {
            let takes = count(*takes, "argument");
            let message = format!("`{}` takes {takes}, not {}", name.value, typed.len());
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
        let secret = typed.iter().find_map(|argument| argument.secret.clone());
        let exprs = typed.into_iter().map(|argument| argument.expr).collect();
        Typed { secret, ..Typed::new(Expr::Call(*function, exprs), gives.clone()) }
    }

    fn argument(&mut self, syntax: &Syntax) -> Typed {
        let typed = self.present(syntax);
        self.computable(typed, syntax)
    }
}

/// What the argument should be instead, where it does not fit.
fn wrong_argument(function: Function, at: usize, argument: &Typed) -> Option<&'static str> {
    let class = argument.class();
    let is_text = class == Some(Class::Text);
    match (function, at) {
        (Function::Len, _) if is_text || matches!(class, Some(Class::List | Class::Map)) => None,
        (Function::Len, _) => Some("a text, a list or a map"),
        (Function::Basename, _) if is_text || class == Some(Class::File) => None,
        (Function::Basename, _) => Some("a text or a file"),
        (Function::Join, 0) => match &argument.shape {
            Shape::Of(Type::List(of)) => match super::class(of) {
                Class::List | Class::Map | Class::Record => Some("a list of single values"),
                _ => None,
            },
            _ => Some("a list"),
        },
        (Function::StartsWith | Function::Join, _) => (!is_text).then_some("a text"),
    }
}
