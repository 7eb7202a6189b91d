//! `make faults ROUNDS=20`: every way in which a data folder, or the machine around it, can be wrong, each on a fresh copy.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::broken::Broken;
use super::crash::caught;
use super::fault::Fault;
use super::stored::Stored;
use super::table::Table;
use super::{catalogue, machine};
use crate::mounted::Kind;

/// Faults at once.
const WORKERS: usize = 2;

/// A fault of the machine; whether the binary named it.
type OfMachine<'a> = (&'static str, String, Box<dyn Fn(&Stored) -> Result<bool, Broken> + Sync + 'a>);

/// One piece of work.
enum Work<'a> {
    Files(&'a Fault),
    Machine(&'a OfMachine<'a>),
}

/// Runs the campaign; `rounds` is how many of each random kind there are. `say` hears of each that is not survived.
///
/// # Panics
/// When the folder that the copies are made of cannot be made.
pub fn run(rounds: usize, seed: u64, say: impl Fn(&str) + Sync) -> Table {
    let stored = Stored::new();
    let faults = catalogue::faults(&stored, rounds, seed);
    let of_machine = of_machine(rounds, seed);
    let work: Vec<Work<'_>> = of_machine.iter().map(Work::Machine).chain(faults.iter().map(Work::Files)).collect();
    let (next, table) = (AtomicUsize::new(0), Mutex::new(Table::default()));
    let worker = || {
        while let Some(work) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (kind, what, came) = match work {
                Work::Files(fault) => (fault.kind, &fault.what, caught(|| fault.survive(&stored))),
                Work::Machine((kind, what, fault)) => (*kind, what, caught(|| fault(&stored))),
            };
            let (named, came) = match came {
                Ok(named) => (u64::from(named), Ok(())),
                Err(why) => {
                    say(&format!("{kind}: {what}: {why}"));
                    (0, Err((what.clone(), why)))
                }
            };
            table.lock().expect("nobody panics while holding it").add(kind, named, came);
        }
    };
    std::thread::scope(|scope| (0..WORKERS).for_each(|_| drop(scope.spawn(worker))));
    table.into_inner().expect("nobody panics while holding it")
}

fn of_machine<'a>(rounds: usize, seed: u64) -> Vec<OfMachine<'a>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut all: Vec<OfMachine<'a>> = Vec::new();
    for kind in [Kind::Tmpfs, Kind::Ext4] {
        let frees = [0, 1, 4096, 65_536].into_iter().chain((0..rounds).map(|_| rng.usize(0..20 << 20)));
        for free in frees.take(rounds + 1) {
            let what = format!("{free} bytes free on {kind:?}");
            all.push(("a full disk", what, Box::new(move |stored| machine::full_disk(stored, kind, free))));
        }
        all.push(("a read-only disk", format!("{kind:?}"), Box::new(move |stored| machine::read_only(stored, kind))));
    }
    for round in 0..rounds.div_ceil(4) {
        for (what, made) in [("a folder that is there", true), ("a folder that is not there yet", false)] {
            let what = format!("{what}, race {round}");
            all.push(("20 processes at once", what, Box::new(move |stored| machine::race(stored, made))));
        }
    }
    for _ in 0..rounds * 2 {
        let after_us = rng.u64(0..50_000);
        let what = format!("after {after_us} us");
        let fault = Box::new(move |_: &Stored| machine::killed_while_made(after_us));
        all.push(("killed while it makes the folder", what, fault));
    }
    let mut once = |kind, fault: fn(&Stored) -> Result<bool, Broken>| {
        all.push((kind, String::new(), Box::new(fault)));
    };
    once("a folder of another user", machine::other_user);
    once("the process that holds the store is stopped", machine::stopped);
    once("the folder is moved", machine::moved);
    once("the clock is set back", machine::clock_set_back);
    all
}
