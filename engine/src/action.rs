//! The actions, one file each: what a rendered call does on a host and how its end is judged.

pub mod copy;
pub mod download;
pub mod facts;
pub mod failure;
pub mod here;
pub mod http;
pub mod job;
pub mod notify;
pub mod out;
pub mod output;
pub mod patch;
pub mod probe;
pub mod reboot;
pub mod restore;
pub mod upload;
pub mod wait;
pub mod write;
