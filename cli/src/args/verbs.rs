//! The command line of what is asked of one operation.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, ValueEnum};

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
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
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
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, requires = "operation")]
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
