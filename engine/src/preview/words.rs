//! What a step would do, in words.

use crate::action::output::clean;
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
    /// It holds or it does not, by what is known.
    Asserts,
    /// It asks the host for its facts, which a preview does too.
    Facts,
    /// It tells somebody, or reads from somewhere else: not done in a preview, and nothing that follows depends on its effect.
    Tells,
}

impl Kind {
    /// Whether it may change something that others meet.
    pub(super) fn changes(self) -> bool {
        match self {
            Kind::Program | Kind::Files => true,
            Kind::Waits | Kind::Asks | Kind::Asserts | Kind::Facts | Kind::Tells => false,
        }
    }
}

/// The kind of a step's action.
pub(super) fn kind(step: &Step) -> Kind {
    match &step.action {
        Action::Http(request) if request.method.only_reads() => Kind::Tells,
        Action::Run { .. }
        | Action::Shell { .. }
        | Action::Script { .. }
        | Action::Restore
        | Action::Local { .. }
        | Action::Http(_)
        | Action::Download(_)
        | Action::Copy(_)
        | Action::Reboot { .. } => Kind::Program,
        Action::Notify(_) | Action::Record(_) | Action::Forget(_) => Kind::Tells,
        Action::Assert { .. } => Kind::Asserts,
        Action::Facts => Kind::Facts,
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
        Some(Work::Download(file)) => format!("bring {} here, to {}", file.from, file.to),
        Some(Work::Copy(file)) => format!("copy {} from {} to {}", file.from, file.source, file.to),
        Some(Work::Reboot) => "restart the host".to_owned(),
        Some(Work::Facts { .. }) => "ask the host for its facts".to_owned(),
        Some(Work::Assert(_)) => "assert".to_owned(),
        Some(Work::Http(http)) => format!("{} {}", http.method.word(), http.address.shown()),
        Some(Work::Webhook(webhook)) => format!("tell {}", webhook.address.shown()),
        Some(Work::Mail(mail)) => format!("mail {}", mail.to.join(", ")),
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
        Ready::Http { address, .. } => format!("{} to answer", address.shown()),
        Ready::Tls { address, port, name, .. } => format!("{address}:{port} to have a certificate for {name}"),
        Ready::Command(job) => match &job.program {
            Program::Argv(argv) => argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
            Program::Shell(_) | Program::Script { .. } => "a program".to_owned(),
        },
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
