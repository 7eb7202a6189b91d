//! Declared types with their constraints, and the reading of values that are given as text.

use std::ops::RangeInclusive;

use regex::Regex;

use crate::declared::InputDecl;
use crate::source::{Files, list_names, plain};
use crate::types::{Field, Type};
use crate::value::Value;
use crate::{duration, image, limits, words};

/// A type, and what a value of it must satisfy.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Its length in characters, and a pattern.
    Text(Bounds<u64>, Option<Pattern>),
    Int(Bounds<i64>),
    Float(Bounds<f64>),
    Bool,
    Port(Bounds<i64>),
    Duration(Bounds<u64>),
    Bytes(Bounds<u64>),
    Url(Option<Pattern>),
    Address(Option<Pattern>),
    File,
    /// A file whose content is a secret text.
    SecretFile,
    Image(Option<Pattern>),
    Choice(Vec<String>),
    /// Type of its elements, and how many.
    List(Box<Kind>, Bounds<u64>),
    /// Type of its values, and how many.
    Map(Box<Kind>, Bounds<u64>),
    Record(Vec<InputDecl>),
}

/// `min` and `max`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bounds<T> {
    pub(crate) min: Option<T>,
    pub(crate) max: Option<T>,
}

/// A regular expression that is searched in a value.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(pub(crate) Regex);

impl<T: PartialOrd + Copy> Bounds<T> {
    fn check(&self, value: T, what: &str, show: impl Fn(T) -> String) -> Result<(), String> {
        if let Some(min) = self.min.filter(|min| value < *min) {
            return Err(format!("{what} is at least {}", show(min)));
        }
        if let Some(max) = self.max.filter(|max| value > *max) {
            return Err(format!("{what} is at most {}", show(max)));
        }
        Ok(())
    }
}

fn check_pattern(pattern: Option<&Pattern>, text: &str) -> Result<(), String> {
    match pattern {
        Some(Pattern(regex)) if !regex.is_match(text) => {
            Err(format!("it must match the pattern `{}`", plain(regex.as_str())))
        }
        _ => Ok(()),
    }
}

impl Kind {
    /// The type without its constraints.
    pub(crate) fn ty(&self) -> Type {
        match self {
            Kind::Text(..) | Kind::SecretFile => Type::Text,
            Kind::Int(_) => Type::Int,
            Kind::Float(_) => Type::Float,
            Kind::Bool => Type::Bool,
            Kind::Port(_) => Type::Port,
            Kind::Duration(_) => Type::Duration,
            Kind::Bytes(_) => Type::Bytes,
            Kind::Url(_) => Type::Url,
            Kind::Address(_) => Type::Address,
            Kind::File => Type::File,
            Kind::Image(_) => Type::Image,
            Kind::Choice(of) => Type::Choice(of.clone()),
            Kind::List(of, _) => Type::List(Box::new(of.ty())),
            Kind::Map(of, _) => Type::Map(Box::new(of.ty())),
            Kind::Record(fields) => {
                Type::Record(fields.iter().filter_map(|f| Some((f.name.value.clone(), f.field()?))).collect())
            }
        }
    }

    /// Whether a value satisfies the constraints; an error never repeats it.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Kind::Text(bounds, pattern), Value::Text(text)) => {
                bounds.check(text.chars().count() as u64, "its length", |n| format!("{n} characters"))?;
                check_pattern(pattern.as_ref(), text)
            }
            (Kind::Url(pattern) | Kind::Address(pattern) | Kind::Image(pattern), Value::Text(text)) => {
                check_pattern(pattern.as_ref(), text)
            }
            (Kind::Int(bounds) | Kind::Port(bounds), Value::Int(i)) => bounds.check(*i, "it", |i| i.to_string()),
            (Kind::Float(bounds), Value::Float(x)) => bounds.check(*x, "it", |x| x.to_string()),
            (Kind::Duration(bounds), Value::DurationMs(ms)) => bounds.check(*ms, "it", duration::show),
            (Kind::Bytes(bounds), Value::Int(n)) => {
                bounds.check(u64::try_from(*n).unwrap_or(0), "it", |n| format!("{n} bytes"))
            }
            (Kind::List(of, bounds), Value::List(list)) => {
                bounds.check(list.len() as u64, "its length", |n| format!("{n} elements"))?;
                list.iter().try_for_each(|element| of.check(element).map_err(|why| format!("of an element, {why}")))
            }
            (Kind::Map(of, bounds), Value::Record(map)) => {
                bounds.check(map.len() as u64, "its size", |n| format!("{n} entries"))?;
                map.keys().try_for_each(|key| words::is_key(key))?;
                map.values().try_for_each(|value| of.check(value).map_err(|why| format!("of a value, {why}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether a value of it is a URL or has URLs in it.
    pub(crate) fn holds_urls(&self) -> bool {
        match self {
            Kind::Url(_) => true,
            Kind::List(of, _) | Kind::Map(of, _) => of.holds_urls(),
            _ => false,
        }
    }

    /// Reads a value that is given as text, and checks it. `files` is asked about files. An error never repeats the text.
    pub(crate) fn read(&self, text: &str, secret: bool, files: &dyn Files) -> Result<Value, String> {
        let value = match self {
            Kind::File => Value::File(files.file(text)?),
            // Its text is as long as a text may be.
            Kind::SecretFile => parse_any(&Type::Text, &files.secret_file(text)?)?,
            Kind::List(of, _) => {
                let list = words::elements(text)?;
                Value::List(list.iter().map(|text| of.read(text, secret, files)).collect::<Result<_, _>>()?)
            }
            Kind::Map(of, _) => {
                let read = |(key, text): (String, String)| Ok((key, of.read(&text, secret, files)?));
                Value::Record(words::entries(text)?.into_iter().map(read).collect::<Result<_, String>>()?)
            }
            _ if secret => parse_any(&self.ty(), text)?,
            _ => parse_text(&self.ty(), text)?,
        };
        self.check(&value)?;
        Ok(value)
    }
}

impl InputDecl {
    /// What a plan keeps of the declaration; `None` where the type could not be read.
    pub(crate) fn field(&self) -> Option<Field> {
        Some(Field { ty: self.kind.as_ref()?.ty(), optional: self.optional, secret: self.secret })
    }

    /// The fields of a record.
    pub(crate) fn fields(&self) -> &[InputDecl] {
        match &self.kind {
            Some(Kind::Record(fields)) => fields,
            _ => &[],
        }
    }
}

/// Reads a text as a public value: what is given for an input of a scalar type, or what a step wrote. A list is one element
/// a line, without empty lines and without white space at the ends of lines. An error says what is expected and never
/// repeats the text. A URL with user info is refused: it is a secret. Files and records have no text form.
pub fn parse_text(ty: &Type, text: &str) -> Result<Value, String> {
    let value = parse_any(ty, text)?;
    if *ty == Type::Url && has_user_info(text) {
        return Err("a URL without user and password is expected".to_owned());
    }
    Ok(value)
}

/// [`parse_text`] of a value that may be secret.
fn parse_any(ty: &Type, text: &str) -> Result<Value, String> {
    if text.len() > limits::TEXT_BYTES {
        return Err(format!("it is longer than {} bytes", limits::TEXT_BYTES));
    }
    if text.contains('\0') {
        return Err("it has a NUL byte in it".to_owned());
    }
    let trimmed = text.trim();
    let whole = |range: RangeInclusive<i64>, what: &str| match trimmed.parse::<i64>() {
        Ok(i) if range.contains(&i) => Ok(Value::Int(i)),
        _ => Err(format!("{what} is expected")),
    };
    match ty {
        Type::Text => Ok(Value::Text(text.to_owned())),
        Type::Int => whole(i64::MIN..=i64::MAX, "a whole number"),
        Type::Port => whole(1..=65_535, "a port from 1 to 65535"),
        Type::Float => match trimmed.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(Value::Float(x)),
            _ => Err("a number is expected".to_owned()),
        },
        Type::Bool => match trimmed {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err("`true` or `false` is expected".to_owned()),
        },
        Type::Duration => duration::parse(trimmed).map(Value::DurationMs),
        Type::Bytes => duration::parse_bytes(trimmed).map(|n| Value::Int(n as i64)),
        Type::Url => url(trimmed).map(|()| Value::Text(trimmed.to_owned())),
        Type::Address => address(trimmed).map(|()| Value::Text(trimmed.to_owned())),
        Type::Image => image::check(trimmed).map(|()| Value::Text(trimmed.to_owned())),
        Type::Choice(of) if of.iter().any(|choice| choice == trimmed) => Ok(Value::Text(trimmed.to_owned())),
        Type::Choice(of) => Err(format!("one of {} is expected", list_names(of))),
        Type::List(of) => {
            let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
            if lines.len() > limits::ELEMENTS {
                return Err(format!("a list has at most {} elements", limits::ELEMENTS));
            }
            Ok(Value::List(lines.iter().map(|line| parse_text(of, line)).collect::<Result<_, _>>()?))
        }
        Type::File | Type::Map(_) | Type::Record(_) => Err(format!("a {ty} cannot be read from a text")),
    }
}

/// Whether a text is an absolute URL.
fn url(text: &str) -> Result<(), String> {
    let wrong = || Err("an absolute URL such as `http://host:8080/path` is expected".to_owned());
    let Some((scheme, rest)) = text.split_once("://") else { return wrong() };
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let authority = authority(rest);
    let visible = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if !scheme_ok || !visible || authority.is_empty() || authority.ends_with('@') { wrong() } else { Ok(()) }
}

fn authority(rest: &str) -> &str {
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}

/// Whether a URL has a user or a password in it.
pub(crate) fn has_user_info(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| authority(rest).contains('@'))
}

/// Whether a text is a host name or an IP address.
fn address(text: &str) -> Result<(), String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let is_ip = text.parse::<std::net::IpAddr>().is_ok();
    // A name of digits and dots only would be an address that is written wrongly.
    let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_ip || (text.len() <= 253 && !numeric && text.split('.').all(label)) {
        Ok(())
    } else {
        Err("a host name or an IP address is expected".to_owned())
    }
}

/// Compiles a pattern, within limits.
pub(crate) fn compile_pattern(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > limits::PATTERN_BYTES {
        return Err(format!("a pattern has at most {} bytes", limits::PATTERN_BYTES));
    }
    let built = regex::RegexBuilder::new(pattern).size_limit(limits::PATTERN_COMPILED_BYTES).nest_limit(50).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large when compiled".to_owned(),
        // The regex crate draws a picture over several lines; its last one says what is wrong.
        error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_by_type() {
        let ok = |ty: Type, text: &str, value: Value| assert_eq!(parse_text(&ty, text), Ok(value), "{ty} {text}");
        ok(Type::Text, " a\n", Value::Text(" a\n".to_owned()));
        ok(Type::Int, "-5", Value::Int(-5));
        ok(Type::Port, "65535", Value::Int(65_535));
        ok(Type::Float, "1e3", Value::Float(1000.0));
        ok(Type::Bool, "true\n", Value::Bool(true));
        ok(Type::Duration, "1m30s", Value::DurationMs(90_000));
        ok(Type::Bytes, "1 KiB", Value::Int(1_024));
        ok(Type::Url, "http://h:1/x?y#z@", Value::Text("http://h:1/x?y#z@".to_owned()));
        ok(Type::Address, "fe80::1", Value::Text("fe80::1".to_owned()));
        ok(Type::Address, "a-1.example", Value::Text("a-1.example".to_owned()));
        ok(Type::List(Box::new(Type::Int)), "1\r\n\n 2 \n", Value::List(vec![Value::Int(1), Value::Int(2)]));
        let lines = ["a, b", " c"].map(|line| Value::Text(line.to_owned()));
        ok(Type::List(Box::new(Type::Text)), "a, b \n \n c\n", Value::List(lines.into()));
        ok(Type::List(Box::new(Type::Text)), "", Value::List(Vec::new()));
        for (ty, wrong) in [
            (Type::Int, "1.5"),
            (Type::Port, "0"),
            (Type::Port, "65536"),
            (Type::Float, "inf"),
            (Type::Bool, "yes"),
            (Type::Url, "host/path"),
            (Type::Url, "http://"),
            (Type::Url, "http://u@"),
            (Type::Url, "http://u:p@h/"),
            (Type::List(Box::new(Type::Url)), "http://h\nhttp://u:p@h/"),
            (Type::Url, "http://a b"),
            (Type::Address, "1.2.3"),
            (Type::Address, "-a"),
            (Type::Address, ""),
            (Type::Address, "a/b"),
            (Type::Text, "a\0b"),
            (Type::Choice(vec!["a".to_owned()]), "b"),
        ] {
            assert!(parse_text(&ty, wrong).is_err(), "{ty} {wrong}");
        }
    }

    #[test]
    fn user_info_is_seen_in_the_authority_only() {
        assert!(has_user_info("http://user:word@host/"));
        assert!(has_user_info("http://token@host"));
        assert!(!has_user_info("http://host/a@b"));
        assert!(!has_user_info("http://host?x=a@b"));
    }
}
