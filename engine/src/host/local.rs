//! A command on this machine: the same scripts, run by `sh` in a process group of their own.
//!
//! The group keeps Ctrl-C in the terminal from reaching them. They outlive us: their output goes to files, the pipes only
//! carry what comes at the end, and a pipe that breaks is one of the ends that the scripts expect.

use std::io;
use std::pin::pin;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::exec::{Event, Exec, Incoming, Outgoing};
use super::{Stream, limits};

/// Starts a command line.
pub(super) fn start(words: &[&str]) -> io::Result<Exec> {
    let (program, arguments) = words.split_first().ok_or_else(|| io::Error::other("an empty command line"))?;
    let home = std::env::home_dir().filter(|home| home.is_dir()).unwrap_or_else(|| "/".into());
    // As sshd does: a job gets what says where and who it is, and nothing else that our own environment may hold (I8).
    let environment = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_passed_on));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let (events, incoming) = mpsc::channel(16);
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    tokio::spawn(async move {
        let moved = AtomicBool::new(false);
        let mut copying = pin!(async {
            tokio::join!(
                copy(output, Stream::Stdout, events.clone(), &moved),
                copy(errors, Stream::Stderr, events.clone(), &moved)
            )
        });
        let ended = tokio::select! {
            biased;
            ((), ()) = &mut copying => child.wait().await,
            ended = child.wait() => {
                // A child that it left behind may keep the pipes open; what it wrote itself is in them.
                while timeout(limits::AFTER_EXIT, &mut copying).await.is_err() && moved.swap(false, Ordering::Relaxed) {}
                ended
            }
        };
        let exit = match ended {
            Ok(status) => exit_code(status),
            Err(_) => return,
        };
        // Nobody may be listening any more; then nobody is told.
        let _ = events.send(Event::Exit(exit)).await;
    });
    Ok(Exec { incoming: Incoming::Local(incoming), outgoing: Outgoing::Local(input) })
}

async fn copy(from: Option<impl AsyncRead + Unpin>, stream: Stream, to: mpsc::Sender<Event>, moved: &AtomicBool) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 32 << 10];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            () = to.closed() => return,
        };
        match read {
            Ok(0) | Err(_) => return,
            Ok(bytes) => {
                if to.send(Event::Data(stream, buffer[..bytes].to_vec())).await.is_err() {
                    return;
                }
                moved.store(true, Ordering::Relaxed);
            }
        }
    }
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255)
}

/// The name of the user that we are, from the password file; `None` where it is not in it. Read once: thousands of
/// operations may have this machine as a host.
pub(super) fn user_name() -> Option<String> {
    static NAME: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let text = std::fs::read_to_string("/etc/passwd").ok()?;
        text.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == uid).then(|| name.to_owned())
        })
    };
    NAME.get_or_init(read).clone()
}

/// Whether a variable of our own is passed on to local jobs.
fn is_passed_on(name: &str) -> bool {
    const NAMES: [&str; 10] =
        ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"];
    NAMES.contains(&name) || name.starts_with("LC_")
}
