//! Torn tails: a write that a crash interrupted is cut off, and nothing else is lost.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store::{Batch, ErrorKind, IndexState, Options, Step, Store};
use tempfile::TempDir;

use crate::common::{Content, Gate, content, folder, frames, image, log_bytes, open, options, put, segment};

/// A crashed store with one group of one and one of three commits, and its log's bytes. The index knows nothing.
fn crashed() -> (TempDir, Vec<u8>, Vec<Content>) {
    let (dir, gate) = (folder(), Gate::default());
    let store = Store::open_with(dir.path(), &gate.options()).unwrap().store;
    let mut contents = vec![Content::new()];
    let batches = [("a", 10), ("b", 100), ("a", 70), ("c", 0)].map(|(key, size)| {
        let mut content = contents.last().unwrap().clone();
        content.insert(key.into(), vec![b'v'; size]);
        contents.push(content);
        Batch::new(None).put(key, vec![b'v'; size])
    });
    let [first, rest @ ..] = batches;
    assert!(gate.group(&store, first, rest.to_vec()).iter().all(Result::is_ok));
    let image = image(dir.path());
    fs::remove_dir_all(image.path().join("index")).unwrap();
    let bytes = log_bytes(image.path(), 1);
    (image, bytes, contents)
}

/// What the store holds if its log is this.
fn opened(dir: &Path, log: &[u8]) -> (Content, store::OpenReport) {
    fs::write(segment(dir, 1), log).unwrap();
    let _ = fs::remove_dir_all(dir.join("index"));
    let opened = open(dir);
    let found = content(&opened.store);
    drop(opened.store);
    // It is usable, and what it was mended to stays.
    let again = open(dir);
    assert_eq!(content(&again.store), found);
    assert_eq!(again.report.torn, None);
    put(&again.store, "more", "1");
    (found, opened.report)
}

#[test]
fn a_log_cut_at_any_byte_opens_with_the_commits_that_are_whole() {
    let (dir, bytes, contents) = crashed();
    let starts = frames(&bytes);
    assert_eq!(starts.len(), 4);
    for end in starts[1]..bytes.len() {
        let whole = starts.iter().filter(|start| **start <= end).count() - 1;
        for zeros in [0, 3000] {
            let mut log = bytes[..end].to_vec();
            log.resize(end + zeros, 0);
            let (found, report) = opened(dir.path(), &log);
            assert_eq!(found, contents[whole], "cut at {end}");
            if zeros == 0 {
                let cut = (end - starts[whole]) as u64;
                assert_eq!(report.torn.map_or(0, |torn| torn.bytes), cut, "cut at {end}");
            }
        }
    }
}

#[test]
fn a_group_that_the_disk_kept_in_any_part_is_cut_at_its_first_gap() {
    let (dir, bytes, contents) = crashed();
    let starts = frames(&bytes);
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([bytes.len()]).collect();
    // Each subset of the last group's three frames is lost, as a whole or in its first or last byte.
    for lost in 1..8 {
        for kind in 0..3 {
            let mut log = bytes.clone();
            for frame in (1..4).filter(|frame| lost & (1 << (frame - 1)) != 0) {
                match kind {
                    0 => log[starts[frame]..ends[frame]].fill(0),
                    1 => log[starts[frame]] ^= 1,
                    _ => log[ends[frame] - 1] ^= 1,
                }
            }
            let whole = (1..4).find(|frame| lost & (1 << (frame - 1)) != 0).unwrap();
            let (found, report) = opened(dir.path(), &log);
            assert_eq!(found, contents[whole], "lost {lost:03b}, kind {kind}");
            assert!(report.damaged.is_empty());
        }
    }
}

#[test]
fn a_commit_that_the_index_knows_is_never_taken_for_a_torn_one() {
    // The end is clean, but without a mark: only the index shows that the last commit was acknowledged.
    let (dir, full) = (folder(), Arc::new(AtomicBool::new(false)));
    let disk = Arc::clone(&full);
    let faults =
        move |step| (step == Step::Write && disk.load(Ordering::SeqCst)).then(|| io::ErrorKind::StorageFull.into());
    {
        let options = Options { faults: Some(Arc::new(faults)), ..options() };
        let store = Store::open_with(dir.path(), &options).unwrap().store;
        put(&store, "a", "1");
        put(&store, "b", "2");
        full.store(true, Ordering::SeqCst);
    }
    let bytes = log_bytes(dir.path(), 1);
    let starts = frames(&bytes);
    assert_eq!(starts.len(), 2);
    for end in [starts[1], starts[1] + 20] {
        let image = image(dir.path());
        fs::write(segment(image.path(), 1), &bytes[..end]).unwrap();
        let error = Store::open(image.path()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Damaged { .. }), "{error:?}");
        assert_eq!(error.offset(), Some(starts[1] as u64));
        assert_eq!(fs::read(segment(image.path(), 1)).unwrap(), &bytes[..end], "nothing was changed");
    }
    // With its header it can be named, and the log goes on in another segment.
    let image = image(dir.path());
    fs::write(segment(image.path(), 1), &bytes[..starts[1] + 55]).unwrap();
    for round in 1..4 {
        let opened = open(image.path());
        assert_eq!(opened.store.damaged().len(), 1);
        assert_eq!(opened.store.damaged()[0].what, "the file ends within a frame");
        assert_eq!(crate::common::get(&opened.store, "a").as_deref(), Some("1"));
        put(&opened.store, "more", format!("{round}"));
        drop(opened);
        if round == 2 {
            fs::remove_dir_all(image.path().join("index")).unwrap();
        }
    }
    assert!(segment(image.path(), 2).exists());
}

#[test]
fn a_mark_at_the_clean_end_shows_that_the_last_commit_was_acknowledged() {
    let dir = folder();
    put(&open(dir.path()).store, "a", "value");
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let path = segment(dir.path(), 1);
    let bytes = log_bytes(dir.path(), 1);
    let starts = frames(&bytes);
    crate::common::flip(&path, starts[1] - 1);
    let opened = open(dir.path());
    assert_eq!(opened.report.torn, None);
    assert_eq!(opened.store.damaged().len(), 1);
}

#[test]
fn an_opening_and_closing_without_commits_changes_nothing_in_the_log() {
    let dir = folder();
    put(&open(dir.path()).store, "a", "1");
    let before = fs::read(segment(dir.path(), 1)).unwrap();
    for _ in 0..3 {
        let opened = open(dir.path());
        assert_eq!(opened.report.index, IndexState::Kept);
        assert_eq!(opened.store.stats().syncs, 0, "nothing to flush");
    }
    assert_eq!(fs::read(segment(dir.path(), 1)).unwrap(), before);
}
