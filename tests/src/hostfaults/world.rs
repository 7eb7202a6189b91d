//! A world of their own for the faults: namespaces of network, mounts and processes, in which nothing of this machine is
//! touched and all of which is gone with its first process, however that ends.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::geteuid;

/// The argument of the process that runs inside.
pub const INSIDE: &str = "inside";

/// Runs this program again inside, with these arguments; its exit code.
///
/// # Errors
/// When there can be no such world here.
pub fn enter(arguments: &[String]) -> Result<u8, String> {
    if !geteuid().is_root() {
        return Err("it makes namespaces and SSH servers of its own: it must be run as root".to_owned());
    }
    let failed = |error: std::io::Error| error.to_string();
    // What a killed run leaves is in here too.
    let folder = tempfile::Builder::new().prefix("anneal-hostfaults-").tempdir().map_err(failed)?;
    std::fs::create_dir_all("/run/sshd").map_err(failed)?;
    let mut inside = Command::new("unshare");
    inside
        .args(["--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(std::env::current_exe().map_err(failed)?)
        .arg(INSIDE)
        .args(arguments)
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null());
    let status = inside.status().map_err(|error| format!("cannot run unshare: {error}"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// What is needed inside before anything else.
///
/// # Errors
/// When the loopback cannot be had.
pub fn prepare() -> Result<(), String> {
    // Some faults need a folder above that another user may enter.
    let folder = std::env::temp_dir();
    run(Command::new("chmod").arg("0755").arg(&folder))?;
    run(Command::new("ip").args(["link", "set", "lo", "up"]))
}

/// Runs a program of this machine that must succeed.
///
/// # Errors
/// What it says.
pub fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A program in a process group of its own.
pub fn apart(program: &str) -> Command {
    let mut command = Command::new(program);
    command.process_group(0).stdin(Stdio::null());
    command
}
