//! Templates of files: Jinja, as minijinja has it, in strict mode.
//!
//! A template sees its `vars` and nothing else, so what a file depends on stands in the workflow: [`check`] refuses names
//! that are not among them, and filters and tests that do not exist, before any host is touched. It includes no other file,
//! reads no clock and calls nothing but `range`, `dict` and `namespace`; how long it works and how much it writes is limited.
//!
//! Invariant: an error of [`render`] says where and of which kind, never what a value is: it may be a secret (I8).

mod words;

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::data::Data;
use crate::limits;
use words::{Use, words};

/// The functions that a template can call.
const FUNCTIONS: [&str; 3] = ["range", "dict", "namespace"];

/// What is wrong with a template, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) what: What,
    pub(crate) range: Range<usize>,
}

/// What is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It cannot be read.
    Syntax(String),
    /// It names what is not among its `vars`.
    Unknown(String),
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Its files are no web pages, and end as they are written.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // The delimiters are Jinja's own, so they fit together.
    environment.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default());
    environment.remove_global("debug");
    environment.set_fuel(Some(limits::TEMPLATE_FUEL));
    environment
}

/// Finds what is wrong with a template for these `vars`; else those of them that it does not name.
pub(crate) fn check<'v>(text: &str, vars: &[&'v str]) -> Result<Vec<&'v str>, Vec<Wrong>> {
    let mut environment = environment();
    // Only so does an error know its place. There are no values here that it could repeat.
    environment.set_debug(true);
    let template = environment.template_from_str(text).map_err(|error| vec![unread(text, &error)])?;
    let named = template.undeclared_variables(false);
    let mut wrong = Vec::new();
    let mut told = BTreeSet::new();
    let mut state = environment.empty_state();
    for (range, usage) in words(text) {
        let word = &text[range.clone()];
        let unknown = match usage {
            Use::Name => named.contains(word) && !vars.contains(&word) && !FUNCTIONS.contains(&word),
            Use::Filter => is(state.apply_filter(word, &[]), ErrorKind::UnknownFilter),
            Use::Test => is(state.perform_test(word, &[]), ErrorKind::UnknownTest),
        };
        if unknown && told.insert((word, usage)) {
            let what = match usage {
                Use::Name => What::Unknown(word.to_owned()),
                Use::Filter => What::Syntax(format!("there is no filter `{word}`")),
                Use::Test => What::Syntax(format!("there is no test `{word}`")),
            };
            wrong.push(Wrong { what, range });
        }
    }
    // A name that was not found where it stands is wrong all the same.
    let everywhere = |name: &&String| !vars.contains(&name.as_str()) && !FUNCTIONS.contains(&name.as_str());
    if wrong.is_empty() {
        let mut missed: Vec<&String> = named.iter().filter(everywhere).collect();
        missed.sort();
        wrong.extend(missed.into_iter().map(|name| Wrong { what: What::Unknown(name.clone()), range: 0..0 }));
    }
    match wrong.is_empty() {
        true => Ok(vars.iter().copied().filter(|name| !named.contains(*name)).collect()),
        false => Err(wrong),
    }
}

fn is<T>(result: Result<T, Error>, kind: ErrorKind) -> bool {
    result.is_err_and(|error| error.kind() == kind)
}

/// What the parser says, at the place it means.
fn unread(text: &str, error: &Error) -> Wrong {
    let range = error.range().filter(|range| range.start <= range.end && range.end <= text.len());
    let range = range.filter(|range| text.is_char_boundary(range.start) && text.is_char_boundary(range.end));
    let range = range.unwrap_or_else(|| {
        let line = error.line().unwrap_or(1);
        let start =
            text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>().min(text.len());
        start..start + text[start..].lines().next().map_or(0, str::len)
    });
    Wrong { what: What::Syntax(error.detail().unwrap_or("it is not Jinja").to_owned()), range }
}

/// The text that a template gives.
pub fn render(text: &str, vars: Vec<(String, Data)>) -> Result<String, String> {
    let environment = environment();
    let template = environment.template_from_str(text).map_err(|error| place(&error))?;
    let vars = Value::from_pairs(vars.into_iter().map(|(name, data)| (name, value(data))));
    let mut written = Written::default();
    match template.render_captured_to(vars, &mut written) {
        _ if written.over => Err(format!("it gives more than {} bytes", limits::RESULT_BYTES)),
        Ok(_) => String::from_utf8(written.bytes).map_err(|_| "it gives no UTF-8".to_owned()),
        Err(error) => Err(place(&error)),
    }
}

fn place(error: &Error) -> String {
    let kind = match error.kind() {
        ErrorKind::OutOfFuel => "it works for too long".to_owned(),
        ErrorKind::UndefinedError => "something is not there that it uses".to_owned(),
        kind => kind.to_string(),
    };
    match error.line() {
        Some(line) => format!("line {line}: {kind}"),
        None => kind,
    }
}

fn value(data: Data) -> Value {
    match data {
        Data::Null => Value::from(()),
        Data::Bool(b) => Value::from(b),
        Data::Int(i) => Value::from(i),
        Data::Float(x) => Value::from(x),
        Data::Text(text) => Value::from(text),
        Data::List(list) => Value::from_iter(list.into_iter().map(value)),
        Data::Map(map) => Value::from_pairs(map.into_iter().map(|(key, data)| (key, value(data)))),
    }
}

/// What a template has written, up to the limit.
#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    over: bool,
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > limits::RESULT_BYTES {
            self.over = true;
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<(String, String)> {
        let found = check(text, &["name", "hosts"]).err().unwrap_or_default();
        let said = found.into_iter().map(|wrong| match wrong.what {
            What::Syntax(said) => (said, text[wrong.range].to_owned()),
            What::Unknown(name) => (format!("unknown {name}"), text[wrong.range].to_owned()),
        });
        said.collect()
    }

    #[test]
    fn what_a_template_names_is_among_its_vars() {
        assert_eq!(
            check("{{ name }} {% for h in hosts %}{{ loop.index }} {{ h.x|upper }}{% endfor %}", &["name", "hosts"]),
            Ok(vec![])
        );
        assert_eq!(
            check("{% set x = range(3) %}{{ x }} user {# nmae #} '{{ '{{ nmae }}' }}", &["name"]),
            Ok(vec!["name"])
        );
        assert_eq!(wrong("a\n{{ name }} {{ nmae }} {{ nmae.x }}"), [("unknown nmae".to_owned(), "nmae".to_owned())]);
        assert_eq!(wrong("{{ name|uper }}")[0].1, "uper");
        assert_eq!(wrong("{% if name is defnied %}{% endif %}")[0].1, "defnied");
        assert_eq!(wrong("{{ env.HOME }} {{ debug() }}").len(), 2, "neither its surroundings nor the values of all");
        assert_eq!(wrong("{% include 'other' %}").len(), 1, "one file is one file");
        assert!(!wrong("{% if name %}").is_empty());
        assert!(!wrong("{{ name ").is_empty());
    }

    fn rendered(text: &str) -> Result<String, String> {
        let hosts = ["a", "b"].map(|name| Data::Map(vec![("x".to_owned(), Data::Text(name.to_owned()))]));
        let vars = vec![
            ("name".to_owned(), Data::Text("<n&m>".to_owned())),
            ("hosts".to_owned(), Data::List(hosts.to_vec())),
            ("nothing".to_owned(), Data::Null),
        ];
        render(text, vars)
    }

    #[test]
    fn it_is_strict_and_limited_and_keeps_what_stands_there() {
        let given =
            "{{ name }}\n{% for h in hosts %}{{ h.x|upper }},{% endfor %}{% if nothing is none %}!{% endif %}\n";
        assert_eq!(rendered(given).as_deref(), Ok("<n&m>\nA,B,!\n"));
        assert_eq!(rendered("\n{{ hosts[0].y }}"), Err("line 2: something is not there that it uses".to_owned()));
        assert!(rendered("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}").is_err());
        assert!(rendered("{% for i in range(9999) %}{{ 'x' * 10000 }}{% endfor %}").is_err());
        let said = rendered("{{ name + 1 }}").expect_err("no number");
        assert!(!said.contains("n&m"), "{said}");
    }
}
