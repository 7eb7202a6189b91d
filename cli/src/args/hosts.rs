//! The command line of `anneal hosts`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, Subcommand};

/// `anneal hosts …`
#[derive(Debug, Subcommand)]
pub enum HostsCommand {
    /// Show the hosts of an inventory: how each is reached, its roles and labels; no host is touched
    List(Which),
    /// Connect to hosts and say how each can be used; nothing is changed
    Check(Check),
    /// Show what hosts say of themselves: the facts that workflows read
    Facts(Facts),
    /// Show the keys that hosts show, and record them as theirs
    Trust(Trust),
}

/// Hosts of an inventory.
#[derive(Debug, ClapArgs)]
pub struct Which {
    /// Roles of the inventory, or hosts of it [default: all]
    #[arg(value_name = "ROLE|HOST", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// Hosts and roles, with secrets by reference; an inventory of Ansible's as it is, or an ssh configuration such as ~/.ssh/config
    #[arg(long, short, value_name = "INV")]
    pub inventory: PathBuf,
    /// The password of what ansible-vault has encrypted in the inventory, or a program that writes it
    #[arg(long, value_name = "FILE", env = "ANSIBLE_VAULT_PASSWORD_FILE")]
    pub vault_password_file: Option<PathBuf>,
}

/// How hosts are asked.
#[derive(Debug, ClapArgs)]
pub struct How {
    /// How many hosts are asked at once
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub parallel: u32,
}

/// `anneal hosts check`
#[derive(Debug, ClapArgs)]
pub struct Check {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// The user that sudo is asked about
    #[arg(long, value_name = "USER", default_value = "root", value_parser = NonEmptyStringValueParser::new())]
    pub as_user: String,
    /// Accept and record the key of a host that is not known yet; a changed key is never accepted
    #[arg(long)]
    pub accept_new_host_keys: bool,
    /// How.
    #[command(flatten)]
    pub how: How,
}

/// `anneal hosts facts`
#[derive(Debug, ClapArgs)]
pub struct Facts {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// Accept and record the key of a host that is not known yet; a changed key is never accepted
    #[arg(long)]
    pub accept_new_host_keys: bool,
    /// How.
    #[command(flatten)]
    pub how: How,
}

/// `anneal hosts trust`
#[derive(Debug, ClapArgs)]
pub struct Trust {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// Record what is shown without asking: only where nobody can be in between
    #[arg(long, conflicts_with = "fingerprint")]
    pub yes: bool,
    /// Record, without asking, the keys that have this fingerprint, and no others
    #[arg(long, value_name = "SHA256:…")]
    pub fingerprint: Vec<String>,
    /// Also where a host is known by another key, which is forgotten then
    #[arg(long)]
    pub replace: bool,
    /// Forget the keys that were recorded, and connect to nobody
    #[arg(long, conflicts_with_all = ["yes", "fingerprint", "replace"])]
    pub forget: bool,
    /// How.
    #[command(flatten)]
    pub how: How,
}
