//! `make crash ROUNDS=100`: SIGKILL at random times, again and again on one store and the same hosts.
//!
//! The seed decides what is injected when; what that hits is decided by the machine, so a seed makes a round likely again,
//! not certain. The data folder is kept where something was broken.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::broken::Broken;
use super::fleet::Fleet;
use super::round::{KINDS, Left, Round, check_effects};
use super::table::Table;
use crate::anneal::Anneal;
use crate::journal::{self, Entry};

/// Rounds that may break before the campaign ends: what follows would say the same.
const BROKEN: usize = 3;

/// What a campaign found.
#[derive(Debug, Default)]
pub struct Report {
    /// The table.
    pub table: Table,
    /// Operations that were run.
    pub operations: u64,
    /// How often one was resumed.
    pub resumed: u64,
    /// Attempts that were executed on hosts.
    pub executed: u64,
}

/// Runs a campaign in a data folder, which must be new. `say` hears of each round.
///
/// # Panics
/// When the testbed cannot be used.
pub fn run(rounds: usize, seed: u64, data: &Path, mut say: impl FnMut(&str)) -> Report {
    let fleet = Fleet::up();
    let anneal = Anneal::new().with_data(data);
    let mut report = Report::default();
    let mut journals: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for round in 0..rounds {
        let kind = KINDS[round % KINDS.len()];
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_add(round as u64));
        let mut one = Round { anneal: &anneal, fleet: &fleet, kind, rng: &mut rng };
        let came = caught(|| one.survive());
        let (left, came) = match came {
            Ok(left) => (left, Ok(())),
            Err(why) => (Left::default(), Err((format!("round {round}, seed {seed}"), why))),
        };
        say(&format!("round {round}: {}: {}", kind.name(), came.as_ref().map_or("NOT SURVIVED", |()| "survived")));
        report.operations += left.journals.len() as u64;
        report.resumed += left.resumed;
        report.executed += left.executed;
        report.table.add(kind.name(), left.acknowledged, came);
        journals.extend(left.journals);
        if report.table.broken.len() >= BROKEN {
            break;
        }
    }
    let whole = caught(|| whole(&anneal, &fleet, &journals));
    report.table.add(
        "all journals and effects of all rounds, at the end",
        0,
        whole.map_err(|why| (String::new(), why)),
    );
    report
}

/// What was so after each round is still so.
fn whole(anneal: &Anneal, fleet: &Fleet, journals: &BTreeMap<String, Vec<Entry>>) -> Result<(), Broken> {
    let ids: Vec<String> = journals.keys().cloned().collect();
    if journal::read_all(anneal.data(), &ids) != *journals {
        return Err(Broken::Lost("a journal is not any more as it was after its round".to_owned()));
    }
    check_effects(fleet, journals).map(drop)
}

/// A panic is something broken too.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Broken>) -> Result<T, Broken> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Broken::Other(text.unwrap_or_default()))
    })
}
