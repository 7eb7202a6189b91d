//! One request on a connection of its own, over HTTP/1.1 (RFC 9112), and the whole answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::BASE64;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use store::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::address::Address;
use super::tls::{self, Refused, Trust};
use crate::limits::ANSWER_BYTES;

/// What is asked.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The method.
    pub method: Method,
    /// Of whom.
    pub address: &'a Address,
    /// Headers; values may be secret.
    pub headers: &'a [(String, Secret)],
    /// What is sent; may be secret.
    pub body: &'a Secret,
    /// Who vouches for the server.
    pub trust: &'a Trust,
}

/// What is answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    headers: HeaderMap,
}

impl Answer {
    /// A header of the answer, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nothing was sent: there was no connection.
    NotSent(String),
    /// It may have been carried out.
    Lost(String),
    /// It can never be sent.
    Never(String),
    /// It was carried out, with this status, and the rest of the answer cannot be taken.
    Unusable(u16, String),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Asks. Sets `sent` before the first byte of the request leaves, so that whoever gives up waiting knows.
pub async fn ask(ask: &Ask<'_>, sent: &AtomicBool) -> Result<Answer, NoAnswer> {
    let request = request(ask).map_err(NoAnswer::Never)?;
    let stream = connect(ask.address, ask.trust).await?;
    let shown = ask.address.shown();
    let lost = |error: hyper::Error| NoAnswer::Lost(format!("{shown}: {}", chain(&error)));
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| NoAnswer::NotSent(format!("{shown}: {error}")))?;
    let connection = Running(tokio::spawn(connection));
    sent.store(true, Ordering::SeqCst);
    let answer = sender.send_request(request).await.map_err(lost)?;
    let (parts, mut incoming) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(lost)?.into_data() else { continue };
        if body.len() + data.len() > ANSWER_BYTES {
            let status = parts.status.as_u16();
            let why = format!("{shown} answers {status} with more than {ANSWER_BYTES} bytes");
            return Err(NoAnswer::Unusable(status, why));
        }
        body.extend_from_slice(&data);
    }
    drop(connection);
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// A connection that ends with whoever uses it.
struct Running(tokio::task::JoinHandle<Result<(), hyper::Error>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn request(ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, String> {
    let body = Full::new(Bytes::copy_from_slice(ask.body.expose().as_bytes()));
    let mut request = Request::new(body);
    *request.method_mut() = ask.method.clone();
    *request.uri_mut() = ask.address.path().parse().map_err(|_| "the path of the URL cannot be sent".to_owned())?;
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(ask.address.authority()).map_err(|_| "the host cannot be sent".to_owned())?;
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("anneal/", env!("CARGO_PKG_VERSION"))));
    if let Some(user_info) = ask.address.user_info() {
        let login = format!("Basic {}", BASE64.encode(user_info.expose().as_bytes()));
        headers.insert(AUTHORIZATION, secret(&login).ok_or("the login of the URL cannot be sent")?);
    }
    for (name, value) in ask.headers {
        let wrong = || format!("the value of the header `{name}` has a character in it that none may have");
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no name of a header"))?;
        headers.insert(key, secret(value.expose()).ok_or_else(wrong)?);
    }
    Ok(request)
}

/// A value that may be a secret, and says so where headers are shown.
fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

async fn connect(address: &Address, trust: &Trust) -> Result<Box<dyn Stream>, NoAnswer> {
    let shown = address.shown();
    let not_sent = |why: &dyn std::fmt::Display| NoAnswer::NotSent(format!("{shown}: {why}"));
    let stream = TcpStream::connect((address.host(), address.port())).await.map_err(|error| not_sent(&error))?;
    if !address.is_tls() {
        return Ok(Box::new(stream));
    }
    match tls::shake_hands(stream, address.host(), trust, Duration::ZERO).await {
        Ok(stream) => Ok(Box::new(stream)),
        // The names in a certificate would tell the host of a secret URL.
        Err(Refused::Now(why)) if address.is_secret() && why.contains("another name") => {
            Err(not_sent(&"its certificate is for another name"))
        }
        Err(Refused::Now(why)) => Err(not_sent(&why)),
        Err(Refused::Never(why)) => Err(NoAnswer::Never(format!("{shown}: {why}"))),
    }
}

/// An error with what caused it: hyper's own texts say little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
