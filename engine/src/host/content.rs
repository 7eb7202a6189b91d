//! Where the bytes of a file come from that is brought to a host: memory, a file here, or another host.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ring::digest::{Context, SHA256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::Mutex;

use super::error::ErrorKind;
use super::give::{Given, Pieces};
use super::limits;

/// Where the bytes of an upload are.
#[derive(Clone)]
pub enum Content {
    /// A file here.
    Path(PathBuf),
    /// In memory.
    Bytes(Vec<u8>),
    /// A file of another host.
    OnHost(OnHost),
}

/// A file of another host, which can be read once.
#[derive(Clone)]
pub struct OnHost {
    size: u64,
    given: Arc<Mutex<Option<Given>>>,
    failed: Arc<OnceLock<ErrorKind>>,
}

/// Bytes may be a secret.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::OnHost(there) => write!(f, "OnHost({} bytes)", there.size),
        }
    }
}

impl OnHost {
    pub(super) fn new(given: Given) -> Self {
        Self { size: given.size, given: Arc::new(Mutex::new(Some(given))), failed: Arc::default() }
    }

    /// What went wrong at the host that gives the file, and not at the one that gets it.
    pub(super) fn failed(&self) -> Option<ErrorKind> {
        self.failed.get().cloned()
    }

    fn note<T>(&self, done: Result<T, ErrorKind>) -> Result<T, ErrorKind> {
        done.inspect_err(|kind| {
            // The first failure is the cause of the others.
            let _ = self.failed.set(kind.clone());
        })
    }
}

/// Content that is being read.
pub(super) enum Reader<'a> {
    Here { from: Box<dyn AsyncRead + Send + Unpin + 'a>, at_once: usize },
    OnHost(Pieces, OnHost),
}

impl Reader<'_> {
    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, ErrorKind> {
        match self {
            Self::OnHost(pieces, there) => there.note(pieces.next().await),
            Self::Here { from, at_once } => {
                let mut piece = vec![0; *at_once];
                match from.read(&mut piece).await {
                    Ok(0) => Ok(None),
                    Ok(bytes) => {
                        piece.truncate(bytes);
                        Ok(Some(piece))
                    }
                    Err(error) => Err(ErrorKind::Io { said: format!("the file here cannot be read: {error}") }),
                }
            }
        }
    }
}

impl Content {
    pub(super) async fn size(&self) -> Result<u64, ErrorKind> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::OnHost(there) => Ok(there.size),
            Self::Path(path) => match tokio::fs::metadata(path).await {
                Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
                Ok(_) => Err(ErrorKind::Invalid { why: format!("{} is not a file", path.display()) }),
                Err(error) => Err(unreadable(path, &error)),
            },
        }
    }

    /// Whether the first bytes have this sum: `false` where that cannot be told, for then they are sent again.
    pub(super) async fn begins_with(&self, bytes: u64, sha256: &str) -> Result<bool, ErrorKind> {
        let Self::OnHost(there) = self else { return self.begins_here(bytes, sha256).await };
        match there.given.lock().await.as_mut() {
            Some(given) => Ok(there.note(given.sum(bytes).await)? == sha256),
            None => Ok(false),
        }
    }

    /// The same of content that is here.
    async fn begins_here(&self, bytes: u64, sha256: &str) -> Result<bool, ErrorKind> {
        let (mut from, mut left) = (self.open(0, limits::PIECE_BYTES).await?, bytes);
        let mut hash = Context::new(&SHA256);
        while left > 0 {
            let Some(piece) = from.next().await? else { return Ok(false) };
            let first = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            hash.update(&piece[..first]);
            left -= first as u64;
        }
        let sum: String = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(sum == sha256)
    }

    /// Reads it from a byte on, if it is here in pieces of at most so many bytes.
    pub(super) async fn open(&self, from: u64, at_once: usize) -> Result<Reader<'_>, ErrorKind> {
        match self {
            Self::Bytes(bytes) => {
                let rest = bytes.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default();
                Ok(Reader::Here { from: Box::new(rest), at_once })
            }
            Self::Path(path) => {
                let open = async {
                    let mut file = tokio::fs::File::open(path).await?;
                    file.set_max_buf_size(at_once);
                    file.seek(io::SeekFrom::Start(from)).await?;
                    Ok(file)
                };
                let file = open.await.map_err(|error| unreadable(path, &error))?;
                Ok(Reader::Here { from: Box::new(file), at_once })
            }
            Self::OnHost(there) => match there.given.lock().await.take() {
                Some(given) => Ok(Reader::OnHost(given.pour(from), there.clone())),
                None => Err(ErrorKind::Protocol { said: "the file was given before".into() }),
            },
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ErrorKind {
    ErrorKind::Io { said: format!("{} cannot be read here: {error}", path.display()) }
}
