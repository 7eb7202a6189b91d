//! How a store may be opened otherwise than usual: for tests, and for a process that wants to end in its own way.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind};
#[cfg(doc)]
use crate::limits::COMPACT_TIMES;
use crate::limits::{COMPACT_OVER_BYTES, RESERVE_BYTES, SEGMENT_BYTES};

/// Is called once when the store can trust nothing more, before anybody hears of it. If it returns, every later commit
/// gets [`ErrorKind::Stopped`]. It may be called on the writer's thread or on one that reads.
pub type OnFatal = Arc<dyn Fn(&Error) + Send + Sync>;

/// What is about to be done to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Write a group of frames.
    Write,
    /// Flush them.
    Sync,
    /// Take a failed write back.
    Truncate,
    /// Create the next segment.
    Create,
    /// Create a segment of a copy of the log (a fresh generation, a backup), or write to one.
    Copy,
    /// Flush a segment of a copy.
    CopySync,
    /// Name the fresh generation in the manifest. Until this is done the old one counts.
    Switch,
    /// Make that name durable. From here on the new one counts.
    SwitchSync,
    /// Delete the old generation.
    Delete,
    /// Copy a blob, a sealed file or the key.
    CopyFile,
    /// Move a part of a finished copy to its name.
    Place,
}

/// For tests: makes a step fail. A failed write leaves half of its bytes in the file.
pub type Faults = Arc<dyn Fn(Step) -> Option<io::Error> + Send + Sync>;

/// How to open a store. [`Options::default`] is what [`Store::open`](crate::Store::open) uses.
#[derive(Clone)]
pub struct Options {
    /// What to do when the disk fails: by default tell it and end the process with exit code 74.
    pub on_fatal: OnFatal,
    /// When to begin a new segment; at most [`SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Free disk space that commits and blobs leave; see [`RESERVE_BYTES`].
    pub reserve_bytes: u64,
    /// The store compacts itself when log and index are larger than this and [`COMPACT_TIMES`] times what is live.
    pub compact_over_bytes: u64,
    /// Faults for tests.
    pub faults: Option<Faults>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            on_fatal: Arc::new(end_the_process),
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes: RESERVE_BYTES,
            compact_over_bytes: COMPACT_OVER_BYTES,
            faults: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("segment_bytes", &self.segment_bytes)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("compact_over_bytes", &self.compact_over_bytes)
            .finish_non_exhaustive()
    }
}

/// Exit code of a process whose disk failed: `EX_IOERR` of sysexits.h.
pub const EXIT_IO: i32 = 74;

fn end_the_process(error: &Error) {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let text = format!(
        "the store cannot go on: {error}{cause}. What the disk holds of the last write is unknown, so nothing more is \
         acknowledged and this process ends with exit code {EXIT_IO}. Everything acknowledged before is in the log. \
         Check the disk and start again: the log is checked at opening."
    );
    tracing::error!("{text}");
    if !tracing::dispatcher::has_been_set() {
        let _ = writeln!(io::stderr(), "error: {text}");
    }
    std::process::exit(EXIT_IO);
}

/// The state after which nothing is acknowledged any more.
pub(crate) struct Fatal {
    on_fatal: OnFatal,
    stopped: AtomicBool,
}

impl Fatal {
    pub(crate) fn new(on_fatal: OnFatal) -> Fatal {
        Fatal { on_fatal, stopped: AtomicBool::new(false) }
    }

    /// Tells the process, once, and gives what everybody else is told.
    pub(crate) fn stop(&self, error: &Error) -> Error {
        if !self.stopped.swap(true, Ordering::SeqCst) {
            (self.on_fatal)(error);
        }
        Error::new(ErrorKind::Stopped)
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}
