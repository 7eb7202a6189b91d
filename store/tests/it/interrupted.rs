//! Compactions that are interrupted: by a crash or an error at any step, by damage, by the end of the store.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use store::{Batch, ErrorKind, Options, Step, Store};
use tempfile::TempDir;

use crate::common::{content, flip, folder, frames, get, image, open, options, put, segment};
use crate::compaction::{fill, names, small, until, versions};

const STEPS: [Step; 5] = [Step::Copy, Step::CopySync, Step::Switch, Step::SwitchSync, Step::Delete];

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
            // Of values and noise every fifth byte is enough; of headers every one.
            let in_header = at < starts[1] + 52;
            if !in_header && at % 5 != 0 {
                continue;
            }
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, bad).unwrap();
            if lose_index {
                let _ = fs::remove_dir_all(image.path().join("index"));
            } else if at % 23 != 0 {
                continue; // once is enough to see that the index changes nothing
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
