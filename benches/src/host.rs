//! The host that benchmarks work on: one line of JSON, as `tests/testbed/testbed up NAME` prints it.

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::Fallible;

/// A host with sshd.
#[derive(Debug, Deserialize)]
pub struct Host {
    /// Its address.
    pub address: String,
    /// Its SSH port.
    pub port: u16,
    /// A user who may log in with `key`.
    pub user: String,
    /// The private key.
    pub key: PathBuf,
}

impl Host {
    /// Parses the line.
    pub fn parse(json: &str) -> Fallible<Host> {
        serde_json::from_str(json).map_err(|error| format!("not a line of `testbed up`: {error}").into())
    }

    /// An `ssh` to it that keeps its known hosts in `known_hosts`.
    pub fn ssh(&self, known_hosts: &std::path::Path) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "StrictHostKeyChecking=accept-new",
        ])
        .args(["-p", &self.port.to_string(), "-i"])
        .arg(&self.key)
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
        .arg(format!("{}@{}", self.user, self.address));
        ssh
    }
}

/// Runs a command that must succeed, silently.
pub fn run(command: &mut Command) -> Fallible<()> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into())
}
