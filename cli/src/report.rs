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

/// Why a command ends without doing what was asked. No secret is in it (I8).
#[derive(Debug)]
pub struct Problem {
    /// The exit code.
    pub code: u8,
    /// What happened and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// What was asked for makes no sense.
    pub fn usage(message: impl Into<String>) -> Problem {
        Problem { code: USAGE, message: message.into(), hint: None }
    }

    /// It did not work.
    pub fn failed(message: impl Into<String>) -> Problem {
        Problem { code: FAILED, message: message.into(), hint: None }
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }
}

impl From<engine::Error> for Problem {
    fn from(error: engine::Error) -> Problem {
        let code = match error.kind {
            engine::Kind::Invalid | engine::Kind::NotFound | engine::Kind::Ambiguous => USAGE,
            engine::Kind::Refused
            | engine::Kind::Quarantined
            | engine::Kind::NeedsEngine
            | engine::Kind::Store
            | engine::Kind::Internal => FAILED,
        };
        Problem { code, message: error.message, hint: error.hint }
    }
}

impl From<server::ClientError> for Problem {
    fn from(error: server::ClientError) -> Problem {
        match error {
            server::ClientError::Api(error) => {
                let usage = matches!(error.kind.as_str(), "invalid" | "not_found" | "ambiguous");
                Problem { code: if usage { USAGE } else { FAILED }, message: error.message, hint: error.hint }
            }
            protocol @ server::ClientError::Protocol(_) => Problem::failed(protocol.to_string())
                .hint("end that process, or use the version of Anneal that it is of"),
            gone @ server::ClientError::Gone(_) => Problem::failed(gone.to_string())
                .hint("the operation itself is safe: `anneal ops` shows it, `anneal resume` goes on with it"),
        }
    }
}

/// Says it on stderr.
pub fn error(problem: &Problem) {
    if problem.message.is_empty() {
        return; // Whoever read our output has seen enough.
    }
    say(&format!("error: {}", problem.message));
    if let Some(hint) = &problem.hint {
        say(&format!("  help: {hint}"));
    }
}

/// Talk: a line on stderr.
pub fn say(line: &str) {
    // Nobody reads it: then nobody misses it.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Data: a line on stdout.
pub fn put(line: &str) -> Result<(), Problem> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Ok(()) => Ok(()),
        // `anneal ops | head` is no error.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Err(Problem { code: OK, message: String::new(), hint: None })
        }
        Err(error) => Err(Problem::failed(format!("standard output cannot be written: {error}"))),
    }
}

/// Data as JSON.
pub fn put_json(value: &impl serde::Serialize) -> Result<(), Problem> {
    let text =
        serde_json::to_string(value).map_err(|error| Problem::failed(format!("JSON cannot be written: {error}")))?;
    put(&text)
}
