//! Texts with expressions in them: `"http://${{ host.address }}/"`.

use std::ops::Range;

use super::lexer::{Wrong, lex};
use super::parser::{Error, parse};
use super::{Syntax, SyntaxKind};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::limits;
use crate::syntax::Text;

/// How expressions begin that read something of the workflow.
const SCOPES: [&str; 9] = ["inputs.", "steps.", "roles.", "host.", "let.", "operation.", "each.", "each ", "each}"];

/// A text with expressions in it, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TemplateSyntax {
    pub(crate) parts: Vec<PartSyntax>,
    /// The whole text in the workflow.
    pub(crate) span: Range<usize>,
}

/// A part of a [`TemplateSyntax`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PartSyntax {
    Text(String),
    Expr(Syntax),
}

impl TemplateSyntax {
    /// The text, where there is no expression in it.
    pub(crate) fn literal(&self) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                PartSyntax::Text(part) => text.push_str(part),
                PartSyntax::Expr(_) => return None,
            }
        }
        Some(text)
    }

    /// The expression, where the text is `${{ … }}` and nothing else.
    pub(crate) fn only_expression(&self) -> Option<&Syntax> {
        match self.parts.as_slice() {
            [PartSyntax::Expr(syntax)] => Some(syntax),
            _ => None,
        }
    }

    /// All expressions in it.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Syntax> {
        self.parts.iter().filter_map(|part| match part {
            PartSyntax::Expr(syntax) => Some(syntax),
            PartSyntax::Text(_) => None,
        })
    }
}

/// Reads a text that may have expressions in it. `None` where one cannot be read, which is reported.
pub(crate) fn template(text: &Text, sink: &mut Sink) -> Option<TemplateSyntax> {
    let value = text.value.as_str();
    let (mut parts, mut plain, mut at) = (Vec::new(), String::new(), 0);
    let mut whole = true;
    while let Some(found) = value[at..].find("${{") {
        let start = at + found;
        if value[at..start].ends_with('$') {
            plain.push_str(&value[at..start - 1]);
            plain.push_str("${{");
            at = start + 3;
            continue;
        }
        warn(text, at..start, sink);
        plain.push_str(&value[at..start]);
        if !plain.is_empty() {
            parts.push(PartSyntax::Text(std::mem::take(&mut plain)));
        }
        match embedded(text, start + 3) {
            Ok((syntax, end)) => {
                parts.push(PartSyntax::Expr(syntax));
                at = end;
            }
            Err((code, wrong)) => {
                report(text, code, wrong, sink);
                whole = false;
                // Behind the `}}` that probably ends it, to report what else is wrong.
                match value[start + 3..].find("}}") {
                    Some(end) => at = start + 3 + end + 2,
                    None => return None,
                }
            }
        }
    }
    warn(text, at..value.len(), sink);
    plain.push_str(&value[at..]);
    if !plain.is_empty() || parts.is_empty() {
        parts.push(PartSyntax::Text(plain));
    }
    whole.then(|| TemplateSyntax { parts, span: text.span.clone() })
}

/// Our own names in the brackets of another language, `{{ inputs.x }}`, `${inputs.x}`: where they stand.
pub(crate) fn foreign(value: &str) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    for (open, close) in [("{{", "}}"), ("${", "}")] {
        for (at, _) in value.match_indices(open).filter(|(at, _)| !value[..*at].ends_with('$')) {
            let inner = &value[at + open.len()..];
            let Some(end) = inner.find(close) else { continue };
            if SCOPES.iter().any(|scope| inner.trim_start().starts_with(scope)) {
                all.push(at..at + open.len() + end + close.len());
            }
        }
    }
    all
}

/// Warns of those in a part of a text that holds no expression.
fn warn(text: &Text, plain: Range<usize>, sink: &mut Sink) {
    for found in foreign(&text.value[plain.clone()]) {
        let range = plain.start + found.start..plain.start + found.end;
        let written = &text.value[range.clone()];
        let inner = written.trim_matches(['$', '{', '}', ' ']);
        let diagnostic = Diagnostic::warning(Code::OtherBraces, format!("`{written}` is text here, and no expression"))
            .at(&text.locate(range), "passes through as it is");
        sink.push(diagnostic.help(format!("for its value write `${{{{ {inner} }}}}`")));
    }
}

/// Reads a text that is an expression as a whole, as `when` is.
pub(crate) fn expression(text: &Text, sink: &mut Sink) -> Option<Syntax> {
    let value = text.value.trim();
    if value.starts_with("${{") {
        let diagnostic = Diagnostic::error(Code::ExpressionSyntax, "this is an expression already")
            .at(&text.span, "no `${{ … }}` is needed here")
            .help("write the expression alone, such as `inputs.image != none`");
        sink.push(diagnostic);
        return None;
    }
    match parse_range(text, 0).and_then(|(syntax, end)| match end == text.value.len() {
        true => Ok(syntax),
        false => Err(wrong(end..end + 2, "`}}` is not expected here")),
    }) {
        Ok(syntax) => Some(syntax),
        Err((code, wrong)) => {
            report(text, code, wrong, sink);
            None
        }
    }
}

/// The expression from byte `from` up to its `}}`; gives what is behind that.
fn embedded(text: &Text, from: usize) -> Result<(Syntax, usize), Error> {
    if text.value[from..].contains("}}") {
        let (syntax, end) = parse_range(text, from)?;
        if text.value[end..].starts_with("}}") {
            return Ok((syntax, end + 2));
        }
    }
    let wrong = Wrong {
        range: from - 3..from,
        message: "an expression is never closed".to_owned(),
        help: Some("close it by `}}`; for a literal `${{` write `$${{`"),
    };
    Err((Code::ExpressionSyntax, wrong))
}

fn parse_range(text: &Text, from: usize) -> Result<(Syntax, usize), Error> {
    let value = text.value.as_str();
    let (tokens, end) = lex(value, from).map_err(|wrong| (Code::ExpressionSyntax, wrong))?;
    if end - from > limits::EXPRESSION_BYTES {
        let message = format!("an expression has at most {} bytes", limits::EXPRESSION_BYTES);
        return Err((Code::OutOfLimits, Wrong { range: from..end, message, help: None }));
    }
    if tokens.is_empty() {
        return Err(wrong(from..end, "an expression is expected"));
    }
    let last = tokens.last().map_or(end, |(_, range)| range.end);
    let syntax = parse(&tokens, last, &|range| text.locate(range))?;
    Ok((syntax, end))
}

fn wrong(range: Range<usize>, message: &str) -> Error {
    (Code::ExpressionSyntax, Wrong { range, message: message.to_owned(), help: None })
}

fn report(text: &Text, code: Code, wrong: Wrong, sink: &mut Sink) {
    let range = text.locate(wrong.range);
    let range = if range.is_empty() { range.start..(range.start + 1).min(text.span.end) } else { range };
    let message = match code {
        Code::ExpressionSyntax => format!("an expression cannot be read: {}", wrong.message),
        _ => wrong.message,
    };
    sink.push(Diagnostic::error(code, message).at(&range, "here").helps(wrong.help));
}

impl SyntaxKind {
    /// Whether it is the literal `none`.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, SyntaxKind::None)
    }
}
