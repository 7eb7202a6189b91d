//! From the text of an expression to its tokens.

use std::ops::Range;

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Int(i64),
    Float(f64),
    Text(String),
    /// An operator or bracket.
    Sign(&'static str),
}

/// Tokens with the bytes of the text that they stand in.
pub(super) type Tokens = Vec<(Token, Range<usize>)>;

/// What is wrong, and which bytes of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wrong {
    pub(super) range: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
}

/// Signs, longer ones before those that they begin with.
const SIGNS: [&str; 25] = [
    "==", "!=", "<=", ">=", "&&", "||", "??", "<", ">", "!", "?", ":", "+", "-", "*", "/", "(", ")", "[", "]", ",",
    ".", "%", "=", "&",
];

/// Reads the tokens of `text` from byte `from` up to `}}`, or to the end. Gives where the expression ends.
pub(super) fn lex(text: &str, from: usize) -> Result<(Tokens, usize), Wrong> {
    let (mut tokens, mut at) = (Vec::new(), from);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        if rest.starts_with("}}") {
            break;
        }
        let (token, length) = match c {
            '\'' => quoted(text, at)?,
            '0'..='9' => number(text, at)?,
            c if c == '_' || c.is_ascii_alphabetic() => {
                let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                (Token::Name(rest[..end].to_owned()), end)
            }
            c => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => return Err(unexpected(c, at)),
            },
        };
        if let Token::Sign(sign @ ("%" | "=" | "&")) = token {
            return Err(unexpected(sign.chars().next().unwrap_or(' '), at));
        }
        tokens.push((token, at..at + length));
        at += length;
    }
    Ok((tokens, at))
}

fn unexpected(c: char, at: usize) -> Wrong {
    let help = match c {
        '"' => Some("texts in expressions are single-quoted: 'like this'"),
        '=' => Some("equality is `==`"),
        '&' => Some("`and` is `&&`"),
        '|' => Some("`or` is `||`"),
        '$' => Some("inside an expression names stand as they are: inputs.port"),
        _ => None,
    };
    Wrong { range: at..at + c.len_utf8(), message: format!("`{}` is no part of expressions", c.escape_debug()), help }
}

fn quoted(text: &str, at: usize) -> Result<(Token, usize), Wrong> {
    let (mut value, mut chars) = (String::new(), text[at..].char_indices().skip(1));
    while let Some((i, c)) = chars.next() {
        match c {
            '\'' => return Ok((Token::Text(value), i + 1)),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, c @ ('\\' | '\''))) => value.push(c),
                other => {
                    let end = other.map_or(i + 1, |(i, c)| i + c.len_utf8());
                    let message = "there is no such escape".to_owned();
                    let help =
                        Some("there are \\', \\\\, \\n and \\t; in a quoted text of RON the backslash is doubled");
                    return Err(Wrong { range: at + i..at + end, message, help });
                }
            },
            c => value.push(c),
        }
    }
    Err(Wrong { range: at..at + 1, message: "a text is never closed".to_owned(), help: Some("close it by '") })
}

fn number(text: &str, at: usize) -> Result<(Token, usize), Wrong> {
    let rest = &text[at..];
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    let part = if rest[whole..].starts_with('.') { digits(&rest[whole + 1..]) } else { 0 };
    let length = if part > 0 { whole + 1 + part } else { whole };
    let wrong = |end: usize, message: &str| Wrong { range: at..at + end, message: message.to_owned(), help: None };
    let tail = rest[length..].bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    if tail > 0 {
        let help = Some("durations and sizes are compared as texts: inputs.wait > '5m'");
        return Err(Wrong { help, ..wrong(length + tail, "this is neither a number nor a name") });
    }
    let number = &rest[..length];
    let token = if part > 0 {
        number.parse().ok().filter(|x: &f64| x.is_finite()).map(Token::Float)
    } else {
        number.parse().ok().map(Token::Int)
    };
    token.map(|token| (token, length)).ok_or_else(|| wrong(length, "the number is too large"))
}
