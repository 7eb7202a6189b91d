//! `make faults-hosts`: what can be wrong with a host, with the network, or on the way between them, each done for real to an
//! SSH server on this machine while the real binary works on it, and compared with what an operator should get.
//!
//! A fault is a [`case::Case`]: the host as given, what is asked of it, what is done meanwhile, what is expected. All of them
//! run in a [`world`] of their own, so nothing of this machine is touched, and nothing is left.

pub mod breaking;
pub mod case;
pub mod host;
pub mod line;
pub mod lines;
pub mod machine;
pub mod net;
pub mod odd;
pub mod output;
pub mod play;
pub mod programs;
pub mod reaching;
pub mod run;
pub mod sessions;
pub mod world;
