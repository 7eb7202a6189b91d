//! The command line.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand};

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
    /// Print data as JSON (a running operation: one line of JSON for each event)
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check workflow files; no host is touched
    Check(Check),
    /// Try errors, repeats and crashes at each node of a workflow; no host is touched
    Test(Test),
    /// Run a workflow: a file, or the name of a bundled one
    Run(Run),
    /// List operations
    Ops,
    /// Show one operation
    Show(Show),
    /// Show what programs wrote
    Logs(Logs),
    /// Go on with an operation that was interrupted, failed or waits
    Resume(Resume),
}

/// `anneal check`
#[derive(Debug, ClapArgs)]
pub struct Check {
    /// Workflow files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `anneal test`
#[derive(Debug, ClapArgs)]
pub struct Test {
    /// A workflow file, or the name of a bundled workflow such as registry-install
    #[arg(value_name = "FILE|NAME")]
    pub workflow: String,
    /// An input, as for `run`; what must be given and is not has a model value. No `File` is opened
    #[arg(long = "input", value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// What a step puts out, instead of a model value
    #[arg(long = "out", value_name = "STEP.NAME=VALUE")]
    pub outs: Vec<String>,
    /// Model hosts of each role that may have several [default: its min, at least 2]
    #[arg(long, value_name = "N")]
    pub hosts: Option<usize>,
    /// Only this step, or this node of it
    #[arg(long, value_name = "STEP[@KEY]", value_parser = NonEmptyStringValueParser::new())]
    pub node: Option<String>,
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
}

/// `anneal show`
#[derive(Debug, ClapArgs)]
pub struct Show {
    /// The operation: its id, or a part of it that begins or ends it
    #[arg(value_name = "OP", value_parser = NonEmptyStringValueParser::new())]
    pub operation: String,
}

/// `anneal logs`
#[derive(Debug, ClapArgs)]
pub struct Logs {
    /// The operation: its id, or a part of it that begins or ends it
    #[arg(value_name = "OP", value_parser = NonEmptyStringValueParser::new())]
    pub operation: String,
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
    /// The operation: its id, or a part of it that begins or ends it
    #[arg(value_name = "OP", value_parser = NonEmptyStringValueParser::new())]
    pub operation: String,
    /// Run this node again, although nobody knows how its last attempt ended
    #[arg(long, value_name = "STEP[@HOST]")]
    pub rerun: Vec<String>,
    /// Take this node as done, although nobody knows how its last attempt ended
    #[arg(long, value_name = "STEP[@HOST]")]
    pub done: Vec<String>,
    /// Why; it is written into the journal
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}
