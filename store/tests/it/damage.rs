//! Damage that is no torn tail: named, and never guessed around.

use std::fs;

use store::{Batch, ErrorKind, Store};
use tempfile::TempDir;

use crate::common::{flip, folder, frames, get, image, log_bytes, open, options, put, segment};

/// Three operations with a commit each, and the frames of the log.
fn three() -> (TempDir, Vec<usize>) {
    let dir = folder();
    {
        let store = open(dir.path()).store;
        for n in 1..=3_u8 {
            let batch = Batch::new(Some([n; 16])).put(format!("o/{n}"), vec![b'0' + n; 200]);
            store.commit_blocking(batch).unwrap();
        }
    }
    let starts = frames(&log_bytes(dir.path(), 1));
    assert_eq!(starts.len(), 4, "three commits and the mark");
    (dir, starts)
}

#[test]
fn a_flipped_byte_in_a_commit_names_its_operation_and_leaves_the_others() {
    let (dir, starts) = three();
    for lose_index in [false, true] {
        let image = image(dir.path());
        flip(&segment(image.path(), 1), starts[1] + 100);
        if lose_index {
            fs::remove_dir_all(image.path().join("index")).unwrap();
        }
        let opened = open(image.path());
        let damage = &opened.store.damaged()[0];
        assert_eq!(opened.store.damaged().len(), 1);
        assert_eq!(damage.operation, Some([2; 16]));
        assert_eq!((damage.sequence, damage.offset), (2, starts[1] as u64));
        let told = opened.report.notes().join("\n");
        assert!(told.contains("commit 2 of operation 02020202-0202-0202-0202-020202020202"), "{told}");
        assert_eq!(get(&opened.store, "o/1"), Some("1".repeat(200)));
        assert_eq!(get(&opened.store, "o/3"), Some("3".repeat(200)));
        if lose_index {
            assert_eq!(get(&opened.store, "o/2"), None);
        } else {
            // The index still knows where the value is, and its checksum does not let it out.
            let error = opened.store.get(b"o/2").unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Damaged { .. }), "{error:?}");
        }
        // It stays named, and the store goes on.
        put(&opened.store, "more", "1");
        drop(opened);
        assert_eq!(open(image.path()).store.damaged().len(), 1);
    }
}

#[test]
fn a_flipped_byte_in_a_header_in_the_middle_refuses_to_open_and_changes_nothing() {
    let (dir, starts) = three();
    let path = segment(dir.path(), 1);
    flip(&path, starts[1] + 20);
    let before = fs::read(&path).unwrap();
    for _ in 0..2 {
        let error = Store::open(dir.path()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Damaged { .. }), "{error:?}");
        assert_eq!((error.path(), error.offset()), (Some(path.as_path()), Some(starts[1] as u64)));
        assert!(error.hint().unwrap().contains("restore"));
        let _ = fs::remove_dir_all(dir.path().join("index"));
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_flipped_byte_anywhere_in_an_acknowledged_log_is_never_silent() {
    let (dir, starts) = three();
    let bytes = log_bytes(dir.path(), 1);
    let image = image(dir.path());
    let path = segment(image.path(), 1);
    // Up to the mark: what is written last has nothing after it that could vouch for it.
    for at in 0..starts[3] {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        let _ = fs::remove_dir_all(image.path().join("index"));
        match Store::open_with(image.path(), &options()) {
            Ok(opened) => {
                assert_eq!(opened.report.damaged.len(), 1, "byte {at}");
                assert_eq!(opened.report.torn, None, "byte {at}");
            }
            Err(error) => assert!(matches!(error.kind(), ErrorKind::Damaged { .. }), "byte {at}: {error:?}"),
        }
    }
}

#[test]
fn segments_that_are_missing_swapped_or_cut_are_named() {
    let dir = folder();
    let mut small = options();
    small.segment_bytes = 1024;
    {
        let store = Store::open_with(dir.path(), &small).unwrap().store;
        for n in 0..20_u8 {
            put(&store, &format!("{n}"), vec![n; 300]);
        }
    }
    let second = segment(dir.path(), 2);
    for lose_index in [false, true] {
        let refused = |break_it: &dyn Fn(&std::path::Path)| {
            let image = image(dir.path());
            if lose_index {
                fs::remove_dir_all(image.path().join("index")).unwrap();
            }
            break_it(image.path());
            Store::open(image.path()).unwrap_err()
        };
        let error = refused(&|dir| fs::remove_file(segment(dir, 2)).unwrap());
        assert_eq!(error.kind(), &ErrorKind::Missing { what: "segment 2 of the log".to_owned() });
        let error = refused(&|dir| fs::remove_file(segment(dir, 1)).unwrap());
        assert_eq!(error.kind(), &ErrorKind::Missing { what: "segment 1 of the log".to_owned() });
        let error = refused(&|dir| fs::rename(segment(dir, 3), segment(dir, 2)).unwrap());
        assert!(error.to_string().contains("in the place of segment 3"), "{error}");
        let error = refused(&|dir| {
            let bytes = fs::read(segment(dir, 2)).unwrap();
            fs::write(segment(dir, 2), &bytes[..frames(&bytes)[1]]).unwrap();
        });
        assert!(error.to_string().contains("are gone"), "{error}");
        let error = refused(&|dir| fs::write(segment(dir, 2), b"").unwrap());
        assert!(error.to_string().contains("shorter than its header"), "{error}");
        let error = refused(&|dir| fs::remove_dir_all(dir.join("log")).unwrap());
        assert_eq!(error.kind(), &ErrorKind::Missing { what: "the log".to_owned() });
    }
    assert!(second.exists());
}

#[test]
fn a_copy_of_the_log_inside_a_value_is_never_taken_for_the_log() {
    let dir = folder();
    let gate = crate::common::Gate::default();
    let store = Store::open_with(dir.path(), &gate.options()).unwrap().store;
    put(&store, "a", "1");
    let copy = log_bytes(dir.path(), 1);
    put(&store, "b", [copy.clone(), copy].concat());
    let image = image(dir.path());
    fs::remove_dir_all(image.path().join("index")).unwrap();
    let bytes = log_bytes(image.path(), 1);
    let starts = frames(&bytes);
    // The frame that carries the copies is torn; the copies must not vouch for anything.
    flip(&segment(image.path(), 1), starts[1] + 60);
    let opened = open(image.path());
    assert_eq!(opened.report.torn.map(|torn| torn.offset), Some(starts[1] as u64));
    assert_eq!(opened.report.damaged, []);
    assert_eq!(get(&opened.store, "a").as_deref(), Some("1"));
}

#[test]
fn noise_in_place_of_a_segment_never_panics() {
    let (dir, _) = three();
    let bytes = log_bytes(dir.path(), 1);
    let mut random = fastrand::Rng::with_seed(11);
    let image = image(dir.path());
    for round in 0..150 {
        let mut bad = bytes.clone();
        for _ in 0..random.usize(1..6) {
            let (at, size) = (random.usize(64..bad.len()), random.usize(1..80));
            let end = (at + size).min(bad.len());
            bad[at..end].fill_with(|| random.u8(..));
        }
        bad.truncate(random.usize(64..=bad.len()));
        fs::write(segment(image.path(), 1), &bad).unwrap();
        let _ = fs::remove_dir_all(image.path().join("index"));
        if let Ok(opened) = Store::open_with(image.path(), &options()) {
            for n in 1..=3_u8 {
                let found = get(&opened.store, &format!("o/{n}"));
                assert!(found.is_none_or(|value| value == format!("{n}").repeat(200)), "round {round}");
            }
        }
    }
}
