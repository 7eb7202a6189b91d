//! Whom a connection reaches: what a server shows of itself, judged by the known hosts and by what is asked of it.
//!
//! Invariant: no byte of a login goes to a server that was not accepted here.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{self, DisconnectReason};
use russh::keys::PublicKeyOrCertificate;
use tokio::sync::watch;

use super::error::{ErrorKind, shown};
use super::host_certificate::now_s;
use super::known_hosts::{Asker, Expected, KeyStanding, Shown, fingerprint};
use super::{HostKeyPolicy, KnownHosts, SshServer};

/// Who is connected to, and on whose behalf.
#[derive(Clone)]
pub(super) struct Judge {
    pub(super) known: Arc<KnownHosts>,
    /// The slot and its generation; a jump host has none.
    pub(super) slot: Option<(String, u32)>,
    pub(super) server: SshServer,
}

/// russh's callbacks: the host key, and what a server says when it hangs up.
pub(super) struct Client {
    judge: Judge,
    told: Told,
}

/// What a [`Client`] leaves for whoever opened the connection.
#[derive(Clone, Default)]
pub(super) struct Told {
    refused: Arc<Mutex<Option<ErrorKind>>>,
    farewell: watch::Sender<Option<String>>,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        match self.judge.judge(&Shown::from(shown)) {
            Ok(()) => Ok(true),
            Err(kind) => {
                *self.told.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(kind);
                Ok(false)
            }
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let said = match reason {
            DisconnectReason::ReceivedDisconnect(info) => shown(info.message.as_bytes()),
            DisconnectReason::Error(error) => error.to_string(),
        };
        self.told.farewell.send_replace(Some(said));
        Ok(())
    }
}

impl Told {
    /// Why the server was refused, if it was.
    pub(super) fn refused(&self) -> Option<ErrorKind> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What was said at the end of the connection; waits for the end.
    pub(super) async fn farewell(&self) -> String {
        let mut said = self.farewell.subscribe();
        // The sender lives as long as we do.
        said.wait_for(Option::is_some).await.map(|said| said.clone()).ok().flatten().unwrap_or_default()
    }
}

impl Judge {
    pub(super) fn client(self) -> (Client, Told) {
        let told = Told::default();
        (Client { judge: self, told: told.clone() }, told)
    }

    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { slot: self.slot.as_ref().map(|(slot, generation)| (slot.as_str(), *generation)), server: &self.server }
    }

    pub(super) fn expected(&self) -> Result<Expected, ErrorKind> {
        self.known.expected(self.asker()).map_err(unreadable)
    }

    fn judge(&self, shown: &Shown) -> Result<(), ErrorKind> {
        let got = fingerprint(&shown.key);
        let verdict = self.known.judge(self.asker(), shown, now_s()).map_err(unreadable)?;
        match (verdict, &self.server.host_key) {
            (KeyStanding::Revoked(by), _) => Err(ErrorKind::HostKeyRevoked { fingerprint: got, by }),
            (_, HostKeyPolicy::Pinned(pinned)) if *pinned == got => Ok(()),
            (_, HostKeyPolicy::Pinned(pinned)) => {
                Err(ErrorKind::HostKeyChanged { known: format!("{pinned} (pinned)"), got })
            }
            (KeyStanding::Known(_) | KeyStanding::Vouched(_), _) => Ok(()),
            (KeyStanding::BadCertificate(why), _) => Err(ErrorKind::HostCertificate { why }),
            (KeyStanding::Changed(known), _) => Err(ErrorKind::HostKeyChanged { known, got }),
            (KeyStanding::Unknown, HostKeyPolicy::AcceptNew) => {
                self.known.record(self.asker(), &shown.key).map_err(unreadable)
            }
            (KeyStanding::Unknown, HostKeyPolicy::Strict) => {
                Err(ErrorKind::HostKeyUnknown { fingerprint: got, algorithm: shown.key.algorithm().to_string() })
            }
        }
    }
}

pub(super) fn unreadable(error: io::Error) -> ErrorKind {
    ErrorKind::Io { said: error.to_string() }
}
