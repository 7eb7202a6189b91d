//! How soon a fresh process goes on with what a killed one left, and with how much memory.
//!
//! The process that leaves it and the one that goes on are this program again, as children; time counts from before the
//! child is started until it prints a line.
//!
//! Usage: `recovery [FOLDER]`; the folder decides which disk.
#![allow(clippy::print_stdout, reason = "a benchmark's table is what it is for")]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anneal_benches::{Bound, Fallible, Row, head, median, work};
use engine::operation::{Effect, NodeOutcome};
use engine::runner::{Context, Executor, Reporter, Task};
use futures::future::BoxFuture;
use tokio::sync::Notify;

const MANY: usize = 10_000;
/// Steps of each of the many; the last but one was at work when the engine was killed.
const STEPS: usize = 10;
const LONG: usize = 1_000;
const ROUNDS: usize = 5;
const DEADLINE: Duration = Duration::from_secs(120);

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match words[..] {
        ["leave", folder, operations, steps, at] => {
            runtime()?.block_on(leave(Path::new(folder), operations.parse()?, steps.parse()?, at.parse()?))
        }
        ["recover", folder, operations, until] => {
            runtime()?.block_on(recover(Path::new(folder), operations.parse()?, until.parse()?))
        }
        _ => {
            let folder = words.first().map_or_else(std::env::temp_dir, PathBuf::from);
            let folder = folder.join(format!("anneal-bench-{}", std::process::id()));
            fs::create_dir_all(&folder)?;
            let done = measure(&folder);
            fs::remove_dir_all(&folder)?;
            if done? { Ok(()) } else { Err("a figure is over its bound".into()) }
        }
    }
}

fn measure(folder: &Path) -> Fallible<bool> {
    let (many, long) = (folder.join("many"), folder.join("long"));
    child(&["leave", &path(&many), &MANY.to_string(), &STEPS.to_string(), &(STEPS - 2).to_string()])?;
    child(&["leave", &path(&long), "1", &LONG.to_string(), &(LONG / 2).to_string()])?;
    let (mut held, mut went, mut mib, mut first) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let taken = recovered(folder, &many, MANY, Until::InHand)?;
        let on = recovered(folder, &many, MANY, Until::GoesOn)?;
        mib.push(taken.peak_mib.max(on.peak_mib));
        held.push(taken.seconds);
        went.push(on.seconds);
        first.push(recovered(folder, &long, 1, Until::GoesOn)?.seconds * 1e3);
    }
    let row = |what: String, unit: &str, figures: Vec<f64>, bound: f64| {
        let figure = median(figures);
        Row { what, ours: format!("{figure:.2} {unit}"), peer: "-".to_owned(), figure, bound: Bound::AtMost(bound) }
    };
    head();
    let rows = [
        row(format!("{MANY} left: all in hand again"), "s", held, 2.0),
        row(format!("{MANY} left: all have begun a new step"), "s", went, 2.0),
        row(format!("{MANY} left: peak memory"), "MiB", mib, 150.0),
        row(format!("{LONG} steps, half done: next one begun"), "ms", first, 200.0),
    ];
    Ok(rows.map(|row| row.print()).iter().all(|kept| *kept))
}

/// What a child waits for.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    /// Each operation has asked its executor, and none was answered: all are in memory at once.
    InHand,
    /// Each operation was told how its step ended, has committed that, and begins a new one.
    GoesOn,
}

impl Until {
    fn word(self) -> &'static str {
        match self {
            Until::InHand => "in-hand",
            Until::GoesOn => "goes-on",
        }
    }
}

impl std::str::FromStr for Until {
    type Err = String;

    fn from_str(word: &str) -> Result<Until, String> {
        [Until::InHand, Until::GoesOn].into_iter().find(|until| until.word() == word).ok_or(format!("`{word}`?"))
    }
}

struct Recovered {
    seconds: f64,
    peak_mib: f64,
}

/// A fresh process on a copy of what was left.
fn recovered(folder: &Path, left: &Path, operations: usize, until: Until) -> Fallible<Recovered> {
    let copy = folder.join("copy");
    let copied = Command::new("cp").arg("-r").arg(left).arg(&copy).status()?.success();
    if !copied {
        return Err("what was left could not be copied".into());
    }
    let (seconds, line) = child(&["recover", &path(&copy), &operations.to_string(), until.word()])?;
    fs::remove_dir_all(&copy)?;
    let peak_mib = line.trim().parse().map_err(|_| format!("it did not recover: {line}"))?;
    Ok(Recovered { seconds, peak_mib })
}

/// Starts this program again; seconds until it printed its line, and the line.
fn child(arguments: &[&str]) -> Fallible<(f64, String)> {
    let began = Instant::now();
    let mut child = Command::new(std::env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    let out = child.stdout.take().ok_or("a child without stdout")?;
    BufReader::new(out).read_line(&mut line)?;
    let seconds = began.elapsed().as_secs_f64();
    if !child.wait()?.success() {
        return Err(format!("{arguments:?} failed").into());
    }
    Ok((seconds, line))
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn done() -> BoxFuture<'static, Option<NodeOutcome>> {
    Box::pin(async { Some(NodeOutcome::Succeeded { out: BTreeMap::new(), changed: true, output: None }) })
}

/// Answers at once, until one step.
struct StopsAt(String);

impl Executor for StopsAt {
    fn perform(&self, _: Arc<Context>, task: Task, _: Reporter) -> BoxFuture<'static, Option<NodeOutcome>> {
        match &task.effect {
            Effect::Do { node, .. } if node.step == self.0 => Box::pin(std::future::pending()),
            _ => done(),
        }
    }
}

/// Begins operations, and ends as a killed engine does when each is at work on step `at`.
async fn leave(folder: &Path, operations: usize, steps: usize, at: usize) -> Fallible<()> {
    let engine = work::engine_with(folder, Arc::new(StopsAt(format!("s{at}"))))?;
    let begun = Arc::new(AtomicUsize::new(0));
    let lanes = (0..operations.min(100)).map(|_| {
        let (engine, begun) = (engine.clone(), Arc::clone(&begun));
        tokio::spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < operations {
                let id = engine.create(work::chain(steps)).await?;
                let mut seen = engine.watch(id).ok_or("an operation that is not in hand")?;
                let started = 1 + 2 * at as u64 + 1; // `created`, two entries for each step before, `started`
                seen.wait_for(|update| update.seq >= started).await?;
                engine.let_go(id).await; // writes nothing: it only makes room for others
            }
            Fallible::Ok(())
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await??;
    }
    println!("left");
    std::process::exit(0) // nothing is closed
}

/// Counts the operations that ask for something.
struct Asked {
    until: Until,
    wanted: usize,
    seen: Mutex<HashSet<uuid::Uuid>>,
    all: Notify,
}

impl Executor for Asked {
    fn perform(&self, context: Arc<Context>, task: Task, _: Reporter) -> BoxFuture<'static, Option<NodeOutcome>> {
        if self.until == Until::InHand || matches!(task.effect, Effect::Do { .. }) {
            let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if seen.insert(context.id) && seen.len() == self.wanted {
                self.all.notify_one();
            }
        }
        match self.until {
            Until::InHand => Box::pin(std::future::pending()),
            Until::GoesOn => done(),
        }
    }
}

/// Goes on with everything, and prints its peak memory in MiB.
async fn recover(folder: &Path, operations: usize, until: Until) -> Fallible<()> {
    let asked = Arc::new(Asked { until, wanted: operations, seen: Mutex::default(), all: Notify::new() });
    let engine = work::engine_with(folder, Arc::clone(&asked) as Arc<dyn Executor>)?;
    let recovered = engine.recover().await?;
    if recovered.taken.len() != operations {
        return Err(format!("{} of {operations} operations were taken in hand", recovered.taken.len()).into());
    }
    let all = tokio::time::timeout(DEADLINE, asked.all.notified()).await;
    all.map_err(|_| "not every operation went on in time")?;
    println!("{:.1}", peak_mib()?);
    std::process::exit(0)
}

/// The most memory that this process ever held (proc(5), `VmHWM`).
fn peak_mib() -> Fallible<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
}
