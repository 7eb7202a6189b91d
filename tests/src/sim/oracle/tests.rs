//! The oracle is known to see: journals of whole worlds, changed so that they are wrong.

use dsl::plan::Plan;
use engine::operation::{Entry, Event, NodeId, Outcome};

use super::super::world::World;
use super::{Oracle, judge, subject};

/// What the oracle says of the journals of some worlds after each of these changes: how many it refused, of how many.
fn refused(change: impl Fn(&Plan, &[Entry]) -> Vec<Vec<Entry>>) -> (usize, usize) {
    let (mut refused, mut all) = (0, 0);
    for seed in 0..120 {
        let (_, journals) = World::new(seed, None).run().expect("a world without a fault");
        for (plan, journal) in journals {
            assert_eq!(judge(&plan, &journal), Ok(()), "seed {seed}");
            for changed in change(&plan, &journal) {
                all += 1;
                refused += usize::from(judge(&plan, &changed).is_err());
            }
        }
    }
    (refused, all)
}

/// The journal with one of its entries elsewhere.
fn moved(journal: &[Entry], from: usize, to: usize) -> Vec<Entry> {
    let mut journal = journal.to_vec();
    let entry = journal.remove(from);
    journal.insert(to, entry);
    journal
}

fn places(journal: &[Entry], which: impl Fn(&Event) -> bool) -> Vec<usize> {
    (0..journal.len()).filter(|at| which(&journal[*at].event)).collect()
}

#[test]
fn a_step_that_begins_before_what_it_needs_is_seen() {
    let (refused, all) = refused(|plan, journal| {
        let waits = |id: &NodeId| plan.steps.iter().any(|step| step.id == id.step && !step.needs.is_empty());
        let begins = |event: &Event| matches!(event, Event::Started { node, .. } if waits(node));
        places(journal, begins).into_iter().map(|at| moved(journal, at, 1)).collect()
    });
    assert!(refused == all && all > 100, "{refused} of {all}");
}

#[test]
fn what_is_not_reached_for_no_reason_and_what_ends_too_soon_is_seen() {
    let (refused, all) = self::refused(|_, journal| {
        places(journal, |event| matches!(event, Event::NotReached { .. }))
            .into_iter()
            .map(|at| moved(journal, at, 1))
            .collect()
    });
    assert!(refused == all && all > 20, "{refused} of {all}");
    let (refused, all) = self::refused(|_, journal| {
        let ends = |event: &Event| matches!(event, Event::Ended { outcome: Outcome::Completed { .. } });
        places(journal, ends).into_iter().filter(|at| *at > 2).map(|at| moved(journal, at, 2)).collect()
    });
    assert!(refused * 10 > all * 6 && all > 20, "{refused} of {all}");
}

#[test]
fn undoing_in_another_order_is_seen() {
    let (refused, all) = refused(|plan, journal| {
        let begins = places(journal, |event| matches!(event, Event::UndoStarted { .. }));
        let asked = places(journal, |event| matches!(event, Event::RollbackAsked { .. }));
        let Some(asked) = asked.first() else { return Vec::new() };
        let id = |at: usize| subject(&journal[at].event).expect("a node");
        let oracle = Oracle::new(plan);
        // The last undo comes first, though something that was undone before depends on it.
        let early = begins.iter().filter(|at| *at > asked).filter(|at| {
            begins.iter().any(|other| asked < other && other < *at && oracle.depends_on(id(*other), id(**at)))
        });
        early.map(|at| moved(journal, *at, asked + 1)).collect()
    });
    assert!(refused == all && all > 3, "{refused} of {all}");
}
