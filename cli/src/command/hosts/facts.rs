//! `anneal hosts facts`: what hosts say of themselves.

use dsl::value::Value;
use serde_json::json;

use super::{Chosen, code, put_trouble, sorted, stopped};
use crate::args::{Facts, Global};
use crate::columns;
use crate::reach::Reaching;
use crate::report::{Problem, put, put_json};
use crate::session::Session;
use crate::size::size;
use crate::stop::Stop;

/// Facts that are bytes.
const BYTES: [&str; 4] = ["memory", "root_size", "root_free", "var_free"];

pub async fn run(facts: &Facts, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let inventory = Chosen::inventory(&facts.which, session).await?;
    let chosen = Chosen::new(&facts.which, inventory, Reaching::new(facts.accept_new_host_keys))?;
    let (survey, not_asked, places) = chosen.survey(facts.how.parallel, global)?;
    let mut stop = Stop::new()?;
    let answers = sorted(survey.facts(stop.asked()).await.ok_or_else(stopped)?, not_asked);
    if global.json {
        let rows: Vec<serde_json::Value> = answers
            .iter()
            .map(|(name, answer)| match answer {
                Ok(facts) => {
                    let facts: serde_json::Map<_, _> =
                        facts.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
                    json!({ "host": name, "at": places.get(name), "facts": facts, "error": null, "hint": null })
                }
                Err(trouble) => {
                    let (error, hint) = (&trouble.error, &trouble.hint);
                    json!({ "host": name, "at": places.get(name), "facts": null, "error": error, "hint": hint })
                }
            })
            .collect();
        put_json(&rows)?;
        return Ok(code(&answers));
    }
    for (name, answer) in &answers {
        match answer {
            Ok(facts) => {
                put(&match places.get(name) {
                    Some(place) => format!("{name} ({place})"),
                    None => name.clone(),
                })?;
                let rows: Vec<(String, String)> =
                    facts.iter().map(|(name, value)| (name.clone(), words(name, value))).collect();
                columns::table(&rows).iter().try_for_each(|line| put(line))?;
            }
            Err(trouble) => put_trouble(name, places.get(name), trouble)?,
        }
    }
    Ok(code(&answers))
}

/// A fact for programs: bytes and milliseconds are numbers.
fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::None => json!(null),
        Value::Bool(yes) => json!(yes),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::DurationMs(ms) => json!(ms),
        Value::List(list) => list.iter().map(plain).collect(),
        // Facts are none of these; what is has a text.
        Value::Text(_) | Value::File(_) | Value::Record(_) | Value::Secret(_) => json!(value.to_text()),
    }
}

fn words(name: &str, value: &Value) -> String {
    match value {
        Value::Int(bytes) if BYTES.contains(&name) => size(u64::try_from(*bytes).unwrap_or(0)),
        Value::List(list) => list.iter().map(|value| words(name, value)).collect::<Vec<_>>().join(", "),
        value => value.to_text().unwrap_or_default(),
    }
}
