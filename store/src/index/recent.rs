//! What the last commits changed and sled does not know yet.

use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;

use sled::IVec;

use crate::log::recover::Place;

/// What a group of commits makes of keys: an entry, or `None` for a deleted key.
pub(crate) type Changes = HashMap<Vec<u8>, Option<Vec<u8>>>;

/// Changes, in the order of keys, and how far in the log they go.
pub(crate) struct Recent {
    pub(crate) changes: BTreeMap<Vec<u8>, Option<IVec>>,
    /// How far the index as a whole goes.
    pub(crate) place: Place,
    /// Whether sled knows everything.
    pub(crate) settled: bool,
}

impl Recent {
    /// Nothing is recent: sled knows everything up to this place.
    pub(crate) fn settled(place: Place) -> Recent {
        Recent { changes: BTreeMap::new(), place, settled: true }
    }

    pub(crate) fn learn(&mut self, changes: Changes, place: Place) {
        self.changes.extend(changes.into_iter().map(|(key, entry)| (key, entry.map(IVec::from))));
        self.place = place;
        self.settled = false;
    }
}

/// Entries of the tree and recent changes as one, in the order of keys. A recent change hides what the tree has.
pub(crate) struct Merged<T: Iterator, R: Iterator> {
    tree: Peekable<T>,
    recent: Peekable<R>,
}

impl<T: Iterator, R: Iterator> Merged<T, R> {
    pub(crate) fn new(tree: T, recent: R) -> Merged<T, R> {
        Merged { tree: tree.peekable(), recent: recent.peekable() }
    }
}

impl<'a, T, R> Iterator for Merged<T, R>
where
    T: Iterator<Item = sled::Result<(IVec, IVec)>>,
    R: Iterator<Item = (&'a Vec<u8>, &'a Option<IVec>)>,
{
    type Item = sled::Result<(Vec<u8>, IVec)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let recent_first = match (self.tree.peek(), self.recent.peek()) {
                (Some(Ok((old, _))), Some((new, _))) if old.as_ref() == new.as_slice() => {
                    self.tree.next();
                    true
                }
                (Some(Ok((old, _))), Some((new, _))) => new.as_slice() < old.as_ref(),
                (Some(_), _) => false, // an error comes out at once
                (None, _) => true,
            };
            if !recent_first {
                return self.tree.next().map(|item| item.map(|(key, entry)| (key.to_vec(), entry)));
            }
            if let (key, Some(entry)) = self.recent.next()? {
                return Some(Ok((key.clone(), entry.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_changes_hide_and_join_what_the_tree_has() {
        let mut random = fastrand::Rng::with_seed(2);
        for _ in 0..500 {
            let mut key = || vec![b'a' + random.u8(..8)];
            let tree: BTreeMap<Vec<u8>, IVec> = (0..5).map(|_| (key(), IVec::from("old"))).collect();
            let changed: Vec<Vec<u8>> = (0..5).map(|_| key()).collect();
            let recent: BTreeMap<_, _> =
                changed.into_iter().map(|key| (key, random.bool().then(|| IVec::from("new")))).collect();
            let mut expected = tree.clone();
            for (key, entry) in &recent {
                match entry {
                    Some(entry) => drop(expected.insert(key.clone(), entry.clone())),
                    None => drop(expected.remove(key)),
                }
            }
            let tree = tree.into_iter().map(|(key, entry)| Ok((IVec::from(key), entry)));
            let merged: BTreeMap<_, _> = Merged::new(tree, recent.iter()).map(Result::unwrap).collect();
            assert_eq!(merged, expected);
        }
    }
}
