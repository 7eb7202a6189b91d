//! The types of inputs and of `out` values.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A type of the language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// UTF-8 text.
    Text,
    /// A 64-bit integer.
    Int,
    /// A finite 64-bit float.
    Float,
    /// `true` or `false`.
    Bool,
    /// A TCP or UDP port, 1 to 65535.
    Port,
    /// A span of time such as `90s` or `2m`, kept in milliseconds.
    Duration,
    /// A size such as `64 MiB`, kept in bytes.
    Bytes,
    /// An absolute URL; user info in it is refused unless the value is secret.
    Url,
    /// A host name, IPv4 or IPv6 address.
    Address,
    /// A file on the operator's machine.
    File,
    /// A reference to an OCI image, such as `registry:2`.
    Image,
    /// One of these texts.
    Choice(Vec<String>),
    /// A list of one type.
    List(Box<Type>),
    /// A map from texts to one type.
    Map(Box<Type>),
    /// Named fields.
    Record(BTreeMap<String, Field>),
}

/// A field of a record, or an input: a type and how it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its type.
    pub ty: Type,
    /// It may be absent.
    pub optional: bool,
    /// Its value must never be shown (I8).
    pub secret: bool,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Text => f.write_str("Text"),
            Type::Int => f.write_str("Int"),
            Type::Float => f.write_str("Float"),
            Type::Bool => f.write_str("Bool"),
            Type::Port => f.write_str("Port"),
            Type::Duration => f.write_str("Duration"),
            Type::Bytes => f.write_str("Bytes"),
            Type::Url => f.write_str("Url"),
            Type::Address => f.write_str("Address"),
            Type::File => f.write_str("File"),
            Type::Image => f.write_str("Image"),
            Type::Choice(of) => write!(f, "Choice({of:?})"),
            Type::List(of) => write!(f, "List(of: {of})"),
            Type::Map(of) => write!(f, "Map(of: {of})"),
            Type::Record(_) => f.write_str("Record"),
        }
    }
}
