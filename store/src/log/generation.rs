//! Writing a fresh generation of the log, or the log of a backup: kept frames, one after the other, and a mark at the end.
//!
//! Nobody reads it before a manifest names it, so nothing here is flushed one by one; [`Generation::finish`] returns when
//! everything is durable, names too.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use crate::durable;
use crate::error::Error;
use crate::index::entry;
use crate::layout::Layout;
use crate::log::frame::{self, Header};
use crate::log::recover::Place;
use crate::log::segment;
use crate::options::{Faults, Step};
use crate::stats::{Counters, add};

const CHUNK: usize = 1 << 20;

/// Where a generation is written, and how.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) layout: Layout,
    pub(crate) store: Uuid,
    pub(crate) generation: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) reserve_bytes: u64,
    pub(crate) counters: Arc<Counters>,
    pub(crate) faults: Option<Faults>,
}

impl Settings {
    /// What a test wants to fail here.
    pub(crate) fn fault(&self, step: Step, doing: &'static str) -> Result<(), Error> {
        match self.faults.as_ref().and_then(|faults| faults(step)) {
            Some(error) => Err(Error::io(doing, &self.layout.generation(self.generation), error)),
            None => Ok(()),
        }
    }
}

/// What is kept of a commit.
pub(crate) struct Kept<'a> {
    pub(crate) sequence: u64,
    pub(crate) operation: Option<[u8; 16]>,
    pub(crate) lost: bool,
    pub(crate) payload: &'a [u8],
}

/// A generation that is whole and durable.
pub(crate) struct Written {
    pub(crate) settings: Settings,
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    /// Of the last segment.
    pub(crate) header: segment::Header,
    pub(crate) end: Place,
}

/// A generation that is being written.
pub(crate) struct Generation {
    settings: Settings,
    file: File,
    path: PathBuf,
    header: segment::Header,
    /// The place after the last frame.
    end: Place,
    /// What is not written yet; it ends at `end`.
    buffer: Vec<u8>,
}

impl Generation {
    /// Makes the folder and the first segment.
    pub(crate) fn begin(settings: Settings) -> Result<Generation, Error> {
        let Settings { layout, store, generation, counters, .. } = &settings;
        settings.fault(Step::Copy, "create the file")?;
        durable::create_folder(&layout.generation(*generation), counters)?;
        let (file, header) = segment::create(layout, *generation, 1, 1, *store, counters)?;
        let path = layout.segment(*generation, 1);
        Ok(Generation { file, path, header, end: Place::BEGINNING, buffer: Vec::new(), settings })
    }

    pub(crate) fn end(&self) -> Place {
        self.end
    }

    /// Adds a commit; says where it lies.
    pub(crate) fn add(&mut self, kept: &Kept<'_>) -> Result<entry::Frame, Error> {
        self.frame(kept, false)?;
        let payload_at = self.end.offset - kept.payload.len() as u64;
        let (version, segment) = (kept.sequence, self.end.segment);
        Ok(entry::Frame { version, segment, payload_at, lost: kept.lost })
    }

    /// Adds the mark that ends the generation, and flushes everything.
    pub(crate) fn finish(mut self, sequence: u64) -> Result<Written, Error> {
        self.frame(&Kept { sequence, operation: None, lost: false, payload: &[] }, true)?;
        self.sync()?;
        let Generation { settings, file, path, header, end, .. } = self;
        Ok(Written { settings, file, path, header, end })
    }

    /// Flushes what there is.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.write()?;
        self.settings.fault(Step::CopySync, "flush the file")?;
        add(&self.settings.counters.syncs, 1);
        self.file.sync_all().map_err(|error| Error::io("flush the file", &self.path, error))
    }

    fn frame(&mut self, kept: &Kept<'_>, mark: bool) -> Result<(), Error> {
        let header = Header {
            sequence: kept.sequence,
            durable: self.end.sequence,
            operation: kept.operation,
            mark,
            kept: true,
            lost: kept.lost,
            payload_size: kept.payload.len() as u32,
            payload_check: crc32c::crc32c(kept.payload),
        };
        debug_assert!(header.follows(self.end.sequence));
        let size = header.frame_size();
        if self.end.offset > segment::HEADER as u64 && self.end.offset + size > self.settings.segment_bytes {
            self.roll()?;
        }
        let bytes = header.encode(self.header.seed(), self.end.offset);
        self.buffer.extend_from_slice(&bytes);
        self.buffer.extend_from_slice(kept.payload);
        self.end.sequence = kept.sequence;
        self.end.offset += size;
        self.end.chain = frame::chain(self.end.chain, &bytes);
        if self.buffer.len() >= CHUNK { self.write() } else { Ok(()) }
    }

    fn roll(&mut self) -> Result<(), Error> {
        self.sync()?;
        self.settings.fault(Step::Copy, "create the file")?;
        let Settings { layout, store, generation, counters, .. } = &self.settings;
        let number = self.end.segment + 1;
        (self.file, self.header) =
            segment::create(layout, *generation, number, self.end.sequence + 1, *store, counters)?;
        self.path = layout.segment(*generation, number);
        self.end.segment = number;
        self.end.offset = segment::HEADER as u64;
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        let size = self.buffer.len() as u64;
        if size == 0 {
            return Ok(());
        }
        let settings = &self.settings;
        durable::check_space(&self.file, settings.layout.root(), size, settings.reserve_bytes)?;
        settings.fault(Step::Copy, "write to the log")?;
        self.file
            .write_all_at(&self.buffer, self.end.offset - size)
            .map_err(|error| Error::io("write to the log", &self.path, error))?;
        add(&settings.counters.bytes_written, size);
        self.buffer.clear();
        Ok(())
    }
}
