//! Single values: texts, names, numbers, durations, words.

use std::ops::Range;

use crate::code::Code;
use crate::declared::Scalar;
use crate::diagnostic::{Diagnostic, Sink};
use crate::expression::template;
use crate::source::{Spanned, count, quote, there_are};
use crate::syntax::{Kind, Node, Text};
use crate::{duration, limits, syntax};

/// A value that is shown as it would have to be written is no longer than this.
const MEANT_BYTES: usize = 60;

/// What every reader needs.
pub(super) struct Reader<'s, 'k> {
    pub(super) source: &'s str,
    pub(super) sink: &'k mut Sink,
}

/// A name in `snake_case`. Another one is reported and still given, so that whoever names it is not told that it is unknown.
pub(super) fn name(text: &Text, what: &str, sink: &mut Sink) -> Spanned<String> {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let name = text.value.as_str();
    let good = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(ok);
    if good && name.len() <= limits::NAME_BYTES {
        return Spanned::new(name.to_owned(), text.span.clone());
    }
    let message = match name {
        "" => format!("the name of {} is empty", article(what)),
        _ => format!("{} is no name of {}", quote(name), article(what)),
    };
    let diagnostic = Diagnostic::error(Code::BadName, message).at(&text.span, "must be `snake_case`");
    sink.push(match fixed_name(name, '_') {
        Some(fixed) => diagnostic.help(format!("write `{fixed}`")),
        None => diagnostic.help(format!(
            "small letters, digits and `_`, beginning with a letter, at most {} bytes",
            limits::NAME_BYTES
        )),
    });
    Spanned::new(name.to_owned(), text.span.clone())
}

fn article(what: &str) -> String {
    format!("{} {what}", if what.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" })
}

/// The name that was probably meant: small letters, words joined by `joint`.
pub(super) fn fixed_name(name: &str, joint: char) -> Option<String> {
    let mut fixed = String::new();
    let mut small = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && small {
            fixed.push(joint);
        }
        small = c.is_ascii_lowercase() || c.is_ascii_digit();
        fixed.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { joint });
    }
    let parts: Vec<&str> = fixed.split(joint).filter(|part| !part.is_empty()).collect();
    let fixed = parts.join(&joint.to_string());
    let good = fixed.starts_with(|c: char| c.is_ascii_lowercase()) && fixed.len() <= limits::NAME_BYTES;
    (good && fixed != name && name.is_ascii()).then_some(fixed)
}

impl<'s> Reader<'s, '_> {
    fn shape(&mut self, node: &Node, field: &str, expected: &str) {
        if node.kind == Kind::Broken {
            return;
        }
        let message = format!("`{field}` is {}, but {expected} is expected", node.describe());
        let diagnostic = Diagnostic::error(Code::WrongShape, message).at(&node.head(), format!("not {expected}"));
        self.sink.push(diagnostic.helps(self.meant(node, field, expected)));
    }

    /// The same value as it would have to be written, where only the signs around it are missing.
    fn meant(&self, node: &Node, field: &str, expected: &str) -> Option<String> {
        let written = self.source.get(node.span.clone()).filter(|written| written.len() <= MEANT_BYTES)?;
        match (&node.kind, expected) {
            (Kind::Word(_) | Kind::Number | Kind::Bool(_), "a text") => {
                Some(format!("write it in quotes: \"{written}\""))
            }
            (Kind::Text(_) | Kind::Word(_) | Kind::Number, "a list") => {
                Some(format!("write it in brackets: [{written}]"))
            }
            (Kind::List(_), "a text") if field == "Shell" => {
                Some("a program and its arguments are run by `Run([…])`".to_owned())
            }
            _ => None,
        }
    }

    pub(super) fn malformed(&mut self, span: &Range<usize>, field: &str, reason: impl std::fmt::Display) {
        let message = format!("`{field}` cannot be read: {reason}");
        self.sink.push(Diagnostic::error(Code::Malformed, message).at(span, ""));
    }

    pub(super) fn out_of_limits(&mut self, span: &Range<usize>, message: impl Into<String>, label: &str) {
        self.sink.push(Diagnostic::error(Code::OutOfLimits, message).at(span, label));
    }

    /// A text, not longer than texts may be.
    pub(super) fn text<'t>(&mut self, node: &'t Node, field: &str) -> Option<&'t Text> {
        let Kind::Text(text) = &node.kind else {
            self.shape(node, field, "a text");
            return None;
        };
        if text.value.len() > limits::TEXT_BYTES {
            let size = count(text.value.len(), "byte");
            self.out_of_limits(
                &text.span,
                format!("`{field}` has {size}; {} are allowed", limits::TEXT_BYTES),
                "too long",
            );
            return None;
        }
        if let Some(at) = text.value.find('\0') {
            self.malformed(&text.locate(at..at + 1), field, "there is a NUL byte in it");
            return None;
        }
        Some(text)
    }

    /// A text that has something in it.
    pub(super) fn some_text<'t>(&mut self, node: &'t Node, field: &str) -> Option<&'t Text> {
        let text = self.text(node, field)?;
        if text.value.trim().is_empty() {
            let message = format!("`{field}` is empty");
            self.sink.push(Diagnostic::error(Code::Empty, message).at(&node.span, "something must stand here"));
            return None;
        }
        Some(text)
    }

    pub(super) fn boolean(&mut self, node: &Node, field: &str) -> Option<bool> {
        match node.kind {
            Kind::Bool(value) => Some(value),
            _ => {
                self.shape(node, field, "`true` or `false`");
                None
            }
        }
    }

    /// A whole number within limits, both included.
    pub(super) fn integer(&mut self, node: &Node, field: &str, min: i64, max: i64) -> Option<i64> {
        let Kind::Number = node.kind else {
            self.shape(node, field, "a number");
            return None;
        };
        match syntax::options().from_str::<i64>(&self.source[node.span.clone()]) {
            Ok(number) if (min..=max).contains(&number) => Some(number),
            Ok(number) => {
                let message = format!("`{field}` is {number}, but it must be from {min} to {max}");
                self.out_of_limits(&node.span, message, "out of its limits");
                None
            }
            Err(_) => {
                self.malformed(&node.span, field, "a whole number is expected");
                None
            }
        }
    }

    /// A number within limits, both included.
    pub(super) fn float(&mut self, node: &Node, field: &str, min: f64, max: f64) -> Option<f64> {
        let Kind::Number = node.kind else {
            self.shape(node, field, "a number");
            return None;
        };
        match syntax::options().from_str::<f64>(&self.source[node.span.clone()]) {
            Ok(number) if (min..=max).contains(&number) => Some(number),
            Ok(number) if number.is_finite() => {
                let message = format!("`{field}` is {number}, but it must be from {min} to {max}");
                self.out_of_limits(&node.span, message, "out of its limits");
                None
            }
            _ => {
                self.malformed(&node.span, field, "a number is expected");
                None
            }
        }
    }

    /// A duration within limits; gives milliseconds.
    pub(super) fn duration(&mut self, text: &Text, field: &str, min: u64, max: u64) -> Option<u64> {
        match duration::parse(&text.value) {
            Ok(ms) => within_ms(ms, field, min, max)
                .map_err(|message| self.out_of_limits(&text.span, message, "out of its limits"))
                .ok(),
            Err(reason) => {
                self.malformed(&text.span, field, reason);
                None
            }
        }
    }

    /// A duration, or an expression that gives one.
    pub(super) fn duration_or_expr(&mut self, node: &Node, field: &str, min: u64, max: u64) -> Option<Scalar<u64>> {
        if let Kind::Number = node.kind {
            let number = &self.source[node.span.clone()];
            let message = format!("`{field}` is a number, but a duration is expected");
            let diagnostic = Diagnostic::error(Code::WrongShape, message).at(&node.span, "without a unit");
            let with_unit = if duration::parse(number).is_ok() { number.to_owned() } else { format!("{number}s") };
            self.sink.push(diagnostic.help(format!("write it as a text with a unit, such as \"{with_unit}\"")));
            return None;
        }
        let text = self.text(node, field)?;
        match self.only_expression(text, field)? {
            Some(expr) => Some(expr),
            None => Some(Scalar::Literal(Spanned::new(self.duration(text, field, min, max)?, text.span.clone()))),
        }
    }

    /// A whole number, or an expression that gives one.
    pub(super) fn integer_or_expr(&mut self, node: &Node, field: &str, min: i64, max: i64) -> Option<Scalar<i64>> {
        if let Kind::Text(_) = node.kind {
            let text = self.text(node, field)?;
            return match self.only_expression(text, field)? {
                None => {
                    self.shape(node, field, "a number");
                    None
                }
                expr => expr,
            };
        }
        Some(Scalar::Literal(Spanned::new(self.integer(node, field, min, max)?, node.span.clone())))
    }

    /// `Some(Some(…))` where the text is `${{ … }}` as a whole, `Some(None)` where it has no expression in it; another
    /// mixture is reported.
    pub(super) fn only_expression<T>(&mut self, text: &Text, field: &str) -> Option<Option<Scalar<T>>> {
        let template = template(text, self.sink)?;
        if let Some(syntax) = template.only_expression() {
            return Some(Some(Scalar::Expr(syntax.clone())));
        }
        if template.expressions().next().is_some() {
            let reason = "either a value or one expression `${{ … }}` is expected, not a mixture";
            self.malformed(&text.span, field, reason);
            return None;
        }
        Some(None)
    }

    /// The elements of a list, not more than allowed.
    pub(super) fn list<'t>(&mut self, node: &'t Node, field: &str, most: usize) -> Option<&'t [Node]> {
        let Kind::List(list) = &node.kind else {
            self.shape(node, field, "a list");
            return None;
        };
        if list.len() > most {
            let message = format!("`{field}` has {}; {most} are allowed", count(list.len(), "element"));
            self.out_of_limits(&node.head(), message, "too many");
            return None;
        }
        Some(list)
    }

    /// The entries of a map, not more than allowed.
    pub(super) fn map<'t>(&mut self, node: &'t Node, field: &str, most: usize) -> Option<&'t [(Text, Node)]> {
        let Kind::Map(map) = &node.kind else {
            self.shape(node, field, "a map");
            return None;
        };
        if map.len() > most {
            let message = format!("`{field}` has {}; {most} are allowed", count(map.len(), "entrie"));
            self.out_of_limits(&node.head(), message.replace("1 entrie", "1 entry"), "too many");
            return None;
        }
        Some(map)
    }

    /// The word that a value begins with, which must be one of these.
    pub(super) fn variant(&mut self, node: &Node, what: &str, known: &[&'static str]) -> Option<&'static str> {
        let word = match &node.kind {
            Kind::Word(word) => word.as_str(),
            Kind::Struct(this) => match &this.name {
                Some(name) => name.value.as_str(),
                None => "",
            },
            Kind::Broken => return None,
            Kind::Text(text) => text.value.as_str(),
            _ => "",
        };
        let found = known.iter().find(|known| **known == word);
        if let (Some(found), false) = (found, matches!(node.kind, Kind::Text(_))) {
            return Some(found);
        }
        let message = match (&node.kind, word) {
            (Kind::Text(_), _) => format!("{what} is one of the words of the language, not a text"),
            (_, "") => format!("{what} is expected here, not {}", node.describe()),
            (_, word) => format!("{} is not {what}", quote(word)),
        };
        let help = match found {
            Some(found) => Some(format!("write it without quotation marks: `{found}`")),
            None => self.sink.nearest(word, known.iter().copied()).map(|nearest| format!("did you mean `{nearest}`?")),
        };
        let diagnostic =
            Diagnostic::error(Code::UnknownVariant, message).at(&node.head(), "not one of them").helps(help);
        self.sink.push(diagnostic.help(there_are(known)));
        None
    }

    /// Checks that a word stands alone, without brackets.
    pub(super) fn bare(&mut self, node: &Node) -> Option<()> {
        if let Kind::Struct(this) = &node.kind {
            let word = this.name.as_ref().map_or("", |name| name.value.as_str());
            let message = format!("{} takes nothing in brackets", quote(word));
            self.sink.push(Diagnostic::error(Code::WrongShape, message).at(&node.head(), format!("write `{word}`")));
            return None;
        }
        Some(())
    }

    /// The one value in the brackets of `Name(value)`.
    pub(super) fn single<'t>(&mut self, node: &'t Node, example: &str) -> Option<&'t Node> {
        let [only] = self.positional(node, "one value, without a name", example)?;
        Some(only)
    }

    /// The two values in the brackets of `Name(value, value)`.
    pub(super) fn pair<'t>(&mut self, node: &'t Node, example: &str) -> Option<&'t [Node; 2]> {
        self.positional(node, "two values, without names", example)
    }

    fn positional<'t, const N: usize>(&mut self, node: &'t Node, what: &str, example: &str) -> Option<&'t [Node; N]> {
        let this = match &node.kind {
            Kind::Struct(this) => this,
            _ => {
                let message = "a value in brackets is missing";
                let diagnostic = Diagnostic::error(Code::WrongShape, message).at(&node.head(), "nothing follows this");
                self.sink.push(diagnostic.help(format!("it is written `{example}`")));
                return None;
            }
        };
        match (<&[Node; N]>::try_from(this.positional.as_slice()), this.fields.as_slice()) {
            (Ok(values), []) => Some(values),
            _ if this.broken => None,
            (_, fields) => {
                let word = this.name.as_ref().map_or("", |name| name.value.as_str());
                let place = fields.first().map_or(node.head(), |(name, _)| name.span.clone());
                let message = format!("{} takes {what}", quote(word));
                let diagnostic = Diagnostic::error(Code::WrongShape, message).at(&place, "");
                self.sink.push(diagnostic.help(format!("it is written `{example}`")));
                None
            }
        }
    }
}

/// Whether a duration is within limits; an error says which.
pub(crate) fn within_ms(ms: u64, field: &str, min: u64, max: u64) -> Result<u64, String> {
    if (min..=max).contains(&ms) {
        return Ok(ms);
    }
    let (ms, min, max) = (duration::show(ms), duration::show(min), duration::show(max));
    Err(format!("`{field}` is {ms}, but it must be from {min} to {max}"))
}
