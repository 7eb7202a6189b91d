//! An SSH server of our own on a free port of the loopback: this machine as a host that is reached over SSH, as root.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::until::{SOON, until};

/// A server; it ends with its sessions when it is dropped.
#[derive(Debug)]
pub struct Sshd {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Sshd {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Sshd {
        let folder = tempfile::Builder::new().prefix("anneal-sshd-").tempdir().expect("a temporary folder");
        for name in ["host", "user"] {
            let key = folder.path().join(name);
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key).status();
            assert!(made.expect("ssh-keygen starts").success());
        }
        std::fs::create_dir_all("/run/sshd").expect("the folder of sshd");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             PermitRootLogin yes\nUsePAM no\nPasswordAuthentication no\n",
            path("host"),
            path("user.pub"),
        );
        std::fs::write(path("config"), config).expect("its configuration");
        let log = std::fs::File::create(path("log")).expect("its log");
        let mut server = Command::new("/usr/sbin/sshd");
        server.args(["-D", "-e", "-f", &path("config")]).stdin(Stdio::null()).stderr(log);
        let mut child = server.spawn().expect("sshd starts: install openssh-server, and be root");
        until("sshd to listen", SOON, || {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "sshd ended: {}", std::fs::read_to_string(path("log")).unwrap_or_default());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Sshd { folder, port, child }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The private key that root logs in with.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("user")
    }

    /// The fingerprint of its own key, `SHA256:…`.
    ///
    /// # Panics
    /// When `ssh-keygen` does not tell it.
    pub fn fingerprint(&self) -> String {
        let shown = Command::new("ssh-keygen").arg("-lf").arg(self.folder.path().join("host.pub")).output();
        let shown = String::from_utf8(shown.expect("ssh-keygen starts").stdout).expect("text");
        shown.split_whitespace().nth(1).expect("a fingerprint").to_owned()
    }

    /// How an inventory names it.
    pub fn host(&self) -> String {
        let key = self.key();
        format!("Ssh(address: \"127.0.0.1\", port: {}, user: \"root\", key: \"{}\")", self.port, key.display())
    }

    /// How a host line of an inventory of Ansible's names it.
    pub fn ansible(&self) -> String {
        let key = self.folder.path().join("user");
        format!(
            "ansible_host=127.0.0.1 ansible_port={} ansible_user=root ansible_ssh_private_key_file={}",
            self.port,
            key.display()
        )
    }

    /// Where jobs of its login user have their files.
    pub fn jobs(&self, operation: &str) -> PathBuf {
        Path::new("/var/lib/anneal/jobs").join(operation)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let pid = self.child.id();
        let sessions = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for session in sessions.split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", session]).stderr(Stdio::null()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
