//! `Wait`: until the host accepts our login, a TCP port accepts, an HTTP server answers, or one of TLS has a certificate that
//! is to be trusted – all seen from here; or until a program on the host, which only reads, ends with 0.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::here::Ca;
use super::{failure, output};
use crate::host::{Host, Job, JobEnd, Live, Stream};
use crate::operation::{Failure, FailureClass, NodeOutcome};
use crate::redact::Redactor;
use crate::runner::{Context, Ready};
use crate::web::address::Address;
use crate::web::client::{Ask, NoAnswer, ask};
use crate::web::tls::{Refused, Trust, shake_hands};

/// One look may not take longer than this.
const ONE_LOOK: Duration = Duration::from_secs(10);

/// Waits. A look that can never succeed (a wrong password, a changed host key) ends it at once.
pub async fn wait(
    context: &Context,
    host: &Host,
    until: &Ready,
    within: Duration,
    every: Duration,
    live: &dyn Live,
) -> NodeOutcome {
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let seen = match look_once(&context.redactor, host, until, left.max(Duration::from_millis(1))).await {
            Ok(()) => return NodeOutcome::Succeeded { out: Default::default(), changed: false, output: None },
            Err(Look::Never(failure)) => return NodeOutcome::Failed { failure, output: None },
            Err(Look::NotYet(seen)) => seen,
        };
        live.output(Stream::Stderr, format!("not yet: {seen}\n").as_bytes());
        if Instant::now() + every >= deadline {
            let failure = Failure {
                class: FailureClass::Timeout,
                message: format!("{} after {}: {seen}", what(until), dsl::duration::show(millis(within))),
                hint: Some("look at the host, then resume the operation".to_owned()),
            };
            return NodeOutcome::Failed { failure, output: None };
        }
        sleep(every).await;
    }
}

/// Why it is not so.
pub(crate) enum Look {
    /// It may become so.
    NotYet(String),
    /// It never will.
    Never(Failure),
}

/// One look, which takes no longer than a look may, or than this.
pub(crate) async fn look_once(redactor: &Redactor, host: &Host, until: &Ready, most: Duration) -> Result<(), Look> {
    // A program may take its time, and is ended on its host when that is over.
    let longest = if matches!(until, Ready::Command(_)) { most + ONE_LOOK } else { most.min(ONE_LOOK) };
    match timeout(longest, look(redactor, host, until, most)).await {
        Ok(seen) => seen,
        Err(_) => Err(Look::NotYet("no answer".to_owned())),
    }
}

async fn look(redactor: &Redactor, host: &Host, until: &Ready, left: Duration) -> Result<(), Look> {
    match until {
        Ready::Ssh => host.check().await.map_err(|error| {
            if error.is_connection() { Look::NotYet(error.to_string()) } else { Look::Never(failure::of(&error)) }
        }),
        Ready::Tcp { address, port } => TcpStream::connect((address.as_str(), *port))
            .await
            .map(|_| ())
            .map_err(|error| Look::NotYet(format!("{address}:{port}: {error}"))),
        Ready::Http { address, status, ca } => {
            let got = get(address, &trust(ca).await?).await?;
            if status.contains(&got) { Ok(()) } else { Err(Look::NotYet(format!("{} answers {got}", address.shown()))) }
        }
        Ready::Tls { address, port, name, ca, valid_for } => {
            let (trust, at) = (trust(ca).await?, format!("{address}:{port}"));
            let stream = TcpStream::connect((address.as_str(), *port)).await;
            let stream = stream.map_err(|error| Look::NotYet(format!("{at}: {error}")))?;
            match shake_hands(stream, name, &trust, *valid_for).await {
                Ok(_) => Ok(()),
                Err(Refused::Now(why)) => Err(Look::NotYet(format!("{at}: {why}"))),
                Err(Refused::Never(why)) => Err(Look::Never(failure::other(format!("{at}, `{name}`: {why}")))),
            }
        }
        Ready::Command(job) => {
            let job = Job { timeout: left.min(job.timeout), ..job.clone() };
            match host.run(&job, &()).await {
                Ok(end) if end.exit == 0 => Ok(()),
                Ok(end) => Err(Look::NotYet(answer(redactor, &end))),
                Err(error) if error.is_connection() || error.ended_it() => Err(Look::NotYet(error.to_string())),
                Err(error) => Err(Look::Never(failure::of(&error))),
            }
        }
    }
}

/// How a program ended that was not yet content, and what it wrote last.
fn answer(redactor: &Redactor, end: &JobEnd) -> String {
    let said = [&end.stderr, &end.stdout].into_iter().find_map(|of| output::last_line(&redactor.output(of)));
    match said {
        Some(line) => format!("exit code {}: {line}", end.exit),
        None => format!("exit code {}, and it wrote nothing", end.exit),
    }
}

async fn trust(ca: &Ca) -> Result<Trust, Look> {
    ca.trust().await.map_err(Look::Never)
}

/// GET: the status of the answer, whatever else it says.
async fn get(address: &Address, trust: &Trust) -> Result<u16, Look> {
    let body = store::Secret::from(String::new());
    let asked = Ask { method: hyper::Method::GET, address, headers: &[], body: &body, trust };
    match ask(&asked, &AtomicBool::new(false)).await {
        Ok(answer) => Ok(answer.status),
        Err(NoAnswer::Unusable(status, _)) => Ok(status),
        Err(NoAnswer::NotSent(why) | NoAnswer::Lost(why)) => Err(Look::NotYet(why)),
        Err(NoAnswer::Never(why)) => Err(Look::Never(failure::other(why))),
    }
}

fn what(until: &Ready) -> String {
    match until {
        Ready::Ssh => "the host does not accept our login".to_owned(),
        Ready::Tcp { address, port } => format!("{address}:{port} accepts no connection"),
        Ready::Command(_) => "the command does not succeed".to_owned(),
        Ready::Http { address, .. } => format!("{} does not answer as it should", address.shown()),
        Ready::Tls { address, port, name, .. } => {
            format!("{address}:{port} has no certificate to be trusted for `{name}`")
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
