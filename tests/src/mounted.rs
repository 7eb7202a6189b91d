//! Small file systems of this machine, for disks that are full or read-only.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In memory.
    Tmpfs,
    /// ext4 in a file beside the folder, by a loop device.
    Ext4,
}

/// A file system over a folder. It is unmounted when it is dropped.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one over a folder, whose content is hidden by it.
    ///
    /// # Panics
    /// When this is not root.
    pub fn over(folder: &Path, kind: Kind, size: &str) -> Disk {
        std::fs::create_dir_all(folder).expect("a folder");
        match kind {
            Kind::Tmpfs => mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"], folder),
            Kind::Ext4 => {
                let image = folder.with_extension("ext4");
                let image_path = image.to_string_lossy();
                command("truncate", &["--size", size, &image_path]);
                // Without blocks that only root may use, for the tests are root.
                command("mkfs.ext4", &["-q", "-m", "0", &image_path]);
                mount(&["-o", "loop", &image_path], folder);
            }
        }
        Disk(folder.to_owned())
    }

    /// Mounts it again with other options, such as `ro`.
    ///
    /// # Panics
    /// When that fails.
    pub fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}")], &self.0);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that still ends may hold a file.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn mount(args: &[&str], folder: &Path) {
    let status = Command::new("mount").args(args).arg(folder).status().expect("mount starts");
    assert!(status.success(), "cannot mount over {}: this test needs root", folder.display());
}

fn command(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {args:?} failed");
}
