//! What the threads of an open store share: where to read, the manifest, and whose turn it is to copy.
//!
//! Invariants: readers hold the [`View`] while they read, so index and segments are always of one generation and that
//! generation is not deleted under them. Whoever copies the log or deletes a generation has the *turn*. Nothing here
//! keeps the writer's queue open, so a store that is dropped ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc;

use crate::compaction;
use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::index::Index;
use crate::layout::Layout;
use crate::log::copy::Source;
use crate::log::generation::Settings;
use crate::log::segment::Segments;
use crate::log::tail::Failure;
use crate::log::writer::Message;
use crate::manifest::Manifest;
use crate::options::Step;
use crate::report::Damage;

/// Where a reader looks.
pub(crate) struct View {
    pub(crate) index: Arc<Index>,
    pub(crate) segments: Segments,
}

pub(crate) struct Shared {
    pub(crate) layout: Layout,
    /// How a generation is written beside this one.
    pub(crate) settings: Settings,
    pub(crate) compact_over_bytes: u64,
    /// What the opening found.
    pub(crate) damaged: Vec<Damage>,
    pub(crate) queue: mpsc::WeakSender<Message>,
    view: RwLock<View>,
    manifest: Mutex<Manifest>,
    turn: Mutex<()>,
    stopping: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Whether the disk may have another manifest than `manifest`: then no generation may be deleted.
    unsure: AtomicBool,
    /// Whether a compaction that nobody asked for is going on.
    pub(crate) compacting: AtomicBool,
    /// Log and index must be larger than this before the store compacts itself again.
    pub(crate) not_below: AtomicU64,
}

// A thread that panicked while it held one of these locks had not begun to change what it guards.
impl Shared {
    pub(crate) fn new(
        settings: Settings,
        compact_over_bytes: u64,
        manifest: Manifest,
        view: View,
        damaged: Vec<Damage>,
        queue: mpsc::WeakSender<Message>,
    ) -> Shared {
        Shared {
            layout: settings.layout.clone(),
            settings,
            compact_over_bytes,
            damaged,
            queue,
            view: RwLock::new(view),
            manifest: Mutex::new(manifest),
            turn: Mutex::new(()),
            stopping: AtomicBool::new(false),
            unsure: AtomicBool::new(false),
            threads: Mutex::new(Vec::new()),
            compacting: AtomicBool::new(false),
            not_below: AtomicU64::new(0),
        }
    }

    /// Index and segments, for as long as the guard is held. Not to be taken twice by one thread.
    pub(crate) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Shows another generation; waits for those who read the one before, which is returned.
    pub(crate) fn show(&self, view: View) -> View {
        std::mem::replace(&mut *self.view.write().unwrap_or_else(|poisoned| poisoned.into_inner()), view)
    }

    /// The manifest as it is on the disk. It is changed by [`Manifest::write`] under this guard only.
    pub(crate) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Makes a generation that is written and flushed the one that counts.
    pub(crate) fn switch(&self, generation: u64, base: u64) -> Result<(), Failure> {
        let mut manifest = self.manifest();
        let next = Manifest { generation, base, ..*manifest };
        let path = self.layout.manifest();
        self.settings.fault(Step::Switch, "write the manifest").map_err(Failure::Refused)?;
        let done = next
            .write(&path, &self.settings.counters)
            .and_then(|()| self.settings.fault(Step::SwitchSync, "flush the folder"));
        match done {
            Ok(()) => {
                *manifest = next;
                Ok(())
            }
            // If the file still is the old one, it is so for good: the fresh one never had its name.
            Err(error) => match Manifest::read(&path) {
                Ok(Some(found)) if found == *manifest => Err(Failure::Refused(error)),
                Ok(_) | Err(_) => {
                    self.unsure.store(true, Ordering::SeqCst);
                    Err(Failure::Fatal(error))
                }
            },
        }
    }

    /// Waits until nobody else copies or deletes a generation.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The log as a source for copying. The caller has the turn.
    pub(crate) fn source<'a>(
        &'a self,
        index: &'a Index,
        go_on: &'a (dyn Fn() -> Result<(), Error> + Sync),
    ) -> Source<'a> {
        Source { layout: &self.layout, generation: index.generation(), index, damaged: &self.damaged, go_on }
    }

    /// Deletes the generations that do not count, and indexes of them. The caller has the turn.
    pub(crate) fn remove_others(&self) -> Result<(), Error> {
        if self.unsure.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Stopped));
        }
        let manifest = *self.manifest();
        compaction::remove_others(&self.layout, manifest).map(drop)
    }

    /// An error when the store is being dropped.
    pub(crate) fn go_on(&self) -> Result<(), Error> {
        if self.stopping.load(Ordering::SeqCst) { Err(Error::new(ErrorKind::Closed)) } else { Ok(()) }
    }

    /// What log and index take on the disk.
    pub(crate) fn disk_bytes(&self) -> Result<u64, Error> {
        Ok(durable::size_of(&self.layout.log())? + durable::size_of(&self.layout.indexes())?)
    }

    /// Starts a thread that ends before the store is gone.
    pub(crate) fn start(&self, name: &str, act: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(act)
            .map_err(|error| Error::io("start a thread", self.layout.root(), error))?;
        let mut threads = self.threads.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Ends what is going on.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Waits for the threads. The writer has ended, so nobody starts another.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        for thread in threads {
            let _ = thread.join(); // one that panicked has ended too
        }
    }
}
