//! How many sessions a connection may have at once. OpenSSH calls it `MaxSessions` and tells nobody: it refuses.
//!
//! Work waits for a turn. Where a server refuses a session to somebody whose turn it is, it allows fewer than there are
//! turns, so that turn and all that are free are thrown away, and whoever was refused waits for one that is in use. After
//! [`limits::SESSION_AGAIN`] of waiting there is one more again: what took the session may not have been ours to count.
//!
//! Invariant: there is always at least one turn, so that work is done one after the other where that is all a server allows.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::limits;

/// The sessions of one connection.
pub(super) struct Sessions {
    turns: Arc<Semaphore>,
    /// How many turns there are, taken and free.
    most: Mutex<usize>,
    /// How many there may be.
    at_once: usize,
    given: AtomicBool,
    crowded: Notify,
}

/// Leave to have one session.
pub(super) type Turn = OwnedSemaphorePermit;

impl Sessions {
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            most: Mutex::new(at_once),
            at_once,
            given: AtomicBool::new(false),
            crowded: Notify::new(),
        }
    }

    /// Waits for a turn; those who came first have theirs first. `None` never comes, for nobody closes it.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let mut turn = pin!(Arc::clone(&self.turns).acquire_owned());
        loop {
            match timeout(limits::SESSION_AGAIN, &mut turn).await {
                Ok(turn) => return turn.ok(),
                Err(_) => self.one_more(),
            }
        }
    }

    /// A turn, where one is free.
    pub(super) fn now(&self) -> Option<Turn> {
        Arc::clone(&self.turns).try_acquire_owned().ok()
    }

    /// A turn for something that can do without: only where more than half of them are free.
    pub(super) fn if_room(&self) -> Option<Turn> {
        let most = *self.most();
        (self.turns.available_permits() > most / 2).then(|| self.now()).flatten()
    }

    /// The server gave a session.
    pub(super) fn was_given(&self) {
        self.given.store(true, Ordering::Relaxed);
    }

    /// Whether it ever gave one.
    pub(super) fn gives(&self) -> bool {
        self.given.load(Ordering::Relaxed)
    }

    /// The server refuses a session to whoever has this turn. Gives it back where it is the last.
    pub(super) fn refused(&self, turn: Turn) -> Option<Turn> {
        let mut most = self.most();
        *most -= self.turns.forget_permits(self.turns.available_permits());
        if *most <= 1 {
            return Some(turn);
        }
        *most -= 1;
        turn.forget();
        None
    }

    /// Work is refused a session: who can do without gives theirs up.
    pub(super) fn make_room(&self) {
        self.crowded.notify_waiters();
    }

    /// Waits until there is no room for what can do without.
    pub(super) async fn crowded(&self) {
        self.crowded.notified().await;
    }

    fn one_more(&self) {
        let mut most = self.most();
        if *most < self.at_once {
            *most += 1;
            self.turns.add_permits(1);
        }
    }

    fn most(&self) -> std::sync::MutexGuard<'_, usize> {
        // A number is whole after every statement.
        self.most.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_a_server_refuses_is_not_asked_for_again_while_the_others_are_in_use() {
        let sessions = Sessions::new(limits::CHANNELS);
        let used = [sessions.now().expect("a turn"), sessions.now().expect("a turn")];
        let refused = sessions.now().expect("a turn");
        assert!(sessions.refused(refused).is_none(), "it allows two");
        assert!(sessions.now().is_none() && sessions.if_room().is_none());
        drop(used);
        let _both = [sessions.now().expect("a turn"), sessions.now().expect("a turn")];
        assert!(sessions.now().is_none(), "the third is gone");
    }

    #[tokio::test]
    async fn one_turn_is_left_whatever_is_refused() {
        let sessions = Sessions::new(limits::CHANNELS);
        let all: Vec<Turn> = std::iter::from_fn(|| sessions.now()).collect();
        assert_eq!(all.len(), limits::CHANNELS);
        let kept: Vec<Turn> = all.into_iter().filter_map(|turn| sessions.refused(turn)).collect();
        assert_eq!(kept.len(), 1, "whoever has the last keeps it");
        drop(kept);
        assert!(sessions.now().is_some());
    }

    #[tokio::test]
    async fn one_more_is_tried_up_to_what_there_was() {
        let sessions = Sessions::new(limits::CHANNELS);
        let _used = sessions.now().expect("a turn");
        assert!(sessions.refused(sessions.now().expect("a turn")).is_none());
        let waiting = sessions.turn();
        sessions.one_more();
        assert!(waiting.now_or_never().flatten().is_some());
        (0..2 * limits::CHANNELS).for_each(|_| sessions.one_more());
        assert_eq!(*sessions.most(), limits::CHANNELS);
    }
}
