//! `anneal export OP [-o FILE]`: one JSON file for a report of a fault.

use crate::args::{Export, Global};
use crate::outfile;
use crate::report::{OK, Problem, put, say};
use crate::session::Session;

pub async fn run(args: &Export, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let export = session.ask(async |client| client.export(&args.op.operation, args.anonymous).await).await?;
    let text = serde_json::to_string_pretty(&export)
        .map_err(|error| Problem::failed(format!("JSON cannot be written: {error}")))?;
    match &args.output {
        None => put(&text)?,
        Some(path) => {
            let mut file = outfile::OutFile::create(path)?;
            file.write(text.as_bytes())?;
            file.write(b"\n")?;
            file.finish()?;
            if !global.json {
                say(&format!("written to {}; no secret is in it", path.display()));
                if !args.anonymous {
                    say("addresses and names of users are: `--anonymous` replaces them");
                }
            }
        }
    }
    for problem in export["problems"].as_array().into_iter().flatten().filter_map(|problem| problem.as_str()) {
        say(&format!("warning: {problem}"));
    }
    Ok(OK)
}
