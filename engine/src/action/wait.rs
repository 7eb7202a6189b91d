//! `Wait`: until the host accepts our login, a TCP port accepts, or an HTTP server answers – all seen from here.

use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::failure;
use crate::host::{Host, Live, Stream};
use crate::operation::{Failure, FailureClass, NodeOutcome};
use crate::runner::Ready;

/// One look may not take longer than this.
const ONE_LOOK: Duration = Duration::from_secs(10);

/// Waits. A look that can never succeed (a wrong password, a changed host key) ends it at once.
pub async fn wait(host: &Host, until: &Ready, within: Duration, every: Duration, live: &dyn Live) -> NodeOutcome {
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let seen = match look_once(host, until, left.max(Duration::from_millis(1))).await {
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
pub(crate) async fn look_once(host: &Host, until: &Ready, most: Duration) -> Result<(), Look> {
    match timeout(most.min(ONE_LOOK), look(host, until)).await {
        Ok(seen) => seen,
        Err(_) => Err(Look::NotYet("no answer".to_owned())),
    }
}

async fn look(host: &Host, until: &Ready) -> Result<(), Look> {
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
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
