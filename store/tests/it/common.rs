//! What the tests share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use store::{Batch, Committed, Error, Opened, Options, Step, Store};
use tempfile::TempDir;

pub type Content = BTreeMap<Vec<u8>, Vec<u8>>;

pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Options for tests: a fatal failure does not end the process, and the host's disk may be full.
pub fn options() -> Options {
    Options { on_fatal: Arc::new(|_| {}), reserve_bytes: 0, ..Options::default() }
}

pub fn open(dir: &Path) -> Opened {
    Store::open_with(dir, &options()).unwrap()
}

pub fn put(store: &Store, key: &str, value: impl AsRef<[u8]>) -> Committed {
    store.commit_blocking(Batch::new(None).put(key, value)).unwrap()
}

pub fn get(store: &Store, key: &str) -> Option<String> {
    store.get(key.as_bytes()).unwrap().map(|found| String::from_utf8(found.value).unwrap())
}

/// Everything in the store.
pub fn content(store: &Store) -> Content {
    store.walk(b"").map(|item| item.map(|(key, found)| (key, found.value)).unwrap()).collect()
}

/// Copies a store's folder as it is on the disk now: what a crash would leave.
pub fn image(from: &Path) -> TempDir {
    let to = folder();
    copy(from, to.path());
    to
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// All files of a folder with their bytes, but for the lock.
pub fn snapshot(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("lock") {
                let bytes = fs::read(&path).unwrap();
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

pub fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("log/1/{number:08}.log"))
}

/// The bytes of a segment up to the end of its last frame, which may be zeros too.
pub fn log_bytes(dir: &Path, number: u64) -> Vec<u8> {
    log_bytes_of(&segment(dir, number))
}

pub fn log_bytes_of(segment: &Path) -> Vec<u8> {
    let mut bytes = fs::read(segment).unwrap();
    let end = frames(&bytes).last().map_or(64, |last| last + frame_size(&bytes, *last));
    bytes.truncate(end);
    bytes
}

/// Where the frames of a segment begin.
pub fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut at = 64;
    let mut frames = Vec::new();
    while bytes.get(at..at + 4) == Some(b"ANfr") {
        frames.push(at);
        at += frame_size(bytes, at);
    }
    frames
}

fn frame_size(bytes: &[u8], at: usize) -> usize {
    52 + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize
}

pub fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// Holds the log's flushes back, so that commits gather in one group.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<()>>);

impl Gate {
    pub fn options(&self) -> Options {
        let gate = Arc::clone(&self.0);
        let faults = move |step| {
            if step == Step::Sync {
                drop(gate.lock().unwrap());
            }
            None
        };
        Options { faults: Some(Arc::new(faults)), ..options() }
    }

    #[expect(
        clippy::await_holding_lock,
        reason = "the lock is the gate: the writer's thread waits at it, no task does"
    )]
    /// Commits `first` alone, and all of `rest` in the group after it.
    pub fn group(&self, store: &Store, first: Batch, rest: Vec<Batch>) -> Vec<Result<Committed, Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let closed = self.0.lock().unwrap();
            let groups = store.stats().log_syncs;
            let queued = Arc::new(AtomicUsize::new(0));
            let mut tasks = vec![spawn(store, first, &queued)];
            while store.stats().log_syncs == groups {
                tokio::task::yield_now().await; // until the writer waits at the gate with the first one
            }
            tasks.extend(rest.into_iter().map(|batch| spawn(store, batch, &queued)));
            while queued.load(Ordering::SeqCst) < tasks.len() {
                tokio::task::yield_now().await;
            }
            drop(closed);
            let mut results = Vec::new();
            for task in tasks {
                results.push(task.await.unwrap());
            }
            results
        })
    }
}

/// A task that counts itself in the same step in which its commit enters the queue.
fn spawn(store: &Store, batch: Batch, queued: &Arc<AtomicUsize>) -> tokio::task::JoinHandle<Result<Committed, Error>> {
    let (store, queued) = (store.clone(), Arc::clone(queued));
    tokio::spawn(async move {
        queued.fetch_add(1, Ordering::SeqCst);
        store.commit(batch).await
    })
}
