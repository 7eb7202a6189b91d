//! `out`: values that later steps read, taken from what a program wrote, from a file it left and from its exit code.
//!
//! Invariant: secret values are taken first, from what is really there, and are sealed; all others come from what has passed the
//! filter that knows them by then. No message repeats a value (I8).

use std::collections::BTreeMap;

use dsl::plan::Out;
use dsl::value::Value;
use regex::RegexBuilder;
use store::Secret;

use crate::host::JobEnd;
use crate::limits::OUT_BYTES;
use crate::redact::Redactor;
use crate::web::client::Answer;

/// What values are taken from.
#[derive(Debug)]
pub struct Taken<'a> {
    /// How the program ended, and what it wrote.
    pub end: &'a JobEnd,
    /// The content of files, by the name of the output.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The answer to a request, whose body is what was written.
    pub answer: Option<&'a Answer>,
}

/// Why a value is missing.
#[derive(Debug, PartialEq, Eq)]
pub enum Missing {
    /// An exit code that is success says neither.
    Exit(String),
    /// Anything else.
    Why(String),
}

/// The secret values of a step by the name of the output, or why there is one missing.
pub fn secrets(outs: &BTreeMap<String, Out>, taken: &Taken<'_>) -> Result<BTreeMap<String, Secret>, Missing> {
    let mut secrets = BTreeMap::new();
    for (name, out) in outs.iter().filter(|(_, out)| out.is_secret()) {
        let why = |why: String| Missing::Why(format!("`out` {name}: {why}"));
        let bytes = bytes(name, out.way(), taken).map_err(why)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| why("it is no UTF-8, which a secret must be".to_owned()))?;
        let text = match out.way() {
            Out::Json { path, .. } => match dsl::json::select(text, path).map_err(why)? {
                serde_json::Value::String(text) => text,
                serde_json::Value::Number(number) => number.to_string(),
                _ => return Err(why("a text is expected".to_owned())),
            },
            way => found(way, text).map_err(why)?.to_owned(),
        };
        if text.is_empty() {
            return Err(why("it is empty, which no secret is".to_owned()));
        }
        match dsl::parse_text(&out.ty(), &limited(text).map_err(why)?).map_err(why)? {
            Value::Text(text) => drop(secrets.insert(name.clone(), Secret::from(text))),
            value => return Err(why(format!("a text is expected, not {}", value.kind()))),
        }
    }
    Ok(secrets)
}

/// The public values of a step, or why there is one missing.
pub fn public(
    outs: &BTreeMap<String, Out>,
    taken: &Taken<'_>,
    redactor: &Redactor,
) -> Result<BTreeMap<String, Value>, Missing> {
    let mut values = BTreeMap::new();
    for (name, out) in outs.iter().filter(|(_, out)| !out.is_secret()) {
        let why = |why: String| Missing::Why(format!("`out` {name}: {why}"));
        let text = || -> Result<String, Missing> {
            let bytes = bytes(name, out, taken).map_err(why)?;
            Ok(String::from_utf8_lossy(&redactor.bytes(&bytes)).into_owned())
        };
        let value = match out {
            Out::ExitIs { true_on, false_on } => match taken.end.exit {
                exit if true_on.contains(&exit) => Value::Bool(true),
                exit if false_on.contains(&exit) => Value::Bool(false),
                exit => {
                    let why = "stands neither in its `true_on` nor in its `false_on`";
                    return Err(Missing::Exit(format!("`out` {name}: exit code {exit} {why}")));
                }
            },
            Out::Status => match taken.answer {
                Some(answer) => Value::Int(i64::from(answer.status)),
                None => return Err(why("there is no answer that has a status".to_owned())),
            },
            Out::Json { path, ty } => {
                let json = dsl::json::select(&text()?, path).map_err(why)?;
                let size = json.to_string();
                limited(size).map_err(why)?;
                masked(dsl::json::read(ty, &json).map_err(|wrong| why(format!("{path}: {wrong}")))?, redactor)
            }
            // Where much was dropped between, there is still something to search.
            Out::Regex { pattern: _, ty } => {
                let text = redactor.output(&taken.end.stdout);
                let found = limited(found(out, &text).map_err(why)?.to_owned()).map_err(why)?;
                dsl::parse_text(ty, &found).map_err(why)?
            }
            out => {
                let text = text()?;
                let found = limited(found(out, &text).map_err(why)?.to_owned()).map_err(why)?;
                dsl::parse_text(&out.ty(), &found).map_err(why)?
            }
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// What an output is taken from.
fn bytes(name: &str, way: &Out, taken: &Taken<'_>) -> Result<Vec<u8>, String> {
    if let Out::File { .. } = way {
        return taken.files.get(name).cloned().ok_or_else(|| "its file was not read".to_owned());
    }
    if let Out::Header { name, .. } = way {
        let header = taken.answer.and_then(|answer| answer.header(name));
        return header.map(String::into_bytes).ok_or_else(|| format!("the answer has no header `{name}`"));
    }
    let stdout = &taken.end.stdout;
    if stdout.dropped_bytes > 0 {
        return Err("standard output is too long to be a value".to_owned());
    }
    Ok([stdout.head.as_slice(), stdout.tail.as_slice()].concat())
}

/// The part of a text that is the value.
fn found<'t>(way: &Out, text: &'t str) -> Result<&'t str, String> {
    let Out::Regex { pattern, .. } = way else { return Ok(text.trim_end_matches(['\n', '\r'])) };
    let regex = RegexBuilder::new(pattern).multi_line(true).build();
    let regex = regex.map_err(|error| format!("the pattern does not compile: {error}"))?;
    let found = regex.captures(text).and_then(|found| found.get(1).or_else(|| found.get(0)));
    found.map(|found| found.as_str()).ok_or_else(|| format!("nothing in standard output matches `{pattern}`"))
}

fn limited(text: String) -> Result<String, String> {
    match text.len() <= OUT_BYTES {
        true => Ok(text),
        false => Err(format!("{} bytes are more than the {OUT_BYTES} of one value", text.len())),
    }
}

/// What was escaped in JSON is filtered again as it is.
fn masked(value: Value, redactor: &Redactor) -> Value {
    match value {
        Value::Text(text) => Value::Text(redactor.text(&text)),
        Value::List(list) => Value::List(list.into_iter().map(|value| masked(value, redactor)).collect()),
        Value::Record(fields) => {
            let masked = |(name, value): (String, Value)| (redactor.text(&name), masked(value, redactor));
            Value::Record(fields.into_iter().map(masked).collect())
        }
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use dsl::types::Type;

    use super::*;
    use crate::host::Output;

    fn end(exit: i32, stdout: &[u8]) -> JobEnd {
        let stdout = Output { head: stdout.to_vec(), tail: Vec::new(), dropped_bytes: 0 };
        JobEnd { exit, stdout, stderr: Output::default() }
    }

    fn one(out: Out) -> BTreeMap<String, Out> {
        BTreeMap::from([("x".to_owned(), out)])
    }

    fn public_of(out: Out, end: &JobEnd) -> Result<Value, Missing> {
        let taken = Taken { end, files: BTreeMap::new(), answer: None };
        public(&one(out), &taken, &Redactor::default()).map(|mut values| values.remove("x").unwrap())
    }

    fn secret_of(out: Out, stdout: &[u8]) -> Result<String, Missing> {
        let end = end(0, stdout);
        let taken = Taken { end: &end, files: BTreeMap::new(), answer: None };
        secrets(&one(Out::Secret(Box::new(out))), &taken)
            .map(|mut found| found.remove("x").unwrap().expose().to_owned())
    }

    #[test]
    fn an_exit_code_is_an_answer() {
        let exit_is = || Out::ExitIs { true_on: vec![0], false_on: vec![1, 3] };
        assert_eq!(public_of(exit_is(), &end(0, b"")), Ok(Value::Bool(true)));
        assert_eq!(public_of(exit_is(), &end(3, b"")), Ok(Value::Bool(false)));
        assert!(matches!(public_of(exit_is(), &end(2, b"")), Err(Missing::Exit(why)) if why.contains("exit code 2")));
    }

    #[test]
    fn json_is_taken_by_its_path() {
        let json = |path: &str, ty| Out::Json { path: path.to_owned(), ty };
        let wrote = end(0, br#"{"items": [{"name": "a"}, {"name": "b"}]}"#);
        assert_eq!(public_of(json(".items[1].name", Type::Text), &wrote), Ok(Value::Text("b".to_owned())));
        let missing = public_of(json(".items[2].name", Type::Text), &wrote);
        assert_eq!(missing, Err(Missing::Why("`out` x: `.items` has no `[2]`".to_owned())));
        let wrong = public_of(json(".items[0]", Type::Int), &wrote);
        let why = "`out` x: .items[0]: an object is there, but a number is expected";
        assert_eq!(wrong, Err(Missing::Why(why.to_owned())));
        let long = format!("[{}]", vec!["\"0123456789\""; 6_000].join(","));
        let long = public_of(json(".", Type::List(Box::new(Type::Text))), &end(0, long.as_bytes()));
        assert!(matches!(long, Err(Missing::Why(why)) if why.contains("more than the 65536")));
    }

    #[test]
    fn a_secret_is_a_text_that_is_there_and_no_message_repeats_it() {
        let json = |path: &str| Out::Json { path: path.to_owned(), ty: Type::Text };
        assert_eq!(secret_of(Out::Stdout { ty: Type::Text }, b"two\nlines\r\n"), Ok("two\nlines".to_owned()));
        assert_eq!(secret_of(json(".t"), br#"{"t": "canary"}"#), Ok("canary".to_owned()));
        assert_eq!(secret_of(json(".t"), br#"{"t": 4711}"#), Ok("4711".to_owned()));
        for (out, wrote) in [
            (Out::Stdout { ty: Type::Text }, &b"\n"[..]),
            (Out::Stdout { ty: Type::Text }, b"canary\xff"),
            (Out::Stdout { ty: Type::Text }, b"canary\0x"),
            (Out::Regex { pattern: "token=(.+)".to_owned(), ty: Type::Text }, b"canary"),
            (json(".t"), br#"{"t": ["canary"]}"#),
            (json(".t"), b"canary"),
            (json(".t"), br#"{"canary": 1}"#),
            (Out::File { path: dsl::expr::Template::literal("/x"), ty: Type::Text }, b"canary"),
        ] {
            let missing = format!("{:?}", secret_of(out.clone(), wrote).unwrap_err());
            assert!(missing.contains("`out` x: ") && !missing.contains("canary"), "{out:?}: {missing}");
        }
    }
}
