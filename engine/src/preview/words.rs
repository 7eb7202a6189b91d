//! What a step would do, in words.

use dsl::plan::{Action, Step};

use crate::host::{Job, Program};
use crate::runner::{Call, Ready, UploadSource, Work};

/// What a preview asks about an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A program: nothing but its probe tells what it would change.
    Program,
    /// Files, which can be compared.
    Files,
    /// It waits for something, and changes nothing.
    Waits,
    /// It asks a person, and changes nothing.
    Asks,
}

/// The kind of a step's action.
pub(super) fn kind(step: &Step) -> Kind {
    match &step.action {
        Action::Run { .. } | Action::Shell { .. } | Action::Script { .. } | Action::Restore => Kind::Program,
        Action::Upload { .. } | Action::WriteFiles { .. } | Action::PatchFile { .. } => Kind::Files,
        Action::Wait { .. } => Kind::Waits,
        Action::Gate { .. } => Kind::Asks,
    }
}

/// What a call would do.
pub(super) fn does(step: &Step, call: &Call) -> String {
    let work = match &call.work {
        None => return "nothing".to_owned(),
        Some(Work::Job(job)) => program(step, job),
        Some(Work::Upload { from: UploadSource::File(file), to, .. }) => format!("upload {} to {to}", file.path),
        Some(Work::Upload { from: UploadSource::Asset { .. }, to, .. }) => format!("upload to {to}"),
        Some(Work::Write(files)) => match files.as_slice() {
            [file] => format!("write {}", file.to),
            files => format!("write {} files", files.len()),
        },
        Some(Work::Patch(file)) => format!("patch {}", file.path),
        Some(Work::Wait { until, .. }) => format!("wait for {}", waited_for(until)),
    };
    match &call.as_user {
        Some(user) => format!("{work}, as {user}"),
        None => work,
    }
}

fn program(step: &Step, job: &Job) -> String {
    let words = |first: &str, arguments: &[String]| {
        let words = arguments.iter().map(|word| quoted(word));
        std::iter::once(first.to_owned()).filter(|first| !first.is_empty()).chain(words).collect::<Vec<_>>().join(" ")
    };
    match (&job.program, &step.action) {
        (Program::Argv(argv), _) => words("", argv),
        (Program::Shell(text), _) => format!("in a shell: {}", first_line(text)),
        (Program::Script { args, .. }, Action::Script { asset, .. }) => words(&format!("the script {asset}"), args),
        (Program::Script { args, .. }, _) => words("a script", args),
    }
}

/// What a wait waits for.
pub(super) fn waited_for(until: &Ready) -> String {
    match until {
        Ready::Ssh => "the host to accept our login".to_owned(),
        Ready::Tcp { address, port } => format!("{address}:{port} to accept"),
        Ready::Http { url, .. } => format!("{url} to answer"),
    }
}

fn first_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next()) {
        (Some(line), None) => clean(line),
        (Some(line), Some(_)) => format!("{} …", clean(line)),
        (None, _) => "nothing".to_owned(),
    }
}

/// A word as a shell would read it, on one line.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", clean(&word.replace('\'', "'\\''"))),
    }
}

/// The text without what would do something to a terminal: control characters as they are written in Rust.
pub(super) fn clean(text: &str) -> String {
    let harmless = |c: char| c == '\t' || !c.is_control();
    match text.chars().all(harmless) {
        true => text.to_owned(),
        false => text.chars().fold(String::with_capacity(text.len()), |mut clean, c| {
            if harmless(c) {
                clean.push(c)
            } else {
                clean.extend(c.escape_default())
            }
            clean
        }),
    }
}
