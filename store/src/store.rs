//! The store: what others see of log, index, blobs and sealed files.

mod upkeep;

use std::fmt;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use tokio::sync::{mpsc, oneshot};

use crate::batch::Batch;
use crate::blobs::Blobs;
use crate::error::{Error, ErrorKind};
use crate::index::Page;
use crate::index::entry::{self, Value};
use crate::limits::{QUEUE_COMMITS, SCAN_BYTES, SCAN_ENTRIES};
use crate::lock::Lock;
use crate::log::writer::{Committed, Message, Writer};
use crate::opening::{self, Parts};
use crate::options::{Fatal, Options};
use crate::report::{Damage, OpenReport};
use crate::sealed::Sealed;
use crate::shared::{Shared, View};
use crate::stats::{Counters, Stats};

/// A value, and the sequence of the commit that put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes.
    pub value: Vec<u8>,
    /// What [`Batch::expect_version`] compares.
    pub version: u64,
}

/// A store that was opened, and what the opening found.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What was found and mended.
    pub report: OpenReport,
}

/// An open store. Clones are cheap and are the same store; when the last is dropped, the writer ends, the index is
/// handed to the system and the lock is released.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` only while the store is dropped.
    queue: Option<mpsc::Sender<Message>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    blobs: Blobs,
    sealed: Sealed,
    counters: Arc<Counters>,
    fatal: Arc<Fatal>,
    /// The last field: it is released when everything else is gone.
    _lock: Lock,
}

impl Store {
    /// Opens the store in a folder; makes what is missing, the folder too.
    ///
    /// # Errors
    /// [`ErrorKind::Held`] when another process has it open, [`ErrorKind::NewerFormat`], [`ErrorKind::Missing`] and
    /// [`ErrorKind::Damaged`] when it cannot be opened without guessing; in these cases nothing was changed.
    /// [`ErrorKind::Io`], [`ErrorKind::Full`] and [`ErrorKind::Index`] of the disk.
    pub fn open(dir: &Path) -> Result<Opened, Error> {
        Store::open_with(dir, &Options::default())
    }

    /// Opens the store otherwise than usual.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with(dir: &Path, options: &Options) -> Result<Opened, Error> {
        let Parts { lock, manifest, settings, tail, index, segments, blobs, sealed, report } =
            opening::open(dir, options)?;
        let fatal = Arc::new(Fatal::new(Arc::clone(&options.on_fatal)));
        let counters = Arc::clone(&settings.counters);
        let index = Arc::new(index);
        let (sender, queue) = mpsc::channel(QUEUE_COMMITS as usize);
        let view = View { index: Arc::clone(&index), segments };
        let damaged = report.damaged.clone();
        let over = options.compact_over_bytes;
        let shared = Arc::new(Shared::new(settings, over, manifest, view, damaged, sender.downgrade()));
        let writer = Writer {
            queue,
            tail,
            index,
            shared: Arc::clone(&shared),
            fatal: Arc::clone(&fatal),
            counters: Arc::clone(&counters),
            consider_at: 0,
        };
        let writer = thread::Builder::new()
            .name("anneal-log".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| Error::io("start the writer's thread", dir, error))?;
        let inner = Inner {
            queue: Some(sender),
            writer: Mutex::new(Some(writer)),
            shared,
            blobs,
            sealed,
            counters,
            fatal,
            _lock: lock,
        };
        Ok(Opened { store: Store { inner: Arc::new(inner) }, report })
    }

    /// A key's value.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when the value is not as it was written; [`ErrorKind::Io`], [`ErrorKind::Stopped`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Versioned>, Error> {
        let view = self.inner.shared.view();
        match view.index.get(key).map_err(|error| self.stop(&error))? {
            Some(entry) => self.value(&view, &entry).map(Some),
            None => Ok(None),
        }
    }

    /// A page of the keys that begin with `prefix` and come after `after`, in order, with their values. It shows whole
    /// commits. A page can be shorter than `limit`, which is capped by [`SCAN_ENTRIES`] and [`SCAN_BYTES`]: only an
    /// empty one is the end. [`walk`](Self::walk) goes over all pages.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<(Vec<u8>, Versioned)>, Error> {
        let (mut bytes, view) = (0, self.inner.shared.view());
        let page = self.page(&view, prefix, after, limit, |entry| {
            bytes += entry::value_size(entry);
            bytes >= SCAN_BYTES
        })?;
        page.into_iter().map(|(key, entry)| Ok((key, self.value(&view, &entry)?))).collect()
    }

    /// As [`scan`](Self::scan), without reading values.
    ///
    /// # Errors
    /// [`ErrorKind::Stopped`].
    pub fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
        let page = self.page(&self.inner.shared.view(), prefix, after, limit, |_| false)?;
        Ok(page.into_iter().map(|(key, _)| key).collect())
    }

    /// Everything whose key begins with `prefix`, in order. Each page shows whole commits; commits between two pages are
    /// seen where they are still ahead. After an error nothing more comes.
    pub fn walk(&self, prefix: &[u8]) -> impl Iterator<Item = Result<(Vec<u8>, Versioned), Error>> + use<> {
        let (store, prefix) = (self.clone(), prefix.to_vec());
        let (mut page, mut after, mut ended) = (Vec::new().into_iter(), None::<Vec<u8>>, false);
        std::iter::from_fn(move || {
            if let Some(item) = page.next() {
                return Some(Ok(item));
            }
            if ended {
                return None;
            }
            match store.scan(&prefix, after.as_deref(), SCAN_ENTRIES as usize) {
                Ok(next) => {
                    after = next.last().map(|(key, _)| key.clone());
                    ended = next.is_empty();
                    page = next.into_iter();
                    page.next().map(Ok)
                }
                Err(error) => {
                    ended = true;
                    Some(Err(error))
                }
            }
        })
    }

    /// Commits a batch. When this returns, it is durable and every read sees it. If the future is dropped before, the
    /// batch may or may not be committed.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when an expectation was not met, [`ErrorKind::TooLarge`], [`ErrorKind::Full`],
    /// [`ErrorKind::Io`]: nothing of it was written, and the store stays usable. [`ErrorKind::Closed`].
    /// [`ErrorKind::Stopped`]: the disk failed, and it may have been written or not.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        let batch = batch.checked()?;
        let check = crc32c::crc32c(&batch.payload);
        let (answer, answered) = oneshot::channel();
        self.send(Message::Commit { batch, check, answer }).await?;
        answered.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Stopped)))
    }

    /// As [`commit`](Self::commit), for a thread that may wait.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub fn commit_blocking(&self, batch: Batch) -> Result<Committed, Error> {
        block_on(self.commit(batch))
    }

    /// The blobs.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// The sealed files.
    #[must_use]
    pub fn sealed(&self) -> &Sealed {
        &self.inner.sealed
    }

    /// Commits whose content was found damaged at opening. Their operations must not go on (I11).
    #[must_use]
    pub fn damaged(&self) -> &[Damage] {
        &self.inner.shared.damaged
    }

    /// What the store did since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.counters.read()
    }

    /// Carries out the commits that were sent before, and ends the writer. Later commits, of clones too, get
    /// [`ErrorKind::Closed`]; reads go on. The lock is released when the last clone is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] when it was closed before; those of the disk. What was acknowledged is durable either way.
    pub async fn close(self) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Close { answer }).await?;
        answered.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Stopped)))
    }

    /// As [`close`](Self::close), for a thread that may wait.
    ///
    /// # Errors
    /// As for [`close`](Self::close).
    pub fn close_blocking(self) -> Result<(), Error> {
        block_on(self.close())
    }

    async fn send(&self, message: Message) -> Result<(), Error> {
        let sent = match &self.inner.queue {
            Some(queue) => queue.send(message).await.is_ok(),
            None => false,
        };
        match sent {
            true => Ok(()),
            false if self.inner.fatal.stopped() => Err(Error::new(ErrorKind::Stopped)),
            false => Err(Error::new(ErrorKind::Closed)),
        }
    }

    fn page(
        &self,
        view: &View,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        mut enough: impl FnMut(&sled::IVec) -> bool,
    ) -> Result<Page, Error> {
        let limit = limit.min(SCAN_ENTRIES as usize);
        if limit == 0 {
            return Ok(Page::new());
        }
        let mut count = 0;
        let page = view.index.page(prefix, after, |entry| {
            count += 1;
            enough(entry) || count == limit
        });
        page.map_err(|error| self.stop(&error))
    }

    fn value(&self, view: &View, bytes: &[u8]) -> Result<Versioned, Error> {
        match entry::decode(bytes) {
            Some((version, Value::Inline(value))) => Ok(Versioned { value: value.to_vec(), version }),
            Some((version, Value::InLog { segment, offset, size, check })) => {
                let value = view.segments.read(segment, offset, size, check)?;
                Ok(Versioned { value, version })
            }
            Some((version, Value::Lost)) => {
                let what = format!("the value was lost with commit {version}");
                Err(Error::new(ErrorKind::Damaged { what }).at(&self.inner.shared.layout.log()))
            }
            None => Err(self.stop(&view.index.error("an entry cannot be read"))),
        }
    }

    /// The index failed: that is the end, as with a failed flush.
    fn stop(&self, error: &Error) -> Error {
        self.inner.fatal.stop(error)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop();
        self.queue = None; // the writer ends when nobody can send
        let writer = self.writer.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
        self.shared.join();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread. tokio's own ways of waiting panic inside a runtime; this one is only slow there.
/// Its budget is left out of it, or it would wait for a worker that is this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(tokio::task::unconstrained(future));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
