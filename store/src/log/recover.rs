//! Reading the log at opening: what counts, what is cut off, what is damaged.
//!
//! Frames are read in order, and each must follow the one before it. At the first place where none does:
//!
//! - If nothing shows that the frame which should be there was ever acknowledged, it is a *torn tail*: a write that a
//!   crash interrupted. It and everything after it is cut off. Four things would show it: it lies in a segment that has
//!   a successor; a later header says that it was flushed (`durable`); the index has it already; the manifest says that
//!   the generation began with it (`base`).
//! - Otherwise it is *damage*. When the header is right, length and operation are known: the frame is skipped and named,
//!   so that one broken operation does not stop the others (I11). When it is not, opening fails and changes nothing.
//!
//! A group is one write, and the disk may have kept any part of it: frame 1 lost and frame 3 whole is a torn tail, because
//! frame 3 does not say that frame 1 was flushed. So a scan for later headers decides, not the first bad frame alone.
//!
//! [`scan`] changes nothing. [`Recovered::settle`] then cuts and flushes; only after it may anybody see what was read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::index::entry;
use crate::layout::Layout;
use crate::log::frame;
use crate::log::segment::{self, Header};
use crate::log::window::{Found, Window};
use crate::manifest::{FORMAT, Manifest};
use crate::report::{Damage, Torn};
use crate::stats::{Counters, add};

/// What is said of a commit that an earlier generation of the log had lost.
pub(crate) const LOST: &str = "its content was found damaged before the log was compacted";

/// A place between two frames, and what the log says up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The sequence of the last frame before it; 0 at the beginning.
    pub(crate) sequence: u64,
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// The running checksum of all headers before it.
    pub(crate) chain: u32,
}

impl Place {
    /// Before the first frame.
    pub(crate) const BEGINNING: Place = Place { sequence: 0, segment: 1, offset: segment::HEADER as u64, chain: 0 };
}

/// What the log holds.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Where it ends; the next frame goes there.
    pub(crate) end: Place,
    pub(crate) last: Header,
    /// Whether the last frame is a mark.
    pub(crate) marked: bool,
    /// Whether the last segment ends within a damaged frame, so that nothing can be appended to it.
    pub(crate) ragged: bool,
    pub(crate) torn: Option<Torn>,
    pub(crate) damaged: Vec<Damage>,
    /// Whether the place that the index names is one of this log.
    pub(crate) index_agrees: bool,
    pub(crate) frames: u64,
    /// From here to the end nothing shows that it was flushed.
    unflushed_from: Option<u64>,
}

struct Scan<'a> {
    layout: &'a Layout,
    manifest: Manifest,
    indexed: Option<Place>,
    at: Place,
    /// The highest sequence that is known to be flushed, by a header.
    durable: u64,
    /// Where the last group of frames begins.
    group_at: u64,
    done: Recovered,
}

/// Reads all segments. `indexed` is the place up to which the index knows the log.
pub(crate) fn scan(layout: &Layout, manifest: Manifest, indexed: Option<Place>) -> Result<Recovered, Error> {
    let folder = layout.generation(manifest.generation);
    if !folder.is_dir() {
        return Err(Error::new(ErrorKind::Missing { what: "the log".to_owned() }).at(&folder));
    }
    let numbers = segment::numbers(&folder)?;
    let last = numbers.last().copied().unwrap_or(0).max(1);
    let at = Place::BEGINNING;
    let header = Header { format: 0, generation: 0, number: 0, first_sequence: 0, store: manifest.store, salt: 0 };
    let done = Recovered {
        end: at,
        last: header,
        marked: false,
        ragged: false,
        torn: None,
        damaged: Vec::new(),
        index_agrees: indexed.is_none_or(|place| place == at),
        frames: 0,
        unflushed_from: None,
    };
    let mut scan = Scan { layout, manifest, indexed, at, durable: 0, group_at: at.offset, done };
    for number in 1..=last {
        if numbers.binary_search(&number).is_err() {
            let path = layout.segment(manifest.generation, number);
            return Err(Error::new(ErrorKind::Missing { what: format!("segment {number} of the log") }).at(&path));
        }
        scan.segment(number, number == last)?;
    }
    scan.finish()
}

impl Scan<'_> {
    fn segment(&mut self, number: u64, last: bool) -> Result<(), Error> {
        let path = self.layout.segment(self.manifest.generation, number);
        let header = self.header(number, &path)?;
        let failed = |error| Error::io("read the log", &path, error);
        let mut window = File::open(&path).and_then(Window::new).map_err(failed)?;
        let seed = header.seed();
        self.durable = self.at.sequence; // a segment is begun when all before it is flushed
        self.at.segment = number;
        self.at.offset = segment::HEADER as u64;
        self.group_at = self.at.offset;
        self.done.last = header;
        self.done.ragged = false;
        let mut later = None;
        loop {
            let due = self.at.sequence + 1;
            match self.in_order(window.find(self.at.offset, seed).map_err(failed)?) {
                Found::End => return Ok(()),
                Found::Frame(header) => self.step(&mut window, &header).map_err(failed)?,
                Found::Newer(found) => {
                    let kind = ErrorKind::NewerFormat { found, supported: FORMAT };
                    return Err(Error::new(kind).at(&path).offset_at(self.at.offset));
                }
                bad @ (Found::BadPayload(..) | Found::Unreadable(_)) => {
                    let shown = match later {
                        _ if !last => u64::MAX,
                        Some(shown) => shown,
                        None => window.durable_after(self.at.offset, seed).map_err(failed)?,
                    };
                    later = Some(shown);
                    if shown < due && self.known() < due {
                        let bytes = window.size() - self.at.offset;
                        self.done.torn = Some(Torn { segment: path, offset: self.at.offset, bytes });
                        return Ok(());
                    }
                    match bad {
                        Found::BadPayload(mut header, what) => {
                            self.damage(&header, &path, what);
                            header.lost = false; // named already
                            self.step(&mut window, &header).map_err(failed)?;
                            self.done.ragged = self.at.offset > window.size();
                        }
                        Found::Unreadable(what) => return Err(Error::damaged(what, &path, self.at.offset)),
                        Found::Frame(_) | Found::End | Found::Newer(_) => {}
                    }
                }
            }
        }
    }

    fn header(&self, number: u64, path: &Path) -> Result<Header, Error> {
        let file = File::open(path).map_err(|error| Error::io("open the log", path, error))?;
        let header = Header::read(&file, path)?;
        if header.store != self.manifest.store || header.generation != self.manifest.generation {
            return Err(Error::damaged("a log segment belongs to another store", path, 0));
        }
        if header.number != number {
            return Err(Error::damaged(format!("a log segment is in the place of segment {}", header.number), path, 0));
        }
        let due = self.at.sequence + 1;
        if header.first_sequence != due {
            let before = self.layout.segment(self.manifest.generation, number.saturating_sub(1));
            let what = format!("the frames from {due} to before {} are gone", header.first_sequence);
            return Err(Error::damaged(what, &before, self.at.offset));
        }
        Ok(header)
    }

    /// A frame that does not follow the one before it is none, and only what a generation began with is kept.
    fn in_order(&self, found: Found) -> Found {
        match &found {
            Found::Frame(header) | Found::BadPayload(header, _)
                if !header.follows(self.at.sequence) || (header.sequence <= self.manifest.base) != header.kept =>
            {
                Found::Unreadable("a frame does not follow the one before it")
            }
            _ => found,
        }
    }

    /// The last sequence that is known to be flushed without reading the log.
    fn known(&self) -> u64 {
        self.indexed.map_or(0, |place| place.sequence).max(self.manifest.base)
    }

    fn step(&mut self, window: &mut Window, header: &frame::Header) -> io::Result<()> {
        if header.sequence.wrapping_sub(1) == header.durable {
            // The first of a group: everything before it was flushed.
            self.group_at = self.at.offset;
        }
        self.durable = self.durable.max(header.durable);
        if header.lost {
            let path = self.layout.segment(self.manifest.generation, self.at.segment);
            self.damage(header, &path, LOST);
        }
        self.at.chain = frame::chain(self.at.chain, window.bytes(self.at.offset, frame::HEADER)?);
        self.at.sequence = header.sequence;
        self.at.offset += header.frame_size();
        self.done.marked = header.mark;
        self.done.frames += 1;
        if self.indexed == Some(self.at) {
            self.done.index_agrees = true;
        }
        Ok(())
    }

    fn damage(&mut self, header: &frame::Header, path: &Path, what: &str) {
        self.done.damaged.push(Damage {
            operation: header.operation,
            sequence: header.sequence,
            segment: path.to_owned(),
            offset: self.at.offset,
            what: what.to_owned(),
        });
    }

    fn finish(mut self) -> Result<Recovered, Error> {
        let known = self.known();
        if known > self.at.sequence {
            let path = self.layout.segment(self.manifest.generation, self.at.segment);
            let what = format!("the log ends with frame {}, but there was a frame {known}", self.at.sequence);
            return Err(Error::damaged(what, &path, self.at.offset));
        }
        self.done.end = self.at;
        self.done.unflushed_from = (self.at.sequence > self.durable.max(known)).then_some(self.group_at);
        Ok(self.done)
    }
}

impl Recovered {
    /// Cuts the torn tail off, and makes sure that what was read is on the disk and not only in memory.
    pub(crate) fn settle(&self, layout: &Layout, counters: &Counters) -> Result<(), Error> {
        let path = layout.segment(self.last.generation, self.last.number);
        if self.torn.is_none() && self.unflushed_from.is_none() {
            return Ok(());
        }
        let failed = |error| Error::io("mend the end of the log", &path, error);
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        if self.torn.is_some() {
            file.set_len(self.end.offset).map_err(failed)?;
        }
        if let Some(from) = self.unflushed_from {
            rewrite(&file, from, self.end.offset).map_err(failed)?;
        }
        add(&counters.syncs, 1);
        file.sync_all().map_err(failed)
    }
}

/// Writes the same bytes again. If an earlier process ended because a flush failed, the system may hold its pages for
/// clean although the disk never got them; written again, the next flush includes them.
fn rewrite(file: &File, from: u64, to: u64) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 20];
    let mut at = from;
    while at < to {
        let count = usize::try_from(to - at).unwrap_or(usize::MAX).min(bytes.len());
        let part = bytes.get_mut(..count).unwrap_or_default();
        match file.read_at(part, at)? {
            0 => break, // a damaged last frame may claim more than there is
            read => {
                file.write_all_at(part.get(..read).unwrap_or_default(), at)?;
                at += read as u64;
            }
        }
    }
    Ok(())
}

/// A frame that is read again.
pub(crate) struct Replayed<'a> {
    pub(crate) header: frame::Header,
    /// Where it begins in its segment.
    pub(crate) offset: u64,
    /// The place after it.
    pub(crate) after: Place,
    /// The payload, or why it is none.
    pub(crate) payload: Result<&'a [u8], &'static str>,
}

impl Replayed<'_> {
    /// What it makes of the index.
    pub(crate) fn frame(&self) -> entry::Frame {
        let payload_at = self.offset + frame::HEADER as u64;
        entry::Frame { version: self.header.sequence, segment: self.after.segment, payload_at, lost: self.header.lost }
    }
}

/// Hands every frame between two places to `apply`, in order. Damaged ones are among them: [`scan`] named them.
pub(crate) fn replay(
    layout: &Layout,
    generation: u64,
    from: Place,
    to: Place,
    mut apply: impl FnMut(Replayed<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut at = from;
    for number in from.segment..=to.segment {
        let path: PathBuf = layout.segment(generation, number);
        let failed = |error| Error::io("read the log", &path, error);
        let file = File::open(&path).map_err(failed)?;
        let seed = Header::read(&file, &path)?.seed();
        let mut window = Window::new(file).map_err(failed)?;
        if number != from.segment {
            at.segment = number;
            at.offset = segment::HEADER as u64;
        }
        while at.sequence < to.sequence {
            let begin = at.offset;
            let (header, bad) = match window.find(begin, seed).map_err(failed)? {
                Found::Frame(header) => (header, None),
                Found::BadPayload(header, what) => (header, Some(what)),
                Found::End => break,
                Found::Unreadable(what) => return Err(Error::damaged(what, &path, begin)),
                Found::Newer(_) => return Err(Error::damaged("the log changed while it was read", &path, begin)),
            };
            at.chain = frame::chain(at.chain, window.bytes(begin, frame::HEADER).map_err(failed)?);
            at.sequence = header.sequence;
            at.offset += header.frame_size();
            let payload = match bad {
                None => Ok(window.payload(begin, &header).map_err(failed)?),
                Some(what) => Err(what),
            };
            apply(Replayed { header, offset: begin, after: at, payload })?;
        }
    }
    durable_end(at, to, layout, generation)
}

/// The second reading must end where the first did; anything else means that somebody changes the files.
fn durable_end(at: Place, to: Place, layout: &Layout, generation: u64) -> Result<(), Error> {
    if (at.sequence, at.chain) == (to.sequence, to.chain) {
        return Ok(());
    }
    Err(Error::damaged("the log changed while it was read", &layout.segment(generation, at.segment), at.offset))
}

/// Deletes files with temporary names beside the segments.
pub(crate) fn remove_temporaries(layout: &Layout, generation: u64) -> Result<usize, Error> {
    durable::remove_temporaries(&layout.generation(generation))
}
