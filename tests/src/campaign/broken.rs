//! How a rule can be broken.

use std::fmt;

/// A rule that was broken, and where it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// Something that was acknowledged is gone.
    Lost(String),
    /// Something was done twice, or without a reason.
    Twice(String),
    /// It does not go on, crashes, or does not say what is wrong.
    Other(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Lost(why) => write!(f, "lost: {why}"),
            Broken::Twice(why) => write!(f, "run twice: {why}"),
            Broken::Other(why) => f.write_str(why),
        }
    }
}
