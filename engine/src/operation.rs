//! Operations: the pure state machine. No I/O, no clock, no randomness.
//!
//! Way of an event: the runner hands what it learnt to [`Driver::decide`]; that folds it into the state, asks
//! [`what_next`] until nothing more follows by itself, and gives back the events to commit, in one batch (D12), and the
//! effects to begin once they are durable (I1). Recovery replays the journal through the same [`Operation::apply`] (I5).

mod apply;
mod carry_out;
mod decision;
mod driver;
mod each;
mod edges;
mod event;
mod group;
mod holding;
mod hosts;
mod lay_out;
mod life;
mod node;
mod places;
mod recording;
mod records;
mod replay;
mod rollback;
mod scope;
mod starts;
mod state;
mod suppose;
mod turn;
mod verb;
mod what_next;

pub use decision::{Decision as Decided, Effect, Input, NodeOutcome, Rest, World};
pub use driver::Driver;
pub(crate) use each::elements;
pub use event::{CancelMode, Decision, Entry, Event, FailedBecause, JOURNAL_FORMAT, OLDEST_FORMAT, Outcome, UndoSkip};
pub use hosts::{AnswerRecord, AuthRecord, HopRecord, HostKeyRecord, HostRecord, ReachRecord, SshRecord, ViaRecord};
pub use life::{Activity, Etsi, Life};
pub use node::{
    Done, Failure, FailureClass, Gate, HERE, NodeEvent, NodeId, NodeState, OutputRef, Proof, Skip, Undo, Unknown,
};
pub use places::{Alone, Places};
pub use records::{Change, Content, Freshness, Member, Record, RecordKey, Records, written};
pub use replay::{ReplayError, replay};
pub use scope::CoreScope;
pub use state::{IllegalEvent, Locks, MayRun, Node, Operation};
pub use verb::{Refused, Verb};
pub use what_next::{Command, what_next};
