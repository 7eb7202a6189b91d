//! The files of this machine, each read once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Files;
use super::line::{self, Line};

/// Bytes of the largest file.
const FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Files that one pattern may name.
const MATCHES: usize = 1_000;

type Read1 = Result<Option<Rc<Vec<Line>>>, String>;

/// The file system.
#[derive(Default)]
pub struct Disk {
    read: RefCell<HashMap<(PathBuf, bool), Read1>>,
}

impl Files for Disk {
    fn lines(&self, path: &Path, checked: bool) -> Read1 {
        let key = (path.to_owned(), checked);
        if let Some(read) = self.read.borrow().get(&key) {
            return read.clone();
        }
        let lines = read(path, checked);
        self.read.borrow_mut().insert(key, lines.clone());
        lines
    }

    fn matching(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let found = glob::glob_with(pattern, options).map_err(|error| error.to_string())?;
        let mut paths = Vec::new();
        for path in found {
            if paths.len() == MATCHES {
                return Err(format!("it names more than {MATCHES} files"));
            }
            paths.push(path.map_err(|error| error.to_string())?);
        }
        Ok(paths)
    }
}

fn read(path: &Path, checked: bool) -> Read1 {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let meta = file.metadata().map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("it is no file".to_owned());
    }
    let uid = rustix::process::getuid().as_raw();
    if checked && (meta.uid() != 0 && meta.uid() != uid || meta.mode() & 0o022 != 0) {
        // It may name programs to run; OpenSSH refuses it too.
        return Err("others than its user may write it; `chmod go-w` it, and see who owns it".to_owned());
    }
    let mut text = String::new();
    file.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > FILE_BYTES {
        return Err(format!("it has more than {FILE_BYTES} bytes"));
    }
    line::lines(&text).map(|lines| Some(Rc::new(lines)))
}
