//! Sealed files: nobody reads a secret without the key, and nobody changes one unnoticed.

use std::fs;
use std::path::Path;

use store::{ErrorKind, Secret, Secrets};
use uuid::Uuid;

use crate::common::{flip, folder, open, put};

const CANARY: &str = "canary-7f3a91-sealed";

fn secrets() -> Secrets {
    [("password".to_owned(), Secret::from(CANARY)), ("empty".to_owned(), Secret::from(""))].into()
}

fn files(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn secrets_come_back_after_reopening_until_they_are_deleted() {
    let (dir, operation) = (folder(), Uuid::now_v7());
    {
        let store = open(dir.path()).store;
        assert_eq!(store.sealed().read(&operation).unwrap(), None);
        store.sealed().write(&operation, &Secrets::new()).unwrap();
        store.sealed().write(&operation, &secrets()).unwrap();
        store.sealed().write_named("host.lab-1", &secrets()).unwrap();
    }
    let store = open(dir.path()).store;
    let sealed = store.sealed();
    assert_eq!(sealed.read(&operation).unwrap(), Some(secrets()));
    assert_eq!(sealed.operations().unwrap(), [operation]);
    assert_eq!(sealed.names().unwrap(), ["host.lab-1"]);
    assert_eq!(sealed.read_named("host.lab-1").unwrap(), Some(secrets()));
    assert!(sealed.delete(&operation).unwrap());
    assert!(!sealed.delete(&operation).unwrap());
    assert_eq!(sealed.read(&operation).unwrap(), None);
    assert!(sealed.delete_named("host.lab-1").unwrap());
    assert_eq!(sealed.names().unwrap(), [""; 0]);
}

#[test]
fn no_file_holds_a_secret_in_the_clear() {
    let (dir, operation) = (folder(), Uuid::now_v7());
    let store = open(dir.path()).store;
    store.sealed().write(&operation, &secrets()).unwrap();
    store.sealed().write_named("host", &secrets()).unwrap();
    put(&store, "o/1", "the plan refers to password");
    drop(store);
    let mut found = Vec::new();
    files(dir.path(), &mut found);
    assert!(found.len() > 6);
    for path in found {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()), "{}", path.display());
    }
    let shown = format!("{:?} {}", secrets(), Secret::from(CANARY));
    assert!(!shown.contains("canary") && shown.contains("<secret>"), "{shown}");
}

#[test]
fn the_same_secrets_never_look_the_same() {
    let (dir, operation) = (folder(), Uuid::now_v7());
    let store = open(dir.path()).store;
    let path = dir.path().join("secrets").join(operation.to_string());
    store.sealed().write(&operation, &secrets()).unwrap();
    let first = fs::read(&path).unwrap();
    store.sealed().write(&operation, &secrets()).unwrap();
    assert_ne!(first[18..], fs::read(&path).unwrap()[18..]);
}

#[test]
fn every_flipped_or_missing_byte_is_noticed() {
    let (dir, operation) = (folder(), Uuid::now_v7());
    let store = open(dir.path()).store;
    let path = dir.path().join("secrets").join(operation.to_string());
    store.sealed().write(&operation, &secrets()).unwrap();
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        flip(&path, at);
        let error = store.sealed().read(&operation).unwrap_err();
        match at {
            8..10 => assert!(matches!(error.kind(), ErrorKind::NewerFormat { .. }), "byte {at}: {error:?}"),
            10..18 => assert_eq!(error.kind(), &ErrorKind::WrongKey, "byte {at}"),
            _ => assert!(matches!(error.kind(), ErrorKind::DamagedSecrets { .. }), "byte {at}: {error:?}"),
        }
        fs::write(&path, &good[..at]).unwrap();
        assert!(store.sealed().read(&operation).is_err(), "cut to {at}");
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(store.sealed().read(&operation).unwrap(), Some(secrets()));
}

#[test]
fn a_sealed_file_opens_only_under_its_own_name() {
    let dir = folder();
    let store = open(dir.path()).store;
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    store.sealed().write(&one, &secrets()).unwrap();
    let path = |operation: Uuid| dir.path().join("secrets").join(operation.to_string());
    fs::copy(path(one), path(other)).unwrap();
    let error = store.sealed().read(&other).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::DamagedSecrets { .. }), "{error:?}");
}

#[test]
fn a_missing_or_wrong_key_is_said_and_never_replaced() {
    let (dir, operation) = (folder(), Uuid::now_v7());
    let key = dir.path().join("key");
    open(dir.path()).store.sealed().write(&operation, &secrets()).unwrap();
    let good = fs::read(&key).unwrap();
    assert_eq!(good.len(), 32);

    fs::remove_file(&key).unwrap();
    let opened = open(dir.path());
    assert!(opened.report.key_missing && opened.report.notes()[0].contains("`key`"));
    put(&opened.store, "all else", "works");
    assert_eq!(opened.store.sealed().read(&operation).unwrap_err().kind(), &ErrorKind::KeyMissing);
    assert_eq!(opened.store.sealed().write(&operation, &secrets()).unwrap_err().kind(), &ErrorKind::KeyMissing);
    drop(opened);
    assert!(!key.exists(), "a new key would not open anything");

    for wrong in [vec![1; 32], vec![1; 31], Vec::new()] {
        fs::write(&key, wrong).unwrap();
        let store = open(dir.path()).store;
        assert_eq!(store.sealed().read(&operation).unwrap_err().kind(), &ErrorKind::WrongKey);
    }
    fs::write(&key, good).unwrap();
    assert_eq!(open(dir.path()).store.sealed().read(&operation).unwrap(), Some(secrets()));
}

#[test]
fn names_that_could_leave_the_folder_are_refused() {
    let dir = folder();
    let store = open(dir.path()).store;
    for name in ["", ".", "..", "a/b", "../key", "A", "ä", "-a", ".a", "a b", "a\0", "a.tmp"] {
        let error = store.sealed().write_named(name, &secrets()).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::BadName { name: name.to_owned() });
    }
    let error = store.sealed().read_named(&"a".repeat(129)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge { limit: "NAME_BYTES", .. }));
}

#[test]
fn too_many_secrets_are_refused() {
    let dir = folder();
    let store = open(dir.path()).store;
    let large = [("large".to_owned(), Secret::from("x".repeat(1 << 20)))].into();
    let error = store.sealed().write_named("a", &large).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge { limit: "SEALED_BYTES", .. }));
    assert!(!error.to_string().contains("xx"));
}
