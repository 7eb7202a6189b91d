//! A group of processes (cgroups(7)) and what they cost: CPU time with everything they start, and memory while they run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Fallible;

/// A group. Whatever a member starts is a member, also when it outlives who started it.
#[derive(Debug)]
pub struct Group(PathBuf);

/// What a command cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// From its start to its end.
    pub wall: Duration,
    /// User and system time of it and all that it started.
    pub cpu: Duration,
    /// The most memory that all of them had at once, MiB: proportional set size, looked at every 50 ms.
    pub peak_mib: f64,
}

impl Group {
    /// A new, empty group. Version 1 has a hierarchy for CPU time, version 2 one for all.
    pub fn new(name: &str) -> Fallible<Group> {
        let v1 = Path::new("/sys/fs/cgroup/cpuacct");
        let root = if v1.is_dir() { v1 } else { Path::new("/sys/fs/cgroup") };
        let folder = root.join(format!("anneal-bench-{}-{name}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Group(folder))
    }

    /// Who writes its process id into this file becomes a member.
    pub fn file(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// The members.
    pub fn processes(&self) -> Vec<String> {
        fs::read_to_string(self.file()).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// What all members that there ever were have used.
    pub fn cpu(&self) -> Fallible<Duration> {
        if let Ok(ns) = fs::read_to_string(self.0.join("cpuacct.usage")) {
            return Ok(Duration::from_nanos(ns.trim().parse()?));
        }
        let stat = fs::read_to_string(self.0.join("cpu.stat"))?;
        let us = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
        Ok(Duration::from_micros(us.ok_or("cpu.stat has no usage_usec")?.parse()?))
    }

    fn memory_kib(&self) -> f64 {
        let of = |pid: &String| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0)
        };
        self.processes().iter().map(of).sum()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group with members cannot be removed; they are about to end.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Runs a command, which must succeed, and says what it cost. What it wrote is in the error, else nowhere.
pub fn measure(command: &Command) -> Fallible<Cost> {
    let group = Group::new("contestant")?;
    let mut wrapped = Command::new("sh");
    wrapped.args(["-c", r#"echo $$ >"$0" && exec "$@""#]).arg(group.file());
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    let log = tempfile::tempfile()?;
    wrapped.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
    let over = AtomicBool::new(false);
    let (status, wall, peak_mib) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak: f64 = 0.0;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(group.memory_kib() / 1024.0);
                std::thread::sleep(Duration::from_millis(50));
            }
            peak
        });
        let began = Instant::now();
        let status = wrapped.status();
        let wall = began.elapsed();
        over.store(true, Ordering::Relaxed);
        (status, wall, watch.join().unwrap_or(f64::NAN))
    });
    let cpu = group.cpu()?;
    for pid in group.processes() {
        // What stays behind on purpose, such as a master connection, ends here.
        let _ = Command::new("kill").args(["-KILL", &pid]).stderr(Stdio::null()).status();
    }
    if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
        use std::io::{Read as _, Seek as _};
        let (mut log, mut said) = (log, Vec::new());
        log.rewind()?;
        log.read_to_end(&mut said)?;
        let said = String::from_utf8_lossy(&said[said.len().saturating_sub(4000)..]).into_owned();
        return Err(format!("{command:?}: {status:?}\n{said}").into());
    }
    Ok(Cost { wall, cpu, peak_mib })
}
