//! From asking for a shell to the script's word that it has begun, through sudo where another user is wanted.
//!
//! sudo is first run with `-n`, and the orders are sent at once: where no password is needed that costs no round trip.
//! Where one is, sudo fails without reading, and from then on it is run with `-S`: the password is sent when sudo asks by
//! our own prompt, once, and the orders only after the script has begun. So a password reaches nothing but sudo, and a
//! wrong one, a refusal and a question that nobody answers are told apart without reading sudo's language.
//!
//! Invariant: an error other than [`ErrorKind::Lost`] means that the script did not begin and never will.

use std::collections::VecDeque;
use std::sync::Arc;

use store::Secret;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::error::{ErrorKind, shown};
use super::exec::{Event, Incoming, Outgoing};
use super::handle::{Become, PROMPT};
use super::job_script::{Orders, Script};
use super::job_wire::{End, Preamble, find, split_end};
use super::ssh_connection::{Connection, Want};
use super::taken::Taken;
use super::{Host, Reach, Stream, limits};

/// What a script is given to read.
pub(super) enum Input {
    /// These, and then the end.
    All(Orders),
    /// These; the caller sends more.
    Open(Orders),
}

/// A script that has begun.
pub(super) struct Running {
    /// Its process on the host.
    pub(super) pid: u32,
    /// Its input, where it was left open.
    pub(super) outgoing: Option<Outgoing>,
    incoming: Incoming,
    pending: VecDeque<Event>,
    errors: Preamble,
    _sending: Option<Sending>,
    connection: Option<Arc<Connection>>,
}

/// A task that sends, ended with what it sends for. Gives the script's input back where more follows.
struct Sending(JoinHandle<Option<Outgoing>>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the begin line tells, and what came before or with it.
struct Begun {
    pid: u32,
    /// Output behind the begin line.
    first: Vec<u8>,
    /// How the command ended, where the server said that first.
    ended: Option<i32>,
}

/// Everything that a script said.
pub(super) struct Answer {
    pub(super) out: Vec<u8>,
    pub(super) end: End,
}

/// Why a script did not begin.
enum Silence {
    /// It ended, or sudo did.
    Ended { code: i32 },
    /// The server would not run it.
    Refused,
    /// The connection broke.
    Broke,
    /// sudo asked again: the password is wrong.
    AskedAgain,
    /// sudo has its password and asks something else, as PAM does for one that has expired.
    AsksMore,
    /// Nothing in time.
    Late,
    /// A login shell that writes without end.
    Noise,
}

impl Host {
    /// Runs a script as a user, up to the point where it has begun.
    pub(super) async fn begin(
        &self,
        script: Script,
        as_user: Option<&str>,
        input: Input,
        want: Want,
    ) -> Result<Running, ErrorKind> {
        let user = self.other_user(as_user);
        let password = match &self.0.reach {
            Reach::Ssh(spec) => spec.sudo_password.as_ref(),
            Reach::Local => None,
        };
        let Some(user) = user else {
            return self.attempt(script, Become::Nobody, None, input, want).await.map_err(|(kind, _)| kind);
        };
        let Some(password) = password else {
            return self.attempt(script, Become::Quietly(user), None, input, want).await.map_err(|(kind, _)| kind);
        };
        let mut input = input;
        if !self.asks(user) {
            match self.attempt(script, Become::Quietly(user), None, input, want).await {
                Ok(running) => return Ok(running),
                Err((ErrorKind::Sudo { .. }, Some(back))) => {
                    self.remember_asking(user);
                    input = back;
                }
                Err((kind, _)) => return Err(kind),
            }
        }
        self.attempt(script, Become::Asking(user), Some(password), input, want).await.map_err(|(kind, _)| kind)
    }

    /// One try. Gives the input back where it was not taken.
    async fn attempt(
        &self,
        script: Script,
        as_whom: Become<'_>,
        password: Option<&Secret>,
        input: Input,
        want: Want,
    ) -> Result<Running, (ErrorKind, Option<Input>)> {
        let (exec, connection) = self.start(script, as_whom, want).await.map_err(|kind| (kind, None))?;
        let mut beginning = Beginning {
            incoming: exec.incoming,
            outgoing: Some(exec.outgoing),
            output: Preamble::default(),
            errors: Preamble::default(),
            heard: 0,
            password,
            deadline: Instant::now() + limits::BEGIN,
        };
        // The orders follow the begin line where they would reach sudo instead; and the first time on a connection, when nobody
        // knows yet whether its login shell ever comes to us: so that it can be said for certain that nothing began.
        let first = connection.as_ref().is_some_and(|connection| !connection.has_begun());
        let hold = first || matches!(as_whom, Become::Asking(_));
        let (mut sending, mut input) = (None, Some(input));
        if !hold {
            sending = beginning.send(input.as_ref());
        }
        let Begun { pid, first, ended } = match beginning.wait().await {
            Ok(begun) => begun,
            Err(silence) => {
                let kind = beginning.explain(&silence, as_whom, !hold);
                return Err((kind, input));
            }
        };
        if let Some(connection) = &connection {
            connection.begins();
        }
        if hold {
            sending = beginning.send(input.as_ref());
        }
        let mut outgoing = None;
        if let (Some(Input::Open(_)), Some(Sending(task))) = (input.take(), &mut sending) {
            let taken = timeout_at(beginning.deadline, task).await.ok().and_then(Result::ok);
            let Some(taken) = taken else {
                return Err((ErrorKind::Lost { said: "it does not take the script's orders".into() }, None));
            };
            outgoing = taken;
        }
        let mut pending = VecDeque::new();
        if !first.is_empty() {
            pending.push_back(Event::Data(Stream::Stdout, first));
        }
        // A server may say how a short command ended before it brings what the command wrote.
        pending.extend(ended.map(Event::Exit));
        // What came on standard error after its own begin line was left in the preamble by `wait`.
        Ok(Running {
            pid,
            outgoing,
            incoming: beginning.incoming,
            pending,
            errors: beginning.errors,
            _sending: sending,
            connection,
        })
    }
}

/// Between asking and beginning.
struct Beginning<'a> {
    incoming: Incoming,
    outgoing: Option<Outgoing>,
    output: Preamble,
    errors: Preamble,
    /// Bytes on both streams.
    heard: usize,
    password: Option<&'a Secret>,
    deadline: Instant,
}

impl Beginning<'_> {
    /// Sends the orders in the background: a server takes them only when it has started the command, and neither one that
    /// does not read nor one that is gone may keep us from listening.
    fn send(&mut self, input: Option<&Input>) -> Option<Sending> {
        let (orders, more_follows) = match input? {
            Input::All(orders) => (orders.clone(), false),
            Input::Open(orders) => (orders.clone(), true),
        };
        let mut outgoing = self.outgoing.take()?;
        Some(Sending(tokio::spawn(async move {
            // A script that has ended takes no more; what it said tells why.
            let sent = outgoing.send(orders.to_vec()).await;
            if more_follows {
                return Some(outgoing);
            }
            if sent.is_ok() {
                outgoing.finish().await;
            }
            None
        })))
    }

    /// Waits for the begin line, answering sudo once.
    async fn wait(&mut self) -> Result<Begun, Silence> {
        let mut answered = false;
        let mut ended = None;
        loop {
            let patience = match (self.password, answered) {
                (None, _) => limits::BEGIN,
                (Some(_), false) => limits::FOREIGN_PROMPT,
                (Some(_), true) => limits::SECOND_PROMPT,
            };
            let pause = self.deadline.min(Instant::now() + patience);
            let event = match timeout_at(pause, self.incoming.next()).await {
                Ok(event) => event,
                Err(_) if Instant::now() >= self.deadline => return Err(Silence::Late),
                Err(_) => {
                    // PAM may ask in words of its own: text without a newline, and then silence.
                    if self.errors.seen.last().is_some_and(|&last| last != b'\n') {
                        if answered {
                            return Err(Silence::AsksMore);
                        }
                        answered = true;
                        self.errors.seen.clear();
                        self.answer().await;
                    }
                    continue;
                }
            };
            if let Some(Event::Data(_, bytes)) = &event {
                self.heard += bytes.len();
            }
            match event {
                Some(Event::Data(Stream::Stdout, bytes)) => {
                    if let Some((pid, first)) = self.output.push(&bytes) {
                        return Ok(Begun { pid, first, ended });
                    }
                }
                Some(Event::Data(Stream::Stderr, bytes)) => {
                    if self.errors.over {
                        self.errors.seen.extend_from_slice(&bytes);
                    } else if let Some((_, rest)) = self.errors.push(&bytes) {
                        self.errors.seen = rest;
                    } else if self.password.is_some() && find(&self.errors.seen, PROMPT.as_bytes()).is_some() {
                        if answered {
                            return Err(Silence::AskedAgain);
                        }
                        answered = true;
                        self.errors.seen.clear();
                        self.answer().await;
                    }
                }
                Some(Event::Exit(code)) => ended = Some(code),
                Some(Event::Refused) => return Err(Silence::Refused),
                None => {
                    return Err(ended.map_or(Silence::Broke, |code| Silence::Ended { code }));
                }
            }
            if self.heard > limits::NOISE_BYTES {
                return Err(Silence::Noise);
            }
        }
    }

    async fn answer(&mut self) {
        if let (Some(password), Some(outgoing)) = (self.password, self.outgoing.as_mut()) {
            let line = Zeroizing::new(format!("{}\n", password.expose()).into_bytes());
            // If sudo is gone, or takes nothing until the deadline, `wait` tells why.
            drop(timeout_at(self.deadline, outgoing.send(line.to_vec())).await);
        }
    }

    /// What a silence means. `sent`: the orders are with the script, should it ever begin.
    fn explain(&self, silence: &Silence, as_whom: Become<'_>, sent: bool) -> ErrorKind {
        let said = match (shown(&self.errors.seen), shown(&self.output.seen)) {
            (errors, _) if !errors.is_empty() => errors,
            (_, output) => output,
        };
        let user = match as_whom {
            Become::Nobody => None,
            Become::Quietly(user) | Become::Asking(user) => Some(user.to_owned()),
        };
        match (silence, user) {
            (Silence::Broke, _) => ErrorKind::Lost { said: "before the command began, as far as is known".into() },
            (Silence::Late, Some(user)) if !sent && matches!(as_whom, Become::Asking(_)) => {
                let said = if said.is_empty() { "nothing".into() } else { said };
                ErrorKind::Sudo {
                    user,
                    said: format!("no answer within {} s; it said: {said}", limits::BEGIN.as_secs()),
                }
            }
            (Silence::Late, _) if !sent => ErrorKind::Timeout { stage: "starting a shell", after: limits::BEGIN },
            (Silence::Noise, _) if !sent => ErrorKind::NoShell {
                said: format!("its login writes without end before it comes to a command, as {said:.80}"),
            },
            (Silence::Noise, _) => ErrorKind::Lost { said: "the login writes without end".into() },
            (Silence::Late, _) => {
                ErrorKind::Lost { said: format!("no shell began within {} s {said}", limits::BEGIN.as_secs()) }
            }
            (Silence::Refused, _) => ErrorKind::NoShell { said: "the server refuses to".into() },
            (Silence::AskedAgain, Some(user)) => ErrorKind::Sudo { user, said: "the sudo password is wrong".into() },
            (Silence::AsksMore, Some(user)) => {
                ErrorKind::Sudo { user, said: format!("it has the password and asks something else: {said}") }
            }
            (Silence::Ended { code }, Some(user)) => sudo_refusal(*code, user, said),
            (Silence::Ended { code }, None) => ErrorKind::NoShell { said: format!("it ended with {code}: {said}") },
            (Silence::AskedAgain | Silence::AsksMore, None) => ErrorKind::Protocol { said },
        }
    }
}

/// sudo's refusals are known by what happened; its words only say more.
fn sudo_refusal(code: i32, user: String, said: String) -> ErrorKind {
    if said.contains("unknown user") || (said.contains("user") && said.contains("not found") && code == 1) {
        return ErrorKind::NoSuchUser { user };
    }
    let said = match said {
        said if said.is_empty() => format!("it ended with {code} and said nothing"),
        said => said,
    };
    ErrorKind::Sudo { user, said }
}

impl Running {
    /// What comes next, without what stood before the begin line. Safe to be cancelled.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.errors.over && !self.errors.seen.is_empty() {
                return Some(Event::Data(Stream::Stderr, std::mem::take(&mut self.errors.seen)));
            }
            match self.incoming.next().await? {
                Event::Data(Stream::Stderr, bytes) if !self.errors.over => {
                    if let Some((_, rest)) = self.errors.push(&bytes) {
                        self.errors.seen = rest;
                    }
                }
                event => return Some(event),
            }
        }
    }

    /// Waits until the script says something, which stays to be heard; `false` when nothing comes any more. Safe to be
    /// cancelled.
    pub(super) async fn heard(&mut self) -> bool {
        let Some(event) = self.next().await else { return false };
        self.pending.push_front(event);
        true
    }

    /// Waits until nothing more is on its way of a program that has ended: a while, and an answer of the server to a question that
    /// it was asked then, which nothing that it sent before can come after.
    pub(super) fn silence(&self) -> impl Future<Output = ()> + use<> {
        let connection = self.connection.clone();
        async move {
            tokio::time::sleep(limits::AFTER_EXIT).await;
            if let Some(connection) = connection {
                connection.ping().await;
            }
        }
    }

    /// What its connection takes; nothing where it has none.
    pub(super) fn taken(&self) -> Option<Taken> {
        self.connection.as_ref().map(|connection| connection.taken.clone())
    }

    /// Waits until work is refused a session of the connection that this one uses.
    pub(super) fn crowded(&self) -> impl Future<Output = ()> + use<> {
        let connection = self.connection.clone();
        async move {
            match connection {
                Some(connection) => connection.sessions.crowded().await,
                None => std::future::pending().await,
            }
        }
    }

    /// The whole answer of a script whose answers are short.
    pub(super) async fn answer(mut self, within: std::time::Duration) -> Result<Answer, ErrorKind> {
        let deadline = Instant::now() + within;
        let (mut out, mut ended) = (Vec::new(), false);
        loop {
            match timeout_at(deadline, self.next()).await {
                Err(_) => return Err(ErrorKind::Lost { said: format!("no answer within {} s", within.as_secs()) }),
                Ok(None) => break,
                Ok(Some(Event::Exit(_))) => ended = true,
                Ok(Some(Event::Refused | Event::Data(Stream::Stderr, _))) => {}
                Ok(Some(Event::Data(Stream::Stdout, bytes))) => out.extend_from_slice(&bytes),
            }
            if out.len() > 4 * limits::OUTPUT_BYTES {
                return Err(ErrorKind::Protocol { said: "an answer without end".into() });
            }
        }
        match split_end(&out) {
            Some((brought, end)) => Ok(Answer { out: brought.to_vec(), end }),
            None if ended => Err(ErrorKind::Protocol { said: format!("it ended in the middle: {}", shown(&out)) }),
            None => Err(ErrorKind::Lost { said: "before the answer was complete".into() }),
        }
    }
}
