//! What is wrong with an inventory, and where.
//!
//! Invariant: no value of the file is in it, for any of them may be a password (I8).

use crate::report::Problem;

/// Line and column, from 1; the column is 0 where the whole line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl At {
    /// A whole line.
    pub fn line(line: usize) -> At {
        At { line, column: 0 }
    }
}

/// What is wrong in one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    /// Where; nowhere for what no file says.
    pub at: Option<At>,
    /// What.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Wrong {
    /// At a place.
    pub fn at(at: At, what: impl Into<String>) -> Wrong {
        Wrong { at: Some(at), what: what.into(), hint: None }
    }

    /// Of the whole.
    pub fn new(what: impl Into<String>) -> Wrong {
        Wrong { at: None, what: what.into(), hint: None }
    }

    /// Says what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Wrong {
        self.hint = Some(hint.into());
        self
    }

    /// At a place, unless it has one.
    pub fn within(mut self, at: At) -> Wrong {
        self.at = self.at.or(Some(at));
        self
    }

    /// As the command says it.
    pub fn in_file(self, name: &str) -> Problem {
        let place = match self.at {
            None => name.to_owned(),
            Some(At { line, column: 0 }) => format!("{name}:{line}"),
            Some(At { line, column }) => format!("{name}:{line}:{column}"),
        };
        let problem = Problem::usage(format!("{}\n --> {place}", self.what));
        match self.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}
