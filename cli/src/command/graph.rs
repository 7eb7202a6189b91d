//! `anneal graph FILE|NAME`: the steps of a workflow, and what waits for what.

use dsl::outline;

use super::check;
use crate::args::{Global, Graph, GraphFormat};
use crate::files;
use crate::report::{OK, Problem, USAGE, put_json, put_text};

pub fn run(graph: &Graph, global: &Global) -> Result<u8, Problem> {
    let opened = files::open_or_bundled(&graph.workflow)?;
    let checked = dsl::check(&opened.source, &*opened.files);
    // What is only a warning has nothing to do with the graph.
    let Some(workflow) = checked.workflow else {
        check::show(&checked.diagnostics, &opened.source);
        return Ok(USAGE);
    };
    let outline = workflow.outline();
    if global.json {
        put_json(&outline)?;
        return Ok(OK);
    }
    put_text(&match graph.format {
        GraphFormat::Text => outline::text::draw(&outline),
        GraphFormat::Dot => outline::dot::draw(&outline),
        GraphFormat::Mermaid => outline::mermaid::draw(&outline),
    })?;
    Ok(OK)
}
