//! What belongs to the workflow as a whole: groups, outputs, locks and instances.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::declared::{Declared, Scalar};
use crate::diagnostic::Sink;
use crate::expr::{Expr, Template};
use crate::expression::TemplateSyntax;
use crate::graph::Graph;
use crate::plan::Group;
use crate::typing::{Class, Place, Typing, Used};

/// What a plan has besides its steps.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    pub(crate) groups: Vec<Group>,
    pub(crate) outputs: BTreeMap<String, Template>,
    pub(crate) locks: Vec<Template>,
    pub(crate) instances: Vec<Template>,
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
pub(crate) fn whole(declared: &Declared, graph: &Graph, used: &mut Used, sink: &mut Sink) -> Whole {
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
        groups: groups(declared, graph),
        outputs,
    }
}

fn groups(declared: &Declared, graph: &Graph) -> Vec<Group> {
    let group = |group: &crate::declared::GroupDecl| Group {
        id: group.id.value.clone(),
        role: group.over.as_ref().map(|over| over.value.clone()).unwrap_or_default(),
        sizes: group.batch.sizes.clone(),
        pause_ms: group.batch.pause_ms,
        stop_after: group.batch.stop_after,
        gate: group.gate.map(|gate| graph.position[gate]),
    };
    declared.groups.iter().map(group).collect()
}
