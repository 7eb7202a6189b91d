//! A disk that is full or fails.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use store::{Batch, ErrorKind, Options, Step, Store};
use tempfile::TempDir;

use crate::common::{Gate, content, folder, get, open, options, put};

/// A small file system in memory, unmounted at the end.
struct Disk(TempDir);

impl Disk {
    fn new(size: &str) -> Disk {
        let dir = folder();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "none"])
            .arg(dir.path())
            .status()
            .unwrap();
        assert!(status.success(), "this test mounts a small disk, and needs the rights for it");
        Disk(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a thread of sled may not have let go of its file yet.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_commits_keeps_what_was_stored_and_is_usable_when_there_is_space_again() {
    let disk = Disk::new("24m");
    let dir = disk.path().join("data");
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; 6 << 20]).unwrap();
    let options = Options { reserve_bytes: 4 << 20, ..options() };
    let store = Store::open_with(&dir, &options).unwrap().store;
    let (mut stored, mut refused) = (0, None);
    while refused.is_none() && stored < 1000 {
        match store.commit_blocking(Batch::new(None).put(format!("{stored:04}"), vec![1; 100_000])) {
            Ok(_) => stored += 1,
            Err(error) => refused = Some(error),
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.kind(), &ErrorKind::Full, "{refused:?}");
    assert!(stored > 20);
    let blob = vec![7; 8 << 20];
    assert_eq!(store.blobs().put(&blob).unwrap_err().kind(), &ErrorKind::Full);
    assert_eq!(store.keys(b"", None, 4096).unwrap().len(), stored);

    fs::remove_file(&ballast).unwrap();
    put(&store, "after", "1");
    assert_eq!(get(&store, "after").as_deref(), Some("1"));
    let expected = content(&store);
    assert_eq!(expected.len(), stored + 1);
    drop(store);
    let opened = Store::open_with(&dir, &options).unwrap();
    assert_eq!(content(&opened.store), expected);
    assert_eq!(opened.report.notes(), [""; 0]);
}

#[test]
fn a_disk_without_room_for_a_compaction_leaves_the_store_as_it_was() {
    let disk = Disk::new("24m");
    let dir = disk.path().join("data");
    let options = Options { reserve_bytes: 2 << 20, ..options() };
    let store = Store::open_with(&dir, &options).unwrap().store;
    for n in 0..90_u8 {
        put(&store, &format!("{:02}", n % 70), vec![n; 100_000]);
    }
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; 8 << 20]).unwrap();
    let expected = content(&store);
    for _ in 0..2 {
        let error = store.compact_blocking().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Full, "{error:?}");
        assert_eq!(fs::read_dir(dir.join("log")).unwrap().count(), 1, "what was half made is gone");
        assert_eq!(fs::read_dir(dir.join("index")).unwrap().count(), 1);
        put(&store, "after", "1");
    }
    assert_eq!(store.backup(&disk.path().join("backup"), 0).unwrap_err().kind(), &ErrorKind::Full);
    assert!(!disk.path().join("backup").exists());
    fs::remove_file(&ballast).unwrap();
    store.commit_blocking((20..70).fold(Batch::new(None), |batch, n| batch.delete(format!("{n:02}")))).unwrap();
    let done = store.compact_blocking().unwrap();
    assert_eq!(done.entries as usize, expected.len() - 50 + 1);
    assert!(done.after_bytes < done.before_bytes / 3, "{done:?}");
    drop(store);
    let opened = Store::open_with(&dir, &options).unwrap();
    assert_eq!(content(&opened.store).len(), expected.len() - 50 + 1);
    assert_eq!(opened.report.notes(), [""; 0]);
}

#[test]
fn a_write_that_the_disk_has_no_room_for_is_taken_back() {
    let disk = Disk::new("8m");
    let dir = disk.path().join("data");
    let store = Store::open_with(&dir, &options()).unwrap().store;
    put(&store, "before", "1");
    // Two blocks and a half are left: some of the write gets through.
    let ballast = disk.path().join("ballast");
    let free = rustix::fs::statvfs(disk.path()).unwrap().f_bavail * 4096;
    fs::write(&ballast, vec![1; free as usize - 10_000]).unwrap();
    let length = || fs::metadata(crate::common::segment(&dir, 1)).unwrap().len();
    let before = length();
    let error = store.commit_blocking(Batch::new(None).put("large", vec![1; 1 << 20])).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Full, "{error:?}");
    assert!(length() <= before);
    assert_eq!(get(&store, "large"), None);
    assert_eq!(store.blobs().put(&[1; 1 << 20]).unwrap_err().kind(), &ErrorKind::Full);
    assert_eq!(store.blobs().put_reader(&[1; 1 << 20][..]).unwrap_err().kind(), &ErrorKind::Full);
    assert_eq!(fs::read_dir(dir.join("blobs")).unwrap().count(), 0, "nothing half is left");
    fs::remove_file(&ballast).unwrap();
    put(&store, "after", vec![b'1'; 100_000]);
    let expected = content(&store);
    drop(store);
    let opened = Store::open_with(&dir, &options()).unwrap();
    assert_eq!(content(&opened.store), expected);
    assert_eq!(opened.report.notes(), [""; 0]);
}

/// Options with one step that fails while the switch is on, and a count of fatal failures.
fn faulty(fails: Step) -> (Options, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (on, fatal) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (switch, count) = (Arc::clone(&on), Arc::clone(&fatal));
    let faults = move |step: Step| {
        let fails = step == fails && switch.load(Ordering::SeqCst);
        fails.then(|| io::Error::from_raw_os_error(5)) // EIO
    };
    let on_fatal = move |_: &store::Error| {
        count.fetch_add(1, Ordering::SeqCst);
    };
    (Options { faults: Some(Arc::new(faults)), on_fatal: Arc::new(on_fatal), ..options() }, on, fatal)
}

#[test]
fn a_failed_write_leaves_nothing_behind_and_the_store_usable() {
    let dir = folder();
    let (options, fails, fatal) = faulty(Step::Write);
    let store = Store::open_with(dir.path(), &options).unwrap().store;
    put(&store, "a", "1");
    fails.store(true, Ordering::SeqCst);
    for size in [1, 100, 10_000] {
        let error = store.commit_blocking(Batch::new(None).put("b", vec![1; size])).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Io { .. }), "{error:?}");
    }
    let image = crate::common::image(dir.path());
    assert_eq!(open(image.path()).report.torn, None, "a failed write does not wait for the next opening");
    fails.store(false, Ordering::SeqCst);
    assert_eq!(get(&store, "b"), None);
    assert_eq!(put(&store, "c", "1").sequence, 2);
    drop(store);
    let opened = open(dir.path());
    assert_eq!(content(&opened.store).len(), 2);
    assert_eq!(opened.report.notes(), [""; 0]);
    assert_eq!(fatal.load(Ordering::SeqCst), 0);
}

#[test]
fn all_of_a_group_that_cannot_be_written_hear_the_same() {
    let dir = folder();
    let gate = Gate::default();
    let written = AtomicUsize::new(0);
    let inner = gate.options().faults.unwrap();
    // The second group cannot be written.
    let faults = move |step| match step {
        Step::Write if written.fetch_add(1, Ordering::SeqCst) == 1 => Some(io::Error::from_raw_os_error(28)),
        step => inner(step),
    };
    let options = Options { faults: Some(Arc::new(faults)), ..options() };
    let store = Store::open_with(dir.path(), &options).unwrap().store;
    let rest = vec![
        Batch::new(None).put("lock", "me").expect_absent("lock"),
        Batch::new(None).put("lock", "you").expect_absent("lock"),
        Batch::new(None).put("other", "1"),
    ];
    let done = gate.group(&store, Batch::new(None).put("first", "1"), rest);
    assert!(done[0].is_ok());
    for refused in &done[1..] {
        // The second one's conflict was with a commit that does not exist: it must not hear of it.
        assert_eq!(refused.as_ref().unwrap_err().kind(), &ErrorKind::Full);
    }
    assert_eq!(content(&store).len(), 1);
    put(&store, "lock", "later");
}

#[test]
fn a_failed_flush_ends_everything() {
    let dir = folder();
    let (options, fails, fatal) = faulty(Step::Sync);
    let store = Store::open_with(dir.path(), &options).unwrap().store;
    put(&store, "a", "1");
    fails.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = store.commit_blocking(Batch::new(None).put("b", "1")).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Stopped);
    }
    assert_eq!(fatal.load(Ordering::SeqCst), 1, "told once");
    drop(store);
    assert_eq!(get(&open(dir.path()).store, "a").as_deref(), Some("1"));
}

#[test]
fn a_write_that_cannot_be_taken_back_ends_everything() {
    let dir = folder();
    let (mut options, fails, fatal) = faulty(Step::Write);
    let (truncate, _, _) = faulty(Step::Truncate);
    let (one, other) = (options.faults.take().unwrap(), truncate.faults.unwrap());
    let on = Arc::clone(&fails);
    options.faults = Some(Arc::new(move |step| match step {
        Step::Truncate if on.load(Ordering::SeqCst) => Some(io::Error::from_raw_os_error(5)),
        Step::Truncate => other(step),
        step => one(step),
    }));
    let store = Store::open_with(dir.path(), &options).unwrap().store;
    put(&store, "a", "1");
    fails.store(true, Ordering::SeqCst);
    let error = store.commit_blocking(Batch::new(None).put("b", "1")).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Stopped);
    assert_eq!(fatal.load(Ordering::SeqCst), 1);
    drop(store);
    let store = open(dir.path()).store;
    assert_eq!(content(&store).len(), 1, "half of the write was left, and is cut off");
}

#[test]
fn a_segment_that_cannot_be_created_refuses_the_commit_that_needs_it() {
    let dir = folder();
    let (mut options, fails, fatal) = faulty(Step::Create);
    options.segment_bytes = 1000;
    let store = Store::open_with(dir.path(), &options).unwrap().store;
    put(&store, "a", vec![b'1'; 700]);
    fails.store(true, Ordering::SeqCst);
    let error = store.commit_blocking(Batch::new(None).put("b", vec![b'1'; 700])).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io { .. }), "{error:?}");
    put(&store, "small", "1");
    fails.store(false, Ordering::SeqCst);
    put(&store, "b", vec![b'1'; 700]);
    drop(store);
    assert_eq!(content(&open(dir.path()).store).len(), 3);
    assert_eq!(fatal.load(Ordering::SeqCst), 0);
}

#[test]
fn by_default_a_failed_flush_ends_the_process_with_code_74_and_says_why() {
    const CHILD: &str = "ANNEAL_STORE_TEST_FATAL";
    if let Ok(dir) = std::env::var(CHILD) {
        let faults = |step| (step == Step::Sync).then(|| io::Error::from_raw_os_error(5));
        let options = Options { faults: Some(Arc::new(faults)), ..Options::default() };
        let store = Store::open_with(Path::new(&dir), &options).unwrap().store;
        put(&store, "a", "1");
        unreachable!("the process has ended");
    }
    let dir = folder();
    let name = "disk::by_default_a_failed_flush_ends_the_process_with_code_74_and_says_why";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(store::EXIT_IO));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("the store cannot go on: cannot flush the log"), "{told}");
    assert!(told.contains("Input/output error") && told.contains("start again"), "{told}");
}
