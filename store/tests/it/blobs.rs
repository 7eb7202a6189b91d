//! Blobs: whole, durable, stored once.

use std::fs;
use std::io::{self, Read};

use store::{Digest, ErrorKind};

use crate::common::{folder, open};

#[test]
fn a_blob_comes_back_under_the_digest_of_its_content() {
    let dir = folder();
    let opened = open(dir.path());
    let blobs = opened.store.blobs();
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    for content in [&b""[..], b"abc", &large] {
        let digest = blobs.put(content).unwrap();
        assert_eq!(digest, Digest::of(content));
        assert_eq!(blobs.put_reader(content).unwrap(), digest);
        assert_eq!(blobs.get(&digest).unwrap(), content);
        assert_eq!(blobs.size(&digest).unwrap(), content.len() as u64);
        let mut read = Vec::new();
        blobs.reader(&digest).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, content);
        assert!(blobs.contains(&digest));
    }
    assert_eq!(blobs.digests().unwrap().len(), 3);
    let path = blobs.path(&Digest::of(b"abc"));
    assert!(path.ends_with("blobs/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    drop(opened);
    assert_eq!(open(dir.path()).store.blobs().get(&Digest::of(b"abc")).unwrap(), b"abc");
}

#[test]
fn a_blob_that_is_not_there_is_named() {
    let dir = folder();
    let store = open(dir.path()).store;
    let digest = Digest::of(b"nothing");
    assert_eq!(store.blobs().get(&digest).unwrap_err().kind(), &ErrorKind::NoSuchBlob { digest });
    assert!(store.blobs().reader(&digest).is_err());
    assert!(!store.blobs().contains(&digest));
    assert!(!store.blobs().remove(&digest).unwrap());
}

#[test]
fn a_damaged_blob_is_not_handed_out_and_storing_it_again_mends_it() {
    let dir = folder();
    let store = open(dir.path()).store;
    let blobs = store.blobs();
    let content = vec![5; 300_000];
    let digest = blobs.put(&content).unwrap();
    let path = blobs.path(&digest);
    for broken in [vec![4; 300_000], vec![5; 299_999], Vec::new()] {
        fs::write(&path, broken).unwrap();
        assert_eq!(blobs.get(&digest).unwrap_err().kind(), &ErrorKind::DamagedBlob { digest });
        let mut read = Vec::new();
        let error = blobs.reader(&digest).unwrap().read_to_end(&mut read).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        blobs.put(&content).unwrap();
        assert_eq!(blobs.get(&digest).unwrap(), content);
    }
}

#[test]
fn a_removed_blob_is_gone_and_can_be_stored_again() {
    let dir = folder();
    let store = open(dir.path()).store;
    let digest = store.blobs().put(b"abc").unwrap();
    assert!(store.blobs().remove(&digest).unwrap());
    assert!(!store.blobs().contains(&digest));
    assert_eq!(store.blobs().digests().unwrap(), []);
    assert_eq!(store.blobs().put(b"abc").unwrap(), digest);
    assert!(store.blobs().contains(&digest));
}

#[test]
fn a_reader_that_fails_leaves_no_blob() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the network is gone"))
        }
    }
    let dir = folder();
    let store = open(dir.path()).store;
    let error = store.blobs().put_reader((&b"some"[..]).chain(Fails)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io { .. }), "{error:?}");
    assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
}

#[test]
fn what_a_crash_left_unfinished_is_removed_at_opening() {
    let dir = folder();
    drop(open(dir.path()));
    for name in ["blobs/0.tmp", "secrets/x.tmp", "secrets/records/y.tmp", "log/1/00000002.log.tmp"] {
        fs::write(dir.path().join(name), b"half").unwrap();
    }
    assert_eq!(open(dir.path()).report.stale_files, 4);
    assert_eq!(open(dir.path()).report.stale_files, 0);
}

#[test]
fn many_threads_may_store_the_same_blobs() {
    let dir = folder();
    let store = open(dir.path()).store;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..20_u8 {
                    store.blobs().put(&[n; 1000]).unwrap();
                }
            });
        }
    });
    assert_eq!(store.blobs().digests().unwrap().len(), 20);
    for digest in store.blobs().digests().unwrap() {
        store.blobs().get(&digest).unwrap();
    }
}
