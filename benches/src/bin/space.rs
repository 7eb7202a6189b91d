//! What a million durable steps cost in space, and what is left once most operations are pruned and the store is compacted.
//!
//! Usage: `space [FOLDER]`; the folder decides which disk.
#![allow(clippy::print_stdout, reason = "a benchmark's table is what it is for")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anneal_benches::{Bound, Fallible, Row, head, work};
use engine::Engine;
use engine::runner::Standing;
use store::{Batch, Store};

const OPERATIONS: usize = 1_000;
const STEPS: usize = 1_000;
const CONCURRENCY: usize = 100;
/// One of so many operations is kept.
const KEPT: usize = 10;

fn main() -> Fallible<()> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("anneal-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = measure(&folder.join("data"));
    fs::remove_dir_all(&folder)?;
    if done? { Ok(()) } else { Err("a figure is over its bound".into()) }
}

fn measure(data: &Path) -> Fallible<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let filled = runtime.block_on(fill(data))?;
    let grown = size_of(&data.join("log"))? + size_of(&data.join("index"))?;
    let steps = (OPERATIONS * STEPS) as f64;
    let store = Store::open(data)?.store;
    prune(&store)?;
    let live = live(&store)?;
    let began = Instant::now();
    store.compact_blocking()?;
    let took = began.elapsed().as_secs_f64();
    store.close_blocking()?;
    let (log, index, left) = (size_of(&data.join("log"))?, size_of(&data.join("index"))?, size_of(data)?);
    head();
    let rows = [
        Row {
            what: "a million steps: log and index, bytes a step".to_owned(),
            ours: format!("{:.0} MB", grown / 1e6),
            peer: "-".to_owned(),
            figure: grown / steps,
            bound: Bound::AtMost(1024.0),
        },
        Row {
            what: "pruned to a tenth, compacted: MB".to_owned(),
            ours: format!("{:.1} MB live", live / 1e6),
            peer: "-".to_owned(),
            figure: left / 1e6,
            bound: Bound::AtMost((2.0 * live / 1e5 + 80.0).floor() / 10.0),
        },
    ];
    let kept = rows.map(|row| row.print());
    println!(
        "(not bounded here: {filled}; the compaction took {took:.1} s and left {:.1} MB of log and {:.1} MB of index)",
        log / 1e6,
        index / 1e6
    );
    Ok(kept.iter().all(|kept| *kept))
}

/// A million steps. Says what they wrote.
async fn fill(data: &Path) -> Fallible<String> {
    let engine = work::engine(data)?;
    let (began, begun) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let lanes: Vec<_> = (0..CONCURRENCY).map(|_| tokio::spawn(lane(engine.clone(), Arc::clone(&begun)))).collect();
    for lane in lanes {
        lane.await??;
    }
    engine.idle().await;
    let stats = engine.store().stats();
    let said = format!(
        "the steps took {:.0} s and wrote {:.0} bytes of log each",
        began.elapsed().as_secs_f64(),
        stats.log_bytes as f64 / (OPERATIONS * STEPS) as f64
    );
    engine.close().await?;
    Ok(said)
}

async fn lane(engine: Engine, begun: Arc<AtomicUsize>) -> Fallible<()> {
    while begun.fetch_add(1, Ordering::Relaxed) < OPERATIONS {
        let id = engine.create(work::chain(STEPS)).await?;
        if let Some(mut seen) = engine.watch(id) {
            // It fails where the sender has gone: then the operation is over.
            let _ = seen.wait_for(|update| update.rest != Standing::Busy).await;
        }
    }
    Ok(())
}

/// Deletes all that most operations have under their keys (`engine/src/journal.rs`).
fn prune(store: &Store) -> Fallible<()> {
    let page = store::limits::SCAN_ENTRIES as usize;
    let mut summaries = store.walk(b"o/").map(|found| found.map(|(key, _)| key)).collect::<Result<Vec<_>, _>>()?;
    let mut count = 0;
    summaries.retain(|_| {
        count += 1;
        count % KEPT != 0
    });
    for summary in summaries {
        let id = summary.strip_prefix(b"o/").unwrap_or_default();
        let journal = [b"j/", id].concat();
        loop {
            let keys = store.keys(&journal, None, page / 4)?;
            if keys.is_empty() {
                break;
            }
            store.commit_blocking(keys.iter().fold(Batch::new(None), |batch, key| batch.delete(key)))?;
        }
        store.commit_blocking(Batch::new(None).delete(&summary))?;
    }
    Ok(())
}

/// Bytes of all keys and values, and of blobs.
fn live(store: &Store) -> Fallible<f64> {
    let mut bytes = 0;
    for found in store.walk(b"") {
        let (key, found) = found?;
        bytes += key.len() + found.value.len();
    }
    let blobs = store.blobs().digests()?.iter().map(|digest| store.blobs().size(digest)).sum::<Result<u64, _>>()?;
    Ok(bytes as f64 + blobs as f64)
}

/// Bytes of all files in a folder and below.
fn size_of(folder: &Path) -> Fallible<f64> {
    let mut bytes = 0.0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { size_of(&entry.path())? } else { found.len() as f64 };
    }
    Ok(bytes)
}
