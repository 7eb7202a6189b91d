//! Backup and restore: one point in the order of commits, whole or not there, and never run as if nothing had happened.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use store::{
    Batch, Digest, ErrorKind, Faults, Held, Options, Secret, Secrets, Step, Store, restore, restore_with, verify,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::common::{
    Content, content, flip, folder, frames, get, image, log_bytes, open, options, put, segment, snapshot,
};

const OPERATION: Uuid = Uuid::from_u128(7);
const AT_MS: u64 = 1_790_000_000_000;

/// Overwritten and deleted keys, blobs, sealed files; some frames were compacted and some were not.
fn filled(options: &Options) -> (TempDir, Store) {
    let dir = folder();
    let store = Store::open_with(&dir.path().join("data"), options).unwrap().store;
    for n in 0..50_u8 {
        let batch = Batch::new(Some([n; 16])).put(format!("k/{}", n % 20), vec![n; 10 * n as usize]);
        store.commit_blocking(batch.delete(format!("k/{}", n % 7))).unwrap();
    }
    for n in 0..5_u8 {
        store.blobs().put(&[n; 5000]).unwrap();
    }
    let secrets = Secrets::from([("word".to_owned(), Secret::from("xyzzy"))]);
    store.sealed().write(&OPERATION, &secrets).unwrap();
    store.sealed().write_named("host", &secrets).unwrap();
    (dir, store)
}

fn check_restored(dir: &Path, expected: &Content, incarnation: u32) -> Held {
    let opened = open(dir);
    assert_eq!((opened.report.damaged.as_slice(), opened.report.torn), (&[][..], None));
    assert_eq!(opened.report.recreated, [] as [PathBuf; 0]);
    let store = opened.store;
    assert_eq!(&content(&store), expected);
    assert_eq!(store.blobs().digests().unwrap().len(), 5);
    assert_eq!(store.sealed().read(&OPERATION).unwrap().unwrap()["word"].expose(), "xyzzy");
    assert_eq!(store.sealed().names().unwrap(), ["host"]);
    assert_eq!(store.incarnation(), incarnation);
    assert_eq!(store.verify().unwrap().problems, []);
    store.held().unwrap()
}

#[test]
fn a_backup_is_restored_held_and_in_the_next_incarnation() {
    let (dir, store) = filled(&options());
    let expected = content(&store);
    let version = store.get(b"k/19").unwrap().unwrap().version;
    let to = dir.path().join("backups/today");
    fs::create_dir(dir.path().join("backups")).unwrap();
    let backup = store.backup(&to, AT_MS).unwrap();
    assert_eq!((backup.blobs, backup.sealed, backup.left_out.len(), backup.at_ms), (5, 2, 0, AT_MS));
    assert_eq!(store.backup(&to, AT_MS).unwrap_err().kind(), &ErrorKind::Exists);
    put(&store, "later", "1");
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(dir.path().join("backups")).unwrap().count(), 1, "no temporary name is left");
    let found = verify(&to).unwrap();
    assert_eq!((found.problems.as_slice(), found.blobs, found.sealed), (&[][..], 5, 2));
    assert_eq!(found.keys, expected.len() as u64);

    // It is not run as if nothing had happened.
    let error = Store::open_with(&to, &options()).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::IsBackup);
    assert!(error.hint().unwrap().contains("restore"));
    assert_eq!(restore(&dir.path().join("data"), &dir.path().join("x")).unwrap_err().kind(), &ErrorKind::NoBackup);
    assert_eq!(restore(dir.path(), &dir.path().join("x")).unwrap_err().kind(), &ErrorKind::NoBackup);
    assert_eq!(
        restore(&to, &dir.path().join("data")).unwrap_err().kind(),
        &ErrorKind::Held { pid: Some(std::process::id()) }
    );

    let again = dir.path().join("again");
    let restored = restore(&to, &again).unwrap();
    assert_eq!((restored.incarnation, restored.blobs, restored.sealed), (2, 5, 2));
    assert_eq!(restored.store, backup.store);
    assert_eq!(restore(&to, &again).unwrap_err().kind(), &ErrorKind::Exists);
    let held = check_restored(&again, &expected, 2);
    assert_eq!(held, Held { from_sequence: backup.sequence, backed_up_at_ms: AT_MS });
    let store = open(&again).store;
    assert_eq!(store.get(b"k/19").unwrap().unwrap().version, version);
    assert!(put(&store, "new", "1").sequence > backup.sequence);
    store.compact_blocking().unwrap();
    assert_eq!(store.held(), Some(held), "a compaction releases nothing");
    assert!(store.release().unwrap());
    assert!(!store.release().unwrap());
    store.compact_blocking().unwrap();
    drop(store);
    let store = open(&again).store;
    assert_eq!((store.held(), store.incarnation()), (None, 2));

    // A backup of what was restored, into a folder that is there and empty.
    let second = dir.path().join("second");
    store.backup(&second, AT_MS + 1).unwrap();
    let empty = dir.path().join("empty");
    fs::create_dir_all(empty.join("lost+found")).unwrap();
    assert_eq!(restore(&second, &empty).unwrap().incarnation, 3);
}

#[test]
fn a_backup_has_whole_commits_up_to_one_point_while_commits_go_on() {
    let (dir, store) = filled(&options());
    let (ended, backups) = (AtomicBool::new(false), dir.path());
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (store, ended) = (&store, &ended);
            scope.spawn(move || {
                for n in 0_u64..200 {
                    if ended.load(Ordering::SeqCst) {
                        return;
                    }
                    // The blob is put before the commit that names it.
                    let digest = store.blobs().put(format!("{writer} {n}").as_bytes()).unwrap();
                    let both = Batch::new(None)
                        .put(format!("a/{writer}/{n:06}"), digest.to_string())
                        .put(format!("b/{writer}/{n:06}"), n.to_string())
                        .put(format!("last/{writer}"), n.to_string());
                    store.commit_blocking(both).unwrap();
                }
            });
        }
        for n in 0..3 {
            let backup = store.backup(&backups.join(format!("b{n}")), AT_MS).unwrap();
            restore(&backup.folder, &backups.join(format!("r{n}"))).unwrap();
            let restored = open(&backups.join(format!("r{n}"))).store;
            for writer in 0..3 {
                let all = |half: &str| restored.scan(format!("{half}/{writer}/").as_bytes(), None, 4096).unwrap();
                let (a, b, last) = (all("a"), all("b"), get(&restored, &format!("last/{writer}")));
                assert_eq!(a.len(), b.len());
                assert_eq!(last.map(|last| last.parse::<usize>().unwrap() + 1).unwrap_or(0), a.len());
                for (_, named) in a {
                    let digest: Digest = String::from_utf8(named.value).unwrap().parse().unwrap();
                    assert!(restored.blobs().get(&digest).is_ok());
                }
            }
        }
        ended.store(true, Ordering::SeqCst);
    });
}

/// Takes an image at each of these steps, and fails at one.
fn watch(dir: PathBuf, steps: &'static [Step], fails: Option<usize>) -> (Faults, Arc<Mutex<Vec<TempDir>>>) {
    let (images, count) = (Arc::new(Mutex::new(Vec::new())), AtomicUsize::new(0));
    let taken = Arc::clone(&images);
    let faults = move |step: Step| {
        if !steps.contains(&step) {
            return None;
        }
        let n = count.fetch_add(1, Ordering::SeqCst);
        if fails.is_none() {
            taken.lock().unwrap().push(image(&dir));
        }
        (fails == Some(n)).then(|| io::Error::from_raw_os_error(28))
    };
    (Arc::new(faults), images)
}

const BACKUP: &[Step] = &[Step::Copy, Step::CopySync, Step::CopyFile, Step::Place];
const RESTORE: &[Step] = &[Step::CopyFile, Step::Place, Step::SwitchSync];

#[test]
fn a_crash_or_error_at_any_step_of_a_backup_leaves_none_and_the_store_as_it_is() {
    let (dir, store) = filled(&options());
    let expected = content(&store);
    drop(store);
    let (faults, images) = watch(dir.path().to_owned(), BACKUP, None);
    let watched = Options { faults: Some(faults), ..options() };
    let store = Store::open_with(&dir.path().join("data"), &watched).unwrap().store;
    store.backup(&dir.path().join("b"), AT_MS).unwrap();
    drop(store);
    let images = std::mem::take(&mut *images.lock().unwrap());
    assert!(images.len() > 10);
    for image in &images {
        assert!(!image.path().join("b").exists());
        let store = open(&image.path().join("data")).store;
        assert_eq!(content(&store), expected);
        // What was unfinished is gone, whatever the next one is called.
        store.backup(&image.path().join("c"), AT_MS).unwrap();
        assert_eq!(fs::read_dir(image.path()).unwrap().count(), 2);
        assert_eq!(verify(&image.path().join("c")).unwrap().problems, []);
    }
    for fails in 0..images.len() {
        let (faults, _) = watch(dir.path().to_owned(), BACKUP, Some(fails));
        let faulty = Options { faults: Some(faults), ..options() };
        let store = Store::open_with(&dir.path().join("data"), &faulty).unwrap().store;
        let to = dir.path().join("other");
        assert_eq!(store.backup(&to, AT_MS).unwrap_err().kind(), &ErrorKind::Full);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "only the store and the first backup");
        put(&store, "more", "1");
        store.commit_blocking(Batch::new(None).delete("more")).unwrap();
    }
}

#[test]
fn a_crash_or_error_at_any_step_of_a_restore_leaves_nothing_or_all() {
    let (dir, store) = filled(&options());
    let expected = content(&store);
    let backup = store.backup(&dir.path().join("b"), AT_MS).unwrap().folder;
    let before = snapshot(&backup);
    for there in [false, true] {
        let target = folder();
        let to = target.path().join("data");
        if there {
            fs::create_dir(&to).unwrap();
        }
        let (faults, images) = watch(target.path().to_owned(), RESTORE, None);
        restore_with(&backup, &to, Some(faults)).unwrap();
        let images = std::mem::take(&mut *images.lock().unwrap());
        assert!(images.len() > 10);
        let mut whole = 0;
        for (n, image) in images.iter().enumerate() {
            let to = image.path().join("data");
            match Store::open_with(&to, &options()) {
                Ok(_) => whole += 1,
                Err(error) => {
                    assert_eq!(error.kind(), &ErrorKind::Unfinished, "image {n}");
                    assert_eq!(restore(&backup, &to).unwrap().incarnation, 2);
                }
            }
            check_restored(&to, &expected, 2);
            assert!(!to.join("restore.tmp").exists());
        }
        assert_eq!(whole, 1, "with the manifest");
        for fails in 0..images.len() - 1 {
            let target = folder();
            let to = target.path().join("data");
            let (faults, _) = watch(target.path().to_owned(), RESTORE, Some(fails));
            assert_eq!(restore_with(&backup, &to, Some(faults)).unwrap_err().kind(), &ErrorKind::Full);
            assert!(!to.exists(), "step {fails}");
            restore(&backup, &to).unwrap();
        }
    }
    assert!(snapshot(&backup) == before, "the backup is not changed");
}

#[test]
fn a_damaged_backup_is_not_restored_and_damage_is_not_backed_up_as_if_it_were_whole() {
    let (dir, store) = filled(&options());
    let backup = store.backup(&dir.path().join("b"), AT_MS).unwrap().folder;
    let blob = fs::read_dir(backup.join("blobs")).unwrap().next().unwrap().unwrap().path();
    let blob = fs::read_dir(blob).unwrap().next().unwrap().unwrap().path();
    let files = ["MANIFEST", "log/1/00000001.log", "key", "secrets/records/host"].map(|name| backup.join(name));
    for file in files.iter().chain([&blob]) {
        flip(file, 75.min(fs::metadata(file).unwrap().len() as usize - 1));
        let error = restore(&backup, &dir.path().join("to")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Damaged { .. }), "{error:?}");
        assert!(!dir.path().join("to").exists());
        flip(file, 75.min(fs::metadata(file).unwrap().len() as usize - 1));
    }
    let text = fs::read_to_string(backup.join("MANIFEST")).unwrap();
    let newer = text.replacen(&format!("store {}", store::FORMAT), &format!("store {}", store::FORMAT + 1), 1);
    fs::write(backup.join("MANIFEST"), newer).unwrap();
    let error = restore(&backup, &dir.path().join("to")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NewerFormat { .. }), "{error:?}");

    // What is damaged in the store is left out, and named.
    let digest = store.blobs().digests().unwrap()[0];
    flip(&store.blobs().path(&digest), 7);
    flip(&dir.path().join("data/secrets/records/host"), 40);
    let second = store.backup(&dir.path().join("second"), AT_MS).unwrap();
    let names: Vec<_> = second.left_out.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["host", &digest.hex()[2..]]);
    assert_eq!((second.blobs, second.sealed), (4, 1));
    restore(&second.folder, &dir.path().join("to")).unwrap();
}

#[test]
fn a_lost_commit_is_named_in_the_backup_and_in_what_is_restored() {
    let (dir, store) = filled(&options());
    drop(store);
    let data = dir.path().join("data");
    let starts = frames(&log_bytes(&data, 1));
    flip(&segment(&data, 1), starts[45] + 100);
    let store = open(&data).store;
    let damaged: Vec<_> = store.damaged().iter().map(|damage| damage.operation).collect();
    assert_eq!(damaged, [Some([45; 16])]);
    let backup = store.backup(&dir.path().join("b"), AT_MS).unwrap().folder;
    let problems = verify(&backup).unwrap().problems;
    assert_eq!((problems.len(), problems[0].recorded, problems[0].operation), (1, true, Some([45; 16])));
    restore(&backup, &dir.path().join("to")).unwrap();
    let restored = open(&dir.path().join("to")).store;
    assert_eq!(restored.damaged().iter().map(|damage| damage.operation).collect::<Vec<_>>(), damaged);
    assert_eq!(content(&restored).len(), content(&store).len());
}
