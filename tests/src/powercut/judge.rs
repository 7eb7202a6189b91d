//! Whether what was found on a disk is what must be there.
//!
//! The commits have one order. A store that was cut must hold exactly what the first `k` of them made, where `k` is at least
//! as far as was acknowledged before the cut and no further than was submitted. Blobs and sealed files have no place in that
//! order: each is judged by its own times.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use store::Digest;
use uuid::Uuid;

use super::events::{self, Plan, record_name};
use super::facts::{Fact, Facts, NEVER};
use super::subject::{Found, Mended};

/// How a cut was survived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// As it must be.
    Whole,
    /// So many acknowledged things are not there.
    Lost(usize, String),
    /// Something is there in part, or should not be there.
    Half(String),
    /// It does not mount, does not open, panics or does not end.
    Unopened(String),
}

/// What a cut did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How many commits were acknowledged before it.
    pub acknowledged: usize,
    /// How many of the commits are there.
    pub kept: usize,
    /// What the first opening had to do.
    pub mended: Mended,
    /// How it was survived.
    pub outcome: Outcome,
}

/// What must be there, for any time of a cut.
#[derive(Debug)]
pub struct Expected {
    opened: u64,
    /// Commits in their order.
    order: Vec<Fact>,
    places: HashMap<String, usize>,
    /// What each key is set to by which commit, in order.
    history: BTreeMap<String, Vec<(usize, Option<Digest>)>>,
    large: Vec<Large>,
    /// What was sealed as the record of each writer, in the order of its events.
    records: BTreeMap<u32, Vec<(Fact, Digest)>>,
}

/// Something beside the log: a blob or the secrets of an operation.
#[derive(Debug)]
struct Large {
    fact: Fact,
    what: What,
    /// Nobody else stores the same, and so it may be deleted.
    own: bool,
}

#[derive(Debug)]
enum What {
    Blob(Digest),
    Sealed(Uuid, Digest),
}

impl Expected {
    /// Makes it from what happened.
    #[must_use]
    pub fn new(facts: &Facts) -> Expected {
        let mut order: Vec<Fact> = facts.facts.iter().filter(|fact| fact.sequence.is_some()).cloned().collect();
        order.sort_by_key(|fact| fact.sequence);
        let mut history: BTreeMap<String, Vec<(usize, Option<Digest>)>> = BTreeMap::new();
        for (place, fact) in order.iter().enumerate() {
            for (key, value) in facts.plan.event(fact.writer, fact.number).changes {
                history.entry(key).or_default().push((place, value.map(|value| Digest::of(&value))));
            }
        }
        let places = order.iter().enumerate();
        let places = places.map(|(place, fact)| (events::name(fact.writer, fact.number), place)).collect();
        let (mut all, mut large) = (facts.facts.clone(), Vec::new());
        all.sort_by_key(|fact| (fact.writer, fact.number));
        let mut records: BTreeMap<u32, Vec<(Fact, Digest)>> = BTreeMap::new();
        for fact in all {
            large.extend(large_of(&facts.plan, &fact));
            if let Some(text) = facts.plan.event(fact.writer, fact.number).record {
                records.entry(fact.writer).or_default().push((fact, Digest::of(text.as_bytes())));
            }
        }
        Expected { opened: facts.opened, order, places, history, large, records }
    }

    /// How many commits were acknowledged before a time.
    #[must_use]
    pub fn acknowledged(&self, cut: u64) -> usize {
        self.order.iter().filter(|fact| fact.acknowledged < cut).count()
    }

    /// Judges what was found after a cut at a time: how many commits are there, and whether all is as it must be.
    #[must_use]
    pub fn judge(&self, found: &Found, mended: Mended, cut: u64) -> (usize, Outcome) {
        let kept = match &found.last {
            None => 0,
            Some(last) => match self.places.get(last) {
                Some(place) => place + 1,
                None => return (0, Outcome::Half(format!("the last event is `{last}`, which was never committed"))),
            },
        };
        let lost = self.order.iter().skip(kept).filter(|fact| fact.acknowledged < cut).count();
        let outcome = if mended.created && self.opened < cut {
            Outcome::Lost(lost.max(1), "the whole store is gone".to_owned())
        } else if lost > 0 {
            Outcome::Lost(lost, format!("{lost} acknowledged commits, the first after `{:?}`", found.last))
        } else if let Some(fact) = self.order.iter().take(kept).find(|fact| fact.submitted >= cut) {
            Outcome::Half(format!("{fact:?} is there, and was not submitted before the cut at {cut}"))
        } else if let Err(why) = self.entries(found, kept) {
            Outcome::Half(format!("of {kept} commits: {why}"))
        } else {
            match self.large(found, cut).and_then(|()| self.records(found, cut)) {
                Ok(()) => Outcome::Whole,
                Err(outcome) => outcome,
            }
        };
        (kept, outcome)
    }

    fn entries(&self, found: &Found, kept: usize) -> Result<(), String> {
        let mut count = 0;
        for (key, changes) in &self.history {
            let latest = changes.iter().rev().find(|(place, _)| *place < kept);
            let wanted = latest.and_then(|(place, digest)| Some((*place, (*digest)?)));
            match (wanted, found.entries.get(key)) {
                (None, None) => continue,
                (None, Some(_)) => return Err(format!("{key} is there, and should not be")),
                (Some(_), None) => return Err(format!("{key} is not there")),
                (Some((_, digest)), Some((other, _))) if digest != *other => {
                    return Err(format!("{key} has another value"));
                }
                (Some((place, _)), Some((_, version))) => {
                    let sequence = self.order.get(place).and_then(|fact| fact.sequence);
                    if version.is_some() && *version != sequence {
                        return Err(format!("{key} has version {version:?} instead of {sequence:?}"));
                    }
                    count += 1;
                }
            }
        }
        let others = found.entries.len() - count;
        if others == 0 { Ok(()) } else { Err(format!("{others} keys are there that nobody put")) }
    }

    fn large(&self, found: &Found, cut: u64) -> Result<(), Outcome> {
        let (mut blobs, mut sealed) = (found.blobs.clone(), found.sealed.clone());
        for Large { fact, what, own } in &self.large {
            let (there, name) = match what {
                What::Blob(digest) => (found.blobs.contains(digest), format!("blob {digest}")),
                What::Sealed(operation, wanted) => match found.sealed.get(operation) {
                    Some(digest) if digest != wanted => {
                        return Err(Outcome::Half(format!("the sealed secrets of {operation} are others")));
                    }
                    found => (found.is_some(), format!("sealed file {operation}")),
                },
            };
            if fact.prepared < cut && fact.forgetting >= cut && !there {
                return Err(Outcome::Lost(1, format!("{name} of {fact:?}")));
            }
            if fact.forgotten < cut && there {
                return Err(Outcome::Half(format!("{name} is there again, and was deleted: {fact:?}")));
            }
            if fact.preparing >= cut && there && *own {
                return Err(Outcome::Half(format!("{name} is there, and was not stored before the cut: {fact:?}")));
            }
            match what {
                What::Blob(digest) => drop(blobs.remove(digest)),
                What::Sealed(operation, _) => drop(sealed.remove(operation)),
            }
        }
        match blobs.len() + sealed.len() {
            0 => Ok(()),
            others => Err(Outcome::Half(format!("{others} blobs or sealed files are there that nobody stored"))),
        }
    }

    /// A record is what was sealed last, or what was just being sealed instead.
    fn records(&self, found: &Found, cut: u64) -> Result<(), Outcome> {
        for (writer, sealed) in &self.records {
            let (mut done, mut doing) = (None, None);
            for (fact, digest) in sealed.iter().filter(|(fact, _)| fact.preparing < cut) {
                if fact.prepared < cut { done = Some(*digest) } else { doing = Some(*digest) }
            }
            let there = found.records.get(&record_name(*writer)).copied();
            if there != done && (there.is_none() || there != doing) {
                let name = record_name(*writer);
                return Err(match there {
                    None => Outcome::Lost(1, format!("the sealed record {name}")),
                    Some(_) => Outcome::Half(format!("the sealed record {name} is neither the last nor the next")),
                });
            }
        }
        Ok(())
    }
}

fn large_of(plan: &Plan, fact: &Fact) -> Vec<Large> {
    let event = plan.event(fact.writer, fact.number);
    let own = plan.own(fact.writer, fact.number).0;
    let blobs = event.blobs.iter().map(|blob| (What::Blob(Digest::of(blob)), own.contains(blob)));
    let sealed = event.sealed.iter().map(|(id, text)| (What::Sealed(*id, Digest::of(text.as_bytes())), true));
    let large = blobs.chain(sealed).map(|(what, own)| match own {
        true => Large { fact: fact.clone(), what, own },
        // What others store too is not deleted with the event's own.
        false => Large { fact: Fact { forgetting: NEVER, forgotten: NEVER, ..fact.clone() }, what, own },
    });
    large.collect()
}
