//! `Run`, `Shell` and `Script`: a program on a host. Exit codes are the only truth.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dsl::value::{SecretRef, Value};
use store::Secret;
use tokio::time::Instant;

use super::out::{self, Missing};
use super::{failure, output};
use crate::host::{self, ErrorKind, FileContent, Found, Host, Job, JobEnd, Live, Supervise};
use crate::limits::{OUT_BYTES, WITHOUT_CONNECTION_MS};
use crate::operation::{Failure, FailureClass, NodeOutcome, OutputRef, Unknown};
use crate::runner::{Call, Context, Reporter};
use crate::vault::out_name;

/// How long the first wait for a host to come back is; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long we look for a job whose own time is over: its record is still there.
const GRACE: Duration = Duration::from_secs(60);
/// How long a host is looked for that has not answered since.
const WITHOUT_CONNECTION: Duration = Duration::from_millis(WITHOUT_CONNECTION_MS);

/// How shells count HUP, KILL and TERM.
const BY_SIGNAL: [i32; 3] = [129, 137, 143];

/// Runs a job to its end; a lost connection is mended and the job found again.
pub async fn run(
    context: &Context,
    host: &Host,
    call: &Call,
    job: &Job,
    live: &dyn Live,
    reporter: &Reporter,
) -> NodeOutcome {
    match host.run(job, live).await {
        Ok(end) => judge(context, host, call, end).await,
        Err(error) if error.ended_it() || error.nothing_began() => {
            NodeOutcome::Failed { failure: failure::of(&error), output: None }
        }
        // What only reads does no harm where it is still running; `retry` says whether it is asked again.
        Err(error) if job.supervise == Supervise::Never => {
            NodeOutcome::Failed { failure: failure::of(&error), output: None }
        }
        // It may be running: only the host can say.
        Err(error) => {
            tracing::info!(node = %call.node, attempt = call.attempt, error = error.code(), "looking for the job");
            match reattach(context, host, call, live, reporter).await {
                // It was this process that asked, so this is a connection that failed, and `retry` counts it.
                NodeOutcome::Unknown(Unknown::NeverBegan) => {
                    NodeOutcome::Failed { failure: failure::of(&error), output: None }
                }
                outcome => outcome,
            }
        }
    }
}

/// Finds a job again and waits for its end, for as long as the step may still take, and as long as a host may be without an answer.
pub async fn reattach(
    context: &Context,
    host: &Host,
    call: &Call,
    live: &dyn Live,
    reporter: &Reporter,
) -> NodeOutcome {
    let deadline = Instant::from_std(call.deadline) + GRACE;
    let mut pause = FIRST_PAUSE;
    let heard = Heard { live, last: Mutex::new(Instant::now()) };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let before = heard.last();
        match host.reattach_or_idle(&call.job, call.as_user.as_deref(), left, call.idle, &heard).await {
            Ok(Found::Ended(end)) => {
                reporter.reattached().await;
                return judge(context, host, call, end).await;
            }
            Ok(Found::NeverBegan) => return NodeOutcome::Unknown(Unknown::NeverBegan),
            Ok(Found::Rebooted) => return NodeOutcome::Unknown(Unknown::Rebooted),
            Ok(Found::Vanished) => return NodeOutcome::Unknown(Unknown::Vanished),
            Err(error) if error.ended_it() => {
                return NodeOutcome::Failed { failure: failure::of(&error), output: None };
            }
            Err(error) if is_asked_again(&error.kind, left.checked_sub(pause), heard.last().elapsed()) => {
                tracing::debug!(node = %call.node, error = error.code(), "no answer yet, trying again");
                if heard.last() > before {
                    // It answered in between, so this is another break.
                    pause = FIRST_PAUSE;
                }
                live.output(crate::host::Stream::Stderr, format!("waiting for the host: {error}\n").as_bytes());
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            // Whatever keeps us out, the job may be running: how it ended is not known, and that is what is said.
            Err(error) => {
                tracing::warn!(node = %call.node, attempt = call.attempt, error = error.code(), "nobody knows how it ended");
                return NodeOutcome::Unknown(Unknown::Unreachable);
            }
        }
    }
}

/// Notes when the host was last heard of, for whoever looks on.
struct Heard<'a> {
    live: &'a dyn Live,
    last: Mutex<Instant>,
}

impl Heard<'_> {
    fn last(&self) -> Instant {
        // A time is whole after every statement.
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Live for Heard<'_> {
    fn output(&self, stream: host::Stream, bytes: &[u8]) {
        self.now();
        self.live.output(stream, bytes);
    }

    fn heard(&self) {
        self.now();
        self.live.heard();
    }
}

/// Whether a host is asked again after this: it may answer then, there is time for a pause and more, and it has not been silent for
/// too long.
fn is_asked_again(error: &ErrorKind, after_the_pause: Option<Duration>, silent: Duration) -> bool {
    may_pass(error) && after_the_pause.is_some_and(|left| !left.is_zero()) && silent < WITHOUT_CONNECTION
}

/// Whether asking again later may be answered.
fn may_pass(error: &ErrorKind) -> bool {
    match error.cause() {
        ErrorKind::Unreachable { .. }
        // Never a cause.
        | ErrorKind::Hop { .. }
        | ErrorKind::Timeout { .. }
        | ErrorKind::HungUp { .. }
        | ErrorKind::Lost { .. }
        | ErrorKind::Sudo { .. }
        | ErrorKind::DiskFull { .. }
        | ErrorKind::Io { .. }
        | ErrorKind::Protocol { .. } => true,
        ErrorKind::Auth { .. }
        | ErrorKind::HostKeyUnknown { .. }
        | ErrorKind::HostKeyChanged { .. }
        | ErrorKind::HostKeyRevoked { .. }
        | ErrorKind::HostCertificate { .. }
        | ErrorKind::NoForward { .. }
        | ErrorKind::NoSuchUser { .. }
        | ErrorKind::NoShell { .. }
        | ErrorKind::TimedOut { .. }
        | ErrorKind::Idle { .. }
        | ErrorKind::NoFolder { .. }
        | ErrorKind::Fenced
        | ErrorKind::Invalid { .. }
        | ErrorKind::Differs { .. } => false,
    }
}

/// Ends what may still run of an earlier attempt, so that no two are at work at once (I4); a failure where that is not certain.
pub async fn end_earlier(context: &Context, call: &Call) -> Option<Failure> {
    for (earlier, slot) in &call.may_run {
        let Some(host) = context.host(slot) else {
            return Some(failure::other(format!("attempt {} may be at work, and its host is gone", earlier.attempt)));
        };
        match host.kill(earlier, call.as_user.as_deref()).await {
            Ok(killed) if killed.survivors.is_empty() => {}
            Ok(killed) => {
                return Some(failure::other(format!(
                    "attempt {} is still at work and could not be ended: {}",
                    earlier.attempt,
                    killed.survivors.join(", ")
                )));
            }
            Err(error) => return Some(failure::of(&error)),
        }
    }
    None
}

/// Kills what an attempt runs. Its own executor reports how it ended; survivors are named here.
pub async fn kill(host: &Host, call: &Call) {
    match host.kill(&call.job, call.as_user.as_deref()).await {
        Ok(killed) if killed.survivors.is_empty() => {}
        Ok(killed) => tracing::error!(node = %call.node, survivors = ?killed.survivors, "a kill left processes behind"),
        Err(error) => tracing::error!(node = %call.node, error = error.code(), "a kill could not be carried out"),
    }
}

async fn judge(context: &Context, host: &Host, call: &Call, end: JobEnd) -> NodeOutcome {
    let kept = match kept(context, call, &end).await {
        Ok(kept) => kept,
        Err(failure) => return NodeOutcome::Failed { failure, output: None },
    };
    if !call.ok_exit.contains(&end.exit) {
        let mut failure = exit_failure(context, call, &end);
        if BY_SIGNAL.contains(&end.exit) {
            failure.hint = host.ended_with_session(call.as_user.as_deref()).or(failure.hint);
        }
        return NodeOutcome::Failed { failure, output: kept };
    }
    match values(context, host, call, &end).await {
        Ok(out) => NodeOutcome::Succeeded { out, changed: true, output: kept },
        Err(None) => NodeOutcome::Unknown(Unknown::Unreachable),
        Err(Some(failure)) => NodeOutcome::Failed { failure, output: kept },
    }
}

/// What later steps read. Where it is missing without a failure nobody knows, for the host cannot be asked.
async fn values(
    context: &Context,
    host: &Host,
    call: &Call,
    end: &JobEnd,
) -> Result<BTreeMap<String, Value>, Option<Failure>> {
    let taken = out::Taken { end, files: files(host, call).await?, answer: None };
    take(context, call, &taken).await.map_err(Some)
}

/// The values that are taken from what is there: first the secrets, which the filter knows from then on.
pub(super) async fn take(
    context: &Context,
    call: &Call,
    taken: &out::Taken<'_>,
) -> Result<BTreeMap<String, Value>, Failure> {
    let secrets = sealed(context, call, taken).await?;
    let public = out::public(&call.out, taken, &context.redactor);
    let mut out = public.map_err(|why| missing_value(why, taken.end.exit))?;
    out.extend(secrets);
    Ok(out)
}

fn missing_value(missing: Missing, exit: i32) -> Failure {
    match missing {
        Missing::Why(why) => failure::other(why),
        Missing::Exit(message) => Failure { class: FailureClass::Exit(exit), message, hint: None },
    }
}

/// What the program wrote, filtered and kept; nothing of a step that puts out a secret.
pub(super) async fn kept(context: &Context, call: &Call, end: &JobEnd) -> Result<Option<OutputRef>, Failure> {
    if call.silent {
        return Ok(None);
    }
    let (stdout, stderr) = (context.redactor.output(&end.stdout), context.redactor.output(&end.stderr));
    let kept = output::keep(context, &stdout, &stderr).await;
    kept.map_err(|error| failure::other(format!("its output could not be kept: {error}")))
}

/// The secret outputs: sealed, known to the filter, and by name.
async fn sealed(context: &Context, call: &Call, taken: &out::Taken<'_>) -> Result<BTreeMap<String, Value>, Failure> {
    let secrets = out::secrets(&call.out, taken).map_err(|missing| missing_value(missing, taken.end.exit))?;
    if secrets.is_empty() {
        return Ok(BTreeMap::new());
    }
    context.redactor.learn(&secrets.values().cloned().collect::<Vec<_>>());
    let named = |(name, secret)| (out_name(&call.node, call.attempt, name), secret);
    let new: BTreeMap<SecretRef, Secret> = secrets.iter().map(|(name, secret)| named((name, secret.clone()))).collect();
    let (vault, store, id) = (context.vault.clone(), context.store.clone(), context.id);
    let sealed = tokio::task::spawn_blocking(move || vault.seal(&store, id, new)).await;
    let sealed = sealed.map_err(|error| failure::other(format!("a secret could not be sealed: {error}")))?;
    sealed.map_err(|error| failure::other(format!("a secret could not be sealed: {error}")))?;
    let refs = secrets.into_keys().map(|name| {
        let secret = Value::Secret(out_name(&call.node, call.attempt, &name));
        (name, secret)
    });
    Ok(refs.collect())
}

/// The content of the files that outputs are taken from. A lost connection is waited for as that of a job is; where it does not
/// come back there is no failure to tell.
async fn files(host: &Host, call: &Call) -> Result<BTreeMap<String, Vec<u8>>, Option<Failure>> {
    let deadline = Instant::from_std(call.deadline) + GRACE;
    let mut files = BTreeMap::new();
    for (name, path) in &call.files {
        let failed = |why: String| Some(failure::other(format!("`out` {name}: {why}")));
        let path = path.as_ref().map_err(|failure| Some(failure.clone()))?;
        let mut pause = FIRST_PAUSE;
        let content = loop {
            match host.read_file(&call.job, path, call.as_user.as_deref(), OUT_BYTES).await {
                Ok(content) => break content,
                Err(error) if matches!(error.kind, ErrorKind::Invalid { .. }) => return Err(failed(error.to_string())),
                Err(error) if may_pass(&error.kind) && deadline.saturating_duration_since(Instant::now()) > pause => {
                    tracing::debug!(node = %call.node, error = error.code(), "a file cannot be read yet, trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    tracing::warn!(node = %call.node, error = error.code(), "a file cannot be read, for nobody answers");
                    return Err(None);
                }
            }
        };
        match content {
            FileContent::Bytes(bytes) => drop(files.insert(name.clone(), bytes)),
            FileContent::Missing => return Err(failed(format!("there is no file {path}"))),
            FileContent::Unreadable => return Err(failed(format!("the user may not read {path}"))),
            FileContent::TooLarge => return Err(failed(format!("{path} has more than {OUT_BYTES} bytes"))),
        }
    }
    Ok(files)
}

pub(super) fn exit_failure(context: &Context, call: &Call, end: &JobEnd) -> Failure {
    let exit = end.exit;
    let class = FailureClass::Exit(exit);
    if call.silent {
        let message = format!("the program ended with exit code {exit}");
        let hint = "what it wrote is not kept, for the step puts out a secret".to_owned();
        return Failure { class, message, hint: Some(hint) };
    }
    let said = [&end.stderr, &end.stdout].into_iter().find_map(|of| output::last_line(&context.redactor.output(of)));
    let wrote = said.is_some();
    let message = match (exit, said) {
        (137, None) => "the program was killed (exit code 137)".to_owned(),
        (exit, None) => format!("the program ended with exit code {exit} and wrote nothing"),
        (exit, Some(line)) => format!("the program ended with exit code {exit}: {line}"),
    };
    let hint = format!("its whole output: anneal logs {} {}", short(&call.job.operation.to_string()), call.node.step);
    Failure { class, message, hint: wrote.then_some(hint) }
}

/// The end of an id: UUIDs of version 7 that were made close together begin alike, and end differently.
fn short(id: &str) -> &str {
    &id[id.len().saturating_sub(8)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_asked_again_as_long_as_that_can_help() {
        let (lost, refused) = (ErrorKind::Lost { said: String::new() }, ErrorKind::Fenced);
        let (some, none, second) = (Some(Duration::from_secs(9)), Some(Duration::ZERO), Duration::from_secs(1));
        let cases = [
            (&lost, some, second, true),
            (&lost, some, WITHOUT_CONNECTION - second, true),
            (&lost, some, WITHOUT_CONNECTION, false),
            (&lost, none, second, false),
            (&lost, None, second, false),
            (&refused, some, second, false),
        ];
        for (error, left, silent, again) in cases {
            assert_eq!(is_asked_again(error, left, silent), again, "{error:?}, {left:?} left, silent for {silent:?}");
        }
    }
}
