//! The simulation: the pure core against a seeded world – model hosts, a network that loses and holds things back, a clock
//! that is set, people who meddle, and a store that tears, is full or fails.
//!
//! One seed makes a world with one or several operations that share locks. It is first run without a fault of the store, which
//! counts the writes; then once for every write with a fault around it – the engine dies before it, in the middle of it,
//! after it, or the write is refused – and after each death a new engine replays what the store kept and goes on. The
//! invariants are checked at every step; a failure names its seed, and the same seed does the same again.

mod check;
mod hosts;
mod locks;
mod oracle;
mod person;
mod plans;
mod records;
mod wire;
mod world;
mod write;

use std::sync::Arc;

use dsl::plan::Plan;
use engine::operation::{Alone, Driver, Entry, Input, World as Handed};
use fastrand::Rng;

use world::World;
pub use world::{Report, Seed};
use write::DEATHS;

/// Every so many seeds, every fault is tried at every write.
const ALL_FAULTS: u64 = 10;

/// Puts one seed through a fault at every write.
pub fn simulate(seed: Seed) -> Result<Report, String> {
    simulate_all(seed, seed.is_multiple_of(ALL_FAULTS))
}

/// Puts one seed through a fault at every write, or through all of them at every write.
pub fn simulate_all(seed: Seed, all: bool) -> Result<Report, String> {
    let mut report = Report::default();
    let (clean, journals) = World::new(seed, None).run().map_err(|why| format!("seed {seed}, no fault: {why}"))?;
    report.add(&clean);
    for (plan, journal) in journals {
        oracle::judge(&plan, &journal).map_err(|why| format!("seed {seed}, no fault: {why}"))?;
        damaged(seed, &plan, &journal);
    }
    for at in 0..clean.writes {
        // Every write of every seed; every fault at each of them for some seeds, one in turn for the others.
        let turn = DEATHS[((seed + at) % DEATHS.len() as u64) as usize];
        for death in DEATHS.into_iter().filter(|death| all || *death == turn) {
            let wrong = |why| format!("seed {seed}, {death:?} at write {at}: {why}");
            let (run, journals) = World::new(seed, Some((at, death))).run().map_err(wrong)?;
            journals.iter().try_for_each(|(plan, journal)| oracle::judge(plan, journal)).map_err(wrong)?;
            report.add(&run);
        }
    }
    Ok(report)
}

/// A journal that lost, doubled or swapped entries is refused or gives some valid operation; it never panics (I11).
fn damaged(seed: Seed, plan: &Arc<Plan>, journal: &[Entry]) {
    let mut rng = Rng::with_seed(seed);
    for _ in 0..20 {
        let mut journal = journal.to_vec();
        let (a, b) = (rng.usize(0..journal.len()), rng.usize(0..journal.len()));
        match rng.u8(0..4) {
            0 => drop(journal.remove(a)),
            1 => journal.insert(b, journal[a].clone()),
            2 => journal.swap(a, b),
            _ => journal[a].event = journal[b].event.clone(),
        }
        // So that the gap check does not hide what lies behind it.
        for (index, entry) in journal.iter_mut().enumerate() {
            entry.seq = index as u64 + 1;
            entry.at_ms = 1_700_000_000_000 + index as u64;
        }
        if let Ok(operation) = check::durable(plan, &journal) {
            let handed =
                &mut Handed { now_ms: 1_700_000_001_000, jitter: &mut || 0.5, places: &mut Alone, records: &Alone };
            let _ = Driver::new(operation, 1).decide(vec![Input::Go], handed);
        }
    }
}
