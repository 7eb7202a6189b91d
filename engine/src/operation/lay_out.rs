//! How an operation comes to have its nodes: most with its first entry, those of an `each` when its keys are known.

use std::collections::BTreeSet;
use std::sync::Arc;

use dsl::plan::{EdgeKind, Plan};
use dsl::value::Value;

use super::event::{Entry, Event, JOURNAL_FORMAT, OLDEST_FORMAT};
use super::life::{Activity, Life};
use super::node::{HERE, NodeId, NodeState};
use super::state::{Behind, Derived, IllegalEvent, Locks, Node, Operation, StepNodes};

impl Operation {
    /// The operation that its first entry, `Created`, makes.
    pub fn create(plan: Arc<Plan>, entry: &Entry) -> Result<Operation, IllegalEvent> {
        let illegal = |why: String| IllegalEvent { seq: entry.seq, event: format!("{:?}", entry.event), why };
        let Event::Created { format, operation, plan: plan_digest, by, hosts, locks, .. } = &entry.event else {
            return Err(illegal("a journal begins with `created`".to_owned()));
        };
        if !(OLDEST_FORMAT..=JOURNAL_FORMAT).contains(format) {
            let range = format!("{OLDEST_FORMAT} to {JOURNAL_FORMAT}");
            return Err(illegal(format!("its format is {format}, and this engine reads {range}")));
        }
        if entry.seq != 1 {
            return Err(illegal("`created` is entry 1".to_owned()));
        }
        let mut operation = Operation {
            id: *operation,
            by: by.clone(),
            format: *format,
            plan_digest: plan_digest.clone(),
            hosts: hosts.iter().map(|(slot, host)| (slot.clone(), Box::new(host.clone()))).collect(),
            locks: if locks.is_empty() { Locks::Held(Vec::new()) } else { Locks::Wanted(locks.clone()) },
            deadline_at_ms: deadline(&plan, entry.at_ms),
            life: Life::Processing(if locks.is_empty() { Activity::Active } else { Activity::Queued }),
            nodes: Vec::with_capacity(plan.steps.len()),
            seq: 1,
            created_at_ms: entry.at_ms,
            at_ms: entry.at_ms,
            steps: Vec::with_capacity(plan.steps.len()),
            by_id: Vec::new(),
            derived: Derived::default(),
            begun: false,
            epoch: 0,
            written: std::collections::BTreeMap::new(),
            plan,
        };
        operation.lay_out(entry.at_ms).map_err(illegal)?;
        Ok(operation)
    }

    /// Makes the nodes of every step whose keys are known: one per slot of its role, or one from here (D2).
    fn lay_out(&mut self, at_ms: u64) -> Result<(), String> {
        let plan = Arc::clone(&self.plan);
        for (index, step) in plan.steps.iter().enumerate() {
            let first = self.nodes.len();
            self.steps.push(StepNodes { first, count: 0, expanded: step.each.is_none(), dependents: Vec::new() });
            match &step.role {
                _ if step.each.is_some() => {}
                None => self.push_node(index, HERE.to_owned(), None, None, at_ms),
                Some(role) => {
                    let role = plan.roles.get(role).ok_or_else(|| format!("the plan has no role `{role}`"))?;
                    for slot in &role.slots {
                        if !self.hosts.contains_key(slot) {
                            return Err(format!("no host fills slot `{slot}`"));
                        }
                        self.push_node(index, slot.clone(), Some(slot.clone()), None, at_ms);
                    }
                }
            }
            for edge in &step.needs {
                if edge.step >= index {
                    return Err(format!("step `{}` has an edge that does not point backwards", step.id));
                }
                if edge.kind == EdgeKind::Keyed && self.steps[edge.step].count != self.steps[index].count {
                    return Err(format!("step `{}` has a keyed edge to a step of another role", step.id));
                }
                let behind = Behind { step: index, kind: edge.kind, settled: edge.settled };
                self.steps[edge.step].dependents.push(behind);
            }
        }
        // Most have one: room for four would be more than all else of a step.
        self.steps.iter_mut().for_each(|step| step.dependents.shrink_to_fit());
        self.sort_names();
        self.derived = self.derive();
        Ok(())
    }

    fn push_node(&mut self, step: usize, key: String, slot: Option<String>, element: Option<Value>, at_ms: u64) {
        let id = NodeId { step: self.plan.steps[step].id.clone(), key };
        let at = match &self.plan.steps[step].run_at {
            Some(role) => self.plan.roles.get(role).and_then(|role| role.slots.first()),
            None => slot.as_ref(),
        };
        let host = at.and_then(|slot| self.hosts.get(slot));
        self.steps[step].count += 1;
        self.nodes.push(Node {
            id,
            step,
            generation: host.map_or(0, |host| host.generation),
            slot,
            element,
            state: NodeState::Waiting,
            attempts: 0,
            tries: 0,
            since_ms: at_ms,
            started_ms: 0,
            incarnation: 1,
            may_run: BTreeSet::new(),
            touched: false,
            epoch: 0,
            kept: Vec::new(),
        });
    }

    /// The keys of a step's `each` became known: its nodes are made.
    pub(super) fn expand(&mut self, id: &str, keys: &[String], elements: &[Value], at_ms: u64) -> Result<(), String> {
        let plan = Arc::clone(&self.plan);
        let step =
            plan.steps.iter().position(|step| step.id == id).ok_or_else(|| format!("there is no step `{id}`"))?;
        if self.steps[step].expanded {
            return Err(format!("step `{id}` was expanded before"));
        }
        if !self.is_expandable(step) {
            return Err(format!("something that step `{id}` needs is not over"));
        }
        if !elements.is_empty() && elements.len() != keys.len() {
            return Err("it has more or fewer elements than keys".to_owned());
        }
        if keys.iter().collect::<BTreeSet<_>>().len() != keys.len() {
            return Err("a key stands in it twice".to_owned());
        }
        for edge in plan.steps[step].needs.iter().filter(|edge| edge.kind == EdgeKind::Keyed) {
            if !self.nodes_of(edge.step).iter().map(|node| &node.id.key).eq(keys) {
                return Err(format!("step `{}` has other keys", plan.steps[edge.step].id));
            }
        }
        let role = plan.steps[step].role.as_ref().and_then(|role| plan.roles.get(role));
        let slot = role.and_then(|role| role.slots.first());
        self.steps[step].first = self.nodes.len();
        self.steps[step].expanded = true;
        for (at, key) in keys.iter().enumerate() {
            let element = elements.get(at).cloned().unwrap_or_else(|| Value::Text(key.clone()));
            self.push_node(step, key.clone(), slot.cloned(), Some(element), at_ms);
        }
        self.sort_names();
        for offset in 0..keys.len() {
            let index = self.steps[step].first + offset;
            let unmet = plan.steps[step].needs.iter().filter(|edge| !self.is_met(edge, offset)).count();
            self.derived.unmet.push(u32::try_from(unmet).unwrap_or(u32::MAX));
            if unmet == 0 {
                self.derived.ready.insert(index);
            }
        }
        if keys.is_empty() {
            self.free_all_behind(step);
        }
        Ok(())
    }

    /// Whether all that must be over before the elements of a step's `each` can be told is over.
    pub(super) fn is_expandable(&self, step: usize) -> bool {
        !self.steps[step].expanded
            && self.plan.steps[step].needs.iter().all(|edge| match edge.kind {
                EdgeKind::Keyed => self.steps[edge.step].expanded,
                EdgeKind::Barrier => self.is_met(edge, 0),
            })
    }
}

pub(super) fn deadline(plan: &Plan, from_ms: u64) -> Option<u64> {
    plan.deadline_ms.map(|deadline_ms| from_ms.saturating_add(deadline_ms))
}
