//! One operator with a machine of its own: a home, a data folder, a controlled environment, and the real binary.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::running::Running;
use crate::{binary, journal};

/// An operator. What they made is gone when it is dropped.
#[derive(Debug)]
pub struct Anneal {
    folder: TempDir,
    data: PathBuf,
    env: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; 128 + n for a signal n.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl Anneal {
    /// A new operator, who has nothing yet.
    ///
    /// # Panics
    /// When no folder can be made.
    pub fn new() -> Anneal {
        let folder = tempfile::Builder::new().prefix("anneal-test-").tempdir().expect("a temporary folder");
        for name in ["home", "work"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let data = folder.path().join("data");
        Anneal { folder, data, env: Vec::new() }
    }

    /// The same, with an environment variable more.
    pub fn with_env(mut self, name: &str, value: &str) -> Anneal {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, with its data folder elsewhere.
    pub fn with_data(mut self, data: impl Into<PathBuf>) -> Anneal {
        self.data = data.into();
        self
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Everything of this operator's: `home`, `work`, `data`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where jobs on this machine have their files.
    pub fn local_jobs(&self) -> PathBuf {
        self.folder().join("home/.local/state/anneal/jobs")
    }

    /// Writes a file into the working folder.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join("work").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a file of the working folder");
        path
    }

    /// The command, ready to be started: in the working folder, with a clean environment and no terminal.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(binary::path());
        command
            .args(args)
            .current_dir(self.folder().join("work"))
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.folder().join("home"))
            .env("USER", "tester")
            .env("LC_ALL", "C.UTF-8")
            .env("ANNEAL_DATA_DIR", &self.data)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        let output = self.command(args).output().expect("the binary starts");
        Ended {
            code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command that must end with this code.
    ///
    /// # Panics
    /// When it ends with another.
    pub fn expect<S: AsRef<OsStr>>(&self, code: i32, args: impl IntoIterator<Item = S>) -> Ended {
        let ended = self.run(args);
        ended.must_be(code);
        ended
    }

    /// Starts a command and goes on.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::new(self.command(args).spawn().expect("the binary starts"))
    }

    /// What a command says with `--json`.
    ///
    /// # Panics
    /// When it fails, or says something else.
    pub fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Value {
        let ended = self.expect(0, args);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
    }

    /// The ids of all operations, oldest first.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub fn operations(&self) -> Vec<String> {
        let list = self.json(["ops", "--json"]);
        list.as_array().expect("a list").iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// The journal of an operation that no process works on.
    pub fn journal(&self, id: &str) -> Vec<journal::Entry> {
        journal::read(&self.data, id)
    }

    /// Tells the bytes of every file of the data folder.
    ///
    /// # Panics
    /// When one cannot be read.
    pub fn data_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        files_below(&self.data)
    }
}

impl Default for Anneal {
    fn default() -> Anneal {
        Anneal::new()
    }
}

impl Ended {
    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// It ended with this code, and without a panic.
    ///
    /// # Panics
    /// When it did not.
    pub fn must_be(&self, code: i32) {
        let Ended { code: was, stdout, stderr } = self;
        assert!(*was == code, "ended with {was}, not {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        assert!(!stderr.contains("panicked"), "a panic\n{stderr}");
    }

    /// It says all of these.
    ///
    /// # Panics
    /// When one is missing.
    pub fn says(&self, words: &[&str]) {
        let all = self.all();
        for word in words {
            assert!(all.contains(word), "`{word}` is not said:\n{all}");
        }
    }

    /// The whole, as a snapshot shows it.
    pub fn shown(&self) -> String {
        let mut shown = format!("exit code {}\n", self.code);
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write_part(&mut shown, name, text);
            }
        }
        shown
    }
}

fn write_part(shown: &mut String, name: &str, text: &str) {
    shown.push_str(&format!("--- {name}\n{text}"));
    if !text.ends_with('\n') {
        shown.push('\n');
    }
}

/// The bytes of every file below a folder; one that vanishes meanwhile is passed over.
pub fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return files };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.is_file()
            && let Ok(bytes) = std::fs::read(&path)
        {
            files.push((path, bytes));
        }
    }
    files
}

/// Feeds a program's standard input and gives what it wrote.
///
/// # Panics
/// When it fails.
pub fn piped(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(input).expect("the program reads");
    let output = child.wait_with_output().expect("the program ends");
    assert!(output.status.success(), "{command:?} failed");
    output.stdout
}
