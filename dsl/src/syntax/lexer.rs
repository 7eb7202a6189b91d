//! From bytes to tokens. What cannot be part of RON is reported here, and left out.

use std::ops::Range;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::source::quote;

/// A kind of bracket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Round,
    Square,
    Curly,
}

impl Bracket {
    pub(super) fn open(self) -> &'static str {
        match self {
            Bracket::Round => "(",
            Bracket::Square => "[",
            Bracket::Curly => "{",
        }
    }

    pub(super) fn close(self) -> &'static str {
        match self {
            Bracket::Round => ")",
            Bracket::Square => "]",
            Bracket::Curly => "}",
        }
    }
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Open(Bracket),
    Close(Bracket),
    Comma,
    Colon,
    Ident,
    Text,
    Number,
    /// A character or byte literal: RON, but nothing that a workflow can use.
    Unused,
}

/// A token and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

/// The tokens of a file.
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    /// The end is missing, because something never closed; that is reported already.
    pub(super) cut: bool,
}

pub(super) fn lex(source: &str, sink: &mut Sink) -> Lexed {
    let mut lexer = Lexer { source, at: 0, tokens: Vec::new(), sink };
    let cut = lexer.run().is_none();
    Lexed { tokens: lexer.tokens, cut }
}

struct Lexer<'s, 'k> {
    source: &'s str,
    at: usize,
    tokens: Vec<Token>,
    sink: &'k mut Sink,
}

impl Lexer<'_, '_> {
    /// Reads to the end; `None` where something that begins never ends.
    fn run(&mut self) -> Option<()> {
        if self.source.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        while let Some(c) = self.rest().chars().next() {
            let start = self.at;
            let bracket = |kind| move |lexer: &mut Self| lexer.push(kind, start + 1);
            match c {
                ' ' | '\t' | '\n' | '\r' | '\x0B' | '\x0C' | '\u{85}' | '\u{200E}' | '\u{200F}' | '\u{2028}'
                | '\u{2029}' => self.at += c.len_utf8(),
                '(' => bracket(TokenKind::Open(Bracket::Round))(self),
                ')' => bracket(TokenKind::Close(Bracket::Round))(self),
                '[' => bracket(TokenKind::Open(Bracket::Square))(self),
                ']' => bracket(TokenKind::Close(Bracket::Square))(self),
                '{' => bracket(TokenKind::Open(Bracket::Curly))(self),
                '}' => bracket(TokenKind::Close(Bracket::Curly))(self),
                ',' => bracket(TokenKind::Comma)(self),
                ':' => bracket(TokenKind::Colon)(self),
                '=' => self.instead(TokenKind::Colon, ":"),
                ';' => self.instead(TokenKind::Comma, ","),
                '“' | '”' | '„' | '«' | '»' => self.typographic(c),
                '/' => self.comment()?,
                '"' => self.text(1)?,
                '\'' => self.character()?,
                '#' if self.tokens.is_empty() && self.rest().starts_with("#!") => self.attribute()?,
                'r' if self.raw_text_at(1) => self.raw_text(1)?,
                'b' if self.rest().starts_with("b\"") => self.bytes(2)?,
                'b' if self.rest().starts_with("b'") => {
                    self.at += 1;
                    self.character()?;
                }
                'b' if self.rest().starts_with("br") && self.raw_text_at(2) => {
                    self.raw_text(2)?;
                    self.unused_bytes();
                }
                '0'..='9' | '+' | '-' | '.' => self.number(),
                c if c == '_' || c.is_alphabetic() => self.ident(),
                c => self.unexpected(c),
            }
        }
        Some(())
    }

    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn push(&mut self, kind: TokenKind, end: usize) {
        self.tokens.push(Token { kind, span: self.at..end });
        self.at = end;
    }

    fn syntax(&mut self, span: Range<usize>, message: impl Into<String>, label: &str, help: Option<&str>) {
        self.sink.push(Diagnostic::error(Code::Syntax, message).at(&span, label).helps(help));
    }

    /// A sign of another language whose meaning here is clear: it is reported, and read as what it stands for.
    fn instead(&mut self, kind: TokenKind, meant: &str) {
        let span = self.at..self.at + 1;
        let found = quote(&self.source[span.clone()]);
        self.syntax(span.clone(), format!("{found} cannot stand here"), &format!("write `{meant}`"), None);
        self.push(kind, span.end);
    }

    /// A text in typographic quotation marks.
    fn typographic(&mut self, open: char) {
        let rest = &self.rest()[open.len_utf8()..];
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        let close = line
            .find(['”', '“', '»', '«', '"'])
            .map_or(0, |at| at + line[at..].chars().next().map_or(0, char::len_utf8));
        let span = self.at..self.at + open.len_utf8() + close;
        let help = Some("texts are written in straight quotation marks: \"…\"");
        self.syntax(span.clone(), "typographic quotation marks cannot stand here", "not a text", help);
        self.push(TokenKind::Unused, span.end);
    }

    fn unexpected(&mut self, c: char) {
        let span = self.at..self.at + c.len_utf8();
        let help = match c {
            '$' => Some("expressions stand inside texts: \"${{ inputs.port }}\""),
            _ => None,
        };
        self.syntax(span.clone(), format!("{} cannot stand here", quote(&c.to_string())), "not part of RON", help);
        self.at = span.end;
    }

    fn comment(&mut self) -> Option<()> {
        if self.rest().starts_with("//") {
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            return Some(());
        }
        if !self.rest().starts_with("/*") {
            self.unexpected('/');
            return Some(());
        }
        let (start, mut level) = (self.at, 0_usize);
        loop {
            if self.rest().starts_with("/*") {
                level += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                level -= 1;
                self.at += 2;
                if level == 0 {
                    return Some(());
                }
            } else if let Some(c) = self.rest().chars().next() {
                self.at += c.len_utf8();
            } else {
                self.syntax(start..start + 2, "a comment is never closed", "begins here", Some("close it by `*/`"));
                return None;
            }
        }
    }

    /// A text that begins with `prefix` bytes up to and with its quotation mark.
    fn text(&mut self, prefix: usize) -> Option<()> {
        let bytes = self.source.as_bytes();
        let mut end = self.at + prefix;
        loop {
            match bytes.get(end) {
                Some(b'\\') => end += 2,
                Some(b'"') => break,
                Some(_) => end += 1,
                None => {
                    let start = self.at;
                    let help = Some("close it by `\"`");
                    self.syntax(start..start + prefix, "a text is never closed", "begins here", help);
                    return None;
                }
            }
        }
        self.push(TokenKind::Text, end + 1);
        Some(())
    }

    fn raw_text_at(&self, prefix: usize) -> bool {
        self.rest()[prefix..].trim_start_matches('#').starts_with('"')
    }

    fn raw_text(&mut self, prefix: usize) -> Option<()> {
        let hashes = self.rest()[prefix..].bytes().take_while(|b| *b == b'#').count();
        let content = self.at + prefix + hashes + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        let Some(length) = self.source[content..].find(&close) else {
            let start = self.at;
            let help = format!("close it by `{close}`");
            self.syntax(start..content, "a raw text is never closed", "begins here", Some(&help));
            return None;
        };
        self.push(TokenKind::Text, content + length + close.len());
        Some(())
    }

    fn bytes(&mut self, prefix: usize) -> Option<()> {
        self.text(prefix)?;
        self.unused_bytes();
        Some(())
    }

    fn unused_bytes(&mut self) {
        if let Some(token) = self.tokens.last_mut() {
            token.kind = TokenKind::Unused;
            let span = token.span.clone();
            self.syntax(span, "a workflow has no byte strings", "a text is written without the `b`", None);
        }
    }

    /// `'x'`, which is RON, or `'several'`, which is meant as a text.
    fn character(&mut self) -> Option<()> {
        let start = self.at;
        let line = self.rest().find('\n').unwrap_or(self.rest().len());
        let mut length = 1;
        let bytes = self.rest().as_bytes();
        while length < line && bytes[length] != b'\'' {
            length += if bytes[length] == b'\\' { 2 } else { 1 };
        }
        let end = self.source.floor_char_boundary((start + length + 1).min(start + line));
        let help = Some("texts are written in double quotation marks");
        self.syntax(start..end, "a workflow has no single characters", "not a text", help);
        self.push(TokenKind::Unused, end.max(start + 1));
        Some(())
    }

    fn number(&mut self) {
        let bytes = self.rest().as_bytes();
        let mut length = 1;
        while let Some(b) = bytes.get(length) {
            let exponent = matches!(b, b'+' | b'-') && matches!(bytes[length - 1], b'e' | b'E');
            if !b.is_ascii_alphanumeric() && !matches!(b, b'_' | b'.') && !exponent {
                break;
            }
            length += 1;
        }
        self.push(TokenKind::Number, self.at + length);
    }

    fn ident(&mut self) {
        let raw = if self.rest().starts_with("r#") { 2 } else { 0 };
        let rest = &self.rest()[raw..];
        let length = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
        self.push(TokenKind::Ident, self.at + raw + length);
    }

    /// `#![schema = "…"]` and `#![type = "…"]` are for editors; `enable` would change what RON means.
    fn attribute(&mut self) -> Option<()> {
        let start = self.at;
        let Some(length) = self.rest().find(']') else {
            self.syntax(start..start + 2, "an attribute is never closed", "begins here", Some("close it by `]`"));
            return None;
        };
        let end = start + length + 1;
        let body: String = self.source[start..end].split_whitespace().collect();
        if body.starts_with("#![enable") && body != "#![enable(implicit_some)]" {
            let label = "a workflow is read the same way without it";
            self.syntax(start..end, "an extension of RON that has no effect here", label, Some("remove it"));
        }
        self.at = end;
        Some(())
    }
}
