//! A fault while it is there: the operator's command that runs, and what can be done to the host and the network meanwhile.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::case::{Clock, Outcome, There, Work};
use super::host::Host;
use super::net::{Wall, Walled};
use crate::anneal::{Anneal, Ended};
use crate::running::Running;
use crate::until::{SOON, until};

/// How long anything may take here.
const LONGEST: Duration = Duration::from_secs(280);

/// What there is before the command starts.
#[derive(Debug)]
pub struct Stage {
    /// The operator.
    pub anneal: Anneal,
    host: Option<Host>,
    port: u16,
    folder: PathBuf,
}

impl Stage {
    /// Brings what is there, and writes what is asked.
    ///
    /// # Panics
    /// When that cannot be.
    pub fn new(there: There, work: &Work) -> Stage {
        let anneal = Anneal::new();
        let (host, port) = there.bring();
        let folder = anneal.folder().join("shared");
        std::fs::create_dir(&folder).expect("a folder");
        // Whoever logs in writes there.
        for path in [anneal.folder(), &folder] {
            super::world::run(std::process::Command::new("chmod").arg("0777").arg(path)).expect("a folder for all");
        }
        let stage = Stage { anneal, host, port, folder };
        stage.anneal.file("work.sh", work.script);
        stage.anneal.file("workflow.ron", stage.workflow(work));
        stage.write_inventory();
        stage
    }

    fn write_inventory(&self) {
        let host = match &self.host {
            Some(host) => host.inventory(self.port),
            None => {
                format!("Ssh(address: \"127.0.0.1\", port: {}, user: \"root\", password: Env(\"PATH\"))", self.port)
            }
        };
        self.anneal.file("inv.ron", format!("Inventory(hosts: {{ \"m\": {host} }}, roles: {{ \"m\": [\"m\"] }})"));
    }

    fn workflow(&self, work: &Work) -> String {
        let Work { steps, action, more, .. } = work;
        let env =
            format!("env: {{ \"COUNT\": \"{}\", \"GATE\": \"{}\" }}", self.count().display(), self.gate().display());
        // Only programs have an environment.
        let env = if action.starts_with("Upload") { String::new() } else { env };
        let steps: String =
            (0..*steps).map(|n| format!("Step(id: \"work{n}\", on: \"m\", do: {action}, {more}, {env}),")).collect();
        format!("Workflow(name: \"fault\", roles: {{ \"m\": One }}, steps: [{steps}])")
    }

    /// The host.
    ///
    /// # Panics
    /// Where there is none.
    pub fn host(&self) -> &Host {
        self.host.as_ref().expect("a host")
    }

    /// Runs the command to its end.
    pub fn run(&self) -> Ended {
        self.anneal.run(RUN)
    }

    /// A line for each program that began.
    pub fn count(&self) -> PathBuf {
        self.folder.join("count")
    }

    /// A file that the programs may write.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn gate(&self) -> PathBuf {
        self.folder("gate")
    }

    /// How many programs began.
    pub fn began(&self) -> usize {
        std::fs::read_to_string(self.count()).unwrap_or_default().lines().count()
    }

    /// Puts a wall before the host that stays.
    pub fn wall_for_good(&self, wall: Wall) {
        std::mem::forget(Walled::up(self.port, wall));
    }

    /// The ports of the near ends of connections to it, as this side sees them: `ESTABLISHED` in proc(5), `/proc/net/tcp`.
    pub fn connections(&self) -> BTreeSet<u16> {
        let (remote, table) = (format!(":{:04X}", self.port), std::fs::read_to_string("/proc/net/tcp"));
        let near_end = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            let (near, far, state) = (words.next()?, words.next()?, words.next()?);
            let (_, port) = near.split_once(':').filter(|_| far.ends_with(&remote) && state == "01")?;
            u16::from_str_radix(port, 16).ok()
        };
        table.unwrap_or_default().lines().filter_map(near_end).collect()
    }

    /// Makes as if nothing had begun yet.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(self.count());
    }
}

const RUN: [&str; 6] = ["run", "workflow.ron", "--json", "--inventory", "inv.ron", "--accept-new-host-keys"];

/// A command that runs.
#[derive(Debug)]
pub struct Play<'a> {
    /// What it runs on.
    pub stage: &'a Stage,
    running: std::cell::RefCell<Option<Running>>,
    clock: Clock,
    noted: std::cell::RefCell<String>,
}

impl<'a> Play<'a> {
    /// Starts the command.
    pub fn begin(stage: &'a Stage) -> Play<'a> {
        let clock = Clock::new();
        let running = stage.anneal.start(RUN);
        Play { stage, running: std::cell::RefCell::new(Some(running)), clock, noted: Default::default() }
    }

    /// Waits until so many programs have begun.
    ///
    /// # Panics
    /// When they do not.
    pub fn until_begun(&self, programs: usize) {
        until("programs to begin", SOON * 2, || (self.stage.began() >= programs).then_some(()));
    }

    /// Lets the programs end.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn open(&self) {
        std::fs::write(self.stage.gate(), "").expect("a file");
    }

    /// Puts a wall before the host.
    pub fn wall(&self, wall: Wall) -> Walled {
        Walled::up(self.stage.port, wall)
    }

    /// Makes a black hole of each connection that there is now; new ones come through.
    pub fn wall_around_connections(&self) -> Vec<Walled> {
        self.stage.connections().into_iter().map(|near| Walled::around(near, self.stage.port)).collect()
    }

    /// The time counts from now.
    pub fn from_now(&self) {
        self.clock.from_now();
    }

    /// Keeps the fault as it is for so long: that is the fault.
    pub fn stay(&self, long: Duration) {
        std::thread::sleep(long);
    }

    /// Waits until the command has said this.
    ///
    /// # Panics
    /// When it does not.
    pub fn until_said(&self, part: &str) {
        let running = self.running.borrow();
        until(part, LONGEST, || running.as_ref()?.so_far().contains(part).then_some(()));
    }

    /// The process of the command.
    pub fn pid(&self) -> u32 {
        self.running.borrow().as_ref().map_or(0, Running::pid)
    }

    /// Looks again and again until the command has ended; the largest of what is found.
    pub fn largest(&self, mut look: impl FnMut() -> Option<u64>) -> u64 {
        let (status, mut largest) = (format!("/proc/{}/status", self.pid()), 0);
        while std::fs::read_to_string(&status).is_ok_and(|status| status.contains("VmRSS")) {
            largest = largest.max(look().unwrap_or(0));
            std::thread::sleep(Duration::from_millis(10));
        }
        largest
    }

    /// The largest memory of the command so far, in KiB.
    pub fn memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// Keeps a remark for the table.
    pub fn note(&self, text: String) {
        *self.noted.borrow_mut() = text;
    }

    /// The remark.
    pub fn noted(&self) -> String {
        self.noted.borrow().clone()
    }

    /// Waits for the end of the command.
    pub fn end(&self) -> Outcome {
        let running = self.running.borrow_mut().take().expect("a command that runs");
        let ended = running.wait(LONGEST);
        Outcome::new(ended, self.clock.elapsed(), self.stage.began())
    }
}
