//! `each`: the nodes of a step for the elements of a list that is known only while the operation runs (D2).

use dsl::eval::eval;
use dsl::value::Value;

use super::scope::CoreScope;
use super::state::Operation;
use crate::limits::ELEMENTS;

/// The keys and elements of a step's `each`, or why they cannot be told.
pub(crate) fn elements(operation: &Operation, step: usize) -> Result<(Vec<String>, Vec<Value>), String> {
    let Some(list) = &operation.plan.steps[step].each else { return Ok((Vec::new(), Vec::new())) };
    let elements = match eval(list, &CoreScope { operation, node: None }) {
        Ok(Value::List(elements)) => elements,
        Ok(Value::None) => Vec::new(),
        Ok(other) => return Err(format!("its `each` is {}, not a list", other.kind())),
        Err(error) => return Err(format!("its `each` cannot be evaluated: {error}")),
    };
    if elements.len() as u64 > ELEMENTS {
        return Err(format!("its `each` has {} elements; the limit is {ELEMENTS}", elements.len()));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut keys = Vec::with_capacity(elements.len());
    for element in &elements {
        let key = key(element).ok_or_else(|| format!("an element of its `each` is {}: no key", element.kind()))?;
        if key.is_empty() || key.len() > KEY_BYTES || key.chars().any(char::is_control) {
            return Err(format!("an element of its `each` is empty, too long or not printable: {key:?}"));
        }
        if !seen.insert(key.clone()) {
            return Err(format!("`{key}` stands twice in its `each`"));
        }
        keys.push(key);
    }
    Ok((keys, elements))
}

/// Bytes of a key.
const KEY_BYTES: usize = 1_024;

/// The text that names an element; of a record, its `key` or `name`.
fn key(element: &Value) -> Option<String> {
    match element {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::DurationMs(ms) => Some(dsl::duration::show(*ms)),
        Value::Record(fields) => match fields.get("key").or_else(|| fields.get("name")) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        },
        Value::None | Value::List(_) | Value::File(_) | Value::Secret(_) => None,
    }
}
