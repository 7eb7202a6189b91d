//! Recording: `Record`, `Forget` and their `Restore` are decided here and done by the commit that says so. There is no effect, so
//! nothing can be interrupted between the two: what is not committed was not done.

use std::collections::BTreeMap;

use dsl::eval::render;
use dsl::expr::Template;
use dsl::plan::{Action, RecordOf, RecordedRole};

use super::driver::{Batch, Driver};
use super::event::Event;
use super::node::{Failure, FailureClass, NodeId, Proof};
use super::records::{Change, Content, Freshness, Member, Record, RecordKey};
use super::scope::CoreScope;
use super::state::{IllegalEvent, Kept, Node, Operation};
use crate::limits::{LOCK_BYTES, RECORD_BYTES, RECORD_NAME_BYTES, RECORD_VALUES_BYTES};

impl Operation {
    /// Whether the operation declares an instance: then it holds its lock, and may change its records (D8).
    pub(super) fn declares(&self, instance: &str) -> bool {
        let scope = CoreScope { operation: self, node: None };
        self.plan.instances.iter().any(|name| render(name, &scope).is_ok_and(|name| name.text == instance))
    }

    /// Whether undoing a node puts a record back.
    pub(super) fn restores_a_record(&self, index: usize) -> bool {
        let step = self.step_of(&self.nodes[index]);
        step.action.is_record() && step.undo == Some(Action::Restore)
    }

    /// What a node's step makes of which record.
    pub(crate) fn wanted(&self, node: &Node) -> Result<(RecordKey, Option<Content>), Failure> {
        let scope = CoreScope { operation: self, node: Some(node) };
        let text = |what: &str, template: &Template| match render(template, &scope) {
            Ok(rendered) => Ok(rendered.text),
            Err(error) => Err(failure(format!("{what} cannot be evaluated: {error}"))),
        };
        let (of, spec) = match &self.step_of(node).action {
            Action::Record(spec) => (&spec.of, Some(spec)),
            Action::Forget(of) => (of, None),
            _ => return Err(failure("this step records nothing".to_owned())),
        };
        let name = text("the name of the instance", of.name())?;
        if name.is_empty() || name.len() > LOCK_BYTES {
            return Err(failure(format!("the name of the instance is empty or longer than {LOCK_BYTES} bytes")));
        }
        if !self.declares(&name) {
            return Err(Failure {
                hint: Some(
                    "name it in the workflow's `instance` or `instances`, whose locks the operation takes".to_owned(),
                ),
                ..failure(format!(
                    "the operation does not declare the instance `{name}`, so it may not change its records"
                ))
            });
        }
        let key = match of {
            RecordOf::Instance(_) => RecordKey::Instance(name),
            RecordOf::Wiring(_) => {
                let host = node.slot.clone().ok_or_else(|| failure("a wiring is that of a host".to_owned()))?;
                RecordKey::Wiring { registry: name, host }
            }
        };
        if key.path().len() > RECORD_NAME_BYTES {
            return Err(failure(format!("{key} has too long a name: {RECORD_NAME_BYTES} bytes are the most")));
        }
        let Some(spec) = spec else { return Ok((key, None)) };
        let mut values = BTreeMap::new();
        for (name, template) in &spec.values {
            values.insert(name.clone(), text(&format!("the value `{name}`"), template)?);
        }
        let content = match &spec.kind {
            Some(kind) => {
                Content::Instance { kind: text("`kind`", kind)?, members: self.members(&spec.members), values }
            }
            None => Content::Wiring { values, freshness: Freshness::Fresh },
        };
        check_size(&content)?;
        Ok((key, Some(content)))
    }

    /// The hosts of roles as they are now.
    fn members(&self, roles: &[RecordedRole]) -> BTreeMap<String, Vec<Member>> {
        let member = |slot: &String| {
            let host = self.hosts.get(slot)?;
            Some(Member { slot: slot.clone(), address: host.address().to_owned(), generation: host.generation })
        };
        let slots =
            |role: &String| self.plan.roles.get(role).map(|role| role.slots.iter().filter_map(member).collect());
        roles.iter().map(|one| (one.name.clone(), slots(&one.role).unwrap_or_default())).collect()
    }

    /// Refuses changes that a node's step cannot make.
    pub(super) fn may_change(&self, index: usize, changes: &[Change]) -> Result<(), String> {
        if !changes.is_empty() && !self.step_of(&self.nodes[index]).action.is_record() {
            return Err("its step records nothing".to_owned());
        }
        match changes.iter().find(|change| !self.declares(change.key.guarded_by())) {
            Some(change) => Err(format!("the operation does not declare the instance of {}", change.key)), // D8
            None => Ok(()),
        }
    }

    /// Notes what a node's entry, the next one, makes of records: what an undo puts back, and what it must find for that.
    pub(super) fn note_changes(&mut self, index: usize, changes: &[Change]) {
        let seq = self.seq + 1;
        for change in changes {
            self.written.insert(change.key.clone(), change.after.as_ref().map(|_| seq));
            let kept = &mut self.nodes[index].kept;
            // What was there before the node's first change counts.
            if !kept.iter().any(|kept| kept.key == change.key) {
                kept.push(Kept { key: change.key.clone(), before: change.before.clone(), seq });
            }
        }
    }

    /// A node is undone, and has nothing more to put back. Where a node that nothing orders after it has changed the record since,
    /// that one puts back what was there before both.
    pub(super) fn forget_kept(&mut self, index: usize) {
        for kept in std::mem::take(&mut self.nodes[index].kept) {
            let later = self.changed_later(index, &kept);
            let later = later.and_then(|later| self.nodes[later].kept.iter_mut().find(|above| above.key == kept.key));
            if let Some(above) = later {
                above.before = kept.before;
            }
        }
    }

    /// The node that first changed a record next after this one, and has not been undone.
    fn changed_later(&self, index: usize, kept: &Kept) -> Option<usize> {
        let first = |node: &Node| Some(node.kept.iter().find(|above| above.key == kept.key)?.seq);
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != index);
        let later = others.filter_map(|(other, node)| Some((first(node).filter(|seq| *seq > kept.seq)?, other)));
        later.min().map(|(_, other)| other)
    }

    /// Whether what is there of a record is what this operation left.
    fn is_as_left(&self, key: &RecordKey, now: Option<&Record>) -> bool {
        let left = self.written.get(key).copied().flatten().map(|seq| (self.id, seq));
        now.map(|record| (record.operation, record.seq)) == left
    }
}

/// Refuses what is too large to be kept.
fn check_size(content: &Content) -> Result<(), Failure> {
    let (Content::Instance { values, .. } | Content::Wiring { values, .. }) = content;
    let kind = match content {
        Content::Instance { kind, .. } if kind.is_empty() => return Err(failure("`kind` is empty here".to_owned())),
        Content::Instance { kind, .. } => kind.len(),
        Content::Wiring { .. } => 0,
    };
    let bytes = kind + values.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    if bytes > RECORD_VALUES_BYTES {
        return Err(failure(format!("what is recorded has {bytes} bytes; the limit is {RECORD_VALUES_BYTES}")));
    }
    let all = serde_json::to_vec(content).map_or(usize::MAX, |json| json.len());
    if all > RECORD_BYTES {
        return Err(failure(format!("the record with its members has {all} bytes; the limit is {RECORD_BYTES}")));
    }
    Ok(())
}

fn failure(message: String) -> Failure {
    Failure { class: FailureClass::Other, message, hint: None }
}

impl Driver {
    /// Does what a node of `Record` or `Forget` is for: its attempt has begun, and ends.
    pub(super) fn record(&mut self, index: usize, batch: &mut Batch<'_, '_>) -> Result<(), IllegalEvent> {
        let (node, attempt) = (self.id(index), self.operation.nodes[index].attempts);
        let event = match self.recorded(index, batch) {
            Ok(records) => {
                let (changed, out, proof) = (!records.is_empty(), BTreeMap::new(), Proof::Action);
                Event::Succeeded { node, attempt, out, changed, proof, output: None, records }
            }
            Err(failure) => Event::Failed { node, attempt, failure, output: None },
        };
        self.emit(event, batch)
    }

    /// Puts back what a node's record was; its undo has begun, and ends.
    pub(super) fn put_back(&mut self, index: usize, batch: &mut Batch<'_, '_>) -> Result<(), IllegalEvent> {
        let (node, attempt) = (self.id(index), self.operation.nodes[index].attempts);
        let event = match self.restored(&node, index, batch) {
            Ok(records) => Event::Undone { node, attempt, records },
            Err(failure) => Event::UndoFailed { node, attempt, failure },
        };
        self.emit(event, batch)
    }

    fn recorded(&self, index: usize, batch: &Batch<'_, '_>) -> Result<Vec<Change>, Failure> {
        let (key, after) = self.operation.wanted(&self.operation.nodes[index])?;
        let before = read(&key, batch)?;
        // Nothing changes where it says that already.
        if before.as_ref().map(|record| &record.content) == after.as_ref() {
            return Ok(Vec::new());
        }
        Ok(vec![Change { key, before, after, made_at_ms: None }])
    }

    fn restored(&self, node: &NodeId, index: usize, batch: &Batch<'_, '_>) -> Result<Vec<Change>, Failure> {
        let mut changes = Vec::new();
        for kept in &self.operation.nodes[index].kept {
            if self.operation.changed_later(index, kept).is_some() {
                continue;
            }
            let key = &kept.key;
            let now = read(key, batch)?;
            if !self.operation.is_as_left(key, now.as_ref()) {
                let by = now.map_or_else(String::new, |record| format!(" by operation {}", record.operation));
                return Err(Failure {
                    hint: Some(format!("`anneal instances` shows it; `anneal skip` leaves the undo of `{node}` out")),
                    ..failure(format!("{key} was changed{by} since it was recorded, and is not put back"))
                });
            }
            let (after, made_at_ms) = match &kept.before {
                Some(kept) => (Some(kept.content.clone()), Some(kept.made_at_ms)),
                None => (None, None),
            };
            if now.as_ref().map(|record| &record.content) != after.as_ref() {
                changes.push(Change { key: key.clone(), before: now, after, made_at_ms });
            }
        }
        Ok(changes)
    }
}

/// A record as it is, or will be with what this batch says already.
fn read(key: &RecordKey, batch: &Batch<'_, '_>) -> Result<Option<Record>, Failure> {
    match batch.recorded.get(key) {
        Some(record) => Ok(record.clone()),
        None => batch.world.records.get(key).map_err(|why| failure(format!("{key} cannot be read: {why}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dsl::plan::{Edge, EdgeKind, Plan, RecordSpec, RecordedRole, Role, Step};
    use uuid::Uuid;

    use super::*;
    use crate::operation::{
        Alone, Decided, Entry, HostRecord, Input, JOURNAL_FORMAT, Life, NodeState, Outcome, ReachRecord, Verb, World,
        replay, written,
    };

    type Known = BTreeMap<RecordKey, Record>;

    fn instance(value: &str) -> Action {
        let values = vec![("v".to_owned(), Template::literal(value))];
        let (of, kind) = (RecordOf::Instance(Template::literal("a")), Some(Template::literal("cluster")));
        Action::Record(RecordSpec {
            of,
            kind,
            members: vec![RecordedRole { name: "host".to_owned(), role: "host".to_owned() }],
            values,
        })
    }

    fn step(id: &str, needs: &[usize], action: Action) -> Step {
        let needs = needs.iter().map(|step| Edge::needs(*step, EdgeKind::Barrier)).collect();
        Step { needs, undo: Some(Action::Restore), ..Step::new(id, None, action) }
    }

    /// An operation of these steps that declares the instance `a`, and what it comes to by itself.
    fn run(steps: Vec<Step>, known: &mut Known) -> (Driver, Vec<Entry>) {
        let roles = [("host".to_owned(), Role { one: true, slots: vec!["h".to_owned()], from: None })].into();
        let mut plan = Plan::new("w", roles, steps);
        plan.instances = vec![Template::literal("a")];
        plan.validate().unwrap();
        let created = Entry {
            seq: 1,
            at_ms: 1_000,
            event: Event::Created {
                format: JOURNAL_FORMAT,
                operation: Uuid::from_u128(7),
                plan: String::new(),
                workflow: "w".to_owned(),
                by: "test".to_owned(),
                hosts: [("h".to_owned(), HostRecord::first(ReachRecord::Local))].into(),
                locks: Vec::new(),
            },
        };
        let plan = Arc::new(plan);
        let mut driver = Driver::new(Operation::create(Arc::clone(&plan), &created).unwrap(), 1);
        let mut journal = vec![created];
        let decided = decide(&mut driver, known, |driver, world| driver.decide(vec![Input::Go], world).unwrap());
        journal.extend(keep(decided, known));
        assert_eq!(replay(plan, &journal).as_ref(), Ok(driver.operation()), "I5");
        (driver, journal)
    }

    fn decide(
        driver: &mut Driver,
        known: &Known,
        with: impl FnOnce(&mut Driver, &mut World<'_>) -> Decided,
    ) -> Decided {
        with(driver, &mut World { now_ms: 2_000, jitter: &mut || 0.0, places: &mut Alone, records: known })
    }

    fn keep(decided: Decided, known: &mut Known) -> Vec<Entry> {
        assert!(decided.effects.is_empty(), "nothing is at work: {:?}", decided.effects);
        for (change, record) in decided.entries.iter().flat_map(|entry| written(Uuid::from_u128(7), entry)) {
            assert_eq!(known.get(&change.key), change.before.as_ref());
            match record {
                Some(record) => drop(known.insert(change.key.clone(), record)),
                None => drop(known.remove(&change.key)),
            }
        }
        decided.entries
    }

    fn roll_back(driver: &mut Driver, known: &mut Known) {
        let decided =
            decide(driver, known, |driver, world| driver.verb(&Verb::Rollback, "test", "", world).unwrap().unwrap());
        keep(decided, known);
    }

    fn value(known: &Known) -> Option<String> {
        match &known.get(&RecordKey::Instance("a".to_owned()))?.content {
            Content::Instance { values, .. } => values.get("v").cloned(),
            Content::Wiring { .. } => None,
        }
    }

    /// What fails, so that a person may roll back.
    fn fails(needs: &[usize]) -> Step {
        let undeclared = Action::Forget(RecordOf::Instance(Template::literal("b")));
        Step { undo: None, ..step("fails", needs, undeclared) }
    }

    #[test]
    fn a_record_is_made_by_the_entry_that_says_so_and_what_it_says_already_changes_nothing() {
        let mut known = Known::new();
        let (driver, journal) =
            run(vec![step("one", &[], instance("x")), step("two", &[0], instance("x"))], &mut known);
        assert!(matches!(driver.operation().life, Life::Completed { .. }));
        let changed: Vec<bool> = journal
            .iter()
            .filter_map(|entry| match &entry.event {
                Event::Succeeded { changed, records, .. } => {
                    assert_eq!(*changed, !records.is_empty());
                    Some(*changed)
                }
                _ => None,
            })
            .collect();
        assert_eq!(changed, [true, false]);
        let record = &known[&RecordKey::Instance("a".to_owned())];
        assert_eq!((record.version, record.made_at_ms, record.operation), (1, 2_000, Uuid::from_u128(7)));
        let Content::Instance { members, .. } = &record.content else { panic!("an instance") };
        assert_eq!(members["host"][0].address, "127.0.0.1");
    }

    #[test]
    fn a_rollback_puts_back_what_was_there_through_all_that_was_recorded_since() {
        let mut known = Known::new();
        run(vec![step("before", &[], instance("old"))], &mut known);
        let before = known.clone();
        let steps = vec![
            step("one", &[], instance("x")),
            // Nothing orders these two, so they are undone in any order.
            step("two", &[0], instance("y")),
            step("three", &[0], Action::Forget(RecordOf::Instance(Template::literal("a")))),
            fails(&[1, 2]),
        ];
        let (mut driver, journal) = run(steps, &mut known);
        assert_eq!(value(&known), None, "{journal:#?}");
        assert!(matches!(&driver.operation().life, Life::FailedTemp { .. }));
        roll_back(&mut driver, &mut known);
        assert_eq!(driver.operation().life, Life::RolledBack);
        let key = RecordKey::Instance("a".to_owned());
        assert_eq!((&known[&key].content, known[&key].made_at_ms), (&before[&key].content, before[&key].made_at_ms));
    }

    #[test]
    fn what_somebody_else_has_recorded_since_is_not_overwritten_by_an_undo() {
        let mut known = Known::new();
        let (mut driver, _) = run(vec![step("one", &[], instance("x")), fails(&[0])], &mut known);
        let key = RecordKey::Instance("a".to_owned());
        known.get_mut(&key).unwrap().operation = Uuid::from_u128(8);
        roll_back(&mut driver, &mut known);
        let one = &driver.operation().nodes[0];
        let NodeState::UndoFailed { failure, .. } = &one.state else { panic!("{:?}", one.state) };
        assert!(failure.message.contains("was changed by operation") && failure.hint.is_some(), "{failure:?}");
        assert_eq!(value(&known).as_deref(), Some("x"));
    }

    #[test]
    fn only_instances_that_the_operation_declares_are_changed() {
        let mut known = Known::new();
        let (driver, _) = run(vec![fails(&[])], &mut known);
        let NodeState::Failed { failure, .. } = &driver.operation().nodes[0].state else { panic!("it failed") };
        assert!(failure.message.contains("does not declare the instance `b`"), "{failure:?}");
        // Nor by a journal that says so.
        let mut operation = driver.operation().clone();
        let change = Change { key: RecordKey::Instance("b".to_owned()), before: None, after: None, made_at_ms: None };
        assert!(operation.may_change(0, std::slice::from_ref(&change)).unwrap_err().contains("does not declare"));
        let ended =
            Entry { seq: operation.seq + 1, at_ms: 9_000, event: Event::Ended { outcome: Outcome::RolledBack } };
        assert!(operation.apply(&ended).is_err());
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let mut known = Known::new();
        let large = "x".repeat(RECORD_VALUES_BYTES);
        let (driver, _) = run(vec![step("large", &[], instance(&large))], &mut known);
        let NodeState::Failed { failure, .. } = &driver.operation().nodes[0].state else { panic!("it failed") };
        assert!(failure.message.contains("the limit is 4096"), "{failure:?}");
        assert_eq!(known.len(), 0);
    }
}
