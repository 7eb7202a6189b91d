//! How errors are shown.

use std::fs;

use store::{Batch, Digest, Error, Secrets, Store};

use crate::common::{flip, folder, frames, log_bytes, open, put, segment};

fn shown(dir: &std::path::Path, error: &Error) -> String {
    let text = format!("{error:?}").replace(&dir.display().to_string(), "DIR");
    match error.hint() {
        Some(hint) => format!("{text}\n  = help: {hint}\n"),
        None => format!("{text}\n"),
    }
}

#[test]
fn errors_say_what_where_and_what_to_do() {
    let dir = folder();
    let path = dir.path();
    let mut told = String::new();
    let mut tell = |error: Error| told.push_str(&shown(path, &error));
    let store = open(path).store;
    put(&store, "o/1", "1");
    put(&store, "o/2", "2");
    tell(store.commit_blocking(Batch::new(None).put("o/1", "2").expect_absent("o/1")).unwrap_err());
    tell(store.commit_blocking(Batch::new(None).put("o/1", vec![0; 2_000_000])).unwrap_err());
    tell(store.commit_blocking(Batch::new(None).delete("")).unwrap_err());
    let digest = store.blobs().put(b"abc").unwrap();
    fs::write(store.blobs().path(&digest), b"abd").unwrap();
    tell(store.blobs().get(&digest).unwrap_err());
    tell(store.blobs().get(&Digest::of(b"")).unwrap_err());
    tell("sha256:12".parse::<Digest>().unwrap_err());
    store.sealed().write_named("host", &Secrets::new()).unwrap();
    flip(&path.join("secrets/records/host"), 40);
    tell(store.sealed().read_named("host").unwrap_err());
    tell(store.sealed().read_named("../key").unwrap_err());
    let closed = store.clone();
    closed.close_blocking().unwrap();
    tell(store.commit_blocking(Batch::new(None).put("a", "1")).unwrap_err());
    drop(store);

    let store = open(path).store;
    store.backup(&path.join("backup"), 0).unwrap();
    tell(store.backup(&path.join("backup"), 0).unwrap_err());
    tell(Store::open(&path.join("backup")).unwrap_err());
    tell(store::restore(&path.join("blobs"), &path.join("to")).unwrap_err());
    tell(store::import(&mut &b"{}\n"[..], &path.join("to")).unwrap_err());
    fs::create_dir_all(path.join("half/restore.tmp")).unwrap();
    tell(Store::open(&path.join("half")).unwrap_err());
    flip(&segment(path, 1), 64 + 54);
    tell(store.compact_blocking().unwrap_err());
    flip(&segment(path, 1), 64 + 54);
    drop(store);

    let second = frames(&log_bytes(path, 1))[1];
    flip(&segment(path, 1), second + 20);
    tell(Store::open(path).unwrap_err());
    fs::remove_dir_all(path.join("log/1")).unwrap();
    tell(Store::open(path).unwrap_err());
    fs::write(path.join("MANIFEST"), "anneal-store 7\n").unwrap();
    tell(Store::open(path).unwrap_err());
    fs::remove_file(path.join("MANIFEST")).unwrap();
    tell(Store::open(path).unwrap_err());
    if std::env::var_os("ANNEAL_UPDATE_SNAPSHOTS").is_some() {
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/errors.snap"), &told).unwrap();
        return;
    }
    assert_eq!(told, include_str!("errors.snap"), "run with ANNEAL_UPDATE_SNAPSHOTS=1 to take it as it is");
}
