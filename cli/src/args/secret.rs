//! The command line of `anneal secret`.

use std::path::PathBuf;

use clap::Subcommand;

/// `anneal secret …`
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Seal a secret, instead of the one of that name; it is asked for at the terminal
    Set {
        /// Its name: `a-z`, `0-9`, `.`, `_`, `-`
        #[arg(value_name = "NAME")]
        name: String,
        /// Take it from a file instead, `-` for standard input; one line end at its end is not part of it
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// List their names, when each was set, and about how long it is; never what it is
    List,
    /// Forget a secret; operations that use it have it sealed with them
    Remove {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Give a secret another name
    Rename {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The new one
        #[arg(value_name = "NEW")]
        to: String,
    },
}
