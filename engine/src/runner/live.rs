//! Live output of running nodes: what a person looks at while it runs. Never part of the state, never durable.
//!
//! Invariant: it has passed the filter for secrets before it is kept (I8).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::host::limits::BLOCK_BYTES;
use crate::host::{Live, Stream};
use crate::limits::LIVE_BYTES;
use crate::operation::NodeId;
use crate::redact::{self, Redactor};

/// Output of one running node on one stream since an offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// The node.
    pub node: NodeId,
    /// The attempt.
    pub attempt: u32,
    /// Standard error instead of standard output.
    pub stderr: bool,
    /// Bytes of the stream since the attempt began, as filtered, up to the end of `text`.
    pub offset: u64,
    /// What was written; lossy UTF-8.
    pub text: String,
}

/// How far the file of a running node is, that is brought from one machine to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moving {
    /// The node.
    pub node: NodeId,
    /// The attempt.
    pub attempt: u32,
    /// Bytes that are there, or on their way.
    pub bytes: u64,
    /// Of so many.
    pub of: u64,
    /// How many came in a second, since this process began to bring them; 0 until that can be told.
    pub bytes_per_s: u64,
}

/// Which output: node, attempt, and whether it is standard error.
pub type LiveKey = (NodeId, u32, bool);

/// How far a live output has come.
#[derive(Debug, Clone)]
pub struct LiveAt {
    /// Which output.
    pub node: NodeId,
    /// The attempt.
    pub attempt: u32,
    /// Standard error instead of standard output.
    pub stderr: bool,
    /// Bytes so far.
    pub offset: u64,
}

impl LiveAt {
    /// Which output it is.
    pub fn key(&self) -> LiveKey {
        (self.node.clone(), self.attempt, self.stderr)
    }
}

/// The live output of one operation's nodes.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<HashMap<NodeId, Lines>>>);

#[derive(Debug, Default)]
struct Lines {
    attempt: u32,
    stdout: Ring,
    stderr: Ring,
    moved: Option<Moved>,
}

/// A transfer: from which byte on it is brought, since when, and how far it is.
#[derive(Debug)]
struct Moved {
    since: Instant,
    first: u64,
    bytes: u64,
    of: u64,
}

impl Moved {
    fn per_s(&self, now: Instant) -> u64 {
        let ms = now.saturating_duration_since(self.since).as_millis();
        let moved = u128::from(self.bytes.saturating_sub(self.first)) * 1_000;
        moved.checked_div(ms).and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0)
    }
}

#[derive(Debug, Default)]
struct Ring {
    end: u64,
    bytes: VecDeque<u8>,
}

impl Ring {
    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.end += bytes.len() as u64;
        let over = self.bytes.len().saturating_sub(LIVE_BYTES);
        self.bytes.drain(..over);
    }

    fn after(&self, offset: u64) -> Vec<u8> {
        let first = self.end - self.bytes.len() as u64;
        let skip = usize::try_from(offset.saturating_sub(first)).unwrap_or(usize::MAX);
        self.bytes.iter().skip(skip).copied().collect()
    }
}

impl Board {
    /// A sink for one attempt's output.
    pub fn sink(&self, node: NodeId, attempt: u32, redactor: &Redactor, silent: bool) -> Sink {
        self.lock().insert(node.clone(), Lines { attempt, ..Lines::default() });
        let streams = Mutex::new((redactor.stream(), redactor.stream()));
        Sink { board: self.clone(), node, attempt, streams, silent }
    }

    /// What was written after `offset`; nothing where the node does not run any more.
    pub fn tail(&self, at: &LiveAt, offset: u64) -> Option<Tail> {
        let board = self.lock();
        let lines = board.get(&at.node).filter(|lines| lines.attempt == at.attempt)?;
        let ring = if at.stderr { &lines.stderr } else { &lines.stdout };
        let text = String::from_utf8_lossy(&ring.after(offset)).into_owned();
        Some(Tail { node: at.node.clone(), attempt: at.attempt, stderr: at.stderr, offset: ring.end, text })
    }

    /// All live outputs that have begun, and how far they have come.
    pub fn all(&self) -> Vec<LiveAt> {
        let board = self.lock();
        let both = board.iter().flat_map(|(node, lines)| {
            [(false, &lines.stdout), (true, &lines.stderr)].map(|(stderr, ring)| LiveAt {
                node: node.clone(),
                attempt: lines.attempt,
                stderr,
                offset: ring.end,
            })
        });
        both.filter(|at| at.offset > 0).collect()
    }

    /// The transfers under way.
    pub fn moving(&self) -> Vec<Moving> {
        let (board, now) = (self.lock(), Instant::now());
        let moving = board.iter().filter_map(|(node, lines)| {
            let moved = lines.moved.as_ref()?;
            let (node, bytes_per_s) = (node.clone(), moved.per_s(now));
            Some(Moving { node, attempt: lines.attempt, bytes: moved.bytes, of: moved.of, bytes_per_s })
        });
        moving.collect()
    }

    /// A transfer has come so far. One that is at an earlier byte than before has begun anew.
    fn moved(&self, node: &NodeId, attempt: u32, bytes: u64, of: u64) {
        let mut board = self.lock();
        let Some(lines) = board.get_mut(node).filter(|lines| lines.attempt == attempt) else { return };
        match &mut lines.moved {
            Some(moved) if moved.bytes <= bytes && moved.of == of => moved.bytes = bytes,
            _ => lines.moved = Some(Moved { since: Instant::now(), first: bytes, bytes, of }),
        }
    }

    /// Forgets a node that has ended.
    pub fn clear(&self, node: &NodeId) {
        self.lock().remove(node);
    }

    fn append(&self, node: &NodeId, attempt: u32, stream: Stream, bytes: &[u8]) {
        let mut board = self.lock();
        let Some(lines) = board.get_mut(node).filter(|lines| lines.attempt == attempt) else { return };
        match stream {
            Stream::Stdout => lines.stdout.append(bytes),
            Stream::Stderr => lines.stderr.append(bytes),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, Lines>> {
        // Live output has no invariant that a panic elsewhere could break.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one attempt's output.
#[derive(Debug)]
pub struct Sink {
    board: Board,
    node: NodeId,
    attempt: u32,
    streams: Mutex<(redact::Stream, redact::Stream)>,
    /// A secret is in the output that nobody knows yet: nothing of it is shown.
    silent: bool,
}

impl Live for Sink {
    fn output(&self, stream: Stream, bytes: &[u8]) {
        if self.silent {
            return;
        }
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let clean = match stream {
            Stream::Stdout => streams.0.push(bytes),
            Stream::Stderr => streams.1.push(bytes),
        };
        self.board.append(&self.node, self.attempt, stream, &clean);
    }
}

impl crate::host::Progress for Sink {
    fn sent(&self, bytes: u64, of: u64) {
        // What is there in a moment is not worth a word.
        if of > BLOCK_BYTES {
            self.board.moved(&self.node, self.attempt, bytes, of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Progress as _;

    #[test]
    fn a_transfer_is_told_from_where_it_began_or_began_anew() {
        let (board, node) = (Board::default(), NodeId { step: "put".into(), key: "web".into() });
        let sink = board.sink(node.clone(), 2, &Redactor::default(), false);
        sink.sent(10, 20);
        assert_eq!(board.moving(), [], "so little is not told");
        let far = |bytes| Moving { node: node.clone(), attempt: 2, bytes, of: 100 << 20, bytes_per_s: 0 };
        let told = || board.moving().into_iter().map(|moving| Moving { bytes_per_s: 0, ..moving }).collect::<Vec<_>>();
        for mib in [30, 40, 20, 25] {
            sink.sent(mib << 20, 100 << 20);
            assert_eq!(told(), [far(mib << 20)]);
        }
        let since = Instant::now();
        let moved = Moved { since, first: 20 << 20, bytes: 25 << 20, of: 100 << 20 };
        assert_eq!(moved.per_s(since), 0, "no time has passed");
        assert_eq!(moved.per_s(since + std::time::Duration::from_millis(2_500)), 2 << 20);
        board.clear(&node);
        assert_eq!(told(), []);
    }
}
