//! A run from its start to its table, and what is left when it ends: nothing, however it ends.
//!
//! Three kinds of processes: the one that was started waits for the others and takes down what they leave; the one *inside*
//! a mount namespace of its own serves the disks and leads the campaign; its children, each in another, mount them.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Instant;

use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::process::{Pid, Signal, geteuid, kill_process_group, set_parent_process_death_signal};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::campaign::{Images, Lane, Tally};
use super::configuration::{Configuration, OF_A_ROUND, all};
use super::drive::{run_folder, take_down_leftovers};
use super::worker::IN_NAMESPACE;
use crate::until::{SOON, until};

/// The argument with which this program is inside.
pub const INSIDE: &str = "inside";
/// Disks that are worked on at the same time. Most of the time each waits for another process to get its turn.
const LANES: usize = 4;

/// What to do.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// So many cuts of the store, and the controls.
    Campaign {
        /// How many.
        cuts: usize,
        /// Decides what is left to chance, but for the timing of threads.
        seed: u64,
    },
    /// Check a kept disk again.
    Replay(String),
}

impl Wanted {
    fn arguments(&self) -> Vec<String> {
        match self {
            Wanted::Campaign { cuts, seed } => {
                vec!["--cuts".into(), cuts.to_string(), "--seed".into(), seed.to_string()]
            }
            Wanted::Replay(name) => vec!["--replay".into(), name.clone()],
        }
    }
}

/// Starts the process inside, waits for it, and cleans up after it. Gives the exit code.
///
/// # Errors
/// When something is missing on this machine.
pub fn outside(wanted: &Wanted) -> Result<u8, String> {
    if !geteuid().is_root() {
        return Err("it mounts file systems: it must be run as root".to_owned());
    }
    let run = std::process::id();
    until("what earlier runs left to be gone", SOON, || take_down_leftovers(run).then_some(()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(supervise(run, wanted)));
    // A killed process takes its file systems down while it ends.
    until("everything to be taken down", SOON, || take_down_leftovers(run).then_some(()));
    ended
}

async fn supervise(run: u32, wanted: &Wanted) -> Result<u8, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(interrupt), Ok(terminate), Ok(hangup)] = &mut signals else {
        return Err("cannot listen to signals".to_owned());
    };
    let mut inside = Command::new("unshare")
        .args(IN_NAMESPACE)
        .args(["private", "--"])
        .arg(std::env::current_exe().map_err(failed)?)
        .args([INSIDE, &run.to_string()])
        .args(wanted.arguments())
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot run unshare: {error}"))?;
    let group = inside.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    tokio::select! {
        ended = inside.wait() => {
            return ended.map(|status| status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)).map_err(failed);
        }
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    inside.wait().await.map_err(failed)?;
    Ok(130)
}

/// Does what is wanted. Gives the exit code: 0 when all is as it must be.
///
/// # Errors
/// When it cannot be done.
pub fn inside(run: u32, wanted: &Wanted, say: &(dyn Fn(&str) + Sync)) -> Result<u8, String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    share(&run_folder(run)).map_err(|error| format!("cannot prepare {}: {error}", run_folder(run).display()))?;
    match wanted {
        Wanted::Campaign { cuts, seed } => campaign(run, *cuts, *seed, say),
        Wanted::Replay(name) => {
            let verdict = Lane::new(run_folder(run).join("replay"), run, 0, &Images::default())?.replay(name)?;
            say(&format!("{name}: {verdict:#?}"));
            Ok(u8::from(verdict.outcome != super::judge::Outcome::Whole))
        }
    }
}

/// Makes a folder in which children see what is unmounted.
fn share(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    mount_bind(folder, folder)?;
    Ok(mount_change(folder, MountPropagationFlags::SHARED)?)
}

fn campaign(run: u32, cuts: usize, seed: u64, say: &(dyn Fn(&str) + Sync)) -> Result<u8, String> {
    let (began, images, configurations) = (Instant::now(), Images::default(), all());
    let mut rounds = VecDeque::new();
    for (which, configuration) in configurations.iter().enumerate() {
        let cuts = configuration.cuts(cuts);
        for round in 0..cuts.div_ceil(OF_A_ROUND) {
            rounds.push_back((which, round, OF_A_ROUND.min(cuts - round * OF_A_ROUND)));
        }
    }
    let (rounds, tallies) = (Mutex::new(rounds), Mutex::new(vec![Tally::default(); configurations.len()]));
    let lane = |number: usize| -> Result<(), String> {
        let mut lane = Lane::new(run_folder(run).join(number.to_string()), run, seed, &images)?;
        loop {
            let next = locked(&rounds).pop_front();
            let Some((which, round, cuts)) = next else { return Ok(()) };
            let tally = lane.round(&configurations[which], round, cuts)?;
            locked(&tallies)[which].add(tally);
        }
    };
    let lanes: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let lane = &lane;
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|_| Err("a lane panicked".to_owned()))).collect()
    });
    let tallies = locked(&tallies);
    say(&table(&configurations, &tallies));
    let (sum, seconds) = (tallies.iter().map(|tally| tally.cuts).sum::<usize>(), began.elapsed().as_secs());
    say(&format!("seed {seed}; {sum} cuts in {seconds} s"));
    let mut wrong = 0;
    for (configuration, tally) in configurations.iter().zip(tallies.iter()) {
        wrong += usize::from(!as_it_must_be(configuration, tally, say));
    }
    lanes.into_iter().collect::<Result<(), String>>()?;
    Ok(u8::from(wrong > 0))
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn as_it_must_be(configuration: &Configuration, tally: &Tally, say: &dyn Fn(&str)) -> bool {
    let all_survived = tally.survived == tally.cuts;
    if !configuration.must_survive {
        if all_survived {
            say(&format!("{}: nothing was lost, so this harness does not see what it should", configuration.name));
        }
        return !all_survived;
    }
    for (cut, outcome) in &tally.failures {
        say(&format!("{cut}: {outcome:?}\n  again with: target/debug/powercut --replay {cut}"));
    }
    all_survived
}

fn table(configurations: &[Configuration], tallies: &[Tally]) -> String {
    let columns = ["cuts", "survived", "acknowledged", "lost", "half there", "not opened", "torn", "rebuilt", "told"];
    let mut text = format!("{:<13}", "");
    for column in columns {
        let _ = write!(text, " | {column:>12}");
    }
    for (configuration, tally) in configurations.iter().zip(tallies) {
        let Tally { cuts, survived, acknowledged, lost, half, unopened, torn, rebuilt, told, .. } = tally;
        let _ = write!(text, "\n{:<13}", configuration.name);
        for number in [cuts, survived, acknowledged, lost, half, unopened, torn, rebuilt, told] {
            let _ = write!(text, " | {number:>12}");
        }
    }
    text
}
