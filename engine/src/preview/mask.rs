//! Which lines of a file a secret flows into: it is rendered again, twice, with other texts in the place of secrets. A line that
//! is not the same each time depends on a secret.
//!
//! What is replaced is not the secret but the whole value of every expression that looked at one, so `${{ inputs.token == 'x' ?
//! 'yes' : 'no' }}` is replaced too. Only a template's own tags (`{% if token == 'x' %}`) may come to the same by chance.

use std::cell::Cell;

use dsl::eval::{Scope, eval};
use dsl::expr::{Expr, HostProperty, InstanceProperty, Part, Template};
use dsl::plan::{Action, Datum, FileContent, FileSpec, Patch, ReplaceLine};
use dsl::value::{SecretRef, Value};

use super::course::{Course, Files};
use super::scope::Noting;
use crate::action::patch;
use crate::host::JobId;
use crate::operation::Node;
use crate::runner::Renderer;

/// Texts that stand in the place of secrets: of different lengths, with nothing in common.
const INSTEAD: [&str; 2] = ["anneal-4f", "ZQ.10_instead"];

/// A file rendered with other texts in the place of its secrets.
pub(super) enum Shade<T> {
    /// There is no secret in it.
    Public,
    /// Rendered twice.
    Twice([T; 2]),
    /// It cannot be rendered with other texts.
    Dark,
}

/// What a node's files are with other texts in the place of secrets.
#[derive(Default)]
pub(super) struct Shades {
    /// Of the files that are written, in their order.
    pub written: Vec<Shade<String>>,
    /// Of what a file is patched with.
    pub patch: Option<Shade<patch::Patch>>,
}

impl Shades {
    pub fn of(course: &Course, node: &Node, files: &Files) -> Shades {
        let operation = course.operation();
        let (plan, step) = (&operation.plan, operation.step_of(node));
        let scope = Noting::new(course, Some(node));
        let job = JobId { operation: operation.id, node: String::new(), attempt: 1 };
        let renderer = Renderer { scope: &scope, operation, plan, node, step, assets: files, job };
        let patch = match &step.action {
            Action::PatchFile { patch, .. } if patch.is_secret() => {
                Some(twice(|with| renderer.patch(&masked_patch(patch, &scope, with)).ok()))
            }
            _ => None,
        };
        let written = step.action.files().iter().map(|file| match file.content.is_secret() {
            false => Shade::Public,
            true => twice(|with| {
                let content = masked_content(&file.content, &scope, with);
                let file = renderer.file(&FileSpec { content, ..file.clone() }).ok()?;
                Some(file.content.expose().to_owned())
            }),
        });
        Shades { written: written.collect(), patch }
    }
}

fn twice<T>(render: impl Fn(&str) -> Option<T>) -> Shade<T> {
    match INSTEAD.map(render) {
        [Some(one), Some(other)] => Shade::Twice([one, other]),
        _ => Shade::Dark,
    }
}

fn masked_content(content: &FileContent, scope: &dyn Scope, with: &str) -> FileContent {
    match content {
        FileContent::Text(text) => FileContent::Text(masked_text(text, scope, with)),
        FileContent::Jinja { asset, vars } => {
            FileContent::Jinja { asset: asset.clone(), vars: masked_entries(vars, scope, with) }
        }
    }
}

fn masked_patch(patch: &Patch, scope: &dyn Scope, with: &str) -> Patch {
    let texts = |texts: &[Template]| texts.iter().map(|text| masked_text(text, scope, with)).collect();
    match patch {
        Patch::Json { merge } => Patch::Json { merge: masked_entries(merge, scope, with) },
        Patch::Toml { merge } => Patch::Toml { merge: masked_entries(merge, scope, with) },
        Patch::Yaml { merge } => Patch::Yaml { merge: masked_entries(merge, scope, with) },
        Patch::Lines { ensure, absent, replace } => Patch::Lines {
            ensure: texts(ensure),
            absent: texts(absent),
            replace: replace
                .iter()
                .map(|line| ReplaceLine { with: masked_text(&line.with, scope, with), ..line.clone() })
                .collect(),
        },
    }
}

fn masked_entries(entries: &[(String, Datum)], scope: &dyn Scope, with: &str) -> Vec<(String, Datum)> {
    entries.iter().map(|(name, datum)| (name.clone(), masked_datum(datum, scope, with))).collect()
}

fn masked_datum(datum: &Datum, scope: &dyn Scope, with: &str) -> Datum {
    match datum {
        Datum::Null | Datum::Bool(_) | Datum::Int(_) | Datum::Float(_) | Datum::Value { secret: false, .. } => {
            datum.clone()
        }
        Datum::Text(text) => Datum::Text(masked_text(text, scope, with)),
        Datum::Value { expr, secret: true } => {
            Datum::Value { expr: Expr::Literal(masked_value(expr, scope, with)), secret: false }
        }
        Datum::List(list) => Datum::List(list.iter().map(|datum| masked_datum(datum, scope, with)).collect()),
        Datum::Map(map) => Datum::Map(masked_entries(map, scope, with)),
    }
}

fn masked_text(text: &Template, scope: &dyn Scope, with: &str) -> Template {
    let part = |part: &Part| match part {
        Part::Text(text) => Part::Text(text.clone()),
        Part::Expr(expr) if text.secret => Part::Expr(Expr::Literal(masked_value(expr, scope, with))),
        Part::Expr(expr) => Part::Expr(expr.clone()),
    };
    Template { parts: text.parts.iter().map(part).collect(), secret: text.secret }
}

/// What an expression gives, with another text in the place of each secret; all of it, where a secret's text was looked at.
fn masked_value(expr: &Expr, scope: &dyn Scope, with: &str) -> Value {
    let watching = Watching { scope, looked: Cell::new(false) };
    match eval(expr, &watching) {
        Ok(value) if !watching.looked.get() => instead(value, with),
        Ok(_) | Err(_) => Value::Text(with.to_owned()),
    }
}

fn instead(value: Value, with: &str) -> Value {
    match value {
        Value::Secret(_) => Value::Text(with.to_owned()),
        Value::List(list) => Value::List(list.into_iter().map(|value| instead(value, with)).collect()),
        Value::Record(fields) => {
            Value::Record(fields.into_iter().map(|(name, value)| (name, instead(value, with))).collect())
        }
        Value::None
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::DurationMs(_)
        | Value::File(_) => value,
    }
}

/// A scope that notices when the text of a secret is looked at.
struct Watching<'a> {
    scope: &'a dyn Scope,
    looked: Cell<bool>,
}

impl Scope for Watching<'_> {
    fn input(&self, name: &str) -> Value {
        self.scope.input(name)
    }
    fn out(&self, step: usize, name: &str) -> Value {
        self.scope.out(step, name)
    }
    fn step_state(&self, step: usize) -> Value {
        self.scope.step_state(step)
    }
    fn step_changed(&self, step: usize) -> Value {
        self.scope.step_changed(step)
    }
    fn everywhere(&self, of: &Expr) -> Value {
        self.scope.everywhere(of)
    }
    fn host(&self, property: HostProperty) -> Value {
        self.scope.host(property)
    }
    fn role(&self, role: &str, property: HostProperty) -> Value {
        self.scope.role(role, property)
    }
    fn operation_id(&self) -> Value {
        self.scope.operation_id()
    }
    fn operation_started_at(&self) -> Value {
        self.scope.operation_started_at()
    }
    fn operation_state(&self) -> Value {
        self.scope.operation_state()
    }
    fn operation_failure(&self) -> Value {
        self.scope.operation_failure()
    }
    fn each(&self) -> Value {
        self.scope.each()
    }
    fn instance(&self, of: usize, property: InstanceProperty) -> Value {
        self.scope.instance(of, property)
    }
    fn secret(&self, name: &SecretRef) -> Option<String> {
        self.looked.set(true);
        self.scope.secret(name)
    }
}
