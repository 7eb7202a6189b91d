//! What the workload does. An event is made from a plan and its number alone, so whoever checks a disk knows what should be
//! there without being told.
//!
//! Each event is one commit by one writer, as the engine makes them: blobs and sealed files first, then a state, an event and
//! some more under the writer's keys, on the condition that the state is the one it knows. Every event also puts [`LAST`]: it
//! tells how far a recovered store goes.

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The key under which the newest event's name lies.
pub const LAST: &str = "last";
/// Writers from here on work in a store that was recovered.
pub const AFTER_RECOVERY: u32 = 1000;
/// Events of each writer with which a grown store begins.
pub const GROWING: u32 = 12;

/// What a store is made to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// From nothing: its making, and small events.
    Fresh,
    /// Tens of megabytes first.
    Grown,
    /// The same keys put and deleted over and over.
    Churned,
}

/// A workload.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// What the store is made to look like.
    pub shape: Shape,
    /// Threads that commit at the same time.
    pub writers: u32,
    /// Events of each.
    pub events: u32,
    /// How often the store is compacted meanwhile.
    pub compactions: u32,
}

/// One commit and what belongs to it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Keys put, or deleted where there is no value. Later ones win.
    pub changes: Vec<(String, Option<Vec<u8>>)>,
    /// Blobs that must be there before the commit.
    pub blobs: Vec<Vec<u8>>,
    /// Secrets of an operation, sealed before the commit.
    pub sealed: Option<(Uuid, String)>,
    /// Secrets of the writer's record, replaced before the commit.
    pub record: Option<String>,
    /// An earlier event of this writer whose own blob and secrets are deleted after the commit.
    pub forgets: Option<u32>,
}

impl Plan {
    /// An event.
    #[must_use]
    pub fn event(&self, writer: u32, number: u32) -> Event {
        let mut random = self.random(writer, number);
        let random = &mut random;
        let mut changes = vec![
            (state_key(writer), Some(bytes(random, 20..60))),
            (format!("o/{writer}/e/{number:06}"), Some(bytes(random, 200..400))),
        ];
        for _ in 0..random.u32(..3) {
            changes.push((format!("r/{writer}/{}", random.u8(..20)), Some(bytes(random, 1..300))));
        }
        if number > 4 && random.u8(..4) == 0 {
            changes.push((format!("o/{writer}/e/{:06}", random.u32(..number)), None));
        }
        match random.u8(..100) {
            0..8 => changes.push((format!("o/{writer}/f/{}", number % 8), Some(bytes(random, 20_000..60_000)))),
            8..10 => changes.push((format!("o/{writer}/h/{}", number % 2), Some(bytes(random, 900_000..1_000_000)))),
            _ => {}
        }
        self.many(writer, number, random, &mut changes);
        changes.push((LAST.to_owned(), Some(name(writer, number).into_bytes())));
        let (mut blobs, sealed) = self.own(writer, number);
        if random.u8(..20) == 0 {
            // The same for all writers: whoever comes second finds it there.
            blobs.push(bytes(&mut Rng::with_seed(self.seed ^ u64::from(number % 3)), 1000..50_000));
        }
        let record = (random.u8(..10) == 0).then(|| text(random));
        let forgets = (number >= 5 && random.u8(..6) == 0).then(|| number - 5);
        Event { changes, blobs, sealed, record, forgets }
    }

    /// What the event may have that no other has: a blob, and sealed secrets.
    #[must_use]
    pub fn own(&self, writer: u32, number: u32) -> (Vec<Vec<u8>>, Option<(Uuid, String)>) {
        let mut random = self.random(writer, !number);
        let blobs = (random.u8(..5) == 0).then(|| {
            let mut blob = bytes(&mut random, 0..120_000);
            blob.extend_from_slice(name(writer, number).as_bytes());
            blob
        });
        let sealed = (random.u8(..6) == 0).then(|| (Uuid::from_u128(random.u128(..)), text(&mut random)));
        (blobs.into_iter().collect(), sealed)
    }

    /// Many small values, which make the index write and, where they are deleted again, leave much that is dead.
    fn many(&self, writer: u32, number: u32, random: &mut Rng, changes: &mut Vec<(String, Option<Vec<u8>>)>) {
        if writer >= AFTER_RECOVERY {
            return;
        }
        let growing = self.shape == Shape::Grown && number < GROWING;
        let (one_of, keys, deleted_of_8) = match self.shape {
            Shape::Fresh => return,
            Shape::Grown if growing => (1, 20_000, 0),
            Shape::Grown => (2, 20_000, 2),
            Shape::Churned => (2, 4_000, 4),
        };
        if growing {
            changes.push((format!("o/{writer}/h/{number}"), Some(bytes(random, 700_000..1_000_000))));
        }
        if random.u8(..one_of) == 0 {
            for _ in 0..random.u32(200..500) {
                let key = format!("m/{writer}/{:05}", random.u32(..keys));
                changes.push((key, (random.u8(..8) >= deleted_of_8).then(|| bytes(random, 8..300))));
            }
        }
    }

    fn random(&self, writer: u32, number: u32) -> Rng {
        let mut random = Rng::with_seed(self.seed ^ (u64::from(writer) << 32 | u64::from(number)));
        Rng::with_seed(random.u64(..)) // neighbouring seeds begin alike
    }
}

/// The key on whose version a writer's commits depend.
#[must_use]
pub fn state_key(writer: u32) -> String {
    format!("o/{writer}/state")
}

/// An event's name, as it is found under [`LAST`].
#[must_use]
pub fn name(writer: u32, number: u32) -> String {
    format!("{writer} {number}")
}

/// The name of a writer's sealed record.
#[must_use]
pub fn record_name(writer: u32) -> String {
    format!("writer-{writer}")
}

fn bytes(random: &mut Rng, size: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = vec![0; random.usize(size)];
    random.fill(&mut bytes);
    bytes
}

fn text(random: &mut Rng) -> String {
    let size = random.usize(10..3000);
    std::iter::repeat_with(|| random.alphanumeric()).take(size).collect()
}
