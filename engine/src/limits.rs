//! The limits of the engine, in one place. The table in the docs is generated from [`table`].

/// A limit as the docs show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its name in the code.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// Its unit.
    pub unit: &'static str,
    /// What it limits.
    pub about: &'static str,
}

macro_rules! limits {
    ($($name:ident: $ty:ty = $value:expr, $unit:literal, $about:literal;)*) => {
        $(#[doc = $about] #[doc = concat!("\n\nUnit: ", $unit, ".")] pub const $name: $ty = $value;)*

        /// All limits, in the order of this file.
        pub fn table() -> Vec<Limit> {
            vec![$(Limit { name: stringify!($name), value: $name as u64, unit: $unit, about: $about }),*]
        }
    };
}

limits! {
    NODES: usize = 100_000, "nodes", "Nodes of one operation.";
    ELEMENTS: u64 = 10_000, "elements", "Elements of one `each`.";
    HOSTS: usize = 2_000, "hosts", "Hosts of one operation.";
    LABELS: usize = 64, "labels", "Labels of one host.";
    LABEL_BYTES: usize = 255, "bytes", "The name of a label, and its value.";
    EXECUTORS: usize = 512, "executors", "Executors at work at once, over all operations.";
    AT_HOST: usize = 32, "nodes", "Nodes at work on one host at once, over all operations.";
    LASTING_SECRETS: usize = 1_000, "secrets", "Secrets that are sealed in the store by `anneal secret set`.";
    LASTING_SECRET_BYTES: usize = 64 * 1024, "bytes", "One of them.";
    LOCK_BYTES: usize = 512, "bytes", "The name of a lock or an instance.";
    RECORD_VALUES_BYTES: usize = 4 * 1024, "bytes", "Kind and values of one record, with their names.";
    RECORD_NAME_BYTES: usize = 900, "bytes", "What a record is called by in the store: the names of instance and host, with each `/` and `%` in them three times.";
    RECORD_BYTES: usize = 128 * 1024, "bytes", "One record with its members, as JSON.";
    RECOVERED_AT_ONCE: usize = 64, "operations", "Unfinished operations that a recovery reads and takes in hand in one go; it has one such share at work for each processor.";
    RECONCILED_AT_ONCE: usize = 16, "operations", "Open operations of a restored store that are compared with their hosts at once.";
    PRUNE_ROWS: usize = 1_000, "rows", "About so many rows one commit deletes when operations are pruned.";
    BLOB_GRACE_MS: u64 = 3_600_000, "ms", "How old a blob must be that a prune deletes because nothing refers to it.";
    WITHOUT_CONNECTION_MS: u64 = 3_600_000, "ms", "How long a host may be without an answer while a command runs on it, before nobody knows how that ended; the step's own `timeout` counts too.";
    REPORTS: usize = 1_024, "reports", "Reports that may queue up for one operation before its executors wait.";
    INLINE_OUTPUT_BYTES: usize = 16 * 1024, "bytes", "Output that a journal entry holds itself; more goes into a blob.";
    OUT_BYTES: usize = 64 * 1024, "bytes", "One `out` value.";
    ANSWER_BYTES: usize = 1024 * 1024, "bytes", "The body of an answer to a request.";
    CA_BYTES: u64 = 1024 * 1024, "bytes", "A file with the certificates that a request trusts.";
    FACT_BYTES: usize = 1_024, "bytes", "One fact of a host.";
    FACT_LINES: usize = 1_000, "facts", "What a host says of itself; of a list, each element counts.";
    LIVE_BYTES: usize = 64 * 1024, "bytes", "Live output kept in memory for each running node.";
    FILTERED_SECRET_BYTES: usize = 8, "bytes", "The shortest secret that output is filtered for; shorter ones are protected by structure only.";
    PATCHED_BYTES: usize = 512 * 1024, "bytes", "A file that `PatchFile` changes.";
    PREVIEW_TEXT_BYTES: usize = 256 * 1024, "bytes", "A file of which `anneal plan` shows the difference line by line; of a larger one sizes and digests.";
    PREVIEW_DIFFERENCE_BYTES: usize = 32 * 1024, "bytes", "What `anneal plan` shows of the difference of one file.";
    SWEEP_MS: u64 = 10_000, "ms", "How long removing the job folders of an operation that has ended may take.";
    TRIAL_RUNS: usize = 10_000, "runs", "Runs of one `anneal test`, each of them of the whole operation.";
    TRIAL_NODE_RUNS: usize = 1_000_000, "nodes", "Nodes of one `anneal test`, over all its runs.";
    TRIAL_HAPPENINGS: usize = 1_000, "happenings", "What may happen in one run of `anneal test` for each of its nodes, before it counts as one that never ends.";
}
