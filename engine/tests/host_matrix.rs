//! The contract of remote jobs for each shell and each user, as a table; and what many engines on one host do to each other.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod host_support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use engine::host::{ErrorKind, Found, Host, Job, Program, SshSpec, Supervise};
use futures::future::BoxFuture;
use host_support::{
    Folder, PASSWORD, Sshd, eventually, id, job, job_folder, local, processes_with, secret, shell, shells,
};
use uuid::Uuid;

const MINUTE: Duration = Duration::from_secs(60);

/// One cell of the table.
struct Cell<'a> {
    host: Host,
    user: Option<&'a str>,
    root: bool,
    /// A folder that everybody may write in.
    folder: &'a Folder,
    name: String,
}

impl Cell<'_> {
    fn job(&self, text: &str) -> Job {
        Job { as_user: self.user.map(str::to_owned), ..shell(text) }
    }

    fn gate(&self, what: &str) -> PathBuf {
        self.folder.path(&format!("{} {what}", self.name).replace(' ', "-"))
    }

    /// Runs until the job has made a file, and lets go of it as a dead engine does.
    async fn leave(&self, job: &Job, up: &Path) {
        tokio::select! {
            end = self.host.run(job, &()) => panic!("{}: it ended: {end:?}", self.name),
            () = eventually("the job to begin", || up.exists()) => {}
        }
        self.host.close().await;
    }
}

type Outcome = Result<(), String>;
type Case = (&'static str, for<'a> fn(&'a Cell<'a>) -> BoxFuture<'a, Outcome>);

/// Says what was wrong instead of panicking, so that the table is whole.
macro_rules! check {
    ($condition:expr, $($said:tt)+) => {
        if !$condition { return Err(format!($($said)+)); }
    };
}

async fn ended(cell: &Cell<'_>) -> Outcome {
    for supervise in [Supervise::Always, Supervise::Never] {
        let mut job = cell.job("read -r x; echo \"$x $V\"; echo err >&2; exit 7");
        (job.supervise, job.stdin) = (supervise, Some(secret("in put")));
        job.env = vec![("V".into(), secret("val'ue"))];
        let end = cell.host.run(&job, &()).await.map_err(|error| error.to_string())?;
        check!(end.exit == 7 && end.stdout.head == b"in put val'ue\n" && end.stderr.head == b"err\n", "{end:?}");
        cell.host.sweep(job.id.operation, cell.user).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn found_again(cell: &Cell<'_>) -> Outcome {
    let gate = cell.gate("gate");
    let text = format!("echo up >'{0}.up'; until [ -e '{0}' ]; do sleep 0.05; done; seq 2000; exit 5", gate.display());
    let job = cell.job(&text);
    cell.leave(&job, &gate.with_extension("up")).await;
    std::fs::write(&gate, "").unwrap();
    let found = cell.host.reattach(&job.id, cell.user, MINUTE, &()).await.map_err(|error| error.to_string())?;
    let Found::Ended(end) = &found else { return Err(format!("{found:?}")) };
    check!(end.exit == 5 && end.stdout.head.ends_with(b"\n2000\n"), "{end:?}");
    let again = cell.host.run(&job, &()).await;
    check!(matches!(&again, Err(error) if error.kind == ErrorKind::Fenced), "it ran again: {again:?}");
    cell.host.sweep(job.id.operation, cell.user).await.map_err(|error| error.to_string())
}

async fn never_began(cell: &Cell<'_>) -> Outcome {
    let job = cell.job("exit 0");
    let found = cell.host.reattach(&job.id, cell.user, MINUTE, &()).await.map_err(|error| error.to_string())?;
    check!(found == Found::NeverBegan, "{found:?}");
    let late = cell.host.run(&job, &()).await;
    check!(matches!(&late, Err(error) if error.kind == ErrorKind::Fenced), "a late start: {late:?}");
    cell.host.sweep(job.id.operation, cell.user).await.map_err(|error| error.to_string())
}

/// A job that ignores TERM, with a grandchild in a session of its own that does so too.
fn stubborn(cell: &Cell<'_>, up: &Path) -> Job {
    cell.job(&format!(
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo up >\"{}\"; while :; do sleep 0.1; done' & while :; do sleep 0.1; done",
        up.display()
    ))
}

fn nothing_left(job: &Job) -> bool {
    processes_with(&format!("ANNEAL_JOB={}", job.id.operation), "environ").is_empty()
}

async fn killed(cell: &Cell<'_>) -> Outcome {
    let up = cell.gate("killed");
    let job = stubborn(cell, &up);
    cell.leave(&job, &up).await;
    let killed = cell.host.kill(&job.id, cell.user).await.map_err(|error| error.to_string())?;
    check!(killed.survivors.is_empty() && killed.saw_all == cell.root, "{killed:?}");
    check!(nothing_left(&job), "something is left");
    cell.host.sweep(job.id.operation, cell.user).await.map_err(|error| error.to_string())
}

async fn late(cell: &Cell<'_>) -> Outcome {
    let mut job = stubborn(cell, &cell.gate("late"));
    job.timeout = Duration::from_secs(2);
    let error = cell.host.run(&job, &()).await.err().ok_or("it ended")?;
    check!(matches!(&error.kind, ErrorKind::TimedOut { killed, .. } if killed.survivors.is_empty()), "{error}");
    check!(nothing_left(&job), "something is left");
    cell.host.sweep(job.id.operation, cell.user).await.map_err(|error| error.to_string())
}

async fn watched(cell: &Cell<'_>) -> Outcome {
    let up = cell.gate("watched");
    let mut job = stubborn(cell, &up);
    job.timeout = Duration::from_secs(4);
    let watched = Cell { host: cell.host.clone().with_watchdog_over(Duration::ZERO), name: cell.name.clone(), ..*cell };
    watched.leave(&job, &up).await;
    eventually("the watchdog", || nothing_left(&job)).await;
    let error = watched.host.reattach(&job.id, cell.user, MINUTE, &()).await.err().ok_or("it ended")?;
    check!(matches!(&error.kind, ErrorKind::TimedOut { .. }), "{error}");
    cell.host.sweep(job.id.operation, cell.user).await.map_err(|error| error.to_string())
}

async fn vanished(cell: &Cell<'_>) -> Outcome {
    let up = cell.gate("vanished");
    let job = cell.job(&format!("echo up >'{}'; sleep 300", up.display()));
    cell.leave(&job, &up).await;
    // `sleep` runs in the job's shell, which is a child of the one that records the end: that one is killed.
    eventually("`sleep` to run", || !nothing_left(&job)).await;
    let marked = processes_with(&format!("ANNEAL_JOB={}", job.id.operation), "environ");
    let supervisors: Vec<u32> = marked.iter().filter_map(|pid| parent(parent(*pid)?)).filter(|pid| *pid > 1).collect();
    check!(!supervisors.is_empty(), "no supervisor is seen");
    supervisors.iter().for_each(|pid| host_support::kill(*pid));
    let found = cell.host.reattach(&job.id, cell.user, MINUTE, &()).await.map_err(|error| error.to_string())?;
    check!(found == Found::Vanished, "{found:?}");
    let killed = cell.host.kill(&job.id, cell.user).await.map_err(|error| error.to_string())?;
    check!(killed.survivors.is_empty() && nothing_left(&job), "{killed:?}");
    cell.host.sweep(job.id.operation, cell.user).await.map_err(|error| error.to_string())
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

const CASES: [Case; 7] = [
    ("ended", |cell| Box::pin(ended(cell))),
    ("found", |cell| Box::pin(found_again(cell))),
    ("never", |cell| Box::pin(never_began(cell))),
    ("killed", |cell| Box::pin(killed(cell))),
    ("late", |cell| Box::pin(late(cell))),
    ("watched", |cell| Box::pin(watched(cell))),
    ("vanished", |cell| Box::pin(vanished(cell))),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_in_every_shell_for_every_user() {
    let (sshd, folder) = (Sshd::with_users(""), Folder::new("matrix"));
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    // A connection of its own for each case, for most of them break it.
    let login = |user: &str| {
        let sudo_password = (user == "asked").then(|| secret(PASSWORD));
        match user {
            "here" => local(),
            "root" => sshd.host(),
            user => sshd.host_with(SshSpec { sudo_password, ..sshd.as_user(user, PASSWORD) }),
        }
    };
    let users = [
        ("root", "root", None, true),
        ("a user", "plain", None, false),
        ("sudo root", "plain", Some("root"), true),
        ("sudo other", "ptyed", Some("other"), false),
        ("sudo asks", "asked", Some("root"), true),
        ("here", "here", None, true),
    ];
    let mut table = format!("{:20}", "");
    CASES.iter().for_each(|(case, _)| table += &format!("{case:>9}"));
    let mut wrong = Vec::new();
    for (shell, sh) in shells(&folder) {
        let row = |(name, login_user, user, root): (&str, &'static str, Option<&'static str>, bool)| {
            let (sh, folder, login) = (&sh, &folder, &login);
            let name = format!("{shell:8} {name:10}");
            async move {
                let cases = CASES.map(|(what, case)| {
                    let cell = Cell { host: login(login_user).with_shell(sh), user, root, folder, name: name.clone() };
                    async move { (what, case(&cell).await) }
                });
                let outcomes = futures::future::join_all(cases).await;
                (name, outcomes)
            }
        };
        let mut rows = Vec::new();
        // Half of the users at once: there are not many processors, and sudo asks one after the other.
        for some in users.chunks(3) {
            rows.extend(futures::future::join_all(some.iter().map(|user| row(*user))).await);
        }
        for (name, cases) in rows {
            table += &format!("\n{name:20}");
            for (case, outcome) in cases {
                table += &format!("{:>9}", if outcome.is_ok() { "ok" } else { "WRONG" });
                wrong.extend(outcome.err().map(|why| format!("{name} {case}: {why}")));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{table}\n{}", wrong.join("\n"));
    println!("{table}");
}

struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: PathBuf, options: &str) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).status().unwrap();
        assert!(done.success(), "mounting a tmpfs needs CAP_SYS_ADMIN");
        Self(at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn programs_run_from_a_folder_that_allows_no_execution() {
    let (sshd, folder) = (Sshd::start(), Folder::new("noexec"));
    for (name, sh) in shells(&folder) {
        let host = sshd.host().with_shell(&sh);
        for text in ["#!/bin/bash\nx=(a b); echo \"${x[1]}\"\n", "#!/usr/bin/env python3\nprint('b')\n", "echo b\n"] {
            let job = job(Program::Script { text: text.into(), args: Vec::new() });
            let _disk = Mounted::tmpfs(job_folder(job.id.operation), "noexec,nosuid,size=1m,mode=0700");
            let end = host.run(&job, &()).await.unwrap();
            assert_eq!((end.exit, end.stdout.head.as_slice()), (0, &b"b\n"[..]), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn a_user_without_a_home_has_jobs_that_a_restart_forgets_and_that_is_known() {
    let (sshd, folder) = (Sshd::with_users(""), Folder::new("shells"));
    let home = sshd.folder.path("home/other");
    std::os::unix::fs::chown(&home, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o555)).unwrap();
    for (name, sh) in shells(&folder) {
        let host = sshd.host_with(sshd.as_user("plain", PASSWORD)).with_shell(&sh);
        let mut job = shell("echo out; exit 3");
        job.as_user = Some("other".into());
        let end = host.run(&job, &()).await.unwrap();
        assert_eq!((end.exit, end.stdout.head.as_slice()), (3, &b"out\n"[..]), "{name}");
        assert!(Path::new("/dev/shm/anneal-other").join(job.id.operation.to_string()).exists(), "{name}");
        let found = host.reattach(&job.id, Some("other"), MINUTE, &()).await.unwrap();
        assert_eq!(found, Found::Ended(end), "{name}: as long as the machine runs it is known");
        // What is not there may have been there before a restart: nobody says that it never began.
        job.id.attempt = 2;
        let found = host.reattach(&job.id, Some("other"), MINUTE, &()).await.unwrap();
        assert_eq!(found, Found::Vanished, "{name}");
        host.sweep(job.id.operation, Some("other")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_on_one_host_do_not_meet() {
    let (sshd, folder) = (Sshd::start(), Folder::new("engines"));
    let engines = [sshd.host(), sshd.host(), local()];
    let all = (0..30).map(|nth| {
        let (host, gate) = (&engines[nth % 3], folder.path(&format!("{nth}")));
        async move {
            // The same node and attempt in each, of operations of their own.
            let job = shell(&format!("echo {nth} >>'{}'; echo {nth}; exit {}", gate.display(), nth % 7));
            let end = host.run(&job, &()).await.unwrap();
            assert_eq!((end.exit, end.stdout.head), ((nth % 7) as i32, format!("{nth}\n").into_bytes()));
            assert_eq!(std::fs::read_to_string(gate).unwrap(), format!("{nth}\n"));
            host.sweep(job.id.operation, None).await.unwrap();
        }
    });
    futures::future::join_all(all).await;
    // An operation that two data folders know, as after a copy: each attempt has one owner.
    let operation = Uuid::now_v7();
    for attempt in 1..=10 {
        let count = folder.path(&format!("count-{attempt}"));
        let mut job = shell(&format!("echo ran >>'{}'", count.display()));
        (job.id.operation, job.id.attempt) = (operation, attempt);
        let (one, two) = tokio::join!(engines[0].run(&job, &()), engines[1].run(&job, &()));
        let fenced =
            |end: &Result<_, engine::host::Error>| matches!(end, Err(error) if error.kind == ErrorKind::Fenced);
        assert!(one.is_ok() && fenced(&two) || two.is_ok() && fenced(&one), "{one:?} {two:?}");
        assert_eq!(std::fs::read_to_string(count).unwrap(), "ran\n");
    }
    engines[0].sweep(operation, None).await.unwrap();
}

#[tokio::test]
async fn thousands_of_jobs_in_one_folder_are_listed_found_and_swept() {
    let (sshd, folder) = (Sshd::start(), Folder::new("shells"));
    for (name, sh) in shells(&folder) {
        let host = sshd.host().with_shell(&sh);
        let mut job = shell("echo out");
        assert_eq!(host.run(&job, &()).await.unwrap().exit, 0);
        let files = job_folder(job.id.operation);
        let record = std::fs::read_to_string(files.join("step.1.pid")).unwrap();
        for nth in 0..5_000 {
            std::fs::write(files.join(format!("node-{nth}.host-{nth}.1.pid")), &record).unwrap();
            std::fs::write(files.join(format!("node-{nth}.host-{nth}.1.exit")), "0 - .\n").unwrap();
        }
        assert_eq!(host.jobs(job.id.operation, None).await.unwrap().unwrap().len(), 5_001, "{name}");
        job.id.node = "node-4711.host-4711".into();
        assert!(matches!(host.reattach(&job.id, None, MINUTE, &()).await.unwrap(), Found::Ended(end) if end.exit == 0));
        job.id.attempt = 2;
        assert_eq!(host.run(&job, &()).await.unwrap().exit, 0, "{name}");
        host.sweep(job.id.operation, None).await.unwrap();
        assert!(!files.exists(), "{name}");
    }
}

/// Makes a folder look as if nothing had been begun in it for so many days.
fn aged(folder: &Path, days: u32) {
    let done = Command::new("touch").args(["-d", &format!("{days} days ago")]).arg(folder).status().unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn what_engines_that_are_no_more_left_is_swept_and_what_lives_is_not() {
    let (sshd, folder) = (Sshd::start(), Folder::new("shells"));
    for (name, sh) in shells(&folder) {
        let host = sshd.host().with_shell(&sh);
        let gate = folder.path(&format!("gate-{name}"));
        let living = shell(&format!("echo up >'{0}.up'; until [ -e '{0}' ]; do sleep 0.05; done", gate.display()));
        tokio::select! {
            end = host.run(&living, &()) => panic!("{end:?}"),
            () = eventually("it to begin", || gate.with_extension("up").exists()) => {}
        }
        let (dead, young, strange) =
            (shell("exit 1"), shell("exit 1"), job_folder(Uuid::now_v7()).with_extension("kept"));
        for job in [&dead, &young] {
            host.run(job, &()).await.unwrap();
        }
        std::fs::create_dir_all(&strange).unwrap();
        for folder in [&job_folder(living.id.operation), &job_folder(dead.id.operation), &strange] {
            aged(folder, 92);
        }
        aged(&job_folder(young.id.operation), 80);
        host.sweep(id("another").operation, None).await.unwrap();
        assert!(!job_folder(dead.id.operation).exists(), "{name}: it is old, and nothing of it lives");
        assert!(job_folder(young.id.operation).exists(), "{name}: it is not old enough");
        assert!(job_folder(living.id.operation).exists(), "{name}: it lives");
        assert!(strange.exists(), "{name}: it is nobody's folder that we know");
        std::fs::write(&gate, "").unwrap();
        let found = host.reattach(&living.id, None, MINUTE, &()).await.unwrap();
        assert!(matches!(found, Found::Ended(_)), "{name}: {found:?}");
        std::fs::remove_dir(&strange).unwrap();
        for job in [living, young] {
            host.sweep(job.id.operation, None).await.unwrap();
        }
        // Of an operation that is so old nobody says that something never began: it may have been swept.
        let old = uuid::Builder::from_unix_timestamp_millis(1_600_000_000_000, &[7; 10]).into_uuid();
        let mut job = shell("exit 0");
        job.id.operation = old;
        assert_eq!(host.reattach(&job.id, None, MINUTE, &()).await.unwrap(), Found::Vanished, "{name}");
        host.sweep(old, None).await.unwrap();
    }
}
