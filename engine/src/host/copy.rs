//! A file brought from one host to another, through us: streamed, never whole in memory and never on our disk.
//!
//! The host that has it measures it, the one that gets it checks that before the rename, as with an upload. What a broken
//! connection leaves stays beside the target, and is gone on with where it is the beginning of the file as it is now.
//!
//! Invariant: whoever holds a channel of one host never waits for one of the other, so two copies in opposite directions do
//! not wait for each other.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::error::{Error, ErrorKind};
use super::job_script::file_name;
use super::{Content, Host, JobId, Killed, OnHost, Progress, Rules, Upload, Written, limits};

/// A file brought from one host to another.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Which attempt it belongs to; its temporary file is named after it.
    pub id: JobId,
    /// Absolute path on the host that has it.
    pub from: String,
    /// Absolute path on the host that gets it.
    pub to: String,
    /// Permission bits; those of the file that is copied where absent.
    pub mode: Option<u32>,
    /// Who reads it there and writes it here, by sudo; the login users where absent.
    pub as_user: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// What else is asked of the file.
    pub rules: Rules,
}

impl Host {
    /// Brings a file of another host to its place on this one. A file that is there as it should be is left alone; doing it
    /// again after an interruption is safe, and goes on where that one stopped.
    ///
    /// # Errors
    /// See [`ErrorKind`]; they say which of the two hosts it was. After any of them the target is the old file or the new one.
    pub async fn copy(&self, source: &Host, copy: &Copy, progress: &dyn Progress) -> Result<Written, Error> {
        let deadline = Instant::now() + copy.timeout;
        let moved = Moved::default();
        let work = async {
            let mut go_on = GoOn::new();
            loop {
                match self.copy_once(source, copy, deadline, &moved, progress).await {
                    Ok(written) => return Ok(written),
                    Err(error) if go_on.after(error.kind.clone(), &moved).await.is_ok() => {}
                    Err(error) => return Err(error),
                }
            }
        };
        match timeout_at(deadline, work).await {
            Ok(done) => done,
            Err(_) => Err(self.error(late(copy.timeout), &writing(copy)).of_nothing_that_runs_on()),
        }
    }

    async fn copy_once(
        &self,
        source: &Host,
        copy: &Copy,
        deadline: Instant,
        moved: &Moved,
        progress: &dyn Progress,
    ) -> Result<Written, Error> {
        let reading = format!("reading {} ({})", copy.from, file_name(&copy.id));
        let theirs = |kind| source.error(kind, &reading).of_nothing_that_runs_on();
        let given = source.give(&copy.id, &copy.from, copy.as_user.as_deref()).await.map_err(theirs)?;
        moved.begun();
        let (sha256, mode) = (given.sha256.clone(), copy.mode.unwrap_or(given.mode));
        let there = OnHost::new(given);
        let upload = Upload {
            id: copy.id.clone(),
            from: Content::OnHost(there.clone()),
            to: copy.to.clone(),
            mode: Some(mode),
            as_user: copy.as_user.clone(),
            sha256,
            timeout: deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)),
            rules: Rules { resume: true, ..copy.rules.clone() },
        };
        self.bring(&upload, &Counted { moved, progress }).await.map_err(|kind| match there.failed() {
            Some(kind) => theirs(kind),
            None => self.error(kind, &writing(copy)).of_nothing_that_runs_on(),
        })
    }
}

fn writing(copy: &Copy) -> String {
    format!("writing {} ({})", copy.to, file_name(&copy.id))
}

pub(super) fn late(after: Duration) -> ErrorKind {
    ErrorKind::TimedOut { after, killed: Killed { survivors: Vec::new(), saw_all: false } }
}

/// How far a transfer has come, over all of its connections.
#[derive(Default)]
pub(super) struct Moved {
    begun: std::sync::atomic::AtomicBool,
    bytes: std::sync::atomic::AtomicU64,
}

const ORDER: std::sync::atomic::Ordering = std::sync::atomic::Ordering::Relaxed;

impl Moved {
    /// The host has been reached.
    pub(super) fn begun(&self) {
        self.begun.store(true, ORDER);
    }

    /// Up to this byte it is there.
    pub(super) fn up_to(&self, bytes: u64) {
        self.bytes.fetch_max(bytes, ORDER);
    }
}

/// Told on, and remembered.
pub(super) struct Counted<'a> {
    pub(super) moved: &'a Moved,
    pub(super) progress: &'a dyn Progress,
}

impl Progress for Counted<'_> {
    fn sent(&self, bytes: u64, of: u64) {
        self.moved.begun();
        self.moved.up_to(bytes);
        self.progress.sent(bytes, of);
    }
}

/// How long the first wait for a host to come back is; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Whether a transfer that has begun goes on when its connection breaks: as long as it comes further, and a few times where it
/// does not. One that could not even begin is a failure at once: `retry` says what that means.
pub(super) struct GoOn {
    in_vain: u32,
    pause: Duration,
    before: u64,
}

impl GoOn {
    pub(super) fn new() -> Self {
        Self { in_vain: 0, pause: FIRST_PAUSE, before: 0 }
    }

    /// Waits for the host to come back; gives the error back where it is the last one.
    pub(super) async fn after(&mut self, kind: ErrorKind, moved: &Moved) -> Result<(), ErrorKind> {
        let now = moved.bytes.load(ORDER);
        if now > self.before {
            *self = Self { before: now, ..Self::new() };
        } else {
            self.in_vain += 1;
        }
        if !kind.is_connection() || !moved.begun.load(ORDER) || self.in_vain > limits::RESUMES {
            return Err(kind);
        }
        tracing::info!(?kind, "the transfer goes on");
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}
