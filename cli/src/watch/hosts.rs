//! What hosts write, line by line, each with the name of its host.
//!
//! Lines of one stream come in their order and none is cut: what is not yet a line waits for its end. Live output may have a
//! gap where more was written than is kept; then the rest comes when the command has ended, from what was stored.

use std::collections::HashMap;

use engine::operation::NodeId;
use engine::runner::{LiveKey, Tail};
use server::OutputView;

/// What was shown of each stream.
#[derive(Debug, Default)]
pub struct Hosts {
    streams: HashMap<LiveKey, Stream>,
    /// The longest name so far, so that lines stand below each other.
    width: usize,
}

#[derive(Debug, Default)]
struct Stream {
    /// Bytes that came live, without a gap.
    came: u64,
    /// Bytes of them that were shown.
    shown: u64,
    /// The beginning of a line.
    partial: String,
    /// Something is missing: nothing more is shown live.
    gap: bool,
}

/// A line to show, and whether it is one of standard error.
pub type Line = (String, bool);

impl Hosts {
    pub fn new(longest: usize) -> Hosts {
        Hosts { streams: HashMap::new(), width: longest }
    }

    /// Live output.
    pub fn tail(&mut self, tail: &Tail) -> Vec<Line> {
        let stream = self.streams.entry((tail.node.clone(), tail.attempt, tail.stderr)).or_default();
        stream.gap |= stream.came + tail.text.len() as u64 != tail.offset;
        if stream.gap {
            return Vec::new();
        }
        stream.came = tail.offset;
        stream.partial.push_str(&tail.text);
        let Some(end) = stream.partial.rfind('\n') else { return Vec::new() };
        let lines: String = stream.partial.drain(..=end).collect();
        stream.shown += lines.len() as u64;
        self.lines(&tail.node, &lines, tail.stderr)
    }

    /// What is still missing of an attempt that has ended.
    pub fn ended(&mut self, output: &OutputView) -> Vec<Line> {
        let mut all = Vec::new();
        for (text, stderr) in [(&output.stdout, false), (&output.stderr, true)] {
            let shown = self.streams.remove(&(output.node.clone(), output.attempt, stderr)).unwrap_or_default().shown;
            // Bytes that were no UTF-8 make the two differ in length; the rest of the line is shown then.
            let rest = usize::try_from(shown).ok().map(|shown| text.floor_char_boundary(shown)).unwrap_or(text.len());
            all.extend(self.lines(&output.node, &text[rest..], stderr));
        }
        all
    }

    fn lines(&self, node: &NodeId, text: &str, stderr: bool) -> Vec<Line> {
        let host = node.key.as_str();
        let width = self.width;
        let printable = |line: &str| -> String {
            line.strip_suffix('\r').unwrap_or(line).chars().filter(|c| !c.is_control() || *c == '\t').collect()
        };
        text.split_terminator('\n').map(|line| (format!("{host:<width$} | {}", printable(line)), stderr)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str) -> NodeId {
        serde_json::from_value(serde_json::json!(format!("exec@{host}"))).unwrap()
    }

    fn tail(host: &str, offset: u64, text: &str) -> Tail {
        Tail { node: node(host), attempt: 1, stderr: false, offset, text: text.to_owned() }
    }

    fn ended(host: &str, stdout: &str) -> OutputView {
        let state = "succeeded".to_owned();
        OutputView { node: node(host), attempt: 1, at_ms: 0, state, stdout: stdout.to_owned(), stderr: String::new() }
    }

    fn texts(lines: Vec<Line>) -> Vec<String> {
        lines.into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn a_line_is_shown_once_and_when_all_of_it_is_there() {
        let mut hosts = Hosts::new(3);
        assert_eq!(texts(hosts.tail(&tail("a", 6, "one\ntw"))), ["a   | one"]);
        assert_eq!(texts(hosts.tail(&tail("bcd", 4, "x\r\n\u{7}"))), ["bcd | x"]);
        assert_eq!(texts(hosts.tail(&tail("a", 10, "o\n\nt"))), ["a   | two", "a   | "]);
        assert_eq!(texts(hosts.ended(&ended("a", "one\ntwo\n\nthree"))), ["a   | three"]);
        assert_eq!(texts(hosts.ended(&ended("never live", "x\ny\n"))), ["never live | x", "never live | y"]);
    }

    #[test]
    fn behind_a_gap_the_rest_comes_at_the_end() {
        let mut hosts = Hosts::new(1);
        assert_eq!(texts(hosts.tail(&tail("a", 4, "one\n"))), ["a | one"]);
        assert_eq!(texts(hosts.tail(&tail("a", 14, "three\n"))), Vec::<String>::new());
        assert_eq!(texts(hosts.ended(&ended("a", "one\ntwo\nthree\n"))), ["a | two", "a | three"]);
    }
}
