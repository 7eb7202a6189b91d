//! A stream through a jump host: a `direct-tcpip` channel (RFC 4254, 7.2) of a connection that others use too.
//!
//! russh hands what arrives to each channel in turn and waits while one is full, so a machine that is slow to be read would hold up
//! all others behind the same jump host; where one of them is what the slow one waits for, for ever. So everything that arrives is
//! taken at once. What is kept meanwhile has an end all the same: the stream is itself SSH, whose windows are not opened further
//! while nobody reads; a server that does not keep to them is cut off.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use russh::{ChannelMsg, ChannelOpenFailure, ChannelReadHalf, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::error::ErrorKind;
use super::hops::Held;
use super::{SshServer, limits};

/// One end of it.
pub(super) struct Forwarded {
    arriving: mpsc::UnboundedReceiver<Vec<u8>>,
    /// What was taken of `arriving` and not read yet: its bytes, and how many of them were.
    rest: (Vec<u8>, usize),
    /// Bytes that arrived and were not read yet.
    kept: Arc<AtomicUsize>,
    leaving: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Forwarded {
    /// Asks the jump host `by` for one.
    pub(super) async fn open(held: Held, by: &SshServer, to: &SshServer) -> Result<Forwarded, ErrorKind> {
        let (tell, told) = oneshot::channel();
        // In a task of its own: what the server answers after we stopped waiting is closed there again.
        tokio::spawn(carry(held, to.address.clone(), to.port, tell));
        let error = match timeout(limits::CONNECT, told).await {
            Ok(Ok(Ok(stream))) => return Ok(stream),
            Ok(Ok(Err(error))) => error,
            Ok(Err(_)) => Error::Disconnect,
            Err(_) => {
                let after = limits::CONNECT.as_secs();
                let said = format!("the jump host {by} did not connect to {} within {after} s", to.socket());
                return Err(ErrorKind::Unreachable { said });
            }
        };
        Err(match error {
            Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed) => {
                ErrorKind::Unreachable { said: format!("the jump host {by} cannot connect to {}", to.socket()) }
            }
            Error::ChannelOpenFailure(reason) => ErrorKind::NoForward { to: to.socket(), said: format!("{reason:?}") },
            error => ErrorKind::Lost { said: error.to_string() },
        })
    }
}

/// Lives as long as the channel does.
async fn carry(held: Held, address: String, port: u16, tell: oneshot::Sender<Result<Forwarded, Error>>) {
    let channel = match held.connection.forward(&address, port).await {
        Ok(channel) => channel,
        Err(error) => {
            // Whoever asked may have stopped waiting.
            drop(tell.send(Err(error)));
            return;
        }
    };
    let (mut read, write) = channel.split();
    let (arrived, arriving) = mpsc::unbounded_channel();
    let kept = Arc::new(AtomicUsize::new(0));
    let leaving: Pin<Box<dyn AsyncWrite + Send>> = Box::pin(write.make_writer());
    let stream = Forwarded { arriving, rest: (Vec::new(), 0), kept: Arc::clone(&kept), leaving };
    if tell.send(Ok(stream)).is_ok() {
        tokio::select! {
            () = take_all(&mut read, &arrived, &kept) => {}
            () = arrived.closed() => {}
        }
    }
    drop(arrived);
    // The connection may be gone, and the channel with it.
    drop(write.close().await);
    drop(held);
}

async fn take_all(read: &mut ChannelReadHalf, arrived: &mpsc::UnboundedSender<Vec<u8>>, kept: &AtomicUsize) {
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                let all = kept.fetch_add(data.len(), Ordering::Relaxed) + data.len();
                if all > limits::HOP_KEPT_BYTES || arrived.send(data.to_vec()).is_err() {
                    return;
                }
            }
            ChannelMsg::Eof | ChannelMsg::Close => return,
            _ => {}
        }
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.rest.1 == self.rest.0.len() {
            match ready!(self.arriving.poll_recv(cx)) {
                Some(bytes) => self.rest = (bytes, 0),
                None => return Poll::Ready(Ok(())),
            }
        }
        let (bytes, at) = &self.rest;
        let end = bytes.len().min(at + buf.remaining());
        buf.put_slice(&bytes[*at..end]);
        self.kept.fetch_sub(end - at, Ordering::Relaxed);
        self.rest.1 = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.leaving.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.leaving.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.leaving.as_mut().poll_shutdown(cx)
    }
}
