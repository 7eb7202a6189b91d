//! `Run`, `Shell` and `Script`: a program on a host. Exit codes are the only truth.

use std::time::Duration;

use tokio::time::Instant;

use super::{failure, out, output};
use crate::host::{self, ErrorKind, Found, Host, Job, JobEnd, Live};
use crate::operation::{Failure, FailureClass, NodeOutcome, Unknown};
use crate::runner::{Call, Context, Reporter};

/// How long the first wait for a host to come back is; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long we look for a job whose own time is over: its record is still there.
const GRACE: Duration = Duration::from_secs(60);

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
        Ok(end) => judge(context, call, end).await,
        Err(error) if error.ended_it() || error.nothing_began() => {
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

/// Finds a job again and waits for its end, for as long as the step may still take.
pub async fn reattach(
    context: &Context,
    host: &Host,
    call: &Call,
    live: &dyn Live,
    reporter: &Reporter,
) -> NodeOutcome {
    let deadline = Instant::from_std(call.deadline) + GRACE;
    let mut pause = FIRST_PAUSE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match host.reattach_or_idle(&call.job, call.as_user.as_deref(), left, call.idle, live).await {
            Ok(Found::Ended(end)) => {
                reporter.reattached().await;
                return judge(context, call, end).await;
            }
            Ok(Found::NeverBegan) => return NodeOutcome::Unknown(Unknown::NeverBegan),
            Ok(Found::Rebooted) => return NodeOutcome::Unknown(Unknown::Rebooted),
            Ok(Found::Vanished) => return NodeOutcome::Unknown(Unknown::Vanished),
            Err(error) if error.ended_it() => {
                return NodeOutcome::Failed { failure: failure::of(&error), output: None };
            }
            Err(error) if may_pass(&error) && left > pause => {
                tracing::debug!(node = %call.node, error = error.code(), "no answer yet, trying again");
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

/// Whether asking again later may be answered.
fn may_pass(error: &host::Error) -> bool {
    match error.kind {
        ErrorKind::Unreachable { .. }
        | ErrorKind::Timeout { .. }
        | ErrorKind::Lost { .. }
        | ErrorKind::Sudo { .. }
        | ErrorKind::DiskFull { .. }
        | ErrorKind::Io { .. }
        | ErrorKind::Protocol { .. } => true,
        ErrorKind::Auth { .. }
        | ErrorKind::HostKeyUnknown { .. }
        | ErrorKind::HostKeyChanged { .. }
        | ErrorKind::HostKeyRevoked { .. }
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
pub async fn end_earlier(host: &Host, call: &Call) -> Option<Failure> {
    for earlier in &call.may_run {
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

async fn judge(context: &Context, call: &Call, end: JobEnd) -> NodeOutcome {
    let stdout = context.redactor.output(&end.stdout);
    let stderr = context.redactor.output(&end.stderr);
    let kept = match output::keep(context, &stdout, &stderr).await {
        Ok(kept) => kept,
        Err(error) => {
            let failure = failure::other(format!("its output could not be kept: {error}"));
            return NodeOutcome::Failed { failure, output: None };
        }
    };
    if !call.ok_exit.contains(&end.exit) {
        let failure = exit_failure(call, end.exit, &stdout, &stderr);
        return NodeOutcome::Failed { failure, output: kept };
    }
    match out::take(&call.out, &stdout, end.stdout.dropped_bytes) {
        Ok(out) => NodeOutcome::Succeeded { out, output: kept },
        Err(why) => NodeOutcome::Failed { failure: failure::other(why), output: kept },
    }
}

fn exit_failure(call: &Call, exit: i32, stdout: &str, stderr: &str) -> Failure {
    let said = [stderr, stdout].into_iter().find_map(output::last_line);
    let wrote = said.is_some();
    let message = match (exit, said) {
        (137, None) => "the program was killed (exit code 137)".to_owned(),
        (exit, None) => format!("the program ended with exit code {exit} and wrote nothing"),
        (exit, Some(line)) => format!("the program ended with exit code {exit}: {line}"),
    };
    let hint = format!("its whole output: anneal logs {} {}", short(&call.job.operation.to_string()), call.node.step);
    Failure { class: FailureClass::Exit(exit), message, hint: wrote.then_some(hint) }
}

/// The end of an id: UUIDs of version 7 that were made close together begin alike, and end differently.
fn short(id: &str) -> &str {
    &id[id.len().saturating_sub(8)..]
}
