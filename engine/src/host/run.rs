//! Running a job, and finding one again.
//!
//! Both end alike: the host says how the job ended and brings its output. Running waits for that on the channel that
//! started the job; re-attaching on a new one, after asking what became of it. In between the connection may break: then
//! the error is [`ErrorKind::Lost`], and the answer is to re-attach.
//!
//! Invariant: a deadline that passes is answered by a kill that is verified; a job that turns out to have ended just
//! before is reported as it ended.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::begin::{Input, Running};
use super::error::{Error, ErrorKind, shown};
use super::exec::Event;
use super::idle::Idle;
use super::job_script::{self, Script, file_name};
use super::job_wire::{End, Frames, Gather, How, Was, failure, split_end};
use super::session::Leave;
use super::ssh_connection::Want;
use super::upload::removes_parts;
use super::{Found, Host, Job, JobEnd, JobId, Killed, Live, Stream, Supervise, limits};

/// After a kill that found the job ended, its end is on its way.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// A job that is waited for.
struct Wait<'a> {
    id: &'a JobId,
    as_user: Option<&'a str>,
    cwd: Option<&'a str>,
    timeout: Duration,
    deadline: Instant,
    idle: Idle<'a>,
    /// Whether live output comes on this channel, before the end.
    frames: Option<Frames>,
}

impl Host {
    /// Whether the login works and a command runs.
    ///
    /// # Errors
    /// Says what does not.
    pub async fn check(&self) -> Result<(), Error> {
        let nobody = JobId { operation: uuid::Uuid::nil(), node: "check".into(), attempt: 1 };
        let asking = async {
            let orders = job_script::plain(&nobody, self.place(None)?, "");
            let mut running = self.begin(Script::Bare, None, Input::All(orders), Want::AtOnce).await?;
            while let Some(event) = running.next().await {
                if let Event::Exit(code) = event {
                    return match code {
                        0 => Ok(()),
                        code => Err(ErrorKind::Protocol { said: format!("an empty command ended with {code}") }),
                    };
                }
            }
            Err(ErrorKind::Lost { said: "before an empty command ended".into() })
        };
        asking.await.map_err(|kind| self.error(kind, "checking the login"))
    }

    /// Runs a job to its end. A non-zero exit is an end like any other.
    ///
    /// Dropping the future lets go of the job: one that is supervised runs on, and [`reattach`](Self::reattach) finds it.
    ///
    /// # Errors
    /// See [`ErrorKind`]; after `Lost` the job may be running, after any other but `TimedOut` it never began.
    pub async fn run(&self, job: &Job, live: &dyn Live) -> Result<JobEnd, Error> {
        let ended = match job.supervise {
            Supervise::Always => self.supervised(job, live).await,
            Supervise::Never => self.bare(job, live).await,
        };
        ended.map_err(|kind| self.error(kind, &format!("running {}", file_name(&job.id))))
    }

    /// Finds a job that an earlier call, perhaps of an engine that is no more, began or meant to begin; waits for its end
    /// where it is running. `timeout` is what is left of the job's time; when it has passed the job is killed.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn reattach(
        &self,
        id: &JobId,
        as_user: Option<&str>,
        timeout: Duration,
        live: &dyn Live,
    ) -> Result<Found, Error> {
        self.reattach_or_idle(id, as_user, timeout, None, live).await
    }

    /// The same for a job that is also ended when it writes nothing for as long as `idle`: counted from what it wrote last, by
    /// the host's clock.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn reattach_or_idle(
        &self,
        id: &JobId,
        as_user: Option<&str>,
        timeout: Duration,
        idle: Option<Duration>,
        live: &dyn Live,
    ) -> Result<Found, Error> {
        let asking = async {
            job_script::check_id(id).map_err(|why| ErrorKind::Invalid { why })?;
            let orders = job_script::plain(id, self.place(as_user)?, &format!("a_follow= a_old={}", old(id)));
            let running = self.begin(Script::Reattach, as_user, Input::All(orders), Want::InTurn).await?;
            let deadline = Instant::now() + timeout;
            let idle = Idle::new(idle, true, live);
            let wait = Wait { id, as_user, cwd: None, timeout, deadline, idle, frames: Some(Frames::default()) };
            let found = self.until_end(wait, running).await?;
            found.ok_or_else(|| ErrorKind::Protocol { said: "a look at a job ended with its session".into() })
        };
        asking.await.map_err(|kind| self.error(kind, &format!("re-attaching to {}", file_name(id))))
    }

    /// Removes what an operation that has ended left in a user's job folders on the host.
    ///
    /// # Errors
    /// The host cannot be asked.
    pub async fn sweep(&self, operation: uuid::Uuid, as_user: Option<&str>) -> Result<(), Error> {
        self.sweep_with(operation, as_user, &[]).await
    }

    /// The same, with what transfers left beside their targets that did not come to their end: of each its node and its target.
    ///
    /// # Errors
    /// The host cannot be asked.
    pub async fn sweep_with(
        &self,
        operation: uuid::Uuid,
        as_user: Option<&str>,
        transfers: &[(JobId, String)],
    ) -> Result<(), Error> {
        let id = JobId { operation, node: "sweep".into(), attempt: 1 };
        let asking = async {
            let removing: String = transfers.iter().map(|(id, to)| removes_parts(id, to)).collect();
            let orders = job_script::sweep(&id, self.place(as_user)?, &removing);
            let running = self.begin(Script::Sweep, as_user, Input::All(orders), Want::InTurn).await?;
            match running.answer(limits::ASK).await?.end {
                End::Done => Ok(()),
                end => Err(ErrorKind::Protocol { said: format!("a sweep ended with {end:?}") }),
            }
        };
        asking.await.map_err(|kind| self.error(kind, "removing job files"))
    }

    async fn supervised(&self, job: &Job, live: &dyn Live) -> Result<JobEnd, ErrorKind> {
        loop {
            // Where the session would have ended it, it begins anew, as it is known now.
            if let Some(end) = self.supervise(job, live).await? {
                return Ok(end);
            }
        }
    }

    async fn supervise(&self, job: &Job, live: &dyn Live) -> Result<Option<JobEnd>, ErrorKind> {
        let as_user = job.as_user.as_deref();
        let watchdog = job.timeout > self.0.settings.watchdog_over;
        let orders = job_script::job(job, self.place(as_user)?, watchdog).map_err(|why| ErrorKind::Invalid { why })?;
        let script = match (self.session_of(as_user), watchdog) {
            (None, _) => Script::First,
            (Some(_), true) => Script::Watch,
            (Some(_), false) => Script::Supervise,
        };
        let running = self.begin(script, as_user, Input::All(orders), Want::InTurn).await?;
        // Where the host keeps the deadline itself, we come after it.
        let grace = if watchdog { limits::WATCHDOG_GRACE } else { Duration::ZERO };
        let deadline = Instant::now() + job.timeout + grace;
        let idle = Idle::new(job.idle, false, live);
        let cwd = job.cwd.as_deref();
        let wait = Wait { id: &job.id, as_user, cwd, timeout: job.timeout, deadline, idle, frames: None };
        let Some(found) = self.until_end(wait, running).await? else { return Ok(None) };
        if script == Script::First {
            self.remember_session(as_user, Leave::NotNeeded, live);
        }
        match found {
            Found::Ended(end) => Ok(Some(end)),
            // Only a kill by another engine can make these out of a job that we have just begun.
            Found::NeverBegan => Err(ErrorKind::Fenced),
            found @ (Found::Rebooted | Found::Vanished) => {
                Err(ErrorKind::Lost { said: format!("the job is gone ({found:?})") })
            }
        }
    }

    /// Listens until the script says how the job ended, and keeps the deadline. `None`: nothing began, for the end of the
    /// session would have ended it; how that is avoided is remembered.
    async fn until_end(&self, mut wait: Wait<'_>, mut running: Running) -> Result<Option<Found>, ErrorKind> {
        let Wait { id, as_user, .. } = wait;
        let apart = wait.frames.is_none();
        let (mut out, mut err, mut exited) = (Vec::new(), Vec::new(), None);
        let idle = std::mem::replace(&mut wait.idle, Idle::new(None, false, &()));
        idle.heard();
        let mut showing = std::pin::pin!(async {
            if apart {
                self.show(id, as_user, &idle).await;
            }
        });
        let (mut shown_all, mut ending) = (false, false);
        loop {
            tokio::select! {
                biased;
                event = running.next() => match event.inspect(|_| idle.heard()) {
                    None => break,
                    Some(Event::Exit(code)) => exited = Some(code),
                    Some(Event::Refused) => {}
                    Some(Event::Data(Stream::Stderr, bytes)) => err.extend_from_slice(&bytes),
                    Some(Event::Data(Stream::Stdout, bytes)) => match &mut wait.frames {
                        None => out.extend_from_slice(&bytes),
                        Some(frames) => out.extend(frames.push(&bytes, &mut |stream, bytes| idle.output(stream, bytes))),
                    },
                },
                () = &mut showing, if !shown_all => shown_all = true,
                () = sleep_until(idle.ask_at().unwrap_or(wait.deadline)), if idle.ask_at().is_some() && !ending => {
                    let (age, bytes) = self.quiet(id, as_user).await.map_err(|kind| self.unknown(kind))?;
                    let Some(after) = idle.is_over(age, bytes) else { continue };
                    let verified = self.kill_verified(id, as_user, None).await.map_err(|kind| self.unknown(kind))?;
                    match verified.was {
                        Was::Running | Was::Overdue => return Err(ErrorKind::Idle { after, killed: verified.killed }),
                        Was::Ended | Was::Void | Was::Gone => {
                            ending = true;
                            wait.deadline = wait.deadline.min(Instant::now() + LAST_WORDS);
                        }
                    }
                }
                () = sleep_until(wait.deadline) => {
                    let verified = self.kill_verified(id, as_user, None).await.map_err(|kind| self.unknown(kind))?;
                    match verified.was {
                        Was::Running | Was::Overdue => return Err(timed_out(wait.timeout, verified.killed)),
                        // It ended a moment ago, or never began: the channel is about to say so.
                        Was::Ended | Was::Void | Was::Gone => wait.deadline = Instant::now() + LAST_WORDS,
                    }
                }
            }
            if out.len().max(err.len()) > 2 * limits::OUTPUT_BYTES {
                return Err(ErrorKind::Protocol { said: "more output than was agreed".into() });
            }
        }
        let Some((brought, end)) = split_end(&out) else {
            return Err(match exited {
                Some(code) => ErrorKind::Lost { said: format!("the supervisor was ended ({code}): {}", shown(&err)) },
                None => ErrorKind::Lost { said: "before the job ended".into() },
            });
        };
        let (code, how, out_cut, err_cut) = match end {
            End::Exit { code, how, out_cut, err_cut } => (code, how, out_cut, err_cut),
            End::Never => return Ok(Some(Found::NeverBegan)),
            End::Rebooted => return Ok(Some(Found::Rebooted)),
            End::Vanished => return Ok(Some(Found::Vanished)),
            End::Session(leave) => {
                self.remember_session(as_user, leave, &idle);
                return Ok(None);
            }
            End::Fenced => return Err(ErrorKind::Fenced),
            End::NoFolder => return Err(ErrorKind::NoFolder { path: wait.cwd.unwrap_or_default().to_owned() }),
            End::Failed { path, said } => return Err(failure(&path, &said)),
            end => return Err(ErrorKind::Protocol { said: format!("a job ended with {end:?}") }),
        };
        if how == How::Late {
            let verified = self.kill_verified(id, as_user, None).await.map_err(|kind| self.unknown(kind))?;
            return Err(timed_out(wait.timeout, verified.killed));
        }
        let brought = brought.to_vec();
        let stdout =
            self.whole(id, as_user, Stream::Stdout, brought, out_cut).await.map_err(|kind| self.unknown(kind))?;
        let stderr = self.whole(id, as_user, Stream::Stderr, err, err_cut).await.map_err(|kind| self.unknown(kind))?;
        Ok(Some(Found::Ended(JobEnd { exit: code, stdout, stderr })))
    }

    /// A job has begun, and a question about it failed: whatever failed, what became of the job is not known.
    fn unknown(&self, kind: ErrorKind) -> ErrorKind {
        match kind {
            ErrorKind::Lost { .. } => kind,
            kind => ErrorKind::Lost { said: self.error(kind, "asking what became of it").to_string() },
        }
    }

    /// A program that lives and dies with its channel.
    async fn bare(&self, job: &Job, live: &dyn Live) -> Result<JobEnd, ErrorKind> {
        let as_user = job.as_user.as_deref();
        let orders = job_script::job(job, self.place(as_user)?, false).map_err(|why| ErrorKind::Invalid { why })?;
        let mut running = self.begin(Script::Bare, as_user, Input::All(orders), Want::InTurn).await?;
        let deadline = Instant::now() + job.timeout;
        let mut over = std::pin::pin!(async {
            tokio::select! {
                () = sleep_until(deadline) => {}
                () = self.questions_end() => {}
            }
        });
        let (mut out, mut err, mut exited) = (Gather::default(), Gather::default(), None);
        let mut silence = Box::pin(running.silence());
        loop {
            let event = tokio::select! {
                biased;
                event = running.next() => event,
                // A child that it left behind keeps the channel, and may do so for ever.
                () = &mut silence, if exited.is_some() => None,
                () = &mut over => {
                    let killed = self.kill_verified(&job.id, as_user, Some(running.pid)).await;
                    let verified = killed.map_err(|kind| self.unknown(kind))?;
                    return Err(timed_out(job.timeout, verified.killed));
                }
            };
            match event {
                None => break,
                Some(Event::Refused) => {}
                Some(Event::Exit(code)) => {
                    exited = Some(code);
                    silence = Box::pin(running.silence());
                }
                Some(Event::Data(stream, bytes)) => {
                    if exited.is_some() {
                        silence = Box::pin(running.silence());
                    }
                    live.output(stream, &bytes);
                    match stream {
                        Stream::Stdout => out.push(&bytes),
                        Stream::Stderr => err.push(&bytes),
                    }
                }
            }
        }
        let exit = exited.ok_or_else(|| ErrorKind::Lost { said: "before the command ended".into() })?;
        Ok(JobEnd { exit, stdout: out.finish(), stderr: err.finish() })
    }
}

/// Whether an operation is so old that its folder may have been swept: what is not found there may have been.
fn old(id: &JobId) -> &'static str {
    let began = id.operation.get_timestamp().map(|at| Duration::from_secs(at.to_unix().0));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    match began.is_some_and(|began| began + limits::STALE < now) {
        true => "yes",
        false => "",
    }
}

fn timed_out(after: Duration, killed: Killed) -> ErrorKind {
    ErrorKind::TimedOut { after, killed }
}
