//! What opening, growing and compacting cost.
//!
//! ```sh
//! cargo run --release -p store --example opening -- [folder] [operations]
//! ```
//!
//! 1. Operations (10,000 unless told) with 10 small entries each, one commit an entry: how long opening takes and how much
//!    memory, after a clean end and without its index. Each opening is a process of its own, so its peak is its own.
//! 2. A million small commits, all but 1000 of them deleted again, then compacted: what is left on the disk.
//! 3. What log and index grow by for each step of about 330 bytes, uncompacted.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use store::{Batch, Options, Store};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const OPEN: &str = "--open";

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == OPEN) {
        return open(Path::new(arguments.get(1).ok_or("which folder?")?));
    }
    let folder = arguments.first().map_or_else(std::env::temp_dir, PathBuf::from);
    let operations = arguments.get(1).map_or(Ok(10_000), |text| text.parse())?;
    let folder = folder.join(format!("anneal-opening-{}", std::process::id()));
    let done = measure(&folder, operations);
    std::fs::remove_dir_all(&folder)?;
    done
}

/// Never by itself: it is measured.
fn options() -> Options {
    Options { compact_over_bytes: u64::MAX, ..Options::default() }
}

fn open(dir: &Path) -> Fallible<()> {
    let begin = Instant::now();
    let opened = Store::open_with(dir, &options())?;
    let took = begin.elapsed();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim().to_owned();
    writeln!(io::stdout(), "opened in {took:.1?}, peak {peak}, index {:?}", opened.report.index)?;
    Ok(())
}

fn measure(folder: &Path, operations: u32) -> Fallible<()> {
    let mut out = io::stdout().lock();
    let dir = folder.join("operations");
    let store = Store::open_with(&dir, &options())?.store;
    commits(&store, operations * 10, |n| {
        let (operation, entry) = (n / 10, n % 10);
        Batch::new(Some([1; 16])).put(format!("o/{operation:08}/{entry}"), [b'x'; 40])
    })?;
    store.close_blocking()?;
    writeln!(out, "{operations} operations with 10 entries: {}", sizes(&dir)?)?;
    let again = |name: &str, out: &mut dyn Write| -> Fallible<()> {
        write!(out, "  {name}: ")?;
        out.flush()?;
        let status = Command::new(std::env::current_exe()?).arg(OPEN).arg(&dir).status()?;
        if status.success() { Ok(()) } else { Err("the opening failed".into()) }
    };
    again("after a clean end", &mut out)?;
    again("after a clean end", &mut out)?;
    std::fs::remove_dir_all(dir.join("index"))?;
    again("without its index", &mut out)?;

    let dir = folder.join("pruned");
    let store = Store::open_with(&dir, &options())?.store;
    commits(&store, 1_000_000, |n| Batch::new(Some([1; 16])).put(format!("e/{n:08}"), [b'x'; 40]))?;
    writeln!(out, "1,000,000 commits: {}", sizes(&dir)?)?;
    for first in (1000..1_000_000).step_by(1000) {
        let keys = first..first + 1000;
        store.commit_blocking(keys.fold(Batch::new(None), |batch, n| batch.delete(format!("e/{n:08}"))))?;
    }
    let begin = Instant::now();
    let done = store.compact_blocking()?;
    writeln!(out, "  pruned to {} keys and compacted in {:.1?}: {done:?}", done.entries, begin.elapsed())?;
    drop(store);
    writeln!(out, "  on the disk: {}; allowed: {}", sizes(&dir)?, 2 * done.live_bytes + (8 << 20))?;

    let dir = folder.join("steps");
    let store = Store::open_with(&dir, &options())?.store;
    let before = size(&dir)?;
    let steps = 100_000;
    commits(&store, steps, |n| {
        let operation = n / 50;
        Batch::new(Some([1; 16]))
            .put(format!("o/{operation:08}/e/{n:08}"), [b'x'; 180])
            .put(format!("o/{operation:08}"), [b'x'; 60])
    })?;
    store.close_blocking()?;
    let grown = size(&dir)? - before;
    writeln!(out, "{steps} steps of 330 bytes: {}, {} bytes a step", sizes(&dir)?, grown / u64::from(steps))?;
    Ok(())
}

fn commits(store: &Store, count: u32, batch: impl Fn(u32) -> Batch + Sync) -> Fallible<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        for first in (0..count).step_by(1000) {
            // Many at once: one flush for all of them.
            let waiting: Vec<_> = (first..count.min(first + 1000))
                .map(|n| {
                    let (store, batch) = (store.clone(), batch(n));
                    tokio::spawn(async move { store.commit(batch).await })
                })
                .collect();
            for commit in waiting {
                commit.await??;
            }
        }
        Ok(())
    })
}

fn sizes(dir: &Path) -> Fallible<String> {
    let (log, index) = (size(&dir.join("log"))?, size(&dir.join("index"))?);
    Ok(format!("log {log} + index {index} = {} bytes", log + index))
}

fn size(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
