//! Campaigns against the real binary: `make crash` kills it while it works on real hosts, `make faults` damages its store.
//!
//! Both hold what they see against two rules. *Lost = 0*: whatever was shown as durable is in the journal afterwards, with the
//! same content, and whatever ended on a host is in the journal in the end. *Run twice = 0*: no attempt is executed twice, and
//! each further attempt has its reason in front of it in the journal. Executions are counted on the host, by the programs
//! that are executed (`tests/campaign/effect.sh`), never by what Anneal says of itself.

pub mod crash;
pub mod faults;

mod broken;
mod catalogue;
mod damage;
mod effects;
mod fault;
mod fleet;
mod formats;
mod history;
mod judge;
mod machine;
mod processes;
mod round;
mod stored;
mod table;
