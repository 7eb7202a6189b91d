//! `Reboot`: the host is started anew, and it is waited for until it has another boot id and accepts our login.
//!
//! A job asks for it, by the contract of all jobs: its record carries the boot id under which it began, and is on the disk
//! before anything ends. So an engine that comes later finds out what became of it and never asks twice: the record with
//! another boot id is success. How the job itself ended decides only where it could not ask.
//!
//! Invariant: the machine that the engine runs on is never restarted, by whichever way it is reached.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::failure::{self, other};
use super::job::{exit_failure, kept};
use crate::host::{ErrorKind, Found, Host, Job, JobEnd, Live, Program, Restarted, Stream, Supervise};
use crate::operation::{Failure, FailureClass, NodeOutcome, Unknown};
use crate::runner::{Call, Context, Reporter};

const SCRIPT: &str = include_str!("reboot.sh");
/// How long asking for it may take; what comes later is found out by asking the host.
const ASKING: Duration = Duration::from_secs(50);
/// How long between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Exit codes from here on are signals: a shutdown that has begun ends the job that asked for it.
const SIGNALS: i32 = 128;

/// Starts the host anew.
pub async fn reboot(context: &Context, host: &Host, call: &Call, live: &dyn Live, reporter: &Reporter) -> NodeOutcome {
    if host.is_here() {
        let failure = other("this is the machine that Anneal runs on, which it never restarts");
        return NodeOutcome::Failed { failure, output: None };
    }
    let began = match host.run(&job(call), live).await {
        Ok(end) if refused(end.exit) => return failed(context, call, &end).await,
        Ok(_) => true,
        Err(error) if error.nothing_began() => {
            return NodeOutcome::Failed { failure: failure::of(&error), output: None };
        }
        Err(_) => false,
    };
    match come_back(context, host, call, began, live, reporter).await {
        // It was this process that asked, so this is a connection that failed, and `retry` counts it.
        NodeOutcome::Unknown(Unknown::NeverBegan) => {
            let message = "the connection was lost before the restart was asked for".to_owned();
            let failure = Failure { class: FailureClass::Connection, message, hint: None };
            NodeOutcome::Failed { failure, output: None }
        }
        outcome => outcome,
    }
}

/// Finds out what became of a restart that an engine asked for, or meant to.
pub async fn find(context: &Context, host: &Host, call: &Call, live: &dyn Live, reporter: &Reporter) -> NodeOutcome {
    come_back(context, host, call, false, live, reporter).await
}

fn job(call: &Call) -> Job {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let space = std::fs::read_link("/proc/self/ns/pid").map(|space| space.display().to_string()).unwrap_or_default();
    Job {
        id: call.job.clone(),
        program: Program::Script {
            text: SCRIPT.to_owned(),
            args: vec![read("/proc/sys/kernel/random/boot_id"), space],
        },
        env: Vec::new(),
        stdin: None,
        as_user: call.as_user.clone(),
        cwd: None,
        timeout: ASKING.min(call.timeout),
        idle: None,
        supervise: Supervise::Always,
    }
}

fn refused(exit: i32) -> bool {
    (1..SIGNALS).contains(&exit)
}

async fn failed(context: &Context, call: &Call, end: &JobEnd) -> NodeOutcome {
    match kept(context, call, end).await {
        Ok(output) => NodeOutcome::Failed { failure: exit_failure(context, call, end), output },
        Err(failure) => NodeOutcome::Failed { failure, output: None },
    }
}

/// Waits until the host is back. `began`: it is known that the job began.
async fn come_back(
    context: &Context,
    host: &Host,
    call: &Call,
    began: bool,
    live: &dyn Live,
    reporter: &Reporter,
) -> NodeOutcome {
    let within = call.reboots.unwrap_or(call.timeout);
    // Counted from when the attempt began, for an engine that came later too.
    let spare = call.timeout.saturating_sub(within);
    let deadline = Instant::from_std(call.deadline.checked_sub(spare).unwrap_or(call.deadline));
    let user = call.as_user.as_deref();
    // Also one that comes late has one look.
    let mut seen = "nobody answers".to_owned();
    let mut is_same = false;
    loop {
        let until = deadline.max(Instant::now() + PAUSE);
        match timeout_at(until, host.restarted(&call.job, user)).await {
            // With the machine a folder in memory is gone, and the record with it.
            Ok(Ok(Restarted::NeverBegan)) if began => return back(reporter).await,
            Ok(Ok(Restarted::Yes)) => return back(reporter).await,
            Ok(Ok(Restarted::NeverBegan)) => return fenced(context, host, call, live).await,
            Ok(Ok(Restarted::Ended(exit))) if refused(exit) => return fenced(context, host, call, live).await,
            Ok(Ok(Restarted::Ended(_) | Restarted::NotYet)) => {
                (seen, is_same) = ("it has not begun to restart".to_owned(), true);
            }
            Ok(Err(error)) if never_passes(&error.kind) => {
                return NodeOutcome::Failed { failure: failure::of(&error), output: None };
            }
            Ok(Err(error)) => (seen, is_same) = (error.to_string(), false),
            Err(_) => (seen, is_same) = (seen, is_same),
        }
        if Instant::now() + PAUSE >= deadline {
            return late(within, &seen, is_same);
        }
        live.output(Stream::Stderr, format!("waiting for the host: {seen}\n").as_bytes());
        sleep(PAUSE).await;
    }
}

async fn back(reporter: &Reporter) -> NodeOutcome {
    reporter.reattached().await;
    NodeOutcome::Succeeded { out: Default::default(), changed: true, output: None }
}

/// The job's own end; or that it never began, and by this question never will (I4).
async fn fenced(context: &Context, host: &Host, call: &Call, live: &dyn Live) -> NodeOutcome {
    match host.reattach(&call.job, call.as_user.as_deref(), ASKING, live).await {
        Ok(Found::Ended(end)) => failed(context, call, &end).await,
        Ok(Found::NeverBegan) => NodeOutcome::Unknown(Unknown::NeverBegan),
        Ok(Found::Rebooted) => NodeOutcome::Succeeded { out: Default::default(), changed: true, output: None },
        Ok(Found::Vanished) => NodeOutcome::Unknown(Unknown::Vanished),
        Err(_) => NodeOutcome::Unknown(Unknown::Unreachable),
    }
}

/// While a machine starts, all else may be so for a while: no login yet, no sudo, no shell.
fn never_passes(kind: &ErrorKind) -> bool {
    matches!(
        kind.cause(),
        ErrorKind::HostKeyChanged { .. }
            | ErrorKind::HostKeyRevoked { .. }
            | ErrorKind::HostKeyUnknown { .. }
            | ErrorKind::HostCertificate { .. }
    )
}

fn late(within: Duration, seen: &str, is_same: bool) -> NodeOutcome {
    let within = dsl::duration::show(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
    let message = match is_same {
        true => format!("the host was not restarted: after {within} its boot id is still the same"),
        false => format!("the host is not back after {within}: {seen}"),
    };
    let hint = Some("look at the host, then resume the operation".to_owned());
    let failure = Failure { class: FailureClass::Timeout, message, hint };
    NodeOutcome::Failed { failure, output: None }
}
