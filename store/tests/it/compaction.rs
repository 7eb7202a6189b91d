//! Compaction: what is live stays, with its versions, and nothing else; whatever happens on the way.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use store::{Batch, ErrorKind, IndexState, Options, Step, Store};
use tempfile::TempDir;

use crate::common::{Content, content, flip, folder, frames, get, image, open, options, put, segment};

const STEPS: [Step; 5] = [Step::Copy, Step::CopySync, Step::Switch, Step::SwitchSync, Step::Delete];

type Versions = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

fn versions(store: &Store) -> Versions {
    store.walk(b"").map(Result::unwrap).map(|(key, found)| (key, (found.value, found.version))).collect()
}

/// Some keys that were put several times, some that were deleted, in several segments, of small and large values.
fn fill(store: &Store, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for n in 0..300_u32 {
        let mut batch = Batch::new(Some([random.u8(..); 16]));
        for _ in 0..random.usize(1..6) {
            let key = format!("key/{:03}", random.u32(..200));
            batch = match random.u8(..4) {
                0 => batch.delete(key),
                _ => batch.put(key, vec![n as u8; [0, 10, 64, 65, 900][random.usize(..5)]]),
            };
        }
        store.commit_blocking(batch).unwrap();
    }
}

fn small() -> Options {
    Options { segment_bytes: 20_000, ..options() }
}

fn names(dir: &Path) -> Vec<String> {
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

/// A filled store whose compaction is interrupted by `act` at each step, with the number of the step.
fn with_steps(act: impl Fn(&Path, usize, Step) -> Option<io::Error> + Send + Sync + 'static) -> (TempDir, Store) {
    let dir = folder();
    let (path, count) = (dir.path().to_owned(), AtomicUsize::new(0));
    let faults = move |step: Step| match STEPS.contains(&step) {
        true => act(&path, count.fetch_add(1, Ordering::SeqCst), step),
        false => None,
    };
    let options = Options { faults: Some(Arc::new(faults)), ..small() };
    let store = Store::open_with(dir.path(), &options).unwrap().store;
    fill(&store, 2);
    (dir, store)
}

#[test]
fn a_crash_at_any_step_leaves_one_generation_with_everything() {
    let images = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&images);
    let (_dir, store) = with_steps(move |dir, _, step| {
        taken.lock().unwrap().push((step, image(dir)));
        None
    });
    let expected = versions(&store);
    store.compact_blocking().unwrap();
    let images = std::mem::take(&mut *images.lock().unwrap());
    assert!(STEPS.iter().all(|step| images.iter().any(|(taken, _)| taken == step)));
    assert!(images.len() > 8, "{}", images.len());
    for (n, (step, image)) in images.iter().enumerate() {
        let switched = matches!(step, Step::SwitchSync | Step::Delete);
        for lose_index in [false, true] {
            let again = self::image(image.path());
            if lose_index {
                fs::remove_dir_all(again.path().join("index")).unwrap();
            }
            let opened = Store::open_with(again.path(), &small()).unwrap();
            assert_eq!(versions(&opened.store), expected, "{step:?}, image {n}");
            assert_eq!((opened.report.torn, opened.report.damaged), (None, Vec::new()));
            assert_eq!(opened.report.stale_generations, usize::from(n > 0), "{step:?}, image {n}");
            let ours = if switched { "2" } else { "1" };
            assert_eq!(names(&again.path().join("log")), [ours], "{step:?}, image {n}");
            put(&opened.store, "more", "1");
            opened.store.compact_blocking().unwrap();
            drop(opened.store);
            assert_eq!(content(&open(again.path()).store).len(), expected.len() + 1);
        }
    }
}

#[test]
fn an_error_at_any_step_leaves_the_store_as_it_was_or_compacted() {
    let total = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&total);
    let (_dir, store) = with_steps(move |_, n, _| {
        counted.store(n + 1, Ordering::SeqCst);
        None
    });
    store.compact_blocking().unwrap();
    for fails in 0..total.load(Ordering::SeqCst) {
        let failed = Arc::new(Mutex::new(None));
        let at = Arc::clone(&failed);
        let (dir, store) = with_steps(move |_, n, step| {
            (n == fails).then(|| {
                *at.lock().unwrap() = Some(step);
                io::Error::from_raw_os_error(if n % 2 == 0 { 5 } else { 28 })
            })
        });
        let expected = versions(&store);
        let error = store.compact_blocking().unwrap_err();
        let step = failed.lock().unwrap().unwrap();
        if step == Step::SwitchSync {
            // Nobody knows which generation the disk will show, so nothing more is acknowledged.
            assert_eq!(error.kind(), &ErrorKind::Stopped);
            assert!(store.commit_blocking(Batch::new(None).put("more", "1")).is_err());
            assert!(store.compact_blocking().is_err());
        } else {
            assert!(matches!(error.kind(), ErrorKind::Io { .. } | ErrorKind::Full), "{step:?}: {error:?}");
            put(&store, "more", "1");
            assert_eq!(names(&dir.path().join("log")).len(), if step == Step::Delete { 2 } else { 1 }, "{step:?}");
            let done = store.compact_blocking().unwrap();
            assert_eq!(done.entries, expected.len() as u64 + 1, "{step:?}");
            store.commit_blocking(Batch::new(None).delete("more")).unwrap();
        }
        assert_eq!(versions(&store), expected, "{step:?}");
        drop(store);
        let opened = open(dir.path());
        assert_eq!(versions(&opened.store), expected, "{step:?}");
        assert_eq!(opened.report.notes(), [""; 0]);
        assert_eq!(names(&dir.path().join("log")).len(), 1);
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

#[test]
fn a_damaged_commit_stays_named() {
    let dir = folder();
    {
        let store = open(dir.path()).store;
        put(&store, "large", vec![b'0'; 200]);
        let both = Batch::new(Some([2; 16])).put("large", vec![b'1'; 200]).put("small", "2").put("other", "3");
        store.commit_blocking(both).unwrap();
        put(&store, "last", "4");
    }
    let starts = frames(&crate::common::log_bytes(dir.path(), 1));
    flip(&segment(dir.path(), 1), starts[1] + 100);
    for round in 0..4 {
        let opened = open(dir.path());
        let damage = &opened.store.damaged()[0];
        assert_eq!((opened.store.damaged().len(), damage.operation, damage.sequence), (1, Some([2; 16]), 2));
        // Its content is what it was before: nothing older comes back in its place.
        assert!(matches!(opened.store.get(b"large").unwrap_err().kind(), ErrorKind::Damaged { .. }), "round {round}");
        assert_eq!(get(&opened.store, "small").as_deref(), Some("2"));
        assert_eq!(get(&opened.store, "last").as_deref(), Some("4"));
        opened.store.compact_blocking().unwrap();
        assert!(opened.store.get(b"large").is_err());
        if round == 1 {
            put(&opened.store, "other", "new");
        }
        if round == 2 {
            drop(opened);
            fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
    }
    let store = open(dir.path()).store;
    put(&store, "large", "mended");
    store.compact_blocking().unwrap();
    drop(store);
    let opened = open(dir.path());
    assert_eq!(opened.store.damaged().len(), 1, "what else it held nobody knows");
    assert_eq!(get(&opened.store, "large").as_deref(), Some("mended"));
    assert_eq!(get(&opened.store, "other").as_deref(), Some("new"));
}

#[test]
fn damage_that_the_opening_did_not_see_stops_the_compaction_and_changes_nothing() {
    let dir = folder();
    let store = open(dir.path()).store;
    put(&store, "a", vec![b'1'; 200]);
    put(&store, "b", "2");
    flip(&segment(dir.path(), 1), 64 + 100);
    let error = store.compact_blocking().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NewDamage { .. }), "{error:?}");
    assert_eq!((error.offset(), error.path()), (Some(64), Some(segment(dir.path(), 1).as_path())));
    put(&store, "c", "3");
    assert_eq!(get(&store, "b").as_deref(), Some("2"));
    drop(store);
    assert_eq!(open(dir.path()).store.damaged().len(), 1);
    open(dir.path()).store.compact_blocking().unwrap();
}

#[test]
fn damage_to_what_was_kept_is_never_taken_for_a_torn_write() {
    let dir = folder();
    let store = open(dir.path()).store;
    for n in 0..5 {
        store.commit_blocking(Batch::new(Some([n; 16])).put(format!("{n}"), vec![n; 100])).unwrap();
    }
    put(&store, "2", "again");
    store.compact_blocking().unwrap();
    let image = image(dir.path());
    let path = image.path().join("log/2/00000001.log");
    let bytes = fs::read(&path).unwrap();
    let starts = frames(&bytes);
    assert_eq!(starts.len(), 6, "five commits are live, and a mark");
    for lose_index in [true, false] {
        for at in 64..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, bad).unwrap();
            if lose_index {
                let _ = fs::remove_dir_all(image.path().join("index"));
            } else if at % 23 != 0 {
                continue;
            }
            match Store::open_with(image.path(), &options()) {
                Ok(opened) => assert_eq!((opened.report.damaged.len(), opened.report.torn), (1, None), "byte {at}"),
                Err(error) => assert!(matches!(error.kind(), ErrorKind::Damaged { .. }), "byte {at}: {error:?}"),
            }
        }
        for gone in [0, 1, starts.len() - 1] {
            // A whole frame taken out, or all from there on.
            let end = starts.get(gone + 1).copied().unwrap_or(bytes.len());
            for cut in [[&bytes[..starts[gone]], &bytes[end..]].concat(), bytes[..starts[gone]].to_vec()] {
                fs::write(&path, cut).unwrap();
                let error = Store::open_with(image.path(), &options()).unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Damaged { .. }), "{gone}: {error:?}");
            }
        }
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
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

#[test]
fn a_store_that_is_dropped_while_it_compacts_ends_soon_and_whole() {
    for closes in [false, true] {
        let (begun, go) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (tell, may) = (Arc::clone(&begun), Arc::clone(&go));
        let (dir, store) = with_steps(move |_, _, _| {
            tell.store(true, Ordering::SeqCst);
            until("the store is dropped", || may.load(Ordering::SeqCst));
            None
        });
        let expected = versions(&store);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let cloned = store.clone();
        runtime.block_on(async {
            let compacting = tokio::spawn(async move { cloned.compact().await });
            while !begun.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
            compacting.abort();
            assert!(compacting.await.is_err());
            go.store(true, Ordering::SeqCst);
            if closes {
                store.close().await.unwrap();
            } else {
                drop(store);
            }
        });
        let opened = open(dir.path());
        assert_eq!(versions(&opened.store), expected);
    }
}
