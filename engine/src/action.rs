//! The actions, one file each: what a rendered call does on a host and how its end is judged.

pub mod facts;
pub mod failure;
pub mod job;
pub mod out;
pub mod output;
pub mod patch;
pub mod probe;
pub mod restore;
pub mod upload;
pub mod wait;
pub mod write;
