//! The binary under test: the one that cargo built into the same folder as the test or campaign, or the one that
//! `ANNEAL_BINARY` names.

use std::path::{Path, PathBuf};

/// `target/<profile>/anneal`, beside the running campaign, or one folder up from the running test (`deps`).
///
/// # Panics
/// When it is not built.
pub fn path() -> PathBuf {
    if let Some(other) = std::env::var_os("ANNEAL_BINARY") {
        return other.into();
    }
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.parent().unwrap_or(Path::new("."));
    let folder = folder.parent().filter(|_| folder.ends_with("deps")).unwrap_or(folder);
    let binary = folder.join("anneal");
    assert!(
        binary.is_file(),
        "{} is missing: build it with `cargo build -p anneal` (`make test` does)",
        binary.display()
    );
    binary
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path).canonicalize().unwrap_or_else(|error| {
        panic!("the repository has no {path}: {error}");
    })
}
