//! Small file systems of this machine, for disks that are full or read-only.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs in a folder. It is unmounted when it is dropped.
#[derive(Debug)]
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one over a folder.
    ///
    /// # Panics
    /// When this is not root.
    pub fn over(folder: &Path, size: &str) -> Tmpfs {
        std::fs::create_dir_all(folder).expect("a folder");
        let options = format!("size={size},mode=0700");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], folder);
        Tmpfs(folder.to_owned())
    }

    /// Mounts it again with other options, such as `ro`.
    ///
    /// # Panics
    /// When that fails.
    pub fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}")], &self.0);
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that still ends may hold a file.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn mount(args: &[&str], folder: &Path) {
    let status = Command::new("mount").args(args).arg(folder).status().expect("mount starts");
    assert!(status.success(), "cannot mount over {}: this test needs root", folder.display());
}
