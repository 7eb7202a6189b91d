//! One SSH connection: opening it, checking whom it reaches, and its channels.
//!
//! Key exchange: curve25519 with ML-KEM-768 where the server has it (OpenSSH 9.9 and later), else plain curve25519. The
//! lattice adds about 0.2 ms, unlike the sntrup761 that OpenSSH 9.2 prefers, which cost its own client 60 ms of CPU a
//! handshake; russh does not speak that one. What is recorded on the way today cannot be read by a quantum computer
//! later, and login passwords travel here.
//!
//! Cipher: AES-256-GCM before ChaCha20-Poly1305, for processors do AES themselves. Host key algorithms: first those that
//! are known for this host. No compression, no SHA-1.
//!
//! The same holds for jump hosts and for what is reached through them: each stretch of a way is a connection of its own, end to end.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Channel, Disconnect, Preferred, cipher, compression};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::ErrorKind;
use super::host_key::{Client, Judge, Told};
use super::known_hosts::{Expected, is_same};
use super::proxy_command::{self, Program};
use super::sessions::{Sessions, Turn};
use super::taken::{Counting, Taken};
use super::{Hops, Via, limits, ssh_login};

static HANDSHAKES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(limits::HANDSHAKES));

/// An open, logged-in connection.
pub(super) struct Connection {
    handle: Handle<Client>,
    pub(super) sessions: Sessions,
    /// The way that the login went.
    pub(super) by: String,
    pub(super) taken: Taken,
    /// Whether a script of ours has begun on it, so that the login shell is known to come to our scripts.
    has_begun: AtomicBool,
}

/// How a channel is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// For a job, in turn: waits while there are as many as may be.
    InTurn,
    /// For something that a person or another job waits for, as a kill: at once.
    AtOnce,
    /// Only where there is room.
    IfRoom,
}

/// Bytes to a server and from it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A stream, and the program that it comes by, where it does.
pub(super) type Way = (Box<dyn Stream>, Option<Program>);

/// Connects, by what lies between, and logs in. `channels`: how many are used at once.
///
/// A server with as many logins under way as it allows (`MaxStartups`) hangs up on some at random: then we come again, as long as
/// connecting may take, and each time at another moment than the others that were sent away.
pub(super) async fn open(via: &[Via], judge: Judge, hops: &Hops, channels: usize) -> Result<Connection, ErrorKind> {
    let deadline = Instant::now() + limits::CONNECT;
    let (mut pause, mut times) = (limits::HUNG_UP_PAUSE, 0);
    loop {
        match open_once(via, judge.clone(), hops, channels).await {
            Err(ErrorKind::HungUp { .. }) => times += 1,
            opened => return opened,
        }
        let again = Instant::now() + pause.mul_f64(0.5 + fastrand::f64());
        if again > deadline {
            return Err(ErrorKind::HungUp { times });
        }
        tokio::time::sleep_until(again).await;
        pause = (pause * 2).min(limits::HUNG_UP_LONGEST_PAUSE);
    }
}

async fn open_once(via: &[Via], judge: Judge, hops: &Hops, channels: usize) -> Result<Connection, ErrorKind> {
    let server = judge.server.clone();
    let (stream, program) = way(via, &judge, hops).await?;
    let (stream, taken) = Counting::new(stream);
    let opening = async {
        let (mut handle, told) = {
            // The semaphore is never closed.
            let _turn = HANDSHAKES.acquire().await;
            handshake(Box::new(stream), judge).await?
        };
        match timeout(limits::LOGIN, ssh_login::log_in(&mut handle, &told, &server)).await {
            Ok(Ok(by)) => {
                let sessions = Sessions::new(channels);
                Ok(Connection { handle, sessions, by, taken, has_begun: AtomicBool::new(false) })
            }
            Ok(Err(kind)) => Err(kind),
            Err(_) => Err(ErrorKind::Timeout { stage: "logging in", after: limits::LOGIN }),
        }
    };
    match (opening.await, program) {
        // What broke the stream is known to the program better than to us.
        (Err(ErrorKind::Unreachable { said } | ErrorKind::Lost { said }), Some(program)) => {
            Err(ErrorKind::Unreachable { said: format!("{}; {said}", program.said().await) })
        }
        (Err(ErrorKind::HungUp { .. }), Some(program)) => {
            let said = "it ended before the login".to_owned();
            Err(ErrorKind::Unreachable { said: format!("{}; {said}", program.said().await) })
        }
        (Err(ErrorKind::Timeout { stage: "exchanging keys", after }), Some(program)) => {
            let said = format!("nothing came for {} s by it", after.as_secs());
            Err(ErrorKind::Unreachable { said: format!("{}; {said}", program.said().await) })
        }
        (opened, _) => opened,
    }
}

/// Opens the way to a server.
pub(super) async fn way(via: &[Via], judge: &Judge, hops: &Hops) -> Result<Way, ErrorKind> {
    if via.len() > limits::VIA {
        return Err(ErrorKind::Invalid {
            why: format!("{} stretches lie between; the limit is {}", via.len(), limits::VIA),
        });
    }
    let server = &judge.server;
    Ok(match via.split_last() {
        None => {
            let stream = connect(&server.address, server.port).await?;
            greeted(&stream).await?;
            (Box::new(stream), None)
        }
        Some((Via::Command(text), [])) => {
            let started = proxy_command::start(text);
            let (stream, program) = started.map_err(|error| ErrorKind::Io { said: format!("sh: {error}") })?;
            (Box::new(stream), Some(program))
        }
        Some((Via::Command(_), _)) => {
            return Err(ErrorKind::Invalid { why: "a program can only be the first stretch of the way".into() });
        }
        Some((Via::Hop(hop), before)) => (Box::new(hops.through((before, hop), server, &judge.known).await?), None),
    })
}

/// Every address of the name in turn, all within the limit.
async fn connect(address: &str, port: u16) -> Result<TcpStream, ErrorKind> {
    let deadline = Instant::now() + limits::CONNECT;
    let late = || ErrorKind::Timeout { stage: "connecting", after: limits::CONNECT };
    let addresses = match timeout_at(deadline, tokio::net::lookup_host((address, port))).await {
        Err(_) => return Err(late()),
        Ok(Err(error)) => {
            return Err(ErrorKind::Unreachable { said: format!("its name is not known here ({error})") });
        }
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
    };
    let mut said = "its name has no address".to_owned();
    for (tried, socket) in addresses.iter().enumerate() {
        let rest = u32::try_from(addresses.len() - tried).unwrap_or(1);
        let share = deadline.saturating_duration_since(Instant::now()) / rest;
        match timeout(share, TcpStream::connect(socket)).await {
            Ok(Ok(stream)) => {
                // A command is one small packet each way: Nagle would hold each back for 40 ms.
                stream.set_nodelay(true).map_err(|error| ErrorKind::Io { said: error.to_string() })?;
                return Ok(stream);
            }
            Ok(Err(error)) => said = error.to_string(),
            Err(_) if rest == 1 => return Err(late()),
            Err(_) => {}
        }
    }
    Err(ErrorKind::Unreachable { said })
}

/// Waits for the first byte of a server, which speaks first (RFC 4253, 4.2), before a place among the handshakes is taken: one
/// that accepts connections and says nothing keeps nobody from another.
async fn greeted(stream: &TcpStream) -> Result<(), ErrorKind> {
    match timeout(limits::HANDSHAKE, stream.readable()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(ErrorKind::Unreachable { said: error.to_string() }),
        Err(_) => Err(ErrorKind::Timeout { stage: "greeting us", after: limits::HANDSHAKE }),
    }
}

async fn handshake(stream: Box<dyn Stream>, judge: Judge) -> Result<(Handle<Client>, Told), ErrorKind> {
    let config = config(&judge.expected()?);
    let (client, told) = judge.client();
    let connecting = client::connect_stream(Arc::new(config), stream, client);
    let error = match timeout(limits::HANDSHAKE, connecting).await {
        Ok(Ok(handle)) => return Ok((handle, told)),
        Ok(Err(error)) => error,
        Err(_) => return Err(ErrorKind::Timeout { stage: "exchanging keys", after: limits::HANDSHAKE }),
    };
    Err(told.refused().unwrap_or_else(|| no_handshake(error)))
}

pub(super) fn no_handshake(error: russh::Error) -> ErrorKind {
    match error {
        russh::Error::NoCommonAlgo { kind, theirs, .. } => ErrorKind::Protocol {
            said: format!("no {kind:?} algorithm in common; the server has {}", theirs.join(", ")),
        },
        russh::Error::Version => {
            ErrorKind::Unreachable { said: "what answers there is no SSH server, or does not come to the point".into() }
        }
        error if hung_up(&error) => ErrorKind::HungUp { times: 1 },
        error => ErrorKind::Unreachable { said: format!("it does not speak SSH with us: {error}") },
    }
}

/// Whether the server ended the connection, as one does that has as many logins under way as it allows.
fn hung_up(error: &russh::Error) -> bool {
    use std::io::ErrorKind as Io;
    match error {
        russh::Error::Disconnect | russh::Error::HUP => true,
        russh::Error::IO(error) => {
            matches!(error.kind(), Io::UnexpectedEof | Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe)
        }
        _ => false,
    }
}

/// The host key algorithms that we take, the best first. SHA-1 is none of them.
pub(super) const HOST_KEYS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

fn config(expected: &Expected) -> client::Config {
    let is_known = |algorithm: &Algorithm| expected.algorithms.iter().any(|known| is_same(known, algorithm));
    let (mut keys, rest): (Vec<_>, Vec<_>) = HOST_KEYS.into_iter().partition(is_known);
    keys.extend(rest);
    // Only where somebody can vouch for one: else its key is what is known.
    let certificates = if expected.certificates { HOST_KEYS.to_vec() } else { Vec::new() };
    config_for(keys, certificates)
}

pub(super) fn config_for(keys: Vec<Algorithm>, certificates: Vec<Algorithm>) -> client::Config {
    let ciphers = [cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR, cipher::AES_128_CTR];
    client::Config {
        client_id: russh::SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-anneal_", env!("CARGO_PKG_VERSION")))),
        window_size: 8 << 20,
        maximum_packet_size: 65535,
        nodelay: true,
        keepalive_interval: Some(limits::KEEPALIVE),
        keepalive_max: limits::KEEPALIVE_MAX,
        // Longer than the answers to those questions take, so that it never ends an idle connection.
        inactivity_timeout: Some(limits::STALLED),
        preferred: Preferred {
            key: keys.into(),
            host_key_certificates: certificates.into(),
            cipher: ciphers.to_vec().into(),
            compression: vec![compression::NONE].into(),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    }
}

/// What a server says to a question for a session.
enum Asked {
    Given(Channel<Msg>),
    Refused(ErrorKind),
}

fn lost(said: &str) -> ErrorKind {
    ErrorKind::Lost { said: said.to_owned() }
}

impl Connection {
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// A place for one more channel, where there is one.
    pub(super) fn room(&self) -> Option<Turn> {
        self.sessions.now()
    }

    /// A channel to another server, as the jump host that this is sees it.
    pub(super) async fn forward(&self, address: &str, port: u16) -> Result<Channel<Msg>, russh::Error> {
        // Where it comes from is for the server's log only.
        self.handle.channel_open_direct_tcpip(address, port.into(), "127.0.0.1", 0).await
    }

    /// Whether a script of ours has begun here before.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    pub(super) fn begins(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
    }

    /// A session channel. Work waits for its turn where a server refuses more; what cannot wait, or can do without, is told.
    pub(super) async fn channel(&self, want: Want) -> Result<(Channel<Msg>, Option<Turn>), ErrorKind> {
        let turn = match want {
            Want::AtOnce => None,
            Want::IfRoom => {
                let turn = self.sessions.if_room();
                Some(turn.ok_or_else(|| ErrorKind::Io { said: "no channel is free".into() })?)
            }
            Want::InTurn => return self.in_turn().await,
        };
        match self.ask().await? {
            Asked::Given(channel) => Ok((channel, turn)),
            Asked::Refused(error) => Err(error),
        }
    }

    async fn in_turn(&self) -> Result<(Channel<Msg>, Option<Turn>), ErrorKind> {
        let next = || async { self.sessions.turn().await.ok_or_else(|| lost("it was closed")) };
        let (mut turn, mut patience) = (next().await?, limits::SESSION_PATIENCE);
        loop {
            let error = match self.ask_within(patience).await? {
                Asked::Given(channel) => return Ok((channel, Some(turn))),
                Asked::Refused(error) => error,
            };
            turn = match self.sessions.refused(turn) {
                None => next().await?,
                Some(_) if patience == limits::CHANNEL_WAIT || !self.sessions.gives() => return Err(error),
                Some(last) => {
                    patience = limits::CHANNEL_WAIT;
                    last
                }
            };
        }
    }

    /// Asks again while it is refused: a session that has just ended counts a moment longer with the server.
    async fn ask_within(&self, patience: Duration) -> Result<Asked, ErrorKind> {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_millis(20);
        loop {
            match self.ask().await? {
                Asked::Refused(_) if Instant::now() < deadline => {
                    self.sessions.make_room();
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                asked => return Ok(asked),
            }
        }
    }

    async fn ask(&self) -> Result<Asked, ErrorKind> {
        match self.handle.channel_open_session().await {
            Ok(channel) => {
                self.sessions.was_given();
                Ok(Asked::Given(channel))
            }
            Err(russh::Error::ChannelOpenFailure(reason)) => {
                let said = format!("the server gives no more sessions ({reason:?})");
                Ok(Asked::Refused(ErrorKind::Io { said }))
            }
            Err(error) => Err(lost(&error.to_string())),
        }
    }

    /// Waits until the server has answered a question; until the connection is given up where it does not.
    pub(super) async fn ping(&self) {
        // Whoever asks hears of a connection that is gone by its channel.
        drop(self.handle.send_ping().await);
    }

    pub(super) async fn close(&self) {
        // The other side may be gone already; then there is nobody to say goodbye to.
        drop(self.handle.disconnect(Disconnect::ByApplication, "", "").await);
    }
}
