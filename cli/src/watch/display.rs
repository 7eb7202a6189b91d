//! What a watched operation looks like.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use engine::operation::{Decision, Entry, Event, NodeId};
use engine::runner::Tail;
use engine::view::skip_words;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use server::WatchLine;
use uuid::Uuid;

use crate::report::{Problem, put_json, say};
use crate::show::short;
use crate::time::{clock, took};

/// Live lines at most; more running nodes than this are still reported when they end.
const LIVE_LINES: usize = 30;

/// Shows lines as they come.
pub enum Display {
    /// For programs.
    Json,
    /// For people, without a terminal: a line an event.
    Plain(Times),
    /// For people, on a terminal: a line an event, and below them a live line per running node.
    Terminal(Times, Live),
}

/// When attempts began, to say how long they took.
#[derive(Default)]
pub struct Times(HashMap<NodeId, u64>);

/// The live lines.
pub struct Live {
    all: MultiProgress,
    bars: HashMap<NodeId, ProgressBar>,
}

impl Display {
    pub fn json() -> Display {
        Display::Json
    }

    pub fn people(id: Uuid) -> Display {
        say(&format!("operation {}  (Ctrl-C detaches; `anneal show {}` shows it)", id, short(id)));
        if std::io::stderr().is_terminal() {
            Display::Terminal(Times::default(), Live { all: MultiProgress::new(), bars: HashMap::new() })
        } else {
            Display::Plain(Times::default())
        }
    }

    /// Shows one line.
    pub fn line(&mut self, line: &WatchLine) -> Result<(), Problem> {
        match (self, line) {
            (Display::Json, line) => put_json(line)?,
            (Display::Plain(times), WatchLine::Entry(entry)) => {
                if let Some(text) = times.text(entry) {
                    say(&format!("{} {text}", clock(entry.at_ms)));
                }
            }
            (Display::Plain(_), WatchLine::Tail(_) | WatchLine::End { .. }) => {}
            (Display::Terminal(times, live), WatchLine::Entry(entry)) => {
                live.entry(entry);
                if let (Some(text), false) = (times.text(entry), matches!(entry.event, Event::Started { .. })) {
                    // A terminal that is gone shows nothing more.
                    let _ = live.all.println(format!("{} {text}", clock(entry.at_ms)));
                }
            }
            (Display::Terminal(_, live), WatchLine::Tail(tail)) => live.tail(tail),
            (Display::Terminal(..), WatchLine::End { .. }) => {}
        }
        Ok(())
    }

    /// Takes the live lines away.
    pub fn finish(&mut self) {
        if let Display::Terminal(_, live) = self {
            live.bars.drain().for_each(|(_, bar)| bar.finish_and_clear());
        }
    }
}

impl Live {
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
}

impl Times {
    /// What is said of an entry.
    fn text(&mut self, entry: &Entry) -> Option<String> {
        let line = |mark: &str, node: &NodeId, text: String| Some(format!("{mark} {:<28} {text}", node.to_string()));
        match &entry.event {
            Event::Started { node, attempt, .. } => {
                self.0.insert(node.clone(), entry.at_ms);
                line("•", node, if *attempt > 1 { format!("started, attempt {attempt}") } else { "started".to_owned() })
            }
            Event::UndoStarted { node, .. } => {
                self.0.insert(node.clone(), entry.at_ms);
                line("•", node, "undoing".to_owned())
            }
            Event::Reattached { node, .. } => line("•", node, "found again on its host".to_owned()),
            Event::Succeeded { node, proof, .. } => line(
                "✓",
                node,
                match proof {
                    engine::operation::Proof::Action => format!("succeeded  {}", self.since(node, entry)),
                    engine::operation::Proof::Probe => "its effect is there, says the probe".to_owned(),
                    engine::operation::Proof::Person => "taken as done".to_owned(),
                },
            ),
            Event::Failed { node, failure, .. } => {
                line("✗", node, format!("failed  {}  {}", self.since(node, entry), failure.message))
            }
            Event::Indeterminate { node, why, .. } => line("?", node, format!("outcome unknown: {why}")),
            Event::Skipped { node, why } => line("-", node, format!("skipped: {}", skip_words(why))),
            Event::NotReached { node } => line(" ", node, "not reached".to_owned()),
            Event::RetryAt { node, at_ms, .. } => line("•", node, format!("tried again at {}", clock(*at_ms))),
            Event::Decided { node, decision, by, why, .. } => line(
                "•",
                node,
                match decision {
                    Decision::Rerun => format!("is run again, decided by {by}: {why}"),
                    Decision::Done => format!("is taken as done, decided by {by}: {why}"),
                },
            ),
            Event::Undone { node, .. } => line("↶", node, format!("undone  {}", self.since(node, entry))),
            Event::UndoFailed { node, failure, .. } => line("✗", node, format!("undo failed: {}", failure.message)),
            Event::UndoSkipped { node, .. } => line("-", node, "nothing to undo".to_owned()),
            Event::PauseAsked { by, why } => Some(format!("paused by {by}: {why}")),
            Event::RollbackAsked { by, why } => Some(format!("rolling back, asked by {by}: {why}")),
            Event::Resumed { by, .. } | Event::Retried { by, .. } => Some(format!("resumed by {by}")),
            Event::CancelAsked { by, .. } => Some(format!("cancelled by {by}")),
            Event::FailAsked { by, .. } | Event::Killed { by, .. } => Some(format!("given up by {by}")),
            Event::HostReplaced { slot, host } => Some(format!("host {slot} is now {}", host.address())),
            Event::Approved { node, by, .. } => line("✓", node, format!("approved by {by}")),
            Event::Rejected { node, by, .. } => line("✗", node, format!("rejected by {by}")),
            Event::Reset { by, nodes, .. } => Some(format!("{} nodes reset by {by}", nodes.len())),
            Event::Found { node, attempt, .. } => {
                line("•", node, format!("attempt {attempt} was found on its host: it began after the backup"))
            }
            Event::Marked { node, by, why, .. } => line("✓", node, format!("marked as succeeded by {by}: {why}")),
            Event::Finally { .. } => Some("all but `finally` is over".to_owned()),
            Event::Created { .. } | Event::Locked | Event::Expanded { .. } | Event::Ended { .. } => None,
        }
    }

    fn since(&self, node: &NodeId, entry: &Entry) -> String {
        self.0.get(node).map(|began| took(entry.at_ms.saturating_sub(*began))).unwrap_or_default()
    }
}
