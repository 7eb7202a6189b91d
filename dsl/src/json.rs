//! JSON that programs write: a path to a value in it, and that value as one of the language.
//!
//! A path is `.` for the whole, or names and positions one behind the other: `.items[0].name`; a name with other characters than
//! letters, digits, `_` and `-` stands in brackets: `.labels['app.kubernetes.io/name']`. A path that leads nowhere, or to `null`,
//! is an error that says where it ends. No error repeats a value.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::kind::parse_text;
use crate::limits;
use crate::plan::Out;
use crate::types::{Field, Type};
use crate::value::Value;

/// One part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Name(String),
    Position(usize),
}

/// Reads a path; an error says what is wrong with it.
fn parts(path: &str) -> Result<Vec<Part>, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if path.len() > limits::PATTERN_BYTES {
        return Err(format!("a path has at most {} bytes", limits::PATTERN_BYTES));
    }
    if path == "." {
        return Ok(Vec::new());
    }
    let mut parts = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let at = path.len() - rest.len();
        if let Some(inside) = rest.strip_prefix("['") {
            let (name, behind) =
                inside.split_once("']").ok_or_else(|| format!("`['` at {at} is not closed by `']`"))?;
            parts.push(Part::Name(name.to_owned()));
            rest = behind;
        } else if let Some(inside) = rest.strip_prefix('[') {
            let (number, behind) = inside.split_once(']').ok_or_else(|| format!("`[` at {at} is not closed by `]`"))?;
            let digits = number.bytes().all(|b| b.is_ascii_digit());
            let position = number.parse().ok().filter(|_| digits);
            parts.push(Part::Position(position.ok_or("between `[` and `]` stands a position from 0, or `'a name'`")?));
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix('.') {
            let end = behind.find(|c| !plain(c)).unwrap_or(behind.len());
            let (name, behind) = behind.split_at(end);
            // `.[0]` is the first of a list that is the whole.
            if name.is_empty() && !(at == 0 && behind.starts_with('[')) {
                return Err(format!("behind the `.` at {at} a name must follow"));
            }
            if !name.is_empty() {
                parts.push(Part::Name(name.to_owned()));
            }
            rest = behind;
        } else {
            return Err("it is written such as `.items[0].name` or `.labels['a.b']`".to_owned());
        }
    }
    match parts.is_empty() {
        true => Err("it is empty; the whole is `.`".to_owned()),
        false => Ok(parts),
    }
}

/// Whether a text is a path; if not, what is wrong with it.
pub fn check_path(path: &str) -> Result<(), String> {
    parts(path).map(drop)
}

/// The value that a path leads to in a text that is JSON.
pub fn select(text: &str, path: &str) -> Result<Json, String> {
    let mut value: Json = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let mut gone = String::new();
    for part in parts(path)? {
        let (found, word) = match (&part, &mut value) {
            (Part::Name(name), Json::Object(fields)) => (fields.get_mut(name).map(Json::take), format!(".{name}")),
            (Part::Position(at), Json::Array(list)) => (list.get_mut(*at).map(Json::take), format!("[{at}]")),
            (Part::Name(_), other) => return Err(format!("{} is {}, not an object", whole(&gone), kind(other))),
            (Part::Position(_), other) => return Err(format!("{} is {}, not a list", whole(&gone), kind(other))),
        };
        value = found.ok_or_else(|| format!("{} has no `{word}`", whole(&gone)))?;
        gone.push_str(&word);
    }
    match value {
        Json::Null => Err(format!("{} is null", whole(&gone))),
        value => Ok(value),
    }
}

fn whole(gone: &str) -> String {
    if gone.is_empty() { "the JSON".to_owned() } else { format!("`{gone}`") }
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a Bool",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// A JSON value as one of a type. Numbers, texts and lists are themselves; a Duration is a text such as `"90s"`, a Bytes a number
/// of bytes or a text such as `"64 MiB"`. Fields that a Record does not declare are left out.
pub fn read(ty: &Type, json: &Json) -> Result<Value, String> {
    let not = |what: &str| Err(format!("{} is there, but {what} is expected", kind(json)));
    match (ty, json) {
        (Type::Bool, Json::Bool(b)) => Ok(Value::Bool(*b)),
        (Type::Float, Json::Number(number)) => match number.as_f64().filter(|x| x.is_finite()) {
            Some(x) => Ok(Value::Float(x)),
            None => not("a number of 64 bits"),
        },
        (Type::Int | Type::Port | Type::Bytes, Json::Number(number)) => match number.as_i64() {
            Some(i) if *ty == Type::Bytes => parse_text(ty, &format!("{i} B")),
            Some(i) => parse_text(ty, &i.to_string()),
            None => Err("a whole number of 64 bits is expected".to_owned()),
        },
        (
            Type::Text | Type::Duration | Type::Bytes | Type::Url | Type::Address | Type::Image | Type::Choice(_),
            Json::String(text),
        ) => parse_text(ty, text),
        (Type::List(of), Json::Array(list)) => {
            elements(list.len())?;
            let read = |(at, json)| read(of, json).map_err(|why| format!("[{at}]: {why}"));
            list.iter().enumerate().map(read).collect::<Result<_, _>>().map(Value::List)
        }
        (Type::Map(of), Json::Object(fields)) => {
            elements(fields.len())?;
            let read = |(name, json): (&String, &Json)| match read(of, json) {
                Ok(value) => Ok((name.clone(), value)),
                Err(why) => Err(format!(".{name}: {why}")),
            };
            fields.iter().map(read).collect::<Result<_, _>>().map(Value::Record)
        }
        (Type::Record(declared), Json::Object(fields)) => record(declared, fields).map(Value::Record),
        (Type::File, _) => Err("a File cannot be put out".to_owned()),
        (Type::Record(_) | Type::Map(_), _) => not("an object"),
        (Type::List(_), _) => not("a list"),
        (Type::Bool, _) => not("a Bool"),
        (Type::Int | Type::Port | Type::Float, _) => not("a number"),
        (Type::Bytes, _) => not("a number of bytes, or a text such as `64 MiB`"),
        (Type::Text | Type::Duration | Type::Url | Type::Address | Type::Image | Type::Choice(_), _) => not("a text"),
    }
}

fn record(
    declared: &BTreeMap<String, Field>,
    fields: &serde_json::Map<String, Json>,
) -> Result<BTreeMap<String, Value>, String> {
    let mut record = BTreeMap::new();
    for (name, field) in declared {
        match fields.get(name) {
            None | Some(Json::Null) if field.optional => {}
            None | Some(Json::Null) => return Err(format!("it has no `.{name}`")),
            Some(json) => {
                let value = read(&field.ty, json).map_err(|why| format!(".{name}: {why}"))?;
                record.insert(name.clone(), value);
            }
        }
    }
    Ok(record)
}

fn elements(count: usize) -> Result<(), String> {
    match count <= limits::ELEMENTS {
        true => Ok(()),
        false => Err(format!("it has more than {} elements", limits::ELEMENTS)),
    }
}

/// Reads a value that a person gives for an output: a Record, a Map, or a List that is taken from JSON, as JSON.
pub fn given(out: &Out, text: &str) -> Result<Value, String> {
    match (out, out.ty()) {
        (Out::Json { .. }, ty @ (Type::Record(_) | Type::Map(_) | Type::List(_))) => read(&ty, &select(text, ".")?),
        (_, ty) => parse_text(&ty, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{ "a": { "b": [ { "n": 1 }, "x" ], "null": null }, "a.b": true, "it's": 1, "": 2, "u": "http://h/", "d": "90s",
        "big": 18446744073709551615, "f": 1.5, "size": 1024, "list": ["a", "b"], "map": { "k": 1 } }"#;

    #[test]
    fn a_path_leads_to_a_value_or_says_where_it_ends() {
        for (path, expected) in
            [(".a.b[0].n", "1"), (".a.b[1]", "\"x\""), (".a['b'][0]", "{\"n\":1}"), ("['a.b']", "true"), (".['']", "2")]
        {
            assert_eq!(select(TEXT, path).unwrap().to_string(), expected, "{path}");
        }
        for (path, why) in [
            (".x", "the JSON has no `.x`"),
            (".a.x", "`.a` has no `.x`"),
            (".a.b[2]", "`.a.b` has no `[2]`"),
            (".a.b.n", "`.a.b` is a list, not an object"),
            (".a[0]", "`.a` is an object, not a list"),
            (".a.b[1].x", "`.a.b[1]` is a text, not an object"),
            (".a.null", "`.a.null` is null"),
        ] {
            assert_eq!(select(TEXT, path).unwrap_err(), why, "{path}");
        }
        assert!(select("no", ".").unwrap_err().starts_with("it is no JSON: "));
        assert_eq!(select("[1, 2]", ".[1]"), Ok(Json::from(2)));
        assert_eq!(select("null", ".").unwrap_err(), "the JSON is null");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for wrong in
            ["", "a", ".a.", "..a", ".a[", ".a[x]", ".a[-1]", ".a[+1]", ".a['b", ".a b", ". ", ".a[]", "$", ".é"]
        {
            assert!(check_path(wrong).is_err(), "{wrong}");
        }
        for right in [".", ".a", ".a-b_1", "[0]", ".[0]", "['x y']", ".a['é'].b[12][0]"] {
            assert_eq!(check_path(right), Ok(()), "{right}");
        }
    }

    #[test]
    fn json_is_read_by_type() {
        let at = |path: &str, ty: Type| read(&ty, &select(TEXT, path).unwrap());
        assert_eq!(at(".f", Type::Float), Ok(Value::Float(1.5)));
        assert_eq!(at(".size", Type::Int), Ok(Value::Int(1024)));
        assert_eq!(at(".size", Type::Bytes), Ok(Value::Int(1024)));
        assert_eq!(at(".size", Type::Float), Ok(Value::Float(1024.0)));
        assert_eq!(at(".d", Type::Duration), Ok(Value::DurationMs(90_000)));
        assert_eq!(at(".u", Type::Url), Ok(Value::Text("http://h/".to_owned())));
        let texts = ["a", "b"].map(|text| Value::Text(text.to_owned()));
        assert_eq!(at(".list", Type::List(Box::new(Type::Text))), Ok(Value::List(texts.into())));
        let map = Value::Record(BTreeMap::from([("k".to_owned(), Value::Int(1))]));
        assert_eq!(at(".map", Type::Map(Box::new(Type::Int))), Ok(map));
        let field = |optional| Field { ty: Type::Int, optional, secret: false };
        let record = |fields: &[(&str, bool)]| {
            Type::Record(fields.iter().map(|(name, optional)| ((*name).to_owned(), field(*optional))).collect())
        };
        assert_eq!(
            at(".map", record(&[("k", false), ("more", true)])),
            Ok(Value::Record(BTreeMap::from([("k".to_owned(), Value::Int(1))])))
        );
        for (path, ty, why) in [
            (".big", Type::Int, "a whole number of 64 bits is expected"),
            (".f", Type::Int, "a whole number of 64 bits is expected"),
            (".size", Type::Port, "1024"),
            (".size", Type::Text, "a number is there, but a text is expected"),
            (".d", Type::Int, "a text is there, but a number is expected"),
            (".list", Type::List(Box::new(Type::Int)), "[0]: a text is there, but a number is expected"),
            (".map", record(&[("more", false)]), "it has no `.more`"),
            (".a", Type::Map(Box::new(Type::Int)), ".b: a list is there, but a number is expected"),
        ] {
            match at(path, ty.clone()) {
                Err(said) => assert_eq!(said, why, "{path} {ty}"),
                Ok(value) => assert_eq!(value.to_text().as_deref(), Some(why), "{path} {ty}"),
            }
        }
    }
}
