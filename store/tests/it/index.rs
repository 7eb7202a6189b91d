//! The index can be lost, lag, or be broken in any way: the content is that of the log.

use std::fs;
use std::path::Path;

use store::{Batch, IndexState, Store};
use tempfile::TempDir;

use crate::common::{Content, content, folder, image, open, put};

fn filled() -> (TempDir, Content) {
    let dir = folder();
    let store = open(dir.path()).store;
    let mut random = fastrand::Rng::with_seed(3);
    for n in 0..300 {
        let mut batch = Batch::new(None);
        for _ in 0..random.usize(1..20) {
            let key = format!("key/{:04}", random.u32(..2000));
            batch = batch.put(key, vec![n as u8; random.usize(..300)]);
        }
        store.commit_blocking(batch.delete(format!("key/{:04}", random.u32(..2000)))).unwrap();
    }
    let expected = content(&store);
    drop(store);
    (dir, expected)
}

/// What the opening made of the index; the content must be that of the log.
fn check(dir: &Path, expected: &Content) -> IndexState {
    learned(dir, expected).0
}

/// The same, and how many commits the index learned from the log.
fn learned(dir: &Path, expected: &Content) -> (IndexState, u64) {
    let opened = open(dir);
    assert_eq!(&content(&opened.store), expected);
    let (state, replayed) = (opened.report.index, opened.report.replayed);
    put(&opened.store, "more", "1");
    drop(opened.store);
    let again = open(dir);
    assert_eq!(again.report.index, IndexState::Kept, "what was rebuilt is whole");
    assert_eq!(content(&again.store).len(), expected.len() + 1);
    (state, replayed)
}

#[test]
fn a_deleted_index_is_rebuilt() {
    let (dir, expected) = filled();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(check(dir.path(), &expected), IndexState::Rebuilt { why: "it was missing".to_owned() });
}

#[test]
fn an_emptied_index_is_filled_again() {
    let (dir, expected) = filled();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::create_dir_all(dir.path().join("index/1")).unwrap();
    check(dir.path(), &expected);
}

#[test]
fn an_index_that_is_cut_flipped_or_noise_never_shows_anything_else_than_the_log() {
    let (dir, expected) = filled();
    let size = fs::metadata(dir.path().join("index/1/db")).unwrap().len() as usize;
    let mut random = fastrand::Rng::with_seed(5);
    let mut noticed = 0;
    for round in 0..60 {
        let image = image(dir.path());
        let db = image.path().join("index/1/db");
        let mut bytes = fs::read(&db).unwrap();
        match round % 6 {
            0 => bytes.truncate(random.usize(..size)),
            1 => bytes.truncate(size / 2),
            2 => (0..20).for_each(|_| bytes[random.usize(..size)] ^= 1 << random.u8(..8)),
            3 => {
                let at = random.usize(..size - 4096);
                bytes[at..at + 4096].fill(0);
            }
            4 => bytes.fill_with(|| random.u8(..)),
            _ => {
                let at = random.usize(..size - 20_000);
                bytes[at..at + 20_000].fill_with(|| random.u8(..));
            }
        }
        fs::write(&db, bytes).unwrap();
        // A snapshot says where pages lie. Without it sled reads its whole file.
        for entry in fs::read_dir(image.path().join("index/1")).unwrap() {
            let path = entry.unwrap().path();
            if round % 12 >= 6 && path.to_string_lossy().contains("snap.") {
                fs::remove_file(path).unwrap();
            }
        }
        // sled often takes what it cannot read for an end, and then the index only lags.
        noticed += u32::from(learned(image.path(), &expected) != (IndexState::Kept, 0));
    }
    assert!(noticed >= 30, "the test must break something: {noticed} of 60");
}

#[test]
fn an_index_that_opens_but_holds_anything_else_is_rebuilt() {
    let (dir, expected) = filled();
    let key = expected.keys().nth(7).unwrap();
    let tampered = |tamper: &dyn Fn(&sled::Db)| {
        let image = image(dir.path());
        let index = sled::open(image.path().join("index/1")).unwrap();
        tamper(&index);
        index.flush().unwrap();
        drop(index);
        match check(image.path(), &expected) {
            IndexState::Rebuilt { why } => why,
            IndexState::Kept => unreachable!("it was tampered with"),
        }
    };
    let (count, why) = (expected.len(), "that it should hold");
    assert_eq!(
        tampered(&|index| drop(index.remove(key))),
        format!("its {} entries are not the {count} {why}", count - 1)
    );
    let grown = format!("its {} entries are not the {count} {why}", count + 1);
    assert_eq!(tampered(&|index| drop(index.insert("new", &[0; 9]))), grown);
    // One bit of one entry; the whole of an entry; two entries swapped.
    let same = format!("its {count} entries are not the {count} {why}");
    let flip = |index: &sled::Db| {
        let mut entry = index.get(key).unwrap().unwrap().to_vec();
        entry[1] ^= 1;
        index.insert(key, entry).unwrap();
    };
    assert_eq!(tampered(&flip), same);
    let swap = |index: &sled::Db| {
        let other = expected.keys().nth(9).unwrap();
        let (a, b) = (index.get(key).unwrap().unwrap(), index.get(other).unwrap().unwrap());
        index.insert(key, b).unwrap();
        index.insert(other, a).unwrap();
    };
    assert_eq!(tampered(&swap), same);
    assert_eq!(tampered(&|index| drop(index.insert(key, b"x"))), "an entry cannot be read");
    assert_eq!(tampered(&|index| drop(index.remove(""))), "it does not say how far it knows the log");
    assert_eq!(
        tampered(&|index| drop(index.insert("", b"x"))),
        "what it says of the log is not as this version writes it"
    );
}

#[test]
fn damaged_files_beside_the_indexs_data_do_not_matter() {
    let (dir, expected) = filled();
    let names: Vec<_> =
        fs::read_dir(dir.path().join("index/1")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    for name in names.iter().filter(|name| *name != "blobs" && *name != "db") {
        for content in [&b""[..], b"noise", &[0xff; 500]] {
            let image = image(dir.path());
            fs::write(image.path().join("index/1").join(name), content).unwrap();
            check(image.path(), &expected);
        }
    }
}

#[test]
fn a_stale_snapshot_is_removed_and_the_index_kept() {
    let (dir, expected) = filled();
    let stale = dir.path().join("index/1/snap.FFFFFFFFFFFFFFFF.generating");
    fs::write(&stale, b"half a snap").unwrap();
    let opened = open(dir.path());
    assert_eq!(opened.report.stale_snapshots, 1);
    assert_eq!(opened.report.index, IndexState::Kept);
    assert_eq!(content(&opened.store), expected);
    assert!(!stale.exists());
}

#[test]
fn an_index_that_lags_learns_the_rest() {
    let (dir, _) = filled();
    let image = image(dir.path());
    let store = open(dir.path()).store;
    for n in 0..50 {
        put(&store, &format!("late/{n}"), vec![n; 100]);
    }
    let expected = content(&store);
    drop(store);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::rename(image.path().join("index"), dir.path().join("index")).unwrap();
    let opened = open(dir.path());
    assert_eq!((opened.report.index, opened.report.replayed), (IndexState::Kept, 50));
    assert_eq!(content(&opened.store), expected);
}

#[test]
fn the_index_of_another_store_is_not_believed() {
    let (dir, expected) = filled();
    let (other, _) = filled();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::rename(other.path().join("index"), dir.path().join("index")).unwrap();
    assert_eq!(check(dir.path(), &expected), IndexState::Rebuilt { why: "it belongs to another log".to_owned() });
}

#[test]
fn an_index_that_knows_another_history_of_this_store_is_not_believed() {
    let dir = folder();
    put(&open(dir.path()).store, "a", "1");
    let image = image(dir.path());
    let other = open(image.path()).store;
    for n in 0..5 {
        put(&other, &format!("other/{n}"), "1");
    }
    drop(other);
    let store = open(dir.path()).store;
    for n in 0..9 {
        put(&store, &format!("ours/{n}"), "1");
    }
    let expected = content(&store);
    drop(store);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::rename(image.path().join("index"), dir.path().join("index")).unwrap();
    let why = "it knows another history than the log".to_owned();
    assert_eq!(check(dir.path(), &expected), IndexState::Rebuilt { why });
}

#[test]
fn a_crash_leaves_an_index_that_lags_at_most() {
    let dir = folder();
    let store = open(dir.path()).store;
    for n in 0..200 {
        put(&store, &format!("{n}"), vec![1; 90]);
        if n % 20 == 0 {
            let image = image(dir.path());
            let opened = Store::open_with(image.path(), &crate::common::options()).unwrap();
            assert_eq!(content(&opened.store), content(&store));
            assert_eq!(opened.report.torn, None);
        }
    }
}
