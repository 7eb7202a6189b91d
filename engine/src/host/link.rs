//! The connections to one server that several share. While one caller opens one the others wait, and share what comes of it: a
//! machine that is down costs each of them one timeout, not one after the other.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::ErrorKind;
use super::ssh_connection::Connection;

#[derive(Default)]
pub(super) struct Link(Mutex<State>);

#[derive(Default)]
struct State {
    open: Vec<Arc<Connection>>,
    failed: Option<(Instant, ErrorKind)>,
}

impl Link {
    /// What is wanted of an open connection that has room for it, or of a new one.
    pub(super) async fn take<T>(
        &self,
        room: impl Fn(&Arc<Connection>) -> Option<T>,
        open: impl AsyncFnOnce() -> Result<Connection, ErrorKind>,
    ) -> Result<T, ErrorKind> {
        let asked = Instant::now();
        let mut state = self.0.lock().await;
        state.open.retain(|open| !open.is_closed());
        if let Some(taken) = state.open.iter().find_map(&room) {
            return Ok(taken);
        }
        if let Some((at, kind)) = &state.failed
            && *at > asked
        {
            return Err(kind.clone());
        }
        match open().await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                let taken = room(&connection);
                state.open.push(connection);
                state.failed = None;
                taken.ok_or_else(|| ErrorKind::Protocol { said: "a new connection has no room".into() })
            }
            Err(kind) => {
                state.failed = Some((Instant::now(), kind.clone()));
                Err(kind)
            }
        }
    }

    /// Lets go of a connection that is dead.
    pub(super) async fn forget(&self, dead: &Arc<Connection>) {
        self.0.lock().await.open.retain(|open| !Arc::ptr_eq(open, dead));
    }

    /// Lets go of all of them.
    pub(super) async fn clear(&self) -> Vec<Arc<Connection>> {
        std::mem::take(&mut self.0.lock().await.open)
    }
}
