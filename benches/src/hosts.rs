//! Many light hosts on one machine: an sshd for each address of the loopback, in a mount namespace of its own.
//!
//! In its namespace a host has its own `/root`, `/var/lib` and [`WORK`], so what a contestant leaves on one host is not on
//! another, and nobody's start-up files are read. They share the machine, its processors and its programs: what they cost is
//! what sshd and the commands cost. All have one host key.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::group::Group;

/// The folder of a host that contestants work in.
pub const WORK: &str = "/mnt";

/// In a namespace of its own: `$1` is the host's folder here, `$2` its address, `$3` the port, `$4` the file of its group.
const START: &str = r#"echo $$ >"$4"
mount --bind "$1/root" /root && mount -t tmpfs -o size=64m,mode=755 anneal-bench /var/lib && mount --bind "$1/work" /mnt || exit 1
exec /usr/sbin/sshd -D -e -f /root/sshd_config -o ListenAddress="$2:$3""#;

const CONFIG: &str = "HostKey /root/host\nAuthorizedKeysFile /root/user.pub\nPidFile none\nStrictModes no\nPermitRootLogin yes\n\
    UsePAM no\nUseDNS no\nPasswordAuthentication no\nMaxStartups 1000\nMaxSessions 100\nSubsystem sftp internal-sftp\n";

/// The hosts; they end with their sessions when this is dropped.
#[derive(Debug)]
pub struct Hosts {
    /// The private key for `root`.
    pub key: PathBuf,
    /// The port, the same on all.
    pub port: u16,
    /// A file of OpenSSH that knows all of them.
    pub known_hosts: PathBuf,
    folder: PathBuf,
    servers: Vec<Child>,
    group: Group,
}

impl Hosts {
    /// Starts `count` hosts, whose files lie in `folder`.
    pub fn start(folder: &Path, count: usize) -> Fallible<Hosts> {
        let folder = folder.canonicalize()?;
        for name in ["host", "user"] {
            let key = folder.join(name);
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key).status()?;
            if !made.success() {
                return Err("ssh-keygen failed".into());
            }
        }
        fs::create_dir_all("/run/sshd")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let public = fs::read_to_string(folder.join("host.pub"))?;
        let known: String =
            (0..count).map(|host| format!("[{}]:{port} {}\n", address(host), public.trim_end())).collect();
        fs::write(folder.join("known_hosts"), known)?;
        let mut hosts = Hosts {
            key: folder.join("user"),
            port,
            known_hosts: folder.join("known_hosts"),
            folder,
            servers: Vec::new(),
            group: Group::new("hosts")?,
        };
        for host in 0..count {
            let server = hosts.server(host)?;
            hosts.servers.push(server);
        }
        for host in 0..count {
            hosts.wait(host)?;
        }
        Ok(hosts)
    }

    fn server(&self, host: usize) -> Fallible<Child> {
        let of_host = self.of_host(host);
        for name in ["root", "lib", "work"] {
            fs::create_dir_all(of_host.join(name))?;
        }
        for name in ["host", "user.pub"] {
            fs::copy(self.folder.join(name), of_host.join("root").join(name))?;
        }
        fs::write(of_host.join("root/sshd_config"), CONFIG)?;
        let mut server = Command::new("unshare");
        server.args(["--mount", "--propagation", "private", "sh", "-c", START, "sh"]).arg(&of_host);
        server.args([&address(host), &self.port.to_string()]).arg(self.group.file());
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(of_host.join("log"))?);
        Ok(server.spawn()?)
    }

    fn wait(&mut self, host: usize) -> Fallible<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect((address(host), self.port)).is_err() {
            if Instant::now() > deadline || self.servers[host].try_wait()?.is_some() {
                let said = fs::read_to_string(self.of_host(host).join("log"))?;
                return Err(format!("the sshd of host {host} does not listen: {said}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// CPU time of all servers, their sessions and what ran in them, until now.
    pub fn cpu(&self) -> Fallible<Duration> {
        self.group.cpu()
    }

    /// The file that a host has at this path in [`WORK`].
    pub fn file(&self, host: usize, name: &str) -> PathBuf {
        self.of_host(host).join("work").join(name)
    }

    /// Removes what contestants left in [`WORK`] and in the home folder.
    pub fn clean(&self) -> Fallible<()> {
        for host in 0..self.count() {
            for entry in fs::read_dir(self.of_host(host).join("work"))? {
                fs::remove_file(entry?.path())?;
            }
        }
        Ok(())
    }

    fn of_host(&self, host: usize) -> PathBuf {
        self.folder.join(format!("hosts/{host}"))
    }
}

/// A host's address.
pub fn address(host: usize) -> String {
    format!("127.20.{}.{}", host / 250, host % 250 + 1)
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for pid in self.group.processes() {
            // Who has ended meanwhile needs no signal.
            let _ = Command::new("kill").args(["-KILL", &pid]).stderr(Stdio::null()).status();
        }
        for server in &mut self.servers {
            let _ = server.wait();
        }
    }
}
