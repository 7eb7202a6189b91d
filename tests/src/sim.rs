//! The simulation: the pure core against a seeded world of model hosts, a clock and a store that tears.
//!
//! One seed makes one plan and one world. The world is first run without a crash, which counts the writes; then once for
//! every write and every way of dying around it – before it, in the middle of it, after it – and after each crash a new
//! engine replays what the store kept and goes on. The invariants are checked at every step; a failure names its seed, and
//! the same seed does the same again.

mod check;
mod hosts;
mod plans;
mod run;

pub use run::{Report, Seed, simulate};
