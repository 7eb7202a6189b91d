//! An inventory that is a program: it is run with `--list` and answers JSON, as Ansible's inventory scripts do.
//!
//! Where the answer has no `_meta`, it is asked for each host with `--host NAME`.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use store::Secret;
use zeroize::Zeroizing;

use super::ini::add_host;
use super::tree::Tree;
use super::value::{Value, Variables};
use super::wrong::Wrong;

/// How long one run may take.
const RUN: Duration = Duration::from_secs(60);
/// How long all runs together may take: one for each host, where the script knows no `_meta`.
const RUNS: Duration = Duration::from_secs(300);
/// The longest answer, bytes.
const ANSWER_BYTES: u64 = 16 << 20;

/// Runs it and reads what it answers into the tree.
pub fn read(path: &Path, tree: &mut Tree) -> Result<(), Wrong> {
    let until = Instant::now() + RUNS;
    let Value::Map(mut groups) = json(&run(path, &["--list"], until)?)? else {
        return Err(Wrong::new("what the program answers is no JSON object of groups"));
    };
    let meta = match groups.shift_remove("_meta") {
        Some(Value::Map(mut meta)) => match meta.shift_remove("hostvars") {
            Some(Value::Map(hosts)) => Some(hosts),
            Some(_) => return Err(Wrong::new("`_meta.hostvars` is no JSON object")),
            None => None,
        },
        Some(_) => return Err(Wrong::new("`_meta` is no JSON object")),
        None => None,
    };
    let mut hosts = Vec::new();
    for (name, what) in groups {
        group(&name, what, &mut hosts, tree).map_err(Wrong::new)?;
    }
    for host in hosts {
        let variables = match &meta {
            Some(meta) => match meta.get(&host) {
                Some(Value::Map(variables)) => variables.clone(),
                Some(Value::None) | None => continue,
                Some(_) => return Err(Wrong::new(format!("`_meta.hostvars` of `{host}` is no JSON object"))),
            },
            None => one_host(path, &host, until)?,
        };
        tree.hosts.entry(host).or_default().extend(variables);
    }
    Ok(())
}

fn one_host(path: &Path, host: &str, until: Instant) -> Result<Variables, Wrong> {
    let answer = run(path, &["--host", host], until)?;
    if answer.trim().is_empty() {
        return Ok(Variables::new());
    }
    match json(&answer)? {
        Value::Map(variables) => Ok(variables),
        _ => Err(Wrong::new(format!("what the program answers for `{host}` is no JSON object"))),
    }
}

fn group(name: &str, what: Value, hosts: &mut Vec<String>, tree: &mut Tree) -> Result<(), String> {
    tree.group(name)?;
    let mut parts = match what {
        Value::Map(parts) if ["hosts", "vars", "children"].iter().any(|part| parts.contains_key(*part)) => parts,
        // As it was said long ago: a host of its own, or a list of hosts.
        Value::Map(parts) => Variables::from([
            ("hosts".to_owned(), Value::List(vec![Value::text(name)])),
            ("vars".to_owned(), Value::Map(parts)),
        ]),
        list => Variables::from([("hosts".to_owned(), list)]),
    };
    for host in names(name, "hosts", parts.shift_remove("hosts"))? {
        add_host(&host, None, std::iter::empty(), name, tree)?;
        hosts.push(host);
    }
    match parts.shift_remove("vars") {
        Some(Value::Map(variables)) => {
            variables.into_iter().try_for_each(|(key, value)| tree.group_variable(name, key, value))?;
        }
        Some(Value::None) | None => {}
        Some(_) => return Err(format!("`vars` of the group `{name}` is no JSON object")),
    }
    for child in names(name, "children", parts.shift_remove("children"))? {
        tree.group(&child)?;
        tree.child(name, &child)?;
    }
    Ok(())
}

fn names(group: &str, part: &str, list: Option<Value>) -> Result<Vec<String>, String> {
    let wrong = || format!("`{part}` of the group `{group}` is no list of names");
    let list = match list {
        Some(Value::List(list)) => list,
        Some(Value::None) | None => Vec::new(),
        Some(_) => return Err(wrong()),
    };
    let name = |value: Value| match value {
        Value::Text(text) | Value::Raw(text) => Ok(text.expose().to_owned()),
        _ => Err(wrong()),
    };
    list.into_iter().map(name).collect()
}

/// A JSON text as a value. `{"__ansible_unsafe": "…"}` and `{"__ansible_vault": "…"}` are what `ansible-inventory` writes.
pub fn json(text: &str) -> Result<Value, Wrong> {
    let value = serde_json::from_str(text).map_err(|error| {
        let at = super::wrong::At { line: error.line(), column: error.column() };
        Wrong::at(at, "it is no JSON from here on")
    })?;
    Ok(of_json(value))
}

fn of_json(value: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::None,
        Json::Bool(yes) => Value::Bool(yes),
        Json::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(float)) => Value::Float(float),
            (None, None) => Value::text(number.to_string()),
        },
        Json::String(text) => Value::text(text),
        Json::Array(list) => Value::List(list.into_iter().map(of_json).collect()),
        Json::Object(map) => match map.iter().next() {
            Some((name, Json::String(text))) if map.len() == 1 && name == "__ansible_unsafe" => {
                Value::Raw(Secret::from(text.as_str()))
            }
            Some((name, Json::String(text))) if map.len() == 1 && name == "__ansible_vault" => {
                Value::Vault(Secret::from(text.as_str()))
            }
            _ => Value::Map(map.into_iter().map(|(name, value)| (name, of_json(value))).collect()),
        },
    }
}

/// What a run writes to its standard output; what it says to people goes to the terminal.
fn run(path: &Path, args: &[&str], until: Instant) -> Result<Zeroizing<String>, Wrong> {
    let until = until.min(Instant::now() + RUN);
    let program = std::path::absolute(path).map_err(|error| Wrong::new(error.to_string()))?;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| Wrong::new(format!("the program cannot be run: {error}")))?;
    let (done, answered) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut bytes = Zeroizing::new(Vec::new());
            let read = stdout.take(ANSWER_BYTES + 1).read_to_end(&mut bytes);
            // Nobody waits any more: then nobody needs it.
            let _ = done.send(read.map(|_| bytes));
        });
    }
    let left = || until.saturating_duration_since(Instant::now());
    let answer = answered.recv_timeout(left());
    let too_long = matches!(&answer, Ok(Ok(bytes)) if bytes.len() as u64 > ANSWER_BYTES);
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if !too_long && answer.is_ok() && !left().is_zero() => {
                std::thread::sleep(Duration::from_millis(5).min(left()));
            }
            Ok(None) | Err(_) => break None,
        }
    };
    if ended.is_none() {
        // It may have ended by itself just now; either way it is waited for.
        let _ = child.kill();
        let _ = child.wait();
    }
    let what = args.join(" ");
    if too_long {
        return Err(Wrong::new(format!("the program ({what}) answers more than {ANSWER_BYTES} bytes")));
    }
    let (Some(status), Ok(answer)) = (ended, answer) else {
        return Err(Wrong::new(format!("the program ({what}) has not ended in time; it has {} s", RUN.as_secs())));
    };
    if !status.success() {
        return Err(Wrong::new(format!("the program ({what}) failed with {status}")));
    }
    let answer =
        answer.map_err(|error| Wrong::new(format!("what the program ({what}) writes cannot be read: {error}")))?;
    std::str::from_utf8(&answer)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| Wrong::new(format!("what the program ({what}) writes is not UTF-8 text")))
}
