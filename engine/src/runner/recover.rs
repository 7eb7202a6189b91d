//! Unfinished operations go on by themselves, each for itself (I11).

use std::sync::Arc;

use futures::StreamExt;
use uuid::Uuid;

use super::engine::{Begun, Engine, Found, answered, blocking};
use super::task::Begin;
use crate::error::{Error, Kind};
use crate::journal;
use crate::limits::RECOVERED_AT_ONCE;

/// What a recovery came to.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Operations that go on.
    pub taken: Vec<Uuid>,
    /// Operations that cannot, and why.
    pub left: Vec<(Uuid, Error)>,
}

impl Recovered {
    fn leave(&mut self, id: Uuid, why: Error) {
        tracing::error!(operation = %id, error = %why, "an unfinished operation cannot go on");
        self.left.push((id, why));
    }
}

impl Engine {
    /// Every unfinished operation goes on by itself. Gives those that could not be taken in hand, with the reason: they do not
    /// keep the others from it (I11).
    pub async fn recover(&self) -> Result<Recovered, Error> {
        self.released()?;
        let (mut recovered, mut unfinished) = (Recovered::default(), Vec::new());
        for summary in self.list().await? {
            if summary.goes_on_by_itself() {
                unfinished.push(summary.id);
            } else if summary.is_quarantined() {
                let why = Error::new(Kind::Quarantined, summary.waits_for.unwrap_or_default());
                recovered.leave(summary.id, why);
            }
        }
        // Most of the work is reading, which every processor can do a share of.
        let readers = std::thread::available_parallelism().map_or(1, usize::from);
        let shares: Vec<Vec<Uuid>> = unfinished.chunks(RECOVERED_AT_ONCE).map(<[Uuid]>::to_vec).collect();
        let mut shares = futures::stream::iter(shares).map(|share| self.go_on_all(share)).buffered(readers);
        while let Some(share) = shares.next().await {
            for (id, taken) in share {
                match taken {
                    Ok(()) => recovered.taken.push(id),
                    Err(error) => recovered.leave(id, error),
                }
            }
        }
        Ok(recovered)
    }

    /// Takes an unfinished operation in hand, unless it is: it goes on with whatever it is about.
    pub async fn go_on(&self, id: Uuid) -> Result<(), Error> {
        self.released()?;
        let mut taken = self.go_on_all(vec![id]).await;
        taken.pop().map_or(Ok(()), |(_, taken)| taken)
    }

    /// Takes unfinished operations in hand, unless they are.
    async fn go_on_all(&self, ids: Vec<Uuid>) -> Vec<(Uuid, Result<(), Error>)> {
        let (shared, share) = (Arc::clone(&self.shared), ids.clone());
        let read = match blocking(move || Ok(share.iter().map(|&id| shared.read(id)).collect::<Vec<_>>())).await {
            Ok(read) => read,
            Err(error) => ids.iter().map(|_| Err(error.again())).collect(),
        };
        let mut begun = Vec::with_capacity(read.len());
        {
            let _taking = self.shared.taking.lock().await;
            for (id, found) in ids.into_iter().zip(read) {
                let answer = match found {
                    Ok(found) => self.begin_again(found).await,
                    Err(error) => Err(error),
                };
                begun.push((id, answer));
            }
        }
        let mut taken = Vec::with_capacity(begun.len());
        for (id, answer) in begun {
            let answer = match answer {
                Ok(Some(answer)) => answered(answer).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            taken.push((id, answer));
        }
        taken
    }

    /// Takes an operation in hand that was read a moment ago; nothing where it is in hand. Nobody else may be taking one.
    async fn begin_again(&self, found: Found) -> Result<Option<Begun>, Error> {
        let (id, seq) = (found.operation.id, found.operation.seq);
        if self.in_hand(id) {
            return Ok(None);
        }
        // Somebody may have had it in hand since it was read.
        let found = if journal::has(&self.shared.store, id, seq + 1)? { self.read(id).await? } else { found };
        if !found.operation.life.is_final() {
            self.shared.has_its_secrets(&found)?;
        }
        self.start(found, Begin::default(), None).map(Some)
    }
}
