//! Blobs: whole, durable, stored once.

use std::fs;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use store::{Digest, ErrorKind, Store, Swept};

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

fn age(store: &Store, digest: &Digest, by: Duration) {
    let file = fs::File::options().write(true).open(store.blobs().path(digest)).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

#[test]
fn a_sweep_deletes_what_nothing_refers_to_and_was_not_put_lately() {
    let dir = folder();
    let store = open(dir.path()).store;
    let hour = Duration::from_secs(3600);
    let blobs: Vec<_> = (0..6_u8).map(|n| store.blobs().put(&[n; 1000]).unwrap()).collect();
    for old in &blobs[..4] {
        age(&store, old, hour * 2);
    }
    // The third is put again, in either way, the fourth is referred to; the last two are new.
    store.blobs().put(&[1; 1000]).unwrap();
    store.blobs().put_reader(&[2; 1000][..]).unwrap();
    let swept = store.blobs().sweep(&|digest| *digest == blobs[3], hour).unwrap();
    assert_eq!(swept, Swept { count: 1, bytes: 1000 });
    assert!(!store.blobs().contains(&blobs[0]));
    assert!(blobs[1..].iter().all(|digest| store.blobs().contains(digest)));
    // A clock that was ahead when it was put spares it.
    let file = fs::File::options().write(true).open(store.blobs().path(&blobs[5])).unwrap();
    file.set_modified(SystemTime::now() + hour).unwrap();
    let swept = store.blobs().sweep(&|_| false, Duration::ZERO).unwrap();
    assert_eq!(swept, Swept { count: 4, bytes: 4000 });
    assert_eq!(store.blobs().digests().unwrap(), [blobs[5]]);
}

#[test]
fn a_put_that_a_sweep_meets_is_there_afterwards() {
    let dir = folder();
    let store = open(dir.path()).store;
    let blobs: Vec<_> = (0..20_u8).map(|n| Digest::of(&[n; 100])).collect();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                store.blobs().sweep(&|_| false, Duration::from_secs(60)).unwrap();
            }
        });
        let putters: Vec<_> = (0..2)
            .map(|putter| {
                let (store, blobs) = (&store, &blobs);
                scope.spawn(move || {
                    for n in (0..20_u8).cycle().take(200) {
                        let digest = &blobs[n as usize];
                        if store.blobs().contains(digest) && n % 2 == putter {
                            // As if it had been put long ago: the next put must save it, or put it anew.
                            let path = store.blobs().path(digest);
                            if let Ok(file) = fs::File::options().write(true).open(path) {
                                file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
                            }
                        }
                        if n % 2 == putter {
                            store.blobs().put(&[n; 100]).unwrap();
                            assert_eq!(store.blobs().get(digest).unwrap(), [n; 100]);
                        }
                    }
                })
            })
            .collect();
        for putter in putters {
            putter.join().unwrap();
        }
        ended.store(true, Ordering::SeqCst);
    });
    assert_eq!(store.blobs().digests().unwrap().len(), 20);
}
