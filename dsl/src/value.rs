//! Values: what inputs hold, what expressions give, what steps put out.
//!
//! Invariant: a [`Value`] never holds the text of a secret (I8). A secret is a [`SecretRef`], a name under which the
//! engine seals the real text; only the executor of a step, at the edge, exchanges one for the other.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a sealed secret, unique within its operation, such as `inputs.proxy.http`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretRef(pub String);

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file of the operator's machine, as it was when the operation was created; checked again at use (D3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// Absolute path.
    pub path: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
}

/// A value of the language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// An optional value that is absent.
    None,
    /// `true` or `false`.
    Bool(bool),
    /// A 64-bit integer; also `Port` and `Bytes`.
    Int(i64),
    /// A finite 64-bit float.
    Float(f64),
    /// UTF-8 text; also `Url`, `Address`, `Image` and `Choice`.
    Text(String),
    /// A duration in milliseconds.
    DurationMs(u64),
    /// A file on the operator's machine.
    File(FileRef),
    /// A list.
    List(Vec<Value>),
    /// A record, or a map from keys to values.
    Record(BTreeMap<String, Value>),
    /// A secret that is present; its text is sealed under this name.
    Secret(SecretRef),
}

impl Value {
    /// The word for the kind of value, as messages use it.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::None => "none",
            Value::Bool(_) => "Bool",
            Value::Int(_) => "Int",
            Value::Float(_) => "Float",
            Value::Text(_) => "Text",
            Value::DurationMs(_) => "Duration",
            Value::File(_) => "File",
            Value::List(_) => "List",
            Value::Record(_) => "Record",
            Value::Secret(_) => "secret",
        }
    }

    /// How the value reads inside a text: `${{ … }}` in a template. Lists, records and secrets have no text form.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Value::Bool(b) => Some(b.to_string()),
            Value::Int(i) => Some(i.to_string()),
            Value::Float(x) => Some(x.to_string()),
            Value::Text(t) => Some(t.clone()),
            Value::DurationMs(ms) => Some(crate::duration::show(*ms)),
            Value::File(file) => Some(file.path.clone()),
            Value::None | Value::List(_) | Value::Record(_) | Value::Secret(_) => None,
        }
    }
}
