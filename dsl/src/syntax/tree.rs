//! From tokens to a tree. Behind an error the reader goes on at the next comma or closing bracket, so that one slip does
//! not hide the others; what was affected is marked [`Struct::broken`] or missing, never guessed.

use std::collections::HashMap;
use std::ops::Range;

use super::lexer::{Bracket, Lexed, Token, TokenKind};
use super::node::{Kind, Node, Struct};
use super::text::Text;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::limits;
use crate::source::{Spanned, plain, quote};

/// Builds the tree of a file.
pub(super) fn build(source: &str, lexed: Lexed, sink: &mut Sink) -> Option<Node> {
    let mut builder = Builder { source, tokens: lexed.tokens, at: 0, cut: lexed.cut, open: Vec::new(), sink };
    if builder.tokens.is_empty() {
        if !builder.cut {
            let message = "the file is empty: a workflow is expected";
            let help = "begin with `Workflow(name: \"…\", steps: [])`";
            builder.sink.push(Diagnostic::error(Code::Syntax, message).at(&(0..0), "").help(help));
        }
        return None;
    }
    if builder.cut {
        builder.sink.doubt(true);
    }
    let node = builder.value();
    if let Some(token) = builder.peek().cloned() {
        builder.sink.doubt(true);
        let message = "something follows the workflow";
        builder
            .sink
            .push(Diagnostic::error(Code::Syntax, message).at(&token.span, "the workflow has ended before this"));
    }
    Some(node)
}

struct Builder<'s, 'k> {
    source: &'s str,
    tokens: Vec<Token>,
    at: usize,
    /// The end of the file is missing, and that is reported.
    cut: bool,
    /// The brackets that are open.
    open: Vec<(Bracket, Range<usize>)>,
    sink: &'k mut Sink,
}

/// What came behind an element.
enum After {
    More,
    End(usize),
}

impl Builder<'_, '_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn kind(&self, ahead: usize) -> Option<TokenKind> {
        self.tokens.get(self.at + ahead).map(|token| token.kind)
    }

    fn error(&mut self, span: &Range<usize>, message: impl Into<String>, label: impl Into<String>) {
        self.sink.push(Diagnostic::error(Code::Syntax, message).at(span, label));
    }

    fn end_of_file(&self) -> usize {
        self.tokens.last().map_or(0, |token| token.span.end)
    }

    /// Reads a value. Where there is none, that is reported, nothing is consumed, and the value is [`Kind::Broken`].
    fn value(&mut self) -> Node {
        let Some(token) = self.peek().cloned() else {
            let end = self.end_of_file();
            if !std::mem::replace(&mut self.cut, true) {
                self.error(&(end..end), "the file ends where a value is expected", "a value is missing");
            }
            return Node { kind: Kind::Broken, span: end..end };
        };
        let span = token.span.clone();
        let kind = match token.kind {
            TokenKind::Open(bracket) => return self.brackets(bracket, None, span),
            TokenKind::Ident => return self.word(span),
            TokenKind::Text => self.text(&span).map_or(Kind::Broken, Kind::Text),
            TokenKind::Number => Kind::Number,
            TokenKind::Unused => Kind::Broken,
            TokenKind::Comma | TokenKind::Colon | TokenKind::Close(_) => {
                let found = quote(&self.source[span.clone()]);
                self.error(&span, format!("a value is expected, not {found}"), "a value is missing before this");
                return Node { kind: Kind::Broken, span };
            }
        };
        self.at += 1;
        Node { kind, span }
    }

    fn text(&mut self, span: &Range<usize>) -> Option<Text> {
        match Text::read(self.source, span.clone()) {
            Ok(text) => Some(text),
            Err((place, reason)) => {
                let diagnostic = Diagnostic::error(Code::Syntax, "a text cannot be read").at(&place, plain(&reason));
                self.sink.push(diagnostic.help("a backslash is written `\\\\`, or the text raw: r\"…\""));
                None
            }
        }
    }

    fn word(&mut self, span: Range<usize>) -> Node {
        self.at += 1;
        let word = self.source[span.clone()].trim_start_matches("r#").to_owned();
        if self.kind(0) == Some(TokenKind::Open(Bracket::Round)) {
            let name = Spanned::new(word, span.clone());
            return self.brackets(Bracket::Round, Some(name), span);
        }
        let kind = match word.as_str() {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "None" => Kind::Absent,
            _ => Kind::Word(word),
        };
        Node { kind, span }
    }

    fn brackets(&mut self, bracket: Bracket, name: Option<Spanned<String>>, start: Range<usize>) -> Node {
        let open = self.peek().map_or(start.clone(), |token| token.span.clone());
        if self.open.len() >= limits::NESTING {
            let message = format!("brackets are nested more than {} deep", limits::NESTING);
            self.sink.push(Diagnostic::error(Code::TooDeep, message).at(&open, "one too many"));
            let end = self.skip_brackets();
            return Node { kind: Kind::Broken, span: start.start..end };
        }
        self.at += 1;
        self.open.push((bracket, open));
        let (kind, end) = match bracket {
            Bracket::Round => self.fields(name),
            Bracket::Square => self.elements(),
            Bracket::Curly => self.entries(),
        };
        self.open.pop();
        Node { kind, span: start.start..end }
    }

    fn fields(&mut self, name: Option<Spanned<String>>) -> (Kind, usize) {
        let mut this = Struct { name, positional: Vec::new(), fields: Vec::new(), broken: false };
        let mut seen: HashMap<String, Range<usize>> = HashMap::new();
        let end = loop {
            if let Some(end) = self.close(&mut this.broken) {
                break end;
            }
            let named = self.kind(1) == Some(TokenKind::Colon);
            match self.kind(0) {
                Some(TokenKind::Ident | TokenKind::Text) if named => {
                    let key = self.field_name();
                    self.at += 2;
                    let value = self.value();
                    this.broken |= value.kind == Kind::Broken;
                    if let Some(first) = seen.get(&key.value) {
                        let message = format!("the field {} is given twice", quote(&key.value));
                        self.duplicate(message, &key.span, &first.clone());
                    } else {
                        seen.insert(key.value.clone(), key.span.clone());
                        this.fields.push((key, value));
                    }
                }
                _ if self.begins_anew(&this) => break self.never_closed(&mut this.broken),
                _ => {
                    let value = self.value();
                    this.broken |= value.kind == Kind::Broken;
                    this.positional.push(value);
                }
            }
            match self.separator(&mut this.broken) {
                After::More => {}
                After::End(end) => break end,
            }
        };
        let some = this.name.as_ref().is_some_and(|name| name.value == "Some");
        match this.positional.pop() {
            Some(only) if some && this.positional.is_empty() && this.fields.is_empty() => (only.kind, end),
            last => {
                this.positional.extend(last);
                (Kind::Struct(this), end)
            }
        }
    }

    /// Whether what stands here is one more of the struct that is being read, `Step(… Step(…`: no struct holds its like
    /// without a name, so its bracket was forgotten.
    fn begins_anew(&self, this: &Struct) -> bool {
        let Some(name) = this.name.as_ref().filter(|name| name.value != "Some" && !this.fields.is_empty()) else {
            return false;
        };
        let next = self.peek().map(|token| &self.source[token.span.clone()]);
        next == Some(name.value.as_str()) && self.kind(1) == Some(TokenKind::Open(Bracket::Round))
    }

    /// Ends the innermost bracket without its closing one, before the comma that belongs behind it.
    fn never_closed(&mut self, broken: &mut bool) -> usize {
        *broken = true;
        let before = self.at.saturating_sub(1);
        let comma = self.tokens.get(before).is_some_and(|token| token.kind == TokenKind::Comma);
        if comma {
            self.at = before;
        }
        let end = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.span.end);
        if let Some((bracket, open)) = self.open.last().cloned() {
            let message = format!("`{}` is never closed", bracket.open());
            let diagnostic = Diagnostic::error(Code::Syntax, message);
            let label = format!("`{}` is missing here", bracket.close());
            self.sink.push(diagnostic.at(&(end..end), label).at(&open, "opened here"));
        }
        end
    }

    /// The name of a field; one in quotation marks is reported.
    fn field_name(&mut self) -> Spanned<String> {
        let Some(token) = self.peek().cloned() else { return Spanned::new(String::new(), 0..0) };
        let written = &self.source[token.span.clone()];
        let name = written.trim_start_matches("r#").trim_matches('"').to_owned();
        if token.kind == TokenKind::Text {
            let message = "the name of a field stands in quotation marks";
            self.error(&token.span, message, format!("write {}", quote(&name)));
        }
        Spanned::new(name, token.span)
    }

    fn elements(&mut self) -> (Kind, usize) {
        let (mut list, mut broken) = (Vec::new(), false);
        let end = loop {
            if let Some(end) = self.close(&mut broken) {
                break end;
            }
            list.push(self.value());
            match self.separator(&mut broken) {
                After::More => {}
                After::End(end) => break end,
            }
        };
        if broken && list.is_empty() {
            // So that nobody takes it for an empty list.
            list.push(Node { kind: Kind::Broken, span: end..end });
        }
        (Kind::List(list), end)
    }

    fn entries(&mut self) -> (Kind, usize) {
        let (mut map, mut broken) = (Vec::<(Text, Node)>::new(), false);
        let mut seen: HashMap<String, Range<usize>> = HashMap::new();
        let end = loop {
            if let Some(end) = self.close(&mut broken) {
                break end;
            }
            if let Some((key, value)) = self.entry() {
                if let Some(first) = seen.get(&key.value) {
                    let message = format!("the key {} is given twice", quote(&key.value));
                    self.duplicate(message, &key.span, &first.clone());
                } else {
                    seen.insert(key.value.clone(), key.span.clone());
                    map.push((key, value));
                }
            }
            match self.separator(&mut broken) {
                After::More => {}
                After::End(end) => break end,
            }
        };
        (Kind::Map(map), end)
    }

    /// `"key": value`; `None` where it is reported instead.
    fn entry(&mut self) -> Option<(Text, Node)> {
        let token = self.peek().cloned()?;
        let key = match token.kind {
            TokenKind::Text => self.text(&token.span),
            TokenKind::Ident if self.kind(1) == Some(TokenKind::Colon) => {
                let name = &self.source[token.span.clone()];
                let label = format!("write \"{}\"", plain(name));
                self.error(&token.span, "the key of a map is no text", label);
                Some(Text::bare(name, token.span.clone()))
            }
            _ => {
                let found = quote(&self.source[token.span.clone()]);
                self.error(&token.span, format!("a key is expected, not {found}"), "keys are texts: `\"name\": value`");
                if !matches!(token.kind, TokenKind::Comma | TokenKind::Colon | TokenKind::Close(_)) {
                    self.value();
                }
                return None;
            }
        };
        self.at += 1;
        if self.kind(0) != Some(TokenKind::Colon) {
            self.error(&(token.span.end..token.span.end), "a key has no value", "`: value` is missing here");
            let value_follows = match self.kind(0) {
                Some(TokenKind::Text | TokenKind::Ident) => self.kind(1) != Some(TokenKind::Colon),
                Some(TokenKind::Number | TokenKind::Open(_)) => true,
                _ => false,
            };
            return Some((key?, value_follows.then(|| self.value())?));
        }
        self.at += 1;
        let value = self.value();
        Some((key?, value))
    }

    fn duplicate(&mut self, message: String, second: &Range<usize>, first: &Range<usize>) {
        let diagnostic = Diagnostic::error(Code::DuplicateKey, message);
        self.sink.push(diagnostic.at(second, "given again here").at(first, "given here first"));
    }

    /// Whether the brackets that are open innermost end here; then where.
    fn close(&mut self, broken: &mut bool) -> Option<usize> {
        let (bracket, open) = self.open.last().cloned()?;
        match self.peek().cloned() {
            Some(Token { kind: TokenKind::Close(found), span }) if found == bracket => {
                self.at += 1;
                Some(span.end)
            }
            Some(Token { kind: TokenKind::Close(found), span }) => {
                *broken = true;
                self.sink.doubt(true);
                let message = format!("`{}` is closed by `{}`", bracket.open(), found.close());
                let diagnostic = Diagnostic::error(Code::Syntax, message);
                let label = format!("`{}` is expected", bracket.close());
                self.sink.push(diagnostic.at(&span, label).at(&open, "opened here"));
                // Where an outer bracket waits for this one, the inner one was forgotten; else this one is a slip.
                if !self.open.iter().any(|(outer, _)| *outer == found) {
                    self.at += 1;
                }
                Some(span.end)
            }
            Some(_) => None,
            None => {
                *broken = true;
                self.sink.doubt(true);
                if !std::mem::replace(&mut self.cut, true) {
                    let message = format!("`{}` is never closed", bracket.open());
                    self.error(&open, message, format!("`{}` is missing", bracket.close()));
                }
                Some(self.end_of_file())
            }
        }
    }

    /// What stands between elements: a comma, or the end.
    fn separator(&mut self, broken: &mut bool) -> After {
        if self.kind(0) == Some(TokenKind::Comma) {
            self.at += 1;
            return After::More;
        }
        if matches!(self.kind(0), None | Some(TokenKind::Close(_))) {
            return self.close(broken).map_or(After::More, After::End);
        }
        *broken = true;
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.span.end);
        let close = self.open.last().map_or("", |(bracket, _)| bracket.close());
        if !matches!(self.kind(0), Some(TokenKind::Colon)) {
            self.error(&(before..before), format!("`,` or `{close}` is expected"), "missing here");
            // What follows reads like the next element.
            return After::More;
        }
        if let Some(token) = self.peek().cloned() {
            self.error(&token.span, format!("`,` or `{close}` is expected, not `:`"), "not expected here");
        }
        while let Some(kind) = self.kind(0) {
            match kind {
                TokenKind::Comma => {
                    self.at += 1;
                    return After::More;
                }
                TokenKind::Close(_) => break,
                TokenKind::Open(_) => {
                    self.skip_brackets();
                }
                _ => self.at += 1,
            }
        }
        After::More
    }

    /// Goes behind the bracket that closes the one that opens here; gives where that is.
    fn skip_brackets(&mut self) -> usize {
        let mut depth = 0_usize;
        while let Some(token) = self.peek().cloned() {
            self.at += 1;
            match token.kind {
                TokenKind::Open(_) => depth += 1,
                TokenKind::Close(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return token.span.end;
            }
        }
        self.end_of_file()
    }
}
