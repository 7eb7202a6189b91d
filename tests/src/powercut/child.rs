//! The process that mounts a disk and works on it. Whoever serves the disk must not wait for it, and a subject may panic, hang
//! or end its process: so this is one of its own, which does what the lines of its input ask and answers each with one line.

use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::disk::now;
use super::events::{AFTER_RECOVERY, Plan};
use super::facts::{Fact, Facts};
use super::judge::{Expected, Outcome, Verdict};
use super::subject::{self, Found, Kind, Mended, Subject};
use super::workload;
use crate::until::until;

/// How long the last users of a file system may take to let go of it.
const RELEASE: Duration = Duration::from_secs(10);

/// A line of the input.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    /// The disk.
    pub device: PathBuf,
    /// Where to mount it.
    pub mount: PathBuf,
    /// What is on it.
    pub kind: Kind,
    /// What to do.
    pub order: Order,
}

/// What to do.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Carry a plan out in an empty file system.
    Work(Plan),
    /// Open what is there after a cut at a time, twice, and judge it by the facts in a file.
    Check(PathBuf, u64),
    /// The same once, and go on working; the number distinguishes what is done.
    Recover(PathBuf, u64, u64),
}

/// What was done.
#[derive(Debug, Serialize, Deserialize)]
pub enum Done {
    /// What happened when.
    Worked(Facts),
    /// How the cut was survived.
    Checked(Verdict),
    /// How it was survived; if well, how many commits were shown when, and what happened then.
    Recovered(Verdict, u64, Vec<Fact>),
    /// A workload cannot go on.
    Failed(String),
}

/// Answers the lines of the input until it ends.
///
/// # Errors
/// Of the input and the output.
pub fn serve() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut known: Option<(PathBuf, Expected, Facts)> = None;
    for line in io::stdin().lock().lines() {
        let task: Task = serde_json::from_str(&line?)?;
        if let Order::Check(path, _) | Order::Recover(path, ..) = &task.order
            && known.as_ref().is_none_or(|(of, ..)| of != path)
        {
            let facts: Facts = serde_json::from_slice(&std::fs::read(path)?)?;
            known = Some((path.clone(), Expected::new(&facts), facts));
        }
        let (done, released) = carry_out(&task, known.as_ref().map(|(_, expected, facts)| (expected, facts)));
        let mut answer = serde_json::to_string(&done)?;
        answer.push('\n');
        io::stdout().write_all(answer.as_bytes())?;
        io::stdout().flush()?;
        if !released {
            break; // threads of a subject that panicked may keep its files open: they end with this process
        }
    }
    Ok(())
}

/// Also whether the disk is not in use any more.
fn carry_out(task: &Task, known: Option<(&Expected, &Facts)>) -> (Done, bool) {
    let options: Option<&std::ffi::CStr> = None;
    let mounted = mount(&task.device, &task.mount, "ext4", MountFlags::NOATIME, options);
    let done = match (mounted, &task.order, known) {
        (Err(error), order, known) => unopened(order, known, format!("the file system does not mount: {error}")),
        (Ok(()), order, known) => catch_unwind(AssertUnwindSafe(|| on_disk(task, known)))
            .unwrap_or_else(|panic| unopened(order, known, format!("it panics: {}", text(panic.as_ref())))),
    };
    let well = match &done {
        Done::Worked(_) => true,
        Done::Checked(verdict) | Done::Recovered(verdict, ..) => verdict.outcome == Outcome::Whole,
        Done::Failed(_) => false,
    };
    if well {
        // sled lets go of its files on threads of its own.
        until("the file system to be unused", RELEASE, || unmount(&task.mount, UnmountFlags::empty()).ok());
    }
    (done, well)
}

fn unopened(order: &Order, known: Option<(&Expected, &Facts)>, why: String) -> Done {
    match (order, known) {
        (Order::Check(_, cut) | Order::Recover(_, cut, _), Some((expected, _))) => Done::Checked(Verdict {
            acknowledged: expected.acknowledged(*cut),
            kept: 0,
            mended: Mended::default(),
            outcome: Outcome::Unopened(why),
        }),
        _ => Done::Failed(why),
    }
}

fn on_disk(task: &Task, known: Option<(&Expected, &Facts)>) -> Done {
    let folder = task.mount.join("data");
    let done = match (&task.order, known) {
        (Order::Work(plan), _) => work(task.kind, plan, &folder).map(Done::Worked),
        (Order::Check(_, cut), Some((expected, _))) => Ok(Done::Checked(check(task.kind, &folder, expected, *cut))),
        (Order::Recover(_, cut, number), Some((expected, facts))) => {
            recover(task.kind, &folder, expected, &facts.plan, *cut, *number)
        }
        (Order::Check(..) | Order::Recover(..), None) => Err("there are no facts".to_owned()),
    };
    done.unwrap_or_else(Done::Failed)
}

fn work(kind: Kind, plan: &Plan, folder: &Path) -> Result<Facts, String> {
    let subject = subject::open(kind, folder)?;
    let opened = now();
    let workload::Happened { facts, compactions } = workload::run(subject.as_ref(), kind, plan, 0, folder)?;
    Ok(Facts { plan: *plan, opened, facts, compactions })
}

fn first_opening(kind: Kind, folder: &Path, expected: &Expected, cut: u64) -> (Verdict, Opened) {
    let acknowledged = expected.acknowledged(cut);
    let verdict = |kept, mended, outcome| Verdict { acknowledged, kept, mended, outcome };
    let subject = match subject::open(kind, folder) {
        Ok(subject) => subject,
        Err(why) => return (verdict(0, Mended::default(), Outcome::Unopened(why)), None),
    };
    let mended = subject.mended();
    match subject.read() {
        Err(why) => (verdict(0, mended, Outcome::Half(why)), None),
        Ok(found) => {
            let (kept, outcome) = expected.judge(&found, mended, cut);
            (verdict(kept, mended, outcome), Some((subject, found)))
        }
    }
}

type Opened = Option<(Box<dyn Subject>, Found)>;

fn check(kind: Kind, folder: &Path, expected: &Expected, cut: u64) -> Verdict {
    let (verdict, opened) = first_opening(kind, folder, expected, cut);
    let Some((subject, found)) = opened else { return verdict };
    if verdict.outcome != Outcome::Whole {
        return verdict;
    }
    drop(subject);
    let outcome = match subject::open(kind, folder).map(|subject| subject.read()) {
        Err(why) => Outcome::Unopened(format!("at the second opening: {why}")),
        Ok(Err(why)) => Outcome::Half(format!("at the second opening: {why}")),
        Ok(Ok(again)) if again != found => Outcome::Half("the second opening shows something else".to_owned()),
        Ok(Ok(_)) => Outcome::Whole,
    };
    Verdict { outcome, ..verdict }
}

fn recover(kind: Kind, folder: &Path, expected: &Expected, plan: &Plan, cut: u64, number: u64) -> Result<Done, String> {
    let (verdict, opened) = first_opening(kind, folder, expected, cut);
    let time = now();
    let Some((subject, _)) = opened else { return Ok(Done::Checked(verdict)) };
    if verdict.outcome != Outcome::Whole {
        return Ok(Done::Checked(verdict));
    }
    let plan = Plan { writers: 2, events: 6, compactions: 0, ..*plan };
    let first = AFTER_RECOVERY + 2 * u32::try_from(number).unwrap_or_default();
    let happened = workload::run(subject.as_ref(), kind, &plan, first, folder)?;
    Ok(Done::Recovered(verdict, time, happened.facts))
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text").to_owned()
}
