//! How long a running job has written nothing, and when that is too long.
//!
//! What is seen live only postpones the question; before a job is ended the host is asked. Its files tell how long they are
//! unchanged by the host's own clock, also to an engine that has only just attached. Where the host cannot tell, two
//! looks that far apart must find the same number of bytes.
//!
//! Invariant: a job is never ended for what was not seen because nobody could look.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::begin::Input;
use super::error::ErrorKind;
use super::job_script::{self, Script};
use super::job_wire::End;
use super::ssh_connection::Want;
use super::{Host, JobId, Live, Stream, limits};

/// Watches a job's output for pauses, on its way to whoever looks on.
pub(super) struct Idle<'a> {
    limit: Option<Duration>,
    live: &'a dyn Live,
    last: Mutex<Last>,
}

struct Last {
    /// When the job is known to have been busy last.
    busy: Instant,
    /// How many bytes a look found.
    bytes: Option<u64>,
}

impl<'a> Idle<'a> {
    /// A job that begins now, or that is attached to now: then the host is asked at once.
    pub(super) fn new(limit: Option<Duration>, attaching: bool, live: &'a dyn Live) -> Self {
        let now = Instant::now();
        let busy = limit.filter(|_| attaching).and_then(|limit| now.checked_sub(limit)).unwrap_or(now);
        Self { limit, live, last: Mutex::new(Last { busy, bytes: None }) }
    }

    /// When the host is asked next, if ever.
    pub(super) fn ask_at(&self) -> Option<Instant> {
        self.limit.map(|limit| self.last().busy + limit)
    }

    /// Takes what a look found, `age` being for how long nothing was written as far as the host can tell. Gives the limit where
    /// that is over.
    pub(super) fn is_over(&self, age: Option<Duration>, bytes: u64) -> Option<Duration> {
        let limit = self.limit?;
        let now = Instant::now();
        let mut last = self.last();
        let before = last.bytes.replace(bytes);
        let quiet = match age {
            Some(age) => age,
            None if before == Some(bytes) => return Some(limit),
            None => Duration::ZERO,
        };
        if quiet >= limit {
            return Some(limit);
        }
        last.busy = now.checked_sub(quiet).unwrap_or(now);
        None
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        // Whole after every statement that changes it.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live for Idle<'_> {
    fn output(&self, stream: Stream, bytes: &[u8]) {
        if self.limit.is_some() {
            self.last().busy = Instant::now();
        }
        self.live.output(stream, bytes);
    }

    fn heard(&self) {
        self.live.heard();
    }
}

impl Host {
    /// For how long a job has written nothing, if the host can tell, and how many bytes it has written.
    pub(super) async fn quiet(&self, id: &JobId, as_user: Option<&str>) -> Result<(Option<Duration>, u64), ErrorKind> {
        let orders = job_script::plain(id, self.place(as_user)?, "");
        let running = self.begin(Script::Quiet, as_user, Input::All(orders), Want::AtOnce).await?;
        match running.answer(limits::ASK).await?.end {
            End::Quiet { seconds, bytes } => Ok((seconds.map(age), bytes)),
            end => Err(ErrorKind::Protocol { said: format!("a look at a job ended with {end:?}") }),
        }
    }
}

/// A difference of two times in whole seconds is up to one too many; a clock that was set back gives a negative one.
fn age(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds.saturating_sub(1)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_pause_is_over_only_when_the_host_says_so() {
        let idle = Idle::new(Some(LIMIT), false, &());
        assert!(idle.ask_at().is_some_and(|at| at > Instant::now()));
        assert_eq!(idle.is_over(Some(age(10)), 5), None, "it may be nine and a bit");
        assert!(idle.ask_at().is_some_and(|at| at > Instant::now()), "asked again when it can be over");
        assert_eq!(idle.is_over(Some(age(-3_600)), 5), None, "its clock was set back");
        assert_eq!(idle.is_over(Some(age(11)), 5), Some(LIMIT));
    }

    #[test]
    fn where_the_host_cannot_tell_two_looks_must_find_the_same() {
        let idle = Idle::new(Some(LIMIT), true, &());
        assert!(idle.ask_at().is_some_and(|at| at <= Instant::now()), "an engine that attaches asks at once");
        assert_eq!(idle.is_over(None, 5), None);
        assert_eq!(idle.is_over(None, 6), None);
        assert_eq!(idle.is_over(None, 6), Some(LIMIT));
    }

    #[test]
    fn without_a_limit_nobody_asks() {
        let idle = Idle::new(None, true, &());
        assert_eq!((idle.ask_at(), idle.is_over(Some(age(1_000)), 0)), (None, None));
    }
}
