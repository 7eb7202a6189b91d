//! Jump hosts: one connection to each, shared by all that is reached through it.
//!
//! Who comes by the same way – the same stretches with the same logins – uses the same connection, up to a number of channels; then
//! another is opened. It lives as long as anybody comes through it. When it dies, so do the connections in it, and whoever needs one
//! opens it again: the first for all.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedSemaphorePermit;

use super::error::ErrorKind;
use super::forward::Forwarded;
use super::host_key::Judge;
use super::link::Link;
use super::ssh_connection::{self, Connection};
use super::{KnownHosts, SshServer, Via, limits};

/// The connections to jump hosts. Clones share them, and so do hosts that are given the same: [`Host::through`](super::Host::through).
#[derive(Clone, Default)]
pub struct Hops(Arc<Mutex<Vec<Hop>>>);

/// The way to a jump host, its own stretch included, and its connections.
struct Hop {
    way: Vec<Via>,
    link: Weak<Link>,
}

/// What a stream through a jump host needs to live.
pub(super) struct Held {
    pub(super) connection: Arc<Connection>,
    pub(super) _permit: OwnedSemaphorePermit,
    /// So that the next one finds the same connection.
    pub(super) _link: Arc<Link>,
}

impl Hops {
    /// A stream to a server through a jump host, which is reached by what is before it.
    pub(super) async fn through(
        &self,
        (before, hop): (&[Via], &SshServer),
        to: &SshServer,
        known: &Arc<KnownHosts>,
    ) -> Result<Forwarded, ErrorKind> {
        let link = self.link(before, hop);
        let by = |why: ErrorKind| why.by(hop);
        let mut again = true;
        loop {
            let room = |connection: &Arc<Connection>| Some((Arc::clone(connection), connection.room()?));
            let judge = Judge { known: Arc::clone(known), slot: None, server: hop.clone() };
            // A way goes through ways: the compiler wants an end to it.
            let opening = async || Box::pin(ssh_connection::open(before, judge, self, limits::HOP_CHANNELS)).await;
            let (connection, permit) = link.take(room, opening).await.map_err(by)?;
            let held = Held { connection: Arc::clone(&connection), _permit: permit, _link: Arc::clone(&link) };
            match Forwarded::open(held, hop, to).await {
                // It was dead and we had not noticed.
                Err(ErrorKind::Lost { .. }) if again => {
                    link.forget(&connection).await;
                    again = false;
                }
                // It names the jump host itself.
                Err(kind @ ErrorKind::Unreachable { .. }) => return Err(kind),
                // Nothing was begun, so nothing runs on.
                Err(ErrorKind::Lost { said }) => return Err(by(ErrorKind::Unreachable { said })),
                Err(kind) => return Err(by(kind)),
                Ok(stream) => {
                    tracing::debug!(%hop, to = to.socket(), "forwarded");
                    return Ok(stream);
                }
            }
        }
    }

    fn link(&self, before: &[Via], hop: &SshServer) -> Arc<Link> {
        // The list is whole after every statement that changes it.
        let mut hops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hops.retain(|hop| hop.link.strong_count() > 0);
        let same = |one: &&Hop| matches!(one.way.split_last(), Some((Via::Hop(last), first)) if last == hop && first == before);
        if let Some(link) = hops.iter().find(same).and_then(|hop| hop.link.upgrade()) {
            return link;
        }
        let link = Arc::new(Link::default());
        let way = before.iter().cloned().chain([Via::Hop(hop.clone())]).collect();
        hops.push(Hop { way, link: Arc::downgrade(&link) });
        link
    }
}

impl fmt::Debug for Hops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hops({})", self.0.lock().unwrap_or_else(PoisonError::into_inner).len())
    }
}
