//! Scans: in order, in pages, whole commits only.

use std::sync::atomic::{AtomicBool, Ordering};

use store::{Batch, Store, limits};

use crate::common::{folder, open, put};

fn names(page: &[(Vec<u8>, store::Versioned)]) -> Vec<String> {
    page.iter().map(|(key, _)| String::from_utf8(key.clone()).unwrap()).collect()
}

fn filled() -> (tempfile::TempDir, Store) {
    let dir = folder();
    let store = open(dir.path()).store;
    for key in ["o/2", "o/1", "p/1", "o", "o/3", "n/9", "o/10"] {
        put(&store, key, key);
    }
    (dir, store)
}

#[test]
fn a_scan_gives_what_begins_with_the_prefix_in_the_order_of_keys() {
    let (_dir, store) = filled();
    assert_eq!(names(&store.scan(b"o/", None, 100).unwrap()), ["o/1", "o/10", "o/2", "o/3"]);
    assert_eq!(names(&store.scan(b"", None, 100).unwrap()), ["n/9", "o", "o/1", "o/10", "o/2", "o/3", "p/1"]);
    assert_eq!(names(&store.scan(b"q", None, 100).unwrap()), [""; 0]);
    assert_eq!(store.keys(b"o/1", None, 100).unwrap(), [b"o/1".to_vec(), b"o/10".to_vec()]);
    let (key, found) = &store.scan(b"p/", None, 1).unwrap()[0];
    assert_eq!((key.as_slice(), found.value.as_slice(), found.version), (&b"p/1"[..], &b"p/1"[..], 3));
}

#[test]
fn a_page_begins_after_the_key_it_is_told() {
    let (_dir, store) = filled();
    assert_eq!(names(&store.scan(b"o/", Some(b"o/10"), 100).unwrap()), ["o/2", "o/3"]);
    assert_eq!(names(&store.scan(b"o/", Some(b"o/11"), 1).unwrap()), ["o/2"], "a key that is not there");
    assert_eq!(names(&store.scan(b"o/", Some(b"a"), 1).unwrap()), ["o/1"], "a key before the prefix");
    assert_eq!(names(&store.scan(b"o/", Some(b"z"), 1).unwrap()), [""; 0], "a key behind the prefix");
    assert_eq!(names(&store.scan(b"", Some(b""), 1).unwrap()), ["n/9"]);
    assert_eq!(names(&store.scan(b"o/", None, 0).unwrap()), [""; 0]);
}

#[test]
fn pages_and_walks_go_over_everything() {
    let dir = folder();
    let store = open(dir.path()).store;
    let count = limits::SCAN_ENTRIES + 10;
    let mut batch = Batch::new(None);
    for n in 0..count {
        batch = batch.put(format!("{n:08}"), b"1");
        if n % 1000 == 999 {
            store.commit_blocking(std::mem::take(&mut batch)).unwrap();
        }
    }
    store.commit_blocking(batch).unwrap();
    assert_eq!(store.scan(b"", None, usize::MAX).unwrap().len() as u64, limits::SCAN_ENTRIES);
    let walked: Vec<_> = store.walk(b"").map(|item| item.unwrap().0).collect();
    assert_eq!(walked.len() as u64, count);
    assert!(walked.is_sorted());
}

#[test]
fn a_page_ends_when_it_is_large() {
    let dir = folder();
    let store = open(dir.path()).store;
    for n in 0..20 {
        put(&store, &format!("{n:02}"), vec![n; 1 << 20]);
    }
    assert_eq!(store.scan(b"", None, 100).unwrap().len(), 16);
    assert_eq!(store.keys(b"", None, 100).unwrap().len(), 20);
    assert_eq!(store.walk(b"").count(), 20);
}

#[test]
fn a_scan_shows_whole_commits_while_others_write() {
    let dir = folder();
    let store = open(dir.path()).store;
    let done = AtomicBool::new(false);
    let fill = |n: u32| (0..20).fold(Batch::new(None), |batch, key| batch.put(format!("{key:02}"), n.to_le_bytes()));
    store.commit_blocking(fill(0)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..300 {
                store.commit_blocking(fill(n)).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        let mut last = 0;
        while !done.load(Ordering::SeqCst) {
            let page = store.scan(b"", None, 100).unwrap();
            let version = page[0].1.version;
            assert!(page.len() == 20 && page.iter().all(|(_, found)| found.version == version));
            assert!(version >= last);
            last = version;
        }
    });
}

#[test]
fn the_empty_key_is_nobodys() {
    let (_dir, store) = filled();
    assert_eq!(store.get(b"").unwrap(), None);
    assert!(store.keys(b"", None, 100).unwrap().iter().all(|key| !key.is_empty()));
}
