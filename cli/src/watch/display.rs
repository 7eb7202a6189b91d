//! What a watched operation looks like.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use engine::action::output::harmless;
use engine::operation::{Entry, Event, NodeId};
use engine::runner::{Moving, Tail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use server::{OutputView, WatchLine};
use uuid::Uuid;

use super::hosts::{self, Hosts};
use crate::report::{Problem, put, put_json, say};
use crate::show::short;
use crate::size::size;
use crate::time::clock;
use crate::told::{self, Teller};

/// Live lines at most; more running nodes than this are still reported when they end.
const LIVE_LINES: usize = 30;

/// Shows lines as they come.
pub enum Display {
    /// For programs.
    Json,
    /// For people, without a terminal: a line an event.
    Plain(Teller),
    /// For people, on a terminal: a line an event, and below them a live line per running node.
    Terminal(Teller, Live),
    /// For people: what hosts write, and which of them fail.
    ByHost(Teller, Hosts),
}

/// The live lines.
pub struct Live {
    all: MultiProgress,
    bars: HashMap<NodeId, ProgressBar>,
}

impl Display {
    pub fn json() -> Display {
        Display::Json
    }

    pub fn people(id: Uuid, gates: &[String]) -> Display {
        say(&format!("operation {}  (Ctrl-C detaches; `anneal show {}` shows it)", id, short(id)));
        if std::io::stderr().is_terminal() {
            Display::Terminal(Teller::new(gates), Live { all: MultiProgress::new(), bars: HashMap::new() })
        } else {
            Display::Plain(Teller::new(gates))
        }
    }

    pub fn by_host(id: Uuid, longest: usize) -> Display {
        say(&format!("operation {}  (Ctrl-C detaches; `anneal show {}` shows it)", id, short(id)));
        Display::ByHost(Teller::new(&[]), Hosts::new(longest))
    }

    /// The node whose attempt has ended, where what it wrote is to be shown.
    pub fn wants_output<'a>(&self, line: &'a WatchLine) -> Option<&'a NodeId> {
        let (Display::ByHost(..), WatchLine::Entry(entry)) = (self, line) else { return None };
        match &entry.event {
            Event::Succeeded { node, output: Some(_), .. } | Event::Failed { node, output: Some(_), .. } => Some(node),
            _ => None,
        }
    }

    /// Shows what was written and not shown yet.
    pub fn outputs(&mut self, outputs: &[OutputView]) -> Result<(), Problem> {
        match (self, outputs.last()) {
            (Display::ByHost(_, hosts), Some(output)) => show(&hosts.ended(output)),
            _ => Ok(()),
        }
    }

    /// Shows one line.
    pub fn line(&mut self, line: &WatchLine) -> Result<(), Problem> {
        match (self, line) {
            (Display::Json, line) => put_json(line)?,
            (Display::Plain(teller), WatchLine::Entry(entry)) => {
                if let Some(text) = teller.text(entry) {
                    say(&format!("{} {text}", clock(entry.at_ms)));
                }
            }
            (Display::Plain(_) | Display::ByHost(..), WatchLine::Moving(_)) => {}
            (Display::Plain(_), WatchLine::Tail(_) | WatchLine::End { .. }) => {}
            (Display::Terminal(teller, live), WatchLine::Entry(entry)) => {
                let gate = teller.asks(entry).is_some();
                if !gate {
                    live.entry(entry);
                }
                let started = matches!(entry.event, Event::Started { .. }) && !gate;
                if let (Some(text), false) = (teller.text(entry), started) {
                    live.say(&format!("{} {text}", clock(entry.at_ms)));
                }
            }
            (Display::ByHost(teller, _), WatchLine::Entry(entry)) => {
                let bad = matches!(entry.event, Event::Failed { .. } | Event::Indeterminate { .. });
                if let Some(text) = teller.text(entry).filter(|_| bad) {
                    say(&format!("{} {text}", clock(entry.at_ms)));
                }
            }
            (Display::ByHost(_, hosts), WatchLine::Tail(tail)) => show(&hosts.tail(tail))?,
            (Display::ByHost(..), WatchLine::End { .. }) => {}
            (display, WatchLine::Waits(waits)) => {
                waits.iter().for_each(|waits| display.note(&format!("{:8} • {}", "", told::waits(waits))));
            }
            (Display::Terminal(_, live), WatchLine::Tail(tail)) => live.tail(tail),
            (Display::Terminal(_, live), WatchLine::Moving(moving)) => live.moving(moving),
            (Display::Terminal(..), WatchLine::End { .. }) => {}
        }
        Ok(())
    }

    /// Whether an entry opens a gate's question, and of which node.
    pub fn asks<'a>(&self, line: &'a WatchLine) -> Option<&'a NodeId> {
        match (self, line) {
            (Display::Plain(teller) | Display::Terminal(teller, _), WatchLine::Entry(entry)) => teller.asks(entry),
            _ => None,
        }
    }

    /// A remark for people.
    pub fn note(&self, line: &str) {
        match self {
            Display::Json => {}
            Display::Plain(_) | Display::ByHost(..) => say(line),
            Display::Terminal(_, live) => live.say(line),
        }
    }

    /// Takes the live lines away.
    pub fn finish(&mut self) {
        if let Display::Terminal(_, live) = self {
            live.bars.drain().for_each(|(_, bar)| bar.finish_and_clear());
        }
    }
}

/// Lines of hosts: standard output is data, standard error is talk.
fn show(lines: &[hosts::Line]) -> Result<(), Problem> {
    for (line, stderr) in lines {
        match stderr {
            true => say(&harmless(line, std::io::stderr().is_terminal())),
            false => put(&harmless(line, std::io::stdout().is_terminal()))?,
        }
    }
    Ok(())
}

impl Live {
    /// A line above the live ones.
    fn say(&self, line: &str) {
        // A terminal that is gone shows nothing more.
        let _ = self.all.println(line);
    }

    fn entry(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Started { node, attempt, .. } => self.begin(node, &format!("attempt {attempt}"), *attempt > 1),
            Event::UndoStarted { node, .. } => self.begin(node, "undo", true),
            Event::Reattached { node, .. } => self.begin(node, "found again", true),
            Event::Succeeded { node, .. }
            | Event::Failed { node, .. }
            | Event::Indeterminate { node, .. }
            | Event::Skipped { node, .. }
            | Event::Undone { node, .. }
            | Event::UndoFailed { node, .. } => {
                if let Some(bar) = self.bars.remove(node) {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, node: &NodeId, what: &str, say_what: bool) {
        if self.bars.len() >= LIVE_LINES || self.bars.contains_key(node) {
            return;
        }
        let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}");
        let bar = self
            .all
            .add(ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())));
        bar.set_prefix(node.to_string());
        if say_what {
            bar.set_message(what.to_owned());
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bars.insert(node.clone(), bar);
    }

    fn tail(&self, tail: &Tail) {
        let last = tail.text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        if let (Some(bar), Some(line)) = (self.bars.get(&tail.node), last) {
            bar.set_message(line.chars().filter(|c| !c.is_control()).collect::<String>());
        }
    }

    fn moving(&self, moving: &Moving) {
        if let Some(bar) = self.bars.get(&moving.node) {
            bar.set_message(how_far(moving));
        }
    }
}

/// `12.0 MiB of 60.0 MiB, 20 %, 11.2 MiB/s`.
fn how_far(moving: &Moving) -> String {
    let percent = moving.bytes.saturating_mul(100).checked_div(moving.of).unwrap_or(100);
    let text = format!("{} of {}, {percent} %", size(moving.bytes), size(moving.of));
    match moving.bytes_per_s {
        0 => text,
        rate => format!("{text}, {}/s", size(rate)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_says_how_far_it_is_and_how_fast() {
        let node = NodeId { step: "put".into(), key: "web".into() };
        let mut moving = Moving { node, attempt: 1, bytes: 12 << 20, of: 60 << 20, bytes_per_s: 0 };
        assert_eq!(how_far(&moving), "12.0 MiB of 60.0 MiB, 20 %");
        moving.bytes_per_s = 11 << 20;
        assert_eq!(how_far(&moving), "12.0 MiB of 60.0 MiB, 20 %, 11.0 MiB/s");
    }
}
