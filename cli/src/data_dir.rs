//! Where the store lies: `--data-dir`, else `$XDG_STATE_HOME/anneal`, else `~/.local/state/anneal` (XDG Base Directory
//! Specification 0.8).

use std::path::PathBuf;

use crate::args::Global;
use crate::report::Problem;

/// The absolute path of the store's folder.
pub fn data_dir(global: &Global) -> Result<PathBuf, Problem> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = match &global.data_dir {
        Some(folder) => folder.clone(),
        None => match (named("XDG_STATE_HOME").filter(|path| path.is_absolute()), named("HOME")) {
            (Some(state), _) => state.join("anneal"),
            (None, Some(home)) => home.join(".local/state/anneal"),
            (None, None) => {
                return Err(
                    Problem::usage("neither HOME nor XDG_STATE_HOME is set").hint("name a folder with --data-dir")
                );
            }
        },
    };
    std::path::absolute(&folder)
        .map_err(|error| Problem::usage(format!("`{}` is no folder to keep data in: {error}", folder.display())))
}
