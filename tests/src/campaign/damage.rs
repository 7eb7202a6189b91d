//! Damage to files: shortened, flipped, lost. Each is a function of a folder, so that the same fault can be done to any copy.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::anneal::files_below;

/// The one segment of the log.
pub const LOG: &str = "log/1/00000001.log";

/// The bytes of a file.
///
/// # Panics
/// When it cannot be read.
pub fn bytes(data: &Path, name: &str) -> Vec<u8> {
    fs::read(data.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Cuts a file to a length.
///
/// # Panics
/// When it cannot be written.
pub fn cut(data: &Path, name: &str, len: usize) {
    let bytes = bytes(data, name);
    fs::write(data.join(name), &bytes[..len.min(bytes.len())]).expect("a file to cut");
}

/// Flips one bit of a file.
///
/// # Panics
/// When it cannot be written.
pub fn flip(data: &Path, name: &str, bit: usize) {
    let mut bytes = bytes(data, name);
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(data.join(name), bytes).expect("a file to damage");
}

/// Loses a file or a folder.
///
/// # Panics
/// When it is not there.
pub fn lose(data: &Path, name: &str) {
    let path = data.join(name);
    let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    gone.unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// Leaves a file.
///
/// # Panics
/// When it cannot be written.
pub fn leave(data: &Path, name: &str, bytes: &[u8]) {
    let path = data.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("a file to leave");
}

/// The socket of a process that is gone.
///
/// # Panics
/// When it cannot be made.
pub fn leave_socket(data: &Path) {
    drop(UnixListener::bind(data.join("anneal.sock")).expect("a socket"));
}

/// The names of the files below a part of the folder.
pub fn names(data: &Path, below: &str) -> Vec<String> {
    let mut paths: Vec<PathBuf> = files_below(&data.join(below)).into_iter().map(|(path, _)| path).collect();
    paths.sort();
    let names = paths.iter().filter_map(|path| path.strip_prefix(data).ok());
    names.map(|path| path.to_string_lossy().into_owned()).collect()
}

/// Where the frames of the log begin.
pub fn frames(log: &[u8]) -> Vec<usize> {
    log.windows(4).enumerate().filter(|(_, bytes)| bytes == b"ANfr").map(|(at, _)| at).collect()
}

/// Where what was written into the log ends: after it there is only room that was made ahead.
pub fn written(log: &[u8]) -> usize {
    log.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)
}
