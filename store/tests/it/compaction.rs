//! Compaction: what is live stays, with its versions, and nothing else; whatever happens on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use store::{Batch, ErrorKind, IndexState, Options, Step, Store};

use crate::common::{Content, content, folder, get, open, options, put};

pub type Versions = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

pub fn versions(store: &Store) -> Versions {
    store.walk(b"").map(Result::unwrap).map(|(key, found)| (key, (found.value, found.version))).collect()
}

/// Some keys that were put several times, some that were deleted, in several segments, of small and large values.
pub fn fill(store: &Store, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for n in 0..150_u32 {
        let mut batch = Batch::new(Some([random.u8(..); 16]));
        for _ in 0..random.usize(1..6) {
            let key = format!("key/{:03}", random.u32(..120));
            batch = match random.u8(..4) {
                0 => batch.delete(key),
                _ => batch.put(key, vec![n as u8; [0, 10, 64, 65, 900][random.usize(..5)]]),
            };
        }
        store.commit_blocking(batch).unwrap();
    }
}

pub fn small() -> Options {
    Options { segment_bytes: 20_000, ..options() }
}

pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_live_keeps_its_versions_and_all_else_is_gone() {
    let dir = folder();
    let store = Store::open_with(dir.path(), &small()).unwrap().store;
    fill(&store, 1);
    let expected = versions(&store);
    let last = put(&store, "last", "1").sequence;
    store.commit_blocking(Batch::new(None).delete("last")).unwrap();
    for round in 2..5_u64 {
        let done = store.compact_blocking().unwrap();
        assert_eq!(done.entries, expected.len() as u64);
        let live: usize = expected.iter().map(|(key, (value, _))| key.len() + value.len()).sum();
        assert_eq!(done.live_bytes, live as u64);
        assert_eq!(versions(&store), expected);
        assert_eq!(names(&dir.path().join("log")), [round.to_string()]);
        assert_eq!(names(&dir.path().join("index")), [round.to_string()]);
        let log: u64 = fs::read_dir(dir.path().join(format!("log/{round}")))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(log < live as u64 * 2 + 10_000, "{log} bytes for {live}");
        if round == 3 {
            drop(store.clone());
        }
    }
    assert!(put(&store, "more", "1").sequence > last + 1, "sequences go on");
    let expected = versions(&store);
    drop(store);
    for lose_index in [false, true] {
        if lose_index {
            fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
        let opened = Store::open_with(dir.path(), &small()).unwrap();
        assert_eq!(opened.report.index == IndexState::Kept, !lose_index, "{:?}", opened.report);
        assert_eq!(opened.report.damaged, []);
        assert_eq!(versions(&opened.store), expected);
    }
}

#[test]
fn an_empty_store_is_compacted_too() {
    let dir = folder();
    let store = open(dir.path()).store;
    assert_eq!(store.compact_blocking().unwrap().entries, 0);
    put(&store, "a", "1");
    drop(store);
    let opened = open(dir.path());
    assert_eq!(opened.report.notes(), [""; 0]);
    opened.store.commit_blocking(Batch::new(None).delete("a")).unwrap();
    assert_eq!(opened.store.compact_blocking().unwrap().entries, 0);
    drop(opened);
    let opened = open(dir.path());
    assert_eq!((opened.report.notes(), content(&opened.store)), (Vec::new(), Content::new()));
}

#[test]
fn conflicts_are_the_same_after_a_compaction() {
    let dir = folder();
    let store = open(dir.path()).store;
    let first = put(&store, "a", "1");
    let second = put(&store, "b", "2");
    put(&store, "gone", "3");
    store.commit_blocking(Batch::new(None).delete("gone")).unwrap();
    for _ in 0..2 {
        store.compact_blocking().unwrap();
        let try_it = |batch: Batch| store.commit_blocking(batch).map_err(|error| error.kind().clone());
        let conflict = |key: &str| Err(ErrorKind::Conflict { key: key.into() });
        assert_eq!(try_it(Batch::new(None).put("x", "").expect_version("a", second.sequence)), conflict("a"));
        assert_eq!(try_it(Batch::new(None).put("x", "").expect_absent("b")), conflict("b"));
        assert_eq!(try_it(Batch::new(None).put("x", "").expect_version("gone", 3)), conflict("gone"));
        let held = Batch::new(None).expect_version("a", first.sequence).expect_version("b", second.sequence);
        assert!(try_it(held.expect_absent("gone").put("ok", "")).is_ok());
    }
}

#[test]
fn commits_and_reads_go_on_while_it_compacts() {
    let dir = folder();
    let store = Store::open_with(dir.path(), &small()).unwrap().store;
    fill(&store, 3);
    put(&store, "read", vec![b'r'; 500]);
    let ended = AtomicBool::new(false);
    let mut counts = Vec::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (store, ended) = (&store, &ended);
                scope.spawn(move || {
                    let mut version = None;
                    for n in 0_u32.. {
                        if ended.load(Ordering::SeqCst) {
                            return n;
                        }
                        let (counter, old) = (format!("c/{writer}"), format!("w/{writer}/{}", n.wrapping_sub(3)));
                        let batch = Batch::new(None).put(&counter, n.to_string()).delete(old);
                        let batch = batch.put(format!("w/{writer}/{n}"), vec![1; n as usize % 300]);
                        let batch = match version {
                            Some(version) => batch.expect_version(&counter, version),
                            None => batch.expect_absent(&counter),
                        };
                        version = Some(store.commit_blocking(batch).unwrap().sequence);
                    }
                    0
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                assert_eq!(get(&store, "read"), Some("r".repeat(500)));
                assert!(store.scan(b"key/", None, 4096).unwrap().len() > 50);
            }
        });
        for _ in 0..10 {
            store.compact_blocking().unwrap();
        }
        ended.store(true, Ordering::SeqCst);
        counts.extend(writers.into_iter().map(|writer| writer.join().unwrap()));
        reader.join().unwrap();
    });
    for (writer, count) in counts.iter().enumerate() {
        assert_eq!(get(&store, &format!("c/{writer}")), Some((count - 1).to_string()));
        assert_eq!(store.keys(format!("w/{writer}/").as_bytes(), None, 100).unwrap().len(), 3.min(*count as usize));
    }
    let expected = versions(&store);
    drop(store);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(versions(&open(dir.path()).store), expected);
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn it_compacts_by_itself_when_it_is_worth_it_and_not_again_and_again() {
    let dir = folder();
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let faults = move |step: Step| {
        if step == Step::Switch {
            count.fetch_add(1, Ordering::SeqCst);
        }
        None
    };
    let options =
        Options { faults: Some(Arc::new(faults)), compact_over_bytes: 1 << 20, segment_bytes: 1 << 18, ..options() };
    let store = Store::open_with(dir.path(), &options).unwrap().store;
    let work = |rounds: u32| {
        for n in 0..rounds {
            let mut batch = Batch::new(None);
            for k in 0..1000 {
                batch = batch.put(format!("{k:04}"), n.to_le_bytes().repeat(25));
            }
            store.commit_blocking(batch).unwrap();
        }
    };
    work(40);
    until("it compacts by itself", || !dir.path().join("log/1").exists());
    let expected = versions(&store);
    until("the old index is gone", || names(&dir.path().join("index")).len() == 1);
    assert_eq!(versions(&store), expected);
    // About 108 kB are live; ten more rounds are not worth another one.
    let before = begun.load(Ordering::SeqCst);
    work(5);
    assert!(begun.load(Ordering::SeqCst) <= before + 1);
    // Where it cannot help it is tried once, and then not before there is twice as much.
    let useless = Options { compact_over_bytes: 0, ..options.clone() };
    drop(store);
    let begun_before = begun.load(Ordering::SeqCst);
    for _ in 0..3 {
        let store = Store::open_with(dir.path(), &useless).unwrap().store;
        for n in 0..200 {
            put(&store, &format!("0{n:03}"), "x");
        }
    }
    assert!(begun.load(Ordering::SeqCst) <= begun_before + 3, "once an opening");
}
