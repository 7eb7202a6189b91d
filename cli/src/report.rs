//! How the command ends and what it says when it cannot do what was asked: what happened, where, what to do.

use std::io::Write;

/// Completed.
pub const OK: u8 = 0;
/// Failed.
pub const FAILED: u8 = 1;
/// Usage, or an invalid workflow.
pub const USAGE: u8 = 2;
/// Detached or paused: it can go on.
pub const RESTS: u8 = 3;
/// `anneal plan`: a run would do something, or may.
pub const MAY_DO: u8 = 4;

/// Why a command ends without doing what was asked. No secret is in it (I8).
#[derive(Debug)]
pub struct Problem {
    /// The exit code.
    pub code: u8,
    /// What kind, for programs: `usage`, `failed`, or as the API calls it (`invalid`, `not_found`, `refused` …).
    pub kind: String,
    /// What happened and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// What was asked for makes no sense.
    pub fn usage(message: impl Into<String>) -> Problem {
        Problem { code: USAGE, kind: "usage".to_owned(), message: message.into(), hint: None }
    }

    /// It did not work.
    pub fn failed(message: impl Into<String>) -> Problem {
        Problem { code: FAILED, kind: "failed".to_owned(), message: message.into(), hint: None }
    }

    /// Whoever read our output has seen enough: the end, and no error.
    pub fn unread() -> Problem {
        Problem { code: OK, kind: String::new(), message: String::new(), hint: None }
    }

    /// An error with a kind of the API's.
    fn of_kind(kind: &str, message: String, hint: Option<String>) -> Problem {
        let usage = matches!(kind, "invalid" | "not_found" | "ambiguous");
        Problem { code: if usage { USAGE } else { FAILED }, kind: kind.to_owned(), message, hint }
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }
}

impl From<engine::Error> for Problem {
    fn from(error: engine::Error) -> Problem {
        Problem::of_kind(server::kind_word(error.kind), error.message, error.hint)
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Problem {
        Problem::from(engine::Error::from(error))
    }
}

impl From<server::ClientError> for Problem {
    fn from(error: server::ClientError) -> Problem {
        match error {
            server::ClientError::Api(error) => Problem::of_kind(&error.kind, error.message, error.hint),
            protocol @ server::ClientError::Protocol(_) => Problem::failed(protocol.to_string())
                .hint("end that process, or use the version of Anneal that it is of"),
            gone @ server::ClientError::Gone(_) => Problem::failed(gone.to_string())
                .hint("the operation itself is safe: `anneal ops` shows it, `anneal resume` goes on with it"),
        }
    }
}

/// Says it on stderr; as JSON it is one line, the last of stderr.
pub fn error(problem: &Problem, json: bool) {
    if problem.message.is_empty() {
        return; // Whoever read our output has seen enough.
    }
    if json {
        let Problem { kind, message, hint, .. } = problem;
        say(&serde_json::json!({ "error": { "kind": kind, "message": message, "hint": hint } }).to_string());
        return;
    }
    say(&format!("error: {}", problem.message));
    if let Some(hint) = &problem.hint {
        say(&format!("  help: {hint}"));
    }
}

/// Talk: a line on stderr.
pub fn say(line: &str) {
    // In one piece, for stderr writes each as it comes. Nobody reads it: then nobody misses it.
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Data: a line on stdout.
pub fn put(line: &str) -> Result<(), Problem> {
    put_text(&format!("{line}\n"))
}

/// Data: a text on stdout as it is.
pub fn put_text(text: &str) -> Result<(), Problem> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        // `anneal ops | head` is no error.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Problem::unread()),
        Err(error) => Err(Problem::failed(format!("standard output cannot be written: {error}"))),
    }
}

/// Data as JSON.
pub fn put_json(value: &impl serde::Serialize) -> Result<(), Problem> {
    let text =
        serde_json::to_string(value).map_err(|error| Problem::failed(format!("JSON cannot be written: {error}")))?;
    put(&text)
}
