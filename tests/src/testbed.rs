//! Hosts to work on: disposable ones from `tests/testbed`, each taken down with its test.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

use crate::binary::repository;

/// A host. It goes down when it is dropped.
#[derive(Debug)]
pub struct Host {
    /// What it is.
    pub info: Info,
    flavour: Flavour,
}

/// What the testbed says about a host.
#[derive(Debug, Clone, Deserialize)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// Its IP address.
    pub address: String,
    /// Private key of `ubuntu`.
    pub key: PathBuf,
}

/// What a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Docker, running.
    Docker,
    /// No Docker; its packages lie in an apt repository.
    Bare,
}

impl Host {
    /// A new host with a name that no other test has.
    ///
    /// # Panics
    /// When the testbed cannot be used.
    pub fn up(what: &str, flavour: Flavour) -> Host {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t-{what}-{}-{count}", std::process::id());
        let info = up(&name, flavour, None);
        Host { info, flavour }
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.info.address
    }

    /// Runs a command in it as root; what it writes.
    ///
    /// # Panics
    /// When it fails.
    pub fn exec(&self, command: &[&str]) -> String {
        let output = self.try_exec(command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?} on {}: {said}", self.info.name);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a shell text in it as root; what it writes.
    ///
    /// # Panics
    /// When it fails.
    pub fn sh(&self, text: &str) -> String {
        self.exec(&["sh", "-c", text])
    }

    /// Runs a command in it as root, however it ends.
    ///
    /// # Panics
    /// When the testbed cannot be used.
    pub fn try_exec(&self, command: &[&str]) -> Output {
        let mut whole = testbed();
        whole.args(["exec", &self.info.name, "--"]).args(command).stdin(Stdio::null());
        whole.output().expect("the testbed starts")
    }

    /// Writes an executable file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn install(&self, path: &str, text: &str) {
        self.pipe(&["sh", "-c", &format!("cat >{path} && chmod 755 {path}")], text.as_bytes());
    }

    /// Runs a command in it as root, with this on its standard input.
    ///
    /// # Panics
    /// When it fails.
    pub fn pipe(&self, command: &[&str], input: &[u8]) {
        let mut whole = testbed();
        whole.args(["exec", &self.info.name, "--"]).args(command);
        crate::anneal::piped(&mut whole, input);
    }

    /// A power cycle.
    pub fn reboot(&self) {
        talk(&["reboot", &self.info.name]);
    }

    /// A partition, until [`Host::mend`].
    pub fn cut(&self) {
        talk(&["cut", &self.info.name]);
    }

    /// The end of a partition.
    pub fn mend(&self) {
        talk(&["mend", &self.info.name]);
    }

    /// Another machine at the same address: nothing is as it was, and the host key is another.
    pub fn replace(&mut self) {
        talk(&["down", &self.info.name]);
        self.info = up(&self.info.name, self.flavour, Some(&self.info.address));
    }

    /// Waits in a tight loop on the host for a process whose command line matches, and stops it with SIGSTOP.
    ///
    /// # Panics
    /// When none is seen within two minutes.
    pub fn freeze(&self, pattern: &str) {
        let script = format!(
            "end=$(($(date +%s) + 120))\n\
             until pid=$(pgrep -o -f '{pattern}'); do [ \"$(date +%s)\" -lt $end ] || exit 1; done\n\
             kill -STOP $pid"
        );
        self.sh(&script);
    }

    /// Lets every stopped process go on.
    pub fn thaw(&self) {
        self.sh("pkill -CONT . || :");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A test that fails already says why; the rest goes with `testbed down`.
        let _ = testbed().args(["down", &self.info.name]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// The registry image, in `docker save` format.
pub fn archive() -> PathBuf {
    talk(&["archive"]).trim().into()
}

/// A tiny image to push, in `docker save` format.
pub fn sample_image() -> PathBuf {
    talk(&["sample-image"]).trim().into()
}

/// An address of the hosts' network that no host has.
pub fn nobodys_address() -> String {
    let network: serde_json::Value = serde_json::from_str(&talk(&["network"])).expect("the network as JSON");
    let gateway = network["gateway"].as_str().expect("a gateway");
    format!("{}.253", gateway.rsplit_once('.').expect("an address").0)
}

fn up(name: &str, flavour: Flavour, address: Option<&str>) -> Info {
    let mut args = vec!["up", name];
    if flavour == Flavour::Bare {
        args.push("--bare");
    }
    if let Some(address) = address {
        args.extend(["--address", address]);
    }
    serde_json::from_str(&talk(&args)).expect("a host as JSON")
}

fn testbed() -> Command {
    Command::new(repository("tests/testbed/testbed"))
}

fn talk(args: &[&str]) -> String {
    let output = testbed().args(args).stdin(Stdio::null()).output().expect("the testbed starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this test needs the testbed: `testbed {}` failed:\n{said}", args.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
