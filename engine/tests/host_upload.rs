//! Bringing files to hosts: whole or not at all, whoever owns them, and again after an interruption.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod host_support;

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::host::{
    Auth, Content, ErrorKind, Host, HostKeyPolicy, KnownHosts, Progress, Reach, Rules, SshServer, Upload,
};
use host_support::{Folder, PASSWORD, Sshd, children, eventually, id, keygen, local, processes_with, secret};
use russh::server;

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn upload(bytes: Vec<u8>, to: &Path) -> Upload {
    Upload {
        id: id("put"),
        sha256: sha256(&bytes),
        from: Content::Bytes(bytes),
        to: to.to_str().unwrap().into(),
        mode: None,
        as_user: None,
        timeout: Duration::from_secs(120),
        rules: Rules::default(),
    }
}

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

/// Nothing but the files that belong there.
fn entries(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[derive(Default)]
struct Told(Mutex<Vec<(u64, u64)>>);

impl Progress for Told {
    fn sent(&self, bytes: u64, of: u64) {
        self.0.lock().unwrap().push((bytes, of));
    }
}

#[tokio::test]
async fn a_file_arrives_whole_with_its_mode_in_a_folder_that_is_made() {
    let (sshd, folder) = (Sshd::start(), Folder::new("upload"));
    for (name, host) in [("ssh", sshd.host()), ("here", local())] {
        for size in [0, 1, 70_000, 3_000_000] {
            let to = folder.path(&format!("{name}/it's a \"deep\" $folder/{size}"));
            let mut file = upload(bytes(size), &to);
            let told = Told::default();
            host.upload(&file, &told).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(std::fs::read(&to).unwrap() == bytes(size), "{name} {size}");
            assert_eq!(std::fs::metadata(&to).unwrap().mode() & 0o7777, 0o644, "{name}");
            assert_eq!(std::fs::metadata(to.parent().unwrap()).unwrap().mode() & 0o7777, 0o755, "{name}");
            if size > 0 {
                assert_eq!(told.0.lock().unwrap().last(), Some(&(size as u64, size as u64)), "{name}");
            }
            // Over an existing file, with another mode.
            file = upload(bytes(size + 5), &to);
            file.mode = Some(0o4750);
            host.upload(&file, &()).await.unwrap();
            assert!(std::fs::read(&to).unwrap() == bytes(size + 5), "{name}");
            let before = std::fs::metadata(&to).unwrap();
            assert_eq!(before.mode() & 0o7777, 0o4750, "{name}");
            // The same once more does nothing.
            host.upload(&file, &()).await.unwrap();
            let after = std::fs::metadata(&to).unwrap();
            assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()), "{name}");
            // Another mode alone, or a link in its place, is reason enough.
            file.mode = Some(0o600);
            host.upload(&file, &()).await.unwrap();
            assert_eq!(std::fs::metadata(&to).unwrap().mode() & 0o7777, 0o600, "{name}");
        }
        let made = folder.path(&format!("{name}/it's a \"deep\" $folder"));
        assert_eq!(entries(&made), ["0", "1", "3000000", "70000"], "{name}");
    }
}

#[tokio::test]
async fn a_hundred_megabytes_arrive_from_a_file() {
    let (sshd, folder) = (Sshd::start(), Folder::new("upload"));
    let from = folder.path("from");
    let content = bytes(100 << 20);
    std::fs::write(&from, &content).unwrap();
    let mut file = upload(Vec::new(), &folder.path("to"));
    file.sha256 = sha256(&content);
    file.from = Content::Path(from);
    sshd.host().upload(&file, &()).await.unwrap();
    assert!(std::fs::read(folder.path("to")).unwrap() == content);
    assert_eq!(entries(&folder.0), ["from", "to"]);
}

#[tokio::test]
async fn many_uploads_share_a_connection_and_leave_no_channel_open() {
    let (sshd, folder) = (Sshd::with("MaxSessions 4"), Folder::new("upload"));
    let host = sshd.host();
    for round in 0..4 {
        let files: Vec<Upload> =
            (0..4).map(|n| upload(bytes(2 << 20), &folder.path(&format!("{round}-{n}")))).collect();
        for done in futures::future::join_all(files.iter().map(|file| host.upload(file, &()))).await {
            done.unwrap();
        }
    }
    assert_eq!(sshd.sessions().len(), 1);
    assert_eq!(entries(&folder.0).len(), 16);
}

#[tokio::test]
async fn without_sftp_the_bytes_go_through_the_shell() {
    let folder = Folder::new("upload");
    // One whose subsystem ends at once, and one that has none and says so.
    for (name, sshd) in [("broken", Sshd::without_sftp()), ("none", Sshd::with("# without a Subsystem"))] {
        let mut file = upload(bytes(5 << 20), &folder.path(name));
        file.timeout = Duration::from_secs(40);
        sshd.host().upload(&file, &()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(std::fs::read(folder.path(name)).unwrap() == bytes(5 << 20), "{name}");
    }
    assert_eq!(entries(&folder.0), ["broken", "none"]);
}

#[tokio::test]
async fn another_users_file_is_that_users() {
    let (sshd, folder) = (Sshd::with_users(""), Folder::new("upload"));
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    let asked = engine::host::SshSpec {
        sudo_password: Some(host_support::secret(PASSWORD)),
        ..sshd.as_user("asked", PASSWORD)
    };
    let hosts = [
        ("plain", sshd.host_with(sshd.as_user("plain", PASSWORD))),
        ("asked", sshd.host_with(asked)),
        ("ptyed", sshd.host_with(sshd.as_user("ptyed", PASSWORD))),
    ];
    for (name, host) in hosts {
        for (user, uid) in [(Some("root"), 0), (Some("other"), 47115), (None, 0)] {
            let to = folder.path(&format!("{name}-{user:?}"));
            let mut file = upload(bytes(4 << 20), &to);
            file.as_user = user.map(Into::into);
            file.mode = Some(0o640);
            for _ in 0..2 {
                host.upload(&file, &()).await.unwrap_or_else(|error| panic!("{name} {user:?}: {error}"));
            }
            assert!(std::fs::read(&to).unwrap() == bytes(4 << 20), "{name} {user:?}");
            let metadata = std::fs::metadata(&to).unwrap();
            assert_eq!(metadata.mode() & 0o7777, 0o640, "{name} {user:?}");
            if user.is_some() {
                assert_eq!(metadata.uid(), uid, "{name} {user:?}");
            }
        }
    }
    let unallowed = upload(bytes(10), Path::new("/etc/anneal-not-allowed"));
    let error = sshd.host_with(sshd.as_user("plain", PASSWORD)).upload(&unallowed, &()).await.unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::Io { said } if said.contains("Permission denied")), "{error}");
}

/// Cuts the connection when so much has been sent.
struct CutAt<'a>(&'a Sshd, u64);

impl Progress for CutAt<'_> {
    fn sent(&self, bytes: u64, _of: u64) {
        if bytes >= self.1 {
            self.0.cut();
        }
    }
}

#[tokio::test]
async fn an_interrupted_upload_leaves_the_old_file_and_can_be_repeated() {
    let (sshd, folder) = (Sshd::start(), Folder::new("upload"));
    let to = folder.path("to");
    std::fs::write(&to, "old").unwrap();
    let host = sshd.host();
    let mut file = upload(bytes(40 << 20), &to);
    for attempt in 1..=3 {
        file.id.attempt = attempt;
        let error = host.upload(&file, &CutAt(&sshd, 10 << 20)).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Lost { .. }), "{error}");
        assert_eq!(std::fs::read(&to).unwrap(), b"old");
    }
    // What a killed script could not clean up.
    let target = &sha256(to.to_str().unwrap().as_bytes())[..8];
    let stale = folder.path(&format!(".anneal-{}.put.{target}.1", file.id.operation));
    std::fs::write(&stale, "half").unwrap();
    file.id.attempt = 4;
    host.upload(&file, &()).await.unwrap();
    assert!(std::fs::read(&to).unwrap() == bytes(40 << 20));
    eventually("the temporary files to be gone", || entries(&folder.0) == ["to"]).await;
}

/// Where it began, how often it began again, and how much was sent twice; at each of some points the connection is cut.
#[derive(Default)]
struct Cuts<'a> {
    at: Mutex<Vec<u64>>,
    cut: Option<&'a (dyn Fn() + Sync)>,
    told: Mutex<Vec<u64>>,
}

impl<'a> Cuts<'a> {
    fn at(at: &[u64], cut: &'a (dyn Fn() + Sync)) -> Self {
        Self { at: Mutex::new(at.to_vec()), cut: Some(cut), told: Mutex::default() }
    }

    fn again(&self) -> u64 {
        self.told.lock().unwrap().windows(2).map(|pair| pair[0].saturating_sub(pair[1])).sum()
    }
}

impl Progress for Cuts<'_> {
    fn sent(&self, bytes: u64, _of: u64) {
        self.told.lock().unwrap().push(bytes);
        let mut at = self.at.lock().unwrap();
        if at.first().is_some_and(|at| bytes >= *at) {
            at.remove(0);
            self.cut.unwrap()();
        }
    }
}

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn an_upload_goes_on_where_its_connection_broke_however_it_goes() {
    let (with, without, folder) = (Sshd::with_users(""), Sshd::without_sftp(), Folder::new("upload"));
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    let content = bytes(60 << 20);
    let from = folder.path("from");
    std::fs::write(&from, &content).unwrap();
    let plain = || with.host_with(with.as_user("plain", PASSWORD));
    let ways: [(&str, Host, &Sshd, Option<&str>); 5] = [
        ("sftp", with.host(), &with, None),
        ("a pipe", without.host(), &without, None),
        ("sudo", plain(), &with, Some("root")),
        ("the user", plain(), &with, None),
        ("another user", plain(), &with, Some("other")),
    ];
    let mut points = fastrand::Rng::with_seed(u64::from(std::process::id()));
    for (name, host, sshd, user) in ways {
        let (first, second) = (points.u64(20 * MIB..30 * MIB), points.u64(45 * MIB..60 * MIB));
        let cut = || sshd.cut();
        let cuts = Cuts::at(&[first, second], &cut);
        let to = folder.path(name);
        let mut file = upload(Vec::new(), &to);
        (file.sha256, file.from) = (sha256(&content), Content::Path(from.clone()));
        (file.as_user, file.rules.resume) = (user.map(Into::into), true);
        host.upload(&file, &cuts).await.unwrap_or_else(|error| panic!("{name}, cut at {first}, {second}: {error}"));
        assert!(std::fs::read(&to).unwrap() == content, "{name}");
        assert!(cuts.at.lock().unwrap().is_empty(), "{name}: it was cut twice");
        // What we had sent need not have arrived: what was on its way, and the rest of a block, of each cut.
        assert!(cuts.again() <= 2 * 18 * MIB, "{name}: {} bytes were sent again", cuts.again());
    }
    eventually("nothing but the files to be there", || entries(&folder.0).len() == 6).await;
}

#[tokio::test]
async fn the_next_attempt_goes_on_with_the_same_file_and_not_with_another() {
    let (sshd, folder) = (Sshd::start(), Folder::new("upload"));
    let to = folder.path("to");
    for changed in [false, true] {
        let mut content = bytes(40 << 20);
        let mut file = upload(content.clone(), &to);
        file.rules.resume = true;
        // The engine dies: nothing is done any more.
        let at = tokio::sync::Notify::new();
        let stop = || at.notify_one();
        let (host, cuts) = (sshd.host(), Cuts::at(&[30 * MIB], &stop));
        tokio::select! {
            done = host.upload(&file, &cuts) => panic!("it ended: {done:?}"),
            () = at.notified() => {}
        }
        drop(host);
        if changed {
            content[5] ^= 1;
            file = Upload { id: file.id, ..upload(content.clone(), &to) };
            file.rules.resume = true;
        }
        file.id.attempt = 2;
        let told = Cuts::default();
        sshd.host().upload(&file, &told).await.unwrap();
        let first = told.told.lock().unwrap()[0];
        assert_eq!(first > 2 * MIB, !changed, "it began at {first}");
        assert!(std::fs::read(&to).unwrap() == content);
        eventually("nothing else to be there", || entries(&folder.0) == ["to"]).await;
        std::fs::remove_file(&to).unwrap();
    }
}

/// A connection that hangs may bring its last bytes when the next attempt is long done.
#[tokio::test]
async fn what_an_attempt_that_was_given_up_still_writes_goes_elsewhere() {
    let (with, without, folder) = (Sshd::start(), Sshd::without_sftp(), Folder::new("upload"));
    for sshd in [&with, &without] {
        let to = folder.path("to");
        let file = |attempt, beginning: usize| {
            let mut content = bytes(40 << 20);
            // The same beginning, and another end.
            content[beginning..].iter_mut().for_each(|byte| *byte ^= attempt as u8);
            let mut file = upload(content, &to);
            (file.rules.resume, file.id.attempt) = (true, attempt);
            file
        };
        let (old, mut new) = (file(1, 40 << 20), file(2, 8 << 20));
        new.id.operation = old.id.operation;
        // Its server stops: what was sent lies there and waits.
        let stopped = Mutex::new(Vec::new());
        let freeze = || {
            let sessions: Vec<u32> =
                sshd.sessions().into_iter().flat_map(|pid| [vec![pid], children(pid)].concat()).collect();
            sessions.iter().for_each(|pid| signal(*pid, "STOP"));
            stopped.lock().unwrap().extend(sessions);
        };
        let at = tokio::sync::Notify::new();
        let stop = || {
            freeze();
            at.notify_one();
        };
        let (host, cuts) = (sshd.host(), Cuts::at(&[12 * MIB], &stop));
        tokio::select! {
            done = host.upload(&old, &cuts) => panic!("it ended: {done:?}"),
            () = at.notified() => {}
        }
        sshd.host().upload(&new, &()).await.unwrap();
        stopped.lock().unwrap().iter().for_each(|pid| signal(*pid, "CONT"));
        host.close().await;
        let ended = || stopped.lock().unwrap().iter().all(|pid| !Path::new(&format!("/proc/{pid}/cwd")).exists());
        eventually("the old connection to end", ended).await;
        // Once more, with something left beside it: it is so already, and the rest goes.
        let stale = sha256(to.to_str().unwrap().as_bytes());
        let stale = folder.path(&format!(".anneal-{}.put.{}.1.77", new.id.operation, &stale[..8]));
        std::fs::write(stale, "half").unwrap();
        sshd.host().upload(&new, &()).await.unwrap();
        let Content::Bytes(expected) = &new.from else { unreachable!() };
        assert!(std::fs::read(&to).unwrap() == *expected, "the target is what was checked");
        eventually("nothing else to be there", || entries(&folder.0) == ["to"]).await;
        std::fs::remove_file(&to).unwrap();
    }
}

fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
}

#[tokio::test]
async fn what_a_given_up_upload_left_is_swept_with_its_operation() {
    let (sshd, folder) = (Sshd::start(), Folder::new("it's \"left\" $here"));
    let to = folder.path("to");
    let mut file = upload(bytes(20 << 20), &to);
    file.rules.resume = true;
    let at = tokio::sync::Notify::new();
    let stop = || at.notify_one();
    let (host, cuts) = (sshd.host(), Cuts::at(&[4 * MIB], &stop));
    tokio::select! {
        done = host.upload(&file, &cuts) => panic!("it ended: {done:?}"),
        () = at.notified() => {}
    }
    let others = folder.path(".anneal-of-another");
    std::fs::write(&others, "").unwrap();
    host.close().await;
    eventually("the script to end", || processes_with(&file.id.operation.to_string(), "environ").is_empty()).await;
    assert_eq!(entries(&folder.0).len(), 2, "what was brought of it is there");
    host.sweep_with(file.id.operation, None, &[(file.id.clone(), file.to.clone())]).await.unwrap();
    assert_eq!(entries(&folder.0), [".anneal-of-another"]);
}

#[tokio::test]
async fn a_wrong_content_never_takes_the_files_place() {
    let (sshd, folder) = (Sshd::start(), Folder::new("upload"));
    for (name, host) in [("ssh", sshd.host()), ("here", local())] {
        for size in [10, 3 << 20] {
            let to = folder.path("to");
            std::fs::write(&to, "old").unwrap();
            let mut file = upload(bytes(size), &to);
            file.sha256 = sha256(b"something else");
            let error = host.upload(&file, &()).await.unwrap_err();
            let ErrorKind::Differs { expected, got } = &error.kind else { panic!("{name}: {error}") };
            assert_eq!((expected, got), (&file.sha256, &sha256(&bytes(size))), "{name}");
            assert_eq!(entries(&folder.0), ["to"], "{name}");
            assert_eq!(std::fs::read(&to).unwrap(), b"old", "{name}");
        }
    }
}

struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let options = format!("size={size},mode=0777");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).status().unwrap();
        assert!(done.success(), "mounting a tmpfs needs CAP_SYS_ADMIN");
        Self(at)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Fills the disk when so much has been sent.
struct FillAt<'a>(&'a Path, u64);

impl Progress for FillAt<'_> {
    fn sent(&self, bytes: u64, _of: u64) {
        let filler = self.0.join("filler");
        if bytes >= self.1 && !filler.exists() {
            // It fails in the end: the disk is full.
            let _ = std::fs::write(filler, vec![0; 64 << 20]);
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_named_with_what_is_free_and_needed() {
    let folder = Folder::new("upload");
    // Before the server, whose view of the mounts is its own.
    let disk = Tmpfs::mount(folder.path("disk"), "24m");
    let sshd = Sshd::with_users("");
    let plain = || sshd.host_with(sshd.as_user("plain", PASSWORD));
    let hosts: [(&str, Host, Option<&str>); 4] =
        [("ssh", sshd.host(), None), ("here", local(), None), ("sudo", plain(), Some("root")), ("user", plain(), None)];
    for (name, host, user) in hosts {
        let _ = std::fs::remove_file(disk.0.join("filler"));
        let to = disk.0.join("to");
        let mut file = upload(bytes(30 << 20), &to);
        file.as_user = user.map(Into::into);
        let error = host.upload(&file, &()).await.unwrap_err();
        let ErrorKind::DiskFull { path, free, needed } = &error.kind else { panic!("{name}: {error}") };
        assert_eq!((path.as_str(), *needed), (disk.0.to_str().unwrap(), Some(30 << 20)), "{name}");
        assert!(free.is_some_and(|free| free <= 24 << 20 && free > 20 << 20), "{name}: {error}");
        assert_eq!(entries(&disk.0), [] as [String; 0], "{name}: nothing was sent");
        // There was room, and then there was not.
        let mut file = upload(bytes(20 << 20), &to);
        file.as_user = user.map(Into::into);
        let error = host.upload(&file, &FillAt(&disk.0, 4 << 20)).await.unwrap_err();
        assert!(
            matches!(&error.kind, ErrorKind::DiskFull { path, .. } if path == disk.0.to_str().unwrap()),
            "{name}: {error}"
        );
        eventually("the temporary file to be gone", || entries(&disk.0) == ["filler"]).await;
    }
}

#[tokio::test]
async fn what_cannot_be_uploaded_is_refused() {
    let (host, folder) = (local(), Folder::new("upload"));
    let folder_in_the_way = upload(bytes(3), &folder.0);
    let error = host.upload(&folder_in_the_way, &()).await.unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::Io { said } if said.ends_with("is a folder")), "{error}");
    let mut relative = upload(bytes(3), Path::new("relative"));
    let mut digest = upload(bytes(3), &folder.path("to"));
    digest.sha256 = "abc".into();
    let mut missing = upload(bytes(3), &folder.path("to"));
    missing.from = Content::Path(folder.path("missing"));
    relative.mode = Some(0o644);
    for (file, invalid) in [(relative, true), (digest, true), (missing, false)] {
        let error = host.upload(&file, &()).await.unwrap_err();
        assert_eq!(matches!(error.kind, ErrorKind::Invalid { .. }), invalid, "{error}");
    }
    assert_eq!(entries(&folder.0), [] as [String; 0]);
}

/// A server that is gone when it is asked to run something. Until then it takes no input, as sshd takes none.
struct GoneAtExec;

impl server::Handler for GoneAtExec {
    type Error = russh::Error;

    async fn auth_password(&mut self, _: &str, _: &str) -> Result<server::Auth, russh::Error> {
        Ok(server::Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: russh::Channel<server::Msg>,
        reply: server::ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        _: russh::ChannelId,
        _: &[u8],
        _: &mut server::Session,
    ) -> Result<(), russh::Error> {
        Err(russh::Error::Disconnect)
    }
}

async fn gone_at_exec(folder: &Folder) -> SocketAddr {
    keygen(&folder.path("host"), "ed25519", "");
    let key = russh::keys::load_secret_key(folder.path("host"), None).unwrap();
    let config = Arc::new(server::Config { keys: vec![key], window_size: 0, ..server::Config::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let session = server::run_stream(Arc::clone(&config), stream, GoneAtExec).await.unwrap();
            // It ends with the error that it is made to end with.
            drop(tokio::spawn(session));
        }
    });
    address
}

#[tokio::test]
async fn a_server_that_goes_away_before_it_takes_input_is_noticed_at_once() {
    let folder = Folder::new("gone");
    let address = gone_at_exec(&folder).await;
    let server = SshServer {
        address: address.ip().to_string(),
        port: address.port(),
        user: "root".into(),
        auth: vec![Auth::Password(secret(PASSWORD))],
        host_key: HostKeyPolicy::AcceptNew,
        known_as: None,
        known_hosts: Vec::new(),
    };
    let known = Arc::new(KnownHosts::new(folder.path("known_hosts"), Vec::new()));
    let host = Host::new("web", 1, Reach::Ssh(server.into()), known);
    let (file, told) = (upload(bytes(70_000), &folder.path("file")), Told::default());
    let uploading = host.upload(&file, &told);
    let error = tokio::time::timeout(Duration::from_secs(20), uploading).await.unwrap().unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Lost { .. }), "{error}");
    assert!(!error.hint().unwrap().contains("runs on"), "an upload ends with its connection: {error}");
}
