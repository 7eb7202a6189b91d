//! Opening: one process, the right format, everything there, nothing for other users.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use store::{Error, ErrorKind, IndexState, Store};

use crate::common::{folder, get, image, open, put, snapshot};

#[test]
fn a_folder_is_made_with_all_above_it() {
    let dir = folder();
    let path = dir.path().join("a/b/data");
    let opened = Store::open(&path).unwrap();
    assert!(opened.report.created);
    assert_eq!((opened.report.notes(), &opened.report.index), (Vec::new(), &IndexState::Kept));
    put(&opened.store, "a", "1");
    drop(opened);
    let opened = Store::open(&path).unwrap();
    assert!(!opened.report.created);
    assert_eq!(get(&opened.store, "a").as_deref(), Some("1"));
}

#[test]
fn only_the_owner_can_read_anything() {
    let dir = folder();
    let path = dir.path().join("data");
    let store = open(&path).store;
    put(&store, "a", "1");
    let digest = store.blobs().put(b"abc").unwrap();
    store.sealed().write_named("host", &store::Secrets::new()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for folder in ["", "log", "log/1", "index", "index/1", "blobs", "blobs/ba", "secrets", "secrets/records"] {
        assert_eq!(mode(&path.join(folder)), 0o700, "{folder}");
    }
    for file in ["MANIFEST", "lock", "key", "log/1/00000001.log", "secrets/records/host"] {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
    assert_eq!(mode(&store.blobs().path(&digest)), 0o600);
}

#[test]
fn a_store_that_is_open_is_held() {
    let dir = folder();
    let store = open(dir.path()).store;
    let clone = store.clone();
    for _ in 0..2 {
        let error = Store::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Held { pid: Some(std::process::id()) });
    }
    drop(store);
    assert!(Store::open(dir.path()).is_err(), "a clone holds it too");
    drop(clone);
    for _ in 0..20 {
        put(&open(dir.path()).store, "a", "1");
    }
}

/// Nothing in the folder may change.
fn refused_unchanged(dir: &Path) -> Error {
    let before = snapshot(dir);
    let error = Store::open(dir).unwrap_err();
    assert!(before == snapshot(dir), "{error}");
    error
}

#[test]
fn a_newer_format_is_refused_and_nothing_is_written() {
    let dir = folder();
    put(&open(dir.path()).store, "a", "1");
    fs::write(dir.path().join("MANIFEST"), "anneal-store 3\nsomething: new\n").unwrap();
    let error = refused_unchanged(dir.path());
    assert_eq!(error.kind(), &ErrorKind::NewerFormat { found: 3, supported: 2 });
    assert!(error.to_string().contains("format 3") && error.hint().unwrap().contains("newer"));
}

#[test]
fn parts_without_a_manifest_are_not_taken_for_a_new_store() {
    let dir = folder();
    put(&open(dir.path()).store, "a", "1");
    fs::remove_file(dir.path().join("MANIFEST")).unwrap();
    for part in ["log", "index", "blobs", "key", "secrets"] {
        let error = refused_unchanged(dir.path());
        assert_eq!(error.kind(), &ErrorKind::Missing { what: "the manifest".to_owned() });
        let path = dir.path().join(part);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    assert!(open(dir.path()).report.created);
}

#[test]
fn a_damaged_manifest_is_refused() {
    let dir = folder();
    put(&open(dir.path()).store, "a", "1");
    for content in ["", "anneal-store", "anneal-store 1\ngeneration 2\n"] {
        fs::write(dir.path().join("MANIFEST"), content).unwrap();
        assert!(matches!(refused_unchanged(dir.path()).kind(), ErrorKind::Damaged { .. }));
    }
}

#[test]
fn making_a_store_can_be_interrupted_anywhere() {
    // The parts in the order in which they are made; the manifest says last that all are there.
    let parts = ["log/1", "index/1", "blobs", "secrets", "secrets/records", "key", "log/1/00000001.log"];
    let whole = folder();
    drop(open(whole.path()));
    let text = fs::read_to_string(whole.path().join("MANIFEST")).unwrap();
    let id = text.lines().nth(2).unwrap();
    let lines = format!("anneal-store 2\ngeneration 0\n{id}\nbase 0\nincarnation 1\n");
    let making = format!("{lines}check {:08x}\n", crc32c::crc32c(lines.as_bytes()));
    for made in 0..=parts.len() {
        for torn in [false, true] {
            let dir = image(whole.path());
            fs::write(dir.path().join("MANIFEST"), &making).unwrap();
            for part in parts[made..].iter().rev() {
                let path = dir.path().join(part);
                if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
            }
            if torn {
                fs::write(dir.path().join("key.tmp"), b"half").unwrap();
                fs::write(dir.path().join("MANIFEST.tmp"), b"half").unwrap();
            }
            let opened = open(dir.path());
            assert!(opened.report.created);
            put(&opened.store, "a", "1");
            opened.store.sealed().write_named("a", &store::Secrets::new()).unwrap();
            drop(opened);
            assert_eq!(get(&open(dir.path()).store, "a").as_deref(), Some("1"), "after {made} parts");
        }
    }
    // Before the manifest there is the lock, and a temporary name.
    let dir = folder();
    fs::write(dir.path().join("lock"), b"").unwrap();
    fs::write(dir.path().join("MANIFEST.tmp"), b"half").unwrap();
    assert!(open(dir.path()).report.created);
}

#[test]
fn a_folder_that_was_lost_is_told() {
    let dir = folder();
    put(&open(dir.path()).store, "a", "1");
    fs::remove_dir_all(dir.path().join("blobs")).unwrap();
    let opened = open(dir.path());
    assert_eq!(opened.report.recreated, [dir.path().join("blobs")]);
    assert!(opened.report.notes()[0].contains("backup"));
}

#[test]
fn other_files_in_the_folder_are_left_alone() {
    let dir = folder();
    fs::write(dir.path().join("anneal.sock"), b"").unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    drop(open(dir.path()));
    fs::write(dir.path().join("log/1/notes.txt"), b"mine").unwrap();
    fs::write(dir.path().join("blobs/notes"), b"mine").unwrap();
    drop(open(dir.path()));
    assert_eq!(fs::read(dir.path().join("log/1/notes.txt")).unwrap(), b"mine");
    assert_eq!(open(dir.path()).store.blobs().digests().unwrap(), []);
}
