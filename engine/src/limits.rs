//! The limits of the engine, in one place. The table in the docs is generated from [`table`].

/// Nodes of one operation.
pub const NODES: usize = 100_000;
/// Hosts of one operation.
pub const HOSTS: usize = 10_000;
/// Executors at work at once, over all operations.
pub const EXECUTORS: usize = 512;
/// Reports that may queue up for one operation before its executors wait.
pub const REPORTS: usize = 1_024;
/// Bytes of output that a journal entry holds itself; more goes into a blob (D3).
pub const INLINE_OUTPUT_BYTES: usize = 16 * 1024;
/// Bytes of one `out` value.
pub const OUT_BYTES: usize = 64 * 1024;
/// Bytes of live output kept in memory for each running node.
pub const LIVE_BYTES: usize = 64 * 1024;
/// Bytes of an answer that `Wait(until: Http(…))` reads before it lets go.
pub const HTTP_BODY_BYTES: usize = 64 * 1024;
/// Secrets shorter than this are protected by structure only, not by filtering (D9).
pub const FILTERED_SECRET_BYTES: usize = 8;
/// Milliseconds that the job folders of an operation that has ended may take to be removed.
pub const SWEEP_MS: u64 = 10_000;

/// A limit as the docs show it.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// Its unit.
    pub unit: &'static str,
}

/// All limits of this crate.
pub fn table() -> Vec<Limit> {
    let limit = |name, value: usize, unit| Limit { name, value: value as u64, unit };
    vec![
        limit("nodes of one operation", NODES, "nodes"),
        limit("hosts of one operation", HOSTS, "hosts"),
        limit("executors at work at once", EXECUTORS, "executors"),
        limit("reports queued for one operation", REPORTS, "reports"),
        limit("output held in a journal entry", INLINE_OUTPUT_BYTES, "bytes"),
        limit("one `out` value", OUT_BYTES, "bytes"),
        limit("live output kept for a running node", LIVE_BYTES, "bytes"),
        limit("answer read by `Wait(until: Http(…))`", HTTP_BODY_BYTES, "bytes"),
        limit("shortest secret that output is filtered for", FILTERED_SECRET_BYTES, "bytes"),
        Limit { name: "removing the job folders of an ended operation", value: SWEEP_MS, unit: "ms" },
    ]
}
