//! A host: an SSH server with mounts of its own, in which a fault can be laid without this machine noticing.

use std::net::{IpAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use super::world::{apart, run};
use crate::until::{SOON, until};

/// What a host is like.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// First lines of its server's configuration.
    pub config: &'static str,
    /// Shell text that is run as root in the host's mounts before the server starts. `$FOLDER` is a folder that lasts.
    pub setup: &'static str,
    /// Who logs in: `root`, or `anna`.
    pub user: &'static str,
    /// Where it listens.
    pub address: &'static str,
    /// Whether it has processes of its own, so that it can be restarted.
    pub restarts: bool,
}

/// A host as they are.
pub const PLAIN: Given = Given { config: "", setup: "", user: "root", address: "127.0.0.1", restarts: false };

/// What every host has: a disk of its own for jobs, home folders of its own, and a user.
const SETUP: &str = r#"
    mkdir -p /var/lib/anneal "$FOLDER/disk" "$FOLDER/anna"
    if [ "$RESTARTS" ]; then
        mount --bind "$FOLDER/disk" /var/lib/anneal
        cat /proc/sys/kernel/random/uuid >"$FOLDER/boot"
        mount --bind "$FOLDER/boot" /proc/sys/kernel/random/boot_id
    else
        mount -t tmpfs -o mode=0700,size=256m tmpfs /var/lib/anneal
    fi
    mount -t tmpfs -o mode=0700 tmpfs /root
    mount -t tmpfs -o mode=1777 tmpfs /dev/shm
    chown 47111:47111 "$FOLDER/anna"
    { cat /etc/passwd; echo "anna:x:47111:47111::$FOLDER/anna:/bin/bash"; } >"$FOLDER/passwd"
    { cat /etc/shadow; echo 'anna:*:19000:0:99999:7:::'; } >"$FOLDER/shadow"
    mount --bind "$FOLDER/passwd" /etc/passwd
    mount --bind "$FOLDER/shadow" /etc/shadow
"#;

/// A host that runs.
#[derive(Debug)]
pub struct Host {
    folder: TempDir,
    given: Given,
    /// Its port.
    pub port: u16,
    server: Mutex<Option<Child>>,
}

impl Host {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(given: Given) -> Host {
        // The whole network is ours.
        static PORT: AtomicU16 = AtomicU16::new(2201);
        let folder = tempfile::Builder::new().prefix("host-").tempdir().expect("a temporary folder");
        run(Command::new("chmod").arg("0755").arg(folder.path())).expect("a folder that others may enter");
        let host = Host { folder, given, port: PORT.fetch_add(1, Ordering::Relaxed), server: Mutex::new(None) };
        for name in ["host", "user"] {
            host.new_key(name);
        }
        host.power_on();
        host
    }

    /// The folder of what lasts.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file of the host as its processes see it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid()))
    }

    /// How an inventory names it, at a port that leads to it.
    pub fn inventory(&self, port: u16) -> String {
        let Given { address, user, .. } = self.given;
        let key = self.folder().join("user");
        format!("Ssh(address: \"{address}\", port: {port}, user: \"{user}\", key: \"{}\")", key.display())
    }

    /// Another key in the place of one.
    ///
    /// # Panics
    /// When none can be made.
    pub fn new_key(&self, name: &str) {
        let key = self.folder().join(name);
        let _ = std::fs::remove_file(&key);
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key)).expect("a key");
        if name == "user" {
            std::fs::copy(key.with_extension("pub"), self.folder().join("authorized")).expect("a file");
        }
    }

    /// Starts the server, and the machine around it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn power_on(&self) {
        let Given { config, setup, address, restarts, .. } = self.given;
        let path = |name: &str| self.folder().join(name).display().to_string();
        // Of this the last line counts, not the first.
        let startups = if config.contains("MaxStartups") { "" } else { "MaxStartups 100" };
        let config = format!(
            "{config}\nListenAddress {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             PermitRootLogin yes\nUsePAM no\nPasswordAuthentication no\n{startups}\nSubsystem sftp internal-sftp\n",
            std::net::SocketAddr::new(address.parse::<IpAddr>().expect("an address"), self.port),
            path("host"),
            path("authorized"),
        );
        std::fs::write(path("config"), config).expect("its configuration");
        let mut server = apart("unshare");
        server.args(["--mount", "--propagation", "private"]);
        if restarts {
            server.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        }
        server
            .args(["sh", "-ec", &format!("{SETUP}\n{setup}\nexec /usr/sbin/sshd -D -e -f \"$FOLDER/config\"")])
            .env("FOLDER", self.folder())
            .env("RESTARTS", if restarts { "yes" } else { "" })
            .stdout(Stdio::null());
        until("the host to start", SOON, || {
            let log = std::fs::File::create(path("log")).expect("its log");
            let mut child = server.stderr(log).spawn().expect("unshare starts");
            // The port of one that was killed is free a moment later.
            loop {
                if child.try_wait().expect("a child").is_some() {
                    let said = std::fs::read_to_string(path("log")).unwrap_or_default();
                    assert!(said.contains("in use"), "the host does not start: {said}");
                    return None;
                }
                if TcpStream::connect((address, self.port)).is_ok() {
                    *self.server() = Some(child);
                    return Some(());
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        });
    }

    /// Takes the power away: nothing of it goes on.
    pub fn power_off(&self) {
        self.cut();
        if let Some(mut child) = self.server().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The server that listens begins anew; connections go on, as when its package is upgraded.
    ///
    /// # Panics
    /// When it does not.
    pub fn restart_server(&self) {
        run(Command::new("kill").args(["-HUP", &self.pid().to_string()])).expect("a server to restart");
        let again = || TcpStream::connect((self.given.address, self.port)).ok();
        until("the server to listen again", SOON, again);
    }

    /// Ends the processes that serve a connection: each is closed from that side.
    pub fn cut(&self) {
        let pid = self.pid();
        let sessions = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for session in sessions.split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", session]).stderr(Stdio::null()).status();
        }
    }

    fn pid(&self) -> u32 {
        self.server().as_ref().map_or(0, Child::id)
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.server.lock().expect("nobody panics while holding it")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.power_off();
    }
}
