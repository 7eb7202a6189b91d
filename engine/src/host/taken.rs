//! What a connection has taken of what it was given: the bytes that have left this process.
//!
//! russh takes what it is given as long as the server's window allows, and seals it all into one buffer that it keeps as long as the
//! connection. Who has much to send therefore waits, piece by piece, until the last one is gone; what fills the line is kept by the
//! kernel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// A stream whose written bytes are counted.
pub(super) struct Counting<S> {
    stream: S,
    written: watch::Sender<u64>,
}

/// How much has been written to it.
#[derive(Clone)]
pub(super) struct Taken(watch::Receiver<u64>);

impl<S> Counting<S> {
    pub(super) fn new(stream: S) -> (Self, Taken) {
        let (written, taken) = watch::channel(0);
        (Self { stream, written }, Taken(taken))
    }
}

impl Taken {
    pub(super) fn bytes(&self) -> u64 {
        *self.0.borrow()
    }

    /// Waits until there are so many, or nothing more is taken since the stream is gone.
    pub(super) async fn reach(&mut self, bytes: u64) {
        // An error says that the stream is gone; whoever sends next hears it.
        drop(self.0.wait_for(|taken| *taken >= bytes).await);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.written.send_modify(|all| *all += written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::Counting;

    #[tokio::test]
    async fn who_waits_for_bytes_waits_until_they_are_written() {
        let (near, mut far) = tokio::io::duplex(4);
        let (mut near, mut taken) = Counting::new(near);
        near.write_all(b"1234").await.unwrap();
        taken.reach(4).now_or_never().expect("all are written");
        let writing = tokio::spawn(async move { near.write_all(b"56").await.map(|()| near) });
        assert!(taken.reach(6).now_or_never().is_none(), "nobody has read, so nothing more was taken");
        far.read_exact(&mut [0; 4]).await.unwrap();
        taken.reach(6).await;
        assert_eq!(taken.bytes(), 6);
        drop(writing.await.unwrap().unwrap());
        taken.reach(7).now_or_never().expect("the stream is gone, and nobody waits for it");
    }
}
