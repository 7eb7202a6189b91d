//! The command line.

mod hosts;
mod secret;
mod store;
mod tools;
mod verbs;

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub use hosts::{Check as CheckHosts, Facts, HostsCommand, Trust, Which};
pub use secret::SecretCommand;
pub use store::StoreCommand;
pub use tools::{Copy, Diff, Exec, Explain, Graph, GraphFormat, ShowWorkflow, WorkflowCommand};
pub use verbs::{Asked, Cancel, Gate, GateNo, Going, Insisted, Mark, MarkAs, Op, Resume, Skip};

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
    #[arg(long, global = true, value_name = "FOLDER", env = "ANNEAL_DATA_DIR", display_order = 900)]
    pub data_dir: Option<PathBuf>,
    /// Print data as JSON (a running operation: one line of JSON for each event), and an error too
    #[arg(long, global = true, display_order = 901)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check workflow files; no host is touched
    Check(Check),
    /// Show the steps of a workflow and what waits for what; no host is touched
    Graph(Graph),
    /// Explain the code of a message, such as A0107; without one, list them all
    Explain(Explain),
    /// Show the bundled workflows, copy one out, see what a new release changed in it
    #[command(subcommand)]
    Workflow(WorkflowCommand),
    /// Try errors, repeats and crashes at each node of a workflow; no host is touched
    Test(Test),
    /// Show what a run would do, host by host; hosts are asked, and nothing is changed
    Plan(Plan),
    /// Run a workflow: a file, or the name of a bundled one
    Run(Run),
    /// Run one command on all hosts of a role at once; an operation like any other
    Exec(Exec),
    /// Look at the hosts of an inventory: how they are reached, whether they can be used, what they say, their keys
    #[command(subcommand)]
    Hosts(HostsCommand),
    /// List operations; forget those that have ended
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
    /// Seal secrets in the store, for inventories and inputs to refer to
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Look after the store
    #[command(subcommand)]
    Store(StoreCommand),
}

/// `anneal check`
#[derive(Debug, ClapArgs)]
pub struct Check {
    /// Workflow files; of a folder, all the workflows in it and below it
    #[arg(required = true, value_name = "FILE|FOLDER")]
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

/// What a workflow is run with.
#[derive(Debug, ClapArgs)]
pub struct With {
    /// A workflow file, or the name of a bundled workflow such as registry-install
    #[arg(value_name = "FILE|NAME")]
    pub workflow: String,
    /// Hosts, roles and inputs, with secrets by reference; an inventory of Ansible's as it is, or an ssh configuration such as ~/.ssh/config
    #[arg(long, short, value_name = "INV")]
    pub inventory: Option<PathBuf>,
    /// The password of what ansible-vault has encrypted in the inventory, or a program that writes it
    #[arg(long, value_name = "FILE", env = "ANSIBLE_VAULT_PASSWORD_FILE")]
    pub vault_password_file: Option<PathBuf>,
    /// An input; `name.field=…` for a field of a record or a map, `name=@FILE` to read a text from a file. Never a secret
    #[arg(long = "input", value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// A file of inputs: { "port": 5001, "token": From(Env("TOKEN")) }. --input counts more, the inventory less
    #[arg(long = "inputs", value_name = "FILE.ron")]
    pub inputs_files: Vec<PathBuf>,
    /// A host for a role: `registry=ubuntu@192.0.2.10`, with `:PORT` where it is not 22, a name of ~/.ssh/config, or `registry=local`
    #[arg(long = "host", value_name = "ROLE=[USER@]ADDR[:PORT]")]
    pub hosts: Vec<String>,
    /// Only these hosts, of all roles or of one; a host that is not named is not touched
    #[arg(long, value_name = "[ROLE=]HOST,...")]
    pub limit: Vec<String>,
    /// Ask for the SSH password of the hosts given by --host
    #[arg(long)]
    pub ask_password: bool,
    /// Accept and record the key of a host that is not known yet; a changed key is never accepted
    #[arg(long)]
    pub accept_new_host_keys: bool,
}

/// `anneal run`
#[derive(Debug, ClapArgs)]
pub struct Run {
    /// With what.
    #[command(flatten)]
    pub with: With,
    /// Where another operation holds one of its locks, wait for it instead of refusing
    #[arg(long)]
    pub queue: bool,
    /// Return at once; the process that holds the store goes on with it (`anneal serve`)
    #[arg(long)]
    pub detach: bool,
}

/// `anneal plan`
#[derive(Debug, ClapArgs)]
pub struct Plan {
    /// With what.
    #[command(flatten)]
    pub with: With,
}

/// `anneal ops`
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Ops {
    /// Only those that have not ended for good
    #[arg(long)]
    pub open: bool,
    /// Instead of listing.
    #[command(subcommand)]
    pub command: Option<OpsCommand>,
}

/// `anneal ops …`
#[derive(Debug, Subcommand)]
pub enum OpsCommand {
    /// Forget operations that have ended for good, and what nothing refers to any more
    Prune(Prune),
}

/// `anneal ops prune`
#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true).args(["keep", "older_than", "quarantined"]))]
pub struct Prune {
    /// With --quarantined: the operation, by any part of its id that is its alone
    #[arg(value_name = "OP", value_parser = NonEmptyStringValueParser::new(), requires = "quarantined")]
    pub operation: Option<String>,
    /// Keep so many of those that have ended, the newest
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Keep those that ended less than this ago, such as 30d
    #[arg(long, value_name = "AGE", value_parser = dsl::duration::parse)]
    pub older_than: Option<u64>,
    /// Forget one that cannot be read any more, and free its locks; look at its hosts first
    #[arg(long, requires = "operation", conflicts_with_all = ["keep", "older_than"])]
    pub quarantined: bool,
    /// Only say what would go
    #[arg(long)]
    pub dry_run: bool,
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
