//! Every limit of the language, in one place; the table in the documentation is made of [`table`].
//!
//! A limit is no opinion: what is over one is refused with a diagnostic that names it, so that no file, however made,
//! costs more than a known amount of memory, time and stack.

/// A row of the table of limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its name in the code.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// What it limits, with the unit.
    pub about: &'static str,
}

macro_rules! limits {
    ($( #[doc = $about:literal] $name:ident: $ty:ty = $value:expr; )*) => {
        $( #[doc = $about] pub const $name: $ty = $value; )*

        /// All limits, in the order in which they are declared.
        pub fn table() -> Vec<Limit> {
            vec![ $( Limit { name: stringify!($name), value: $name as u64, about: $about.trim_ascii() } ),* ]
        }
    };
}

limits! {
    /// Size of a workflow file in bytes.
    SOURCE_BYTES: usize = 2 << 20;
    /// Brackets inside brackets in a workflow file.
    NESTING: usize = 32;
    /// Diagnostics that are reported for one file.
    DIAGNOSTICS: usize = 100;
    /// Names that are compared with wrong ones to suggest the right ones, in one file.
    NAMES_COMPARED: usize = 50_000;
    /// Bytes of a name: of a workflow, step, input, output, role or variable.
    NAME_BYTES: usize = 64;
    /// Bytes of an `about`.
    ABOUT_BYTES: usize = 2_000;
    /// Inputs of a workflow, and fields of a record.
    INPUTS: usize = 500;
    /// Records inside records, and lists inside lists.
    TYPE_NESTING: usize = 4;
    /// Roles of a workflow.
    ROLES: usize = 100;
    /// Hosts that fill one role.
    SLOTS: usize = 1_000;
    /// Bytes of the name of a host.
    SLOT_BYTES: usize = 255;
    /// Named values of a workflow, under `let`.
    LETS: usize = 500;
    /// Operators, calls, names and literals of one named value when those in it are written out.
    LET_PARTS: usize = 1_000;
    /// The same of all places in which named values are read, in one workflow.
    LET_PARTS_ALL: usize = 100_000;
    /// Steps of a workflow.
    STEPS: usize = 10_000;
    /// Outputs of a workflow, and `out` values of a step.
    OUTPUTS: usize = 500;
    /// Steps that one step names in `needs`.
    NEEDS: usize = 1_000;
    /// Edges between the steps of a workflow.
    EDGES: usize = 500_000;
    /// Workflows that call each other inside one another.
    CALL_DEPTH: usize = 8;
    /// Workflows that one calls, those that are called by them too.
    CALLS: usize = 200;
    /// Groups of a workflow.
    GROUPS: usize = 1_000;
    /// Numbers in the `sizes` of a batch.
    BATCHES: usize = 100;
    /// Longest `pause` of a batch, in milliseconds.
    PAUSE_MAX_MS: u64 = 7 * 86_400_000;
    /// Nodes of a step that `parallel` allows at once.
    PARALLEL: u32 = 10_000;
    /// Locks of a step, locks of a workflow, and instances of a workflow.
    LOCKS: usize = 100;
    /// Values that one `Record` records.
    RECORDED: usize = 64;
    /// Who may answer at a gate.
    APPROVERS: usize = 100;
    /// Longest `within` of a gate, in milliseconds.
    GATE_WITHIN_MAX_MS: u64 = 365 * 86_400_000;
    /// Shortest `deadline`, in milliseconds.
    DEADLINE_MIN_MS: u64 = 1_000;
    /// Longest `deadline`, in milliseconds.
    DEADLINE_MAX_MS: u64 = 365 * 86_400_000;
    /// Elements of `Run([...])` or of `args`.
    ARGUMENTS: usize = 1_000;
    /// Variables in `env`.
    ENV: usize = 200;
    /// Choices of a `Choice([...])`, and statuses or exit codes that are listed.
    CHOICES: usize = 200;
    /// Bytes of a text in a workflow file, and of a value that is given.
    TEXT_BYTES: usize = 64 << 10;
    /// Elements of a list that is given.
    ELEMENTS: usize = 10_000;
    /// Bytes of a key of a map that is given.
    MAP_KEY_BYTES: usize = 255;
    /// Fewest characters of a secret that is drawn by `generate`.
    GENERATE_MIN: u32 = 8;
    /// Most characters of a secret that is drawn by `generate`.
    GENERATE_MAX: u32 = 1_024;
    /// Bytes of an expression.
    EXPRESSION_BYTES: usize = 4 << 10;
    /// Operators, calls and fields inside each other in an expression.
    EXPRESSION_DEPTH: usize = 32;
    /// Bytes of a pattern.
    PATTERN_BYTES: usize = 1 << 10;
    /// Bytes that a compiled pattern may take.
    PATTERN_COMPILED_BYTES: usize = 1 << 20;
    /// Bytes of a script or another file that belongs to the workflow.
    ASSET_BYTES: usize = 1 << 20;
    /// Bytes of all scripts and files of one workflow together.
    ASSETS_BYTES: usize = 64 << 20;
    /// Scripts and files of one workflow.
    ASSETS: usize = 1_000;
    /// Shortest `timeout` and `within`, in milliseconds.
    TIMEOUT_MIN_MS: u64 = 1_000;
    /// Longest `timeout` and `within`, in milliseconds.
    TIMEOUT_MAX_MS: u64 = 7 * 86_400_000;
    /// Shortest `every`, in milliseconds.
    EVERY_MIN_MS: u64 = 100;
    /// Longest `every`, in milliseconds.
    EVERY_MAX_MS: u64 = 3_600_000;
    /// Attempts of a step in all.
    RETRY_TIMES: u32 = 100;
    /// Longest `wait` and `cap` of a retry, in milliseconds.
    RETRY_WAIT_MAX_MS: u64 = 86_400_000;
    /// Largest `factor` of a retry.
    RETRY_FACTOR: u32 = 100;
    /// Longest duration that a value can hold, in milliseconds.
    DURATION_MS: u64 = 3_650 * 86_400_000;
    /// Largest number of bytes that a `Bytes` can hold.
    BYTES: u64 = 1 << 60;
    /// Bytes of a text that an expression makes.
    RESULT_BYTES: usize = 1 << 20;
    /// Headers of a request.
    HEADERS: usize = 100;
    /// Redirects that a request may follow.
    REDIRECTS: u32 = 10;
    /// Longest `valid_for` of a certificate, in milliseconds.
    VALID_FOR_MAX_MS: u64 = 3_650 * 86_400_000;
    /// Files that one `WriteFiles` writes.
    FILES: usize = 100;
    /// Lines of `ensure`, of `absent` and of `replace`.
    LINES: usize = 1_000;
    /// Entries of a map or a list in `vars` or `merge`, over all that is inside each other.
    DATA_ENTRIES: usize = 1_000;
    /// Maps and lists inside each other in `vars` or `merge`.
    DATA_NESTING: usize = 6;
    /// Instructions that a Jinja template may take.
    TEMPLATE_FUEL: u64 = 1_000_000;
    /// Bytes of a secret below which it cannot be found in what programs write.
    SECRET_FILTER_BYTES: usize = 8;
}
