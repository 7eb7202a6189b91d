//! The one thread that writes.
//!
//! Commits queue up; the thread takes as many as wait, within the limits of a group, checks their expectations in order,
//! appends them with one write and one flush, makes them visible in the index all at once, and only then answers. So:
//!
//! - a commit that was answered is durable, and every read after the answer sees it;
//! - nobody, not even a conflict, is told of a commit that is not durable: all answers of a group come after its flush;
//! - a group that cannot be written leaves nothing behind, and all its members get the same error.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::batch::{Batch, Expected};
use crate::compaction::{self, Fresh, Retired};
use crate::error::{Error, ErrorKind};
use crate::index::recent::Changes;
use crate::index::{Index, entry};
use crate::limits::{CONSIDER_BYTES, GROUP_BYTES, GROUP_COMMITS, GROUP_ENTRIES};
use crate::log::recover::Place;
use crate::log::segment::Segments;
use crate::log::tail::{Failure, Frame, Tail};
use crate::log::{frame, payload};
use crate::options::Fatal;
use crate::shared::{Shared, View};
use crate::stats::{Counters, add};

/// A commit that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its sequence: the version of every key that it put.
    pub sequence: u64,
}

pub(crate) type Answer = oneshot::Sender<Result<Committed, Error>>;

pub(crate) enum Message {
    Commit {
        batch: Batch,
        check: u32,
        answer: Answer,
    },
    /// Commits go to this generation from now on.
    Switch {
        fresh: Box<Fresh>,
        answer: oneshot::Sender<Result<Retired, Error>>,
    },
    Close {
        answer: oneshot::Sender<Result<(), Error>>,
    },
}

pub(crate) struct Writer {
    pub(crate) queue: mpsc::Receiver<Message>,
    pub(crate) tail: Tail,
    pub(crate) index: Arc<Index>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) fatal: Arc<Fatal>,
    pub(crate) counters: Arc<Counters>,
    /// When so much was appended, it is looked whether to compact.
    pub(crate) consider_at: u64,
}

/// Commits that will share a write.
struct Group {
    frames: Vec<u8>,
    after: Place,
    changes: Changes,
    members: Vec<(Answer, Result<Committed, Error>)>,
    commits: u64,
}

impl Group {
    fn open(&self) -> bool {
        (self.members.len() as u64) < GROUP_COMMITS && (self.changes.len() as u64) < GROUP_ENTRIES
    }
}

/// How the thread goes on.
enum Next {
    Message(Message),
    Wait,
}

impl Writer {
    /// Runs until the store is closed or dropped, or the disk fails.
    pub(crate) fn run(mut self) {
        let mut next = Next::Wait;
        self.consider(); // what earlier processes left behind
        loop {
            let message = match next {
                Next::Message(message) => Some(message),
                Next::Wait => self.queue.blocking_recv(),
            };
            match message {
                Some(Message::Commit { batch, check, answer }) => match self.group(batch, check, answer) {
                    Ok(left) => next = left,
                    Err(()) => return self.refuse_all(),
                },
                Some(Message::Switch { fresh, answer }) => {
                    next = Next::Wait;
                    match self.switch(*fresh) {
                        Ok(retired) => drop(answer.send(Ok(retired))),
                        Err(Failure::Refused(error)) => drop(answer.send(Err(error))),
                        Err(Failure::Fatal(error)) => {
                            self.queue.close();
                            let _ = answer.send(Err(self.fatal.stop(&error)));
                            return self.refuse_all();
                        }
                    }
                }
                Some(Message::Close { answer }) => {
                    let _ = answer.send(self.finish());
                    return self.refuse_all();
                }
                None => {
                    let _ = self.finish();
                    return;
                }
            }
        }
    }

    /// Collects a group, beginning with one commit, and carries it out. `Err` when nothing may be written any more.
    fn group(&mut self, batch: Batch, check: u32, answer: Answer) -> Result<Next, ()> {
        let mut group = Group {
            frames: Vec::new(),
            after: self.tail.end(),
            changes: Changes::new(),
            members: Vec::new(),
            commits: 0,
        };
        if !self.tail.fits(0, frame_size(&batch)) {
            match self.tail.roll() {
                Ok(()) => group.after = self.tail.end(),
                Err(Failure::Refused(error)) => {
                    let _ = answer.send(Err(error));
                    return Ok(Next::Wait);
                }
                Err(Failure::Fatal(error)) => {
                    let _ = answer.send(Err(self.fatal.stop(&error)));
                    return Err(());
                }
            }
        }
        self.join(&mut group, batch, check, answer);
        let mut next = Next::Wait;
        while group.open() && !self.fatal.stopped() {
            match self.queue.try_recv() {
                Ok(Message::Commit { batch, check, answer }) => {
                    let (pending, size) = (group.frames.len() as u64, frame_size(&batch));
                    if pending + size > GROUP_BYTES || !self.tail.fits(pending, size) {
                        next = Next::Message(Message::Commit { batch, check, answer });
                        break;
                    }
                    self.join(&mut group, batch, check, answer);
                }
                Ok(other @ (Message::Switch { .. } | Message::Close { .. })) => {
                    next = Next::Message(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.carry_out(group).map(|()| next)
    }

    /// Checks a commit's expectations and adds its frame.
    fn join(&self, group: &mut Group, batch: Batch, check: u32, answer: Answer) {
        let verdict = match self.unmet(group, &batch) {
            Ok(None) => {
                if !batch.is_empty() {
                    self.add(group, &batch, check);
                }
                Ok(Committed { sequence: group.after.sequence })
            }
            Ok(Some(key)) => {
                add(&self.counters.conflicts, 1);
                Err(Error::new(ErrorKind::Conflict { key }))
            }
            Err(error) => Err(error),
        };
        group.members.push((answer, verdict));
    }

    fn add(&self, group: &mut Group, batch: &Batch, check: u32) {
        let payload_at = group.after.offset + frame::HEADER as u64;
        let commit = Frame { operation: batch.operation, mark: false, payload: &batch.payload, check };
        self.tail.frame(&mut group.frames, &mut group.after, &commit);
        group.commits += 1;
        let version = group.after.sequence;
        let frame = entry::Frame { version, segment: group.after.segment, payload_at, lost: false };
        for change in payload::entries(&batch.payload).flatten() {
            let entry = frame.entry(&change);
            match group.changes.get_mut(change.key) {
                Some(place) => *place = entry,
                None => drop(group.changes.insert(change.key.to_vec(), entry)),
            }
        }
    }

    /// The first key that is not as it was expected, after everything that is in the group already.
    fn unmet(&self, group: &Group, batch: &Batch) -> Result<Option<Vec<u8>>, Error> {
        for (key, expected) in &batch.expected {
            let version = match group.changes.get(key) {
                Some(pending) => pending.as_deref().and_then(entry::version),
                None => self.index.version(key).map_err(|error| self.fatal.stop(&error))?,
            };
            let met = match expected {
                Expected::Absent => version.is_none(),
                Expected::Version(wanted) => version == Some(*wanted),
            };
            if !met {
                return Ok(Some(key.clone()));
            }
        }
        Ok(None)
    }

    fn carry_out(&mut self, group: Group) -> Result<(), ()> {
        let Group { frames, after, changes, members, commits } = group;
        let done = if self.fatal.stopped() {
            Err((Error::new(ErrorKind::Stopped), true))
        } else if frames.is_empty() {
            Ok(())
        } else {
            match self.tail.append(&frames, after) {
                Ok(()) => self.index.learn(changes, after).map_err(|error| (self.fatal.stop(&error), true)),
                Err(Failure::Refused(error)) => Err((error, false)),
                Err(Failure::Fatal(error)) => Err((self.fatal.stop(&error), true)),
            }
        };
        match done {
            Ok(()) => {
                add(&self.counters.commits, commits);
                add(&self.counters.groups, u64::from(commits > 0));
                for (answer, verdict) in members {
                    let _ = answer.send(verdict); // whoever gave up waiting does not want to know
                }
                if self.tail.appended() >= self.consider_at {
                    self.consider();
                }
                Ok(())
            }
            Err((error, fatal)) => {
                for (answer, _) in members {
                    let _ = answer.send(Err(error.clone()));
                }
                if fatal { Err(()) } else { Ok(()) }
            }
        }
    }

    /// Compacts when it is time. Asked now and then only, so that it costs a commit next to nothing.
    fn consider(&mut self) {
        self.consider_at = self.tail.appended() + CONSIDER_BYTES;
        // What is live is known exactly when the index has learned of everything.
        let is_due = |index: &Index| compaction::is_due(&self.shared, index.tally());
        if is_due(&self.index) && self.index.settle().is_ok() && is_due(&self.index) {
            compaction::start(&self.shared);
        }
    }

    /// Goes on in a fresh generation. On [`Failure::Refused`] the old one counts as before.
    fn switch(&mut self, mut fresh: Fresh) -> Result<Retired, Failure> {
        if self.fatal.stopped() {
            return Err(Failure::Refused(Error::new(ErrorKind::Stopped)));
        }
        let (shared, end) = (Arc::clone(&self.shared), self.tail.end());
        let made = fresh
            .catch_up(&shared.source(&self.index, &|| Ok(())), end)
            .and_then(|()| fresh.finish(end.sequence + 1))
            .map_err(Failure::Refused)?;
        shared.switch(made.written.settings.generation, made.written.end.sequence)?;
        let index = Arc::new(made.index);
        let segments = Segments::new(shared.layout.clone(), made.written.settings.generation);
        let view = shared.show(View { index: Arc::clone(&index), segments });
        self.tail = Tail::after(made.written);
        self.consider_at = CONSIDER_BYTES;
        self.index = index;
        Ok(Retired { view, tally: made.tally })
    }

    /// The clean end.
    fn finish(&mut self) -> Result<(), Error> {
        if let Err(Failure::Refused(error) | Failure::Fatal(error)) = self.tail.finish() {
            return Err(self.fatal.stop(&error));
        }
        let end = self.tail.end();
        let done = self.index.learn(Changes::new(), end).and_then(|()| self.index.flush());
        done.map_err(|error| self.fatal.stop(&error))
    }

    fn refuse_all(mut self) {
        self.queue.close();
        let kind = if self.fatal.stopped() { ErrorKind::Stopped } else { ErrorKind::Closed };
        while let Some(message) = self.queue.blocking_recv() {
            match message {
                Message::Commit { answer, .. } => drop(answer.send(Err(Error::new(kind.clone())))),
                Message::Switch { answer, .. } => drop(answer.send(Err(Error::new(kind.clone())))),
                Message::Close { answer } => drop(answer.send(Err(Error::new(kind.clone())))),
            }
        }
    }
}

fn frame_size(batch: &Batch) -> u64 {
    frame::HEADER as u64 + batch.size_bytes()
}
