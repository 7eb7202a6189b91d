//! Python's literals: how Ansible reads the values of INI inventories (`ast.literal_eval`). What is none is the text itself.
//!
//! The grammar is the one of <https://docs.python.org/3/library/ast.html#ast.literal_eval>.

use store::Secret;

use super::value::{Value, Variables};

/// Brackets inside brackets; a deeper value stays a text.
const NESTING: usize = 64;

/// The value that a text is.
pub fn value(text: &str) -> Value {
    literal(text).unwrap_or_else(|| Value::text(text))
}

fn literal(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text.trim_start_matches([' ', '\t']), depth: 0 };
    let first = reader.expression()?;
    reader.space();
    if !reader.rest.starts_with(',') {
        return reader.rest.is_empty().then_some(first);
    }
    // `1, 2` is a tuple without brackets.
    let mut all = vec![first];
    while reader.eat(",") {
        reader.space();
        if reader.rest.is_empty() {
            break;
        }
        all.push(reader.expression()?);
        reader.space();
    }
    reader.rest.is_empty().then_some(Value::List(all))
}

struct Reader<'t> {
    rest: &'t str,
    depth: usize,
}

impl<'t> Reader<'t> {
    /// Skips what means nothing: blanks, and a comment.
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\x0c']);
        if self.rest.starts_with('#') {
            self.rest = "";
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expression(&mut self) -> Option<Value> {
        self.space();
        let first = self.rest.chars().next()?;
        match first {
            '[' => self.sequence('[', ']'),
            '(' => self.sequence('(', ')'),
            '{' => self.braces(),
            '+' | '-' => {
                self.rest = self.rest[1..].trim_start_matches([' ', '\t']);
                match (first, self.number()?) {
                    ('-', Value::Int(number)) => Some(Value::Int(-number)),
                    ('-', Value::Float(number)) => Some(Value::Float(-number)),
                    ('+', number @ (Value::Int(_) | Value::Float(_))) => Some(number),
                    _ => None,
                }
            }
            '.' if self.rest.starts_with("...") => {
                self.rest = &self.rest[3..];
                Some(Value::text("..."))
            }
            '0'..='9' | '.' => self.number(),
            '\'' | '"' => self.texts(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if rest.starts_with(['\'', '"']) {
            return self.texts();
        }
        self.rest = rest;
        match word {
            "None" => Some(Value::None),
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            "set" => self.eat("()").then_some(Value::List(Vec::new())),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        let mut before = ' ';
        let end = self.rest.find(|c: char| {
            let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !self.rest.starts_with("0x");
            before = c;
            !sign && !c.is_ascii_alphanumeric() && c != '_' && c != '.'
        });
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        number(word)
    }

    /// Several beside each other are one.
    fn texts(&mut self) -> Option<Value> {
        let mut whole = String::new();
        let mut of_bytes = None;
        while let Some((raw, bytes)) = self.text_prefix() {
            // Texts and bytes do not join.
            if of_bytes.is_some_and(|before| before != bytes) {
                return None;
            }
            of_bytes = Some(bytes);
            self.one_text(raw, bytes, &mut whole)?;
            self.space();
        }
        // Ansible resolves no templates in bytes.
        match of_bytes? {
            true => Some(Value::Raw(Secret::from(whole))),
            false => Some(Value::text(whole)),
        }
    }

    /// Whether a text begins here, and is raw, or of bytes.
    fn text_prefix(&mut self) -> Option<(bool, bool)> {
        let quote = self.rest.find(['\'', '"']).filter(|at| *at <= 2)?;
        let prefix = self.rest[..quote].to_ascii_lowercase();
        let kind = match prefix.as_str() {
            "" | "u" => (false, false),
            "r" => (true, false),
            "b" => (false, true),
            "rb" | "br" => (true, true),
            _ => return None,
        };
        self.rest = &self.rest[quote..];
        Some(kind)
    }

    fn one_text(&mut self, raw: bool, bytes: bool, into: &mut String) -> Option<()> {
        let quote = self.rest.chars().next()?;
        let triple = quote.to_string().repeat(3);
        let close = if self.rest.starts_with(&triple) { triple } else { quote.to_string() };
        self.rest = &self.rest[close.len()..];
        loop {
            if self.eat(&close) {
                return Some(());
            }
            let c = self.rest.chars().next()?;
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                _ if bytes && !c.is_ascii() => return None,
                '\\' if raw => {
                    let next = self.rest.chars().next()?;
                    self.rest = &self.rest[next.len_utf8()..];
                    into.extend(['\\', next]);
                }
                '\\' => self.escape(bytes, into)?,
                c => into.push(c),
            }
        }
    }

    fn escape(&mut self, bytes: bool, into: &mut String) -> Option<()> {
        let c = self.rest.chars().next()?;
        if let '0'..='7' = c {
            let digits = self.rest.bytes().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
            let code = u32::from_str_radix(&self.rest[..digits], 8).ok()?;
            self.rest = &self.rest[digits..];
            into.push(char::from_u32(code)?);
            return Some(());
        }
        self.rest = &self.rest[c.len_utf8()..];
        let coded = |digits: usize, reader: &mut Reader<'t>| {
            let hex = reader.rest.get(..digits).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
            reader.rest = &reader.rest[digits..];
            char::from_u32(u32::from_str_radix(hex, 16).ok()?)
        };
        let meant = match c {
            '\n' => return Some(()),
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            '\\' | '\'' | '"' => c,
            'x' => coded(2, self)?,
            'u' if !bytes => coded(4, self)?,
            'U' if !bytes => coded(8, self)?,
            // A character by its name: the text stays as it is written.
            'N' if !bytes => return None,
            // An escape that is none stays.
            other => {
                into.extend(['\\', other]);
                return Some(());
            }
        };
        into.push(meant);
        Some(())
    }

    fn sequence(&mut self, open: char, close: char) -> Option<Value> {
        self.deeper(open)?;
        let mut all = Vec::new();
        let mut comma = false;
        loop {
            self.space();
            if self.eat(close.encode_utf8(&mut [0; 4])) {
                self.depth -= 1;
                // `(1)` is no tuple.
                return match (open, comma, all.len()) {
                    ('(', false, 1) => all.pop(),
                    _ => Some(Value::List(all)),
                };
            }
            if !all.is_empty() && !comma {
                return None;
            }
            all.push(self.expression()?);
            self.space();
            comma = self.eat(",");
        }
    }

    /// A map, or a set.
    fn braces(&mut self) -> Option<Value> {
        self.deeper('{')?;
        let (mut map, mut set) = (Variables::new(), Vec::new());
        let mut comma = true;
        loop {
            self.space();
            if self.eat("}") {
                self.depth -= 1;
                return Some(if set.is_empty() { Value::Map(map) } else { Value::List(set) });
            }
            if !comma {
                return None;
            }
            let key = self.expression()?;
            self.space();
            if self.eat(":") {
                let value = self.expression()?;
                map.insert(name(&key)?, value);
            } else {
                set.push(key);
            }
            if !map.is_empty() && !set.is_empty() {
                return None;
            }
            self.space();
            comma = self.eat(",");
        }
    }

    fn deeper(&mut self, open: char) -> Option<()> {
        self.rest = &self.rest[open.len_utf8()..];
        self.depth += 1;
        (self.depth <= NESTING).then_some(())
    }
}

/// A key as JSON writes it, where names are texts.
pub fn name(key: &Value) -> Option<String> {
    match key {
        Value::Text(text) | Value::Raw(text) => Some(text.expose().to_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(format!("{number:?}")),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::None => Some("null".to_owned()),
        Value::Vault(_) | Value::Hidden(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// `1_000`, `0x1f`, `1.5e3`, `2j`; `017` is none.
fn number(word: &str) -> Option<Value> {
    let digits = |text: &str| {
        let whole = !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
        whole.then(|| text.replace('_', ""))
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if word.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
            let text = word[2..].strip_prefix('_').unwrap_or(&word[2..]);
            return i128::from_str_radix(&digits(text)?, radix)
                .ok()
                .filter(|_| !text.starts_with(['+', '-']))
                .map(Value::Int);
        }
    }
    if let Some(imaginary) = word.strip_suffix(['j', 'J']) {
        return match number(imaginary)? {
            Value::Int(number) => Some(Value::text(format!("{number}j"))),
            Value::Float(number) => Some(Value::text(format!("{number}j"))),
            _ => None,
        };
    }
    if word.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        let text = digits(word)?;
        let leading = text.len() > 1 && text.starts_with('0') && text.bytes().any(|b| b != b'0');
        return if leading { None } else { text.parse().ok().map(Value::Int) };
    }
    let plain = word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'_' | b'e' | b'E' | b'+' | b'-'));
    if !plain || !word.split(['.', 'e', 'E', '+', '-']).all(|part| digits(part).is_some()) {
        return None;
    }
    word.replace('_', "").parse().ok().map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nest_of_brackets_is_a_text_and_no_overflow() {
        for open in ["[", "(", "{1:", "-"] {
            let deep = open.repeat(200_000);
            assert_eq!(value(&deep), Value::text(deep.clone()), "{open}");
        }
        assert_eq!(value(&"'a' ".repeat(1_000)), Value::text("a".repeat(1_000)));
    }
}
