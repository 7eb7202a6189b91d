//! Random use against a map: commits, conflicts, scans, clean ends, crashes and torn writes. A failure prints its seed.

use std::collections::BTreeMap;
use std::fs;

use fastrand::Rng;
use store::{Batch, ErrorKind, IndexState, Options, Store};
use tempfile::TempDir;

use crate::common::{Content, Gate, content, folder, image, log_bytes, segment};

struct World {
    random: Rng,
    dir: TempDir,
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
        World { random, dir, gate, store: Some(store), model: Content::new(), versions: BTreeMap::new() }
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
            let _ = fs::remove_dir_all(self.dir.path().join("index"));
        }
        let options = options(&self.gate, &mut self.random);
        let opened = Store::open_with(self.dir.path(), &options).unwrap();
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

    /// The process dies; everything is flushed.
    fn crash(&mut self) {
        let image = image(self.dir.path());
        self.store = None;
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
        let number = fs::read_dir(self.dir.path().join("log/1")).unwrap().count() as u64;
        let before = log_bytes(self.dir.path(), number).len();
        let gate = self.gate.clone();
        let done = gate.group(self.store(), batch, rest);
        assert!(done.iter().all(Result::is_ok));
        let last = fs::read_dir(self.dir.path().join("log/1")).unwrap().count() as u64;
        if last != number {
            // A new segment was begun in between, so the groups are others than this test made.
            self.model = possible.pop().unwrap();
            self.read_versions();
            return;
        }
        let bytes = log_bytes(self.dir.path(), number);
        let size = u32::from_le_bytes(bytes[before + 8..before + 12].try_into().unwrap()) as usize;
        let group = before + 52 + size;
        let image = image(self.dir.path());
        self.store = None;
        self.dir = image;
        // The index was not flushed either; what it has of the group it cannot have had at the cut.
        fs::remove_dir_all(self.dir.path().join("index")).unwrap();
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
        fs::write(segment(self.dir.path(), number), torn).unwrap();
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
                    0..75 => world.commit(),
                    75..88 => world.check(),
                    88..92 => world.reopen(),
                    92..96 => world.crash(),
                    _ => world.cut(),
                }
            }
            world.check();
        });
        assert!(run.is_ok(), "run again with ANNEAL_SEED={seed}");
    }
}
