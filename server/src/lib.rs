//! The socket: Anneal's own HTTP API, served by the process that holds the store (D1).
//!
//! Whoever holds the store serves `<data-dir>/anneal.sock` (mode 0600, HTTP/1.1 with JSON); every command connects there
//! first and opens the store itself only when nobody answers. Either way it then speaks to the same API, so there is one
//! way in and one behaviour ([`attach`]).

mod access;
mod anonymous;
mod api;
mod client;
mod export;
mod routes;
mod socket;
mod watch;

pub use access::{Access, Owner, attach, holder};
pub use api::{
    About, ApiError, BackupAnswer, BackupRequest, CompactAnswer, CreateRequest, Left, OutputView, PruneRequest,
    RecoveredAnswer, ReleaseRequest, Row, SecretRename, SecretSet, SecretValue, SecretValues, StoreProblem,
    VerbRequest, VerifyAnswer, WatchLine, kind_word,
};
pub use client::{Chunks, Client, ClientError, Lines};
pub use export::{EXPORT_FORMAT, Export, StoreFacts};
