//! `anneal workflow export NAME DIR`: a bundled workflow with its scripts as files.
//!
//! Invariant: nothing is written outside of the folder, also where a link in it leads there, and nothing that is there is
//! replaced unless that is asked for; it is looked for before the first file is written.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::files_of;
use crate::args::{Copy, Global};
use crate::outfile::OutFile;
use crate::report::{OK, Problem, put, put_json, say};

pub fn run(args: &Copy, global: &Global) -> Result<u8, Problem> {
    let files = files_of(&args.name)?;
    let cannot = |path: &Path, error: std::io::Error| Problem::failed(format!("`{}`: {error}", path.display()));
    std::fs::create_dir_all(&args.folder).map_err(|error| cannot(&args.folder, error))?;
    let folder = args.folder.canonicalize().map_err(|error| cannot(&args.folder, error))?;
    let mut targets = Vec::new();
    for (path, bytes) in &files {
        targets.push((target(&folder, path)?, bytes));
    }
    let there: Vec<String> = targets
        .iter()
        .filter(|(path, _)| path.symlink_metadata().is_ok())
        .map(|(path, _)| path.display().to_string())
        .collect();
    if !there.is_empty() && !args.force {
        let are = if there.len() == 1 { "is" } else { "are" };
        return Err(Problem::usage(format!("{} {are} there already; nothing was written", there.join(", "))).hint(
            format!(
                "`anneal workflow diff {} {}` shows what differs; `--force` replaces it",
                args.name,
                args.folder.display()
            ),
        ));
    }
    let mut written = Vec::new();
    for (path, bytes) in targets {
        write(&path, bytes)?;
        written.push(path.display().to_string());
    }
    if global.json {
        put_json(&written)?;
    } else {
        written.iter().try_for_each(|path| put(path))?;
        say(&format!("next: change it, then `anneal check {0}` and `anneal run {0} …`", written[0]));
    }
    Ok(OK)
}

/// Where a file goes: in the folder, whatever links there are in it.
fn target(folder: &Path, path: &str) -> Result<PathBuf, Problem> {
    let target = folder.join(path);
    let mut parent = target.parent().unwrap_or(folder).to_owned();
    while !parent.exists() && parent != folder {
        // A link that leads nowhere would be followed when the folder is made.
        if parent.symlink_metadata().is_ok() {
            break;
        }
        parent.pop();
    }
    let leads = parent.canonicalize().map(|parent| parent.starts_with(folder)).unwrap_or(false);
    if leads && parent.is_dir() {
        return Ok(target);
    }
    Err(Problem::usage(format!(
        "`{}` is no folder in `{}`: it is a file, or a link that leads out",
        parent.display(),
        folder.display()
    ))
    .hint("export to another folder, or remove it"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let cannot = |error: std::io::Error| Problem::failed(format!("`{}` cannot be written: {error}", path.display()));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(cannot)?;
    }
    if path.is_dir() {
        return Err(Problem::failed(format!("`{}` is a folder", path.display())));
    }
    let mut file = OutFile::create(path)?;
    file.write(bytes)?;
    file.finish()?;
    let mode = if bytes.starts_with(b"#!") { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(cannot)
}
