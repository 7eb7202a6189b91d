//! Folders that every version so far wrote, kept in `tests/golden/`, one for each format.
//!
//! `ANNEAL_MAKE_GOLDEN=1 cargo nextest run -p store golden` makes those of the current format anew; it is run once, when the
//! format was raised, and what it made is never changed again.

use std::fs;
use std::path::{Path, PathBuf};

use store::{Batch, ErrorKind, Secret, Secrets, Store, verify};

use crate::common::{flip, folder, frames, get, image, log_bytes, open, put, segment, snapshot};

const OPERATION: [u8; 16] = [7; 16];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn secrets() -> Secrets {
    Secrets::from([("word".to_owned(), Secret::from("not a real one"))])
}

/// What every golden folder holds.
fn fill(dir: &Path) {
    let store = open(dir).store;
    store.commit_blocking(Batch::new(Some(OPERATION)).put("o/1", "Starting").put("o/gone", "1")).unwrap();
    store.commit_blocking(Batch::new(Some([8; 16])).put("large", "x".repeat(300)).delete("o/gone")).unwrap();
    store.commit_blocking(Batch::new(None).put("o/1", "Completed").put("record", "r".repeat(100))).unwrap();
    store.blobs().put(b"a blob").unwrap();
    store.sealed().write(&uuid::Uuid::from_bytes(OPERATION), &secrets()).unwrap();
    store.sealed().write_named("host", &secrets()).unwrap();
    store.close_blocking().unwrap();
}

/// A store as a version leaves it; of format 2 and later, with kept and lost frames.
fn make(name: &str) {
    let dir = folder();
    fill(dir.path());
    let keep = |dir: &Path, name: &str| {
        fs::remove_dir_all(dir.join("index")).unwrap(); // large, and may always be missing
        fs::remove_file(dir.join("lock")).unwrap();
        let _ = fs::remove_dir_all(golden(name));
        crate::common::copy(dir, &golden(name));
    };
    let damaged = image(dir.path());
    let starts = frames(&log_bytes(dir.path(), 1));
    flip(&segment(damaged.path(), 1), starts[1] + 200);
    fs::remove_dir_all(damaged.path().join("index")).unwrap();
    for dir in [dir.path(), damaged.path()] {
        let store = open(dir).store;
        store.compact_blocking().unwrap();
        put(&store, "after", "1");
    }
    keep(dir.path(), name);
    keep(damaged.path(), &format!("{name}-damaged"));
}

#[test]
fn make_golden() {
    if std::env::var_os("ANNEAL_MAKE_GOLDEN").is_some() {
        make(&store::FORMAT.to_string());
    }
}

/// A copy that may be changed.
fn copied(name: &str) -> tempfile::TempDir {
    let dir = folder();
    crate::common::copy(&golden(name), dir.path());
    dir
}

#[test]
fn a_folder_of_an_older_format_that_is_refused_stays_as_it_is() {
    let dir = copied("1");
    let starts = frames(&log_bytes(dir.path(), 1));
    flip(&segment(dir.path(), 1), starts[1] + 20);
    let before = snapshot(dir.path());
    assert!(matches!(Store::open(dir.path()).unwrap_err().kind(), ErrorKind::Damaged { .. }));
    assert!(before == snapshot(dir.path()), "the version that wrote it can still read it");
    assert_eq!(verify(dir.path()).unwrap().problems.len(), 1);
    let whole = copied("1");
    let before = snapshot(whole.path());
    assert_eq!(verify(whole.path()).unwrap().problems, []);
    assert!(before == snapshot(whole.path()), "a verification raises no format");
}

#[test]
fn every_version_of_the_format_that_is_read_opens_and_is_written_as_the_current_one() {
    for format in store::FORMAT - 1..=store::FORMAT {
        for damaged in [false, true] {
            let name = format!("{format}{}", if damaged { "-damaged" } else { "" });
            let dir = copied(&name);
            for compacted in [false, true] {
                let opened = open(dir.path());
                let named: Vec<_> = opened.report.damaged.iter().map(|damage| damage.operation).collect();
                assert_eq!(named, if damaged { vec![Some([8; 16])] } else { Vec::new() }, "{name}");
                let store = opened.store;
                assert_eq!(get(&store, "o/1").as_deref(), Some("Completed"), "{name}");
                assert_eq!(get(&store, "record"), Some("r".repeat(100)), "{name}");
                let large = (!damaged).then(|| "x".repeat(300));
                assert_eq!((get(&store, "large"), get(&store, "o/gone").is_some()), (large, damaged), "{name}");
                assert_eq!(store.get(b"o/1").unwrap().unwrap().version, 3, "{name}");
                assert_eq!(store.blobs().get(&store::Digest::of(b"a blob")).unwrap(), b"a blob", "{name}");
                let operation = uuid::Uuid::from_bytes(OPERATION);
                assert_eq!(store.sealed().read(&operation).unwrap(), Some(secrets()), "{name}");
                assert_eq!(store.sealed().read_named("host").unwrap(), Some(secrets()), "{name}");
                assert_eq!((store.incarnation(), store.held()), (1, None), "{name}");
                put(&store, "new", "1");
                if !compacted {
                    store.compact_blocking().unwrap();
                }
            }
            let manifest = fs::read_to_string(dir.path().join("MANIFEST")).unwrap();
            assert!(manifest.starts_with(&format!("anneal-store {}\n", store::FORMAT)), "{manifest}");
        }
    }
}
