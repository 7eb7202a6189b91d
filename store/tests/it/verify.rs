//! Verification finds whatever is wrong, and changes nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use store::{Batch, ErrorKind, Problem, Secrets, Store, verify};
use tempfile::TempDir;
use uuid::Uuid;

use crate::common::{content, flip, folder, frames, image, log_bytes, open, put, segment, snapshot};

fn filled(compacted: bool) -> TempDir {
    let dir = folder();
    let store = open(dir.path()).store;
    for n in 1..=30_u8 {
        let batch = Batch::new(Some([n; 16])).put(format!("k/{}", n % 9), vec![n; 200]).delete(format!("k/{}", n % 4));
        store.commit_blocking(batch).unwrap();
        if n == 20 && compacted {
            store.compact_blocking().unwrap();
        }
    }
    store.blobs().put(b"abc").unwrap();
    store.sealed().write(&Uuid::from_bytes([3; 16]), &Secrets::new()).unwrap();
    store.sealed().write_named("host", &Secrets::new()).unwrap();
    store.close_blocking().unwrap();
    dir
}

fn problems(dir: &Path) -> Vec<Problem> {
    let before = snapshot(dir);
    let found = verify(dir).unwrap();
    assert!(before == snapshot(dir), "nothing is changed");
    found.problems
}

#[test]
fn a_whole_store_has_no_problems_closed_or_open() {
    for compacted in [false, true] {
        let dir = filled(compacted);
        assert_eq!(problems(dir.path()), []);
        let closed = verify(dir.path()).unwrap();
        assert_eq!((closed.blobs, closed.sealed), (1, 2));
        if !compacted {
            assert_eq!((closed.commits, closed.frames), (30, 31), "thirty commits and a mark");
        }
        let store = open(dir.path()).store;
        assert_eq!(closed.keys, content(&store).len() as u64);
        let open = store.verify().unwrap();
        assert_eq!((open.problems.as_slice(), open.keys, open.blobs, open.sealed), (&[][..], closed.keys, 1, 2));
        assert_eq!(open.commits, closed.commits);
        assert!(matches!(verify(dir.path()).unwrap_err().kind(), ErrorKind::Held { pid: Some(_) }));
        put(&store, "new", "1");
        assert_eq!(store.verify().unwrap().problems, []);
    }
    assert!(matches!(verify(folder().path()).unwrap_err().kind(), ErrorKind::Missing { .. }));
}

#[test]
fn commits_go_on_while_it_is_verified() {
    let dir = filled(false);
    let store = open(dir.path()).store;
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0_u32.. {
                if done.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                put(&store, &format!("w/{}", n % 50), n.to_string());
            }
        });
        for _ in 0..20 {
            assert_eq!(store.verify().unwrap().problems, []);
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

#[test]
fn whatever_is_damaged_is_found() {
    for compacted in [false, true] {
        let dir = filled(compacted);
        let generation = if compacted { 2 } else { 1 };
        let log = format!("log/{generation}/00000001.log");
        let starts = frames(&fs::read(dir.path().join(&log)).unwrap());
        let digest = "blobs/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let operation = Uuid::from_bytes([3; 16]);
        let cases: [(&str, usize, &str, Option<[u8; 16]>); 7] = [
            (&log, starts[2] + 100, "not as it was written", None),
            (&log, starts[2] + 20, "header of a frame", None),
            (&log, 20, "header of a log segment", None),
            (digest, 1, "does not have that digest", None),
            ("secrets/records/host", 35, "sealed file is damaged", None),
            (&format!("secrets/{operation}"), 35, "sealed file is damaged", Some([3; 16])),
            ("MANIFEST", 30, "the manifest is not", None),
        ];
        for (file, at, what, operation) in cases {
            for lose_index in [false, true] {
                let image = image(dir.path());
                flip(&image.path().join(file), at);
                if lose_index {
                    fs::remove_dir_all(image.path().join("index")).unwrap();
                }
                let found = problems(image.path());
                assert_eq!(found.len(), 1, "{file} at {at}: {found:?}");
                assert!(found[0].what.contains(what), "{:?}", found[0]);
                assert!(found[0].file.starts_with(image.path()) && !found[0].hint.is_empty(), "{:?}", found[0]);
                if operation.is_some() {
                    assert_eq!(found[0].operation, operation);
                }
            }
        }
        let image = image(dir.path());
        flip(&segment_of(image.path(), generation), starts[2] + 100);
        assert!(problems(image.path())[0].operation.is_some(), "a frame's own operation");
        fs::remove_file(image.path().join("key")).unwrap();
        fs::remove_dir_all(image.path().join("blobs")).unwrap();
        assert_eq!(problems(image.path()).len(), 3);
        let error = problems(image.path()).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(error.contains("of operation") && error.contains("at byte"), "{error}");
    }
}

fn segment_of(dir: &Path, generation: u64) -> std::path::PathBuf {
    dir.join(format!("log/{generation}/00000001.log"))
}

#[test]
fn an_open_store_sees_damage_that_came_after_the_opening() {
    let dir = filled(false);
    let store = open(dir.path()).store;
    let starts = frames(&log_bytes(dir.path(), 1));
    flip(&segment(dir.path(), 1), starts[2] + 100);
    let found = store.verify().unwrap().problems;
    assert_eq!((found.len(), found[0].operation, found[0].at), (1, Some([3; 16]), Some(starts[2] as u64)));
}

#[test]
fn an_index_that_holds_anything_else_than_the_log_is_found() {
    let dir = filled(false);
    let tampered = |tamper: &dyn Fn(&sled::Db)| {
        let image = image(dir.path());
        let index = sled::open(image.path().join("index/1")).unwrap();
        tamper(&index);
        index.flush().unwrap();
        drop(index);
        problems(image.path())
    };
    for found in [
        tampered(&|index| drop(index.remove("k/5"))),
        tampered(&|index| drop(index.insert("new", &[0; 9]))),
        tampered(&|index| drop(index.remove(""))),
    ] {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].file.ends_with("index/1") && found[0].hint.contains("made again"), "{found:?}");
    }
}

#[test]
fn a_torn_write_is_told_and_is_no_problem() {
    let dir = filled(false);
    let image = image(dir.path());
    let bytes = log_bytes(image.path(), 1);
    let starts = frames(&bytes);
    fs::remove_dir_all(image.path().join("index")).unwrap();
    fs::write(segment(image.path(), 1), &bytes[..starts[29] + 60]).unwrap();
    let found = verify(image.path()).unwrap();
    assert_eq!((found.problems.len(), found.torn.map(|torn| torn.offset)), (0, Some(starts[29] as u64)));
    assert_eq!(found.commits, 29);
}

#[test]
fn a_folder_that_cannot_be_written_is_verified() {
    let dir = filled(true);
    let mounted = folder();
    let run = |command: &[&str]| {
        let status = Command::new(command[0]).args(&command[1..]).status().unwrap();
        assert!(status.success(), "this test mounts a folder, and needs the rights for it");
    };
    let (from, to) = (dir.path().to_str().unwrap(), mounted.path().to_str().unwrap());
    run(&["mount", "--bind", from, to]);
    run(&["mount", "-o", "remount,bind,ro", to]);
    let found = std::panic::catch_unwind(|| verify(mounted.path()));
    run(&["umount", to]);
    let found = found.unwrap().unwrap();
    assert_eq!((found.problems.as_slice(), found.blobs), (&[][..], 1));
    assert!(Store::open(dir.path()).is_ok());
}
