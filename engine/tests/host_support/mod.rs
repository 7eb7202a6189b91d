//! Hosts for tests: this machine, and an `sshd` of our own on a free port. No mocks.
#![allow(dead_code, clippy::unwrap_used)] // Each test file uses a part of it; helpers of tests are tests.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::host::{
    Auth, Host, HostKeyPolicy, Job, JobEnd, JobId, KnownHosts, Live, Program, Reach, SshServer, SshSpec, Stream,
    Supervise,
};
use store::Secret;
use uuid::Uuid;

/// A folder that is removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("anneal-{name}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The password of every user of [`Sshd::with_users`].
pub const PASSWORD: &str = "p4ss 'of\\$all\"";

/// Lays a private `/etc` over the machine's, with users in it, and becomes the server.
const USERS: &str = r#"
    view=$FOLDER/etc
    mkdir -p "$view" "$FOLDER/home"
    mount -t tmpfs tmpfs "$view"
    mkdir "$view/upper" "$view/work"
    mount -t overlay overlay -o "lowerdir=/etc,upperdir=$view/upper,workdir=$view/work" /etc
    uid=47110
    for user in plain asked denied ptyed other; do
        uid=$((uid + 1))
        mkdir -p "$FOLDER/home/$user"
        chown $uid:$uid "$FOLDER/home/$user"
        echo "$user:x:$uid:$uid::$FOLDER/home/$user:/bin/bash" >>/etc/passwd
        echo "$user:x:$uid:" >>/etc/group
        echo "$user:*:19000:0:99999:7:::" >>/etc/shadow
        printf '%s:%s\n' "$user" "p4ss 'of\\\$all\"" | chpasswd -c SHA512
    done
    chmod 0755 "$FOLDER"
    cat >/etc/sudoers.d/anneal-test <<'END'
plain ALL=(ALL) NOPASSWD: ALL
asked ALL=(ALL) ALL
ptyed ALL=(ALL) NOPASSWD: ALL
Defaults:ptyed use_pty
END
    printf '%s\n' "$SUDOERS" >>/etc/sudoers.d/anneal-test
    chmod 0440 /etc/sudoers.d/anneal-test
    eval "$PREPARE"
    exec "$0" "$@"
"#;

/// A server of our own, for root with a key; ended with its sessions.
pub struct Sshd {
    pub folder: Folder,
    pub port: u16,
    child: Child,
}

impl Sshd {
    pub fn start() -> Self {
        Self::with("")
    }

    /// `more`: lines for its configuration, in which `$FOLDER` and `$PORT` are its own.
    pub fn with(more: &str) -> Self {
        Self::launch(more, None, &|_| {})
    }

    /// The same; `prepare` makes the files that the lines name.
    pub fn prepared(more: &str, prepare: &dyn Fn(&Folder)) -> Self {
        Self::launch(more, None, prepare)
    }

    /// With users and a sudo of its own, in a private view of `/etc`: nothing of this machine changes.
    ///
    /// `plain` may become anybody; `asked` after its password; `denied` nobody; `ptyed` by a sudo that gives it a terminal.
    pub fn with_users(more: &str) -> Self {
        Self::launch(&format!("UsePAM yes\nPasswordAuthentication yes\n{more}"), Some(USERS), &|_| {})
    }

    /// The same with more lines in its sudoers, and after some shell text that prepares its `/etc`.
    pub fn with_sudoers(sudoers: &str, prepare: &str) -> Self {
        let more = "UsePAM yes\nPasswordAuthentication yes";
        Self::launched(more, Some(USERS), &[("SUDOERS", sudoers), ("PREPARE", prepare)], &|_| {})
    }

    /// A server without SFTP.
    pub fn without_sftp() -> Self {
        Self::with("Subsystem sftp /bin/false")
    }

    /// The same, where a password is asked for by keyboard-interactive only.
    pub fn with_users_asking() -> Self {
        Self::launch("UsePAM yes\nPasswordAuthentication no\nKbdInteractiveAuthentication yes", Some(USERS), &|_| {})
    }

    fn launch(more: &str, users: Option<&str>, prepare: &dyn Fn(&Folder)) -> Self {
        Self::launched(more, users, &[("SUDOERS", ""), ("PREPARE", ":")], prepare)
    }

    fn launched(more: &str, users: Option<&str>, with: &[(&str, &str)], prepare: &dyn Fn(&Folder)) -> Self {
        let server = Path::new("/usr/sbin/sshd");
        assert!(server.exists(), "these tests run their own SSH server: install openssh-server");
        assert!(rustix::process::geteuid().is_root(), "sshd must be started by root");
        std::fs::create_dir_all("/run/sshd").unwrap();
        let folder = Folder::new("sshd");
        for name in ["host", "user", "other"] {
            keygen(&folder.path(name), "ed25519", "");
        }
        std::fs::copy(folder.path("user.pub"), folder.path("authorized")).unwrap();
        prepare(&folder);
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let more = more.replace("$FOLDER", folder.0.to_str().unwrap()).replace("$PORT", &port.to_string());
            let config = format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {host}\nAuthorizedKeysFile {authorized}\nPidFile none\n\
                 StrictModes no\nPermitRootLogin yes\nMaxStartups 100\n\
                 {more}\nSetEnv SHLVL=3\nUsePAM no\nPasswordAuthentication no\n{sftp}",
                sftp = if more.contains("Subsystem") { "" } else { "Subsystem sftp internal-sftp\n" },
                host = folder.path("host").display(),
                authorized = folder.path("authorized").display(),
            );
            std::fs::write(folder.path("sshd_config"), config).unwrap();
            let log = std::fs::File::create(folder.path("log")).unwrap();
            let mut command = match users {
                None => Command::new(server),
                Some(script) => {
                    let mut command = Command::new("unshare");
                    command.args([
                        "--mount",
                        "--propagation",
                        "private",
                        "sh",
                        "-ec",
                        script,
                        server.to_str().unwrap(),
                    ]);
                    command
                }
            };
            let mut child = command
                .args(["-D", "-e", "-f"])
                .arg(folder.path("sshd_config"))
                .env("FOLDER", &folder.0)
                .envs(with.iter().copied())
                .stdin(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap();
            let up = || TcpStream::connect(("127.0.0.1", port)).is_ok() || !matches!(child.try_wait(), Ok(None));
            until("sshd to listen", up);
            if child.try_wait().unwrap().is_none() {
                return Self { folder, port, child };
            }
        }
        panic!("sshd does not start: {}", std::fs::read_to_string(folder.path("log")).unwrap());
    }

    pub fn spec(&self) -> SshSpec {
        self.server().into()
    }

    pub fn server(&self) -> SshServer {
        SshServer {
            address: "127.0.0.1".into(),
            port: self.port,
            user: "root".into(),
            auth: vec![Auth::Key { path: self.folder.path("user"), passphrase: None, certificate: None }],
            host_key: HostKeyPolicy::AcceptNew,
            known_as: None,
            known_hosts: Vec::new(),
        }
    }

    pub fn known(&self) -> Arc<KnownHosts> {
        Arc::new(KnownHosts::new(self.folder.path("known_hosts"), Vec::new()))
    }

    pub fn host(&self) -> Host {
        Host::new("web", 1, Reach::Ssh(self.spec()), self.known())
    }

    /// As one of the users, with a password.
    pub fn as_user(&self, user: &str, password: &str) -> SshSpec {
        SshServer { user: user.into(), auth: vec![Auth::Password(secret(password))], ..self.server() }.into()
    }

    pub fn host_with(&self, spec: impl Into<SshSpec>) -> Host {
        Host::new("web", 1, Reach::Ssh(spec.into()), self.known())
    }

    /// Processes of sshd that serve a connection.
    pub fn sessions(&self) -> Vec<u32> {
        children(self.child.id())
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        for session in self.sessions() {
            kill(session);
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.cut();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let done = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-f"]).arg(path).status().unwrap();
    assert!(done.success());
}

/// This machine.
pub fn local() -> Host {
    Host::new("here", 1, Reach::Local, Arc::new(KnownHosts::new("/nonexistent/known_hosts".into(), Vec::new())))
}

/// The three shells that the contract names, as `sh`.
pub fn shells(folder: &Folder) -> Vec<(&'static str, String)> {
    [("dash", "/bin/dash"), ("bash", "/bin/bash"), ("busybox", "/bin/busybox")]
        .into_iter()
        .map(|(name, program)| {
            assert!(Path::new(program).exists(), "the scripts are tested with {name}: install it");
            let own = folder.path(name);
            std::fs::create_dir_all(&own).unwrap();
            let sh = own.join("sh");
            let _ = std::os::unix::fs::symlink(program, &sh);
            (name, sh.to_str().unwrap().to_owned())
        })
        .collect()
}

pub fn id(node: &str) -> JobId {
    JobId { operation: Uuid::now_v7(), node: node.into(), attempt: 1 }
}

pub fn job(program: Program) -> Job {
    Job {
        id: id("step"),
        program,
        env: Vec::new(),
        stdin: None,
        as_user: None,
        cwd: None,
        idle: None,
        timeout: Duration::from_secs(50),
        supervise: Supervise::Always,
    }
}

pub fn shell(text: &str) -> Job {
    job(Program::Shell(text.into()))
}

pub fn argv(words: &[&str]) -> Job {
    job(Program::Argv(words.iter().map(|word| (*word).to_owned()).collect()))
}

pub fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

pub fn text(end: &JobEnd) -> (i32, String, String) {
    assert_eq!((end.stdout.dropped_bytes, end.stderr.dropped_bytes), (0, 0));
    let of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (end.exit, of(&end.stdout.head), of(&end.stderr.head))
}

/// Keeps what is shown.
#[derive(Default)]
pub struct Seen(pub Mutex<Vec<(Stream, Vec<u8>)>>);

impl Live for Seen {
    fn output(&self, stream: Stream, bytes: &[u8]) {
        self.0.lock().unwrap().push((stream, bytes.to_vec()));
    }
}

impl Seen {
    pub fn text(&self, of: Stream) -> String {
        let seen = self.0.lock().unwrap();
        let bytes: Vec<u8> = seen.iter().filter(|(s, _)| *s == of).flat_map(|(_, b)| b.clone()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Waits for a condition, with a deadline.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The same, for conditions that async tests wait for.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

pub fn kill(pid: u32) {
    let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Processes whose environment or command line has these bytes.
pub fn processes_with(what: &str, file: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let bytes = std::fs::read(entry.path().join(file)).unwrap_or_default();
        if bytes.windows(what.len()).any(|window| window == what.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

/// The folder of an operation's jobs on a host that we reach as root.
pub fn job_folder(operation: Uuid) -> PathBuf {
    Path::new("/var/lib/anneal/jobs").join(operation.to_string())
}
