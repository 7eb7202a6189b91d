//! Files brought from hosts, to here and to another host: whole or not at all, and gone on with after an interruption.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod host_support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use engine::host::{Copy, Download, Host, JobId, Progress, Rules, Written};
use host_support::{Folder, PASSWORD, Sshd, id, job, local, shells};

const MIB: usize = 1 << 20;

fn download(from: &Path, to: &Path, id: &JobId) -> Download {
    Download {
        id: id.clone(),
        from: from.to_str().unwrap().into(),
        to: to.into(),
        mode: None,
        as_user: None,
        timeout: Duration::from_secs(120),
    }
}

fn copy(from: &Path, to: &Path, id: &JobId) -> Copy {
    Copy {
        id: id.clone(),
        from: from.to_str().unwrap().into(),
        to: to.to_str().unwrap().into(),
        mode: None,
        as_user: None,
        timeout: Duration::from_secs(120),
        rules: Rules { strict: true, ..Rules::default() },
    }
}

/// Bytes that look like nothing else, with every value among them.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let step = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    };
    let mut out: Vec<u8> =
        std::iter::repeat_with(|| step(&mut state).to_le_bytes()).take(count / 8 + 1).flatten().collect();
    out.truncate(count);
    out
}

fn entries(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

fn file(folder: &Folder, name: &str, content: &[u8], mode: u32) -> PathBuf {
    let path = folder.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// What is told of a transfer; and once, when it has come so far, something happens.
struct Cutting<'a> {
    at: u64,
    cut: &'a (dyn Fn() + Sync),
    cuts: AtomicUsize,
    told: Mutex<Vec<u64>>,
}

impl<'a> Cutting<'a> {
    fn at(at: usize, cut: &'a (dyn Fn() + Sync)) -> Self {
        Self { at: at as u64, cut, cuts: AtomicUsize::new(0), told: Mutex::default() }
    }

    /// How much was sent twice.
    fn again(&self) -> u64 {
        let told = self.told.lock().unwrap();
        told.windows(2).map(|pair| pair[0].saturating_sub(pair[1])).sum()
    }
}

impl Progress for Cutting<'_> {
    fn sent(&self, bytes: u64, _: u64) {
        self.told.lock().unwrap().push(bytes);
        if bytes >= self.at && self.cuts.fetch_add(1, Ordering::Relaxed) == 0 {
            (self.cut)();
        }
    }
}

/// Names that something on the way may take for something else.
const NAMES: [&str; 9] =
    ["plain", "it's", "a \"b\" c", "$(touch INJECTED)", "`touch INJECTED`", "-n", "new\nline", "héllo 文件", "*?[a]\\"];

#[tokio::test]
async fn a_file_comes_from_every_shell_byte_for_byte_whatever_it_is_called() {
    let (sshd, folder) = (Sshd::start(), Folder::new("give"));
    for (shell, program) in shells(&folder) {
        for (name, host) in [("ssh", sshd.host()), ("here", local())] {
            let host = host.with_shell(&program);
            for (nth, called) in NAMES.iter().enumerate() {
                let content = bytes([0, 1, 70_000, MIB, 2 * MIB + 17][nth % 5]);
                let from = file(&folder, &format!("from {called}"), &content, 0o640);
                let to = folder.path(&format!("{name} {shell}/{called}/to {called}"));
                let done = host.download(&download(&from, &to, &id("get.a")), &()).await;
                assert_eq!(done.unwrap_or_else(|error| panic!("{shell} {name} {called}: {error}")), Written::Changed);
                assert!(std::fs::read(&to).unwrap() == content, "{shell} {name} {called}");
                assert_eq!((mode(&to), entries(to.parent().unwrap()).len()), (0o640, 1), "{shell} {name} {called}");
            }
        }
    }
    assert!(!folder.path("INJECTED").exists() && !Path::new("INJECTED").exists());
}

#[tokio::test]
async fn what_is_so_already_is_not_brought_and_not_touched() {
    let (sshd, folder) = (Sshd::start(), Folder::new("give"));
    let host = sshd.host();
    let from = file(&folder, "from", &bytes(3 * MIB), 0o600);
    let to = file(&folder, "to", &bytes(3 * MIB), 0o604);
    let before = std::fs::metadata(&to).unwrap();
    let mut get = download(&from, &to, &id("get.a"));
    assert_eq!(host.download(&get, &()).await.unwrap(), Written::AlreadySo);
    get.mode = Some(0o604);
    assert_eq!(host.download(&get, &()).await.unwrap(), Written::AlreadySo);
    let after = std::fs::metadata(&to).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec(), mode(&to)), (after.ino(), after.mtime_nsec(), 0o604));
    get.mode = Some(0o640);
    assert_eq!(host.download(&get, &()).await.unwrap(), Written::Changed);
    assert_eq!((std::fs::metadata(&to).unwrap().ino(), mode(&to)), (before.ino(), 0o640), "the mode alone");
    std::fs::write(&from, bytes(3 * MIB + 1)).unwrap();
    assert_eq!(host.download(&get, &()).await.unwrap(), Written::Changed);
    assert!(std::fs::read(&to).unwrap() == bytes(3 * MIB + 1));
    // The same of a copy, which has an owner too.
    let there = folder.path("there");
    let mut put = copy(&from, &there, &id("put.a"));
    put.rules.owner = Some("daemon".into());
    for expected in [Written::Changed, Written::AlreadySo] {
        assert_eq!(host.copy(&host, &put, &()).await.unwrap(), expected);
    }
    assert_eq!((mode(&there), std::fs::metadata(&there).unwrap().uid()), (0o600, 1));
    assert_eq!(entries(&folder.0), ["from", "there", "to"]);
}

#[tokio::test]
async fn what_cannot_be_brought_says_why_and_leaves_nothing() {
    let (sshd, folder) = (Sshd::start(), Folder::new("give"));
    let host = sshd.host();
    let from = file(&folder, "from", b"x", 0o600);
    let (target, link) = (file(&folder, "target", b"theirs", 0o600), folder.path("link"));
    symlink(&target, &link).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, folder.path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let (pipe, to) = (folder.path("pipe"), folder.path("to"));
    let nul = PathBuf::from("/tmp/a\0b");
    let cases = [
        (folder.path("missing"), to.clone(), "there is no file"),
        (folder.0.clone(), to.clone(), "is a folder"),
        (pipe, to.clone(), "is no regular file"),
        (nul.clone(), to.clone(), "without NUL"),
        (from.clone(), link.clone(), "a symbolic link"),
        (from.clone(), folder.0.clone(), "is a folder"),
    ];
    for (from, to, why) in cases {
        let error = host.download(&download(&from, &to, &id("get.a")), &()).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        let error = host.copy(&host, &copy(&from, &to, &id("put.a")), &()).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert!(host.download(&download(&from, &nul, &id("get.a")), &()).await.is_err());
    assert!(host.copy(&host, &copy(&from, &nul, &id("put.a")), &()).await.is_err());
    assert_eq!(std::fs::read(&target).unwrap(), b"theirs");
    assert_eq!(entries(&folder.0), ["from", "link", "pipe", "target"]);
}

#[tokio::test]
async fn a_user_reads_what_it_may_and_nothing_else() {
    let (sshd, folder) = (Sshd::with_users(""), Folder::new("give"));
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    let secret = file(&folder, "secret", &bytes(2 * MIB), 0o600);
    for (user, sudo) in [("plain", None), ("asked", Some(PASSWORD)), ("ptyed", None)] {
        let mut spec = sshd.as_user(user, PASSWORD);
        spec.sudo_password = sudo.map(host_support::secret);
        let host = sshd.host_with(spec);
        let to = folder.path(&format!("{user}-here"));
        let mut get = download(&secret, &to, &id("get.a"));
        let error = host.download(&get, &()).await.unwrap_err().to_string();
        assert!(error.contains("this user may not read"), "{user}: {error}");
        assert!(!to.exists());
        get.as_user = Some("root".into());
        host.download(&get, &()).await.unwrap_or_else(|error| panic!("{user}: {error}"));
        assert!(std::fs::read(&to).unwrap() == bytes(2 * MIB), "{user}");
        let there = folder.path(&format!("{user}-there"));
        let mut put = copy(&secret, &there, &id("put.a"));
        put.as_user = Some("root".into());
        put.rules.owner = Some("other".into());
        host.copy(&host, &put, &()).await.unwrap_or_else(|error| panic!("{user}: {error}"));
        assert!(std::fs::read(&there).unwrap() == bytes(2 * MIB), "{user}");
        assert_eq!((mode(&there), std::fs::metadata(&there).unwrap().uid()), (0o600, 47115), "{user}");
    }
}

#[tokio::test]
async fn a_download_goes_on_where_its_connection_broke() {
    let (sshd, folder) = (Sshd::start(), Folder::new("give"));
    let content = bytes(40 * MIB + 5);
    let (from, to) = (file(&folder, "from", &content, 0o644), folder.path("to"));
    let cut = || sshd.cut();
    let cutting = Cutting::at(20 * MIB, &cut);
    sshd.host().download(&download(&from, &to, &id("get.a")), &cutting).await.unwrap();
    assert!(std::fs::read(&to).unwrap() == content);
    assert!(cutting.again() <= MIB as u64, "{} bytes came again", cutting.again());
    assert_eq!(entries(&folder.0), ["from", "to"]);
}

#[tokio::test]
async fn a_copy_goes_on_whichever_connection_breaks() {
    let (one, two, folder) = (Sshd::start(), Sshd::start(), Folder::new("give"));
    let content = bytes(40 * MIB + 5);
    let from = file(&folder, "from", &content, 0o644);
    let (cut_one, cut_two) = (|| one.cut(), || two.cut());
    let cuts: [(&str, &(dyn Fn() + Sync)); 2] = [("source", &cut_one), ("target", &cut_two)];
    for (which, cut) in cuts {
        let to = folder.path(which);
        let cutting = Cutting::at(20 * MIB, cut);
        two.host().copy(&one.host(), &copy(&from, &to, &id("put.a")), &cutting).await.unwrap();
        assert!(std::fs::read(&to).unwrap() == content, "{which}");
        // What we had sent need not have arrived.
        assert!(cutting.again() <= 18 * MIB as u64, "{which}: {} bytes were sent again", cutting.again());
    }
    assert_eq!(entries(&folder.0), ["from", "source", "target"]);
}

/// The first and the last thing that is told.
#[derive(Default)]
struct Ends(AtomicU64);

impl Progress for Ends {
    fn sent(&self, bytes: u64, _: u64) {
        let _ = self.0.compare_exchange(0, bytes, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Stops at a point as a killed engine does: nothing is done any more.
async fn stopped(work: impl Future<Output = Result<Written, engine::host::Error>>, at: &tokio::sync::Notify) {
    tokio::select! {
        done = work => panic!("it ended: {done:?}"),
        () = at.notified() => {}
    }
}

#[tokio::test]
async fn the_next_attempt_goes_on_if_it_is_the_same_file_and_begins_anew_if_not() {
    let (sshd, folder) = (Sshd::start(), Folder::new("give"));
    let mut content = bytes(30 * MIB + 5);
    let from = file(&folder, "from", &content, 0o644);
    let (node, to, there) = (id("get.a"), folder.path("to"), folder.path("there"));
    for changed in [false, true] {
        let at = tokio::sync::Notify::new();
        let stop = || at.notify_one();
        let cutting = Cutting::at(15 * MIB, &stop);
        stopped(async { sshd.host().download(&download(&from, &to, &node), &cutting).await }, &at).await;
        let cutting = Cutting::at(15 * MIB, &stop);
        stopped(async { local().copy(&sshd.host(), &copy(&from, &there, &node), &cutting).await }, &at).await;
        // A file of the same size, with another beginning.
        if changed {
            content[0] ^= 1;
            std::fs::write(&from, &content).unwrap();
        }
        let next = JobId { attempt: 2, ..node.clone() };
        let (one, two) = (Ends::default(), Ends::default());
        sshd.host().download(&download(&from, &to, &next), &one).await.unwrap();
        local().copy(&sshd.host(), &copy(&from, &there, &next), &two).await.unwrap();
        for (path, ends) in [(&to, one), (&there, two)] {
            assert!(std::fs::read(path).unwrap() == content, "{changed} {}", path.display());
            let first = ends.0.into_inner() as usize;
            assert_eq!(first > 2 * MIB, !changed, "{changed} {} began at {first}", path.display());
            std::fs::remove_file(path).unwrap();
        }
        assert_eq!(entries(&folder.0), ["from"], "nothing is left beside them");
    }
}

#[tokio::test]
async fn copies_in_both_directions_do_not_wait_for_each_other() {
    let (one, two, folder) = (Sshd::start(), Sshd::start(), Folder::new("give"));
    let from = file(&folder, "from", &bytes(3 * MIB), 0o644);
    let hosts = [one.host(), two.host()];
    let copies = (0..24).map(|n| {
        let (to, folder, from) = (folder.path(&format!("{n}")), &folder, &from);
        let (source, target): (&Host, &Host) = (&hosts[n % 2], &hosts[(n + 1) % 2]);
        async move {
            target.copy(source, &copy(from, &to, &id(&format!("put.{n}"))), &()).await.unwrap();
            assert!(std::fs::read(folder.path(&format!("{n}"))).unwrap() == bytes(3 * MIB));
        }
    });
    futures::future::join_all(copies).await;
}

#[tokio::test]
async fn what_a_copy_replaced_is_put_back() {
    let (sshd, folder) = (Sshd::start(), Folder::new("give"));
    let host = sshd.host();
    let (from, to) = (file(&folder, "from", b"new", 0o644), file(&folder, "to", b"old", 0o604));
    let mut put = copy(&from, &to, &id("put.a"));
    put.rules.keep = Some("put.a".into());
    assert_eq!(host.copy(&local(), &put, &()).await.unwrap(), Written::Changed);
    assert_eq!(std::fs::read(&to).unwrap(), b"new");
    let args = vec![put.id.operation.to_string(), "put.a".to_owned()];
    let mut undo = job(engine::host::Program::Script { text: engine::action::restore::SCRIPT.to_owned(), args });
    undo.id = JobId { node: "undo-put.a".into(), ..put.id.clone() };
    assert_eq!(host.run(&undo, &()).await.unwrap().exit, 0);
    assert_eq!((std::fs::read(&to).unwrap(), mode(&to)), (b"old".to_vec(), 0o604));
    host.sweep(put.id.operation, None).await.unwrap();
}
