//! Ending a job and making sure of it.

use super::begin::Input;
use super::error::{Error, ErrorKind, shown};
use super::job_script::{self, Script};
use super::job_wire::{End, Was, failure};
use super::ssh_connection::Want;
use super::{Host, JobId, Killed, limits};

/// What a kill came to, and what it found.
pub(super) struct Verified {
    pub(super) killed: Killed,
    pub(super) was: Was,
}

impl Host {
    /// Kills a job: TERM, time to go, KILL, and a look at every process for what is left. A job that has not begun is
    /// fenced off and never will; one that has ended of itself keeps its recorded end. A program that runs without files
    /// is found by its marker. Killing twice is harmless.
    ///
    /// # Errors
    /// The host cannot be asked; then nothing is known.
    pub async fn kill(&self, id: &JobId, as_user: Option<&str>) -> Result<Killed, Error> {
        let verified = self.kill_verified(id, as_user, None).await;
        verified.map(|v| v.killed).map_err(|kind| self.error(kind, &format!("killing {}", job_script::file_name(id))))
    }

    /// `pid`: the process of a program that runs without files.
    pub(super) async fn kill_verified(
        &self,
        id: &JobId,
        as_user: Option<&str>,
        pid: Option<u32>,
    ) -> Result<Verified, ErrorKind> {
        job_script::check_id(id).map_err(|why| ErrorKind::Invalid { why })?;
        let more = pid.map_or_else(|| "a_pid=".to_owned(), |pid| format!("a_pid={pid}"));
        let orders = job_script::plain(id, self.place(as_user)?, &more);
        let running = self.begin(Script::Kill, as_user, Input::All(orders), Want::AtOnce).await?;
        let answer = running.answer(limits::KILL).await?;
        match answer.end {
            End::Killed { was, saw_all } => {
                let lines = answer.out.split(|&b| b == b'\n').filter(|line| !line.is_empty());
                let survivors = lines.take(limits::SURVIVORS).map(shown).collect();
                Ok(Verified { killed: Killed { survivors, saw_all }, was })
            }
            End::Failed { path, said } => Err(failure(&path, &said)),
            end => Err(ErrorKind::Protocol { said: format!("a kill ended with {end:?}") }),
        }
    }
}
