//! `anneal workflow diff NAME [DIR]`: what it takes to make the bundled workflow of a copy.
//!
//! Lines with `-` are the copy's, lines with `+` the release's. Exit code 0: they are the same, 1: they differ.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use similar::TextDiff;

use super::files_of;
use crate::args::{Diff, Global};
use crate::files;
use crate::report::{FAILED, OK, Problem, put_json, put_text, say};

/// How long the shortest difference of one file is looked for; after that a longer one will do.
const LOOKED_FOR: Duration = Duration::from_secs(5);
/// Lines around a change.
const CONTEXT: usize = 3;

pub fn run(args: &Diff, global: &Global) -> Result<u8, Problem> {
    let bundled: BTreeMap<String, Vec<u8>> = files_of(&args.name)?.into_iter().collect();
    let root = format!("{}.ron", args.name);
    let copy = args.folder.join(&root);
    if !copy.is_file() {
        return Err(Problem::usage(format!(
            "there is no copy of `{}` in `{}`: no {root}",
            args.name,
            args.folder.display()
        ))
        .hint(format!("`anneal workflow export {} {}` makes one", args.name, args.folder.display())));
    }
    let mut paths: Vec<String> = bundled.keys().cloned().collect();
    paths.extend(named_by(&copy)?.into_iter().filter(|path| !bundled.contains_key(path)));
    // The workflow itself first.
    paths.sort_by_key(|path| (*path != root, path.clone()));
    let mut changes = Vec::new();
    for path in paths {
        let ours = bundled.get(&path);
        let theirs = read(&args.folder.join(&path))?;
        if theirs.as_ref() != ours {
            changes.push(change(&args.folder, &path, theirs.as_deref(), ours.map(Vec::as_slice)));
        }
    }
    if global.json {
        put_json(&changes.iter().map(|(json, _)| json).collect::<Vec<_>>())?;
    } else {
        changes.iter().try_for_each(|(_, text)| put_text(text))?;
        if changes.is_empty() {
            say(&format!("`{}` is as this release has it", copy.display()));
        }
    }
    Ok(if changes.is_empty() { OK } else { FAILED })
}

/// The files that the copy names; none where it is not valid.
fn named_by(copy: &Path) -> Result<Vec<String>, Problem> {
    let opened = files::open(copy)?;
    let checked = dsl::check(&opened.source, &*opened.files);
    Ok(checked.workflow.map(|workflow| workflow.assets().keys().cloned().collect()).unwrap_or_default())
}

/// A file of the copy; `None` where it is not there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    let most = dsl::limits::SOURCE_BYTES.max(dsl::limits::ASSET_BYTES) as u64;
    let problem = |why: String| Problem::usage(format!("`{}` {why}", path.display()));
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem(format!("cannot be read: {error}"))),
        Ok(meta) if !meta.is_file() => return Err(problem("is not a file".to_owned())),
        Ok(meta) if meta.len() > most => return Err(problem(format!("has {} bytes; {most} are the most", meta.len()))),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map_err(|error| problem(format!("cannot be read: {error}")))?;
    Ok(Some(bytes))
}

/// A file that differs: for programs, and for people as a unified difference.
fn change(folder: &Path, path: &str, theirs: Option<&[u8]>, ours: Option<&[u8]>) -> (serde_json::Value, String) {
    let what = match (theirs, ours) {
        (None, _) => "new in this release",
        (_, None) => "not in this release",
        _ => "changed",
    };
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let (theirs_text, ours_text) = (text(theirs), text(ours));
    let header = |there: bool, name: String| if there { name } else { "/dev/null".to_owned() };
    let from = header(theirs.is_some(), folder.join(path).display().to_string());
    let to = header(ours.is_some(), format!("<bundled>/{path}"));
    let diff = TextDiff::configure().timeout(LOOKED_FOR).diff_lines(&theirs_text, &ours_text);
    let shown = diff.unified_diff().context_radius(CONTEXT).header(&from, &to).to_string();
    (serde_json::json!({ "file": path, "what": what, "diff": shown }), shown)
}
