//! The hosts that a configuration names as they are: what `Host` lists without `*`, `?` and `!`.

use std::path::{Path, PathBuf};

use super::{Files, Local, expand};
use crate::report::Problem;

/// Files of one configuration.
const FILES: usize = 1_000;

/// All names, in the order of their first place; those of included files too.
pub fn literal(file: &Path, files: &dyn Files, local: &Local) -> Result<Vec<String>, Problem> {
    let mut names: Vec<String> = Vec::new();
    let mut known = std::collections::HashSet::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    // The next one is the last.
    let mut todo = vec![file.to_owned()];
    while let Some(path) = todo.pop() {
        if seen.contains(&path) {
            continue;
        }
        if seen.len() == FILES {
            return Err(Problem::usage(format!("`{}` includes more than {FILES} files", file.display())));
        }
        let unreadable = |why: String| Problem::usage(format!("{}: {why}", path.display()));
        let Some(lines) = files.lines(&path, path != file).map_err(unreadable)? else {
            continue;
        };
        let mut included = Vec::new();
        for line in &*lines {
            match line.keyword.as_str() {
                "host" => {
                    let literal = line.args.iter().filter(|name| !name.is_empty() && !name.contains(['*', '?', '!']));
                    names.extend(literal.filter(|name| known.insert((*name).clone())).cloned());
                }
                "include" => {
                    for pattern in &line.args {
                        let pattern = local.home.join(".ssh").join(expand::home(pattern, local)?);
                        included.extend(files.matching(&pattern.to_string_lossy()).map_err(unreadable)?);
                    }
                }
                _ => {}
            }
        }
        todo.extend(included.into_iter().rev());
        seen.push(path);
    }
    Ok(names)
}
