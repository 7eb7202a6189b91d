//! A program of this machine that speaks with a server on its standard input and output (`ProxyCommand` of ssh_config(5)).
//!
//! It runs in a process group of its own, with the environment that we have, and is ended with all of its group when its stream is
//! let go: TERM, then KILL. Its parent reaps it only then, so the group's number is nobody else's meanwhile.

use std::io;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Join, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

use super::error::shown;
use super::limits;

/// What goes to the server and comes from it.
pub(super) struct Piped {
    io: Join<ChildStdout, ChildStdin>,
    /// Dropped with the stream: then the program is ended.
    _held: oneshot::Sender<()>,
}

/// Who ends the program, and knows what came of it.
#[derive(Clone)]
pub(super) struct Program {
    text: String,
    stop: watch::Sender<bool>,
    ended: watch::Receiver<Option<String>>,
}

/// Starts one.
pub(super) fn start(text: &str) -> io::Result<(Piped, Program)> {
    let mut child = Command::new("sh")
        .args(["-c", text])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let lost = || io::Error::other("it has no pipes");
    let (input, output) = (child.stdin.take().ok_or_else(lost)?, child.stdout.take().ok_or_else(lost)?);
    let (held, let_go) = oneshot::channel();
    let (stop, stopping) = watch::channel(false);
    let (tell, ended) = watch::channel(None);
    tokio::spawn(attend(child, let_go, stopping, tell));
    let piped = Piped { io: tokio::io::join(output, input), _held: held };
    Ok((piped, Program { text: text.to_owned(), stop, ended }))
}

impl Program {
    /// Ends it, and says what is known about it: how it ended, and the last line that it wrote to standard error.
    pub(super) async fn said(&self) -> String {
        self.stop.send_replace(true);
        let mut ended = self.ended.clone();
        let wait = timeout(limits::PROGRAM_END * 2, ended.wait_for(Option::is_some));
        let said = match wait.await {
            Ok(Ok(said)) => said.clone().unwrap_or_default(),
            Ok(Err(_)) | Err(_) => "does not end".into(),
        };
        format!("the program `{}` {said}", shown(self.text.as_bytes()))
    }
}

/// Lives as long as the program does.
async fn attend(
    mut child: Child,
    let_go: oneshot::Receiver<()>,
    mut stopping: watch::Receiver<bool>,
    tell: watch::Sender<Option<String>>,
) {
    let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).map(Group);
    let reading = tokio::spawn(last_line(child.stderr.take()));
    tokio::select! {
        _ = let_go => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    let ended_itself = match &group {
        Some(group) => group.end().await,
        None => false,
    };
    drop(group);
    let status = child.wait().await.ok();
    // Whoever left the group may hold the pipe still.
    let line = timeout(limits::PROGRAM_END, reading).await.ok().and_then(Result::ok).unwrap_or_default();
    tell.send_replace(Some(account(ended_itself, status, &line)));
}

/// In words that follow its name.
fn account(ended_itself: bool, status: Option<ExitStatus>, line: &str) -> String {
    let end = match status {
        Some(status) if ended_itself => format!("ended ({status})"),
        Some(_) | None => "did not end by itself".into(),
    };
    if line.is_empty() { end } else { format!("{end} and said: {line}") }
}

/// A process group whose leader was not reaped yet.
struct Group(Pid);

impl Group {
    /// Asks it to end and waits a while. Says whether its leader had ended before.
    async fn end(&self) -> bool {
        // What broke the stream is often its end, which a moment later can be seen.
        let before = self.ended_within(Duration::from_millis(200)).await;
        self.signal(Signal::TERM);
        self.ended_within(limits::PROGRAM_END).await;
        before
    }

    fn signal(&self, signal: Signal) {
        if let Err(error) = kill_process_group(self.0, signal) {
            // It is gone already.
            tracing::debug!(group = %self.0, %error, "not signalled");
        }
    }

    async fn ended_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(self.0), options), Ok(None)) {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Also where our own runtime ends first.
        self.signal(Signal::KILL);
    }
}

/// Reads to the end, so that the program never waits for us, and keeps the last line.
async fn last_line(from: Option<ChildStderr>) -> String {
    let Some(mut from) = from else { return String::new() };
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 4096]);
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        let over = kept.len().saturating_sub(4096);
        kept.drain(..over);
    }
    let line = kept.split(|&byte| byte == b'\n').rfind(|line| !line.trim_ascii().is_empty());
    shown(line.unwrap_or_default())
}

impl AsyncRead for Piped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Piped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
