//! Requests from this machine: whom a server's certificate must be vouched for by, a connection, one request on it.
//!
//! Invariant: no error repeats an address that may hold a secret (I8), and every error says whether anything was sent: what was
//! not sent can be sent again.

pub mod address;
pub mod client;
pub mod tls;
