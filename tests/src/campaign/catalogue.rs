//! The damage that is done to files, each kind as many times as the campaign is long.

use std::path::Path;

use super::damage::{self, LOG};
use super::fault::{Expect, Fault};
use super::formats;
use super::stored::Stored;

/// Collects faults. `rounds` is how many of each random kind there are.
struct Catalogue<'a> {
    stored: &'a Stored,
    rng: fastrand::Rng,
    rounds: usize,
    faults: Vec<Fault>,
}

/// All of them.
pub fn faults(stored: &Stored, rounds: usize, seed: u64) -> Vec<Fault> {
    let mut all = Catalogue { stored, rng: fastrand::Rng::with_seed(seed), rounds, faults: Vec::new() };
    all.newer();
    all.shortened();
    all.flipped();
    all.lost();
    all.left_behind();
    all.faults
}

impl Catalogue<'_> {
    fn add(
        &mut self,
        kind: &'static str,
        what: impl Into<String>,
        expect: Expect,
        apply: impl Fn(&Path) + Send + Sync + 'static,
    ) {
        let apply = Box::new(apply);
        self.faults.push(Fault { kind, what: what.into(), expect, after_kill: false, apply });
    }

    fn touches(&self, names: &[&str], words: &'static str) -> Expect {
        Expect::Touches(self.stored.ids(names), words)
    }

    fn file(&self, name: &str) -> Vec<u8> {
        damage::bytes(self.stored.anneal.data(), name)
    }

    /// One of the files below a part of the folder.
    fn any_of(&mut self, below: &str) -> String {
        let names = damage::names(self.stored.anneal.data(), below);
        self.rng.choice(names).expect("a file")
    }

    fn newer(&mut self) {
        const KIND: &str = "a newer format version";
        self.add(KIND, "MANIFEST", Expect::Refused("format 9"), |data| {
            let text = String::from_utf8_lossy(&damage::bytes(data, "MANIFEST")).into_owned();
            let (_, rest) = text.split_once('\n').expect("a manifest has lines");
            damage::leave(data, "MANIFEST", format!("anneal-store 9\n{rest}").as_bytes());
        });
        self.add(KIND, "a segment", Expect::Refused("format 9"), formats::segment);
        let frames = damage::frames(&self.file(LOG)).len();
        for which in [0, frames / 2, frames - 1] {
            self.add(KIND, format!("frame {which}"), Expect::Refused("format 9"), move |data| {
                formats::frame(data, which);
            });
        }
        for name in ["whole", "mend", "slow"] {
            let id = self.stored.names[name].clone();
            let events = self.stored.known[&id].journal.len() as u64;
            let touched = self.touches(&[name], "format 9");
            let one = id.clone();
            self.add(KIND, format!("the journal of {name}"), touched.clone(), move |data| formats::journal(data, &one));
            let one = id.clone();
            self.add(KIND, format!("the plan of {name}"), touched, move |data| formats::plan(data, &one));
            let touched = self.touches(&[name], "newer");
            self.add(KIND, format!("an event of {name}"), touched, move |data| formats::event(data, &id, events));
        }
    }

    fn shortened(&mut self) {
        const KIND: &str = "a shortened log";
        let log = self.file(LOG);
        let (frames, end) = (damage::frames(&log), damage::written(&log));
        let last = frames[frames.len() - 1];
        let mut lengths = vec![0, 1, 63, 64, 65, last - 1, last, last + 1, last + 51, end - 1];
        lengths.extend((0..self.rounds).map(|_| self.rng.usize(64..end)));
        for len in lengths {
            self.add(KIND, format!("{len} of {end} bytes"), Expect::Any, move |data| damage::cut(data, LOG, len));
        }
        const TORN: &str = "a torn write at the end of the log, after a kill";
        let log = std::fs::read(self.stored.killed.join(LOG)).expect("a log");
        let (end, frames) = (damage::written(&log), damage::frames(&log));
        for round in 0..self.rounds {
            // A part of an earlier frame, or anything, where the next frame would have begun.
            let len = self.rng.usize(1..200);
            let torn = match round % 2 {
                0 => log[frames[frames.len() / 2]..][..len].to_vec(),
                _ => (0..len).map(|_| self.rng.u8(1..)).collect(),
            };
            self.add(TORN, format!("{len} bytes at {end}"), Expect::Fine, move |data| {
                let mut log = damage::bytes(data, LOG);
                log.truncate(end);
                log.extend(&torn);
                damage::leave(data, LOG, &log);
            });
            self.faults.last_mut().expect("a fault").after_kill = true;
        }
    }

    fn flipped(&mut self) {
        let end = damage::written(&self.file(LOG));
        for _ in 0..self.rounds * 3 {
            let bit = self.rng.usize(0..end * 8);
            self.flip("a flipped bit in the log", LOG.to_owned(), bit, Expect::Any);
        }
        let killed = std::fs::read(self.stored.killed.join(LOG)).expect("a log");
        // Nothing can show that the last commit before a kill was acknowledged (docs of `store`): it is left alone.
        let last = *damage::frames(&killed).last().expect("a frame");
        for _ in 0..self.rounds * 2 {
            let bit = self.rng.usize(0..last * 8);
            self.flip("a flipped bit in the log, after a kill", LOG.to_owned(), bit, Expect::Any);
            self.faults.last_mut().expect("a fault").after_kill = true;
        }
        let manifest = self.file("MANIFEST").len();
        let key = self.file("key").len();
        for _ in 0..self.rounds {
            let bit = self.rng.usize(0..manifest * 8);
            self.flip("a flipped bit in MANIFEST", "MANIFEST".to_owned(), bit, Expect::Refused("MANIFEST"));
            let bit = self.rng.usize(0..key * 8);
            let touched = self.touches(&["mend"], "key");
            self.flip("a flipped bit in the key", "key".to_owned(), bit, touched);
            let secrets = self.any_of("secrets");
            let bit = self.rng.usize(0..self.file(&secrets).len() * 8);
            let touched = self.touches(&["mend"], "secrets/");
            self.flip("a flipped bit in sealed secrets", secrets, bit, touched);
            let blob = self.any_of("blobs");
            let bit = self.rng.usize(0..self.file(&blob).len() * 8);
            let touched = self.touches(&["whole", "undo", "mend", "slow"], "blob");
            self.flip("a flipped bit in a blob", blob, bit, touched);
            let index = self.any_of("index");
            let bit = self.rng.usize(0..self.file(&index).len() * 8);
            self.flip("a flipped bit in the index", index, bit, Expect::Fine);
        }
    }

    fn flip(&mut self, kind: &'static str, name: String, bit: usize, expect: Expect) {
        self.add(kind, format!("bit {bit} of {name}"), expect, move |data| damage::flip(data, &name, bit));
    }

    fn lost(&mut self) {
        const KIND: &str = "a lost file or folder";
        let all = ["whole", "undo", "mend", "slow"];
        let mend = |what: &Self, words| what.touches(&["mend"], words);
        let cases = [
            ("index", Expect::Noted("rebuilt the index")),
            ("MANIFEST", Expect::Refused("MANIFEST")),
            (LOG, Expect::Refused("00000001.log")),
            ("log", Expect::Refused("log")),
            ("key", mend(self, "key")),
            ("secrets", mend(self, "secrets")),
            ("blobs", self.touches(&all, "blob")),
            ("lock", Expect::Fine),
        ];
        for (name, expect) in cases {
            self.add(KIND, name, expect, move |data| damage::lose(data, name));
        }
        let (secret, touched) = (self.any_of("secrets"), mend(self, "secrets/"));
        self.add(KIND, secret.clone(), touched, move |data| damage::lose(data, &secret));
        for _ in 0..self.rounds {
            let (blob, touched) = (self.any_of("blobs"), self.touches(&all, "blob"));
            self.add(KIND, blob.clone(), touched, move |data| damage::lose(data, &blob));
        }
        const SHORT: &str = "a shortened file that is not the log";
        for _ in 0..self.rounds {
            let index = self.any_of("index");
            let len = self.rng.usize(0..self.file(&index).len());
            self.add(SHORT, format!("{index} to {len}"), Expect::Fine, move |data| damage::cut(data, &index, len));
            let blob = self.any_of("blobs");
            let len = self.rng.usize(0..self.file(&blob).len());
            let touched = self.touches(&all, "blob");
            self.add(SHORT, format!("{blob} to {len}"), touched, move |data| damage::cut(data, &blob, len));
        }
        for (name, expect) in [("MANIFEST", Expect::Refused("MANIFEST")), ("key", mend(self, "key"))] {
            let len = self.rng.usize(0..self.file(name).len());
            self.add(SHORT, format!("{name} to {len}"), expect, move |data| damage::cut(data, name, len));
        }
    }

    fn left_behind(&mut self) {
        const KIND: &str = "files left behind";
        for name in [
            "MANIFEST.tmp",
            "key.tmp",
            "log/1/00000002.log.tmp",
            "blobs/ab/cdef.tmp",
            "secrets/one.tmp",
            "secrets/records/one.tmp",
        ] {
            self.add(KIND, name, Expect::Fine, move |data| damage::leave(data, name, b"half of something"));
        }
        self.add(KIND, "index/snap.0000000000001234.generating", Expect::Fine, |data| {
            damage::leave(data, "index/snap.0000000000001234.generating", b"half of a snapshot");
        });
        let snapshot = damage::names(self.stored.anneal.data(), "index");
        if let Some(snapshot) = snapshot.into_iter().find(|name| name.starts_with("index/snap.")) {
            let half = self.file(&snapshot).len() / 2;
            self.add(KIND, format!("half of {snapshot}"), Expect::Fine, move |data| damage::cut(data, &snapshot, half));
        }
        const SOCKET: &str = "a socket left behind";
        self.add(SOCKET, "of a process that is gone", Expect::Fine, damage::leave_socket);
        self.add(SOCKET, "a file of its name", Expect::Fine, |data| damage::leave(data, "anneal.sock", b"no socket"));
    }
}
