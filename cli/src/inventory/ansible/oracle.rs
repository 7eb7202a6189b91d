//! What the real `ansible-inventory` says of each inventory of `cli/tests/ansible`, and what we say (`expect.sh` asks it anew).

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use super::load::load;
use super::tree::{ALL, Tree};
use super::value::Value;
use super::vault::Password;

/// A tree as `ansible-inventory --list` shows it.
fn listed(tree: &Tree) -> Json {
    let order = tree.order();
    let mut all = Map::new();
    for (name, group) in &tree.groups {
        let mut parts = Map::new();
        if name != ALL && !group.hosts.is_empty() {
            parts.insert("hosts".to_owned(), json!(group.hosts.iter().collect::<Vec<_>>()));
        }
        if !group.children.is_empty() {
            parts.insert("children".to_owned(), json!(group.children.iter().collect::<Vec<_>>()));
        }
        if !parts.is_empty() {
            all.insert(name.clone(), Json::Object(parts));
        }
    }
    let of_host = |host: &String| {
        let variables = order.variables(host);
        let said: Map<String, Json> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), of_value(value))).collect();
        (!said.is_empty()).then_some((host.clone(), Json::Object(said)))
    };
    let hosts: Map<String, Json> = tree.hosts.keys().filter_map(of_host).collect();
    all.insert("_meta".to_owned(), json!({ "hostvars": hosts, "profile": "inventory_legacy" }));
    Json::Object(all)
}

fn of_value(value: &Value) -> Json {
    match value {
        Value::None => Json::Null,
        Value::Bool(yes) => json!(yes),
        Value::Int(number) => serde_json::from_str(&number.to_string()).unwrap(),
        // JSON has no infinity, and Python writes one.
        Value::Float(number) if number.is_finite() => json!(number),
        Value::Float(number) => json!(if *number > 0.0 { "Infinity" } else { "-Infinity" }),
        Value::Text(text) => json!(text.expose()),
        Value::Raw(text) => json!({ "__ansible_unsafe": text.expose() }),
        Value::Vault(text) => json!({ "__ansible_vault": text.expose() }),
        Value::Hidden(value) => of_value(value),
        Value::List(list) => list.iter().map(of_value).collect(),
        Value::Map(map) => Json::Object(map.iter().map(|(name, value)| (name.clone(), of_value(value))).collect()),
    }
}

fn inventory_of(fixture: &Path) -> PathBuf {
    if fixture.extension().is_none_or(|extension| extension != "beside") {
        return fixture.to_owned();
    }
    let files = std::fs::read_dir(fixture).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.is_file()).unwrap()
}

#[test]
fn every_inventory_means_what_ansible_says_it_means() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ansible");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.join("expected")).unwrap() {
        let expected = entry.unwrap().path();
        if expected.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = expected.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&expected).unwrap();
        let text = text.replace(": Infinity", ": \"Infinity\"").replace(": -Infinity", ": \"-Infinity\"");
        let expected: Json = serde_json::from_str(&text).unwrap();
        let found = match load(&inventory_of(&folder.join(&name)), &Password::default()) {
            Ok(tree) => listed(&tree),
            Err(problem) if expected.is_null() => {
                assert!(problem.message.contains(&name) || name.ends_with(".beside"), "{name}: {}", problem.message);
                Json::Null
            }
            Err(problem) => json!(problem.message),
        };
        seen += 1;
        if found != expected {
            let show = |json: &Json| serde_json::to_string_pretty(json).unwrap();
            wrong.push(format!(
                "{name}\n{}",
                similar::TextDiff::from_lines(&show(&expected), &show(&found)).unified_diff()
            ));
        }
    }
    assert!(seen > 45, "only {seen} fixtures were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
