//! A command that runs: its lines as they come, and signals to it at a chosen moment.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::anneal::Ended;
use crate::journal::{Entry, entry_of};

/// A command that runs. It is killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// What came on a stream so far.
#[derive(Debug)]
struct Lines {
    shared: Arc<(Mutex<Heard>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Heard {
    lines: Vec<String>,
    over: bool,
}

/// Why a lock is never poisoned.
const WHOLE: &str = "nobody panics while holding it";

impl Lines {
    fn new(stream: impl Read + Send + 'static) -> Lines {
        let shared: Arc<(Mutex<Heard>, Condvar)> = Arc::default();
        let theirs = Arc::clone(&shared);
        let reader = std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            let (heard, changed) = &*theirs;
            while stream.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                heard.lock().expect(WHOLE).lines.push(String::from_utf8_lossy(&line).into_owned());
                changed.notify_all();
                line.clear();
            }
            heard.lock().expect(WHOLE).over = true;
            changed.notify_all();
        });
        Lines { shared, reader: Some(reader) }
    }

    /// The first line that answers, at once when it comes.
    fn wait<T>(&self, what: &str, within: Duration, mut ask: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        let (heard, changed) = &*self.shared;
        let (mut heard, mut at) = (heard.lock().expect(WHOLE), 0);
        loop {
            while let Some(line) = heard.lines.get(at) {
                at += 1;
                if let Some(answer) = ask(line) {
                    return answer;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!heard.over && !left.is_zero(), "never came: {what}\n{}", heard.lines.concat());
            heard = changed.wait_timeout(heard, left).expect(WHOLE).0;
        }
    }

    fn all(&self) -> String {
        self.shared.0.lock().expect(WHOLE).lines.concat()
    }

    fn join(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader");
        }
        self.all()
    }
}

impl Running {
    pub(crate) fn new(mut child: Child) -> Running {
        let stdout = Lines::new(child.stdout.take().expect("a pipe"));
        let stderr = Lines::new(child.stderr.take().expect("a pipe"));
        Running { child, stdout, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for an event of its `--json`, and gives it at the moment it comes.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn event(&self, what: &str, within: Duration, wanted: impl Fn(&Entry) -> bool) -> Entry {
        self.stdout.wait(what, within, |line| entry_of(line).filter(|entry| wanted(entry)))
    }

    /// Waits for a line of its standard output.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn line(&self, part: &str, within: Duration) -> String {
        self.stdout.wait(part, within, |line| line.contains(part).then(|| line.to_owned()))
    }

    /// Waits for a line of its standard error.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn talk(&self, part: &str, within: Duration) -> String {
        self.stderr.wait(part, within, |line| line.contains(part).then(|| line.to_owned()))
    }

    /// SIGKILL, now; it is gone afterwards.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn kill(mut self) -> Ended {
        // It may have ended by itself this moment.
        let _ = self.child.kill();
        self.end()
    }

    /// SIGKILL, without waiting for it to be gone.
    pub fn stop_now(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends a signal; nothing where it has ended by itself.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// SIGINT, as Ctrl-C sends it.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn interrupt(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("a process to interrupt");
    }

    /// SIGTERM, as whoever looks after services sends it.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("a process to terminate");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait(mut self, within: Duration) -> Ended {
        let deadline = Instant::now() + within;
        while self.child.try_wait().expect("a child").is_none() {
            let said = || format!("{}{}", self.stdout.all(), self.stderr.all());
            assert!(Instant::now() < deadline, "it does not end:\n{}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.end()
    }

    fn end(&mut self) -> Ended {
        let status = self.child.wait().expect("a child");
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Ended { code, stdout: self.stdout.join(), stderr: self.stderr.join() }
    }

    /// What it wrote so far, both streams.
    pub fn so_far(&self) -> String {
        self.stdout.all() + &self.stderr.all()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
