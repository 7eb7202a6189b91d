//! Putting a store together where none is, for a restore or an import.
//!
//! It is made whole in `restore.tmp` inside the folder, then moved part by part, the manifest last. While `restore.tmp`
//! is there without a manifest, an opening refuses the folder ([`ErrorKind::Unfinished`]) and another restore or import
//! begins anew: so it is there whole or not at all, whatever happens on the way.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::layout::Layout;
use crate::limits::{RESERVE_BYTES, SEGMENT_BYTES};
use crate::lock::Lock;
use crate::log::generation::Settings;
use crate::manifest::Manifest;
use crate::options::{Faults, Step};
use crate::stats::Counters;

pub(crate) struct Staging {
    target: Layout,
    /// Where it is made.
    pub(crate) layout: Layout,
    pub(crate) counters: Arc<Counters>,
    faults: Option<Faults>,
    /// Whether the folder was made for it.
    made: bool,
    placed: bool,
    _lock: Lock,
}

impl Staging {
    /// Refuses a folder that holds a store.
    pub(crate) fn begin(to: &Path, faults: Option<Faults>) -> Result<Staging, Error> {
        let target = Layout::new(to);
        let counters = Arc::new(Counters::default());
        let made = !to.exists();
        durable::create_folder(to, &counters)?;
        let lock = Lock::acquire(&target.lock())?;
        let unfinished = target.staging().exists();
        let holds_parts = target.parts().iter().any(|part| part.exists());
        if target.manifest().exists() || (holds_parts && !unfinished) {
            return Err(Error::new(ErrorKind::Exists).at(to));
        }
        let layout = Layout::new(&target.staging());
        let staging = Staging { target, layout, counters, faults, made, placed: false, _lock: lock };
        staging.clear()?;
        durable::create_folder(staging.layout.root(), &staging.counters)?;
        Ok(staging)
    }

    /// How its log is written.
    pub(crate) fn settings(&self, store: uuid::Uuid) -> Settings {
        Settings {
            layout: self.layout.clone(),
            store,
            generation: 1,
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes: RESERVE_BYTES,
            counters: Arc::clone(&self.counters),
            faults: self.faults.clone(),
        }
    }

    /// What a test wants to fail here.
    pub(crate) fn fault(&self, step: Step, path: &Path) -> Result<(), Error> {
        match self.faults.as_ref().and_then(|faults| faults(step)) {
            Some(error) => Err(Error::io("copy the file", path, error)),
            None => Ok(()),
        }
    }

    /// Moves everything to its place.
    pub(crate) fn place(mut self, manifest: Manifest) -> Result<(), Error> {
        manifest.write(&self.layout.manifest(), &self.counters)?;
        let (from, to) = (self.layout.parts(), self.target.parts());
        for (from, to) in from.iter().zip(&to).filter(|(from, _)| from.exists()) {
            self.rename(from, to)?;
        }
        durable::sync_folder(self.target.root(), &self.counters)?;
        self.rename(&self.layout.manifest(), &self.target.manifest())?;
        self.placed = true;
        self.fault(Step::SwitchSync, self.target.root())?;
        durable::sync_folder(self.target.root(), &self.counters)?;
        let _ = fs::remove_dir(self.layout.root()); // it is empty, and the opening deletes it too
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.fault(Step::Place, to)?;
        fs::rename(from, to).map_err(|error| Error::io("move to its place", to, error))
    }

    /// Deletes what an unfinished attempt left: the parts first, for `restore.tmp` says that they may be.
    fn clear(&self) -> Result<(), Error> {
        if !self.layout.root().exists() {
            return Ok(());
        }
        for part in self.target.parts() {
            remove(&part)?;
        }
        durable::sync_folder(self.target.root(), &self.counters)?;
        remove(self.layout.root())
    }
}

// An attempt that failed leaves nothing; what cannot be deleted now is deleted by the next one.
impl Drop for Staging {
    fn drop(&mut self) {
        if !self.placed && self.clear().is_ok() && self.made {
            let _ = fs::remove_file(self.target.lock());
            let _ = fs::remove_dir(self.target.root());
        }
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if path.exists() => Err(Error::io("delete what was not finished", path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
