//! The command line.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Runs declarative workflows on hosts over SSH, and goes on where it was after whatever interrupted it.
#[derive(Debug, Parser)]
#[command(name = "anneal", version, propagate_version = true)]
pub struct Args {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, ClapArgs)]
pub struct Global {
    /// Folder of the store [default: $XDG_STATE_HOME/anneal, else ~/.local/state/anneal]
    #[arg(long, global = true, value_name = "FOLDER", env = "ANNEAL_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print data as JSON (a running operation: one line of JSON for each event), and an error too
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check workflow files; no host is touched
    Check(Check),
    /// Run a workflow: a file, or the name of a bundled one
    Run(Run),
    /// List operations
    Ops(Ops),
    /// Show one operation: how it stands, and what can be asked of it
    Show(Show),
    /// Show what programs wrote
    Logs(Logs),
    /// Go on with an operation that was interrupted, failed or waits; with all of them
    Resume(Resume),
    /// Try again what failed
    Retry(Going),
    /// Start nothing more; what runs may end
    Pause(Asked),
    /// Count steps as not needed; in a rollback, leave out an undo that failed
    Skip(Skip),
    /// Count steps as succeeded, because somebody did by hand what they do
    Mark(Mark),
    /// Open a gate: the operation goes on behind it
    Approve(Gate),
    /// Close a gate: its step fails
    Reject(GateNo),
    /// Stop an operation; it can be resumed or rolled back
    Cancel(Cancel),
    /// Undo what an operation did that has stopped
    Rollback(Going),
    /// Give up for good an operation that has stopped; nothing is undone
    Fail(Insisted),
    /// Abandon an operation as it is; what runs on hosts is neither ended nor watched any more
    Kill(Insisted),
    /// Hold the store, go on with every unfinished operation, and answer all other commands, until stopped
    Serve(Serve),
    /// Show a run again from its journal; nothing is run and no host is touched
    Replay(Replay),
    /// Write an operation to a file for a report of a fault: plan, journal and outputs, no secrets
    Export(Export),
    /// Look after the store
    #[command(subcommand)]
    Store(StoreCommand),
}

/// `anneal check`
#[derive(Debug, ClapArgs)]
pub struct Check {
    /// Workflow files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `anneal run`
#[derive(Debug, ClapArgs)]
pub struct Run {
    /// A workflow file, or the name of a bundled workflow such as registry-install
    #[arg(value_name = "FILE|NAME")]
    pub workflow: String,
    /// Hosts, roles and inputs, with secrets by reference
    #[arg(long, short, value_name = "INV.ron")]
    pub inventory: Option<PathBuf>,
    /// An input; `name.field=…` for a field of a record, `name=@FILE` to read a text from a file. Never a secret
    #[arg(long = "input", value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// A host for a role: `registry=ubuntu@192.0.2.10`, with `:PORT` where it is not 22, or `registry=local`
    #[arg(long = "host", value_name = "ROLE=[USER@]ADDR[:PORT]")]
    pub hosts: Vec<String>,
    /// Ask for the SSH password of the hosts given by --host
    #[arg(long)]
    pub ask_password: bool,
    /// Accept and record the key of a host that is not known yet; a changed key is never accepted
    #[arg(long)]
    pub accept_new_host_keys: bool,
    /// Where another operation holds one of its locks, wait for it instead of refusing
    #[arg(long)]
    pub queue: bool,
    /// Return at once; the process that holds the store goes on with it (`anneal serve`)
    #[arg(long)]
    pub detach: bool,
}

/// An operation.
#[derive(Debug, ClapArgs)]
pub struct Op {
    /// The operation: its id, or a part of it that begins or ends it
    #[arg(value_name = "OP", value_parser = NonEmptyStringValueParser::new())]
    pub operation: String,
}

/// Why, for the journal.
#[derive(Debug, ClapArgs)]
pub struct Why {
    /// Why; it is written into the journal
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// Why, where that must be said.
#[derive(Debug, ClapArgs)]
pub struct MustSayWhy {
    /// Why; it is written into the journal
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub reason: String,
}

/// Whether it is watched.
#[derive(Debug, ClapArgs)]
pub struct Detach {
    /// Return at once; the process that holds the store goes on with it (`anneal serve`)
    #[arg(long)]
    pub detach: bool,
}

/// `anneal ops`
#[derive(Debug, ClapArgs)]
pub struct Ops {
    /// Only those that have not ended for good
    #[arg(long)]
    pub open: bool,
}

/// `anneal show`
#[derive(Debug, ClapArgs)]
pub struct Show {
    /// Which.
    #[command(flatten)]
    pub op: Op,
}

/// `anneal logs`
#[derive(Debug, ClapArgs)]
pub struct Logs {
    /// Which.
    #[command(flatten)]
    pub op: Op,
    /// A step, or one node of it: `step@host`
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    /// Go on showing what is written until the operation rests
    #[arg(long, short)]
    pub follow: bool,
}

/// `anneal resume`
#[derive(Debug, ClapArgs)]
pub struct Resume {
    /// The operation: its id, or a part of it that begins or ends it [default: --all]
    #[arg(value_name = "OP", value_parser = NonEmptyStringValueParser::new())]
    pub operation: Option<String>,
    /// Go on with every unfinished operation that goes on by itself
    #[arg(long, conflicts_with_all = ["operation", "from", "rerun", "done", "reason"])]
    pub all: bool,
    /// Run this step again, and all that depends on it, whatever became of them
    #[arg(long, value_name = "STEP[@KEY]", requires = "operation", conflicts_with_all = ["rerun", "done"])]
    pub from: Vec<String>,
    /// Run this node again, although nobody knows how its last attempt ended
    #[arg(long, value_name = "STEP[@KEY]", requires = "operation")]
    pub rerun: Vec<String>,
    /// Take this node as done, although nobody knows how its last attempt ended
    #[arg(long, value_name = "STEP[@KEY]", requires = "operation")]
    pub done: Vec<String>,
    /// Why; it is written into the journal
    #[arg(long, value_name = "TEXT", default_value = "", requires = "operation")]
    pub reason: String,
    /// Whether it is watched.
    #[command(flatten)]
    pub detach: Detach,
}

/// A verb that needs no more than the operation, and sets it going.
#[derive(Debug, ClapArgs)]
pub struct Going {
    /// Which.
    #[command(flatten)]
    pub op: Op,
    /// Why.
    #[command(flatten)]
    pub why: Why,
    /// Whether it is watched.
    #[command(flatten)]
    pub detach: Detach,
}

/// A verb that needs no more than the operation.
#[derive(Debug, ClapArgs)]
pub struct Asked {
    /// Which.
    #[command(flatten)]
    pub op: Op,
    /// Why.
    #[command(flatten)]
    pub why: Why,
}

/// A verb that needs the operation and a reason.
#[derive(Debug, ClapArgs)]
pub struct Insisted {
    /// Which.
    #[command(flatten)]
    pub op: Op,
    /// Why.
    #[command(flatten)]
    pub why: MustSayWhy,
}

/// `anneal skip`
#[derive(Debug, ClapArgs)]
pub struct Skip {
    /// Which.
    #[command(flatten)]
    pub op: Op,
    /// Steps, or single nodes of them
    #[arg(value_name = "STEP[@KEY]", required = true)]
    pub steps: Vec<String>,
    /// Why.
    #[command(flatten)]
    pub why: MustSayWhy,
}

/// `anneal mark`
#[derive(Debug, ClapArgs)]
pub struct Mark {
    /// Which.
    #[command(flatten)]
    pub op: Op,
    /// A step, or one node of it
    #[arg(value_name = "STEP[@KEY]")]
    pub step: String,
    /// As what
    #[arg(value_enum, value_name = "AS")]
    pub mark_as: MarkAs,
    /// What it put out, for later steps to read
    #[arg(long, value_name = "NAME=VALUE")]
    pub out: Vec<String>,
    /// Why.
    #[command(flatten)]
    pub why: MustSayWhy,
}

/// As what a step can be marked.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MarkAs {
    /// Its effect is there
    Succeeded,
}

/// `anneal approve`
#[derive(Debug, ClapArgs)]
pub struct Gate {
    /// Which.
    #[command(flatten)]
    pub op: Op,
    /// The gate's step; may be left out where one is open
    #[arg(value_name = "STEP[@KEY]")]
    pub step: Option<String>,
    /// Why.
    #[command(flatten)]
    pub why: Why,
    /// Whether it is watched.
    #[command(flatten)]
    pub detach: Detach,
}

/// `anneal reject`
#[derive(Debug, ClapArgs)]
pub struct GateNo {
    /// Which.
    #[command(flatten)]
    pub op: Op,
    /// The gate's step; may be left out where one is open
    #[arg(value_name = "STEP[@KEY]")]
    pub step: Option<String>,
    /// Why.
    #[command(flatten)]
    pub why: MustSayWhy,
}

/// `anneal cancel`
#[derive(Debug, ClapArgs)]
pub struct Cancel {
    /// Which.
    #[command(flatten)]
    pub op: Op,
    /// Kill what runs instead of letting it end
    #[arg(long)]
    pub now: bool,
    /// When it has stopped, undo what it did
    #[arg(long, conflicts_with = "detach")]
    pub rollback: bool,
    /// Why.
    #[command(flatten)]
    pub why: Why,
    /// Whether it is watched.
    #[command(flatten)]
    pub detach: Detach,
}

/// `anneal serve`
#[derive(Debug, ClapArgs)]
pub struct Serve {
    /// How its log is written to standard error; how much of it says ANNEAL_LOG, such as `debug`
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// `anneal replay`
#[derive(Debug, ClapArgs)]
pub struct Replay {
    /// The operation, or a file that `anneal export` wrote
    #[arg(value_name = "OP|FILE", value_parser = NonEmptyStringValueParser::new())]
    pub what: String,
    /// As it happened, this many times as fast [default: all at once]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), conflicts_with = "step")]
    pub speed: Option<u32>,
    /// One line each time Enter is pressed
    #[arg(long)]
    pub step: bool,
}

/// `anneal export`
#[derive(Debug, ClapArgs)]
pub struct Export {
    /// Which.
    #[command(flatten)]
    pub op: Op,
    /// Where to [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace addresses and names of users, the same one always by the same word
    #[arg(long)]
    pub anonymous: bool,
}

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
