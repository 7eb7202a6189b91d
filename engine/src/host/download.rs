//! A file of a host brought to this machine.
//!
//! The host measures it and gives it block by block; here the bytes go into a temporary file beside the target, are
//! hashed on the way, synced, and renamed. What a broken connection or a dead engine leaves is gone on with where it is the
//! beginning of the file as it is now.
//!
//! Invariant: the target is at every moment the old file or the new one, whole; what was cut off never takes its place.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::digest::{Context, SHA256};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::copy::{GoOn, Moved, late};
use super::error::{Error, ErrorKind};
use super::job_script::file_name;
use super::{Host, JobId, Progress, Written, limits};

/// A file brought from a host.
#[derive(Debug, Clone)]
pub struct Download {
    /// Which attempt it belongs to; its temporary file is named after it.
    pub id: JobId,
    /// Absolute path on the host.
    pub from: String,
    /// Absolute path here.
    pub to: PathBuf,
    /// Permission bits; where absent, a file that is there with that content keeps its own, and a new one gets the host's.
    pub mode: Option<u32>,
    /// Who reads it, by sudo; the login user where absent.
    pub as_user: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
}

impl Host {
    /// Brings a file from the host. One that is here as it should be is left alone; doing it again after an interruption is
    /// safe, and goes on where that one stopped.
    ///
    /// # Errors
    /// See [`ErrorKind`]; after any of them the target is the old file or the new one.
    pub async fn download(&self, download: &Download, progress: &dyn Progress) -> Result<Written, Error> {
        let deadline = Instant::now() + download.timeout;
        let what = format!("reading {} ({})", download.from, file_name(&download.id));
        let failed = |kind| self.error(kind, &what).of_nothing_that_runs_on();
        let moved = Moved::default();
        let work = async {
            let mut go_on = GoOn::new();
            loop {
                match self.bring_here(download, &moved, progress).await {
                    Ok(written) => return Ok(written),
                    Err(kind) => go_on.after(kind, &moved).await.map_err(failed)?,
                }
            }
        };
        timeout_at(deadline, work).await.unwrap_or_else(|_| Err(failed(late(download.timeout))))
    }

    async fn bring_here(
        &self,
        download: &Download,
        moved: &Moved,
        progress: &dyn Progress,
    ) -> Result<Written, ErrorKind> {
        let to = download.to.clone();
        let old = here(&to, place).await?;
        let mut given = self.give(&download.id, &download.from, download.as_user.as_deref()).await?;
        moved.begun();
        let (size, sha256) = (given.size, given.sha256.clone());
        if let Some(old) = old.filter(|old| old.len() == size) {
            let (to, mode) = (download.to.clone(), download.mode);
            let same = here(&to, move |to| is_already(to, &old, &sha256, mode)).await?;
            if let Some(written) = same {
                progress.sent(size, size);
                return Ok(written);
            }
        }
        let path = temporary(&download.id, &download.to);
        let mut part = here(&path, move |path| Part::open(path, size)).await?;
        if part.at > 0 && given.sum(part.at).await? != part.sum() {
            part = here(&path, move |_| part.anew()).await?;
        }
        let (sha256, mode) = (given.sha256.clone(), download.mode.unwrap_or(given.mode));
        let mut pieces = given.pour(part.at);
        while let Some(piece) = pieces.next().await? {
            part = match here(&path, move |_| part.write(&piece)).await {
                Ok(part) => part,
                Err(kind) => return Err(without(&path, kind)),
            };
            moved.up_to(part.at);
            progress.sent(part.at, size);
        }
        let got = part.sum();
        if got != sha256 {
            return Err(without(&path, ErrorKind::Differs { expected: sha256, got }));
        }
        let to = download.to.clone();
        match here(&path, move |path| part.take_place(path, &to, mode)).await {
            Ok(()) => Ok(Written::Changed),
            Err(kind) => Err(without(&path, kind)),
        }
    }
}

/// Does what waits for a disk, apart from everything else.
async fn here<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, ErrorKind> {
    let owned = path.to_owned();
    let said = match spawn_blocking(move || work(&owned)).await {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    Err(ErrorKind::Io { said: format!("{} cannot be written here: {said}", path.display()) })
}

/// Removes what a failure left that another attempt would not mend.
fn without(path: &Path, kind: ErrorKind) -> ErrorKind {
    // It is of no use to anybody; where it cannot be removed, the next attempt overwrites it.
    let _ = fs::remove_file(path);
    kind
}

/// Looks at what is in the file's place, and makes the folder that it belongs in.
fn place(to: &Path) -> io::Result<Option<Metadata>> {
    if !to.is_absolute() || to.file_name().is_none() {
        return Err(io::Error::other("it is not the absolute path of a file"));
    }
    match fs::symlink_metadata(to) {
        Ok(old) if old.is_file() => Ok(Some(old)),
        Ok(old) if old.is_symlink() => {
            Err(io::Error::other("it is a symbolic link, which is neither followed nor replaced"))
        }
        Ok(old) if old.is_dir() => Err(io::Error::other("it is a folder")),
        Ok(_) => Err(io::Error::other("it is there and is no file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder(to))?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What is to be done about a file of the right size: nothing where it has other content.
fn is_already(to: &Path, old: &Metadata, sha256: &str, mode: Option<u32>) -> io::Result<Option<Written>> {
    let (mut hash, mut left) = (Context::new(&SHA256), old.len());
    let read = File::open(to).and_then(|mut file| hash_first(&mut file, &mut left, &mut hash));
    // One that may not be read is replaced like one that differs.
    if read.is_err() || hex(hash) != sha256 {
        return Ok(None);
    }
    match mode.filter(|mode| old.permissions().mode() & 0o7777 != *mode) {
        None => Ok(Some(Written::AlreadySo)),
        Some(mode) => fs::set_permissions(to, Permissions::from_mode(mode)).map(|()| Some(Written::Changed)),
    }
}

/// The temporary file: what is there of it so far, and the hash of that.
struct Part {
    file: File,
    hash: Context,
    at: u64,
}

impl Part {
    /// What an earlier attempt left, in whole blocks; or nothing yet.
    fn open(path: &Path, size: u64) -> io::Result<Part> {
        let mut file = Self::alone(path)?;
        let there = file.metadata()?.len();
        let at = if there > size { 0 } else { there / limits::BLOCK_BYTES * limits::BLOCK_BYTES };
        let (mut hash, mut left) = (Context::new(&SHA256), at);
        hash_first(&mut file, &mut left, &mut hash)?;
        file.set_len(at)?;
        file.seek(SeekFrom::Start(at))?;
        Ok(Part { file, hash, at })
    }

    /// Opens it for us alone: a write of an attempt that was given up may still be on its way to the disk, and its end is
    /// waited for. It may end by taking the target's place; then there is another file to open.
    fn alone(path: &Path) -> io::Result<File> {
        let deadline = Instant::now() + limits::EARLIER_WRITE;
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32).open(path)?;
            if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok() {
                let same = |there: Metadata, ours: Metadata| (there.dev(), there.ino()) == (ours.dev(), ours.ino());
                if fs::symlink_metadata(path).is_ok_and(|there| file.metadata().is_ok_and(|ours| same(there, ours))) {
                    return Ok(file);
                }
            } else if Instant::now() > deadline {
                return Err(io::Error::other("an earlier attempt still writes it"));
            } else {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn anew(mut self) -> io::Result<Part> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        Ok(Part { hash: Context::new(&SHA256), at: 0, file: self.file })
    }

    fn write(mut self, piece: &[u8]) -> io::Result<Part> {
        self.file.write_all(piece)?;
        self.hash.update(piece);
        self.at += piece.len() as u64;
        Ok(self)
    }

    fn sum(&self) -> String {
        hex(self.hash.clone())
    }

    fn take_place(self, path: &Path, to: &Path, mode: u32) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(mode))?;
        self.file.sync_all()?;
        fs::rename(path, to)?;
        File::open(folder(to))?.sync_all()
    }
}

/// Hashes the first bytes of a file, as many as are `left` to.
fn hash_first(file: &mut File, left: &mut u64, hash: &mut Context) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    while *left > 0 {
        let room = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        match file.read(&mut buffer[..room])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => {
                hash.update(&buffer[..bytes]);
                *left -= bytes as u64;
            }
        }
    }
    Ok(())
}

fn hex(hash: Context) -> String {
    hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn folder(to: &Path) -> &Path {
    to.parent().unwrap_or(Path::new("/"))
}

/// Removes what a download that was given up left beside its target.
///
/// # Errors
/// It is there and cannot be removed.
pub fn remove_part(id: &JobId, to: &Path) -> io::Result<()> {
    match fs::remove_file(temporary(id, to)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Beside the target, told apart by operation, node and target; the same in every attempt, for it goes on with it.
fn temporary(id: &JobId, to: &Path) -> PathBuf {
    let mut hash = Context::new(&SHA256);
    hash.update(to.as_os_str().as_encoded_bytes());
    let JobId { operation, node, .. } = id;
    folder(to).join(format!(".anneal-{operation}.{node}.{}", &hex(hash)[..8]))
}
