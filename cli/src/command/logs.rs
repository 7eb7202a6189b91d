//! `anneal logs OP [STEP] [--follow]`: what programs wrote, as the filter for secrets let it through.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};

use engine::action::output::harmless;
use engine::operation::{Event, NodeId};
use engine::runner::{LiveKey, Tail};
use server::{ClientError, OutputView, WatchLine};

use crate::args::{Global, Logs};
use crate::report::{OK, Problem, put_json};
use crate::session::Session;

pub async fn run(args: &Logs, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    if args.follow && global.json {
        return Err(Problem::usage("--follow has no JSON form here")
            .hint("`anneal resume --json` and `anneal run --json` show events and output as they come"));
    }
    let view = session.ask(async |client| client.show(&args.op.operation).await).await?;
    let id = view.id.to_string();
    let outputs = session.ask(async |client| client.output(&id, args.step.as_deref()).await).await?;
    if global.json {
        put_json(&outputs)?;
        return Ok(OK);
    }
    for output in &outputs {
        whole(output, args.step.is_none())?;
    }
    if args.follow {
        Following { step: args.step.as_deref(), shown: HashMap::new() }.follow(&id, view.events, session).await?;
    }
    Ok(OK)
}

/// Live output as it comes, and at the end of each attempt what is still missing of it.
struct Following<'a> {
    step: Option<&'a str>,
    /// Bytes of each stream that were shown live.
    shown: HashMap<LiveKey, u64>,
}

impl Following<'_> {
    /// Until the operation rests. Where the process that works on it ends before, the rest is read from the store.
    async fn follow(&mut self, id: &str, mut after: u64, session: &mut Session<'_>) -> Result<(), Problem> {
        loop {
            let mut lines = session.ask(async |client| client.watch(id, after).await).await?;
            loop {
                match lines.next().await {
                    Ok(Some(WatchLine::End { .. })) => return Ok(()),
                    Ok(Some(WatchLine::Tail(tail))) => self.tail(tail)?,
                    Ok(Some(WatchLine::Waits(_) | WatchLine::Moving(_))) => {}
                    Ok(Some(WatchLine::Entry(entry))) => {
                        after = entry.seq;
                        if let Event::Succeeded { node, attempt, output: Some(_), .. }
                        | Event::Failed { node, attempt, output: Some(_), .. } = entry.event
                        {
                            self.ended(id, &node, attempt, session).await?;
                        }
                    }
                    Ok(None) | Err(ClientError::Gone(_)) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    fn wants(&self, node: &NodeId) -> bool {
        self.step.is_none_or(|step| node.step == step || node.to_string() == step)
    }

    fn tail(&mut self, tail: Tail) -> Result<(), Problem> {
        if !self.wants(&tail.node) {
            return Ok(());
        }
        self.shown.insert((tail.node, tail.attempt, tail.stderr), tail.offset);
        write(&tail.text, tail.stderr)
    }

    async fn ended(&mut self, id: &str, node: &NodeId, attempt: u32, session: &mut Session<'_>) -> Result<(), Problem> {
        if !self.wants(node) {
            return Ok(());
        }
        let name = node.to_string();
        let all = session.ask(async |client| client.output(id, Some(&name)).await).await?;
        let Some(output) = all.iter().find(|output| output.attempt == attempt) else { return Ok(()) };
        let mut shown = |stderr| self.shown.remove(&(node.clone(), attempt, stderr)).unwrap_or(0);
        match (shown(false), shown(true)) {
            (0, 0) => whole(output, self.step.is_none()),
            (stdout, stderr) => {
                write(rest(&output.stdout, stdout), false)?;
                write(rest(&output.stderr, stderr), true)
            }
        }
    }
}

/// What lies behind `offset` bytes; nothing where the two cannot be laid on each other (bytes that were no UTF-8).
fn rest(text: &str, offset: u64) -> &str {
    usize::try_from(offset).ok().and_then(|offset| text.get(offset..)).unwrap_or("")
}

/// The output of one attempt.
fn whole(output: &OutputView, named: bool) -> Result<(), Problem> {
    if named {
        write(&format!("── {} attempt {} ({})\n", output.node, output.attempt, output.state), true)?;
    }
    for (text, stderr) in [(&output.stdout, false), (&output.stderr, true)] {
        write(text, stderr)?;
        if !text.is_empty() && !text.ends_with('\n') {
            write("\n", stderr)?;
        }
    }
    Ok(())
}

/// Byte for byte, but on a terminal: there what a host wrote is shown and not obeyed.
fn write(text: &str, stderr: bool) -> Result<(), Problem> {
    let written = match stderr {
        true => {
            let mut out = std::io::stderr().lock();
            let text = harmless(text, out.is_terminal());
            write!(out, "{text}")
        }
        false => {
            let mut out = std::io::stdout().lock();
            let text = harmless(text, out.is_terminal());
            write!(out, "{text}").and_then(|()| out.flush())
        }
    };
    written.map_err(|error| match error.kind() {
        // `anneal logs … | head` is no error, and the end of our work.
        std::io::ErrorKind::BrokenPipe => Problem::unread(),
        _ => Problem::failed(format!("the output cannot be written: {error}")),
    })
}
