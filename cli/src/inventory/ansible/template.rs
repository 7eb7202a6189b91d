//! Jinja in values, as far as an inventory needs it: `{{ name }}`, parts of it, other hosts' by `hostvars['h'].name`,
//! `lookup('env', 'NAME')`, and `| default(…)`. Everything else is an error that says so.

use std::collections::BTreeMap;

use store::Secret;

use super::value::Value;

/// References inside references.
const DEPTH: usize = 16;
/// The longest text that references are written out to, bytes.
const TEXT_BYTES: usize = 64 * 1024;

/// Where names are looked up.
pub struct Scope<'s, 'v> {
    /// The host's name.
    pub host: &'s str,
    /// Its variables.
    pub variables: &'s BTreeMap<&'v str, &'v Value>,
    /// Those of another host.
    pub of: &'s dyn Fn(&str) -> Option<BTreeMap<&'v str, &'v Value>>,
    /// A variable of the environment.
    pub env: &'s dyn Fn(&str) -> Option<String>,
}

/// What a value comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// A value in which nothing is to be resolved any more.
    Value(Value),
    /// A variable of the environment and nothing else.
    Env(String),
}

/// Whether something is to be resolved in a text.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Resolves a value.
pub fn resolve(value: &Value, scope: &Scope<'_, '_>) -> Result<Resolved, String> {
    resolve_in(value, scope, DEPTH)
}

fn resolve_in(value: &Value, scope: &Scope<'_, '_>, depth: usize) -> Result<Resolved, String> {
    let text = match value {
        Value::Text(text) => text,
        // It stays one that is not to be seen.
        Value::Hidden(inner) => {
            return Ok(match resolve_in(inner, scope, depth)? {
                Resolved::Value(value @ Value::Hidden(_)) => Resolved::Value(value),
                Resolved::Value(value) => Resolved::Value(Value::Hidden(Box::new(value))),
                env @ Resolved::Env(_) => env,
            });
        }
        value => return Ok(Resolved::Value(value.clone())),
    };
    let text = text.expose();
    if !is_template(text) {
        return Ok(Resolved::Value(value.clone()));
    }
    let depth = depth.checked_sub(1).ok_or("its references go round in a circle, or too deep")?;
    if text.contains("{%") || text.contains("{#") {
        return Err(unknown());
    }
    let mut written = zeroize::Zeroizing::new(String::new());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("{{") {
        let (inside, behind) = from.split_once("}}").ok_or("a `}}` is missing")?;
        let found = expression(inside.trim(), scope, depth)?;
        // Alone it keeps its type.
        if written.is_empty() && before.trim().is_empty() && behind.trim().is_empty() {
            return Ok(found);
        }
        written.push_str(before);
        written.push_str(text_of(found, scope)?.expose());
        if written.len() > TEXT_BYTES {
            return Err(format!("it is more than {TEXT_BYTES} bytes"));
        }
        rest = behind;
    }
    written.push_str(rest);
    Ok(Resolved::Value(Value::Raw(Secret::from(written.as_str()))))
}

fn unknown() -> String {
    "only {{ NAME }}, {{ hostvars['HOST'].NAME }}, {{ lookup('env', 'NAME') }} and `| default('…')` are understood of Jinja here"
        .to_owned()
}

fn text_of(found: Resolved, scope: &Scope<'_, '_>) -> Result<Secret, String> {
    match found {
        Resolved::Env(name) => Ok(Secret::from((scope.env)(&name).unwrap_or_default())),
        Resolved::Value(Value::Text(text) | Value::Raw(text)) => Ok(text),
        Resolved::Value(Value::Int(number)) => Ok(Secret::from(number.to_string())),
        Resolved::Value(Value::Float(number)) => Ok(Secret::from(format!("{number:?}"))),
        Resolved::Value(Value::Bool(yes)) => Ok(Secret::from(if yes { "True" } else { "False" })),
        Resolved::Value(Value::Vault(_)) => Err("what ansible-vault has encrypted stands inside of a text".to_owned()),
        Resolved::Value(Value::Hidden(value)) => text_of(Resolved::Value(*value), scope),
        Resolved::Value(other) => Err(format!("what it refers to is {}, where a text is needed", other.kind())),
    }
}

/// A name with its parts, a text, or a look-up; then `| default(…)`.
fn expression(text: &str, scope: &Scope<'_, '_>, depth: usize) -> Result<Resolved, String> {
    let mut tokens = tokens(text)?;
    tokens.reverse();
    let found = primary(&mut tokens, scope, depth)?;
    let found = match tokens.pop() {
        None => found,
        Some(Token::Sign('|')) => {
            let default = matches!(tokens.pop(), Some(Token::Name(name)) if name == "default" || name == "d");
            if !default || tokens.pop() != Some(Token::Sign('(')) {
                return Err(unknown());
            }
            let other = primary(&mut tokens, scope, depth)?;
            if tokens.pop() != Some(Token::Sign(')')) || !tokens.is_empty() {
                return Err(unknown());
            }
            found.or(other)
        }
        Some(_) => return Err(unknown()),
    };
    found.ok_or_else(|| "it refers to a variable that the host does not have".to_owned())
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(usize),
    Sign(char),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            ' ' | '\t' | '\n' => 1,
            '\'' | '"' => {
                let inside = rest[1..].split_once(c).ok_or_else(unknown)?.0;
                if inside.contains('\\') {
                    return Err(unknown());
                }
                all.push(Token::Text(inside.to_owned()));
                inside.len() + 2
            }
            '0'..='9' => {
                let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                all.push(Token::Number(rest[..length].parse().map_err(|_| unknown())?));
                length
            }
            c if c == '_' || c.is_ascii_alphabetic() => {
                let length = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                all.push(Token::Name(rest[..length].to_owned()));
                length
            }
            '.' | '[' | ']' | '(' | ')' | ',' | '|' => {
                all.push(Token::Sign(c));
                1
            }
            _ => return Err(unknown()),
        };
        rest = &rest[length..];
    }
    Ok(all)
}

/// Nothing where a name is not known. The tokens are reversed: the next one is the last.
fn primary(tokens: &mut Vec<Token>, scope: &Scope<'_, '_>, depth: usize) -> Result<Option<Resolved>, String> {
    let name = match tokens.pop() {
        Some(Token::Text(text)) => return Ok(Some(Resolved::Value(Value::text(text)))),
        Some(Token::Number(number)) => return Ok(Some(Resolved::Value(Value::Int(number as i128)))),
        Some(Token::Name(name)) => name,
        Some(Token::Sign(_)) | None => return Err(unknown()),
    };
    if matches!(name.as_str(), "lookup" | "query" | "q") {
        return match (take(tokens, 6).as_slice(), name.as_str()) {
            (
                [Token::Sign('('), Token::Text(plugin), Token::Sign(','), Token::Text(name), Token::Sign(')')],
                "lookup",
            ) if matches!(plugin.as_str(), "env" | "ansible.builtin.env") => Ok(Some(Resolved::Env(name.clone()))),
            _ => Err(unknown()),
        };
    }
    let parts = path(tokens)?;
    let mut path = parts.iter().map(String::as_str);
    let found = match name.as_str() {
        "inventory_hostname" => return Ok(Some(Resolved::Value(Value::text(scope.host)))),
        "inventory_hostname_short" => {
            let short = scope.host.split('.').next().unwrap_or_default();
            return Ok(Some(Resolved::Value(Value::text(short))));
        }
        "hostvars" => {
            let (Some(host), Some(name)) = (path.next(), path.next()) else { return Err(unknown()) };
            let host = if host == "\u{0}inventory_hostname" { scope.host } else { host };
            let variables = (scope.of)(host).ok_or("it refers to a host that the inventory does not have")?;
            let own = Scope { host, variables: &variables, of: scope.of, env: scope.env };
            let Some(value) = variables.get(name) else { return Ok(None) };
            match resolve_in(value, &own, depth)? {
                env @ Resolved::Env(_) => return Ok(Some(env)),
                Resolved::Value(value) => Some(value),
            }
        }
        name => match scope.variables.get(name) {
            None => return Ok(None),
            Some(value) => match resolve_in(value, scope, depth)? {
                env @ Resolved::Env(_) => return Ok(Some(env)),
                Resolved::Value(value) => Some(value),
            },
        },
    };
    let hidden = matches!(found, Some(Value::Hidden(_)));
    let part = path.try_fold(found.map(bare), |found, name| match found {
        Some(Value::Map(map)) => Some(map.get(name).cloned()),
        Some(Value::List(list)) => Some(name.parse::<usize>().ok().and_then(|at| list.get(at).cloned())),
        _ => None,
    });
    match part.flatten() {
        None => Ok(None),
        Some(value) if hidden => resolve_in(&Value::Hidden(Box::new(value)), scope, depth).map(Some),
        Some(value) => resolve_in(&value, scope, depth).map(Some),
    }
}

/// A value without the mark that it is not to be seen.
fn bare(value: Value) -> Value {
    match value {
        Value::Hidden(value) => bare(*value),
        value => value,
    }
}

/// So many tokens at most, up to a closing bracket.
fn take(tokens: &mut Vec<Token>, most: usize) -> Vec<Token> {
    let mut taken = Vec::new();
    while let Some(token) = tokens.pop() {
        let last = token == Token::Sign(')') || taken.len() + 1 >= most;
        taken.push(token);
        if last {
            break;
        }
    }
    taken
}

/// `.a`, `['a']`, `[0]`, and `[inventory_hostname]`, which no other name can be mistaken for.
fn path(tokens: &mut Vec<Token>) -> Result<Vec<String>, String> {
    let mut path = Vec::new();
    loop {
        match tokens.last() {
            Some(Token::Sign('.')) => {
                tokens.pop();
                let Some(Token::Name(name)) = tokens.pop() else { return Err(unknown()) };
                path.push(name);
            }
            Some(Token::Sign('[')) => {
                tokens.pop();
                path.push(match tokens.pop() {
                    Some(Token::Text(text)) => text,
                    Some(Token::Number(number)) => number.to_string(),
                    Some(Token::Name(name)) if name == "inventory_hostname" => format!("\u{0}{name}"),
                    Some(Token::Name(_) | Token::Sign(_)) | None => return Err(unknown()),
                });
                if tokens.pop() != Some(Token::Sign(']')) {
                    return Err(unknown());
                }
            }
            Some(_) | None => return Ok(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let port = Value::Int(22);
        let [a, b, round] = ["x-{{ b }}", "{{ c }}", "{{ round }}"].map(Value::text);
        let map = Value::Map([("k".to_owned(), Value::List(vec![Value::text("{{ port }}")]))].into_iter().collect());
        let c = Value::text("see");
        let variables =
            BTreeMap::from([("a", &a), ("b", &b), ("c", &c), ("port", &port), ("m", &map), ("round", &round)]);
        let other = Value::text("{{ inventory_hostname }}!");
        let others = BTreeMap::from([("v", &other)]);
        let scope = Scope {
            host: "web1.example",
            variables: &variables,
            of: &|name| match name {
                "db-1" => Some(others.clone()),
                "web1.example" => Some(variables.clone()),
                _ => None,
            },
            env: &|name| (name == "HOME").then(|| "/home/ann".to_owned()),
        };
        match resolve(&Value::text(text), &scope) {
            Ok(Resolved::Env(name)) => format!("env {name}"),
            Ok(Resolved::Value(Value::Text(text) | Value::Raw(text))) => text.expose().to_owned(),
            Ok(Resolved::Value(other)) => format!("{other:?}"),
            Err(why) => format!("error: {why}"),
        }
    }

    #[test]
    fn simple_references_are_resolved() {
        assert_eq!(of("plain"), "plain");
        assert_eq!(of("{{ a }}"), "x-see");
        assert_eq!(of(" {{port}} "), "Int(22)", "alone it keeps its type");
        assert_eq!(of("p{{ port }}"), "p22");
        assert_eq!(of("{{ m.k[0] }} {{ m['k'][0] }}"), "22 22");
        assert_eq!(of("{{ inventory_hostname }}/{{ inventory_hostname_short }}"), "web1.example/web1");
        assert_eq!(of("{{ hostvars['db-1'].v }} {{ hostvars['db-1']['v'] }}"), "db-1! db-1!");
        assert_eq!(of("{{ hostvars[inventory_hostname].c }}"), "see");
        assert_eq!(of("{{ lookup('env', 'HOME') }}"), "env HOME");
        assert_eq!(of("{{ lookup(\"ansible.builtin.env\",\"HOME\") }}/.ssh/id"), "/home/ann/.ssh/id");
        assert_eq!(of("{{ nothing | default('d') }}{{ c|d('d') }}{{ m.none | default(port) }}"), "dsee22");
    }

    #[test]
    fn everything_else_is_an_error_that_says_so() {
        for (text, says) in [
            ("{{ round }}", "circle"),
            ("{{ nothing }}", "does not have"),
            ("{{ m.k.z }}", "does not have"),
            ("{{ hostvars['x'].v }}", "does not have"),
            ("{{ a + b }}", "only"),
            ("{{ a | upper }}", "only"),
            ("{{ lookup('file', '/etc/passwd') }}", "only"),
            ("{{ q('env', 'HOME') }}", "only"),
            ("{% if a %}x{% endif %}", "only"),
            ("{{ a", "missing"),
            ("{{ m }}x", "a map"),
            ("{{ }}", "only"),
        ] {
            let found = of(text);
            assert!(found.starts_with("error: ") && found.contains(says), "{text}: {found}");
        }
    }
}
