//! A [`Disk`] as a block device: FUSE below a loop device. Taken down when it is dropped.
//!
//! What a killed run left behind is found by [`MARKER`], which is in the name of every backing file and of every folder,
//! followed by the process that made it. File systems need no such care: they are mounted in namespaces that go with the
//! processes of a run.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::mount::{UnmountFlags, unmount};

use super::disk::Disk;
use super::fuse;
use super::image::Image;

/// How the names begin of all that a run makes outside its own memory.
const MARKER: &str = "anneal-powercut-";

/// A disk that can be mounted.
#[derive(Debug)]
pub struct Drive {
    /// What is in it, and what it was told.
    pub disk: Arc<Disk>,
    /// The block device.
    pub device: PathBuf,
    folder: PathBuf,
    server: Option<JoinHandle<()>>,
}

impl Drive {
    /// Makes one of an image's size. `folder` is made for it; `run` is the process that takes leftovers down.
    ///
    /// # Errors
    /// Without `/dev/fuse`, `losetup` or loop devices, and when this is not root.
    pub fn attach(folder: &Path, run: u32, image: Image) -> Result<Drive, String> {
        fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let channel = fuse::attach(folder)
            .map_err(|error| format!("cannot mount a FUSE file system (root and /dev/fuse are needed): {error}"))?;
        let (name, size) = (format!("{MARKER}{run}"), image.size());
        let disk = Arc::new(Disk::new(image));
        let (served, file) = (Arc::clone(&disk), folder.join(&name));
        let mut drive = Drive { disk, device: PathBuf::new(), folder: folder.to_owned(), server: None };
        let server = std::thread::Builder::new().name("disk".to_owned()).spawn(move || {
            // The kernel tells everybody who uses the disk: their requests fail.
            if let Err(error) = fuse::serve(channel, &name, &served, size) {
                let _ = writeln!(io::stderr(), "the disk stopped: {error}");
            }
        });
        drive.server = Some(server.map_err(|error| format!("cannot start a thread: {error}"))?);
        let made = Command::new("losetup").args(["--find", "--show"]).arg(file).output();
        let made = made.map_err(|error| format!("cannot run losetup: {error}"))?;
        if !made.status.success() {
            let why = String::from_utf8_lossy(&made.stderr);
            return Err(format!("losetup cannot make a loop device (are there any in /dev?): {why}"));
        }
        drive.device = PathBuf::from(String::from_utf8_lossy(&made.stdout).trim());
        Ok(drive)
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        if !self.device.as_os_str().is_empty() {
            let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
        }
        // Once nothing uses it, the server's next read says so, and it ends.
        let _ = unmount(&self.folder, UnmountFlags::DETACH);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// The folder of a run.
#[must_use]
pub fn run_folder(run: u32) -> PathBuf {
    std::env::temp_dir().join(format!("{MARKER}{run}"))
}

/// Takes down what runs left behind that are no more, and what `own` left; says whether there was nothing any more.
#[must_use]
pub fn take_down_leftovers(own: u32) -> bool {
    let mut nothing = true;
    let gone = |run: u32| run == own || !is_ours(run);
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let backing = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if run_of(&backing).is_some_and(gone) {
            nothing = false; // it is gone when its last user is
            let device = Path::new("/dev").join(entry.file_name());
            let _ = Command::new("losetup").arg("--detach").arg(device).stderr(Stdio::null()).status();
        }
    }
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        if run_of(&entry.file_name().to_string_lossy()).is_some_and(gone) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    nothing
}

/// The process in a marked name.
fn run_of(name: &str) -> Option<u32> {
    let (_, rest) = name.rsplit_once(MARKER)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Whether that process is there and is such a run.
fn is_ours(run: u32) -> bool {
    fs::read(format!("/proc/{run}/cmdline")).is_ok_and(|line| line.windows(8).any(|part| part == b"powercut"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_name_gives_its_process() {
        assert_eq!(run_of("/tmp/anneal-powercut-12/lane-0/anneal-powercut-13\n"), Some(13));
        assert_eq!(run_of("anneal-powercut-12"), Some(12));
        assert_eq!(run_of("/tmp/other"), None);
        assert_eq!(run_of("anneal-powercut-"), None);
    }
}
