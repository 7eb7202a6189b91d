//! A file that is written: under a temporary name, which becomes its own when all of it is there.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::report::Problem;

/// A file that is being written. Dropped before [`finish`](OutFile::finish), it was never there.
#[derive(Debug)]
pub struct OutFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    finished: bool,
}

impl OutFile {
    /// Begins a file of mode 0600; what has its name already is replaced at the end.
    pub fn create(path: &Path) -> Result<OutFile, Problem> {
        let Some(name) = path.file_name() else {
            return Err(Problem::usage(format!("`{}` is no name of a file", path.display())));
        };
        let temporary = path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| cannot(path, &error))?;
        Ok(OutFile { path: path.to_owned(), temporary, file, finished: false })
    }

    /// Adds to it.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.file.write_all(bytes).map_err(|error| cannot(&self.path, &error))
    }

    /// Gives it its name.
    pub fn finish(mut self) -> Result<(), Problem> {
        self.file.sync_all().map_err(|error| cannot(&self.path, &error))?;
        std::fs::rename(&self.temporary, &self.path).map_err(|error| cannot(&self.path, &error))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if !self.finished {
            // It is under a name of ours that nobody looks for.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

fn cannot(path: &Path, error: &std::io::Error) -> Problem {
    Problem::failed(format!("`{}` cannot be written: {error}", path.display()))
}
