//! A file of values for inputs: a RON map from their names to values, or to where these come from.
//!
//! ```ron
//! {
//!     "port": 5001,
//!     "users": ["ann", "bob"],
//!     "labels": { "env": "prod" },
//!     "proxy": (http: From(Env("PROXY_URL"))),
//! }
//! ```
//!
//! Which types the inputs have is not known here. So a value is given as it would be on the command line: as a text, under a
//! name that has a dot for each map or record that it is in.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::scalars::Reader;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::source::{Source, quote};
use crate::syntax::{self, Kind, Node, Struct};
use crate::{limits, words};

/// A value as a file gives it. [`fmt::Debug`] does not show it: it may be a secret that was written there by mistake.
#[derive(Clone, PartialEq, Eq)]
pub enum FileValue {
    /// As it stands there.
    Text(String),
    /// It comes from there.
    From(ValueSource),
}

impl fmt::Debug for FileValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileValue::Text(_) => f.write_str("Text(…)"),
            FileValue::From(source) => f.debug_tuple("From").field(source).finish(),
        }
    }
}

/// Where a value comes from. Whoever runs the workflow looks there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    /// An environment variable.
    Env(String),
    /// The text of a file.
    File(String),
    /// What a program writes.
    Command(Vec<String>),
    /// Whoever sits at the terminal.
    Prompt,
    /// Sealed in the store, under this name.
    Sealed(String),
}

/// The values of a file, by the names of inputs; or all that is wrong with it.
pub fn read_inputs(source: &Source) -> Result<BTreeMap<String, FileValue>, Vec<Diagnostic>> {
    let mut sink = Sink::default();
    let mut found = Found { reader: Reader { source: &source.text, sink: &mut sink }, values: BTreeMap::new() };
    if let Some(node) = syntax::parse(&source.text, found.reader.sink)
        && let Some(entries) = found.reader.map(&node, "the file", limits::INPUTS)
    {
        for (key, node) in entries {
            found.value(key.value.clone(), node, 0);
        }
    }
    let values: BTreeMap<String, FileValue> =
        found.values.into_iter().map(|(name, (value, _))| (name, value)).collect();
    if !sink.has_errors() {
        syntax::judge(&source.text, &mut sink);
    }
    if sink.has_errors() { Err(sink.into_sorted()) } else { Ok(values) }
}

struct Found<'s, 'k> {
    reader: Reader<'s, 'k>,
    /// With the places where they stand.
    values: BTreeMap<String, (FileValue, Range<usize>)>,
}

impl Found<'_, '_> {
    fn value(&mut self, name: String, node: &Node, depth: usize) {
        match &node.kind {
            Kind::Absent | Kind::Broken => {}
            Kind::Struct(Struct { name: Some(word), .. }) if word.value == "From" => {
                if let Some(source) = self.source(node) {
                    self.put(name, FileValue::From(source), node);
                }
            }
            Kind::Map(entries) if !entries.is_empty() && depth < limits::TYPE_NESTING => {
                if entries.len() > limits::ELEMENTS {
                    let message = format!("{} has more than {} entries", quote(&name), limits::ELEMENTS);
                    self.reader.out_of_limits(&node.head(), message, "too many");
                    return;
                }
                for (key, node) in entries {
                    if let Err(why) = words::is_key(&key.value) {
                        self.reader.malformed(&key.span, &name, why);
                    }
                    self.value(format!("{name}.{}", key.value), node, depth + 1);
                }
            }
            Kind::Struct(Struct { name: None, positional, fields, .. })
                if positional.is_empty() && !fields.is_empty() && depth < limits::TYPE_NESTING =>
            {
                for (field, node) in fields {
                    self.value(format!("{name}.{}", field.value), node, depth + 1);
                }
            }
            Kind::Map(entries) if entries.is_empty() => self.put(name, FileValue::Text("{}".to_owned()), node),
            Kind::List(_) => {
                let Some(list) = self.reader.list(node, &name, limits::ELEMENTS) else { return };
                let words: Option<Vec<String>> = list.iter().map(|node| self.word(&name, node)).collect();
                if let Some(words) = words {
                    // The form in which a list is given as a text.
                    self.put(name, FileValue::Text(format!("{words:?}")), node);
                }
            }
            _ => {
                if let Some(word) = self.word(&name, node) {
                    self.put(name, FileValue::Text(word), node);
                }
            }
        }
    }

    fn put(&mut self, name: String, value: FileValue, node: &Node) {
        if let Some((_, first)) = self.values.get(&name) {
            let diagnostic = Diagnostic::error(Code::DuplicateKey, format!("{} is given twice", quote(&name)));
            self.reader.sink.push(diagnostic.at(&node.head(), "given again here").at(first, "given first here"));
            return;
        }
        self.values.insert(name, (value, node.head()));
    }

    /// A single value as a text.
    fn word(&mut self, name: &str, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Text(_) => self.reader.text(node, name).map(|text| text.value.clone()),
            Kind::Bool(truth) => Some(truth.to_string()),
            Kind::Number => {
                let text = &self.reader.source[node.span.clone()];
                let whole = syntax::options().from_str::<i64>(text).map(|number| number.to_string());
                let number =
                    whole.or_else(|_| syntax::options().from_str::<f64>(text).map(|number| number.to_string()));
                number.map_err(|_| self.reader.malformed(&node.span, name, "a number is expected")).ok()
            }
            Kind::Broken => None,
            _ => {
                let message = format!("{} is {}, but a value is expected", quote(name), node.describe());
                let diagnostic = Diagnostic::error(Code::WrongShape, message).at(&node.head(), "no value");
                self.reader.sink.push(diagnostic.help(
                    "a value is a text, a number, `true`, `false`, a list of those, a map, a record `(field: …)`, or `From(Env(\"NAME\"))`",
                ));
                None
            }
        }
    }

    /// `From(Env("NAME"))`
    fn source(&mut self, node: &Node) -> Option<ValueSource> {
        let reader = &mut self.reader;
        let inner = reader.single(node, "From(Env(\"NAME\"))")?;
        let word =
            reader.variant(inner, "a place that values come from", &["Env", "File", "Command", "Prompt", "Sealed"])?;
        match word {
            "Prompt" => reader.bare(inner).map(|()| ValueSource::Prompt),
            "Command" => {
                let list = reader.single(inner, "Command([\"program\", \"argument\"])")?;
                let list = reader.list(list, "Command", limits::ARGUMENTS)?;
                if list.is_empty() {
                    let message = "`Command` has no program";
                    reader.sink.push(Diagnostic::error(Code::Empty, message).at(&inner.head(), "empty"));
                    return None;
                }
                let argv: Option<Vec<String>> =
                    list.iter().map(|node| reader.text(node, "Command").map(|text| text.value.clone())).collect();
                argv.map(ValueSource::Command)
            }
            word => {
                let text = reader.single(inner, &format!("{word}(\"…\")"))?;
                let text = reader.some_text(text, word)?.value.clone();
                Some(match word {
                    "Env" => ValueSource::Env(text),
                    "Sealed" => ValueSource::Sealed(text),
                    _ => ValueSource::File(text),
                })
            }
        }
    }
}
