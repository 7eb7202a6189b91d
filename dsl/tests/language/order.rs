//! The order of steps and the edges between them, against an oracle that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use dsl::plan::{EdgeKind, EdgeOrigin};
use dsl::{Given, Source, check};

use crate::fixture::TestFiles;

/// What a step of a random workflow waits for: by `needs`, by a reference, or both.
#[derive(Default)]
struct RandomStep {
    role: usize,
    needs: BTreeSet<usize>,
    reads: BTreeSet<usize>,
}

fn workflow(steps: &[RandomStep]) -> String {
    let mut text = "Workflow(name: \"test\", roles: {\"r0\": One, \"r1\": One}, steps: [\n".to_owned();
    for (i, step) in steps.iter().enumerate() {
        let needs: Vec<String> = step.needs.iter().map(|n| format!("\"s{n}\"")).collect();
        let reads: String = step.reads.iter().map(|n| format!("${{{{ steps.s{n}.out.x }}}}")).collect();
        text.push_str(&format!(
            "Step(id: \"s{i}\", on: \"r{}\", needs: [{}], do: Run([\"echo\", \"{reads}\"]), out: {{\"x\": Stdout(type: Text)}}),\n",
            step.role,
            needs.join(", ")
        ));
    }
    text + "])"
}

/// Again and again the first step of the file whose needs are all done; `None` where there is a circle.
fn oracle(steps: &[RandomStep]) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = Vec::new();
    while order.len() < steps.len() {
        let next = (0..steps.len())
            .find(|i| !order.contains(i) && steps[*i].needs.union(&steps[*i].reads).all(|need| order.contains(need)))?;
        order.push(next);
    }
    Some(order)
}

#[test]
fn random_graphs_are_ordered_as_the_oracle_says() {
    let (mut ordered, mut circular) = (0, 0);
    for seed in 0..400 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let n = rng.usize(1..14);
        let mut steps: Vec<RandomStep> =
            (0..n).map(|_| RandomStep { role: rng.usize(..2), ..RandomStep::default() }).collect();
        // A hidden order, which most edges follow; the others make circles.
        let mut hidden: Vec<usize> = (0..n).collect();
        rng.shuffle(&mut hidden);
        for _ in 0..rng.usize(..2 * n) {
            let (a, b) = (rng.usize(..n), rng.usize(..n));
            let forward = hidden[a] > hidden[b] || (a != b && rng.u8(..3) == 0);
            if forward {
                let step = &mut steps[a];
                if rng.bool() {
                    step.needs.insert(b)
                } else {
                    step.reads.insert(b)
                };
            }
        }
        let source = Source { name: "test".to_owned(), text: workflow(&steps) };
        let checked = check(&source, &TestFiles);
        let Some(order) = oracle(&steps) else {
            circular += 1;
            assert!(checked.workflow.is_none());
            assert!(checked.diagnostics.iter().all(|d| d.code.id() == "A0114"), "seed {seed}");
            continue;
        };
        ordered += 1;
        let given = Given {
            roles: [("r0".to_owned(), vec!["a".to_owned()]), ("r1".to_owned(), vec!["a".to_owned()])].into(),
            ..Given::default()
        };
        let workflow = checked.workflow.unwrap_or_else(|| panic!("seed {seed}: {:?}", checked.diagnostics));
        let plan = workflow.compile(&given, &TestFiles).expect("a plan").plan;
        let ids: Vec<String> = order.iter().map(|i| format!("s{i}")).collect();
        assert_eq!(plan.steps.iter().map(|step| step.id.clone()).collect::<Vec<_>>(), ids, "seed {seed}");
        for (at, step) in plan.steps.iter().enumerate() {
            let random = &steps[order[at]];
            let found: BTreeMap<usize, (EdgeKind, EdgeOrigin)> =
                step.needs.iter().map(|edge| (order[edge.step], (edge.kind, edge.origin))).collect();
            let wanted = random.needs.union(&random.reads).map(|need| {
                let kind = if steps[*need].role == random.role { EdgeKind::Keyed } else { EdgeKind::Barrier };
                let origin = if random.needs.contains(need) { EdgeOrigin::Needs } else { EdgeOrigin::Reference };
                (*need, (kind, origin))
            });
            assert_eq!(found, wanted.collect(), "seed {seed}");
            assert!(step.needs.iter().all(|edge| edge.step < at));
        }
    }
    assert!(ordered > 100 && circular > 20, "{ordered} ordered, {circular} circular");
}
