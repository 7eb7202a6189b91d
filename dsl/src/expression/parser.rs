//! A Pratt parser: from tokens to [`Syntax`]. Its recursion is limited, and so is the depth of what it makes.

use std::ops::Range;

use super::lexer::{Token, Wrong};
use super::{Syntax, SyntaxKind};
use crate::code::Code;
use crate::expr::{Binary, Unary};
use crate::limits;
use crate::source::Spanned;

/// How tightly `? :` binds; `||`, `&&`, equality, order and `in`, `??`, sums and products follow, then unary operators.
const CONDITIONAL: u8 = 1;
const COALESCE: u8 = 6;
const UNARY: u8 = 9;

/// An error with its code.
pub(super) type Error = (Code, Wrong);

/// Parses all tokens as one expression. `locate` says where bytes of the text stand in the workflow.
pub(super) fn parse(
    tokens: &[(Token, Range<usize>)],
    end: usize,
    locate: &dyn Fn(Range<usize>) -> Range<usize>,
) -> Result<Syntax, Error> {
    let mut parser = Parser { tokens, at: 0, end, level: 0, locate };
    let syntax = parser.expression(0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(syntax),
        Some((token, range)) => Err(wrong(range.clone(), format!("{} is not expected here", show(token)))),
    }
}

struct Parser<'a> {
    tokens: &'a [(Token, Range<usize>)],
    at: usize,
    end: usize,
    level: usize,
    locate: &'a dyn Fn(Range<usize>) -> Range<usize>,
}

fn wrong(range: Range<usize>, message: impl Into<String>) -> Error {
    (Code::ExpressionSyntax, Wrong { range, message: message.into(), help: None })
}

fn show(token: &Token) -> String {
    match token {
        Token::Name(name) => format!("`{name}`"),
        Token::Int(_) | Token::Float(_) => "a number".to_owned(),
        Token::Text(_) => "a text".to_owned(),
        Token::Sign(sign) => format!("`{sign}`"),
    }
}

/// An operator between two operands: how tightly it binds, and what it is.
fn operator(token: &Token) -> Option<(u8, Option<Binary>)> {
    let binary = match token {
        Token::Sign("||") => (2, Binary::Or),
        Token::Sign("&&") => (3, Binary::And),
        Token::Sign("==") => (4, Binary::Equal),
        Token::Sign("!=") => (4, Binary::NotEqual),
        Token::Sign("<") => (5, Binary::Less),
        Token::Sign("<=") => (5, Binary::LessOrEqual),
        Token::Sign(">") => (5, Binary::Greater),
        Token::Sign(">=") => (5, Binary::GreaterOrEqual),
        Token::Name(name) if name == "in" => (5, Binary::In),
        Token::Sign("??") => return Some((COALESCE, None)),
        Token::Sign("?") => return Some((CONDITIONAL, None)),
        Token::Sign("+") => (7, Binary::Add),
        Token::Sign("-") => (7, Binary::Subtract),
        Token::Sign("*") => (8, Binary::Multiply),
        Token::Sign("/") => (8, Binary::Divide),
        _ => return None,
    };
    Some((binary.0, Some(binary.1)))
}

impl Parser<'_> {
    fn node(&self, kind: SyntaxKind, range: Range<usize>) -> Result<Syntax, Error> {
        let mut below = 0;
        kind.children(&mut |syntax| below = below.max(syntax.depth));
        if below >= limits::EXPRESSION_DEPTH {
            return Err(too_deep(range));
        }
        Ok(Syntax { kind, span: (self.locate)(range), depth: below + 1 })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    /// The bytes of the next token, or the end.
    fn place(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.end..self.end, |(_, range)| range.clone())
    }

    /// Everything from `start` to the last token that was taken.
    fn since(&self, start: usize) -> Range<usize> {
        let end = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(start, |(_, range)| range.end);
        start..end.max(start)
    }

    fn take(&mut self, sign: &'static str) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), Error> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}` is expected"))) }
    }

    fn unexpected(&self, expected: &str) -> Error {
        match self.peek() {
            Some(token) => wrong(self.place(), format!("{expected}, not {}", show(token))),
            None => wrong(self.place(), format!("{expected}, but the expression ends")),
        }
    }

    fn expression(&mut self, minimum: u8) -> Result<Syntax, Error> {
        self.level += 1;
        if self.level > limits::EXPRESSION_DEPTH {
            return Err(too_deep(self.place()));
        }
        let start = self.place().start;
        let mut left = self.operand()?;
        while let Some((binds, binary)) = self.peek().and_then(operator).filter(|(binds, _)| *binds > minimum) {
            self.at += 1;
            let kind = match binary {
                Some(binary) => {
                    let right = self.expression(binds)?;
                    if matches!(binds, 4 | 5) && self.peek().and_then(operator).is_some_and(|(next, _)| next == binds) {
                        let message = "comparisons cannot be chained";
                        let mut error = wrong(self.place(), message);
                        error.1.help = Some("join two comparisons by `&&`");
                        return Err(error);
                    }
                    SyntaxKind::Binary(binary, Box::new(left), Box::new(right))
                }
                None if binds == COALESCE => {
                    SyntaxKind::Coalesce(Box::new(left), Box::new(self.expression(COALESCE - 1)?))
                }
                None => {
                    let yes = self.expression(0)?;
                    if !self.take(":") {
                        let mut error = self.unexpected("`:` is expected");
                        error.1.help = Some("a choice is written `condition ? this : that`");
                        return Err(error);
                    }
                    let no = self.expression(CONDITIONAL - 1)?;
                    SyntaxKind::If(Box::new(left), Box::new(yes), Box::new(no))
                }
            };
            left = self.node(kind, self.since(start))?;
        }
        self.level -= 1;
        Ok(left)
    }

    fn operand(&mut self) -> Result<Syntax, Error> {
        let place = self.place();
        let start = place.start;
        let Some(token) = self.peek().cloned() else { return Err(self.unexpected("a value is expected")) };
        let unary = match token {
            Token::Sign("!") => Some(Unary::Not),
            Token::Sign("-") => Some(Unary::Negate),
            _ => None,
        };
        if let Some(unary) = unary {
            self.at += 1;
            let operand = self.expression(UNARY)?;
            return self.node(SyntaxKind::Unary(unary, Box::new(operand)), self.since(start));
        }
        let kind = match token {
            Token::Int(i) => SyntaxKind::Int(i),
            Token::Float(x) => SyntaxKind::Float(x),
            Token::Text(text) => SyntaxKind::Text(text),
            Token::Name(name) => match name.as_str() {
                "none" => SyntaxKind::None,
                "true" => SyntaxKind::Bool(true),
                "false" => SyntaxKind::Bool(false),
                "in" => return Err(self.unexpected("a value is expected")),
                _ if self.tokens.get(self.at + 1).is_some_and(|(next, _)| *next == Token::Sign("(")) => {
                    self.at += 2;
                    let list = self.list(")")?;
                    let name = Spanned::new(name, (self.locate)(place));
                    let call = self.node(SyntaxKind::Call(name, list), self.since(start))?;
                    return self.postfix(call, start);
                }
                _ => SyntaxKind::Name(name),
            },
            Token::Sign("(") => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.expect(")")?;
                return self.postfix(inner, start);
            }
            Token::Sign("[") => {
                self.at += 1;
                let list = self.list("]")?;
                let list = self.node(SyntaxKind::List(list), self.since(start))?;
                return self.postfix(list, start);
            }
            Token::Sign(_) => return Err(self.unexpected("a value is expected")),
        };
        self.at += 1;
        let operand = self.node(kind, place)?;
        self.postfix(operand, start)
    }

    /// `.field` and `[index]` behind an operand.
    fn postfix(&mut self, mut operand: Syntax, start: usize) -> Result<Syntax, Error> {
        loop {
            let kind = if self.take(".") {
                let place = self.place();
                let Some(Token::Name(name)) = self.peek().cloned() else {
                    return Err(self.unexpected("a name is expected"));
                };
                self.at += 1;
                SyntaxKind::Field(Box::new(operand), Spanned::new(name, (self.locate)(place)))
            } else if self.take("[") {
                let index = self.expression(0)?;
                self.expect("]")?;
                SyntaxKind::Index(Box::new(operand), Box::new(index))
            } else {
                return Ok(operand);
            };
            operand = self.node(kind, self.since(start))?;
        }
    }

    /// `a, b)`
    fn list(&mut self, close: &'static str) -> Result<Vec<Syntax>, Error> {
        let mut list = Vec::new();
        while !self.take(close) {
            list.push(self.expression(0)?);
            if !self.take(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(list)
    }
}

fn too_deep(range: Range<usize>) -> Error {
    (Code::TooDeep, Wrong { range, message: "the expression is nested too deeply".to_owned(), help: None })
}
