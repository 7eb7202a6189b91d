//! YAML, merged as JSON merge patch says, line by line: comments and order stay, because only the lines of keys that change
//! are written anew.
//!
//! Lines are found by their indentation, which is right for the files that programs are configured with and not for all that
//! YAML can be. So the result is proved: read by a parser that knows nothing of lines, it must mean what the merge means, or
//! nothing is written. What a value was is written as one line of flow style where it is a list.
//!
//! Invariant: an error says nothing of what stands in the file; the parser's own words would.

use dsl::data::Data;
use serde_json::{Map, Value};

use super::Wrong;
use super::json::{plain, quoted, string};

type Entries = [(String, Data)];

/// The text after the patch; the same text where there is nothing to do.
pub fn merge(text: &str, patch: &Entries) -> Result<String, Wrong> {
    let before = read(text)?;
    let after = merged(&before, patch);
    if after == before {
        return Ok(text.to_owned());
    }
    let lines: Vec<Line> = text.split_inclusive('\n').map(Line::of).collect();
    let unit = lines.iter().filter(|line| line.says).map(|line| line.indent).find(|indent| *indent > 0).unwrap_or(2);
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut editor = Editor { unit, newline, out: String::with_capacity(text.len()) };
    let indent = lines.iter().find(|line| line.key.is_some()).map_or(0, |line| line.indent);
    editor.region(&lines, indent, &before, patch);
    match read(&editor.out) {
        Ok(found) if found == after => Ok(editor.out),
        _ => Err(Wrong::of_patch(
            "it is written in a way that cannot be changed line by line: write it anew by `WriteFile`",
        )),
    }
}

/// What a file says: a map.
fn read(text: &str) -> Result<Value, Wrong> {
    let nothing =
        text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#') || line == "---");
    if nothing {
        return Ok(Value::Object(Map::new()));
    }
    match serde_saphyr::from_str::<Value>(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Wrong { at: Some((1, 1)), what: "the file is no map".to_owned() }),
        Err(error) => Err(Wrong {
            at: error.location().map(|at| (at.line() as usize, at.column() as usize)),
            what: "it is not one document of plain YAML, with texts as keys".to_owned(),
        }),
    }
}

/// RFC 7386, section 2.
fn merged(before: &Value, patch: &Entries) -> Value {
    let mut after = before.as_object().cloned().unwrap_or_default();
    for (name, data) in patch {
        match data {
            Data::Null => drop(after.remove(name)),
            Data::Map(inner) => {
                let value = merged(after.get(name).unwrap_or(&Value::Null), inner);
                after.insert(name.clone(), value);
            }
            data => drop(after.insert(name.clone(), plain(data))),
        }
    }
    Value::Object(after)
}

/// A line of the file.
struct Line<'t> {
    whole: &'t str,
    indent: usize,
    /// It is neither empty nor a comment alone.
    says: bool,
    /// The key that it begins with, and where the colon behind it ends.
    key: Option<(String, usize)>,
}

impl<'t> Line<'t> {
    fn of(whole: &'t str) -> Line<'t> {
        let text = whole.trim_end_matches(['\n', '\r']);
        let indent = text.len() - text.trim_start_matches(' ').len();
        let rest = &text[indent..];
        let says = !rest.trim().is_empty() && !rest.starts_with('#');
        Line { whole, indent, says, key: key(rest).filter(|_| says).map(|(key, end)| (key, indent + end)) }
    }
}

/// The key at the begin of a text, and where the colon behind it ends.
fn key(text: &str) -> Option<(String, usize)> {
    let (key, end) = match text.chars().next()? {
        '"' => {
            let end = string(text, 0);
            (serde_json::from_str(&text[..end]).ok()?, end)
        }
        '\'' => {
            // A quotation mark in it is written twice.
            let end = 1 + text[1..].replace("''", "--").find('\'')?;
            (text[1..end].replace("''", "'"), end + 1)
        }
        '-' | '?' | ':' | ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '%' | '@' | '`' => {
            return None;
        }
        _ => {
            let colon = text.find(": ").or_else(|| text.strip_suffix(':').map(str::len))?;
            (text[..colon].trim_end().to_owned(), colon)
        }
    };
    let behind = text[end..].trim_start_matches(' ');
    let colon = text.len() - behind.len() + 1;
    let ends = behind == ":" || behind.starts_with(": ");
    ends.then_some((key, colon))
}

struct Editor {
    unit: usize,
    newline: &'static str,
    out: String,
}

impl Editor {
    /// Writes the lines of a map whose keys stand at `indent`, with the patch in them.
    fn region(&mut self, lines: &[Line], indent: usize, before: &Value, patch: &Entries) {
        let starts: Vec<usize> =
            (0..lines.len()).filter(|at| lines[*at].indent == indent && lines[*at].key.is_some()).collect();
        let first = starts.first().copied().unwrap_or(lines.len());
        lines[..first].iter().for_each(|line| self.push(line.whole));
        for (nth, &start) in starts.iter().enumerate() {
            let next = starts.get(nth + 1).copied().unwrap_or(lines.len());
            // What follows the last line that says something, and stands no deeper, belongs to nobody.
            let own = |line: &Line| line.says || (line.indent > indent && !line.whole.trim().is_empty());
            let end = 1 + start + lines[start + 1..next].iter().rposition(own).map_or(0, |last| last + 1);
            self.entry(&lines[start..end], indent, before, patch);
            // New keys follow the last one.
            if nth + 1 == starts.len() {
                self.added(indent, before, patch);
            }
            lines[end..next].iter().for_each(|line| self.push(line.whole));
        }
        if starts.is_empty() {
            self.added(indent, before, patch);
        }
    }

    /// Writes an entry, as it is or changed.
    fn entry(&mut self, lines: &[Line], indent: usize, before: &Value, patch: &Entries) {
        let keep = |editor: &mut Editor| lines.iter().for_each(|line| editor.push(line.whole));
        let Some((name, colon)) = &lines[0].key else { return keep(self) };
        let Some((_, data)) = patch.iter().find(|(other, _)| other == name) else { return keep(self) };
        let old = before.get(name).unwrap_or(&Value::Null);
        if *data == Data::Null {
            return;
        }
        let head = lines[0].whole.trim_end_matches(['\n', '\r']);
        let rest = head[*colon..].trim();
        let inner = lines[1..].iter().find(|line| line.says);
        match (data, inner) {
            (Data::Map(patch), _) if merged(old, patch) == *old => keep(self),
            (Data::Map(patch), _) if old.is_object() && merged(old, patch) == Value::Object(Map::new()) => {
                self.line(&head[..*colon], "{}", None);
            }
            (Data::Map(patch), Some(inner))
                if old.is_object() && (rest.is_empty() || rest.starts_with('#')) && inner.indent > indent =>
            {
                self.push(lines[0].whole);
                self.region(&lines[1..], inner.indent, old, patch);
            }
            (Data::Map(patch), _) if old.is_object() => {
                // It stands in flow style, and stays so.
                let value = flow(&merged(old, patch));
                self.line(&head[..*colon], &value, comment(rest, lines));
            }
            (data, _) if plain(data) == *old => keep(self),
            (data, _) => self.value(&head[..*colon], data, indent, comment(rest, lines)),
        }
    }

    fn added(&mut self, indent: usize, before: &Value, patch: &Entries) {
        for (name, data) in patch.iter().filter(|(name, data)| *data != Data::Null && before.get(name).is_none()) {
            let head = format!("{}{}:", " ".repeat(indent), text(name));
            self.value(&head, data, indent, None);
        }
    }

    /// Writes a key with its value: a map below it, all else behind it.
    fn value(&mut self, head: &str, data: &Data, indent: usize, comment: Option<&str>) {
        match data {
            Data::Map(map) if map.iter().any(|(_, data)| *data != Data::Null) => {
                self.line(head, "", comment);
                self.added(indent + self.unit, &Value::Null, map);
            }
            Data::Map(_) => self.line(head, "{}", comment),
            Data::Text(value) => self.line(head, &text(value), comment),
            data => self.line(head, &flow(&plain(data)), comment),
        }
    }

    fn line(&mut self, head: &str, value: &str, comment: Option<&str>) {
        let parts = [Some(head), Some(value).filter(|value| !value.is_empty()), comment];
        let line = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        self.push(&format!("{line}{}", self.newline));
    }

    /// Writes a line; the one before it ends first, where it was the last of the file.
    fn push(&mut self, line: &str) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push_str(self.newline);
        }
        self.out.push_str(line);
    }
}

/// The comment behind a value on one line.
fn comment<'t>(rest: &'t str, lines: &[Line]) -> Option<&'t str> {
    let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c));
    let behind = match quote {
        Some(quote) => 1 + rest[1..].rfind(quote)?,
        None => 0,
    };
    if lines.len() > 1 {
        return None;
    }
    if rest.starts_with('#') {
        return Some(rest);
    }
    rest[behind..].find(" #").map(|at| rest[behind + at..].trim_start())
}

/// A text as YAML: plain where nobody could take it for something else.
fn text(value: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let plain = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && value.chars().all(word)
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"]
            .contains(&value.to_ascii_lowercase().as_str());
    if plain { value.to_owned() } else { quoted(value) }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| format!("{}: {}", quoted(key), flow(value));
            format!("{{{}}}", map.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}
