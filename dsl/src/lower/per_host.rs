//! What is asked of each host of a role by itself: the `where` of the role, the `by` of a batch.

use std::collections::BTreeMap;

use crate::declared::Declared;
use crate::diagnostic::Sink;
use crate::expr::{Binary, Expr};
use crate::graph::Graph;
use crate::typing::{Class, Place, Typing, Used, facts};

/// The `where` of a role.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) expr: Expr,
    /// Paths that are known to be present where it is true.
    facts: Vec<String>,
}

/// The `where` of roles, by the role.
pub(crate) type Filters = BTreeMap<String, Filter>;

/// Checks them.
pub(crate) fn filters(declared: &Declared, graph: &Graph, used: &mut Used, sink: &mut Sink) -> Filters {
    let mut filters = Filters::new();
    for (index, role) in declared.roles.iter().enumerate() {
        let Some(filter) = &role.filter else { continue };
        let mut typing = Typing::new(declared, &graph.position, Place::Role { index }, used, sink);
        if let Some(expr) = typing.condition_of(&filter.syntax, "where", "decide on which hosts steps run") {
            let facts = facts(&filter.syntax, true, declared);
            filters.insert(role.name.value.clone(), Filter { expr, facts });
        }
    }
    filters
}

/// The `by` of the batches of a group, by the group.
pub(crate) fn by(declared: &Declared, graph: &Graph, used: &mut Used, sink: &mut Sink) -> Vec<Option<Expr>> {
    let of_group = |group: &crate::declared::GroupDecl| {
        let by = group.batch.by.as_ref()?;
        let index = declared.roles.index(&group.over.as_ref()?.value)?;
        let mut typing = Typing::new(declared, &graph.position, Place::Role { index }, used, sink);
        Some(typing.of_class(&by.syntax, &[Class::Text], "Text", "by")?.expr)
    };
    declared.groups.iter().map(of_group).collect()
}

/// The condition of a step on a role: that of the role, and its own.
pub(super) fn both(filter: Option<&Filter>, own: Option<Expr>) -> Option<Expr> {
    match (filter.map(|filter| filter.expr.clone()), own) {
        (Some(filter), Some(own)) => Some(Expr::Binary(Binary::And, Box::new(filter), Box::new(own))),
        (filter, own) => filter.or(own),
    }
}

impl Filter {
    /// What is known to be there on the hosts that it lets pass.
    pub(super) fn facts(&self) -> &[String] {
        &self.facts
    }
}
