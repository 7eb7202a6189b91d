//! All faults, or those of one part, and the table of what came of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::case::{Case, Part, Row};
use super::{breaking, lines, machine, output, programs, reaching, sessions};

/// Faults at once: most of the time each of them waits.
const WORKERS: usize = 6;

/// By how much what is quick may be late: as a test it runs beside others on a busy machine.
const PATIENCE: u32 = 4;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only what takes a few seconds.
    pub quick: bool,
    /// Only this part.
    pub part: Option<Part>,
    /// Only faults with these words in them.
    pub words: Option<String>,
}

/// Every fault there is.
pub fn all() -> Vec<Case> {
    let parts = [
        reaching::cases(),
        breaking::cases(),
        sessions::cases(),
        programs::cases(),
        output::cases(),
        machine::cases(),
        lines::cases(),
    ];
    parts.into_iter().flatten().collect()
}

/// Runs what is wanted; `say` hears of each that comes to something else than it should.
pub fn run(wanted: &Wanted, say: impl Fn(&str) + Sync) -> Vec<Row> {
    let mut cases = all();
    cases.retain(|case| {
        (case.quick || !wanted.quick)
            && wanted.part.is_none_or(|part| part == case.part)
            && wanted.words.as_ref().is_none_or(|words| case.fault.contains(words))
    });
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let worker = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(number) else { return };
            let row = case.run(if wanted.quick { PATIENCE } else { 1 });
            row.differences.iter().for_each(|why| say(&format!("{}: {why}", row.fault)));
            rows.lock().expect("nobody panics while holding it").push((number, row));
        }
    };
    std::thread::scope(|scope| (0..WORKERS).for_each(|_| drop(scope.spawn(worker))));
    let mut rows = rows.into_inner().expect("nobody panics while holding it");
    rows.sort_by_key(|(number, _)| *number);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The table.
pub fn shown(rows: &[Row]) -> String {
    let mut text = "| fault | expected | seen | ok |\n|---|---|---|---|\n".to_owned();
    for Row { fault, expected, seen, differences } in rows {
        let ok = if differences.is_empty() { "yes" } else { "NO" };
        text.push_str(&format!("| {fault} | {expected} | {seen} | {ok} |\n"));
    }
    let as_expected = rows.iter().filter(|row| row.differences.is_empty()).count();
    text.push_str(&format!("{as_expected} of {} as expected\n", rows.len()));
    for row in rows {
        row.differences.iter().for_each(|why| text.push_str(&format!("NOT AS EXPECTED: {}: {why}\n", row.fault)));
    }
    text
}
