//! Many cuts of several kinds of stores, and what came of them.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::child::{Done, Order};
use super::configuration::Configuration;
use super::cut::{Cutter, Mode, Place};
use super::disk::Entry;
use super::drive::Drive;
use super::events::{GROWING, Plan, Shape};
use super::facts::Facts;
use super::image::Image;
use super::judge::{Outcome, Verdict};
use super::subject::{Kind, Mended};
use super::worker::Worker;

/// Cuts of one recovery.
const OF_A_RECOVERY: usize = 10;
/// Of so many failures of one configuration the disks are kept.
const KEPT: usize = 3;

/// What came of a configuration's cuts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Cuts made.
    pub cuts: usize,
    /// Cuts after which everything was as it must be.
    pub survived: usize,
    /// Commits that were acknowledged before their cut, over all cuts.
    pub acknowledged: usize,
    /// Of these (and of blobs and sealed files) how many were not there.
    pub lost: usize,
    /// Cuts after which something was there in part, or that should not be there.
    pub half: usize,
    /// Cuts after which it did not open.
    pub unopened: usize,
    /// Cuts after which an interrupted write was cut off.
    pub torn: usize,
    /// Cuts after which the index was made again.
    pub rebuilt: usize,
    /// What the disk was told while it was cut: writes and flushes.
    pub told: usize,
    /// The first failures: which cut, and why.
    pub failures: Vec<(String, Outcome)>,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: Tally) {
        self.cuts += other.cuts;
        self.survived += other.survived;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.half += other.half;
        self.unopened += other.unopened;
        self.torn += other.torn;
        self.rebuilt += other.rebuilt;
        self.told += other.told;
        self.failures.extend(other.failures);
    }

    fn count(&mut self, verdict: &Verdict) {
        let Verdict { acknowledged, mended: Mended { torn, rebuilt, .. }, outcome, .. } = verdict;
        self.cuts += 1;
        self.acknowledged += acknowledged;
        self.torn += usize::from(*torn);
        self.rebuilt += usize::from(*rebuilt);
        match outcome {
            Outcome::Whole => self.survived += 1,
            Outcome::Lost(count, _) => self.lost += count,
            Outcome::Half(_) => self.half += 1,
            Outcome::Unopened(_) => self.unopened += 1,
        }
    }
}

/// What is needed to check a kept disk again, besides the disk and the facts.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    kind: Kind,
    cut: u64,
    mode: String,
    verdict: Verdict,
}

/// One round after the other, each with a disk of its own.
#[derive(Debug)]
pub struct Lane<'a> {
    worker: Worker,
    folder: PathBuf,
    run: u32,
    seed: u64,
    images: &'a Images,
    /// Distinguishes the files of facts.
    facts: usize,
}

/// A journal that is to be cut, and what is known of it.
struct Recording<'a> {
    facts: &'a Facts,
    before: Image,
    journal: &'a [Entry],
}

impl<'a> Lane<'a> {
    /// One that uses a folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: PathBuf, run: u32, seed: u64, images: &'a Images) -> Result<Lane<'a>, String> {
        Ok(Lane { worker: Worker::new(&folder)?, folder, run, seed, images, facts: 0 })
    }

    /// Makes a store, cuts it so many times, and judges what is left.
    ///
    /// # Errors
    /// When there is nothing to judge: the workload fails, or something is missing on this machine.
    pub fn round(&mut self, configuration: &Configuration, round: usize, cuts: usize) -> Result<Tally, String> {
        let name = format!("{}.{round}", configuration.name);
        let mut random = Rng::with_seed(self.seed ^ u64::from(crc32c::crc32c(name.as_bytes())) << 32);
        let plan = Plan { seed: random.u64(..), ..configuration.plan };
        let before = self.images.empty(configuration.disk_mib, &self.folder)?;
        let drive = Drive::attach(&self.folder.join("disk"), self.run, before.clone())?;
        let facts = match self.worker.ask(&drive.device, configuration.kind, Order::Work(plan))? {
            Done::Worked(facts) => facts,
            other => return Err(format!("the workload of {name} fails: {other:?}")),
        };
        let journal = drive.disk.take_journal();
        let recording = Recording { facts: &facts, before, journal: &journal };
        if configuration.of_recovery {
            return self.recoveries(configuration, &name, &drive, recording, cuts, &mut random);
        }
        let mut places = places(&recording, cuts, &mut random);
        places.sort_unstable();
        self.cuts(configuration, &name, &drive, recording, &places, &mut random)
    }

    /// Cuts, opens what is left on a disk that is recorded again, and cuts that recording.
    fn recoveries(
        &mut self,
        configuration: &Configuration,
        name: &str,
        drive: &Drive,
        recording: Recording<'_>,
        cuts: usize,
        random: &mut Rng,
    ) -> Result<Tally, String> {
        let mut tally = Tally::default();
        let mut first = places(&recording, cuts.div_ceil(OF_A_RECOVERY), random);
        first.sort_unstable();
        let Recording { facts, before, journal } = recording;
        let facts_path = self.write(facts)?;
        let mut cutter = Cutter::new(before, journal);
        for (number, place) in first.into_iter().enumerate() {
            let mode = Mode::ALL[random.usize(..Mode::ALL.len())];
            let (image, time) = (cutter.cut(place, mode, random), place.time(journal));
            drive.disk.insert(image.clone());
            let order = Order::Recover(facts_path.clone(), time, number as u64);
            let (opened, kept, more) = match self.worker.ask(&drive.device, configuration.kind, order) {
                Ok(Done::Recovered(verdict, opened, more)) => (opened, verdict.kept, more),
                Ok(Done::Checked(verdict)) => {
                    let kept = Kept { kind: configuration.kind, cut: time, mode: format!("{mode:?}"), verdict };
                    self.count(&mut tally, configuration, &format!("{name}.{number}"), &image, &facts_path, kept)?;
                    continue;
                }
                Ok(other) => return Err(format!("a recovery of {name} fails: {other:?}")),
                Err(why) => return Err(format!("a recovery of {name} fails: {why}")),
            };
            let journal = drive.disk.take_journal();
            let mut facts = facts.after_recovery(time, opened, kept);
            facts.facts.extend(more);
            let again = Recording { facts: &facts, before: image, journal: &journal };
            let mut places = places(&again, OF_A_RECOVERY.min(cuts - tally.cuts.min(cuts)), random);
            places.sort_unstable();
            tally.add(self.cuts(configuration, &format!("{name}.{number}"), drive, again, &places, random)?);
        }
        Ok(tally)
    }

    fn cuts(
        &mut self,
        configuration: &Configuration,
        name: &str,
        drive: &Drive,
        recording: Recording<'_>,
        places: &[Place],
        random: &mut Rng,
    ) -> Result<Tally, String> {
        let Recording { facts, before, journal } = recording;
        let facts = self.write(facts)?;
        let mut tally = Tally { told: journal.len(), ..Tally::default() };
        let mut cutter = Cutter::new(before, journal);
        let shift = random.usize(..Mode::ALL.len());
        for (number, place) in places.iter().enumerate() {
            let mode = Mode::ALL[(number + shift) % Mode::ALL.len()];
            let (image, cut) = (cutter.cut(*place, mode, random), place.time(journal));
            let verdict = self.check(configuration.kind, drive, image.clone(), &facts, cut)?;
            let kept = Kept { kind: configuration.kind, cut, mode: format!("{mode:?}"), verdict };
            self.count(&mut tally, configuration, &format!("{name}.{number}"), &image, &facts, kept)?;
        }
        Ok(tally)
    }

    fn check(&mut self, kind: Kind, drive: &Drive, image: Image, facts: &Path, cut: u64) -> Result<Verdict, String> {
        drive.disk.insert(image);
        match self.worker.ask(&drive.device, kind, Order::Check(facts.to_owned(), cut)) {
            Ok(Done::Checked(verdict)) => Ok(verdict),
            Ok(other) => Err(format!("a check fails: {other:?}")),
            Err(why) => {
                let outcome = Outcome::Unopened(why);
                Ok(Verdict { acknowledged: 0, kept: 0, mended: Mended::default(), outcome })
            }
        }
    }

    fn count(
        &self,
        tally: &mut Tally,
        configuration: &Configuration,
        cut: &str,
        image: &Image,
        facts: &Path,
        kept: Kept,
    ) -> Result<(), String> {
        tally.count(&kept.verdict);
        if kept.verdict.outcome != Outcome::Whole && tally.failures.len() < KEPT {
            let name = format!("{}:{cut}", self.seed);
            tally.failures.push((name.clone(), kept.verdict.outcome.clone()));
            if configuration.must_survive {
                let folder = kept_folder().join(name);
                let kept = serde_json::to_string_pretty(&kept).map_err(|error| error.to_string())?;
                fs::create_dir_all(&folder)
                    .and_then(|()| image.save(&folder.join("image")))
                    .and_then(|()| fs::copy(facts, folder.join("facts.json")))
                    .and_then(|_| fs::write(folder.join("cut.json"), kept))
                    .map_err(|error| format!("cannot keep a disk in {}: {error}", folder.display()))?;
            }
        }
        Ok(())
    }

    /// Checks a kept disk again.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn replay(&mut self, name: &str) -> Result<Verdict, String> {
        let folder = kept_folder().join(name);
        let failed = |error| format!("no disk was kept in {}: {error}", folder.display());
        let kept = fs::read(folder.join("cut.json")).map_err(failed)?;
        let kept: Kept = serde_json::from_slice(&kept).map_err(|error| error.to_string())?;
        let image = Image::load(&folder.join("image")).map_err(failed)?;
        let drive = Drive::attach(&self.folder.join("disk"), self.run, image.clone())?;
        self.check(kept.kind, &drive, image, &folder.join("facts.json"), kept.cut)
    }

    fn write(&mut self, facts: &Facts) -> Result<PathBuf, String> {
        self.facts += 1;
        let path = self.folder.join(format!("facts-{}.json", self.facts));
        let text = serde_json::to_string(facts).map_err(|error| error.to_string())?;
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(path)
    }
}

/// Where disks are kept that did not survive.
fn kept_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/powercut")
}

/// Where to cut. Some of the cuts are in the making of the store, and half of them in compactions, where there are any; a
/// grown store is cut only when it has grown.
fn places(recording: &Recording<'_>, count: usize, random: &mut Rng) -> Vec<Place> {
    let Recording { facts, journal, .. } = recording;
    let at = |time: u64| journal.partition_point(|entry| entry.at <= time);
    let grown = facts.facts.iter().filter(|fact| fact.number < GROWING).map(|fact| fact.acknowledged).max();
    let all: Range<usize> = match facts.plan.shape {
        Shape::Grown => at(grown.unwrap_or(0))..journal.len(),
        Shape::Fresh | Shape::Churned => 0..journal.len(),
    };
    let making = 0..at(facts.opened);
    let compactions: Vec<Range<usize>> =
        facts.compactions.iter().map(|(begun, ended)| at(*begun)..at(*ended)).collect();
    let draw = |number| match number % 4 {
        0 | 2 if !compactions.is_empty() => {
            let which = random.usize(..compactions.len());
            Place::draw(journal, &compactions[which], random)
        }
        1 if facts.plan.shape != Shape::Grown => Place::draw(journal, &making, random),
        _ => Place::draw(journal, &all, random),
    };
    (0..count).map(draw).collect()
}

/// Empty file systems, each size made once.
#[derive(Debug, Default)]
pub struct Images {
    made: Mutex<Vec<Arc<(u64, Image)>>>,
}

impl Images {
    fn empty(&self, mib: u64, folder: &Path) -> Result<Image, String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = made.iter().find(|image| image.0 == mib) {
            return Ok(image.1.clone());
        }
        let path = folder.join("empty");
        let image = make(mib, &path).map_err(|error| format!("cannot make an ext4 file system: {error}"))?;
        made.push(Arc::new((mib, image.clone())));
        Ok(image)
    }
}

/// A small journal, for its replay is what a check begins with; nothing is left to be zeroed while it is used.
fn make(mib: u64, path: &Path) -> Result<Image, String> {
    fs::File::create(path).and_then(|file| file.set_len(mib << 20)).map_err(|error| error.to_string())?;
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-b", "4096", "-m", "0", "-N", "4096", "-J", "size=4", "-O", "^resize_inode"])
        .args(["-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"])
        .arg(path)
        .output()
        .map_err(|error| format!("cannot run mkfs.ext4: {error}"))?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    let image = Image::load(path).map_err(|error| error.to_string())?;
    let _ = fs::remove_file(path); // it goes with the folder at the latest
    Ok(image)
}
