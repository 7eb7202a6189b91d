//! Carrying a plan out, by threads that commit at the same time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use fastrand::Rng;
use rustix::fs::{Advice, fadvise};

use super::disk::now;
use super::events::{GROWING, Plan, Shape};
use super::facts::Fact;
use super::subject::{Kind, Subject};

/// Does all events of writers `first..`, and says what happened when.
///
/// # Errors
/// The first of the subject.
pub fn run(subject: &dyn Subject, kind: Kind, plan: &Plan, first: u32, folder: &Path) -> Result<Happened, String> {
    // Growing writers wait for each other, so that all of what comes then is in a store that has grown.
    let grown = std::sync::Barrier::new(plan.writers as usize);
    let done = Mutex::new(Vec::new());
    let writers = first..first + plan.writers;
    std::thread::scope(|scope| {
        let (grown, done) = (&grown, &done);
        for writer in writers {
            scope.spawn(move || {
                let happened = Happened::default();
                let facts = Writer { subject, kind, plan, writer, folder, happened }.run(grown);
                done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(facts);
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut all = Happened::default();
    for happened in done {
        let Happened { facts, compactions } = happened?;
        all.facts.extend(facts);
        all.compactions.extend(compactions);
    }
    Ok(all)
}

/// What happened when.
#[derive(Debug, Default)]
pub struct Happened {
    /// The events.
    pub facts: Vec<Fact>,
    /// When compactions began and ended.
    pub compactions: Vec<(u64, u64)>,
}

struct Writer<'a> {
    subject: &'a dyn Subject,
    kind: Kind,
    plan: &'a Plan,
    writer: u32,
    folder: &'a Path,
    happened: Happened,
}

impl Writer<'_> {
    fn run(mut self, grown: &std::sync::Barrier) -> Result<Happened, String> {
        let mut random = Rng::with_seed(self.plan.seed ^ u64::from(self.writer));
        let (mut version, mut failed) = (None, None);
        for number in 0..self.plan.events {
            if self.plan.shape == Shape::Grown && number == GROWING {
                grown.wait();
            }
            // Who failed still comes to the barrier.
            if failed.is_some() {
                continue;
            }
            match self.event(number, version) {
                Ok(sequence) => version = Some(sequence),
                Err(why) => failed = Some(format!("event {number} of writer {}: {why}", self.writer)),
            }
            if random.bool() {
                write_back(self.folder, &mut random);
            }
        }
        failed.map_or(Ok(self.happened), Err)
    }

    fn event(&mut self, number: u32, version: Option<u64>) -> Result<u64, String> {
        let event = self.plan.event(self.writer, number);
        let mut fact = Fact::new(self.writer, number);
        if self.kind == Kind::Store {
            fact.preparing = now();
            self.subject.prepare(self.writer, &event)?;
            fact.prepared = now();
        }
        fact.submitted = now();
        let sequence = self.subject.commit(self.writer, &event, version)?;
        fact.acknowledged = now();
        fact.sequence = Some(sequence);
        self.happened.facts.push(fact);
        if let Some(earlier) = event.forgets {
            let (blobs, sealed) = self.plan.own(self.writer, earlier);
            let begun = now();
            self.subject.forget(&blobs, sealed.as_ref().map(|(operation, _)| operation))?;
            let ended = now();
            if let Some(fact) = self.happened.facts.get_mut(earlier as usize) {
                (fact.forgetting, fact.forgotten) = (begun, ended);
            }
        }
        // Writer 0 compacts, while the others go on.
        let every = self.plan.events / (self.plan.compactions + 1);
        if self.plan.compactions > 0 && self.writer == 0 && number > 0 && number.is_multiple_of(every.max(1)) {
            let begun = now();
            self.subject.compact()?;
            self.happened.compactions.push((begun, now()));
        }
        Ok(sequence)
    }
}

/// Makes the kernel write a file's changes to the disk without a flush, as it does by itself when memory is short or time
/// has passed. Without this the disk would hear of little besides what is flushed.
fn write_back(folder: &Path, random: &mut Rng) {
    let mut files = Vec::new();
    list(folder, &mut files);
    // Half of the time the index: nobody flushes it, so only this makes the disk hear of it.
    if random.bool() {
        files.retain(|path| path.components().any(|part| part.as_os_str() == "index"));
    }
    if files.is_empty() {
        return;
    }
    // A file that is gone meanwhile has nothing to be written.
    if let Ok(file) = File::open(&files[random.usize(..files.len())]) {
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
    }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), files),
            Ok(_) => files.push(entry.path()),
            Err(_) => {}
        }
    }
}
