//! YAML as Ansible reads it: version 1.1, with anchors, merge keys, `!vault` and `!unsafe`; each node with its place.
//!
//! The types of plain scalars are those of <https://yaml.org/type/>, as PyYAML takes them; a date stays the text that it is.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use indexmap::IndexMap;
use store::Secret;

use super::value::{Value, Variables};
use super::wrong::{At, Wrong};

/// Collections inside collections.
const NESTING: usize = 64;
/// What one text may become when its aliases are written out, bytes.
const EXPANDED_BYTES: usize = 64 << 20;
/// What a node takes beside its text, bytes.
const NODE_BYTES: usize = 64;
/// The namespace of the types of YAML itself.
const CORE: &str = "tag:yaml.org,2002:";

/// A node of a file.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands.
    pub at: At,
    /// What it is.
    pub data: Data,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Data {
    /// One value.
    Scalar(Value),
    /// Several.
    List(Vec<Node>),
    /// By name, in the order of the file.
    Map(IndexMap<String, Entry>),
}

/// An entry of a map.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where its name stands.
    pub at: At,
    /// Whether its name is a text, and no number or the like.
    pub named: bool,
    /// What it is.
    pub node: Node,
}

impl Node {
    /// Without places.
    pub fn into_value(self) -> Value {
        match self.data {
            Data::Scalar(value) => value,
            Data::List(list) => Value::List(list.into_iter().map(Node::into_value).collect()),
            Data::Map(map) => {
                Value::Map(map.into_iter().map(|(name, entry)| (name, entry.node.into_value())).collect())
            }
        }
    }

    /// The variables of a map; none where nothing stands.
    pub fn into_variables(self) -> Result<Variables, Wrong> {
        match self.into_value() {
            Value::Map(map) => Ok(map),
            Value::None => Ok(Variables::new()),
            other => Err(Wrong::new(format!("variables are NAME: VALUE, and this is {}", other.kind()))),
        }
    }
}

/// Reads one document.
pub fn read(text: &str) -> Result<Node, Wrong> {
    let mut options = granit_parser::options! { flow_nesting_limit: NESTING, block_nesting_limit: NESTING };
    options.set_emit_comments(false);
    let mut build = Build::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            // The parser's own words may repeat what stands there.
            let at = At { line: error.marker().line(), column: error.marker().col() + 1 };
            Wrong::at(at, "it is no YAML from here on").hint(
                "a key is followed by a colon and a blank; tabs do not indent; a text with {{ at its begin is quoted",
            )
        })?;
        build.event(event, span)?;
    }
    let nothing = || Node { at: At { line: 1, column: 1 }, data: Data::Scalar(Value::None) };
    Ok(build.root.unwrap_or_else(nothing))
}

/// A collection that is not closed yet.
struct Open {
    at: At,
    anchor: usize,
    /// All texts in it are raw.
    raw: bool,
    weight: usize,
    what: Collection,
}

enum Collection {
    List(Vec<Node>),
    Map { entries: IndexMap<String, Entry>, merged: Vec<IndexMap<String, Entry>>, key: Option<(At, Key)>, set: bool },
}

enum Key {
    Merge,
    Name { name: String, named: bool },
}

#[derive(Default)]
struct Build {
    open: Vec<Open>,
    /// What aliases stand for, and how much that is.
    anchors: HashMap<usize, (Node, usize)>,
    weight: usize,
    root: Option<Node>,
    documents: usize,
}

impl Build {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Wrong> {
        let at = At { line: span.start.line(), column: span.start.col() + 1 };
        let raw = self.open.last().is_some_and(|open| open.raw);
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Wrong::at(at, "a second document begins here, and one file has one"));
                }
                Ok(())
            }
            Event::UnresolvedAlias(_) => Err(Wrong::at(at, "there is no anchor of that name")),
            Event::Alias(id) => {
                let (node, weight) = self
                    .anchors
                    .get(&id)
                    .cloned()
                    .ok_or_else(|| Wrong::at(at, "an alias stands inside of what it stands for"))?;
                self.add(node, weight, None)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let merge = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                let value = scalar(&text, style, tag.as_deref(), raw).map_err(|what| Wrong::at(at, what))?;
                let weight = NODE_BYTES + text.len();
                let node = Node { at, data: Data::Scalar(value) };
                self.keep(anchor, &node, weight);
                self.add(node, weight, merge.then_some(Key::Merge))
            }
            Event::SequenceStart(_, anchor, tag) => {
                let raw = raw || is_unsafe(tag.as_deref());
                match name_of(tag.as_deref()) {
                    "" | "seq" | "!unsafe" | "omap" | "pairs" => {}
                    _ => return Err(Wrong::at(at, "a list of that tag is not known")),
                }
                self.open.push(Open { at, anchor, raw, weight: NODE_BYTES, what: Collection::List(Vec::new()) });
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                let raw = raw || is_unsafe(tag.as_deref());
                let set = match name_of(tag.as_deref()) {
                    "" | "map" | "!unsafe" => false,
                    "set" => true,
                    _ => return Err(Wrong::at(at, "a map of that tag is not known")),
                };
                if let Some(Open { what: Collection::Map { key: None, .. }, .. }) = self.open.last() {
                    return Err(Wrong::at(at, "a map cannot be a key"));
                }
                let what = Collection::Map { entries: IndexMap::new(), merged: Vec::new(), key: None, set };
                self.open.push(Open { at, anchor, raw, weight: NODE_BYTES, what });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let data = match open.what {
                    Collection::List(list) => Data::List(list),
                    Collection::Map { entries, set: true, .. } => {
                        let name = |(name, entry): (String, Entry)| Node {
                            at: entry.at,
                            data: Data::Scalar(Value::text(name)),
                        };
                        Data::List(entries.into_iter().map(name).collect())
                    }
                    Collection::Map { entries, merged, .. } => Data::Map(merge(entries, merged)),
                };
                let node = Node { at: open.at, data };
                self.keep(open.anchor, &node, open.weight);
                // Its parts were counted one by one.
                self.weight -= open.weight - NODE_BYTES;
                self.add(node, open.weight, None)
            }
            // The enum is open; what it may get is nothing that says anything of a document.
            _ => Ok(()),
        }
    }

    fn keep(&mut self, anchor: usize, node: &Node, weight: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), weight));
        }
    }

    fn add(&mut self, node: Node, weight: usize, key: Option<Key>) -> Result<(), Wrong> {
        self.weight += weight;
        if self.weight > EXPANDED_BYTES {
            let what = format!("with its aliases written out it is more than {EXPANDED_BYTES} bytes");
            return Err(Wrong::at(node.at, what));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.weight += weight;
        let at = node.at;
        match &mut open.what {
            Collection::List(list) => list.push(node),
            Collection::Map { entries, merged, key: waiting, .. } => match waiting.take() {
                None => *waiting = Some((at, key.map_or_else(|| key_of(&node), Ok)?)),
                Some((_, Key::Merge)) => merged.extend(maps(node)?),
                Some((at, Key::Name { name, named })) => drop(entries.insert(name, Entry { at, named, node })),
            },
        }
        Ok(())
    }
}

fn key_of(node: &Node) -> Result<Key, Wrong> {
    let Data::Scalar(value) = &node.data else { return Err(Wrong::at(node.at, "a list or a map cannot be a key")) };
    let name = super::python::name(value).ok_or_else(|| Wrong::at(node.at, "that cannot be a key"))?;
    Ok(Key::Name { name, named: matches!(value, Value::Text(_) | Value::Raw(_)) })
}

/// What `<<` merges: a map, or several of which the first counts most.
fn maps(node: Node) -> Result<Vec<IndexMap<String, Entry>>, Wrong> {
    let at = node.at;
    let wrong = || Wrong::at(at, "`<<` merges a map, or a list of maps");
    match node.data {
        Data::Map(map) => Ok(vec![map]),
        Data::List(list) => list
            .into_iter()
            .map(|node| match node.data {
                Data::Map(map) => Ok(map),
                Data::Scalar(_) | Data::List(_) => Err(wrong()),
            })
            .collect(),
        Data::Scalar(_) => Err(wrong()),
    }
}

fn merge(own: IndexMap<String, Entry>, merged: Vec<IndexMap<String, Entry>>) -> IndexMap<String, Entry> {
    if merged.is_empty() {
        return own;
    }
    let mut all = IndexMap::new();
    merged.into_iter().rev().for_each(|map| all.extend(map));
    all.extend(own);
    all
}

fn is_unsafe(tag: Option<&Tag>) -> bool {
    name_of(tag) == "!unsafe"
}

/// The name of a type of YAML itself, `!NAME` of another, and nothing where none is said.
fn name_of(tag: Option<&Tag>) -> &str {
    let Some(tag) = tag else { return "" };
    match (tag.handle(), tag.suffix()) {
        (CORE, name) => name,
        ("!", "unsafe") => "!unsafe",
        ("!", "vault" | "vault-encrypted") => "!vault",
        ("!" | "", "" | "!") => "str",
        _ => "?",
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, raw: bool) -> Result<Value, String> {
    let secret = || Secret::from(text);
    let plain = style == ScalarStyle::Plain;
    let resolved = |raw: bool| match plain.then(|| typed(text)).flatten() {
        Some(value) => value,
        None if raw => Value::Raw(secret()),
        None => Value::Text(secret()),
    };
    match name_of(tag) {
        "" => Ok(resolved(raw)),
        "!unsafe" => Ok(resolved(true)),
        "!vault" => Ok(Value::Vault(secret())),
        "str" if raw => Ok(Value::Raw(secret())),
        "str" | "timestamp" => Ok(Value::Text(secret())),
        "null" => Ok(Value::None),
        "binary" => {
            let packed: String = text.split_whitespace().collect();
            let bytes = data_encoding::BASE64.decode(packed.as_bytes()).map_err(|_| "it is no base64")?;
            String::from_utf8(bytes).map(Value::text).map_err(|_| "it is no text in base64".to_owned())
        }
        "bool" => typed(text).filter(|value| matches!(value, Value::Bool(_))).ok_or("it is no truth value".to_owned()),
        "int" => typed(text).filter(|value| matches!(value, Value::Int(_))).ok_or("it is no whole number".to_owned()),
        "float" => match typed(text) {
            Some(value @ Value::Float(_)) => Ok(value),
            Some(Value::Int(number)) => Ok(Value::Float(number as f64)),
            _ => Err("it is no number".to_owned()),
        },
        _ => Err("a value of that tag is not known".to_owned()),
    }
}

/// What a plain scalar is that is no text.
fn typed(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::None),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Some(Value::Bool(true)),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Some(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Some(Value::Float(f64::NAN)),
        _ => {}
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Some(Value::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Some(number) = whole(digits) {
        return Some(Value::Int(if negative { -number } else { number }));
    }
    float(digits).map(|number| Value::Float(if negative { -number } else { number }))
}

fn whole(text: &str) -> Option<i128> {
    let of = |digits: &str, radix: u32| {
        let all = !digits.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(radix));
        let digits = digits.replace('_', "");
        all.then(|| i128::from_str_radix(&digits, radix).ok()).flatten()
    };
    match text.as_bytes() {
        [b'0'] => Some(0),
        [b'0', b'b', ..] => of(&text[2..], 2),
        [b'0', b'x', ..] => of(&text[2..], 16),
        [b'0', ..] => of(&text[1..], 8),
        _ if text.contains(':') => sixties(text),
        _ => text.starts_with(|c: char| c.is_ascii_digit()).then(|| of(text, 10)).flatten(),
    }
}

/// `1:30:00`: YAML 1.1 counts to sixty.
fn sixties(text: &str) -> Option<i128> {
    let mut parts = text.split(':');
    let first = parts.next()?;
    if first.starts_with('0') || !first.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return None;
    }
    let mut number: i128 = first.replace('_', "").parse().ok()?;
    for part in parts {
        let good = matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
        let part: i128 = part.parse().ok().filter(|_| good)?;
        number = number.checked_mul(60)?.checked_add(part)?;
    }
    Some(number)
}

/// `1.5`, `.5`, `1.5e+3`, `190:20:30.15`; without a dot it is none, and an exponent has a sign.
fn float(text: &str) -> Option<f64> {
    if let Some((before, seconds)) = text.rsplit_once(':') {
        let (whole, rest) = seconds.split_once('.')?;
        let minutes = sixties(&format!("{before}:{whole}"))?;
        let good = rest.bytes().all(|b| b.is_ascii_digit() || b == b'_');
        return good.then(|| format!("{minutes}.{}", rest.replace('_', "")).parse().ok()).flatten();
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (before, after) = mantissa.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let begins = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let good = digits(before) && digits(after) && if before.is_empty() { begins(after) } else { begins(before) };
    let signed = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['+', '-'])
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    });
    (good && signed).then(|| text.replace('_', "").parse().ok()).flatten()
}
