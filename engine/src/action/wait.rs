//! `Wait`: until the host accepts our login, a TCP port accepts, or an HTTP server answers – all seen from here; or a program
//! on the host, which only reads, ends with 0.

use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::{failure, output};
use crate::host::{Host, Job, JobEnd, Live, Stream};
use crate::operation::{Failure, FailureClass, NodeOutcome};
use crate::runner::{Context, Ready};

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
        let left = left.max(Duration::from_millis(1));
        // A program may take its time, and is ended on its host when that is over.
        let longest = if matches!(until, Ready::Command(_)) { left + ONE_LOOK } else { left.min(ONE_LOOK) };
        let look = timeout(longest, look(context, host, until, left)).await;
        let seen = match look {
            Ok(Ok(())) => return NodeOutcome::Succeeded { out: Default::default(), changed: false, output: None },
            Ok(Err(Look::Never(failure))) => return NodeOutcome::Failed { failure, output: None },
            Ok(Err(Look::NotYet(seen))) => seen,
            Err(_) => "no answer".to_owned(),
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

enum Look {
    NotYet(String),
    Never(Failure),
}

async fn look(context: &Context, host: &Host, until: &Ready, left: Duration) -> Result<(), Look> {
    match until {
        Ready::Ssh => host.check().await.map_err(|error| {
            if error.is_connection() { Look::NotYet(error.to_string()) } else { Look::Never(failure::of(&error)) }
        }),
        Ready::Tcp { address, port } => TcpStream::connect((address.as_str(), *port))
            .await
            .map(|_| ())
            .map_err(|error| Look::NotYet(format!("{address}:{port}: {error}"))),
        Ready::Http { url, status } => {
            let got = get(url).await?;
            if status.contains(&got) { Ok(()) } else { Err(Look::NotYet(format!("{url} answers {got}"))) }
        }
        Ready::Command(job) => {
            let job = Job { timeout: left.min(job.timeout), ..job.clone() };
            match host.run(&job, &()).await {
                Ok(end) if end.exit == 0 => Ok(()),
                Ok(end) => Err(Look::NotYet(answer(context, &end))),
                Err(error) if error.is_connection() || error.ended_it() => Err(Look::NotYet(error.to_string())),
                Err(error) => Err(Look::Never(failure::of(&error))),
            }
        }
    }
}

/// How a program ended that was not yet content, and what it wrote last.
fn answer(context: &Context, end: &JobEnd) -> String {
    let said = [&end.stderr, &end.stdout].into_iter().find_map(|of| output::last_line(&context.redactor.output(of)));
    match said {
        Some(line) => format!("exit code {}: {line}", end.exit),
        None => format!("exit code {}, and it wrote nothing", end.exit),
    }
}

/// GET over plain HTTP/1.1 (RFC 9112): the status of the answer.
async fn get(url: &str) -> Result<u16, Look> {
    let not_yet = |error: &dyn std::fmt::Display| Look::NotYet(format!("{url}: {error}"));
    let uri: Uri = url.parse().map_err(|error| Look::Never(failure::other(format!("`{url}` is no URL: {error}"))))?;
    let (Some(address), Some("http")) = (uri.host(), uri.scheme_str()) else {
        return Err(Look::Never(failure::other(format!("`{url}` is no http:// URL"))));
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((address, uri.port_u16().unwrap_or(80))).await.map_err(|error| not_yet(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| not_yet(&error))?;
    let connection = tokio::spawn(connection);
    let authority = uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let request = Request::get(path)
        .header("host", authority)
        .header("user-agent", "anneal")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Look::Never(failure::other(format!("`{url}`: {error}"))))?;
    let answer = sender.send_request(request).await.map_err(|error| not_yet(&error));
    connection.abort();
    Ok(answer?.status().as_u16()) // The body decides nothing.
}

fn what(until: &Ready) -> String {
    match until {
        Ready::Ssh => "the host does not accept our login".to_owned(),
        Ready::Tcp { address, port } => format!("{address}:{port} accepts no connection"),
        Ready::Http { url, .. } => format!("{url} does not answer as it should"),
        Ready::Command(_) => "the command does not succeed".to_owned(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
