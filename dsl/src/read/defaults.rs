//! `defaults: (…)` of a workflow and of a group: what a step has where it says nothing else.
//!
//! A default is read in each step as if it stood there, so it means there what the step could say itself. Where it has no
//! effect – a user, where no program runs – the step goes without it.

use super::fields::{Fields, Shape};
use super::scalars::Reader;
use crate::syntax::{Kind, Node, Struct};

const DEFAULTS: Shape = Shape {
    name: "",
    fields: &["as_user", "cwd", "env", "retry", "timeout", "idle_timeout", "on_failure"],
    positional: None,
};

/// The defaults of where a step stands, the nearest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Defaults<'t>(Vec<&'t Struct>);

impl<'t> Defaults<'t> {
    /// With those of something that stands in it.
    pub(super) fn and(&self, node: Option<&'t Node>, reader: &mut Reader) -> Defaults<'t> {
        let mut all = self.0.clone();
        if let Some(node) = node
            && Fields::open(node, &DEFAULTS, "`defaults`", reader.sink).is_some()
            && let Kind::Struct(this) = &node.kind
        {
            all.insert(0, this);
        }
        Defaults(all)
    }

    pub(super) fn layers(&self) -> Vec<&'t Struct> {
        self.0.clone()
    }
}
