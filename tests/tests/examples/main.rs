//! The workflows of `workflows/examples`, each run end to end on hosts that behave like virtual machines: what they are for,
//! what they must never do, and that a failure half-way leaves things as they were.

mod blue_green;
mod disk_cleanup;
mod fixture;
mod postgres_move;
mod rolling_patch;
mod tls_rotation;
