//! Files and folders that are still there after the power was cut.
//!
//! Invariants: a file gets its name only after its content was flushed, and whoever asked hears "done" only after the
//! folder that holds the name was flushed too. So a name that can be seen has its whole content, and a temporary name
//! (it ends in `.tmp`) can always be deleted. Files are 0600 and folders 0700 from their first moment.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};
use crate::layout::TEMPORARY;
use crate::stats::{Counters, add};

/// Makes a folder and those above it; each one's name is durable when this returns.
pub(crate) fn create_folder(path: &Path, counters: &Counters) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if parent != path {
        create_folder(parent, counters)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_folder(parent, counters),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(Error::io("create the folder", path, error)),
    }
}

/// Flushes a folder: the names in it are durable when this returns.
pub(crate) fn sync_folder(path: &Path, counters: &Counters) -> Result<(), Error> {
    add(&counters.syncs, 1);
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| Error::io("flush the folder", path, error))
}

/// The temporary name beside `path`.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    PathBuf::from(name)
}

/// Opens a new file for reading and writing, 0600, empty even if a leftover has the name.
pub(crate) fn create_file(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::io("create the file", path, error))
}

/// Flushes a finished temporary file, gives it its name and flushes the folder.
pub(crate) fn publish(file: &File, from: &Path, to: &Path, counters: &Counters) -> Result<(), Error> {
    add(&counters.syncs, 1);
    let done = file
        .sync_all()
        .map_err(|error| Error::io("flush the file", from, error))
        .and_then(|()| fs::rename(from, to).map_err(|error| Error::io("rename the file to its name", to, error)));
    if let Err(error) = done {
        let _ = fs::remove_file(from); // a leftover does no harm: the next opening deletes it
        return Err(error);
    }
    match to.parent() {
        Some(folder) => sync_folder(folder, counters),
        None => Ok(()),
    }
}

/// Replaces the file `path` by one with these bytes: afterwards it is the old one or the new one, whole.
pub(crate) fn write_file(path: &Path, bytes: &[u8], counters: &Counters) -> Result<File, Error> {
    let from = temporary(path);
    let mut file = create_file(&from)?;
    if let Err(error) = file.write_all(bytes) {
        let _ = fs::remove_file(&from);
        return Err(Error::io("write the file", &from, error));
    }
    add(&counters.bytes_written, bytes.len() as u64);
    publish(&file, &from, path, counters)?;
    Ok(file)
}

/// Deletes a file durably; `false` when there was none.
pub(crate) fn remove_file(path: &Path, counters: &Counters) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("delete the file", path, error)),
    }
    if let Some(folder) = path.parent() {
        sync_folder(folder, counters)?;
    }
    Ok(true)
}

/// Deletes files with temporary names that an earlier process left behind; gives how many there were.
pub(crate) fn remove_temporaries(folder: &Path) -> Result<usize, Error> {
    let mut removed = 0;
    for name in names(folder)? {
        if name.ends_with(TEMPORARY) {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(|error| Error::io("delete the unfinished file", &path, error))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Refuses what would leave less than `reserve` bytes on the disk that holds `file`. A disk that does not say how much it
/// has is written to until it refuses.
pub(crate) fn check_space(file: &File, folder: &Path, bytes: u64, reserve: u64) -> Result<(), Error> {
    if reserve == 0 {
        return Ok(());
    }
    match rustix::fs::fstatvfs(file) {
        Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < reserve.saturating_add(bytes) => {
            Err(Error::new(ErrorKind::Full).at(folder))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The names in a folder, sorted. Names that are not UTF-8 are not ours and are left out.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |error| Error::io("list the folder", folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The size of all files in a folder and those below it. Files that go away meanwhile do not count.
pub(crate) fn size_of(folder: &Path) -> Result<u64, Error> {
    let failed = |error| Error::io("look at the folder", folder, error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(failed)?,
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        bytes += match entry.metadata() {
            Ok(found) if found.is_dir() => size_of(&entry.path())?,
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(failed(error)),
        };
    }
    Ok(bytes)
}

/// Copies all files of a folder and those below it, each one flushed, names too. `before` is asked before each file.
pub(crate) fn copy_folder(
    from: &Path,
    to: &Path,
    counters: &Counters,
    before: &mut dyn FnMut(&Path) -> Result<(), Error>,
) -> Result<u64, Error> {
    create_folder(to, counters)?;
    let mut bytes = 0;
    for name in names(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        bytes += if from.is_dir() {
            copy_folder(&from, &to, counters, before)?
        } else {
            before(&from)?;
            copy_file(&from, &to, counters)?
        };
    }
    sync_folder(to, counters)?;
    Ok(bytes)
}

/// Copies a file, which is flushed; its name is not.
pub(crate) fn copy_file(from: &Path, to: &Path, counters: &Counters) -> Result<u64, Error> {
    let mut source = File::open(from).map_err(|error| Error::io("open the file", from, error))?;
    let mut file = create_file(to)?;
    let bytes = io::copy(&mut source, &mut file).map_err(|error| Error::io("copy the file", from, error))?;
    add(&counters.syncs, 1);
    add(&counters.bytes_written, bytes);
    file.sync_all().map_err(|error| Error::io("flush the file", to, error))?;
    Ok(bytes)
}
