//! `~/.ssh/config` as OpenSSH reads it (ssh_config(5)), checked against what `ssh -G` says.
//!
//! A file is read into lines once (`line`). Asked for a host, `read` goes through them from top to bottom: `Host` and `Match` say
//! whether what follows is about it, `Include` goes through other files in between, and of each setting the first value counts.
//! `expand` then fills in what `~`, `%h` and `${NAME}` stand for.
//!
//! Invariants: nothing here reads a file, the environment or a clock – files come from [`Files`], the rest from [`Local`] – and nothing
//! is ever run: `Match exec` is an error. A key that has changed is accepted under no setting. What would change whom we trust or how
//! we get there, and is not known here, is named in a warning ([`keywords`]).

mod expand;
mod files;
mod jump;
mod keywords;
mod line;
mod matching;
mod names;
mod pattern;
mod read;
#[cfg(test)]
mod tests;
mod values;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use line::Line;

pub use expand::{AgentSetting, Expanded, command, expand};
pub use files::Disk;
pub use jump::{Jump, server, without_user};
pub use keywords::is_known;
pub use names::literal;
pub use read::{Asked, Root, read};
pub use values::{Proxy, Strict};

/// What reading asks of the file system.
pub trait Files {
    /// The lines of a file; nothing where it is not there. `checked` where it must belong to its user and nobody else may write it.
    /// The error says why it cannot be read.
    fn lines(&self, path: &Path, checked: bool) -> Result<Option<Rc<Vec<Line>>>, String>;

    /// The files that a pattern such as `/home/ann/.ssh/conf.d/*` names, in lexical order.
    fn matching(&self, pattern: &str) -> Result<Vec<PathBuf>, String>;
}

/// Who reads, and where.
#[derive(Debug, Clone)]
pub struct Local {
    /// The home folder.
    pub home: PathBuf,
    /// The user's name.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// The name of this machine.
    pub machine: String,
    /// The environment that `${NAME}` reads.
    pub env: fn(&str) -> Option<String>,
}
