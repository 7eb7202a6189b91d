//! The command line of `anneal store`.

use std::path::PathBuf;

use clap::Subcommand;

/// `anneal store …`
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Look at all that the store holds, and say what is wrong; nothing is changed
    Verify {
        /// A backup to look at instead
        #[arg(value_name = "BACKUP")]
        backup: Option<PathBuf>,
    },
    /// Copy the store to a new folder, while operations go on; keep it as safe as the store, it has the key of the secrets
    Backup {
        /// The folder; it must not exist yet
        #[arg(value_name = "DEST")]
        to: PathBuf,
    },
    /// Make the store of a backup, where there is none; it is held until `anneal store release`
    Restore {
        /// The backup's folder
        #[arg(value_name = "BACKUP")]
        backup: PathBuf,
    },
    /// Write what is live to fresh files and delete the old ones; the store does this by itself when it is worth it
    Compact,
    /// Look for what was begun on hosts since the backup that a store was restored from, record it, and let operations go on
    Release {
        /// Also where a host cannot be asked; operations on it are paused then
        #[arg(long)]
        force: bool,
        /// Only say what was found
        #[arg(long)]
        dry_run: bool,
    },
    /// Write everything but the secrets as lines of JSON
    Export {
        /// Where to [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Make the store of an exported file, where there is none; it is held until `anneal store release`
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}
