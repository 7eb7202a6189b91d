//! Errors of the engine, for people: what happened, where, what to do.

use std::fmt;

/// An error.
#[derive(Debug)]
pub struct Error {
    /// What kind.
    pub kind: Kind,
    /// What happened and where; lower case, no secret.
    pub message: String,
    /// What a person can do.
    pub hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was asked for cannot be done as asked.
    Invalid,
    /// There is no such operation.
    NotFound,
    /// A prefix fits several operations.
    Ambiguous,
    /// A verb that is not legal now.
    Refused,
    /// What was read to ask this has changed since: read again, and ask again.
    Changed,
    /// The operation's journal or blobs are damaged (I11).
    Quarantined,
    /// A plan or journal that this engine is too old for.
    NeedsEngine,
    /// The store failed.
    Store,
    /// A bug of ours.
    Internal,
}

impl Error {
    /// An error without a cause beneath it.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), hint: None, source: None }
    }

    /// The same error for somebody else; the cause beneath it stays with the first.
    pub fn again(&self) -> Error {
        Error { kind: self.kind, message: self.message.clone(), hint: self.hint.clone(), source: None }
    }

    /// Adds what a person can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let hint = match error.kind() {
            store::ErrorKind::Io { .. } => Some("check the disk, and that the data folder may be read and written"),
            _ => error.hint(),
        };
        Error { hint: hint.map(str::to_owned), ..Error::new(Kind::Store, format!("the store: {error}{cause}")) }
            .source(error)
    }
}
