//! `anneal logs OP [STEP] [--follow]`: what programs wrote, as the filter for secrets let it through.

use std::collections::HashMap;
use std::io::Write;

use engine::operation::{Event, NodeId};
use server::{Access, ClientError, OutputView, WatchLine};

use super::attach;
use crate::args::{Global, Logs};
use crate::report::{OK, Problem, put_json};

pub async fn run(args: &Logs, global: &Global) -> Result<u8, Problem> {
    let access = attach(global).await?;
    let view = access.client.show(&args.operation).await?;
    let id = view.id.to_string();
    let outputs = access.client.output(&id, args.step.as_deref()).await?;
    if global.json {
        put_json(&outputs)?;
    } else {
        for output in &outputs {
            print(output, args.step.is_none())?;
        }
    }
    if args.follow && !global.json {
        follow(args, access, &id, view.events, global).await?;
    }
    Ok(OK)
}

/// Live output as it comes; where there was none, the whole output at the end. Where the process that works on the
/// operation ends, with it or before, the rest is read from the store.
async fn follow(args: &Logs, mut access: Access, id: &str, mut after: u64, global: &Global) -> Result<(), Problem> {
    let wanted = |node: &NodeId| args.step.as_ref().is_none_or(|step| node.step == *step || node.to_string() == *step);
    let mut shown: HashMap<(NodeId, u32), String> = HashMap::new();
    let mut lines = access.client.watch(id, after).await?;
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) | Err(ClientError::Gone(_)) => {
                access = attach(global).await?;
                lines = access.client.watch(id, after).await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match line {
            WatchLine::End { .. } => return Ok(()),
            WatchLine::Tail(tail) if wanted(&tail.node) => {
                write(&tail.text, false)?;
                shown.entry((tail.node, tail.attempt)).or_default().push_str(&tail.text);
            }
            WatchLine::Entry(entry) => {
                after = entry.seq;
                let (Event::Succeeded { node, attempt, output: Some(_), .. }
                | Event::Failed { node, attempt, output: Some(_), .. }) = entry.event
                else {
                    continue;
                };
                if !wanted(&node) {
                    continue;
                }
                let shown = shown.remove(&(node.clone(), attempt)).unwrap_or_default();
                let all = match access.client.output(id, Some(&node.to_string())).await {
                    Err(ClientError::Gone(_)) => {
                        access = attach(global).await?;
                        access.client.output(id, Some(&node.to_string())).await?
                    }
                    all => all?,
                };
                if let Some(output) = all.iter().find(|output| output.attempt == attempt) {
                    match output.stdout.strip_prefix(&shown) {
                        Some(_) if shown.is_empty() => print(output, args.step.is_none())?,
                        Some(rest) => write(rest, false)?,
                        None => {}
                    }
                }
            }
            WatchLine::Tail(_) => {}
        }
    }
}

fn print(output: &OutputView, named: bool) -> Result<(), Problem> {
    if named {
        write(&format!("── {} attempt {} ({})\n", output.node, output.attempt, output.state), true)?;
    }
    write(&output.stdout, false)?;
    write(&output.stderr, true)
}

fn write(text: &str, to_stderr: bool) -> Result<(), Problem> {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let written = match to_stderr {
        true => write!(std::io::stderr().lock(), "{text}{end}"),
        false => write!(std::io::stdout().lock(), "{text}{end}").and_then(|()| std::io::stdout().flush()),
    };
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Problem::failed(format!("the output cannot be written: {error}"))),
    }
}
