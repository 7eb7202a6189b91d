//! What the tests share: the simulation of the core, the real binary, and the real hosts that it works on.
//!
//! A test that needs something that this machine does not have fails and says what is missing; none is ever skipped.

pub mod anneal;
pub mod bench;
pub mod binary;
pub mod campaign;
pub mod canary;
pub mod hostfaults;
pub mod journal;
pub mod mounted;
pub mod powercut;
pub mod registry;
pub mod running;
pub mod sim;
pub mod snapshot;
pub mod sshd;
pub mod testbed;
pub mod until;
pub mod web;
