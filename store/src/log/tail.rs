//! The end of the log, where frames are appended.
//!
//! Invariants: [`Tail::append`] returns only when the frames are flushed, or when nothing of them is left, or with a
//! failure after which nothing may be trusted ([`Failure::Fatal`]). The place of the end moves only with a flush.
//!
//! Zeros are written ahead of the end now and then, so that most commits overwrite allocated blocks: flushing those needs
//! no change of the file's size and is a good deal faster. A reader takes zeros up to the end of the file for nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::durable;
use crate::error::Error;
use crate::limits::ROOM_BYTES;
use crate::log::frame::{self, Header};
use crate::log::generation::{Settings, Written};
use crate::log::recover::{Place, Recovered};
use crate::log::segment;
use crate::options::Step;
use crate::stats::add;

const SMALLEST_ROOM: u64 = 64 * 1024;

/// Why frames were not appended.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing of them is in the log; it can be used on.
    Refused(Error),
    /// What the disk holds is unknown.
    Fatal(Error),
}

pub(crate) struct Tail {
    settings: Settings,
    file: File,
    path: PathBuf,
    seed: u32,
    end: Place,
    /// The file holds zeros from the end to here.
    room: u64,
    appended: u64,
    marked: bool,
}

impl Tail {
    /// The end of a log that was recovered and settled.
    pub(crate) fn open(settings: Settings, log: &Recovered) -> Result<Tail, Error> {
        let path = settings.layout.segment(settings.generation, log.end.segment);
        let failed = |error| Error::io("open the log", &path, error);
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        let room = file.metadata().map_err(failed)?.len().max(log.end.offset);
        let mut tail = Tail {
            settings,
            file,
            path,
            seed: log.last.seed(),
            end: log.end,
            room,
            appended: 0,
            marked: log.marked || log.end.sequence == 0,
        };
        if log.ragged {
            tail.roll().map_err(|failure| match failure {
                Failure::Refused(error) | Failure::Fatal(error) => error,
            })?;
        }
        Ok(tail)
    }

    /// The end of a generation that was written and flushed, mark and all.
    pub(crate) fn after(written: Written) -> Tail {
        let Written { settings, file, path, header, end } = written;
        Tail { settings, file, path, seed: header.seed(), end, room: end.offset, appended: 0, marked: true }
    }

    /// How many bytes were appended since it was opened.
    pub(crate) fn appended(&self) -> u64 {
        self.appended
    }

    pub(crate) fn end(&self) -> Place {
        self.end
    }

    /// Whether `bytes` more, after `pending` bytes that are not appended yet, go into this segment. An empty segment takes
    /// anything.
    pub(crate) fn fits(&self, pending: u64, bytes: u64) -> bool {
        let end = self.end.offset + pending;
        end == segment::HEADER as u64 || end + bytes <= self.settings.segment_bytes
    }

    /// Adds a frame to `buffer`, which will be appended at the end. `at` is the place before it and becomes the one after.
    pub(crate) fn frame(&self, buffer: &mut Vec<u8>, at: &mut Place, commit: &Frame<'_>) {
        let header = Header {
            sequence: at.sequence + 1,
            durable: self.end.sequence,
            operation: commit.operation,
            mark: commit.mark,
            kept: false,
            lost: false,
            payload_size: commit.payload.len() as u32,
            payload_check: commit.check,
        };
        let bytes = header.encode(self.seed, at.offset);
        buffer.extend_from_slice(&bytes);
        buffer.extend_from_slice(commit.payload);
        at.sequence += 1;
        at.offset += header.frame_size();
        at.chain = frame::chain(at.chain, &bytes);
    }

    /// One write and one flush.
    pub(crate) fn append(&mut self, frames: &[u8], after: Place) -> Result<(), Failure> {
        debug_assert_eq!(self.end.offset + frames.len() as u64, after.offset);
        self.check_space(frames.len() as u64)?;
        let written = self.step(Step::Write, |tail| tail.file.write_all_at(frames, tail.end.offset));
        if let Err(error) = written {
            return Err(self.take_back(error, frames));
        }
        self.make_room(after.offset);
        add(&self.settings.counters.log_syncs, 1);
        add(&self.settings.counters.syncs, 1);
        self.step(Step::Sync, |tail| tail.file.sync_data())
            .map_err(|error| Failure::Fatal(Error::io("flush the log", &self.path, error)))?;
        add(&self.settings.counters.log_bytes, frames.len() as u64);
        add(&self.settings.counters.bytes_written, frames.len() as u64);
        self.appended += frames.len() as u64;
        self.end = after;
        self.marked = false;
        Ok(())
    }

    /// Begins the next segment.
    pub(crate) fn roll(&mut self) -> Result<(), Failure> {
        let (number, first) = (self.end.segment + 1, self.end.sequence + 1);
        self.check_space(segment::HEADER as u64)?;
        let Settings { layout, store, generation, counters, .. } = &self.settings;
        let path = layout.segment(*generation, number);
        let made = match self.step(Step::Create, |_| Ok(())) {
            Ok(()) => segment::create(layout, *generation, number, first, *store, counters),
            Err(error) => Err(Error::io("create the file", &path, error)),
        };
        let (file, header) = made.map_err(|error| match path.try_exists() {
            Ok(false) => Failure::Refused(error),
            // It has its name, and nobody knows for how long: neither segment may be used.
            Ok(true) | Err(_) => Failure::Fatal(error),
        })?;
        self.drop_room();
        self.file = file;
        self.path = path;
        self.seed = header.seed();
        self.end.segment = number;
        self.end.offset = segment::HEADER as u64;
        self.room = self.end.offset;
        Ok(())
    }

    /// The clean end: a mark that says that everything is flushed, and no zeros behind it.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        if !self.marked {
            let (mut buffer, mut after) = (Vec::new(), self.end);
            self.frame(&mut buffer, &mut after, &Frame { operation: None, mark: true, payload: &[], check: 0 });
            self.settings.reserve_bytes = 0;
            match self.append(&buffer, after) {
                Ok(()) => self.marked = true,
                Err(Failure::Refused(_)) => {} // a full disk; the mark is a help and no more
                Err(fatal) => return Err(fatal),
            }
        }
        self.drop_room();
        Ok(())
    }

    /// Zeros that stay behind do no harm. A file that ends within a damaged frame is left as it is.
    fn drop_room(&mut self) {
        if self.room > self.end.offset {
            let _ = self.file.set_len(self.end.offset);
            self.room = self.end.offset;
        }
    }

    /// After a failed write: the file must be as long as it was, and that must be durable, or the frames that nobody
    /// acknowledged could come back.
    fn take_back(&mut self, error: io::Error, frames: &[u8]) -> Failure {
        let error = Error::io("write to the log", &self.path, error);
        if self.settings.faults.is_some() {
            // A test's fault did not reach the disk. The worst that a real one leaves behind is a part of the frames.
            let _ = self.file.write_all_at(frames.get(..frames.len() / 2).unwrap_or_default(), self.end.offset);
        }
        let cut = self.step(Step::Truncate, |tail| {
            tail.file.set_len(tail.end.offset)?;
            tail.file.sync_all()
        });
        self.room = self.end.offset;
        match cut {
            Ok(()) => Failure::Refused(error),
            Err(cut) => Failure::Fatal(Error::io("take back a failed write to the log", &self.path, cut)),
        }
    }

    /// Zeros ahead of the end: the more is written, the more, up to the limit. Failing is no failure.
    fn make_room(&mut self, end: u64) {
        if end <= self.room {
            return;
        }
        self.room = end;
        let size = self.appended.clamp(SMALLEST_ROOM, ROOM_BYTES).min(self.settings.segment_bytes.saturating_sub(end));
        let zeros = vec![0; size as usize];
        match self.file.write_all_at(&zeros, end) {
            Ok(()) => {
                self.room = end + size;
                add(&self.settings.counters.bytes_written, size);
            }
            Err(_) => {
                let _ = self.file.set_len(end);
            }
        }
    }

    /// Commits stop before the disk is full: the index has no use for an error then.
    fn check_space(&self, bytes: u64) -> Result<(), Failure> {
        let Settings { layout, reserve_bytes, .. } = &self.settings;
        durable::check_space(&self.file, layout.root(), bytes, *reserve_bytes).map_err(Failure::Refused)
    }

    fn step(&self, step: Step, act: impl FnOnce(&Tail) -> io::Result<()>) -> io::Result<()> {
        match self.settings.faults.as_ref().and_then(|faults| faults(step)) {
            Some(error) => Err(error),
            None => act(self),
        }
    }
}

/// What goes into a frame.
pub(crate) struct Frame<'a> {
    pub(crate) operation: Option<[u8; 16]>,
    pub(crate) mark: bool,
    pub(crate) payload: &'a [u8],
    pub(crate) check: u32,
}
