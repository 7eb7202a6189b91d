//! The workflow language: sources → [`Workflow`] → [`plan::Plan`], with diagnostics. No I/O, no clock, no async, no host.
//!
//! [`check`] reads a source and finds all that is wrong with it; [`Workflow::compile`] makes a plan of it for given values
//! and hosts; [`eval::eval`] and [`eval::render`] compute what a plan's expressions give, where the engine needs them.

pub mod data;
pub mod duration;
pub mod eval;
pub mod expr;
pub mod host_facts;
pub mod jinja;
pub mod json;
pub mod limits;
pub mod outline;
pub mod plan;
pub mod types;
pub mod value;

mod admission;
mod assets;
mod calls;
mod code;
mod compile;
mod declared;
mod diagnostic;
mod environment;
mod excerpt;
mod expression;
mod fixed;
mod format;
mod given;
mod graph;
mod image;
mod inline;
mod kind;
mod lets;
mod lower;
mod model;
mod nearest;
mod read;
mod roles;
mod source;
mod stored;
mod syntax;
mod typing;
mod validate;
mod words;
mod workflow;

pub use code::{Code, CodeInfo, codes, explain};
pub use compile::Compiled;
pub use declared::RoleKind;
pub use diagnostic::{Diagnostic, Inside, Label, Severity};
pub use eval::{eval, render};
pub use given::{Given, GivenValue, Origin, SecretText, Secrets};
pub use kind::parse_text;
pub use lower::steps_read;
pub use model::model_value;
pub use nearest::nearest;
pub use read::{FileValue, ValueSource, read_inputs};
pub use source::{Called, Files, Source};
pub use stored::PlanError;
pub use syntax::is_workflow;
pub use workflow::{Checked, InputInfo, RoleInfo, Workflow, check};
