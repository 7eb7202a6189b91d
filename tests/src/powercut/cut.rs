//! What a disk may hold after the power was cut: everything up to its last flush, and any part of what it was told since.

use std::ops::Range;

use fastrand::Rng;

use super::disk::{Entry, Told};
use super::image::Image;

/// The block that the superblock is in is the first.
const SUPERBLOCK_END: u64 = 4096;

/// Which of the writes since the last flush survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// None.
    Nothing,
    /// All, in order.
    Everything,
    /// Each or not, by chance.
    Each,
    /// Each or not, in pieces of 4 KiB.
    TornPages,
    /// Each or not, in pieces of 512 bytes.
    TornSectors,
    /// The newest only.
    Newest,
    /// All but one.
    AllButOne,
    /// Each or not, in another order: where two overlap, the older one may be what is left.
    Reordered,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 8] = {
        use Mode::{AllButOne, Each, Everything, Newest, Nothing, Reordered, TornPages, TornSectors};
        [Nothing, Everything, Each, TornPages, TornSectors, Newest, AllButOne, Reordered]
    };
}

/// Where the power is cut: before the entry with this number arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub usize);

impl Place {
    /// A place among these entries: by half of the chances one right before a flush, else of several the one with the most
    /// unflushed writes before it, else any.
    #[must_use]
    pub fn draw(journal: &[Entry], among: &Range<usize>, random: &mut Rng) -> Place {
        let any = |random: &mut Rng| Place(random.usize(among.start..=among.end));
        let first = any(random);
        match random.u8(..4) {
            0 | 1 => {
                let flush = journal[first.0..among.end].iter().position(|entry| matches!(entry.told, Told::Flush));
                Place(flush.map_or(among.end, |steps| first.0 + steps))
            }
            2 => {
                let places = std::iter::repeat_with(|| any(random)).take(8);
                places.max_by_key(|place| place.0 - last_flush(journal, *place)).unwrap_or(first)
            }
            _ => first,
        }
    }

    /// The time of the cut: whatever happened before it, happened.
    #[must_use]
    pub fn time(self, journal: &[Entry]) -> u64 {
        journal.get(self.0).map_or(u64::MAX, |entry| entry.at)
    }
}

/// The disk that the last flush before a place left behind, for places that only grow.
#[derive(Debug)]
pub struct Cutter<'a> {
    journal: &'a [Entry],
    flushed: Image,
    /// How many entries `flushed` has.
    applied: usize,
}

impl<'a> Cutter<'a> {
    /// `before` is what the disk held before the journal began.
    #[must_use]
    pub fn new(before: Image, journal: &'a [Entry]) -> Cutter<'a> {
        Cutter { journal, flushed: before, applied: 0 }
    }

    /// A disk after a cut at a place that is not before the one of the last call.
    pub fn cut(&mut self, place: Place, mode: Mode, random: &mut Rng) -> Image {
        let flush = last_flush(self.journal, place);
        for entry in &self.journal[self.applied.min(flush)..flush] {
            if let Told::Write { offset, bytes } = &entry.told {
                self.flushed.write(*offset, bytes);
            }
        }
        self.applied = self.applied.max(flush);
        let mut image = self.flushed.clone();
        for (offset, bytes) in survivors(&self.journal[flush..place.0], mode, random) {
            image.write(offset, bytes);
        }
        image
    }
}

/// How many entries there are up to and with the last flush before a place.
fn last_flush(journal: &[Entry], place: Place) -> usize {
    let flush = journal[..place.0].iter().rposition(|entry| matches!(entry.told, Told::Flush));
    flush.map_or(0, |at| at + 1)
}

fn survivors<'a>(since: &'a [Entry], mode: Mode, random: &mut Rng) -> Vec<(u64, &'a [u8])> {
    let mut writes: Vec<(u64, &[u8])> = since
        .iter()
        .filter_map(|entry| match &entry.told {
            Told::Write { offset, bytes } => Some((*offset, bytes.as_slice())),
            Told::Flush => None,
        })
        .collect();
    match mode {
        Mode::Nothing => writes.clear(),
        Mode::Everything => {}
        Mode::Each => writes.retain(|_| random.bool()),
        Mode::TornPages => return torn(&writes, 4096, random),
        Mode::TornSectors => return torn(&writes, 512, random),
        Mode::Newest => drop(writes.drain(..writes.len().saturating_sub(1))),
        Mode::AllButOne if writes.is_empty() => {}
        Mode::AllButOne => drop(writes.remove(random.usize(..writes.len()))),
        Mode::Reordered => {
            writes.retain(|_| random.u8(..4) > 0);
            random.shuffle(&mut writes);
        }
    }
    writes
}

fn torn<'a>(writes: &[(u64, &'a [u8])], piece: usize, random: &mut Rng) -> Vec<(u64, &'a [u8])> {
    let pieces = writes.iter().flat_map(|(offset, bytes)| {
        // ext4 relies on its superblock's two sectors being written together, and does not mount otherwise.
        let piece = if *offset < SUPERBLOCK_END { SUPERBLOCK_END as usize } else { piece };
        bytes.chunks(piece).enumerate().map(move |(number, part)| (offset + (number * piece) as u64, part))
    });
    // Mostly lost, mostly kept or half and half: a single hole in much is as telling as a single survivor.
    let kept_of_16 = [1, 8, 15][random.usize(..3)];
    pieces.filter(|_| random.u8(..16) < kept_of_16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(page: u64, value: u8) -> Entry {
        Entry { at: 0, told: Told::Write { offset: page * 4096, bytes: vec![value; 4096] } }
    }

    fn first_bytes(image: &Image) -> [u8; 3] {
        [0, 1, 2].map(|page| {
            let mut byte = [0];
            image.read(page * 4096, &mut byte);
            byte[0]
        })
    }

    /// Page 0 is flushed; pages 1 and 2, and page 0 again, are not.
    #[test]
    fn what_was_flushed_survives_every_cut_and_the_rest_as_the_mode_says() {
        let flush = Entry { at: 0, told: Told::Flush };
        let journal = [write(0, 1), flush, write(1, 2), write(2, 3), write(0, 4)];
        let mut random = Rng::with_seed(3);
        let mut seen = |mode| {
            let mut results: Vec<[u8; 3]> = (0..200)
                .map(|_| first_bytes(&Cutter::new(Image::zeros(3 * 4096), &journal).cut(Place(5), mode, &mut random)))
                .collect();
            results.sort_unstable();
            results.dedup();
            results
        };
        assert_eq!(seen(Mode::Nothing), [[1, 0, 0]]);
        assert_eq!(seen(Mode::Everything), [[4, 2, 3]]);
        assert_eq!(seen(Mode::Newest), [[4, 0, 0]]);
        assert_eq!(seen(Mode::AllButOne), [[1, 2, 3], [4, 0, 3], [4, 2, 0]]);
        for mode in [Mode::Each, Mode::TornPages, Mode::Reordered] {
            assert_eq!(seen(mode).len(), 8, "{mode:?}");
        }
    }

    #[test]
    fn an_older_write_may_be_what_is_left_of_two() {
        let journal = [write(0, 1), write(0, 2)];
        let mut random = Rng::with_seed(4);
        let olds = (0..100).filter(|_| {
            let image = Cutter::new(Image::zeros(4096), &journal).cut(Place(2), Mode::Reordered, &mut random);
            first_bytes(&image)[0] == 1
        });
        assert!(olds.count() > 20);
    }

    #[test]
    fn a_cutter_that_goes_on_gives_what_one_from_the_beginning_gives() {
        let mut random = Rng::with_seed(5);
        let journal: Vec<Entry> = (0..60)
            .map(|_| match random.u8(..3) {
                0 => Entry { at: 0, told: Told::Flush },
                _ => write(random.u64(..3), random.u8(1..)),
            })
            .collect();
        let mut going_on = Cutter::new(Image::zeros(3 * 4096), &journal);
        for place in (0..=journal.len()).map(Place) {
            let one = going_on.cut(place, Mode::Everything, &mut random);
            let other = Cutter::new(Image::zeros(3 * 4096), &journal).cut(place, Mode::Everything, &mut random);
            assert_eq!(first_bytes(&one), first_bytes(&other));
        }
    }
}
