//! What the benchmarks share: medians, a host to work on, a row of the table.
//!
//! Every benchmark runs its peer in the same run, alternating with it, and prints the ratio of the medians: absolute times
//! on shared machines mean nothing. A ratio over its bound makes the command fail.

#![allow(clippy::print_stdout, reason = "a benchmark's table is what it is for")]

pub mod contestants;
pub mod group;
pub mod host;
pub mod hosts;
pub mod plot;
pub mod proxy;
pub mod work;

use std::time::{Duration, Instant};

/// Anything that went wrong.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long `work` takes.
pub fn time(work: impl FnOnce() -> Fallible<()>) -> Fallible<Duration> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

/// The median of an odd number of values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// User and system time of this process, microseconds (proc(5), `/proc/self/stat` fields 14 and 15, in ticks of 10 ms).
pub fn cpu_us() -> Fallible<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let tick = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((tick(11) + tick(12)) * 10_000.0)
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Ours.
    pub ours: String,
    /// The peer's.
    pub peer: String,
    /// The figure that counts.
    pub figure: f64,
    /// Its bound.
    pub bound: Bound,
}

/// What a figure must be.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Row {
    /// Prints it; whether it is within its bound.
    pub fn print(&self) -> bool {
        let (sign, bound, kept) = match self.bound {
            Bound::AtMost(bound) => ("<=", bound, self.figure <= bound),
            Bound::AtLeast(bound) => (">=", bound, self.figure >= bound),
        };
        let verdict = if kept { "ok" } else { "OVER" };
        println!(
            "{:<44} {:>16} {:>22} {:>8.2} {sign} {bound:<6} {verdict}",
            self.what, self.ours, self.peer, self.figure
        );
        kept
    }
}

/// The head of the table.
pub fn head() {
    println!("{:<44} {:>16} {:>22} {:>8}    bound", "what", "anneal", "peer", "figure");
}
