//! What is sent to a host's shell: constant scripts, and the orders they read. Pure text, no I/O.
//!
//! The command line is one of a few constants ([`Script`]); the user after `sudo -u` is the only part that varies.
//! Orders – names, environment, program, secrets – go to standard input as three lines of shell text: what the script
//! needs to know, what it writes to files first, and the job itself. A line of text holds anything: newlines are
//! spelled `"$a_N"`, everything else stands between single quotes.
//!
//! Invariant: nothing of a job is ever part of a command line, and every value is quoted by [`quote`].

use std::sync::LazyLock;

use zeroize::Zeroizing;

use super::{Job, JobId, Program, Supervise, limits};

/// Runs text that was handed over in the environment, and hands it no further.
const RUN_TEXT: &str = r#"'set -- "$ANNEAL_TEXT"; unset ANNEAL_TEXT; eval "shift; $1"'"#;

/// What a program without files says where it cannot enter its folder.
const NO_FOLDER: &str = "the folder of `cwd` does not exist, or this user may not enter it";

macro_rules! script {
    ($($part:literal),+) => {
        LazyLock::new(|| compact(concat!($(include_str!(concat!("shell/", $part, ".sh"))),+)))
    };
}

static SUPERVISE: LazyLock<String> = script!("prologue", "common", "supervisor");
static WATCH: LazyLock<String> = script!("prologue", "common", "nap", "trim", "slay", "watch", "supervisor");
static FIRST: LazyLock<String> = script!("prologue", "common", "session", "nap", "trim", "slay", "watch", "supervisor");
static BARE: LazyLock<String> = script!("prologue", "bare");
static REATTACH: LazyLock<String> = script!("prologue", "common", "nap", "look", "trim", "reattach");
static KILL: LazyLock<String> = script!("prologue", "common", "nap", "look", "slay", "kill");
static FETCH: LazyLock<String> = script!("prologue", "common", "look", "fetch");
static QUIET: LazyLock<String> = script!("prologue", "common", "look", "quiet");
static FORGET: LazyLock<String> = script!("prologue", "common", "look", "forget");
static SWEEP: LazyLock<String> = script!("prologue", "common", "look", "sweep");
static LIST: LazyLock<String> = script!("prologue", "common", "list");
static UPLOAD: LazyLock<String> = script!("prologue", "common", "sum", "first", "keep", "upload");
static RESTARTED: LazyLock<String> = script!("prologue", "common", "look", "restarted");
static GIVE: LazyLock<String> = script!("prologue", "common", "first", "give");

/// The programs that we run on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// A job whose deadline we keep. Each byte of it is parsed for each job, so it has nothing that it does not need.
    Supervise,
    /// A job with a watchdog on the host.
    Watch,
    /// The first job of a user on a host, which also asks what the end of the login session does to it.
    First,
    Bare,
    Reattach,
    Kill,
    Fetch,
    Quiet,
    Forget,
    Sweep,
    List,
    Upload,
    Give,
    Restarted,
}

impl Script {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Supervise => &SUPERVISE,
            Self::Watch => &WATCH,
            Self::First => &FIRST,
            Self::Bare => &BARE,
            Self::Reattach => &REATTACH,
            Self::Kill => &KILL,
            Self::Fetch => &FETCH,
            Self::Quiet => &QUIET,
            Self::Forget => &FORGET,
            Self::Sweep => &SWEEP,
            Self::List => &LIST,
            Self::Upload => &UPLOAD,
            Self::Give => &GIVE,
            Self::Restarted => &RESTARTED,
        }
    }
}

/// Three lines of shell text, perhaps bytes after them. They may hold secrets.
pub(super) type Orders = Zeroizing<Vec<u8>>;

/// Who runs a script, and where that user's job folders are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The user that runs it.
    pub(super) user: &'a str,
    /// On this machine: no session of its own (the group is made by us), and XDG's folder.
    pub(super) local: bool,
}

/// A script as a command line: without comments, indentation and blank lines.
fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// One word of shell text that stands for exactly these bytes, on one line. NUL has no place in a shell.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("'\\''"),
            '\n' => out.push_str("'\"$a_N\"'"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// The same for a whole command line, where newlines may stand as they are.
pub(super) fn quote_line(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Whether a name can be put after `sudo -u`.
pub(super) fn is_user_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 32
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

/// The name of a job's files, and of the job for people: `node.attempt`.
pub(super) fn file_name(id: &JobId) -> String {
    format!("{}.{}", id.node, id.attempt)
}

/// What every script is told: which attempt, where the folders are, and `more`.
fn header(id: &JobId, place: Place<'_>, more: &str) -> Orders {
    let (op, mark) = (id.operation, mark(id));
    let state = if place.local {
        "${XDG_STATE_HOME:-${HOME:-/nonexistent}/.local/state}"
    } else {
        "${HOME:-/nonexistent}/.local/state"
    };
    let system = if place.user == "root" && !place.local { "/var/lib/anneal/jobs " } else { "" };
    let local = if place.local { "yes" } else { "" };
    let (name, user) = (quote(&file_name(id)), place.user);
    let mark = quote(&mark);
    Zeroizing::new(
        format!(
            "anneal-1 a_op={op} a_n={name} a_mark={mark} a_local={local} {more}; \
             set -- {system}\"{state}/anneal/jobs\" /dev/shm/anneal-{user}\n"
        )
        .into_bytes(),
    )
}

/// What processes of the job carry in their environment, as `ANNEAL_JOB`.
fn mark(id: &JobId) -> String {
    format!("{}/{}/{}", id.operation, id.node, id.attempt)
}

/// Orders without a job: the header and two empty lines.
pub(super) fn plain(id: &JobId, place: Place<'_>, more: &str) -> Orders {
    let mut orders = header(id, place, more);
    orders.extend_from_slice(b"\n\n");
    orders
}

/// Orders for [`Script::Sweep`], with shell text that removes files.
pub(super) fn sweep(id: &JobId, place: Place<'_>, removing: &str) -> Orders {
    let more = format!("a_stale={} a_most={}", limits::STALE.as_secs() / 86_400, limits::STALE_FOLDERS);
    let mut orders = header(id, place, &more);
    orders.extend_from_slice(format!("{removing}\n\n").as_bytes());
    orders
}

/// Orders for [`Script::Supervise`] or [`Script::Bare`]. `watchdog`: whether the host keeps the deadline itself.
pub(super) fn job(job: &Job, place: Place<'_>, watchdog: bool) -> Result<Orders, String> {
    check(job)?;
    let bare = job.supervise == Supervise::Never;
    let mut files = Line::default();
    let mut text = Line::default();
    let mut bulk = Bulk::default();
    if let Some(cwd) = &job.cwd {
        // Before anything is claimed: a folder that is missing means that nothing began. What a probe says to that is no answer.
        match bare {
            true => text.push(&["cd ", &quote(cwd), " 2>/dev/null || { echo '", NO_FOLDER, "' >&2; exit 97; }; "]),
            false => files.push(&[
                "cd ",
                &quote(cwd),
                " || { [ -e \"$a_f.pid\" ] || rm -f \"$a_f.in\" \"$a_f.sh\"; a_end folder; }; ",
            ]),
        }
    }
    for (name, value) in &job.env {
        text.push(&["export ", name, "=", &quote(value.expose()), "; "]);
    }
    text.push(&["export ANNEAL_JOB=", &quote(&mark(&job.id)), "; "]);
    text.push(&["unset a_l a_job a_files a_more a_op a_n a_mark a_local; "]);
    match &job.program {
        Program::Argv(words) => {
            text.push(&["set --; exec"]);
            for word in words {
                text.push(&[" ", &quote(word)]);
            }
        }
        Program::Shell(shell) if bare => text.push(&["set --; eval ", &quote(shell)]),
        Program::Shell(shell) if !names_its_process(shell) => text.push(&["set --; eval ", &quote(shell)]),
        // A shell of its own, for `$$` must be the job. The text goes by the environment, which others cannot read.
        Program::Shell(shell) if shell.len() <= limits::ENVIRONMENT_TEXT_BYTES => {
            text.push(&["export ANNEAL_TEXT=", &quote(shell), "; exec /bin/sh -c ", RUN_TEXT]);
        }
        Program::Shell(shell) => {
            files.push(&["printf %s ", &quote(shell), " >\"$a_f.sh\" && "]);
            text.push(&["exec /bin/sh \"$a_f.sh\""]);
        }
        Program::Script { text: script, args } => {
            let interpreter = Interpreter::of(script);
            match (bare, interpreter.is_sh()) {
                // A shell script needs no file: it runs in this shell.
                (true, true) => {
                    text.push(&["set --"]);
                    args.iter().for_each(|arg| text.push(&[" ", &quote(arg)]));
                    text.push(&["; eval ", &quote(script)]);
                }
                (true, false) => {
                    // Read from a pipe at descriptor 3, so that it never lies on the disk; input stays the channel's.
                    text.push(&["exec 4<&0; printf %s ", &quote(script), " | { exec 3<&0 0<&4 4<&-; exec"]);
                    interpreter.words().for_each(|word| text.push(&[" ", &quote(word)]));
                    text.push(&[" /dev/fd/3"]);
                    args.iter().for_each(|arg| text.push(&[" ", &quote(arg)]));
                    text.push(&["; }"]);
                }
                (false, _) => {
                    if script.len() > limits::INLINE_BYTES && job.stdin.is_none() {
                        bulk.set("sh", script.as_bytes());
                    } else {
                        files.push(&["printf %s ", &quote(script), " >\"$a_f.sh\" && "]);
                    }
                    text.push(&["exec"]);
                    interpreter.words().for_each(|word| text.push(&[" ", &quote(word)]));
                    text.push(&[" \"$a_f.sh\""]);
                    args.iter().for_each(|arg| text.push(&[" ", &quote(arg)]));
                }
            }
        }
    }
    match &job.stdin {
        None if bare => text.prefix("exec </dev/null; "),
        None => {}
        Some(stdin) if bare => bulk.set("", stdin.expose().as_bytes()),
        Some(stdin) if stdin.expose().len() > limits::INLINE_BYTES || stdin.expose().contains('\0') => {
            bulk.set("in", stdin.expose().as_bytes());
        }
        Some(stdin) => files.push(&["printf %s ", &quote(stdin.expose()), " >\"$a_f.in\" && "]),
    }
    files.push(&[":\n"]);
    text.push(&["\n"]);
    let timeout_s = job.timeout.as_secs() + u64::from(job.timeout.subsec_nanos() > 0);
    let dog = if watchdog { "yes" } else { "" };
    let more = format!("a_t={timeout_s} a_dog={dog} a_bulk={} a_size={}", bulk.extension, bulk.bytes.len());
    let mut orders = header(&job.id, place, &more);
    orders.reserve_exact(files.0.len() + text.0.len() + bulk.bytes.len());
    orders.extend_from_slice(files.0.as_bytes());
    orders.extend_from_slice(text.0.as_bytes());
    orders.extend_from_slice(&bulk.bytes);
    Ok(orders)
}

/// Whether shell text can tell a subshell from a shell of its own by `$$`, as `echo $$ >/run/x.pid; exec x` does. Other
/// text is run in the subshell that there is anyway, which saves starting a shell: a third of what a short job costs.
fn names_its_process(text: &str) -> bool {
    ["$$", "${$", "PPID", "BASHPID"].iter().any(|name| text.contains(name))
}

/// Text that may be secret, growing.
#[derive(Default)]
struct Line(Zeroizing<String>);

impl Line {
    fn push(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.0.push_str(part));
    }

    fn prefix(&mut self, text: &str) {
        self.0.insert_str(0, text);
    }
}

/// Bytes after the three lines, and the extension of the file that they go to.
#[derive(Default)]
struct Bulk {
    extension: &'static str,
    bytes: Orders,
}

impl Bulk {
    fn set(&mut self, extension: &'static str, bytes: &[u8]) {
        self.extension = extension;
        self.bytes = Zeroizing::new(bytes.to_vec());
    }
}

/// The first line of a script, as execve(2) reads it: a program and at most one argument. It is run by name, so that the
/// script needs no execute bit, which would cost a chmod and fails on a disk mounted `noexec`.
struct Interpreter<'a>(Option<(&'a str, Option<&'a str>)>);

impl<'a> Interpreter<'a> {
    fn of(script: &'a str) -> Self {
        let first =
            script.lines().next().and_then(|line| line.strip_prefix("#!")).map(|line| line.trim_matches([' ', '\t']));
        Self(match first {
            None | Some("") => None,
            Some(line) => Some(match line.split_once([' ', '\t']) {
                None => (line, None),
                Some((program, argument)) => (program, Some(argument.trim_start_matches([' ', '\t']))),
            }),
        })
    }

    fn is_sh(&self) -> bool {
        matches!(self.0, None | Some(("/bin/sh", None)))
    }

    fn words(&self) -> impl Iterator<Item = &'a str> {
        let (program, argument) = self.0.unwrap_or(("/bin/sh", None));
        std::iter::once(program).chain(argument)
    }
}

fn check(job: &Job) -> Result<(), String> {
    check_id(&job.id)?;
    if job.timeout.is_zero() {
        return Err("a job needs a timeout".into());
    }
    for (name, value) in &job.env {
        let mut bytes = name.bytes();
        let valid = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.starts_with("a_");
        if !valid {
            return Err(format!("`{name}` cannot be the name of an environment variable"));
        }
        if value.expose().contains('\0') {
            return Err(format!("the value of environment variable {name} has a NUL in it"));
        }
    }
    let (texts, what): (Vec<&str>, _) = match &job.program {
        Program::Argv(words) if words.first().is_none_or(String::is_empty) => return Err("an empty command".into()),
        Program::Argv(words) => (words.iter().map(String::as_str).collect(), "an argument"),
        Program::Shell(text) => (vec![text], "the command"),
        Program::Script { text, args } => {
            if text.len() > limits::SCRIPT_BYTES {
                return Err(format!("a script of {} bytes; at most {} are allowed", text.len(), limits::SCRIPT_BYTES));
            }
            if text.contains('\0') {
                return Err("the script has a NUL in it".into());
            }
            (args.iter().map(String::as_str).collect(), "an argument")
        }
    };
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(format!("{what} has a NUL in it"));
    }
    let bytes: usize = texts.iter().map(|text| text.len()).chain(job.env.iter().map(|(_, v)| v.expose().len())).sum();
    if bytes > limits::ARGUMENT_BYTES {
        return Err(format!(
            "{bytes} bytes of arguments and environment; at most {} are allowed",
            limits::ARGUMENT_BYTES
        ));
    }
    if let Some(cwd) = &job.cwd {
        if !cwd.starts_with('/') {
            return Err("the folder to start in is no absolute path".into());
        }
        if cwd.contains('\0') {
            return Err("the name of the folder to start in has a NUL in it".into());
        }
        if cwd.len() > limits::PATH_BYTES {
            return Err(format!(
                "a path of {} bytes as the folder to start in; at most {} are allowed",
                cwd.len(),
                limits::PATH_BYTES
            ));
        }
    }
    match &job.stdin {
        Some(stdin) if stdin.expose().len() > limits::STDIN_BYTES => Err(format!(
            "{} bytes of standard input; at most {} are allowed",
            stdin.expose().len(),
            limits::STDIN_BYTES
        )),
        _ => Ok(()),
    }
}

/// A node name must be safe as a file name.
pub(super) fn check_id(id: &JobId) -> Result<(), String> {
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if id.node.is_empty() || id.node.len() > limits::NODE_NAME_BYTES || !id.node.bytes().all(safe) {
        return Err(format!("`{}` is no node name for a file", id.node));
    }
    if id.attempt == 0 { Err("attempts count from 1".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_one_line_and_one_word() {
        let cases = [
            ("", "''"),
            ("plain", "'plain'"),
            ("it's", "'it'\\''s'"),
            ("a\nb", "'a'\"$a_N\"'b'"),
            ("$x `y` \\ \"", "'$x `y` \\ \"'"),
        ];
        for (text, expected) in cases {
            assert_eq!(quote(text), expected);
        }
    }

    #[test]
    fn only_plain_names_go_after_sudo() {
        for name in ["root", "www-data", "_apt", "a1", "u".repeat(32).as_str()] {
            assert!(is_user_name(name), "{name}");
        }
        for name in ["", "-u", "Root", "a b", "a;b", "a.b", "1a", "a$", "é", "u".repeat(33).as_str()] {
            assert!(!is_user_name(name), "{name}");
        }
    }

    #[test]
    fn the_first_line_of_a_script_is_read_as_the_kernel_reads_it() {
        let words = |text| Interpreter::of(text).words().collect::<Vec<_>>();
        assert_eq!(words("echo"), ["/bin/sh"]);
        assert_eq!(words("#!\n"), ["/bin/sh"]);
        assert_eq!(words("#!/bin/bash"), ["/bin/bash"]);
        assert_eq!(words("#! /usr/bin/env \t python3 -u \nx"), ["/usr/bin/env", "python3 -u"]);
        assert_eq!(words(" #!/bin/bash"), ["/bin/sh"]);
    }

    #[test]
    fn a_script_is_short_and_carries_no_comments() {
        for script in [
            Script::Supervise,
            Script::Watch,
            Script::First,
            Script::Bare,
            Script::Reattach,
            Script::Kill,
            Script::Fetch,
            Script::Quiet,
            Script::Forget,
            Script::Sweep,
            Script::List,
            Script::Upload,
            Script::Give,
            Script::Restarted,
        ] {
            let text = script.text();
            assert!(text.lines().all(|line| !line.starts_with(['#', ' ']) && !line.is_empty()), "{script:?}");
            // Room in the one argument that Linux limits to 128 KiB is no question; the length is what each job carries.
            assert!(text.len() < 8 << 10, "{script:?} has {} bytes", text.len());
        }
    }
}
