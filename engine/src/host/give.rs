//! A file of a host as something to read from: for a download, and for a copy to another host.
//!
//! A script on the host opens the file, says how large it is and what its sum is, and then gives a block for each line that it
//! is sent. So it is we who say how much is on its way: enough to fill a long line, and never more than we have room for,
//! because a channel that is not emptied would stop every other one of its connection. It works for every user that sudo
//! knows, with SFTP or without, and on this machine.
//!
//! Invariant: what is given is the file as it was measured, or an error.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::begin::{Input, Running};
use super::error::ErrorKind;
use super::exec::{Event, Outgoing};
use super::job_script::{self, Script, quote};
use super::job_wire::{End, failure, split_end};
use super::ssh_connection::Want;
use super::{Host, JobId, Stream, limits};

/// A file that is ready to be given.
pub(super) struct Given {
    /// Bytes of it, when it was measured.
    pub(super) size: u64,
    /// Its permission bits.
    pub(super) mode: u32,
    /// SHA-256 of those bytes.
    pub(super) sha256: String,
    running: Running,
    said: Vec<u8>,
}

/// What is given of it, piece by piece. Dropping it ends the script.
pub(super) struct Pieces {
    pieces: mpsc::Receiver<Result<Vec<u8>, ErrorKind>>,
    task: JoinHandle<()>,
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Host {
    /// Opens a file on the host, and measures it; that of a large one takes a while.
    pub(super) async fn give(&self, id: &JobId, from: &str, as_user: Option<&str>) -> Result<Given, ErrorKind> {
        job_script::check_id(id).map_err(|why| ErrorKind::Invalid { why })?;
        if !from.starts_with('/') || from.contains('\0') || from.len() > limits::PATH_BYTES {
            return Err(ErrorKind::Invalid {
                why: "the source must be the absolute path of a file, without NUL".into(),
            });
        }
        let orders = job_script::plain(id, self.place(as_user)?, &format!("a_from={}", quote(from)));
        let running = self.begin(Script::Give, as_user, Input::Open(orders), Want::InTurn).await?;
        let mut given = Given { size: 0, mode: 0, sha256: String::new(), running, said: Vec::new() };
        let line = given.line().await?;
        let measured = || {
            let mut words = line.strip_prefix("file ")?.split(' ');
            let size = words.next()?.parse().ok()?;
            let mode = u32::from_str_radix(words.next()?, 8).ok()?;
            Some((size, mode & 0o777, words.next()?.to_owned()))
        };
        let (size, mode, sha256) = measured().ok_or_else(|| ErrorKind::Protocol { said: line.clone() })?;
        if size > limits::UPLOAD_BYTES {
            let why = format!("{from} has {size} bytes; at most {} are allowed", limits::UPLOAD_BYTES);
            return Err(ErrorKind::Invalid { why });
        }
        (given.size, given.mode, given.sha256) = (size, mode, sha256);
        Ok(given)
    }
}

impl Given {
    /// The sum of its first bytes, to see whether what was brought before is the same.
    pub(super) async fn sum(&mut self, bytes: u64) -> Result<String, ErrorKind> {
        self.ask(format!("sum {bytes}\n")).await?;
        let line = self.line().await?;
        line.strip_prefix("sum ").map(str::to_owned).ok_or(ErrorKind::Protocol { said: line.clone() })
    }

    /// Gives everything from a byte on, which must be the first of a block.
    pub(super) fn pour(self, from: u64) -> Pieces {
        let (to, pieces) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            if let Err(kind) = pour(self, from, &to).await {
                // Whoever has stopped listening needs no reason.
                let _ = to.send(Err(kind)).await;
            }
        });
        Pieces { pieces, task }
    }

    async fn ask(&mut self, line: String) -> Result<(), ErrorKind> {
        let gone = || ErrorKind::Lost { said: "the host takes no questions".into() };
        let outgoing = self.running.outgoing.as_mut().ok_or_else(gone)?;
        outgoing.send(line.into_bytes()).await.map_err(|said| ErrorKind::Lost { said })
    }

    /// The next line of the script; its end where that comes instead.
    async fn line(&mut self) -> Result<String, ErrorKind> {
        loop {
            if let Some((_, end)) = split_end(&self.said) {
                return Err(meaning(end));
            }
            // A line that is empty is the beginning of the end.
            if let Some(at) = self.said.iter().position(|&byte| byte == b'\n').filter(|&at| at > 0) {
                let line: Vec<u8> = self.said.drain(..=at).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            match self.running.next().await {
                None => return Err(ErrorKind::Lost { said: "before the file was given".into() }),
                Some(Event::Data(Stream::Stdout, bytes)) => self.said.extend_from_slice(&bytes),
                Some(Event::Data(Stream::Stderr, _) | Event::Exit(_) | Event::Refused) => {}
            }
            if self.said.len() > limits::PREAMBLE_BYTES {
                return Err(ErrorKind::Protocol { said: "an answer without end".into() });
            }
        }
    }
}

impl Pieces {
    /// The next piece; `None` after the last one. Safe to be cancelled.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, ErrorKind> {
        self.pieces.recv().await.transpose()
    }
}

/// Asks for block after block, and hands on what comes, up to the end of what was measured.
async fn pour(mut given: Given, from: u64, to: &mpsc::Sender<Result<Vec<u8>, ErrorKind>>) -> Result<(), ErrorKind> {
    let lost = |said: &str| ErrorKind::Lost { said: said.to_owned() };
    let mut outgoing = given.running.outgoing.take().ok_or_else(|| lost("the host takes no questions"))?;
    let mut left = given.size.saturating_sub(from);
    let mut unasked = left.div_ceil(limits::BLOCK_BYTES);
    send(&mut outgoing, format!("from {}\n", from / limits::BLOCK_BYTES)).await?;
    let (mut here, mut taken) = (VecDeque::new(), 0);
    let first = unasked.min(limits::BLOCKS);
    send(&mut outgoing, "next\n".repeat(first as usize)).await?;
    unasked -= first;
    let mut exited = false;
    while left > 0 || !here.is_empty() {
        tokio::select! {
            biased;
            place = to.reserve(), if !here.is_empty() => {
                let Ok(place) = place else { return Ok(()) };
                let piece: Vec<u8> = here.pop_front().unwrap_or_default();
                taken += piece.len() as u64;
                place.send(Ok(piece));
                // There is room for another block.
                while taken >= limits::BLOCK_BYTES && unasked > 0 {
                    taken -= limits::BLOCK_BYTES;
                    unasked -= 1;
                    send(&mut outgoing, "next\n".to_owned()).await?;
                }
            }
            event = timeout(limits::ASK, given.running.next()), if left > 0 => match event {
                // Nothing is awaited of the host while it is we who have not taken what there is.
                Err(_) if !here.is_empty() => {}
                Err(_) => return Err(lost("the host gives no more of the file")),
                Ok(None) if exited => return Err(ErrorKind::Io { said: "the file became shorter while it was read".into() }),
                Ok(None) => return Err(lost("during the transfer")),
                Ok(Some(Event::Exit(_))) => exited = true,
                Ok(Some(Event::Data(Stream::Stderr, _) | Event::Refused)) => {}
                Ok(Some(Event::Data(Stream::Stdout, mut bytes))) => {
                    bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    left -= bytes.len() as u64;
                    here.push_back(bytes);
                }
            },
        }
    }
    outgoing.finish().await;
    Ok(())
}

async fn send(outgoing: &mut Outgoing, text: String) -> Result<(), ErrorKind> {
    outgoing.send(text.into_bytes()).await.map_err(|said| ErrorKind::Lost { said })
}

fn meaning(end: End) -> ErrorKind {
    match end {
        End::Failed { path, said } => failure(&path, &said),
        end => ErrorKind::Protocol { said: format!("a file was given with {end:?}") },
    }
}
