//! JSON merge patch (RFC 7386) on the text: what the patch does not name stays as it is written, byte for byte – its order,
//! its spaces, how its numbers are spelled.
//!
//! The text is proved to be JSON first; then members of objects are found by their brackets and quotation marks, and only
//! the values that differ are written anew, in the indentation that is there.

use std::ops::Range;

use dsl::data::Data;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Wrong;

type Entries = [(String, Data)];

/// The text after the patch; the same text where there is nothing to do. An empty file is an empty object.
pub fn merge(text: &str, patch: &Entries) -> Result<String, Wrong> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or("it is no JSON").to_owned();
        return Err(Wrong { at: Some((error.line(), error.column())), what: said });
    }
    let start = space(text, 0);
    if !text[start..].starts_with('{') {
        return Err(Wrong::at(text, start, "the file is no object `{…}`"));
    }
    let style = Style::of(text);
    let (edited, end) = object(text, start, patch, "", &style)?;
    let out = format!("{}{edited}{}", &text[..start], &text[end..]);
    match serde_json::from_str::<IgnoredAny>(&out) {
        Ok(_) => Ok(out),
        Err(_) => Err(Wrong::of_patch("the result would be no JSON")),
    }
}

/// How the file is laid out.
struct Style {
    unit: String,
    newline: &'static str,
    /// Whether it has several lines; one that is empty may have.
    spread: bool,
}

impl Style {
    fn of(text: &str) -> Style {
        let indent = |line: &str| line[..line.len() - line.trim_start_matches([' ', '\t']).len()].to_owned();
        let unit =
            text.lines().skip(1).filter(|line| !line.trim().is_empty()).map(indent).find(|indent| !indent.is_empty());
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let whole = text.trim();
        let spread = whole.contains('\n') || whole == "{}";
        Style { unit: unit.unwrap_or_else(|| "  ".to_owned()), newline, spread }
    }
}

struct Member {
    name: String,
    key: Range<usize>,
    value: Range<usize>,
}

/// The text of the object at `start` with the patch in it, and where the old one ended. `indent` is that of its last line.
fn object(text: &str, start: usize, patch: &Entries, indent: &str, style: &Style) -> Result<(String, usize), Wrong> {
    let (members, close) = members(text, start);
    for (name, _) in patch {
        let mut same = members.iter().filter(|member| member.name == *name);
        if let (Some(_), Some(again)) = (same.next(), same.next()) {
            return Err(Wrong::at(text, again.key.start, format!("the key `{name}` is there twice")));
        }
    }
    let inner = &text[start + 1..members.first().map_or(close, |first| first.key.start)];
    let spread = inner.contains('\n') || (members.is_empty() && style.spread);
    let own = match inner.rsplit_once('\n') {
        Some((_, own)) if !members.is_empty() => own.to_owned(),
        _ => format!("{indent}{}", style.unit),
    };
    let printer = Printer { style, spread };
    let mut kept = Vec::new();
    let mut changed = false;
    for member in &members {
        let old = &text[member.value.clone()];
        let new = match patch.iter().find(|(name, _)| *name == member.name) {
            None => None,
            Some((_, Data::Null)) => {
                changed = true;
                continue;
            }
            Some((_, Data::Map(inner))) if old.starts_with('{') => {
                let (new, _) = object(text, member.value.start, inner, &own, style)?;
                (new != old).then_some(new)
            }
            Some((_, data)) => (!is(old, data)).then(|| printer.print(data, &own, true)),
        };
        changed |= new.is_some();
        kept.push((member, new));
    }
    let added =
        patch.iter().filter(|(name, data)| *data != Data::Null && members.iter().all(|member| member.name != *name));
    let added: Vec<String> =
        added.map(|(name, data)| format!("{}: {}", quoted(name), printer.print(data, &own, true))).collect();
    if !changed && added.is_empty() {
        return Ok((text[start..=close].to_owned(), close + 1));
    }
    let mut out = String::from("{");
    let separator = if spread { format!(",{}{own}", style.newline) } else { ", ".to_owned() };
    // Each member with what stands before it; a comma and its spaces belong to the member behind it.
    for (nth, (member, new)) in kept.iter().enumerate() {
        match nth {
            0 => out.push_str(inner),
            _ => {
                let before = members.iter().rev().find(|other| other.value.end <= member.key.start);
                out.push_str(before.map_or(separator.as_str(), |before| &text[before.value.end..member.key.start]));
            }
        }
        out.push_str(&text[member.key.start..member.value.start]);
        out.push_str(new.as_deref().unwrap_or(&text[member.value.clone()]));
    }
    for (nth, member) in added.iter().enumerate() {
        match (kept.is_empty() && nth == 0, spread) {
            (true, true) => out.push_str(&format!("{}{own}", style.newline)),
            (true, false) => {}
            (false, _) => out.push_str(&separator),
        }
        out.push_str(member);
    }
    match (kept.is_empty(), added.is_empty(), spread) {
        (true, true, _) => {}
        (true, false, true) if members.is_empty() => out.push_str(&format!("{}{indent}", style.newline)),
        (true, false, false) if members.is_empty() => {}
        _ => out.push_str(&text[members.last().map_or(close, |last| last.value.end)..close]),
    }
    out.push('}');
    Ok((out, close + 1))
}

/// Whether a value is this already.
fn is(text: &str, data: &Data) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value == plain(data))
}

/// Data as a value of JSON.
pub(crate) fn plain(data: &Data) -> Value {
    match data {
        Data::Null => Value::Null,
        Data::Bool(b) => Value::from(*b),
        Data::Int(i) => Value::from(*i),
        Data::Float(x) => Value::from(*x),
        Data::Text(text) => Value::from(text.as_str()),
        Data::List(list) => Value::from_iter(list.iter().map(plain)),
        Data::Map(map) => Value::from_iter(map.iter().map(|(key, data)| (key.clone(), plain(data)))),
    }
}

pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

struct Printer<'a> {
    style: &'a Style,
    spread: bool,
}

impl Printer<'_> {
    /// A value whose first line stands at `indent`. In what is new, `None` in a map is nothing; in a list it is `null`.
    fn print(&self, data: &Data, indent: &str, merging: bool) -> String {
        let deeper = format!("{indent}{}", self.style.unit);
        let (open, close, items): (_, _, Vec<String>) = match data {
            Data::List(list) => ('[', ']', list.iter().map(|data| self.print(data, &deeper, false)).collect()),
            Data::Map(map) => {
                let there = map.iter().filter(|(_, data)| !merging || *data != Data::Null);
                let entry =
                    |(key, data): &(String, Data)| format!("{}: {}", quoted(key), self.print(data, &deeper, merging));
                ('{', '}', there.map(entry).collect())
            }
            scalar => return plain(scalar).to_string(),
        };
        let simple =
            matches!(data, Data::List(list) if !list.iter().any(|data| matches!(data, Data::List(_) | Data::Map(_))));
        if items.is_empty() || simple || !self.spread {
            return format!("{open}{}{close}", items.join(", "));
        }
        let newline = self.style.newline;
        format!("{open}{newline}{deeper}{}{newline}{indent}{close}", items.join(&format!(",{newline}{deeper}")))
    }
}

/// The members of the object at `start`, in a text that is JSON, and where its bracket closes.
fn members(text: &str, start: usize) -> (Vec<Member>, usize) {
    let mut members = Vec::new();
    let mut at = space(text, start + 1);
    while text.as_bytes().get(at) == Some(&b'"') {
        let key = at..string(text, at);
        let value = space(text, space(text, key.end) + 1);
        let value = value..end_of_value(text, value);
        at = space(text, value.end);
        let name = serde_json::from_str(&text[key.clone()]).unwrap_or_default();
        members.push(Member { name, key, value });
        if text.as_bytes().get(at) != Some(&b',') {
            break;
        }
        at = space(text, at + 1);
    }
    (members, at)
}

fn space(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len()
}

/// Behind the string at `from`.
pub(super) fn string(text: &str, from: usize) -> usize {
    let mut escaped = false;
    for (at, b) in text.bytes().enumerate().skip(from + 1) {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Behind the value at `from`.
fn end_of_value(text: &str, from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    while let Some(b) = text.as_bytes().get(at) {
        match b {
            b'"' => at = string(text, at),
            b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => (at, depth) = (at + 1, depth - 1),
            _ => {
                // A number or a word.
                let rest = &text[at..];
                let end = rest.find([',', ':', '"', '{', '[', '}', ']', ' ', '\t', '\n', '\r']);
                match (depth, end) {
                    (0, end) => return end.map_or(text.len(), |end| at + end),
                    (_, Some(0) | None) => at += 1,
                    (_, Some(end)) => at += end,
                }
            }
        }
        if depth == 0 {
            return at;
        }
    }
    at
}
