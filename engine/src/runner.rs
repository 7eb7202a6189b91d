//! The runner: the shell around the pure core.
//!
//! One task per operation ([`task`]) owns its [`Driver`](crate::operation::Driver): it hands over what was learnt, makes the
//! events durable, and only then lets executors begin (I1). Executors ([`executor`]) work on one node each and report; they
//! never touch the state. [`Engine`] is what the server talks to.

mod call;
mod clock;
mod context;
mod create;
mod engine;
mod executor;
mod here;
mod hosts;
mod inputs;
mod live;
mod locks;
mod prune;
mod query;
mod reconcile;
mod recover;
mod release;
mod spawn;
mod standing;
mod task;

pub(crate) use call::{Assets, EdgeScope, Renderer, call, slot_of};
pub use call::{Call, FileToWrite, Ready, Task, UploadSource, Work};
pub use clock::now_ms;
pub use context::Context;
pub(crate) use context::{HostPlaces, THIS_MACHINE, known_hosts, public_values};
pub use create::{Create, IfLocked, lock_words};
pub use engine::{Engine, Options};
pub use executor::{Executor, HostExecutor, Left, Reporter, Transfer};
pub(crate) use hosts::first_generation;
pub use hosts::{HostSpec, reach};
pub(crate) use inputs::InputScope;
pub use live::{LiveAt, LiveKey, Moving, Tail};
pub use locks::HeldBy;
pub use prune::{Pruned, Retention};
pub use reconcile::{FoundAttempt, Reconciled};
pub use recover::Recovered;
pub use release::{LeftAlone, Released};
pub use standing::{Standing, Update, Waits};
