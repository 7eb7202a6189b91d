//! Checked expressions and templates, as a plan stores them.
//!
//! Only the compiler makes them, and it has already proved their types, so evaluation ([`mod@crate::eval`]) is total but for
//! arithmetic that overflows or divides by zero.

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// An expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    /// A literal.
    Literal(Value),
    /// `inputs.NAME`.
    Input(String),
    /// `steps.STEP.out.NAME`, of the step with this index; `None` where the step was skipped.
    Out {
        /// Index into [`crate::plan::Plan::steps`].
        step: usize,
        /// Name of the output.
        name: String,
    },
    /// `steps.STEP.state` as text: `succeeded`, `skipped`, `failed`, `not_reached`.
    StepState(usize),
    /// `steps.STEP.changed`: whether the step did something that was not so before.
    StepChanged(usize),
    /// An [`Expr::Out`], [`Expr::StepState`] or [`Expr::StepChanged`] of all nodes of its step, by key, also where the reader
    /// goes host by host with it: what a workflow read that was written out in another one.
    Everywhere(Box<Expr>),
    /// `host.PROPERTY` of the host that the node runs on.
    Host(HostProperty),
    /// `roles.ROLE.PROPERTY` of a role that has exactly one host.
    Role {
        /// Name of the role.
        role: String,
        /// What of it.
        property: HostProperty,
    },
    /// `operation.id`.
    OperationId,
    /// `operation.started_at`: when the operation was created, RFC 3339 in UTC.
    OperationStartedAt,
    /// `operation.state` in a step of `finally`: how everything else ended, `succeeded`, `failed`, `cancelled` or
    /// `rolled_back`.
    OperationState,
    /// `operation.failure` in a step of `finally`: why it did not succeed, as text; `None` where it did.
    OperationFailure,
    /// `each`: the element that the node is for.
    Each,
    /// `instance.PROPERTY`: of the record of an instance as it was when the operation was created.
    Instance {
        /// Index into [`crate::plan::Plan::instances`].
        of: usize,
        /// What of it.
        property: InstanceProperty,
    },
    /// `x.field` of a record; `None` where the record is absent.
    Field(Box<Expr>, String),
    /// `x['key']` of a map or `x[0]` of a list; `None` where there is no such element.
    Index(Box<Expr>, Box<Expr>),
    /// `!x` or `-x`.
    Unary(Unary, Box<Expr>),
    /// `a op b`.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `a ?? b`.
    Coalesce(Box<Expr>, Box<Expr>),
    /// `c ? a : b`.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `f(a, …)`.
    Call(Function, Vec<Expr>),
    /// `[a, …]`.
    List(Vec<Expr>),
}

/// What of a host an expression may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostProperty {
    /// The slot's name.
    Name,
    /// The address, resolved when a node starts (D7).
    Address,
    /// What the inventory says of it, a map of texts; known when the operation is created.
    Labels,
}

/// What of an instance an expression may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceProperty {
    /// Its name, a text.
    Name,
    /// Whether there is a record of it, a Bool.
    Exists,
    /// What it is, a text; `None` where there is no record.
    Kind,
    /// What is kept of it, a map of texts; empty where there is no record.
    Values,
    /// Its hosts: a map from roles to lists of texts; empty where there is no record.
    Members,
}

/// An operator with one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unary {
    /// `!`
    Not,
    /// `-`
    Negate,
}

/// An operator with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binary {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `+`, checked; joins texts too.
    Add,
    /// `-`, checked.
    Subtract,
    /// `*`, checked.
    Multiply,
    /// `/`, checked.
    Divide,
    /// `x in list`, and among the values of a map.
    In,
}

/// A pure function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// `len(text | list | map)`
    Len,
    /// `basename(text | file)`
    Basename,
    /// `starts_with(text, prefix)`
    StartsWith,
    /// `join(list | map, separator)`
    Join,
    /// `split(text, separator)`; an empty text has no parts
    Split,
    /// `sha256(text | file)`, lower-case hex
    Sha256,
    /// `json(x)`, without white space, fields and keys sorted
    Json,
    /// `seconds(duration)`, rounded down
    Seconds,
    /// `sum(list | map)`; in a plan the zero of its type is the second argument
    Sum,
    /// `min(list | map)`; `None` of an empty one
    Min,
    /// `max(list | map)`; `None` of an empty one
    Max,
    /// `count(list | map)` of Bools: how many are true
    Count,
    /// `any(list | map)` of Bools; false of an empty one
    Any,
    /// `all(list | map)` of Bools; true of an empty one
    All,
    /// `format(text, value, …)`: the values in its places `{}`
    Format,
}

/// A text with expressions in it: `"${{ host.address }}:${{ inputs.port }}"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// Whether a secret flows into it, by the static taint of its parts.
    pub secret: bool,
}

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// `${{ … }}`
    Expr(Expr),
}

impl Template {
    /// A template without expressions.
    pub fn literal(text: impl Into<String>) -> Template {
        Template { parts: vec![Part::Text(text.into())], secret: false }
    }
}
