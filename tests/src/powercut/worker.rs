//! The other end of [`child`](super::child): starts it, asks it, and starts another when it has died or does not answer.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::child::{Done, Order, Task};
use super::judge::Outcome;
use super::subject::Kind;

/// The argument with which this program is a child.
pub const CHILD: &str = "child";
/// With these and a kind of propagation, `unshare` runs a program in a mount namespace of its own. Each child has one: the last process of a namespace
/// takes down its file systems, and must not be the one that serves the disks below them.
pub(super) const IN_NAMESPACE: [&str; 2] = ["--mount", "--propagation"];
/// How long a child may work on one task.
const DEADLINE: Duration = Duration::from_secs(90);

/// Somebody who mounts disks and works on them.
#[derive(Debug)]
pub struct Worker {
    mount: PathBuf,
    errors: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
    answers: Receiver<io::Result<String>>,
}

impl Worker {
    /// One that mounts disks in a folder of `folder`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: &Path) -> Result<Worker, String> {
        let mount = folder.join("mount");
        fs::create_dir_all(&mount).map_err(|error| format!("cannot make {}: {error}", mount.display()))?;
        Ok(Worker { mount, errors: folder.join("errors"), running: None })
    }

    /// Has something done on a disk, which is not mounted when this returns.
    ///
    /// # Errors
    /// When the child dies or does not answer: the last it said.
    pub fn ask(&mut self, device: &Path, kind: Kind, order: Order) -> Result<Done, String> {
        let task = Task { device: device.to_owned(), mount: self.mount.clone(), kind, order };
        let answer = self.exchange(&task);
        let ends = match &answer {
            Ok(Done::Worked(_)) => false,
            Ok(Done::Checked(verdict) | Done::Recovered(verdict, ..)) => verdict.outcome != Outcome::Whole,
            Ok(Done::Failed(_)) | Err(_) => true,
        };
        if ends {
            self.end();
        }
        answer
    }

    fn exchange(&mut self, task: &Task) -> Result<Done, String> {
        let running = match &mut self.running {
            Some(running) => running,
            none => {
                none.insert(Running::start(&self.errors).map_err(|error| format!("cannot start a child: {error}"))?)
            }
        };
        let mut line = serde_json::to_string(task).map_err(|error| error.to_string())?;
        line.push('\n');
        let answer = running.input.write_all(line.as_bytes()).map_err(|error| error.to_string()).and_then(|()| {
            let answer = running.answers.recv_timeout(DEADLINE);
            let line = answer.map_err(|error| format!("no answer within {} s: {error}", DEADLINE.as_secs()))?;
            line.map_err(|error| error.to_string())
        });
        let line = answer.map_err(|why| self.last_words(&why))?;
        serde_json::from_str(&line).map_err(|error| error.to_string())
    }

    fn last_words(&self, why: &str) -> String {
        let errors = fs::read(&self.errors).unwrap_or_default();
        let errors = String::from_utf8_lossy(&errors);
        let last: Vec<&str> = errors.lines().rev().take(4).collect();
        format!("{why}; it said: {}", last.into_iter().rev().collect::<Vec<_>>().join(" / "))
    }

    fn end(&mut self) {
        if let Some(running) = &mut self.running {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        self.running = None; // and what it mounted went with it
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

impl Running {
    fn start(errors: &Path) -> io::Result<Running> {
        let mut child = Command::new("unshare")
            .args(IN_NAMESPACE)
            .args(["slave", "--"]) // a disk that is unmounted is unmounted in the child's copy too
            .arg(std::env::current_exe()?)
            .arg(CHILD)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(errors)?)
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("its input and output are not piped"));
        };
        let (lines, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Running { child, input, answers })
    }
}
