//! Workflows to begin with, and the files around them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dsl::Files;
use dsl::value::FileRef;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The texts of all files below a folder whose names end so.
fn below(folder: &Path, ends: &str, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            below(&path, ends, found);
        } else if path.to_string_lossy().ends_with(ends) {
            let bytes = std::fs::read(&path).expect("a file of the corpus");
            found.push((path, bytes));
        }
    }
}

/// All valid workflows of the project, then some that are wrong: the fixtures, the bundled ones, the examples of the manual.
pub fn workflows() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["dsl/tests/plans", "dsl/tests/outlines", "workflows", "dsl/tests/diagnostics"] {
        below(&root().join(folder), ".ron", &mut found);
    }
    let mut texts: Vec<String> =
        found.into_iter().map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).collect();
    let manual = std::fs::read_to_string(root().join("docs/workflows.md")).expect("the manual");
    let blocks = manual.split("```ron\n").skip(1).filter_map(|block| block.split("```").next());
    let wrong = texts.split_off(texts.len() - texts.len() / 2);
    texts.extend(blocks.filter(|block| block.starts_with("Workflow(")).map(str::to_owned));
    texts.extend(wrong);
    texts
}

/// The scripts and templates that the corpus names; on the "operator's machine" there is every file.
pub struct AnyFile;

fn assets() -> &'static BTreeMap<String, Vec<u8>> {
    static ASSETS: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    ASSETS.get_or_init(|| {
        let mut assets = BTreeMap::new();
        for folder in ["workflows", "dsl/tests/files"] {
            let (folder, mut found) = (root().join(folder), Vec::new());
            below(&folder, "", &mut found);
            let short = |path: &Path| path.strip_prefix(&folder).expect("below it").to_string_lossy().into_owned();
            assets.extend(found.into_iter().map(|(path, bytes)| (short(&path), bytes)));
        }
        assets
    })
}

impl Files for AnyFile {
    fn asset(&self, path: &str) -> Result<Vec<u8>, String> {
        assets().get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }

    fn file(&self, path: &str) -> Result<FileRef, String> {
        Ok(FileRef { path: path.to_owned(), size_bytes: 7, sha256: "ab".repeat(32) })
    }

    fn secret_file(&self, _: &str) -> Result<String, String> {
        Ok("model-secret".to_owned())
    }
}
