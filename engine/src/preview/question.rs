//! What is asked of a host about a node, and what is learnt from it.

use std::collections::BTreeMap;

use dsl::value::Value;

use super::mask::Shades;
use super::report::FileChange;
use crate::operation::{Failure, NodeId};
use crate::runner::Call;

/// What is asked about a node.
pub(super) struct Question {
    /// Which.
    pub node: NodeId,
    /// The slot of its host; none where it runs from here.
    pub slot: Option<String>,
    /// The probe, which is asked first.
    pub probe: Option<Call>,
    /// What is looked at, unless the probe says that it is so.
    pub look: Option<Look>,
}

/// What is looked at.
pub(super) struct Look {
    /// The call: it writes files, patches one, brings one, or waits.
    pub call: Call,
    /// Its files with other texts in the place of secrets.
    pub shades: Shades,
}

/// What is learnt about a node.
#[derive(Debug)]
pub(super) enum Learnt {
    /// The host can be used; nothing else was asked.
    Reached,
    /// The probe says that it is so.
    ProbedSo,
    /// The probe says that it is not; what of files would change, where it is about files.
    ProbedNotSo(Vec<FileChange>),
    /// What was looked at is as it should be.
    LooksSo(String),
    /// Files differ.
    Differs(Vec<FileChange>),
    /// What the host says of itself.
    Facts(BTreeMap<String, Value>),
    /// What would be waited for is not so.
    NotYet(String),
    /// The question has no answer.
    NoAnswer(Failure),
    /// The host cannot be used.
    NoHost(Failure),
}
