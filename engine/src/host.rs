//! Hosts: how a command, a file or a question reaches a machine, over SSH or here.
//!
//! Nouns: a [`Host`] is one slot in one generation; a [`Job`] is one attempt of a node as the machine sees it; a
//! [`JobEnd`] is what came of it. A command does not live in its SSH channel, so a dropped connection or a killed engine
//! does not kill it, and [`Host::reattach`] finds it again (DESIGN, "Remote jobs: the contract").
//!
//! The way of a job: [`Host::run`] asks for a constant shell script on a channel (`handle`, `exec`, `local`,
//! `ssh_connection`), passes sudo (`begin`) and gives it its orders on standard input (`job_script`). The script
//! (`shell/`) claims the attempt, runs it with its output in files, records the exit code, and brings both (`job_wire`).
//!
//! Invariants: exit codes are the only truth about how a program ended; what it wrote decides nothing here. A name that
//! is claimed on the host is never run twice (I4). No secret is in an argument list, in a file that stays, or in an
//! error (I8).

mod begin;
mod content;
mod copy;
mod download;
mod error;
mod exec;
mod facts;
mod forward;
mod give;
mod handle;
mod hops;
mod host_certificate;
mod host_key;
mod idle;
mod inspect;
mod job_script;
mod job_wire;
mod jobs;
mod kill;
mod known_hosts;
mod known_hosts_line;
pub mod limits;
mod link;
mod live;
mod local;
mod output;
mod proxy_command;
mod read;
mod restarted;
mod run;
mod session;
mod sessions;
mod shown_keys;
mod spec;
mod ssh_agent;
mod ssh_connection;
mod ssh_key_file;
mod ssh_login;
mod ssh_questions;
mod ssh_sign;
mod taken;
mod upload;

pub use content::{Content, OnHost};
pub use copy::Copy;
pub use download::{Download, remove_part};
pub use error::{Advice, Error, ErrorKind};
pub use handle::Host;
pub use hops::Hops;
pub use inspect::{Inspected, There};
pub use jobs::Begun;
pub use known_hosts::{KeyStanding, KnownHosts};
pub use known_hosts_line::matches as matches_pattern;
pub use live::{Live, Progress};
pub use read::FileContent;
pub use restarted::Restarted;
pub use shown_keys::ShownKey;
pub use spec::*;
