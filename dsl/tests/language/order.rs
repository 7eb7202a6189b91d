//! The order of steps and the edges between them, against an oracle that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use dsl::plan::{Action, EdgeKind, EdgeOrigin, Plan};
use dsl::{Given, Source, check};

use crate::fixture::TestFiles;

/// Hosts of the role that groups are over.
const HOSTS: usize = 2;

/// What a step of a random workflow is, and what it waits for: by `needs`, by a reference, or both.
#[derive(Default)]
struct RandomStep {
    kind: Kind,
    needs: BTreeSet<usize>,
    /// Groups in `needs`.
    groups: BTreeSet<usize>,
    reads: BTreeSet<usize>,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Kind {
    /// On the role `one`.
    #[default]
    One,
    /// On `one`, for each element of this list.
    Each(usize),
    /// On `many`.
    Many,
    /// On `many`, in this group.
    Group(usize),
    Gate,
}

impl Kind {
    fn role(self) -> Option<&'static str> {
        match self {
            Kind::One | Kind::Each(_) => Some("one"),
            Kind::Many | Kind::Group(_) => Some("many"),
            Kind::Gate => None,
        }
    }

    fn each(self) -> Option<usize> {
        if let Kind::Each(list) = self { Some(list) } else { None }
    }

    fn group(self) -> Option<usize> {
        if let Kind::Group(group) = self { Some(group) } else { None }
    }

    fn is_keyed_to(self, other: Kind) -> bool {
        self != Kind::Gate && self.role() == other.role() && self.each() == other.each()
    }

    /// How many nodes are told apart here. The elements of an `each` pass through nothing.
    fn nodes(self) -> usize {
        if self.role() == Some("many") { HOSTS } else { 1 }
    }
}

#[derive(Default)]
struct Random {
    /// The steps of the body; those of a group stand together.
    steps: Vec<RandomStep>,
    /// Whether hosts enter a group one by one.
    rolling: Vec<bool>,
    /// The steps of `finally`, which wait for each other only.
    last: Vec<RandomStep>,
}

impl Random {
    fn step(&self, i: usize) -> &RandomStep {
        self.steps.get(i).unwrap_or_else(|| &self.last[i - self.steps.len()])
    }

    fn len(&self) -> usize {
        self.steps.len() + self.last.len()
    }

    fn members(&self, group: usize) -> impl Iterator<Item = usize> {
        (0..self.steps.len()).filter(move |i| self.steps[*i].kind == Kind::Group(group))
    }

    /// What a step needs by name, its groups taken apart.
    fn needed(&self, i: usize) -> BTreeSet<usize> {
        let step = self.step(i);
        let members = step.groups.iter().flat_map(|group| self.members(*group));
        step.needs.iter().copied().chain(members).collect()
    }

    fn waits(&self, i: usize) -> BTreeSet<usize> {
        self.needed(i).union(&self.step(i).reads).copied().collect()
    }

    fn text(&self) -> String {
        let mut text = "Workflow(name: \"test\", roles: {\"one\": One, \"many\": Many}, steps: [\n".to_owned();
        let mut inside = None;
        for i in 0..self.len() {
            let group = self.step(i).kind.group();
            if inside != group {
                text.push_str(if inside.is_some() { "]),\n" } else { "" });
                if let Some(group) = group {
                    let batch = if self.rolling[group] { "batch: (sizes: [1], gate_after_first: true), " } else { "" };
                    text.push_str(&format!("Group(id: \"g{group}\", over: \"many\", {batch}steps: [\n"));
                }
                inside = group;
            }
            if i == self.steps.len() {
                text.push_str("], finally: [\n");
            }
            text.push_str(&self.step_text(i));
        }
        text.push_str(if inside.is_some() { "])" } else { "" });
        text + "])"
    }

    fn step_text(&self, i: usize) -> String {
        let step = self.step(i);
        let names =
            step.needs.iter().map(|n| format!("\"s{n}\"")).chain(step.groups.iter().map(|g| format!("\"g{g}\"")));
        let needs = names.collect::<Vec<_>>().join(", ");
        // Whatever `out` is here, one value or several, it has a length.
        let reads: String = step.reads.iter().map(|n| format!("${{{{ len(steps.s{n}.out.x) }}}}")).collect();
        let each = step.kind.each().map_or(String::new(), |list| format!("each: \"['a{list}', 'b']\", "));
        let on = match step.kind {
            Kind::Gate => return format!("Step(id: \"s{i}\", needs: [{needs}], do: Gate(text: \"Go? {reads}\")),\n"),
            Kind::Group(_) => String::new(),
            kind => format!("on: \"{}\", ", kind.role().unwrap_or_default()),
        };
        let out = "out: {\"x\": Stdout(type: Text)}";
        format!("Step(id: \"s{i}\", {on}{each}needs: [{needs}], do: Run([\"echo\", \"{reads}\"]), {out}),\n")
    }

    /// Again and again the first step of the file whose needs are all done; `None` where there is a circle.
    fn order(&self) -> Option<Vec<usize>> {
        let mut order: Vec<usize> = Vec::new();
        while order.len() < self.len() {
            let ready = |i: &usize| !order.contains(i) && self.waits(*i).iter().all(|need| order.contains(need));
            order.push((0..self.len()).find(ready)?);
        }
        Some(order)
    }

    /// Runs it: whatever can be done is done, host 1 before host 2, and host 2 enters a rolling group only when host 1 is
    /// through it. Whether everything is done at the end.
    fn comes_to_an_end(&self) -> bool {
        let mut done: BTreeSet<(usize, usize)> = BTreeSet::new();
        let all = |done: &BTreeSet<_>, i: usize, host: usize| (0..host).all(|host| done.contains(&(i, host)));
        loop {
            let before = done.len();
            for i in 0..self.len() {
                let kind = self.step(i).kind;
                for host in 0..kind.nodes() {
                    let entered = host == 0
                        || kind.group().is_none_or(|group| {
                            !self.rolling[group] || self.members(group).all(|member| done.contains(&(member, 0)))
                        });
                    let free = self.waits(i).into_iter().all(|need| {
                        let other = self.step(need).kind;
                        match kind.is_keyed_to(other) {
                            true => done.contains(&(need, host)),
                            false => all(&done, need, other.nodes()),
                        }
                    });
                    if entered && free {
                        done.insert((i, host));
                    }
                }
            }
            if done.len() == before {
                return (0..self.len()).all(|i| all(&done, i, self.step(i).kind.nodes()));
            }
        }
    }
}

fn random(rng: &mut fastrand::Rng) -> Random {
    let mut random = Random::default();
    for _ in 0..rng.usize(1..9) {
        match rng.u8(..8) {
            0..=2 => {
                let group = random.rolling.len();
                random.rolling.push(rng.u8(..4) > 0);
                let steps =
                    (0..rng.usize(1..4)).map(|_| RandomStep { kind: Kind::Group(group), ..RandomStep::default() });
                random.steps.extend(steps);
            }
            3 => random.steps.push(RandomStep { kind: Kind::Gate, ..RandomStep::default() }),
            4 => random.steps.push(RandomStep { kind: Kind::Each(rng.usize(..2)), ..RandomStep::default() }),
            5 => random.steps.push(RandomStep { kind: Kind::Many, ..RandomStep::default() }),
            _ => random.steps.push(RandomStep::default()),
        }
    }
    for _ in 0..rng.usize(..4) {
        let kind = [Kind::One, Kind::Many, Kind::Each(0), Kind::Gate][rng.usize(..4)];
        random.last.push(RandomStep { kind, ..RandomStep::default() });
    }
    let (body, n) = (random.steps.len(), random.len());
    // A hidden order, which most edges follow; the others make circles.
    let mut hidden: Vec<usize> = (0..n).collect();
    if rng.bool() {
        rng.shuffle(&mut hidden);
    }
    let strays = rng.u8(..3) == 0;
    for _ in 0..rng.usize(..5 * n) {
        let (a, b) = (rng.usize(..n), rng.usize(..n));
        let same_part = (a < body) == (b < body);
        if !same_part || !(hidden[a] > hidden[b] || strays && a != b && rng.u8(..4) == 0) {
            continue;
        }
        let (other, is_gate) = (random.step(b).kind, random.step(b).kind == Kind::Gate);
        let whole_group = other.group().filter(|group| {
            let before = |member: usize| hidden[a] > hidden[member];
            rng.bool() && random.members(*group).all(before)
        });
        let step = if a < body { &mut random.steps[a] } else { &mut random.last[a - body] };
        match whole_group {
            Some(group) => step.groups.insert(group),
            None if rng.bool() || is_gate => step.needs.insert(b),
            None => step.reads.insert(b),
        };
    }
    random
}

/// Every step of the plan but the gates that groups have, with its index in the random workflow.
fn written(plan: &Plan) -> Vec<(usize, usize)> {
    let index = |id: &str| id.strip_prefix('s').and_then(|id| id.parse().ok());
    plan.steps.iter().enumerate().filter_map(|(at, step)| Some((at, index(&step.id)?))).collect()
}

#[test]
fn random_graphs_are_ordered_as_the_oracle_says() {
    let (mut ordered, mut circular, mut stuck) = (0, 0, 0);
    for seed in 0..2_000 {
        let random = random(&mut fastrand::Rng::with_seed(seed));
        let text = random.text();
        let source = Source { name: "test".to_owned(), text: text.clone() };
        let checked = check(&source, &TestFiles);
        let codes: Vec<&str> = checked.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code.id()).collect();
        let Some(order) = random.order() else {
            circular += 1;
            assert!(checked.workflow.is_none());
            assert!(codes.iter().all(|code| *code == "A0114"), "seed {seed}: {codes:?}\n{text}");
            continue;
        };
        if !random.comes_to_an_end() {
            stuck += 1;
            assert!(!codes.is_empty() && codes.iter().all(|code| *code == "A0130"), "seed {seed}: {codes:?}\n{text}");
            continue;
        }
        ordered += 1;
        let hosts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let given = Given {
            roles: [("one".to_owned(), hosts(&["a"])), ("many".to_owned(), hosts(&["a", "b"]))].into(),
            ..Given::default()
        };
        let workflow = checked.workflow.unwrap_or_else(|| panic!("seed {seed}: {codes:?}\n{text}"));
        let plan = workflow.compile(&given, &TestFiles).expect("a plan").plan;
        assert_eq!(plan.validate(), Ok(()), "seed {seed}");
        compare(&random, &order, &plan, seed);
    }
    assert!(ordered > 1_000 && circular > 150 && stuck > 50, "{ordered} ordered, {circular} circular, {stuck} stuck");
}

fn compare(random: &Random, order: &[usize], plan: &Plan, seed: u64) {
    let written = written(plan);
    assert_eq!(written.iter().map(|(_, i)| *i).collect::<Vec<_>>(), order, "seed {seed}");
    let in_file: BTreeMap<usize, usize> = written.iter().copied().collect();
    for (at, i) in written {
        let (step, kind) = (&plan.steps[at], random.step(i).kind);
        let found: BTreeMap<usize, (EdgeKind, EdgeOrigin)> =
            step.needs.iter().map(|edge| (in_file[&edge.step], (edge.kind, edge.origin))).collect();
        let needed = random.needed(i);
        let wanted = random.waits(i).into_iter().map(|need| {
            let keyed = kind.is_keyed_to(random.step(need).kind);
            let origin = if needed.contains(&need) { EdgeOrigin::Needs } else { EdgeOrigin::Reference };
            (need, (if keyed { EdgeKind::Keyed } else { EdgeKind::Barrier }, origin))
        });
        assert_eq!(found, wanted.collect(), "seed {seed}");
        assert!(step.needs.iter().all(|edge| edge.step < at));
        assert_eq!(
            step.group.map(|group| plan.groups[group].id.clone()),
            kind.group().map(|group| format!("g{group}"))
        );
        assert_eq!((step.role.as_deref(), step.each.is_some()), (kind.role(), kind.each().is_some()), "seed {seed}");
        assert_eq!(step.finally.is_some(), i >= random.steps.len(), "seed {seed}");
        let gate = step.group.and_then(|group| plan.groups[group].gate);
        assert_eq!(gate.is_some(), kind.group().is_some_and(|group| random.rolling[group]), "seed {seed}");
        assert!(gate.is_none_or(|gate| gate < at && matches!(plan.steps[gate].action, Action::Gate { .. })));
    }
}
