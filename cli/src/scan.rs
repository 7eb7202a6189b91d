//! The workflows in a folder and below it: those `.ron` files whose first value is `Workflow(…)`.
//!
//! Hidden files and folders are passed over, and no link to a folder is followed, so that no walk goes round for ever.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::report::Problem;

/// Files of one folder, and of those below it.
const FILES: usize = 20_000;
/// Folders inside folders.
const DEPTH: usize = 32;
/// Bytes from the beginning of a file that tell what it is.
const LOOKED_AT: u64 = 64 << 10;

/// What a folder holds; each in the order of its names.
#[derive(Debug, Default)]
pub struct Found {
    /// The workflows, right or wrong.
    pub workflows: Vec<PathBuf>,
    /// Other `.ron` files, such as inventories.
    pub others: Vec<PathBuf>,
}

/// Looks through a folder.
pub fn folder(folder: &Path) -> Result<Found, Problem> {
    let mut found = Found::default();
    let mut left = FILES;
    walk(folder, DEPTH, &mut left, &mut found)?;
    Ok(found)
}

fn walk(folder: &Path, depth: usize, left: &mut usize, found: &mut Found) -> Result<(), Problem> {
    let unreadable =
        |error: std::io::Error| Problem::usage(format!("the folder `{}` cannot be read: {error}", folder.display()));
    let mut entries =
        std::fs::read_dir(folder).map_err(unreadable)?.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        *left = left.checked_sub(1).ok_or_else(|| {
            Problem::usage(format!("`{}` and what else was named hold more than {FILES} files", folder.display()))
                .hint("name a folder further down, or the files")
        })?;
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            let depth = depth.checked_sub(1).ok_or_else(|| {
                Problem::usage(format!("`{}` lies in more than {DEPTH} folders", path.display()))
                    .hint("name a folder further down")
            })?;
            walk(&path, depth, left, found)?;
        } else if path.extension().is_some_and(|extension| extension == "ron") {
            match path.is_file() && is_workflow(&path)? {
                true => found.workflows.push(path),
                false => found.others.push(path),
            }
        }
    }
    Ok(())
}

/// Whether a file begins as a workflow does; what follows may be anything.
fn is_workflow(path: &Path) -> Result<bool, Problem> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut bytes));
    read.map_err(|error| Problem::usage(format!("`{}` cannot be read: {error}", path.display())))?;
    Ok(dsl::is_workflow(&String::from_utf8_lossy(&bytes)))
}
