//! Files with a given content on hosts: written or left alone, kept and put back.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod host_support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::host::{Content, Host, JobId, Progress, Rules, Upload, Was, Written};
use host_support::{Folder, PASSWORD, Sshd, id, job, local, processes_with, shells};

/// What is written: strict, with a backup under the node's name.
fn file(content: &str, to: &Path, id: &JobId) -> Upload {
    Upload {
        id: id.clone(),
        sha256: store::Digest::of(content.as_bytes()).hex(),
        from: Content::Bytes(content.as_bytes().to_vec()),
        to: to.to_str().unwrap().into(),
        mode: Some(0o640),
        as_user: None,
        timeout: Duration::from_secs(60),
        rules: Rules { strict: true, keep: Some(id.node.clone()), ..Rules::default() },
    }
}

/// What an undo runs; what it said.
async fn restore(host: &Host, id: &JobId, as_user: Option<&str>, attempt: u32) -> String {
    let args = vec![id.operation.to_string(), id.node.clone()];
    let mut undo = job(engine::host::Program::Script { text: engine::action::restore::SCRIPT.to_owned(), args });
    undo.id = JobId { node: format!("undo-{}", id.node), attempt, ..id.clone() };
    undo.as_user = as_user.map(str::to_owned);
    let (exit, out, err) = host_support::text(&host.run(&undo, &()).await.unwrap());
    assert_eq!(exit, 0, "{out}{err}");
    out
}

/// What tells whether a file was touched.
fn seen(path: &Path) -> (u64, i64, u32, u32, u32, Vec<u8>) {
    let meta = std::fs::metadata(path).unwrap();
    (meta.ino(), meta.mtime_nsec(), meta.mode() & 0o7777, meta.uid(), meta.gid(), std::fs::read(path).unwrap())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_file_is_written_once_and_left_alone_when_it_is_so() {
    let (sshd, folder) = (Sshd::start(), Folder::new("write"));
    for (name, host) in [("ssh", sshd.host()), ("here", local())] {
        let to = folder.path(&format!("{name}/it's $a file"));
        let mut write = file("one\n", &to, &id("write.a"));
        write.rules.owner = Some("daemon".into());
        write.rules.group = Some("2".into());
        assert_eq!(host.look(&write).await.unwrap(), Written::Changed, "{name}");
        assert!(!to.parent().unwrap().exists(), "to look leaves nothing behind");
        assert_eq!(host.upload(&write, &()).await.unwrap(), Written::Changed, "{name}");
        let first = seen(&to);
        assert_eq!((first.2, first.3, first.4, first.5.as_slice()), (0o640, 1, 2, &b"one\n"[..]), "{name}");
        for owner in ["daemon", "1"] {
            write.rules.owner = Some(owner.into());
            assert_eq!(host.look(&write).await.unwrap(), Written::AlreadySo, "{name}");
            assert_eq!(host.upload(&write, &()).await.unwrap(), Written::AlreadySo, "{name}");
        }
        assert_eq!(seen(&to), first, "{name}");
        // Each of these alone is a difference.
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(host.upload(&write, &()).await.unwrap(), Written::Changed, "{name}");
        chown(&to, Some(0), None).unwrap();
        assert_eq!(host.upload(&write, &()).await.unwrap(), Written::Changed, "{name}");
        chown(&to, None, Some(0)).unwrap();
        assert_eq!(host.upload(&write, &()).await.unwrap(), Written::Changed, "{name}");
        std::fs::write(&to, "two\n").unwrap();
        assert_eq!(host.upload(&write, &()).await.unwrap(), Written::Changed, "{name}");
        assert_eq!(entries(to.parent().unwrap()), std::slice::from_ref(&to), "{name}: nothing is left beside it");
        host.sweep(write.id.operation, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_link_or_a_folder_in_its_place_is_neither_followed_nor_replaced() {
    let folder = Folder::new("write");
    let (link, target) = (folder.path("link"), folder.path("target"));
    std::fs::write(&target, "theirs").unwrap();
    for (at, to) in [(&link, &target), (&folder.path("dangling"), &folder.path("nowhere"))] {
        symlink(to, at).unwrap();
        let error = local().upload(&file("ours", at, &id("write.a")), &()).await.unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert!(local().look(&file("ours", at, &id("write.a"))).await.is_err());
    }
    assert_eq!(std::fs::read_link(&link).unwrap(), target);
    assert_eq!(std::fs::read(&target).unwrap(), b"theirs");
    assert!(!folder.path("nowhere").exists());
    let error = local().upload(&file("ours", &folder.0, &id("write.a")), &()).await.unwrap_err();
    assert!(error.to_string().contains("is a folder"), "{error}");
    let mut nobodys = file("ours", &folder.path("new"), &id("write.a"));
    nobodys.rules.owner = Some("no-such-user".into());
    assert!(local().look(&nobodys).await.unwrap_err().to_string().contains("no user no-such-user"));
    assert!(local().upload(&nobodys, &()).await.is_err());
    nobodys.rules.owner = Some("a:b".into());
    assert!(local().upload(&nobodys, &()).await.unwrap_err().to_string().contains("neither the name nor the number"));
    assert!(!folder.path("new").exists());
    assert_eq!(entries(&folder.0), [folder.path("dangling"), link, target]);
}

#[tokio::test]
async fn what_was_there_is_put_back_in_every_shell() {
    let (sshd, folder) = (Sshd::start(), Folder::new("write"));
    for (name, shell) in shells(&folder) {
        let host = sshd.host().with_shell(&shell);
        let id = id("write.a-b");
        let (old, new) = (folder.path(&format!("{name}-old")), folder.path(&format!("{name}-new")));
        std::fs::write(&old, b"before\0\xff\n").unwrap();
        std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o604)).unwrap();
        chown(&old, Some(1), Some(2)).unwrap();
        // The second attempt finds what the first has written, and keeps the first backup.
        for (attempt, content) in [(1, "first"), (2, "second")] {
            for to in [&old, &new] {
                let write = file(content, to, &JobId { attempt, ..id.clone() });
                assert_eq!(host.upload(&write, &()).await.unwrap(), Written::Changed, "{name}");
            }
        }
        let kept = Path::new("/var/lib/anneal/backups").join(id.operation.to_string());
        assert_eq!(std::fs::metadata(&kept).unwrap().mode() & 0o7777, 0o700, "{name}");
        let said = restore(&host, &id, None, 1).await;
        assert!(said.contains("is put back") && said.contains("is removed"), "{name}: {said}");
        let after = seen(&old);
        assert_eq!((after.2, after.3, after.4, after.5.as_slice()), (0o604, 1, 2, &b"before\0\xff\n"[..]), "{name}");
        assert!(!new.exists(), "{name}");
        // Again is harmless, whatever became of the file.
        std::fs::write(&new, "somebody else's").unwrap();
        let said = restore(&host, &id, None, 2).await;
        assert!(said.contains("was put back before"), "{name}: {said}");
        assert_eq!((seen(&old), new.exists()), (after, true), "{name}");
        // Going forward again keeps what is there by then.
        host.upload(&file("third", &old, &JobId { attempt: 3, ..id.clone() }), &()).await.unwrap();
        std::fs::write(&old, "fourth").unwrap();
        restore(&host, &id, None, 3).await;
        assert_eq!(std::fs::read(&old).unwrap(), b"before\0\xff\n", "{name}");
        assert_eq!(
            restore(&host, &host_support::id("other.a"), None, 1).await,
            "nothing was kept, so no file was changed\n"
        );
        host.sweep(id.operation, None).await.unwrap();
        assert!(!kept.exists(), "{name}");
    }
    assert!(entries(&folder.0).iter().all(|path| !path.to_string_lossy().contains(".anneal-")));
}

#[tokio::test]
async fn only_what_was_read_is_replaced_and_its_owner_stays() {
    let folder = Folder::new("write");
    let to = folder.path("conf");
    std::fs::write(&to, "old").unwrap();
    std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o606)).unwrap();
    chown(&to, Some(1), Some(2)).unwrap();
    let mut write = file("new", &to, &id("patch.a"));
    write.rules.same = true;
    for was in [Was::Absent, Was::Sha256(store::Digest::of(b"older").hex())] {
        write.rules.was = Some(was);
        let error = local().upload(&write, &()).await.unwrap_err();
        assert!(error.to_string().contains("changed by somebody else"), "{error}");
    }
    assert_eq!(std::fs::read(&to).unwrap(), b"old");
    write.rules.was = Some(Was::Sha256(store::Digest::of(b"old").hex()));
    assert_eq!(local().upload(&write, &()).await.unwrap(), Written::Changed);
    let after = seen(&to);
    assert_eq!((after.2, after.3, after.4, after.5.as_slice()), (0o606, 1, 2, &b"new"[..]));
    std::fs::remove_file(&to).unwrap();
    assert!(local().upload(&write, &()).await.is_err());
    assert_eq!(entries(&folder.0), Vec::<PathBuf>::new());
    local().sweep(write.id.operation, None).await.unwrap();
}

/// While the content is on its way, nobody can read it in a process list or an environment.
struct Unseen(&'static str);

impl Progress for Unseen {
    fn sent(&self, _: u64, _: u64) {
        for list in ["cmdline", "environ"] {
            assert_eq!(processes_with(self.0, list), Vec::<u32>::new(), "{list}");
        }
    }
}

#[tokio::test]
async fn a_secret_is_in_no_process_list_and_belongs_to_whom_it_should() {
    let (sshd, folder) = (Sshd::with_users(""), Folder::new("write"));
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    let canary = "canary-write-8211";
    let host = sshd.host_with(sshd.as_user("plain", PASSWORD));
    for (as_user, owner, uid) in [(Some("root"), Some("other"), 47115), (Some("root"), None, 0), (None, None, 47111)] {
        let to = folder.path(&format!("{as_user:?}-{owner:?}"));
        std::fs::write(&to, "old").unwrap();
        chown(&to, Some(47111), Some(47111)).unwrap();
        let mut write = file(canary, &to, &id("write.a"));
        write.mode = Some(0o600);
        write.as_user = as_user.map(str::to_owned);
        write.rules.owner = owner.map(str::to_owned);
        host.upload(&write, &Unseen(canary)).await.unwrap();
        let after = seen(&to);
        assert_eq!((after.2, after.3, after.5.as_slice()), (0o600, uid, canary.as_bytes()));
        restore(&host, &write.id, as_user, 1).await;
        assert_eq!(std::fs::read(&to).unwrap(), b"old");
        assert_eq!(std::fs::metadata(&to).unwrap().uid(), 47111);
        host.sweep(write.id.operation, as_user).await.unwrap();
    }
}
