//! Random use against a map: commits, conflicts, scans, clean ends, crashes, torn writes, compactions and copies. A failure prints its seed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use fastrand::Rng;
use store::{Batch, ErrorKind, IndexState, Options, Store};
use tempfile::TempDir;

use crate::common::{Content, Gate, content, folder, image, log_bytes_of};

struct World {
    random: Rng,
    /// Holds the store's folder, or is it.
    dir: TempDir,
    root: PathBuf,
    gate: Gate,
    store: Option<Store>,
    model: Content,
    versions: BTreeMap<Vec<u8>, u64>,
}

impl World {
    fn new(seed: u64) -> World {
        let (mut random, dir, gate) = (Rng::with_seed(seed), folder(), Gate::default());
        let options = options(&gate, &mut random);
        let store = Store::open_with(dir.path(), &options).unwrap().store;
        let root = dir.path().to_owned();
        World { random, dir, root, gate, store: Some(store), model: Content::new(), versions: BTreeMap::new() }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn key(&mut self) -> Vec<u8> {
        format!("{}/{}", ["a", "b", ""][self.random.usize(..3)], self.random.u32(..30)).into_bytes()
    }

    /// A batch and what it makes of the model.
    fn batch(&mut self, model: &Content) -> (Batch, Content) {
        let (mut batch, mut model) = (Batch::new(Some([self.random.u8(..); 16])), model.clone());
        for _ in 0..self.random.usize(1..6) {
            let key = self.key();
            if self.random.u8(..4) == 0 {
                batch = batch.delete(&key);
                model.remove(&key);
            } else {
                let size = [0, 10, 64, 65, 600, 5000][self.random.usize(..6)];
                let value = vec![self.random.u8(..); size];
                batch = batch.put(&key, &value);
                model.insert(key, value);
            }
        }
        (batch, model)
    }

    fn commit(&mut self) {
        let model = self.model.clone();
        let (mut batch, after) = self.batch(&model);
        let mut holds = true;
        let mut first = None;
        for _ in 0..self.random.usize(..3) {
            let key = self.key();
            let version = self.versions.get(&key).copied();
            let met = match self.random.u8(..3) {
                0 => {
                    batch = batch.expect_absent(&key);
                    version.is_none()
                }
                1 => {
                    batch = batch.expect_version(&key, version.unwrap_or(1));
                    version.is_some()
                }
                _ => {
                    batch = batch.expect_version(&key, version.unwrap_or(0) + 1);
                    false
                }
            };
            if holds && !met {
                holds = false;
                first = Some(key);
            }
        }
        match self.store().commit_blocking(batch) {
            Ok(_) => {
                assert!(holds);
                self.model = after;
                self.read_versions();
            }
            Err(error) => assert_eq!(error.kind(), &ErrorKind::Conflict { key: first.unwrap() }),
        }
    }

    fn read_versions(&mut self) {
        let found = self.store().walk(b"").map(Result::unwrap).map(|(key, found)| (key, found.version));
        self.versions = found.collect();
    }

    fn check(&mut self) {
        assert_eq!(content(self.store()), self.model);
        let key = self.key();
        assert_eq!(self.store().get(&key).unwrap().map(|found| found.value), self.model.get(&key).cloned());
        let after = self.key();
        let page = self.store().keys(b"a/", Some(&after), 3).unwrap();
        let wanted: Vec<_> =
            self.model.keys().filter(|key| key.starts_with(b"a/") && **key > after).take(3).cloned().collect();
        assert_eq!(page, wanted);
    }

    fn reopen(&mut self) {
        self.store = None;
        self.open(None);
    }

    fn open(&mut self, possible: Option<Vec<Content>>) {
        if self.random.u8(..5) == 0 {
            let _ = fs::remove_dir_all(self.root.join("index"));
        }
        let options = options(&self.gate, &mut self.random);
        let opened = Store::open_with(&self.root, &options).unwrap();
        assert!(opened.report.damaged.is_empty());
        let found = content(&opened.store);
        match possible {
            None => assert_eq!(opened.report.torn, None),
            Some(possible) => {
                assert!(possible.contains(&found), "neither before nor after a commit of the group");
                self.model = found.clone();
            }
        }
        assert_eq!(found, self.model);
        let _ = matches!(opened.report.index, IndexState::Kept);
        self.store = Some(opened.store);
        self.read_versions();
    }

    /// A compaction changes nothing that can be seen, versions neither.
    fn compact(&mut self) {
        let done = self.store().compact_blocking().unwrap();
        assert_eq!(done.entries, self.model.len() as u64);
        assert_eq!(content(self.store()), self.model);
        let versions = self.versions.clone();
        self.read_versions();
        assert_eq!(self.versions, versions);
    }

    /// The store is lost, and goes on as a backup or an export of it.
    fn copy(&mut self) {
        let dir = folder();
        if self.random.bool() {
            self.store().backup(&dir.path().join("backup"), 0).unwrap();
            self.store = None;
            store::restore(&dir.path().join("backup"), &dir.path().join("data")).unwrap();
        } else {
            let mut text = Vec::new();
            self.store().export(&mut text, 0).unwrap();
            self.store = None;
            store::import(&mut &text[..], &dir.path().join("data")).unwrap();
        }
        let versions = self.versions.clone();
        self.root = dir.path().join("data");
        self.dir = dir;
        self.open(None);
        assert_eq!(self.versions, versions);
        assert!(self.store().held().is_some());
    }

    /// Where the log is now.
    fn generation(&self) -> PathBuf {
        let log = self.root.join("log");
        let mut names = fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path());
        let name = names.next().unwrap();
        assert_eq!(names.next(), None, "one generation");
        name
    }

    /// The process dies; everything is flushed.
    fn crash(&mut self) {
        let image = image(&self.root);
        self.store = None;
        self.root = image.path().to_owned();
        self.dir = image;
        self.open(None);
    }

    /// The power goes while a group is written: any part of it is on the disk.
    fn cut(&mut self) {
        let (batch, after) = self.batch(&self.model.clone());
        let mut possible = vec![after];
        let mut rest = Vec::new();
        for _ in 0..self.random.usize(1..5) {
            let (batch, after) = self.batch(&possible.last().unwrap().clone());
            rest.push(batch);
            possible.push(after);
        }
        // The first one is a group of its own and was acknowledged.
        let number = fs::read_dir(self.generation()).unwrap().count() as u64;
        let path = self.generation().join(format!("{number:08}.log"));
        let before = log_bytes_of(&path).len();
        let gate = self.gate.clone();
        let done = gate.group(self.store(), batch, rest);
        assert!(done.iter().all(Result::is_ok));
        let last = fs::read_dir(self.generation()).unwrap().count() as u64;
        if last != number {
            // A new segment was begun in between, so the groups are others than this test made.
            self.model = possible.pop().unwrap();
            self.read_versions();
            return;
        }
        let bytes = log_bytes_of(&path);
        let size = u32::from_le_bytes(bytes[before + 8..before + 12].try_into().unwrap()) as usize;
        let group = before + 52 + size;
        let image = image(&self.root);
        self.store = None;
        self.root = image.path().to_owned();
        self.dir = image;
        // The index was not flushed either; what it has of the group it cannot have had at the cut.
        fs::remove_dir_all(self.root.join("index")).unwrap();
        let mut torn = bytes.clone();
        match self.random.u8(..4) {
            0 => torn.truncate(self.random.usize(group..=bytes.len())),
            1 => torn[group..].fill(0),
            _ => {
                let sector = 512;
                for at in (0..bytes.len()).step_by(sector).filter(|at| at + sector > group) {
                    if self.random.bool() {
                        let end = (at + sector).min(bytes.len());
                        torn[at.max(group)..end].fill(0);
                    }
                }
            }
        }
        fs::write(self.generation().join(path.file_name().unwrap()), torn).unwrap();
        self.open(Some(possible));
    }
}

fn options(gate: &Gate, random: &mut Rng) -> Options {
    Options { segment_bytes: [3000, 100_000, 1 << 26][random.usize(..3)], ..gate.options() }
}

#[test]
fn a_store_is_a_map_whatever_happens_to_it() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("ANNEAL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ANNEAL_SEEDS").unwrap_or(8),
    };
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..150 {
                match world.random.u8(..100) {
                    0..70 => world.commit(),
                    70..82 => world.check(),
                    82..86 => world.reopen(),
                    86..90 => world.crash(),
                    90..94 => world.compact(),
                    94..96 => world.copy(),
                    _ => world.cut(),
                }
            }
            world.check();
        });
        assert!(run.is_ok(), "run again with ANNEAL_SEED={seed}");
    }
}
