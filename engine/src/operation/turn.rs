//! Whose turn it is to enter a group with `by`, and who passes by.
//!
//! The hosts that are inside have one text in common. The texts follow each other in the order in which the role's slots have
//! them, and the next one's turn comes when all hosts of those before have left. That order is known when the facts are that
//! `by` may read, so nobody enters before.

use std::collections::BTreeMap;

use dsl::eval::eval;
use dsl::expr::Expr;
use dsl::plan::Group;
use dsl::steps_read;
use dsl::value::Value;

use super::group::Host;
use super::scope::CoreScope;
use super::state::{Node, Operation};

/// What is asked of each host of a group.
pub(super) struct Asked<'a> {
    operation: &'a Operation,
    group: &'a Group,
}

impl<'a> Asked<'a> {
    pub fn of(operation: &'a Operation, group: &'a Group) -> Asked<'a> {
        Asked { operation, group }
    }

    /// Whether the `where` of the role is known to be false for a host, given by a node and its place among the slots.
    pub fn passes_by(&self, node: Option<&Node>, place: usize) -> bool {
        let filter = self.group.filter.as_ref().filter(|filter| self.is_known(filter, place));
        filter.and_then(|filter| self.ask(node, filter)) == Some(Value::Bool(false))
    }

    /// What `by` gives for a host, or nothing while that is not known. Where it cannot be evaluated its text is none; an attempt
    /// tells why.
    pub fn text(&self, node: Option<&Node>, place: usize) -> Option<Option<String>> {
        let by = self.group.by.as_ref()?;
        self.is_known(by, place).then(|| self.ask(node, by)?.to_text())
    }

    /// Whether the host has answered what an expression asks: its facts, where it reads them.
    fn is_known(&self, expr: &Expr, place: usize) -> bool {
        let answered = |step| self.operation.nodes_of(step).get(place).is_some_and(|node| node.state.satisfies());
        steps_read(expr).into_iter().all(answered)
    }

    fn ask(&self, node: Option<&Node>, expr: &Expr) -> Option<Value> {
        eval(expr, &CoreScope { operation: self.operation, node }).ok()
    }
}

/// The hosts whose turn it is. Given are, in the order of the slots, hosts with their texts; one that is not known yet is absent.
pub(super) fn turn<S, T: Ord>(hosts: &[(S, Host, Option<T>)]) -> Vec<&S> {
    let left = |host: Host| host == Host::Left;
    if hosts.iter().any(|(_, host, text)| !left(*host) && text.is_none()) {
        return Vec::new();
    }
    // A text's place is that of the first host that has it.
    let mut places = BTreeMap::new();
    hosts.iter().enumerate().for_each(|(at, (_, _, text))| {
        places.entry(text).or_insert(at);
    });
    let next =
        hosts.iter().filter(|(_, host, _)| !left(*host)).filter_map(|(_, _, text)| places.get(text).copied()).min();
    let Some(next) = next else { return Vec::new() };
    let fits = |text: &Option<T>| *text == hosts[next].2;
    if hosts.iter().any(|(_, host, text)| *host == Host::Inside && !fits(text)) {
        return Vec::new();
    }
    hosts.iter().filter(|(_, _, text)| fits(text)).map(|(slot, _, _)| slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_enters_before_all_texts_are_known() {
        let host = |slot: &'static str, host: Host, text: Option<u8>| (slot, host, text);
        assert_eq!(turn(&[host("a", Host::Outside, Some(1)), host("b", Host::Outside, None)]), Vec::<&&str>::new());
        assert_eq!(turn(&[host("a", Host::Outside, Some(1)), host("b", Host::Left, None)]), [&"a"]);
        let late = [host("a", Host::Outside, Some(1)), host("b", Host::Inside, Some(2))];
        assert_eq!(turn(&late), Vec::<&&str>::new(), "those of another text leave first");
    }
}
