//! Live output of running nodes: what a person looks at while it runs. Never part of the state, never durable.
//!
//! Invariant: it has passed the filter for secrets before it is kept (I8).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::host::{Live, Stream};
use crate::limits::LIVE_BYTES;
use crate::operation::NodeId;
use crate::redact::{self, Redactor};

/// Output of one running node since an offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// The node.
    pub node: NodeId,
    /// The attempt.
    pub attempt: u32,
    /// Bytes written since the attempt began, up to the end of `text`.
    pub offset: u64,
    /// What was written, standard output and error in the order seen; lossy UTF-8.
    pub text: String,
}

/// The live output of one operation's nodes.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<HashMap<NodeId, Ring>>>);

#[derive(Debug, Default)]
struct Ring {
    attempt: u32,
    end: u64,
    bytes: VecDeque<u8>,
}

impl Board {
    /// A sink for one attempt's output.
    pub fn sink(&self, node: NodeId, attempt: u32, redactor: &Redactor) -> Sink {
        self.lock().insert(node.clone(), Ring { attempt, ..Ring::default() });
        let streams = Mutex::new((redactor.stream(), redactor.stream()));
        Sink { board: self.clone(), node, attempt, streams }
    }

    /// What a node wrote after `offset`, or nothing where it does not run or wrote nothing.
    pub fn tail(&self, node: &NodeId, after: u64) -> Option<Tail> {
        let rings = self.lock();
        let ring = rings.get(node)?;
        if ring.end <= after {
            return None;
        }
        let first = ring.end - ring.bytes.len() as u64;
        let skip = usize::try_from(after.saturating_sub(first)).unwrap_or(usize::MAX);
        let bytes: Vec<u8> = ring.bytes.iter().skip(skip).copied().collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(Tail { node: node.clone(), attempt: ring.attempt, offset: ring.end, text })
    }

    /// All nodes that have live output now.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.lock().keys().cloned().collect()
    }

    /// Forgets a node that has ended.
    pub fn clear(&self, node: &NodeId) {
        self.lock().remove(node);
    }

    fn append(&self, node: &NodeId, attempt: u32, bytes: &[u8]) {
        let mut rings = self.lock();
        let Some(ring) = rings.get_mut(node).filter(|ring| ring.attempt == attempt) else { return };
        ring.bytes.extend(bytes);
        ring.end += bytes.len() as u64;
        let over = ring.bytes.len().saturating_sub(LIVE_BYTES);
        ring.bytes.drain(..over);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, Ring>> {
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
}

impl Live for Sink {
    fn output(&self, stream: Stream, bytes: &[u8]) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let clean = match stream {
            Stream::Stdout => streams.0.push(bytes),
            Stream::Stderr => streams.1.push(bytes),
        };
        self.board.append(&self.node, self.attempt, &clean);
    }
}

impl crate::host::Progress for Sink {
    fn sent(&self, bytes: u64, of: u64) {
        let percent = bytes.saturating_mul(100).checked_div(of).unwrap_or(100);
        self.board.append(&self.node, self.attempt, format!("{bytes} of {of} bytes, {percent} %\n").as_bytes());
    }
}
