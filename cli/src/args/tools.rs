//! What only reads workflows, or is made of them.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};

/// `anneal graph`
#[derive(Debug, ClapArgs)]
pub struct Graph {
    /// A workflow file, or the name of a bundled workflow such as registry-install
    #[arg(value_name = "FILE|NAME")]
    pub workflow: String,
    /// How it is drawn; with --json it is data
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = GraphFormat::Text, conflicts_with = "json")]
    pub format: GraphFormat,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For a terminal
    Text,
    /// For Graphviz: `anneal graph FILE --format dot | dot -Tsvg`
    Dot,
    /// For Mermaid, in Markdown
    Mermaid,
}

/// `anneal explain`
#[derive(Debug, ClapArgs)]
pub struct Explain {
    /// The code
    #[arg(value_name = "CODE", value_parser = NonEmptyStringValueParser::new())]
    pub code: Option<String>,
    /// List all codes, a line each
    #[arg(long, conflicts_with = "code")]
    pub list: bool,
}

/// `anneal workflow …`
#[derive(Debug, Subcommand)]
pub enum WorkflowCommand {
    /// List the bundled workflows
    List,
    /// Show what a workflow takes, does and gives: a bundled one, or a file
    Show(ShowWorkflow),
    /// Write a bundled workflow and its scripts to a folder, to be changed there
    Export(Copy),
    /// Show what differs between a copy of a bundled workflow and the bundled one
    Diff(Diff),
}

/// `anneal workflow show`
#[derive(Debug, ClapArgs)]
pub struct ShowWorkflow {
    /// A workflow file, or the name of a bundled workflow such as registry-install
    #[arg(value_name = "FILE|NAME")]
    pub workflow: String,
    /// Its text as it is
    #[arg(long, conflicts_with = "json")]
    pub source: bool,
}

/// `anneal workflow export`
#[derive(Debug, ClapArgs)]
pub struct Copy {
    /// The bundled workflow
    pub name: String,
    /// Where to; made where it is not there
    pub folder: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
}

/// `anneal workflow diff`
#[derive(Debug, ClapArgs)]
pub struct Diff {
    /// The bundled workflow
    pub name: String,
    /// Where the copy is
    #[arg(default_value = ".")]
    pub folder: PathBuf,
}

/// `anneal exec`
#[derive(Debug, ClapArgs)]
pub struct Exec {
    /// A role of the inventory, or one of its hosts
    #[arg(value_name = "ROLE|HOST", value_parser = NonEmptyStringValueParser::new())]
    pub target: String,
    /// Hosts and roles, with secrets by reference; an inventory of Ansible's as it is, or an ssh configuration such as ~/.ssh/config
    #[arg(long, short, value_name = "INV")]
    pub inventory: PathBuf,
    /// The password of what ansible-vault has encrypted in the inventory, or a program that writes it
    #[arg(long, value_name = "FILE", env = "ANSIBLE_VAULT_PASSWORD_FILE")]
    pub vault_password_file: Option<PathBuf>,
    /// The program and its arguments: each reaches it as it is, no shell reads them
    #[arg(last = true, required = true, value_name = "PROGRAM [ARG]")]
    pub argv: Vec<String>,
    /// The user it runs as, by sudo [default: the login user]
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub as_user: Option<String>,
    /// How long it may take on a host
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = dsl::duration::parse)]
    pub timeout: u64,
    /// On how many hosts at once
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub parallel: u32,
    /// Accept and record the key of a host that is not known yet; a changed key is never accepted
    #[arg(long)]
    pub accept_new_host_keys: bool,
}
