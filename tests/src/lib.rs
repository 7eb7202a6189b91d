//! What the tests share: the simulation of the core, and the real hosts that end-to-end tests work on.

pub mod sim;
