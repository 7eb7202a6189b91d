//! The power is cut: a disk that records what it is told, workloads on it, and every kind of what may be left of them.
//!
//! `docs/powercut.md` says how it works and what it found; `make powercut` runs it.

mod campaign;
pub mod child;
mod configuration;
mod controls;
mod cut;
mod disk;
mod drive;
mod events;
mod facts;
mod fuse;
mod image;
mod judge;
mod kept;
pub mod run;
mod subject;
pub mod worker;
mod workload;
