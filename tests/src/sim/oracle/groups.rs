//! Groups: who may enter, in which turn, and when nobody does any more.

use dsl::expr::{Binary, Expr, HostProperty};
use dsl::value::Value;
use engine::operation::{HERE, NodeId};

use super::super::plans::host;
use super::{Is, Oracle};

/// What an expression that a group asks of each host gives, as the plans of the simulation write them.
fn asked(expr: &Expr, slot: &str) -> Value {
    match expr {
        Expr::Literal(value) => value.clone(),
        Expr::Host(HostProperty::Name) => Value::Text(slot.to_owned()),
        Expr::Index(_, label) => match asked(label, slot) {
            Value::Text(label) => Value::Text(host(slot).labels[&label].clone()),
            other => panic!("a label is a text, not {other:?}"),
        },
        Expr::Binary(Binary::NotEqual, left, right) => Value::Bool(asked(left, slot) != asked(right, slot)),
        other => panic!("no plan of the simulation asks {other:?} of a host"),
    }
}

impl Oracle<'_> {
    /// The hosts that pass through a group; those for which the `where` of its role is false pass by.
    fn slots_of(&self, group: usize) -> Vec<&String> {
        let of = &self.plan.groups[group];
        let passes = |slot: &&String| of.filter.as_ref().is_none_or(|filter| asked(filter, slot) == Value::Bool(true));
        self.plan.roles[&of.role].slots.iter().filter(passes).collect()
    }

    /// The nodes of a host that passes through a group.
    fn nodes_in(&self, group: usize, slot: &str) -> Vec<NodeId> {
        let steps = self.plan.steps.iter().filter(|step| step.group == Some(group));
        steps.map(|step| NodeId { step: step.id.clone(), key: slot.to_owned() }).collect()
    }

    pub(super) fn has_entered(&self, group: usize, slot: &str) -> bool {
        self.nodes_in(group, slot).iter().any(|id| self.begun.contains(id))
    }

    fn is_through(&self, group: usize, slot: &str) -> bool {
        use Is as I;
        let over = [I::Succeeded, I::Skipped, I::Failed, I::NotReached, I::Undone];
        self.nodes_in(group, slot).iter().all(|id| over.contains(&self.is(id)))
    }

    /// Whether so many hosts of a group have failed that no other enters.
    fn is_closed(&self, group: usize) -> bool {
        let of = &self.plan.groups[group];
        let failed = |slot: &&String| {
            self.is_through(group, slot) && self.nodes_in(group, slot).iter().any(|id| self.is(id) == Is::Failed)
        };
        let failed = self.slots_of(group).into_iter().filter(failed).count();
        of.stop_after.is_some_and(|most| failed >= most as usize)
    }

    pub(super) fn is_shut_out(&self, id: &NodeId) -> bool {
        let group = self.plan.steps[self.step(id)].group;
        let is_of = |group| self.slots_of(group).contains(&&id.key);
        group.is_some_and(|group| is_of(group) && self.is_closed(group) && !self.has_entered(group, &id.key))
    }

    /// A host that has not entered a group may do so now: there is a place, it is its turn, the pause is over.
    pub(super) fn may_enter(&self, group: usize, id: &NodeId, now_ms: u64) -> Result<(), String> {
        let of = &self.plan.groups[group];
        let slots = self.slots_of(group);
        let through: Vec<&String> = slots.iter().copied().filter(|slot| self.is_through(group, slot)).collect();
        let inside = slots.iter().filter(|slot| self.has_entered(group, slot) && !through.contains(slot)).count();
        if self.is_closed(group) {
            return Err(format!("so many hosts have failed in `{}` that none enters", of.id));
        }
        // The hosts of one text of `by` follow those of another, as their first hosts stand in the role.
        let text = |slot: &str| of.by.as_ref().map(|by| asked(by, slot));
        let first_of = |slot: &&String| slots.iter().position(|other| text(other) == text(slot));
        let own = first_of(&&id.key);
        if let Some(other) = slots.iter().find(|slot| !through.contains(slot) && first_of(slot) < own) {
            return Err(format!("it enters `{}` before the batch of {other} is through", of.id));
        }
        // Its turn, and the batch that this is in: the first of `sizes`, the next … the last one is for all that follow.
        let turn = inside + through.len();
        let (mut before, mut batch) = (0, 0);
        while batch + 1 < of.sizes.len() && turn >= before + of.sizes[batch] as usize {
            before += of.sizes[batch] as usize;
            batch += 1;
        }
        let size = of.sizes.get(batch).map_or(usize::MAX, |size| *size as usize);
        if inside >= size || through.len() < before {
            let (through, sizes) = (through.len(), &of.sizes);
            return Err(format!("{inside} hosts are inside `{}` and {through} are through; sizes {sizes:?}", of.id));
        }
        let first = of.sizes.first().map_or(usize::MAX, |size| *size as usize);
        if let Some(gate) = of.gate.filter(|_| turn >= first) {
            let gate = NodeId { step: self.plan.steps[gate].id.clone(), key: HERE.to_owned() };
            if !self.satisfies(&gate, false) {
                return Err(format!("the gate {gate} is {:?}", self.is(&gate)));
            }
        }
        // A host may have come in by a step that waits for a lock, of which the journal says nothing.
        let mut members = self.plan.steps.iter().filter(|step| step.group == Some(group));
        let free = members.all(|step| step.locks.is_empty() && step.parallel.is_none());
        for earlier in slots.iter().copied().take_while(|earlier| **earlier != id.key) {
            let out =
                !self.has_entered(group, earlier) && !through.contains(&earlier) && text(earlier) == text(&id.key);
            // It is passed over only where the group's first step waits there for something, or for the time of its next
            // attempt. (Where that step is over and a later one is ready, others may come in by their first step.)
            let Some(same) = self.nodes_in(group, earlier).into_iter().next() else { continue };
            // What became possible at the same moment may not have been seen when this was decided.
            let mut before = self.parents(&same).into_iter().filter_map(|(_, nodes)| nodes).flatten();
            let known = before.all(|parent| self.at_ms.get(&parent).is_none_or(|at_ms| *at_ms < now_ms));
            let due = self.retried_at.get(&same).is_none_or(|at_ms| *at_ms <= now_ms);
            let ready = known && due && self.is(&same) == Is::Waiting && self.may_begin(&same).is_ok();
            if out && ready && free {
                return Err(format!("it enters `{}` before {earlier}", of.id));
            }
        }
        // One that leaves at this moment does not hold up who had a place before.
        let left = through.iter().filter(|slot| self.has_entered(group, slot));
        let left = left.flat_map(|slot| self.nodes_in(group, slot)).filter_map(|id| self.at_ms.get(&id));
        let left = left.filter(|left_ms| **left_ms < now_ms).max();
        match left.map(|left_ms| left_ms + of.pause_ms) {
            Some(from_ms) if now_ms < from_ms => {
                Err(format!("the pause of `{}` is over in {} ms", of.id, from_ms - now_ms))
            }
            _ => Ok(()),
        }
    }
}
