//! Commits: durable, together, and only when what they expect holds.

use store::{Batch, ErrorKind, Store};

use crate::common::{Gate, content, folder, get, open, put};

#[test]
fn what_was_committed_is_there_after_reopening() {
    let dir = folder();
    let large = vec![b'x'; 1 << 20];
    {
        let store = open(dir.path()).store;
        put(&store, "small", "1");
        put(&store, "large", &large);
        put(&store, "empty", "");
        put(&store, "gone", "soon");
        store.commit_blocking(Batch::new(Some([7; 16])).delete("gone").put("small", "2")).unwrap();
        assert_eq!(get(&store, "small").as_deref(), Some("2"));
    }
    let opened = open(dir.path());
    assert_eq!(opened.report.notes(), [""; 0]);
    assert_eq!(opened.report.replayed, 0, "a clean end leaves the index at the end of the log");
    let store = opened.store;
    assert_eq!(get(&store, "small").as_deref(), Some("2"));
    assert_eq!(get(&store, "empty").as_deref(), Some(""));
    assert_eq!(store.get(b"large").unwrap().unwrap().value, large);
    assert_eq!(get(&store, "gone"), None);
    assert_eq!(content(&store).len(), 3);
}

#[test]
fn a_store_can_be_shared_by_threads_and_tasks() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Store>();
}

#[test]
fn a_keys_version_is_the_sequence_of_the_commit_that_wrote_it() {
    let dir = folder();
    let store = open(dir.path()).store;
    let first = put(&store, "a", "1").sequence;
    let second = put(&store, "b", "1").sequence;
    assert_eq!((first, second), (1, 2));
    assert_eq!(store.get(b"a").unwrap().unwrap().version, 1);
    let third = put(&store, "a", "2").sequence;
    assert_eq!(store.get(b"a").unwrap().unwrap().version, third);
    drop(store);
    let store = open(dir.path()).store;
    assert_eq!(store.get(b"a").unwrap().unwrap().version, third);
    assert_eq!(store.get(b"b").unwrap().unwrap().version, second);
    assert!(put(&store, "c", "1").sequence > third, "sequences go on after reopening");
}

#[test]
fn an_unmet_expectation_writes_nothing_of_its_batch() {
    let dir = folder();
    let store = open(dir.path()).store;
    let version = put(&store, "a", "1").sequence;
    let before = store.stats();
    for batch in [
        Batch::new(None).put("b", "1").expect_absent("a"),
        Batch::new(None).put("b", "1").expect_version("a", version + 1),
        Batch::new(None).put("b", "1").expect_version("a", version).expect_absent("a"),
    ] {
        let error = store.commit_blocking(batch).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Conflict { key: b"a".to_vec() });
    }
    let error = store.commit_blocking(Batch::new(None).delete("a").expect_version("nothing", 1)).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Conflict { key: b"nothing".to_vec() });
    assert_eq!(get(&store, "b"), None);
    assert_eq!(get(&store, "a").as_deref(), Some("1"));
    assert_eq!(store.stats().log_bytes, before.log_bytes);
    assert_eq!(store.stats().conflicts, 4);

    store.commit_blocking(Batch::new(None).put("a", "2").expect_version("a", version)).unwrap();
    store.commit_blocking(Batch::new(None).put("b", "1").expect_absent("b")).unwrap();
    assert_eq!(get(&store, "a").as_deref(), Some("2"));
}

#[test]
fn the_last_of_several_changes_of_a_key_counts() {
    let dir = folder();
    let store = open(dir.path()).store;
    store.commit_blocking(Batch::new(None).put("a", "1").delete("a").put("b", "1").put("b", "2").delete("c")).unwrap();
    assert_eq!(get(&store, "a"), None);
    assert_eq!(get(&store, "b").as_deref(), Some("2"));
    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let store = open(dir.path()).store;
    assert_eq!(get(&store, "a"), None);
    assert_eq!(get(&store, "b").as_deref(), Some("2"));
}

#[test]
fn commits_that_wait_share_one_write_and_one_flush() {
    let (dir, gate) = (folder(), Gate::default());
    let store = Store::open_with(dir.path(), &gate.options()).unwrap().store;
    let rest = (0..100).map(|n| Batch::new(None).put(format!("k{n}"), vec![n; 100])).collect();
    let done = gate.group(&store, Batch::new(None).put("first", "1"), rest);
    let sequences: Vec<u64> = done.into_iter().map(|done| done.unwrap().sequence).collect();
    assert_eq!(sequences, (1..=101).collect::<Vec<u64>>());
    let stats = store.stats();
    assert_eq!((stats.commits, stats.groups, stats.log_syncs), (101, 2, 2));
    assert_eq!(content(&store).len(), 101);
}

#[test]
fn an_expectation_sees_what_is_before_it_in_its_group() {
    let (dir, gate) = (folder(), Gate::default());
    let store = Store::open_with(dir.path(), &gate.options()).unwrap().store;
    let rest = vec![
        Batch::new(None).put("lock", "me").expect_absent("lock"),
        Batch::new(None).put("lock", "you").expect_absent("lock"),
        Batch::new(None).delete("lock").expect_version("lock", 2),
        Batch::new(None).put("lock", "they").expect_absent("lock"),
        Batch::new(None).expect_version("lock", 4),
        Batch::new(None).expect_version("lock", 2),
    ];
    let done = gate.group(&store, Batch::new(None).put("first", "1"), rest);
    let shown: Vec<Option<u64>> = done.iter().map(|done| done.as_ref().ok().map(|done| done.sequence)).collect();
    assert_eq!(shown, [Some(1), Some(2), None, Some(3), Some(4), Some(4), None]);
    assert_eq!(get(&store, "lock").as_deref(), Some("they"));
    assert_eq!(store.stats().groups, 2);
}

#[test]
fn many_keys_are_there_whether_the_index_was_written_or_not() {
    let dir = folder();
    let store = open(dir.path()).store;
    let count = 3 * store::limits::RECENT_ENTRIES / 2;
    for begin in (0..count).step_by(512) {
        let mut batch = Batch::new(None);
        for n in begin..(begin + 512).min(count) {
            batch = batch.put(format!("{n:06}"), format!("{n}"));
            if n % 3 == 0 {
                batch = batch.delete(format!("{:06}", n / 2));
            }
        }
        store.commit_blocking(batch).unwrap();
    }
    let expected = content(&store);
    for n in 0..count {
        let key = format!("{n:06}");
        assert_eq!(store.get(key.as_bytes()).unwrap().map(|found| found.value), expected.get(key.as_bytes()).cloned());
    }
    let image = crate::common::image(dir.path());
    let crashed = open(image.path());
    assert_eq!(content(&crashed.store), expected);
    assert_eq!(crashed.report.index, store::IndexState::Kept);
    drop(store);
    let opened = open(dir.path());
    assert_eq!(content(&opened.store), expected);
    assert_eq!(opened.report.replayed, 0);
}

#[test]
fn an_empty_batch_writes_nothing() {
    let dir = folder();
    let store = open(dir.path()).store;
    let before = store.stats();
    assert_eq!(store.commit_blocking(Batch::new(None)).unwrap().sequence, 0);
    assert_eq!(store.stats(), before);
}

#[test]
fn a_batch_over_a_limit_is_refused_before_anything_is_written() {
    let dir = folder();
    let store = open(dir.path()).store;
    let error = store.commit_blocking(Batch::new(None).put("k", vec![0; (1 << 20) + 1])).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::TooLarge { limit: "VALUE_BYTES", size: (1 << 20) + 1, max: 1 << 20 });
    assert_eq!(store.stats().commits, 0);
}

#[test]
fn a_full_segment_is_followed_by_another() {
    let dir = folder();
    let mut options = crate::common::options();
    options.segment_bytes = 4096;
    let store = Store::open_with(dir.path(), &options).unwrap().store;
    for n in 0..40 {
        put(&store, &format!("k{n:02}"), vec![n; 500]);
    }
    put(&store, "larger than a segment", vec![1; 100_000]);
    put(&store, "after it", "1");
    let expected = content(&store);
    assert_eq!(expected.len(), 42);
    drop(store);
    assert!(crate::common::segment(dir.path(), 7).exists());
    for lose_index in [false, true] {
        if lose_index {
            std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
        let opened = Store::open_with(dir.path(), &options).unwrap();
        assert_eq!(content(&opened.store), expected);
    }
}

#[test]
fn a_commit_may_be_waited_for_inside_a_runtime() {
    let dir = folder();
    let store = open(dir.path()).store;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        // More than tokio's budget for one task allows without yielding.
        for n in 0..300 {
            put(&store, &format!("{n}"), "1");
        }
        store.commit(Batch::new(None).put("async", "1")).await.unwrap();
    });
    assert_eq!(store.stats().commits, 301);
}

#[test]
fn a_closed_store_can_be_read_but_not_written() {
    let dir = folder();
    let store = open(dir.path()).store;
    put(&store, "a", "1");
    store.clone().close_blocking().unwrap();
    let error = store.commit_blocking(Batch::new(None).put("a", "2")).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Closed);
    assert_eq!(get(&store, "a").as_deref(), Some("1"));
    assert_eq!(store.close_blocking().unwrap_err().kind(), &ErrorKind::Closed);
    assert_eq!(open(dir.path()).report.replayed, 0);
}
