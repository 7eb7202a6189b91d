//! The functions of expressions: pure, and bounded in what they make. Which arguments each takes is proved by the compiler.

use super::{Eval, EvalError, calculate, unexpected};
use crate::expr::{Binary, Function};
use crate::format::around_places;
use crate::limits;
use crate::value::Value;

impl Eval<'_> {
    pub(super) fn call(&self, function: Function, arguments: Vec<Value>) -> Result<Value, EvalError> {
        let mut arguments = arguments.into_iter();
        let mut next = || arguments.next().unwrap_or(Value::None);
        match function {
            Function::Len => {
                let length = match self.known(next())? {
                    Value::Text(text) => text.chars().count(),
                    Value::List(list) => list.len(),
                    Value::Record(map) => map.len(),
                    other => return Err(unexpected("a text, a list or a map", &other)),
                };
                Ok(Value::Int(length as i64))
            }
            Function::Basename => {
                let path = match self.known(next())? {
                    Value::File(file) => file.path,
                    Value::Text(text) => text,
                    other => return Err(unexpected("a text or a file", &other)),
                };
                Ok(Value::Text(path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()))
            }
            Function::StartsWith => {
                let (text, prefix) = (self.text(next())?, self.text(next())?);
                Ok(Value::Bool(text.starts_with(&prefix)))
            }
            Function::Join => {
                let list = elements(next())?;
                let separator = self.text(next())?;
                self.joined(
                    list.into_iter().enumerate().map(|(i, value)| (if i > 0 { &*separator } else { "" }, value)),
                )
            }
            Function::Split => {
                let (text, separator) = (self.text(next())?, self.text(next())?);
                split(&text, &separator)
            }
            Function::Sha256 => match self.known(next())? {
                Value::File(file) => Ok(Value::Text(file.sha256)),
                Value::Text(text) => Ok(Value::Text(sha256_hex(text.as_bytes()))),
                other => Err(unexpected("a text or a file", &other)),
            },
            Function::Json => {
                let mut json = String::new();
                self.write_json(&next(), &mut json)?;
                Ok(Value::Text(json))
            }
            Function::Seconds => match self.known(next())? {
                Value::DurationMs(ms) => Ok(Value::Int((ms / 1_000) as i64)),
                other => Err(unexpected("a Duration", &other)),
            },
            Function::Sum => {
                let list = elements(next())?;
                let add = |sum, value| match calculate(Binary::Add, sum, value) {
                    Err(EvalError::Overflow(_)) => Err(EvalError::Overflow("sum")),
                    result => result,
                };
                list.into_iter().try_fold(next(), add)
            }
            Function::Min => extreme(elements(next())?, Binary::Less),
            Function::Max => extreme(elements(next())?, Binary::Greater),
            Function::Count => Ok(Value::Int(truths(next())?.into_iter().filter(|truth| *truth).count() as i64)),
            Function::Any => Ok(Value::Bool(truths(next())?.contains(&true))),
            Function::All => Ok(Value::Bool(!truths(next())?.contains(&false))),
            Function::Format => {
                let around = around_places(&self.text(next())?);
                let around = around.ok_or(EvalError::Unexpected("a text with places", "another text"))?;
                let (first, behind) = around.split_first().ok_or(EvalError::Unexpected("a text", "none"))?;
                let values = std::iter::once(Value::Text(first.clone()));
                // Each value stands before what is behind its place.
                let values = values.chain(behind.iter().flat_map(|text| [next(), Value::Text(text.clone())]));
                self.joined(values.map(|value| ("", value)))
            }
        }
    }

    /// The text forms of values, each behind its separator.
    fn joined<'s>(&self, values: impl Iterator<Item = (&'s str, Value)>) -> Result<Value, EvalError> {
        let mut joined = String::new();
        for (separator, value) in values {
            joined.push_str(separator);
            joined.push_str(&self.text_form(value)?);
            within_limit(&joined)?;
        }
        Ok(Value::Text(joined))
    }

    /// A value as JSON: durations and files as texts, what is absent as `null`, the fields of a record by their names.
    fn write_json(&self, value: &Value, json: &mut String) -> Result<(), EvalError> {
        let known;
        let value = match value {
            Value::Secret(_) => {
                known = self.known(value.clone())?;
                &known
            }
            value => value,
        };
        match value {
            Value::None => json.push_str("null"),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => json.push_str(&self.text_form(value.clone())?),
            Value::Text(text) => json.push_str(&quoted(text)),
            Value::DurationMs(_) | Value::File(_) => json.push_str(&quoted(&self.text_form(value.clone())?)),
            Value::List(list) => {
                json.push('[');
                for (i, value) in list.iter().enumerate() {
                    json.push_str(if i > 0 { "," } else { "" });
                    self.write_json(value, json)?;
                }
                json.push(']');
            }
            Value::Record(fields) => {
                json.push('{');
                for (i, (name, value)) in fields.iter().enumerate() {
                    json.push_str(if i > 0 { "," } else { "" });
                    json.push_str(&quoted(name));
                    json.push(':');
                    self.write_json(value, json)?;
                }
                json.push('}');
            }
            Value::Secret(_) => return Err(unexpected("a text", value)),
        }
        within_limit(json)
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn within_limit(text: &str) -> Result<(), EvalError> {
    if text.len() > limits::RESULT_BYTES { Err(EvalError::TooLong) } else { Ok(()) }
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The elements of a list, or the values of a map in the order of its keys.
pub(super) fn elements(value: Value) -> Result<Vec<Value>, EvalError> {
    match value {
        Value::List(list) => Ok(list),
        Value::Record(map) => Ok(map.into_values().collect()),
        other => Err(unexpected("a list or a map", &other)),
    }
}

fn truths(value: Value) -> Result<Vec<bool>, EvalError> {
    let truth = |value| match value {
        Value::Bool(truth) => Ok(truth),
        other => Err(unexpected("a Bool", &other)),
    };
    elements(value)?.into_iter().map(truth).collect()
}

/// The parts of a text between the separators; the text without anything in it has none.
fn split(text: &str, separator: &str) -> Result<Value, EvalError> {
    if separator.is_empty() {
        return Err(EvalError::NoSeparator);
    }
    if text.is_empty() {
        return Ok(Value::List(Vec::new()));
    }
    let parts: Vec<Value> =
        text.split(separator).take(limits::ELEMENTS + 1).map(|part| Value::Text(part.to_owned())).collect();
    if parts.len() > limits::ELEMENTS { Err(EvalError::TooMany) } else { Ok(Value::List(parts)) }
}

/// The element that is less, or greater, than all others; [`Value::None`] where there is none.
fn extreme(list: Vec<Value>, better: Binary) -> Result<Value, EvalError> {
    let mut best = Value::None;
    for value in list {
        let first = best == Value::None;
        if first || calculate(better, value.clone(), best.clone())? == Value::Bool(true) {
            best = value;
        }
    }
    Ok(best)
}
