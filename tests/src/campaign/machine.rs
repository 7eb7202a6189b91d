//! Faults of the machine around the folder: full and read-only disks, other users, many processes, a stopped process, a
//! folder that is moved, a clock that is set back.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::broken::Broken;
use super::judge::{judge, spoken};
use super::stored::{Stored, copy, on_this_machine};
use super::{damage, effects, formats, history};
use crate::anneal::Anneal;
use crate::binary;
use crate::journal;
use crate::mounted::{Disk, Kind};
use crate::until::SOON;

/// Processes that want the folder at the same moment.
const RACERS: usize = 20;
/// Room of the small disks; the store leaves 16 MiB of it free.
const DISK: &str = "48m";

fn other(why: impl Into<String>) -> Broken {
    Broken::Other(why.into())
}

/// Everything is as before and goes on.
fn fine(anneal: &Anneal, stored: &Stored) -> Result<(), Broken> {
    let judged = judge(anneal, stored)?;
    if judged.refused.is_some() || !judged.damaged.is_empty() {
        return Err(other(format!("it did not go on: {judged:?}")));
    }
    Ok(())
}

/// Fills a disk but for `free` bytes.
fn fill(folder: &Path, free: usize) {
    let path = folder.join("fill");
    let mut file = std::fs::File::create(&path).expect("a file");
    for size in [1 << 16, 4096, 1] {
        while file.write(&vec![0; size]).is_ok_and(|written| written > 0) {}
    }
    let full = file.metadata().expect("a file").len();
    file.set_len(full.saturating_sub(free as u64)).expect("room");
}

/// A disk with this much room when the folder is opened and used.
pub fn full_disk(stored: &Stored, kind: Kind, free: usize) -> Result<bool, Broken> {
    let anneal = stored.copy();
    let disk = Disk::over(anneal.data(), kind, DISK);
    // What the disk has of its own at its root is not the store's.
    let lost_and_found = anneal.data().join("lost+found");
    if lost_and_found.is_dir() {
        std::fs::remove_dir(&lost_and_found).map_err(|error| other(error.to_string()))?;
    }
    stored.restore(&anneal);
    fill(anneal.data(), free);
    let list = spoken(&anneal, &["ops"])?;
    let run = on_this_machine("whole");
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    let ended = spoken(&anneal, &run)?;
    let named = [&list, &ended].iter().any(|ended| ended.code != 0 && ended.stderr.contains("the disk is full"));
    if ended.code != 0 && !named {
        return Err(other(format!("the full disk is not named:\n{}", ended.all())));
    }
    damage::lose(anneal.data(), "fill");
    fine(&anneal, stored)?;
    // What was begun on the full disk goes on as well.
    let list = anneal.json(["ops", "--json"]);
    for one in list.as_array().into_iter().flatten().filter(|one| one["open"] == true) {
        spoken(&anneal, &["resume", one["id"].as_str().unwrap_or_default()])?;
    }
    drop(disk);
    Ok(named)
}

/// A disk that cannot be written.
pub fn read_only(stored: &Stored, kind: Kind) -> Result<bool, Broken> {
    let anneal = stored.copy();
    let disk = Disk::over(anneal.data(), kind, DISK);
    stored.restore(&anneal);
    disk.remount("ro");
    let list = spoken(&anneal, &["ops"])?;
    if list.code == 0 || !list.stderr.contains("Read-only file system") {
        return Err(other(format!("a read-only folder is not named:\n{}", list.all())));
    }
    disk.remount("rw");
    fine(&anneal, stored)?;
    Ok(true)
}

/// A folder of another user. The binary is run as `nobody`, for root may read everything.
pub fn other_user(stored: &Stored) -> Result<bool, Broken> {
    let anneal = stored.copy();
    let copied = anneal.folder().join("anneal");
    std::fs::copy(binary::path(), &copied).map_err(|error| other(error.to_string()))?;
    for path in [anneal.folder(), &copied] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
            .map_err(|error| other(error.to_string()))?;
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&copied)
        .arg("ops")
        .env("ANNEAL_DATA_DIR", anneal.data())
        .output()
        .map_err(|error| other(format!("setpriv: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(1) || !said.contains("Permission denied") || !said.contains("help: ") {
        return Err(other(format!("a folder of another user is not named:\n{said}")));
    }
    fine(&anneal, stored)?;
    Ok(true)
}

/// Many processes at the same moment: one holds the store, all are answered. On a folder that is there, or on none.
pub fn race(stored: &Stored, made: bool) -> Result<bool, Broken> {
    let anneal = stored.copy();
    if !made {
        std::fs::remove_dir_all(anneal.data()).map_err(|error| other(error.to_string()))?;
    }
    let run = on_this_machine("whole");
    let racers: Vec<_> = (0..RACERS)
        .map(|racer| match (racer % 4, made) {
            (0, _) | (_, false) => anneal.start(run.iter().map(String::as_str).chain(["--json"])),
            (1, true) => anneal.start(["ops", "--json"]),
            (2, true) => anneal.start(["show", &stored.names["whole"], "--json"]),
            (_, true) => anneal.start(["logs", &stored.names["undo"]]),
        })
        .collect();
    let runs = if made { RACERS.div_ceil(4) } else { RACERS };
    for racer in racers {
        let ended = racer.wait(SOON * 3);
        if ended.code != 0 || ended.stderr.contains("panicked") {
            return Err(other(format!("one of {RACERS} ended with {}:\n{}", ended.code, ended.all())));
        }
    }
    let new = |id: &String| !made || !stored.known.contains_key(id);
    let ids: Vec<String> = anneal.operations().into_iter().filter(new).collect();
    if ids.len() != runs {
        return Err(Broken::Lost(format!("{} operations were made, not {runs}", ids.len())));
    }
    let text = std::fs::read_to_string(anneal.folder().join("home/effects")).unwrap_or_default();
    let all = effects::read(&text)?;
    for (id, journal) in journal::read_all(anneal.data(), &ids) {
        effects::check(&id, &all, &history::attempts(&journal)?, &["plain", "last"])?;
    }
    if made {
        fine(&anneal, stored)?;
    }
    Ok(false)
}

/// A process is killed while it makes a new folder; the next one makes it.
pub fn killed_while_made(after_us: u64) -> Result<bool, Broken> {
    let anneal = Anneal::new();
    let making = anneal.start(["ops"]);
    // A random time: that is the fault.
    std::thread::sleep(Duration::from_micros(after_us));
    making.kill();
    let run = on_this_machine("whole");
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    let ended = spoken(&anneal, &run)?;
    if ended.code != 0 || anneal.operations().len() != 1 {
        return Err(other(format!("a folder that was half made is not used:\n{}", ended.all())));
    }
    Ok(false)
}

/// The process that holds the store is stopped, and goes on later.
pub fn stopped(stored: &Stored) -> Result<bool, Broken> {
    let anneal = stored.copy();
    let gate = anneal.folder().join("home/gate");
    std::fs::remove_file(&gate).map_err(|error| other(error.to_string()))?;
    let run = on_this_machine("slow");
    let holder = anneal.start(run.iter().map(String::as_str).chain(["--json"]));
    holder.event("its second step", SOON, journal::started("two"));
    holder.signal(Signal::STOP);
    let pid = holder.pid().to_string();
    let asked = spoken(&anneal, &["ops"]);
    // Whatever came of it, it is not left stopped.
    holder.signal(Signal::CONT);
    let asked = asked?;
    if asked.code == 0 || !asked.stderr.contains(&pid) {
        return Err(other(format!("the stopped process {pid} is not named:\n{}", asked.all())));
    }
    std::fs::write(&gate, "").map_err(|error| other(error.to_string()))?;
    let ended = holder.wait(SOON);
    if ended.code != 0 {
        return Err(other(format!("the process that was stopped ended with {}:\n{}", ended.code, ended.all())));
    }
    fine(&anneal, stored)?;
    Ok(true)
}

/// The folder is moved to another path.
pub fn moved(stored: &Stored) -> Result<bool, Broken> {
    let anneal = stored.copy();
    let elsewhere = anneal.folder().join("a folder/with a longer name");
    copy(anneal.data(), &elsewhere);
    std::fs::remove_dir_all(anneal.data()).map_err(|error| other(error.to_string()))?;
    fine(&anneal.with_data(elsewhere), stored)?;
    Ok(false)
}

/// The clock is set back by a year: the journal is as it would be had it been written a year ahead of now.
pub fn clock_set_back(stored: &Stored) -> Result<bool, Broken> {
    let anneal = stored.copy();
    let id = &stored.names["slow"];
    formats::clock(anneal.data(), id);
    let ended = spoken(&anneal, &["resume", id])?;
    let journal = anneal.journal(id);
    let ordered = journal.windows(2).all(|two| two[0].at_ms <= two[1].at_ms);
    if ended.code != 0 || !ordered {
        return Err(other(format!("ended with {}, times in order: {ordered}\n{}", ended.code, ended.all())));
    }
    Ok(false)
}
