//! One command on a host: bytes in, bytes and an exit code out, the same over SSH and here.
//!
//! [`Incoming::next`] gives what the command writes until the end; the end is an exit code, or nothing where the
//! connection broke. The two halves are apart, for input and output go at the same time: a command that does not read
//! while nobody reads it would wait for ever.
//!
//! Invariant: dropping both halves lets go of the command and never ends it; what must survive its channel does.

use std::sync::Arc;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;

use super::Stream;
use super::error::ErrorKind;
use super::sessions::Turn;

/// What a command does.
#[derive(Debug)]
pub(super) enum Event {
    /// It wrote something.
    Data(Stream, Vec<u8>),
    /// It ended. 128 + n for a signal n.
    Exit(i32),
    /// The server would not run it.
    Refused,
}

/// A running command.
pub(super) struct Exec {
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
}

/// Its output.
pub(super) enum Incoming {
    Ssh { half: ChannelReadHalf, _closer: Closer, _turn: Option<Turn> },
    Local(mpsc::Receiver<Event>),
}

/// Its input.
pub(super) enum Outgoing {
    Ssh(Arc<ChannelWriteHalf<Msg>>),
    Local(Option<ChildStdin>),
}

impl Exec {
    /// Asks for a command line on a channel; the answer comes as an event.
    pub(super) async fn run(&self, line: String) -> Result<(), ErrorKind> {
        match &self.outgoing {
            Outgoing::Ssh(half) => {
                half.exec(true, line).await.map_err(|error| ErrorKind::Lost { said: error.to_string() })
            }
            Outgoing::Local(_) => Ok(()),
        }
    }

    pub(super) fn over_ssh(channel: russh::Channel<Msg>, turn: Option<Turn>) -> Self {
        let (half, write) = channel.split();
        let write = Arc::new(write);
        Self {
            incoming: Incoming::Ssh { half, _closer: Closer(Arc::clone(&write)), _turn: turn },
            outgoing: Outgoing::Ssh(write),
        }
    }
}

impl Incoming {
    /// What comes next; `None` when nothing comes any more. Safe to be cancelled.
    pub(super) async fn next(&mut self) -> Option<Event> {
        let half = match self {
            Self::Local(events) => return events.recv().await,
            Self::Ssh { half, .. } => half,
        };
        loop {
            return Some(match half.wait().await? {
                ChannelMsg::Data { data } => Event::Data(Stream::Stdout, data.to_vec()),
                ChannelMsg::ExtendedData { data, ext: 1 } => Event::Data(Stream::Stderr, data.to_vec()),
                ChannelMsg::ExitStatus { exit_status } => Event::Exit(i32::try_from(exit_status).unwrap_or(i32::MAX)),
                ChannelMsg::ExitSignal { signal_name, .. } => Event::Exit(128 + signal_number(&signal_name)),
                ChannelMsg::Failure => Event::Refused,
                _ => continue,
            });
        }
    }
}

impl Outgoing {
    /// Sends bytes; waits while the other side does not take them.
    pub(super) async fn send(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        match self {
            Self::Ssh(half) => half.data_bytes(bytes).await.map_err(|error| error.to_string()),
            Self::Local(None) => Err("its input is closed".into()),
            Self::Local(Some(pipe)) => pipe.write_all(&bytes).await.map_err(|error| error.to_string()),
        }
    }

    /// Says that nothing more comes.
    pub(super) async fn finish(&mut self) {
        match self {
            // A channel that is gone already needs no end of input.
            Self::Ssh(half) => drop(half.eof().await),
            Self::Local(pipe) => drop(pipe.take()),
        }
    }
}

/// Closes a channel when nobody listens to it any more; russh leaves it open otherwise, and a server allows few.
pub(super) struct Closer(Arc<ChannelWriteHalf<Msg>>);

impl Drop for Closer {
    fn drop(&mut self) {
        let half = Arc::clone(&self.0);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { half.close().await });
        }
    }
}

/// Linux numbers of the signals that SSH can name (RFC 4254, 6.10).
fn signal_number(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(_) => 127,
    }
}
