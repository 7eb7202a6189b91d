//! What is shown while something is under way: for a person to look at, never the truth about how it ended.

use std::time::Duration;

use super::begin::Input;
use super::exec::Event;
use super::job_script::{self, Script};
use super::job_wire::Frames;
use super::ssh_connection::Want;
use super::{Host, JobId, Stream, limits};

/// Takes what a job writes while it runs. Best effort: pieces may be missing, and what is shown is shown again by a later
/// attachment. Called from the task that waits for the job, so it must be quick.
pub trait Live: Send + Sync {
    /// More output.
    fn output(&self, stream: Stream, bytes: &[u8]);

    /// The host answers about the job, or only says that it is there: while attached anew, each second.
    fn heard(&self) {}
}

/// Takes how far an upload is.
pub trait Progress: Send + Sync {
    /// So many bytes have been sent, of so many.
    fn sent(&self, bytes: u64, of: u64);
}

/// Nobody looks.
impl Live for () {
    fn output(&self, _stream: Stream, _bytes: &[u8]) {}
}

/// Nobody looks.
impl Progress for () {
    fn sent(&self, _bytes: u64, _of: u64) {}
}

/// How long to wait before looking again where there was no channel to look through.
const AGAIN: Duration = Duration::from_secs(5);

impl Host {
    /// Shows a running job's output, through a channel of its own that a short job never pays for. It also truncates what
    /// grows over the limit. Ends with the job; to be dropped when the job has been heard of otherwise.
    pub(super) async fn show(&self, id: &JobId, as_user: Option<&str>, live: &dyn Live) {
        tokio::time::sleep(limits::LIVE_AFTER).await;
        let Ok(place) = self.place(as_user) else { return };
        loop {
            let orders = job_script::plain(id, place, "a_follow=yes");
            let Ok(mut running) = self.begin(Script::Reattach, as_user, Input::All(orders), Want::IfRoom).await else {
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            let mut frames = Frames::default();
            let mut crowded = std::pin::pin!(running.crowded());
            loop {
                tokio::select! {
                    event = running.next() => match event {
                        Some(Event::Data(Stream::Stdout, bytes)) => {
                            frames.push(&bytes, &mut |stream, bytes| live.output(stream, bytes));
                        }
                        Some(_) => {}
                        None => return,
                    },
                    // Work comes before who looks on.
                    () = &mut crowded => break,
                }
            }
            drop(running);
            tokio::time::sleep(AGAIN).await;
        }
    }
}
