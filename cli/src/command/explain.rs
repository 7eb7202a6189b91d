//! `anneal explain [CODE]`: what a message means, why it is so, and what to do about it.

use dsl::CodeInfo;

use crate::args::{Explain, Global};
use crate::columns::wrap;
use crate::report::{OK, Problem, put, put_json};

pub fn run(explain: &Explain, global: &Global) -> Result<u8, Problem> {
    let as_json = |info: &CodeInfo| {
        let CodeInfo { id, title, explanation } = info;
        serde_json::json!({ "code": id, "title": title, "explanation": explanation })
    };
    match &explain.code {
        None if global.json => put_json(&dsl::codes().iter().map(as_json).collect::<Vec<_>>())?,
        None => dsl::codes().iter().try_for_each(|info| put(&format!("{}  {}", info.id, info.title)))?,
        Some(code) => {
            let Some(info) = dsl::explain(code) else {
                let known = dsl::codes().iter().map(|info| info.id);
                let nearest = dsl::nearest(code, known).map(|nearest| format!("did you mean {nearest}? "));
                return Err(Problem::usage(format!("there is no code `{code}`"))
                    .hint(format!("{}`anneal explain` lists all codes", nearest.unwrap_or_default())));
            };
            if global.json {
                put_json(&as_json(info))?;
            } else {
                put(&format!("{}: {}\n", info.id, info.title))?;
                wrap(info.explanation, 0, 80).iter().try_for_each(|line| put(line))?;
            }
        }
    }
    Ok(OK)
}
