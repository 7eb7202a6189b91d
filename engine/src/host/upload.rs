//! Bringing a file to a host.
//!
//! A script on the host does what decides: it looks whether the file is there already, makes room and a temporary name
//! beside the target, and after the bytes have come checks them, syncs, and renames. The bytes come by SFTP, with many
//! writes on their way at once; or, where the file is small, where the owner is not the login user, or where the server
//! has no SFTP, through the script's own channel. Staging a copy for sudo to move would write it twice, and only root
//! could read it.
//!
//! Invariant: the target is at every moment the old file or the new one, whole; what was cut off never takes its place.

use std::io::{self, SeekFrom};
use std::time::Duration;

use russh::ChannelMsg;
use russh_sftp::client::{Config, SftpSession};
use russh_sftp::protocol::OpenFlags;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::begin::{Answer, Input, Running};
use super::copy::{Counted, GoOn, Moved};
use super::error::{Error, ErrorKind};
use super::exec::{Event, Outgoing};
use super::job_script::{self, Script, file_name, quote};
use super::job_wire::{End, failure, find, split_end};
use super::ssh_connection::Want;
use super::taken::Taken;
use super::{Content, Host, JobId, Killed, Progress, Reach, Rules, Stream, Upload, Was, Written, limits};

/// How the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    Sftp,
    Channel,
    /// Not at all: it is only looked.
    Look,
}

impl Host {
    /// Brings a file to its place. A file that is there as it should be is left alone; doing it again after an
    /// interruption is safe, and removes what the interrupted one left, or goes on with it ([`Rules::resume`]).
    ///
    /// # Errors
    /// See [`ErrorKind`]; after any of them the target is the old file or the new one.
    pub async fn upload(&self, upload: &Upload, progress: &dyn Progress) -> Result<Written, Error> {
        if !upload.rules.resume {
            return self.within(upload, self.bring(upload, progress)).await;
        }
        let moved = Moved::default();
        let work = async {
            let mut go_on = GoOn::new();
            loop {
                match self.bring(upload, &Counted { moved: &moved, progress }).await {
                    Ok(written) => return Ok(written),
                    Err(kind) => go_on.after(kind, &moved).await?,
                }
            }
        };
        self.within(upload, work).await
    }

    /// Looks whether a file is there as it should be, and whether it could be put there, as far as that can be seen without
    /// writing anything.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn look(&self, upload: &Upload) -> Result<Written, Error> {
        self.within(upload, self.look_at(upload)).await
    }

    async fn within(
        &self,
        upload: &Upload,
        work: impl Future<Output = Result<Written, ErrorKind>>,
    ) -> Result<Written, Error> {
        let deadline = Instant::now() + upload.timeout;
        let what = format!("writing {} ({})", upload.to, file_name(&upload.id));
        let done = match timeout_at(deadline, work).await {
            Ok(done) => done,
            // The channel closes with the future; the script sees its input end and cleans up.
            Err(_) => Err(ErrorKind::TimedOut {
                after: upload.timeout,
                killed: Killed { survivors: Vec::new(), saw_all: false },
            }),
        };
        done.map_err(|kind| self.error(kind, &what).of_nothing_that_runs_on())
    }

    async fn look_at(&self, upload: &Upload) -> Result<Written, ErrorKind> {
        check(upload)?;
        let size = upload.from.size().await?;
        let as_user = upload.as_user.as_deref();
        let orders = orders(upload, size, Via::Look, self.place(as_user)?);
        let running = self.begin(Script::Upload, as_user, Input::All(orders), Want::InTurn).await?;
        match running.answer(upload.timeout).await?.end {
            End::Same => Ok(Written::AlreadySo),
            End::Done => Ok(Written::Changed),
            end => Err(meaning(end, upload, size)),
        }
    }

    pub(super) async fn bring(&self, upload: &Upload, progress: &dyn Progress) -> Result<Written, ErrorKind> {
        check(upload)?;
        let size = upload.from.size().await?;
        if size > limits::UPLOAD_BYTES {
            return Err(ErrorKind::Invalid {
                why: format!("{size} bytes; at most {} are allowed", limits::UPLOAD_BYTES),
            });
        }
        let mut via = match &self.0.reach {
            Reach::Ssh(_)
                if self.other_user(upload.as_user.as_deref()).is_none() && size > limits::STREAM_UPLOAD_BYTES =>
            {
                Via::Sftp
            }
            _ => Via::Channel,
        };
        loop {
            match self.attempt_upload(upload, size, via, progress).await {
                Err(Trouble::NoSftp) => via = Via::Channel,
                Err(Trouble::Kind(kind)) => return Err(kind),
                Ok(written) => return Ok(written),
            }
        }
    }

    async fn attempt_upload(
        &self,
        upload: &Upload,
        size: u64,
        via: Via,
        progress: &dyn Progress,
    ) -> Result<Written, Trouble> {
        let as_user = upload.as_user.as_deref();
        let orders = orders(upload, size, via, self.place(as_user)?);
        // Whoever holds a channel of another host must not wait for one here: two such could wait for each other.
        let want = if matches!(upload.from, Content::OnHost(_)) { Want::AtOnce } else { Want::InTurn };
        let mut running = self.begin(Script::Upload, as_user, Input::Open(orders), want).await?;
        let (temporary, have) = match first_word(&mut running, &upload.from).await? {
            FirstWord::Go { temporary, have } => (temporary, have),
            FirstWord::End(End::Same) => {
                progress.sent(size, size);
                return Ok(Written::AlreadySo);
            }
            FirstWord::End(end) => return Err(Trouble::Kind(meaning(end, upload, size))),
        };
        let sent = match via {
            // Requests that are on their way when the connection breaks would be waited for; the script's end is heard.
            Via::Sftp => tokio::select! {
                sent = self.by_sftp(upload, &temporary, have, size, progress) => sent,
                _ = running.heard() => Err(Trouble::Kind(ErrorKind::Lost { said: "during the transfer".into() })),
            },
            Via::Channel | Via::Look => by_channel(&mut running, upload, have, size, progress).await,
        };
        // Also after a failure the script is heard, for it knows best what is wrong; and it removes what came.
        if let Some(mut outgoing) = running.outgoing.take() {
            if via == Via::Sftp && sent.is_ok() {
                // A script that has ended, or is out of reach, needs no word; its answer tells.
                tokio::select! {
                    biased;
                    _ = outgoing.send(b"sent\n".to_vec()) => {}
                    _ = running.heard() => {}
                }
            }
            outgoing.finish().await;
        }
        let answer = running.answer(upload.timeout).await;
        // The script must have ended before another one uses the same temporary name.
        if matches!(sent, Err(Trouble::NoSftp)) {
            return Err(Trouble::NoSftp);
        }
        match (answer, sent) {
            (Ok(Answer { end: End::Done, .. }), _) => Ok(Written::Changed),
            (Ok(answer), sent) => Err(Trouble::Kind(match (meaning(answer.end, upload, size), sent) {
                (kind @ ErrorKind::DiskFull { .. }, _) | (kind, Ok(()) | Err(Trouble::NoSftp)) => kind,
                // The script only says why it stopped listening; or it only knows that something is missing.
                (kind, Err(Trouble::Kind(ErrorKind::Lost { .. }))) => kind,
                (_, Err(Trouble::Kind(kind))) => kind,
            })),
            // Somebody killed it, as a restart does: whatever else is known, the host did not say no.
            (Err(ErrorKind::Protocol { said }), _) => Err(Trouble::Kind(ErrorKind::Lost { said })),
            (Err(_), Err(trouble)) => Err(trouble),
            (Err(kind), Ok(())) => Err(Trouble::Kind(kind)),
        }
    }

    async fn by_sftp(
        &self,
        upload: &Upload,
        temporary: &str,
        have: u64,
        size: u64,
        progress: &dyn Progress,
    ) -> Result<(), Trouble> {
        let Reach::Ssh(spec) = &self.0.reach else { return Err(Trouble::NoSftp) };
        let connection = self.connection(spec).await?;
        let (mut channel, _permit) = match connection.channel(Want::AtOnce).await {
            Ok(opened) => opened,
            Err(lost @ ErrorKind::Lost { .. }) => return Err(Trouble::Kind(lost)),
            // No session is free. Waiting for one while our script holds another could wait for ever.
            Err(_) => return Err(Trouble::NoSftp),
        };
        let lost = |error: &dyn std::fmt::Display| ErrorKind::Lost { said: error.to_string() };
        channel.request_subsystem(true, "sftp").await.map_err(|error| lost(&error))?;
        // A server that has none says so here, and then nothing more.
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => break,
                Some(ChannelMsg::Failure) => return Err(Trouble::NoSftp),
                Some(_) => {}
                None if connection.is_closed() => return Err(Trouble::Kind(lost(&"while opening SFTP"))),
                None => return Err(Trouble::NoSftp),
            }
        }
        let config = Config {
            max_concurrent_writes: limits::SFTP_WRITES,
            max_write_packet_len: limits::SFTP_WRITE_BYTES,
            request_timeout_secs: limits::SFTP_ANSWER_S,
            ..Config::default()
        };
        let Ok(session) = SftpSession::new_with_config(channel.into_stream(), config).await else {
            return Err(if connection.is_closed() {
                Trouble::Kind(lost(&"while opening SFTP"))
            } else {
                Trouble::NoSftp
            });
        };
        let mut file = session
            .open_with_flags(temporary, OpenFlags::WRITE)
            .await
            .map_err(|error| ErrorKind::Io { said: format!("{temporary}: {error}") })?;
        if let Err(error) = file.seek(SeekFrom::Start(have)).await {
            return Err(Trouble::Kind(self.sftp_failure(&session, upload, size, have, &error).await));
        }
        let mut from = upload.from.open(have, limits::PIECE_BYTES).await?;
        let mut sent = have;
        while let Some(piece) = from.next().await? {
            if let Err(error) = file.write_all(&piece).await {
                return Err(Trouble::Kind(self.sftp_failure(&session, upload, size, sent, &error).await));
            }
            sent += piece.len() as u64;
            progress.sent(sent, size);
        }
        let closed = match file.flush().await {
            Ok(()) => file.close().await,
            failed => failed,
        };
        match closed {
            Ok(()) => Ok(()),
            Err(error) => Err(Trouble::Kind(self.sftp_failure(&session, upload, size, sent, &error).await)),
        }
    }

    /// SFTP says `Failure` for a full disk as for anything else; how much room there is tells which.
    async fn sftp_failure(
        &self,
        session: &SftpSession,
        upload: &Upload,
        size: u64,
        sent: u64,
        error: &io::Error,
    ) -> ErrorKind {
        let folder = folder_of(&upload.to);
        match session.fs_info(folder).await {
            Ok(Some(info)) => {
                let free = info.blocks_avail.saturating_mul(info.fragment_size);
                if free < size.saturating_sub(sent).max(limits::SFTP_WRITE_BYTES.into()) {
                    return ErrorKind::DiskFull { path: folder.to_owned(), free: Some(free), needed: Some(size) };
                }
                ErrorKind::Io { said: error.to_string() }
            }
            Ok(None) => ErrorKind::Io { said: error.to_string() },
            Err(_) => ErrorKind::Lost { said: error.to_string() },
        }
    }
}

/// Why a try did not succeed.
enum Trouble {
    /// The server has no SFTP, or not now.
    NoSftp,
    /// Anything else.
    Kind(ErrorKind),
}

impl From<ErrorKind> for Trouble {
    fn from(kind: ErrorKind) -> Self {
        Self::Kind(kind)
    }
}

enum FirstWord {
    /// The temporary file is there, and so much of it was brought before.
    Go { temporary: String, have: u64 },
    /// There is nothing to do, or nothing can be done.
    End(End),
}

/// Waits for the script's verdict on the file as it lies there; hashing a large one takes a while.
///
/// Before it says so, it may ask whether what an earlier attempt brought is the beginning of this file.
async fn first_word(running: &mut Running, content: &Content) -> Result<FirstWord, ErrorKind> {
    let mut said = Vec::new();
    while let Some(event) = running.next().await {
        if let Event::Data(Stream::Stdout, bytes) = event {
            said.extend_from_slice(&bytes);
        }
        if let Some(at) = said.iter().position(|&b| b == b'\n').filter(|_| said.starts_with(b"have ")) {
            let line: Vec<u8> = said.drain(..=at).collect();
            let line = String::from_utf8_lossy(&line[5..at]).into_owned();
            let known = line.split_once(' ').and_then(|(bytes, sum)| Some((bytes.parse().ok()?, sum)));
            let (bytes, sum) = known.ok_or_else(|| ErrorKind::Protocol { said: line.clone() })?;
            let answer = if content.begins_with(bytes, sum).await? { "yes\n" } else { "no\n" };
            let lost = || ErrorKind::Lost { said: "before the upload began".into() };
            let outgoing = running.outgoing.as_mut().ok_or_else(lost)?;
            outgoing.send(answer.as_bytes().to_vec()).await.map_err(|said| ErrorKind::Lost { said })?;
        }
        if let Some(at) = said.strip_prefix(b"go ").and_then(|rest| rest.iter().position(|&b| b == b'\n')) {
            let line = String::from_utf8_lossy(&said[3..3 + at]).into_owned();
            let go =
                line.split_once(' ').and_then(|(have, temporary)| Some((have.parse().ok()?, temporary.to_owned())));
            let (have, temporary) = go.ok_or(ErrorKind::Protocol { said: line })?;
            return Ok(FirstWord::Go { temporary, have });
        }
        if find(&said, b"\nanneal-end ").is_some()
            && let Some((_, end)) = split_end(&said)
        {
            return Ok(FirstWord::End(end));
        }
    }
    Err(ErrorKind::Lost { said: "before the upload began".into() })
}

async fn by_channel(
    running: &mut Running,
    upload: &Upload,
    have: u64,
    size: u64,
    progress: &dyn Progress,
) -> Result<(), Trouble> {
    let mut outgoing = running.outgoing.take().ok_or(Trouble::NoSftp)?;
    let sent = pour(&mut outgoing, running, upload, have, size, progress).await;
    // Also what cannot be read to its end is at an end: the script says what is missing.
    outgoing.finish().await;
    sent
}

async fn pour(
    outgoing: &mut Outgoing,
    running: &mut Running,
    upload: &Upload,
    have: u64,
    size: u64,
    progress: &dyn Progress,
) -> Result<(), Trouble> {
    let mut from = upload.from.open(have, limits::CHANNEL_PIECE_BYTES).await?;
    let mut taken = running.taken();
    let mut sent = have;
    while let Some(piece) = from.next().await? {
        let bytes = piece.len();
        let sending = async {
            let before = taken.as_ref().map(Taken::bytes);
            outgoing.send(piece).await?;
            if let (Some(taken), Some(before)) = (&mut taken, before) {
                taken.reach(before + bytes as u64).await;
            }
            Ok(())
        };
        // A script that cannot write says so and ends; who only sends would then wait for ever. One that has everything answers too:
        // then the last piece has left, which is looked at first.
        let heard = tokio::select! {
            biased;
            sent = sending => sent.map_err(|said: String| ErrorKind::Lost { said }),
            heard = running.heard() => Err(match heard {
                true => ErrorKind::Io { said: "the host stopped taking the file".into() },
                false => ErrorKind::Lost { said: "during the transfer".into() },
            }),
        };
        heard?;
        sent += bytes as u64;
        progress.sent(sent, size);
    }
    Ok(())
}

fn check(upload: &Upload) -> Result<(), ErrorKind> {
    let invalid = |why: &str| Err(ErrorKind::Invalid { why: why.to_owned() });
    job_script::check_id(&upload.id).map_err(|why| ErrorKind::Invalid { why })?;
    if !upload.to.starts_with('/') || upload.to.ends_with('/') || upload.to.contains(['\0', '\n']) {
        return invalid("the target must be the absolute path of a file");
    }
    if upload.mode.is_some_and(|mode| mode > 0o7777) {
        return invalid("the mode has bits that are none");
    }
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if upload.sha256.len() != 64 || !upload.sha256.bytes().all(hex) {
        return invalid("sha256 must be 64 lower-case hexadecimal digits");
    }
    if let Some(name) = upload.rules.owner.iter().chain(&upload.rules.group).find(|name| !is_owner(name)) {
        return Err(ErrorKind::Invalid {
            why: format!("{name:?} is neither the name nor the number of a user or group"),
        });
    }
    if upload.timeout < Duration::from_millis(1) { invalid("an upload needs a timeout") } else { Ok(()) }
}

fn orders(upload: &Upload, size: u64, via: Via, place: job_script::Place<'_>) -> job_script::Orders {
    let via = match via {
        Via::Sftp => "sftp",
        Via::Channel => "stdin",
        Via::Look => "look",
    };
    let (part, key) = part(&upload.id, &upload.to);
    let part = quote(&part);
    let (to, mode, sha256, attempt) =
        (quote(&upload.to), upload.mode.unwrap_or(0o644), &upload.sha256, upload.id.attempt);
    let mut rules = upload.rules.clone();
    // What is gone on with is counted in whole blocks.
    rules.resume &= size > limits::BLOCK_BYTES;
    let rules = self::rules(&rules);
    let more = format!(
        "a_to={to} a_mode={mode:o} a_sha={sha256} a_size={size} a_part={part} a_attempt={attempt} a_via={via} a_key={key} {rules}"
    );
    job_script::plain(&upload.id, place, &more)
}

fn meaning(end: End, upload: &Upload, size: u64) -> ErrorKind {
    let folder = folder_of(&upload.to).to_owned();
    match end {
        End::Full { free_kb } => {
            ErrorKind::DiskFull { path: folder, free: free_kb.map(|kb| kb.saturating_mul(1024)), needed: Some(size) }
        }
        End::Differs { got } => ErrorKind::Differs { expected: upload.sha256.clone(), got },
        End::Failed { path, said } => match failure(&path, &said) {
            ErrorKind::DiskFull { .. } => ErrorKind::DiskFull { path: folder, free: None, needed: Some(size) },
            kind => kind,
        },
        end => ErrorKind::Protocol { said: format!("an upload ended with {end:?}") },
    }
}

fn rules(rules: &Rules) -> String {
    let yes = |yes: bool| if yes { "yes" } else { "" };
    let name = |name: &Option<String>| quote(name.as_deref().unwrap_or_default());
    let was = match &rules.was {
        None => "",
        Some(Was::Absent) => "absent",
        Some(Was::Sha256(sha256)) => sha256,
    };
    let (strict, same, resume) = (yes(rules.strict), yes(rules.same), yes(rules.resume));
    let (owner, group, keep) = (name(&rules.owner), name(&rules.group), name(&rules.keep));
    format!(
        "a_strict={strict} a_same={same} a_resume={resume} a_owner={owner} a_group={group} a_keep={keep} a_was={}",
        quote(was)
    )
}

/// Whether a name of a user or a group, or a number, can stand before or behind the colon of `chown`.
fn is_owner(name: &str) -> bool {
    job_script::is_user_name(name) || (!name.is_empty() && name.len() < 11 && name.bytes().all(|b| b.is_ascii_digit()))
}

/// What the temporary files of a target are called, up to attempt and process; and the name under which the target is kept.
/// They are told apart by operation, node and target; the attempt comes last, so that a later one finds what is there.
fn part(id: &JobId, to: &str) -> (String, String) {
    let target = ring::digest::digest(&ring::digest::SHA256, to.as_bytes());
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let (target, key) = (hex(&target.as_ref()[..4]), hex(&target.as_ref()[..16]));
    (format!(".anneal-{}.{}.{target}", id.operation, id.node), key)
}

/// Shell text that removes what a transfer which was given up left beside its target.
pub(super) fn removes_parts(id: &JobId, to: &str) -> String {
    format!("rm -f {}/{}.*; ", quote(folder_of(to).trim_end_matches('/')), quote(&part(id, to).0))
}

fn folder_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        None | Some(("", _)) => "/",
        Some((folder, _)) => folder,
    }
}
