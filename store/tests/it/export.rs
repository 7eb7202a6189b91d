//! Export and import: everything but secrets, as text; nothing is imported by half.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use store::{Batch, Error, ErrorKind, Held, Secret, Secrets, Store, import};
use tempfile::TempDir;

use crate::common::{content, flip, folder, frames, get, log_bytes, open, put, segment};

const AT_MS: u64 = 1_790_000_000_000;

fn filled() -> (TempDir, Store) {
    let dir = folder();
    let store = open(&dir.path().join("data")).store;
    let bytes: Vec<u8> = (0..=255).collect();
    for n in 0..30_u8 {
        let batch = Batch::new((n % 2 == 0).then_some([n; 16]))
            .put(format!("k/{}", n % 9), format!("line {n}\n\u{0}\"ä\""))
            .put([&b"k/\xff"[..], &[n % 5]].concat(), &bytes)
            .delete(format!("k/{}", n % 4));
        store.commit_blocking(batch).unwrap();
    }
    store.blobs().put(b"").unwrap();
    store.blobs().put(&bytes.repeat(900)).unwrap();
    let secrets = Secrets::from([("word".to_owned(), Secret::from("xyzzy-canary"))]);
    store.sealed().write_named("host", &secrets).unwrap();
    (dir, store)
}

fn exported(store: &Store) -> Vec<u8> {
    let mut text = Vec::new();
    let done = store.export(&mut text, AT_MS).unwrap();
    assert_eq!(done.bytes, text.len() as u64);
    text
}

fn versions(store: &Store) -> Vec<(Vec<u8>, u64)> {
    store.walk(b"").map(Result::unwrap).map(|(key, found)| (key, found.version)).collect()
}

fn refused(text: &[u8], to: &Path) -> Error {
    let error = import(&mut &text[..], to).unwrap_err();
    assert!(!to.exists(), "nothing is left: {error}");
    error
}

#[test]
fn what_was_exported_is_imported_held_and_in_the_next_incarnation() {
    let (dir, store) = filled();
    let text = exported(&store);
    assert!(std::str::from_utf8(&text).is_ok_and(|text| !text.contains("canary")));
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        assert!(serde_json::from_slice::<serde_json::Value>(line).unwrap().is_object());
    }
    let to = dir.path().join("to");
    let restored = import(&mut &text[..], &to).unwrap();
    let opened = open(&to);
    assert_eq!((opened.report.damaged.as_slice(), &opened.report.torn), (&[][..], &None));
    assert_eq!(content(&opened.store), content(&store));
    assert_eq!(versions(&opened.store), versions(&store));
    assert_eq!(opened.store.blobs().digests().unwrap(), store.blobs().digests().unwrap());
    assert_eq!(opened.store.sealed().names().unwrap(), [""; 0]);
    opened.store.sealed().write_named("host", &Secrets::new()).unwrap();
    let held = Held { from_sequence: 31, backed_up_at_ms: AT_MS };
    assert_eq!((opened.store.held(), opened.store.incarnation(), restored.held), (Some(held), 2, held));
    assert_eq!(restored.blobs, 2);
    assert_eq!(opened.store.verify().unwrap().problems, []);
    assert_eq!(put(&opened.store, "new", "1").sequence, 32);
    assert_eq!(
        import(&mut &text[..], &dir.path().join("data")).unwrap_err().kind(),
        &ErrorKind::Held { pid: Some(std::process::id()) }
    );
    drop(opened);
    assert_eq!(import(&mut &text[..], &to).unwrap_err().kind(), &ErrorKind::Exists);
    // What was imported is exported the same, but for its incarnation.
    let again = exported(&open(&to).store);
    assert!(String::from_utf8(again).unwrap().contains("\"incarnation\":2"));
}

#[test]
fn an_empty_store_is_exported_too() {
    let dir = folder();
    let text = exported(&open(&dir.path().join("data")).store);
    import(&mut &text[..], &dir.path().join("to")).unwrap();
    assert!(content(&open(&dir.path().join("to")).store).is_empty());
}

#[test]
fn a_file_that_is_cut_altered_or_newer_is_refused_and_nothing_is_left() {
    let (dir, store) = filled();
    let (text, to) = (exported(&store), dir.path().join("to"));
    let lines: Vec<usize> = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    let mut random = fastrand::Rng::with_seed(4);
    for end in lines.iter().copied().filter(|end| *end < text.len()).step_by(9).chain([0, 1, 50, text.len() - 1]) {
        assert!(matches!(refused(&text[..end], &to).kind(), ErrorKind::BadExport { .. }), "cut at {end}");
    }
    for _ in 0..60 {
        let mut bad = text.clone();
        let at = random.usize(..bad.len());
        bad[at] ^= 1 << random.u8(..8);
        let error = refused(&bad, &to);
        let kind = error.kind();
        assert!(matches!(kind, ErrorKind::BadExport { .. } | ErrorKind::NewerFormat { .. }), "byte {at}: {error:?}");
    }
    // A line taken out, doubled, or swapped with the next; more behind the end.
    for n in [0, 1, 5, lines.len() - 2, lines.len() - 1] {
        let begin = if n == 0 { 0 } else { lines[n - 1] };
        let line = &text[begin..lines[n]];
        assert!(matches!(
            refused(&[&text[..begin], &text[lines[n]..]].concat(), &to).kind(),
            ErrorKind::BadExport { .. }
        ));
        let doubled = [&text[..lines[n]], line, &text[lines[n]..]].concat();
        assert!(matches!(refused(&doubled, &to).kind(), ErrorKind::BadExport { .. }));
    }
    let newer = String::from_utf8(text.clone()).unwrap().replacen("\"format\":1", "\"format\":2,\"what\":3", 1);
    assert_eq!(refused(newer.as_bytes(), &to).kind(), &ErrorKind::NewerFormat { found: 2, supported: 1 });
    let long = [&text[..lines[0]], &vec![b' '; 9 << 20], b"\n"].concat();
    let error = refused(&long, &to);
    assert!(error.to_string().contains("line 2") && error.to_string().contains("too long"), "{error}");
    // It is still good, and goes where the others were refused.
    import(&mut &text[..], &to).unwrap();
}

#[test]
fn texts_that_are_well_formed_but_wrong_are_refused() {
    let dir = folder();
    let to = dir.path().join("to");
    let head = format!(
        "{{\"export\":{{\"format\":1,\"store\":\"{}\",\"incarnation\":4294967295,\"at_ms\":0}}}}\n",
        uuid::Uuid::from_u128(1)
    );
    let with = |lines: &str, counts: &str| {
        let text = format!("{head}{lines}");
        let sha256 = store::Digest::of(text.as_bytes()).hex();
        format!("{text}{{\"end\":{{{counts},\"sha256\":\"{sha256}\"}}}}\n").into_bytes()
    };
    let good =
        with("{\"put\":{\"commit\":3,\"key\":\"a\",\"value\":\"1\"}}\n", "\"sequence\":3,\"puts\":1,\"blobs\":0");
    assert_eq!(import(&mut &good[..], &dir.path().join("good")).unwrap().incarnation, u32::MAX);
    let long = "k".repeat(1025);
    for (lines, counts) in [
        ("", "\"sequence\":0,\"puts\":1,\"blobs\":0"),
        ("", "\"sequence\":9223372036854775807,\"puts\":0,\"blobs\":0"),
        ("{\"put\":{\"commit\":0,\"key\":\"a\",\"value\":\"1\"}}\n", "\"sequence\":3,\"puts\":1,\"blobs\":0"),
        ("{\"put\":{\"commit\":5,\"key\":\"a\",\"value\":\"1\"}}\n", "\"sequence\":3,\"puts\":1,\"blobs\":0"),
        (
            "{\"put\":{\"commit\":18446744073709551615,\"key\":\"a\",\"value\":\"1\"}}\n",
            "\"sequence\":3,\"puts\":1,\"blobs\":0",
        ),
        ("{\"put\":{\"commit\":1,\"key\":\"\",\"value\":\"1\"}}\n", "\"sequence\":3,\"puts\":1,\"blobs\":0"),
        ("{\"put\":{\"commit\":1,\"key\":\"a\"}}\n", "\"sequence\":3,\"puts\":1,\"blobs\":0"),
        (
            "{\"put\":{\"commit\":1,\"key\":\"a\",\"key_base64\":\"YQ==\",\"value\":\"1\"}}\n",
            "\"sequence\":3,\"puts\":1,\"blobs\":0",
        ),
        ("{\"delete\":{\"commit\":1,\"key\":\"a\",\"value\":\"1\"}}\n", "\"sequence\":3,\"puts\":0,\"blobs\":0"),
        ("{\"put\":{\"commit\":1,\"key\":\"a\",\"value_base64\":\"?\"}}\n", "\"sequence\":3,\"puts\":1,\"blobs\":0"),
        (
            &format!("{{\"put\":{{\"commit\":1,\"key\":\"{long}\",\"value\":\"1\"}}}}\n"),
            "\"sequence\":3,\"puts\":1,\"blobs\":0",
        ),
        ("{\"data\":\"YQ==\"}\n", "\"sequence\":3,\"puts\":0,\"blobs\":0"),
        ("{\"other\":{}}\n", "\"sequence\":3,\"puts\":0,\"blobs\":0"),
    ] {
        let error = refused(&with(lines, counts), &to);
        assert!(matches!(error.kind(), ErrorKind::BadExport { .. }), "{lines}: {error:?}");
    }
}

#[test]
fn a_lost_commit_is_exported_as_lost() {
    let (dir, store) = filled();
    drop(store);
    let data = dir.path().join("data");
    let starts = frames(&log_bytes(&data, 1));
    flip(&segment(&data, 1), starts[28] + 100);
    let store = open(&data).store;
    assert_eq!(store.damaged()[0].operation, Some([28; 16]));
    let text = exported(&store);
    let to = dir.path().join("to");
    import(&mut &text[..], &to).unwrap();
    let restored = open(&to).store;
    assert_eq!((restored.damaged().len(), restored.damaged()[0].operation), (1, Some([28; 16])));
    assert_eq!(get(&restored, "k/2"), get(&store, "k/2"));
    // What the index still has of it is there; a value that is gone is an error and nothing older.
    assert!(store.get(&[&b"k/\xff"[..], &[3]].concat()).is_err());
    assert!(restored.get(&[&b"k/\xff"[..], &[3]].concat()).is_err());
}

#[test]
fn an_export_is_one_point_while_commits_go_on() {
    let (dir, store) = filled();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0_u32.. {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let batch = Batch::new(None).put(format!("a/{}", n % 40), n.to_string());
                store.commit_blocking(batch.put(format!("b/{}", n % 40), n.to_string())).unwrap();
            }
        });
        for round in 0..5 {
            let (text, to) = (exported(&store), dir.path().join(format!("to{round}")));
            import(&mut &text[..], &to).unwrap();
            let restored = open(&to).store;
            for n in 0..40 {
                assert_eq!(get(&restored, &format!("a/{n}")), get(&restored, &format!("b/{n}")));
            }
        }
        ended.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_writer_that_fails_and_a_damaged_blob_end_the_export() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (_dir, store) = filled();
    assert_eq!(store.export(&mut Full(5000), AT_MS).unwrap_err().kind(), &ErrorKind::Full);
    let digest = store.blobs().digests().unwrap().into_iter().find(|digest| store.blobs().size(digest).unwrap() > 0);
    fs::write(store.blobs().path(&digest.unwrap()), b"x").unwrap();
    assert!(matches!(store.export(&mut Vec::new(), AT_MS).unwrap_err().kind(), ErrorKind::DamagedBlob { .. }));
    // A reader that fails ends an import.
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(5))
        }
    }
    let dir = folder();
    assert!(matches!(import(&mut Broken, &dir.path().join("x")).unwrap_err().kind(), ErrorKind::Io { .. }));
}
