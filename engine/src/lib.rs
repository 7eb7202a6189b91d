//! The engine: operations, the hosts they work on, and the durable runner between the two.
//!
//! `operation` is the pure core; `runner` is the shell around it (dispatcher, executors, commits, recovery); `action` has
//! one file per action; `host` reaches machines. The core knows nothing of the others.

pub mod action;
mod date;
mod error;
pub mod host;
pub mod journal;
pub mod lasting;
pub mod limits;
pub mod operation;
mod plans;
pub mod preview;
mod redact;
pub mod runner;
pub mod survey;
pub mod trial;
mod vault;
pub mod view;
mod web;

pub use date::date;
pub use error::{Error, Kind};
pub use plans::Plans;
pub use redact::Redactor;
pub use runner::{Create, Engine, HostSpec, IfLocked, Options};
pub use vault::Vault;
