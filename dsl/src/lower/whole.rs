//! What belongs to the workflow as a whole: groups, outputs, locks and instances.

use std::collections::BTreeMap;
use std::ops::Range;

use super::per_host::{self, Filters};
use super::records;
use crate::declared::{Declared, Scalar};
use crate::diagnostic::Sink;
use crate::expr::{Expr, Template};
use crate::expression::TemplateSyntax;
use crate::graph::Graph;
use crate::plan::{Group, RoleSource};
use crate::typing::{Class, Place, Typing, Used};

/// What a plan has besides its steps.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    pub(crate) groups: Vec<Group>,
    /// What each group says `by` which its hosts pass, as it is written.
    pub(crate) by: Vec<Option<String>>,
    pub(crate) outputs: BTreeMap<String, Template>,
    pub(crate) locks: Vec<Template>,
    pub(crate) instances: Vec<Template>,
    /// The records that fill roles.
    pub(crate) sources: BTreeMap<String, RoleSource>,
    pub(crate) deadline: Option<Deadline>,
}

/// How long the operation may take.
#[derive(Debug, Clone)]
pub(crate) enum Deadline {
    /// In milliseconds.
    Ms(u64),
    /// It follows from inputs, by an expression that stands there.
    Follows(Expr, Range<usize>),
}

/// Checks it.
pub(crate) fn whole(declared: &Declared, graph: &Graph, filters: &Filters, used: &mut Used, sink: &mut Sink) -> Whole {
    let by = per_host::by(declared, graph, used, sink);
    let sources = records::sources(declared, graph, used, sink);
    let mut typing = Typing::new(declared, &graph.position, Place::Output, used, sink);
    let mut outputs = BTreeMap::new();
    for (name, template) in &declared.outputs {
        if let Some(template) = template {
            outputs.insert(name.value.clone(), typing.template(template, Some("be an output")));
        }
    }
    typing.place = Place::Fixed;
    let mut names = |list: &[TemplateSyntax], what: &str| {
        list.iter().map(|name| typing.template(name, Some(what))).collect::<Vec<_>>()
    };
    Whole {
        locks: names(&declared.locks, "be the name of a lock"),
        instances: names(&declared.instances, "be the name of an instance"),
        deadline: declared.deadline.as_ref().and_then(|deadline| match deadline {
            Scalar::Literal(literal) => Some(Deadline::Ms(literal.value)),
            Scalar::Expr(syntax) => {
                let typed = typing.of_class(syntax, &[Class::Duration], "Duration", "deadline")?;
                Some(Deadline::Follows(typed.expr, syntax.span.clone()))
            }
        }),
        groups: groups(declared, graph, filters, by),
        by: declared.groups.iter().map(|group| group.batch.by.as_ref().map(|by| by.text.clone())).collect(),
        outputs,
        sources,
    }
}

fn groups(declared: &Declared, graph: &Graph, filters: &Filters, by: Vec<Option<Expr>>) -> Vec<Group> {
    let group = |(group, by): (&crate::declared::GroupDecl, Option<Expr>)| Group {
        id: group.id.value.clone(),
        role: group.over.as_ref().map(|over| over.value.clone()).unwrap_or_default(),
        sizes: group.batch.sizes.clone(),
        pause_ms: group.batch.pause_ms,
        stop_after: group.batch.stop_after,
        gate: group.gate.map(|gate| graph.position[gate]),
        filter: group.over.as_ref().and_then(|over| filters.get(&over.value)).map(|filter| filter.expr.clone()),
        by,
    };
    declared.groups.iter().zip(by).map(group).collect()
}
