//! The socket: Anneal's own HTTP API, served by the process that holds the store (D1).
//!
//! Whoever holds the store serves `<data-dir>/anneal.sock` (mode 0600, HTTP/1.1 with JSON); every command connects there
//! first and opens the store itself only when nobody answers. Either way it then speaks to the same API, so there is one
//! way in and one behaviour ([`attach`]).

mod access;
mod api;
mod client;
mod routes;
mod socket;
mod watch;

pub use access::{Access, Owner, attach};
pub use api::{About, ApiError, CreateRequest, OutputView, ResumeRequest, WatchLine};
pub use client::{Client, ClientError, Lines};
