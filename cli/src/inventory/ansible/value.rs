//! What a variable is set to.
//!
//! Passwords stand in such files as plain text, so each text is held as a secret, whatever it says: it shows itself to nobody, and
//! its memory is overwritten (I8).

use indexmap::IndexMap;
use store::Secret;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number.
    Float(f64),
    /// A text; `{{ … }}` in it is to be resolved.
    Text(Secret),
    /// A text in which `{{ … }}` means nothing (`!unsafe`).
    Raw(Secret),
    /// A text that `ansible-vault` has encrypted (`!vault`).
    Vault(Secret),
    /// What stands in a file that `ansible-vault` has encrypted as a whole: never public, whatever it is.
    Hidden(Box<Value>),
    /// Several.
    List(Vec<Value>),
    /// By name, in the order of the file.
    Map(Variables),
}

/// Values by name.
pub type Variables = IndexMap<String, Value>;

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(Secret::from(text.into()))
    }

    /// What kind of value it is, for messages that must not show it.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::None => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) | Value::Raw(_) => "a text",
            Value::Vault(_) => "encrypted",
            Value::Hidden(value) => value.kind(),
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}
