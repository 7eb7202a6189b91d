//! The Unix socket of a data folder: its path, however long, and its mode.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// The longest path that a socket address holds (`sun_path`, unix(7)), with room for its end.
const LONGEST_PATH: usize = 100;

/// Where the socket of a data folder is, spelt so that it fits into a socket address.
struct Spelt {
    path: PathBuf,
    /// Keeps `/proc/self/fd/N` alive.
    _folder: Option<File>,
}

fn spell(data_dir: &Path) -> io::Result<Spelt> {
    let path = data_dir.join("anneal.sock");
    if path.as_os_str().len() < LONGEST_PATH {
        return Ok(Spelt { path, _folder: None });
    }
    let folder = File::open(data_dir)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/anneal.sock", folder.as_raw_fd()));
    Ok(Spelt { path, _folder: Some(folder) })
}

/// Listens. The caller holds the store's lock, so a socket that is there already belongs to a process that is gone.
pub fn listen(data_dir: &Path) -> io::Result<UnixListener> {
    let spelt = spell(data_dir)?;
    match fs::remove_file(&spelt.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&spelt.path)?;
    // The folder is 0700, so nobody came in between.
    fs::set_permissions(&spelt.path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Takes the socket away, so that nobody waits at a door that is closing.
pub fn remove(data_dir: &Path) {
    if let Ok(spelt) = spell(data_dir) {
        // The next owner removes what is left.
        let _ = fs::remove_file(&spelt.path);
    }
}

/// Connects to whoever holds the store.
pub async fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let spelt = spell(data_dir)?;
    UnixStream::connect(&spelt.path).await
}
