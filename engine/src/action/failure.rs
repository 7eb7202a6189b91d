//! From what a host says went wrong to the failure that the journal keeps.

use crate::host;
use crate::operation::{Failure, FailureClass};

/// The failure of an error. Its text holds no secret: a host's errors never do (I8).
pub fn of(error: &host::Error) -> Failure {
    let class = match error.kind {
        _ if error.is_connection() => FailureClass::Connection,
        _ if error.ended_it() => FailureClass::Timeout,
        _ => FailureClass::Other,
    };
    let (message, hint) = (error.to_string(), error.hint());
    // The journal keeps the two apart.
    let message = match hint.as_ref().and_then(|hint| message.strip_suffix(&format!("; {hint}"))) {
        Some(message) => message.to_owned(),
        None => message,
    };
    Failure { class, message, hint }
}

/// A failure that trying again will not mend by itself.
pub fn other(message: impl Into<String>) -> Failure {
    Failure { class: FailureClass::Other, message: message.into(), hint: None }
}
