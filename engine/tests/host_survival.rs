//! What a job survives, and how it is found again: a lost connection, a killed engine, a late start, a reboot, a kill.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod host_support;

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engine::host::{ErrorKind, Found, Host, Job, JobEnd, JobId, Supervise};
use host_support::{Folder, Seen, Sshd, eventually, job_folder, local, processes_with, shell, shells, text};
use uuid::Uuid;

const MINUTE: Duration = Duration::from_secs(60);

fn ended(found: Found) -> JobEnd {
    match found {
        Found::Ended(end) => end,
        other => panic!("it was {other:?}"),
    }
}

/// A job that says so, waits for a file, and writes much.
fn gated(gate: &std::path::Path) -> Job {
    let gate = gate.display();
    shell(&format!(
        "echo began >>{gate}.count; echo begin; while [ ! -e {gate} ]; do sleep 0.05; done; seq 1 40000; echo end >&2; exit 5"
    ))
}

fn as_gated(end: &JobEnd, name: &str) {
    let expected: String = std::iter::once("begin\n".to_owned()).chain((1..=40000).map(|n| format!("{n}\n"))).collect();
    let (exit, out, err) = text(end);
    assert_eq!((exit, err.as_str()), (5, "end\n"), "{name}");
    assert!(out == expected, "{name}: {} bytes instead of {}", out.len(), expected.len());
}

fn file(path: PathBuf) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn a_job_outlives_its_connection_and_is_found_again_with_all_it_wrote() {
    let (sshd, folder) = (Sshd::start(), Folder::new("shells"));
    for (name, sh) in shells(&folder) {
        let host = sshd.host().with_shell(&sh);
        let gate = folder.path(&format!("gate-{name}"));
        let job = gated(&gate);
        let cutting = async {
            eventually("the job to begin", || gate.with_extension("count").exists()).await;
            sshd.cut();
        };
        let (lost, ()) = tokio::join!(host.run(&job, &()), cutting);
        let lost = lost.unwrap_err();
        assert!(matches!(lost.kind, ErrorKind::Lost { .. }) && lost.is_connection() && !lost.nothing_began(), "{lost}");
        // Attached while it runs, cut again, attached again.
        let seen = Seen::default();
        let cutting = async {
            eventually("live output", || !seen.0.lock().unwrap().is_empty()).await;
            sshd.cut();
        };
        let (lost, ()) = tokio::join!(host.reattach(&job.id, None, MINUTE, &seen), cutting);
        assert!(matches!(lost.unwrap_err().kind, ErrorKind::Lost { .. }));
        let opening = async {
            std::fs::write(&gate, "").unwrap();
        };
        let (found, ()) = tokio::join!(host.reattach(&job.id, None, MINUTE, &()), opening);
        as_gated(&ended(found.unwrap()), name);
        // Once more when all is over: the same.
        as_gated(&ended(host.reattach(&job.id, None, MINUTE, &()).await.unwrap()), name);
        assert_eq!(file(gate.with_extension("count")), "began\n", "{name}: it ran once");
        // And a second start of the same attempt is refused.
        let error = host.run(&job, &()).await.unwrap_err();
        assert!(error.kind == ErrorKind::Fenced && error.nothing_began(), "{error}");
        assert_eq!(file(gate.with_extension("count")), "began\n", "{name}: it ran once");
        host.sweep(job.id.operation, None).await.unwrap();
    }
}

/// Not a test of its own: the engine that is killed in the next one.
#[tokio::test]
async fn engine_to_be_killed() {
    let Ok(what) = std::env::var("ANNEAL_TEST_ENGINE") else { return };
    let words: Vec<&str> = what.split(' ').collect();
    let [operation, gate, rest @ ..] = words.as_slice() else { panic!("{what}") };
    let host = match rest {
        [folder, port] => ssh_host(folder, port.parse().unwrap()),
        _ => local(),
    };
    let mut job = gated(std::path::Path::new(gate));
    job.id.operation = operation.parse().unwrap();
    let _ = host.run(&job, &()).await;
}

fn ssh_host(folder: &str, port: u16) -> Host {
    use engine::host::{Auth, HostKeyPolicy, KnownHosts, Reach, SshServer};
    let server = SshServer {
        address: "127.0.0.1".into(),
        port,
        user: "root".into(),
        auth: vec![Auth::Key { path: format!("{folder}/user").into(), passphrase: None, certificate: None }],
        host_key: HostKeyPolicy::AcceptNew,
        known_as: None,
        known_hosts: Vec::new(),
    };
    Host::new(
        "web",
        1,
        Reach::Ssh(server.into()),
        KnownHosts::new(format!("{folder}/known_hosts").into(), Vec::new()).into(),
    )
}

#[tokio::test]
async fn a_killed_engine_reattaches_to_the_running_command() {
    let (sshd, folder) = (Sshd::start(), Folder::new("engine"));
    for (name, host) in [("ssh", sshd.host()), ("here", local())] {
        let gate = folder.path(&format!("gate-{name}"));
        let operation = Uuid::now_v7();
        let mut what = format!("{operation} {}", gate.display());
        if name == "ssh" {
            what += &format!(" {} {}", sshd.folder.0.display(), sshd.port);
        }
        let mut engine = Command::new(std::env::current_exe().unwrap())
            .args(["engine_to_be_killed", "--exact", "--nocapture"])
            .env("ANNEAL_TEST_ENGINE", what)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the job to begin", || gate.with_extension("count").exists()).await;
        engine.kill().unwrap();
        assert_eq!(engine.wait().unwrap().signal(), Some(9));
        let id = JobId { operation, node: "step".into(), attempt: 1 };
        let opening = async { std::fs::write(&gate, "").unwrap() };
        let (found, ()) = tokio::join!(host.reattach(&id, None, MINUTE, &()), opening);
        as_gated(&ended(found.unwrap()), name);
        assert_eq!(file(gate.with_extension("count")), "began\n", "{name}: it ran once");
        host.sweep(operation, None).await.unwrap();
    }
}

#[tokio::test]
async fn what_never_began_is_known_for_certain_and_fences_a_late_start() {
    let (sshd, folder) = (Sshd::start(), Folder::new("shells"));
    for (name, sh) in shells(&folder) {
        for host in [sshd.host().with_shell(&sh), local().with_shell(&sh)] {
            let job = shell(&format!("echo ran >>{}", folder.path("ran").display()));
            for _ in 0..2 {
                assert_eq!(host.reattach(&job.id, None, MINUTE, &()).await.unwrap(), Found::NeverBegan, "{name}");
            }
            let error = host.run(&job, &()).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Fenced, "{name}");
            // A kill fences as well.
            let mut job = job;
            job.id.attempt = 2;
            assert_eq!(host.kill(&job.id, None).await.unwrap().survivors, [] as [String; 0]);
            assert_eq!(host.run(&job, &()).await.unwrap_err().kind, ErrorKind::Fenced, "{name}");
            assert_eq!(host.reattach(&job.id, None, MINUTE, &()).await.unwrap(), Found::NeverBegan, "{name}");
            assert!(!folder.path("ran").exists(), "{name}");
            host.sweep(job.id.operation, None).await.unwrap();
        }
    }
}

/// Of many that begin the same attempt at once, and one that asks whether it began, exactly one wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_attempt_has_one_owner() {
    let (sshd, folder) = (Sshd::start(), Folder::new("race"));
    for (name, sh) in shells(&folder) {
        for round in 0..6 {
            let host = sshd.host().with_shell(&sh);
            host.check().await.unwrap();
            let count = folder.path(&format!("{name}-{round}"));
            let job = shell(&format!("echo ran >>{}", count.display()));
            let starts = futures::future::join_all((0..4).map(|_| host.run(&job, &())));
            let (starts, found) = tokio::join!(starts, host.reattach(&job.id, None, MINUTE, &()));
            let ran = starts.iter().filter(|end| end.is_ok()).count();
            let fenced =
                starts.iter().filter(|end| matches!(end, Err(error) if error.kind == ErrorKind::Fenced)).count();
            assert_eq!(ran + fenced, 4, "{name}: {starts:?}");
            let lines = file(count).lines().count();
            match found.unwrap() {
                Found::NeverBegan => assert_eq!((ran, lines), (0, 0), "{name}"),
                Found::Ended(_) => assert_eq!((ran, lines), (1, 1), "{name}"),
                other => panic!("{name}: {other:?}"),
            }
            host.sweep(job.id.operation, None).await.unwrap();
        }
    }
}

#[tokio::test]
async fn orders_that_were_cut_off_are_not_followed() {
    // The connection breaks while the orders are on their way: the supervisor reads half a line, and begins nothing.
    let (sshd, folder) = (Sshd::start(), Folder::new("cut"));
    let host = sshd.host();
    host.check().await.unwrap();
    for _ in 0..10 {
        let mut job = shell(&format!("echo ran >>{}", folder.path("ran").display()));
        job.stdin = Some(host_support::secret(&"x".repeat(12 << 20)));
        let run = host.run(&job, &());
        let cutting = async {
            let supervisor = || !processes_with(&job.id.operation.to_string(), "cmdline").is_empty();
            let begun = || job_folder(job.id.operation).join("step.1.in").exists() || supervisor();
            eventually("the input to be under way", begun).await;
            sshd.cut();
        };
        let (lost, ()) = tokio::join!(run, cutting);
        let found = host.reattach(&job.id, None, MINUTE, &()).await.unwrap();
        match lost {
            Err(error) => assert!(matches!(error.kind, ErrorKind::Lost { .. }), "{error}"),
            Ok(end) => assert_eq!(end.exit, 0),
        }
        let ran = std::fs::remove_file(folder.path("ran")).is_ok();
        assert_eq!(ran, matches!(found, Found::Ended(_)), "{found:?}");
        host.sweep(job.id.operation, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_restart_and_a_vanished_process_are_told_apart() {
    let (sshd, folder) = (Sshd::start(), Folder::new("shells"));
    for (name, sh) in shells(&folder) {
        let host = sshd.host().with_shell(&sh);
        let gate = folder.path(&format!("gate-{name}"));
        let mut job = gated(&gate);
        // The supervisor is killed, as by the kernel that is out of memory.
        let files = job_folder(job.id.operation);
        let killing = async {
            eventually("the job to begin", || gate.with_extension("count").exists()).await;
            let record = file(files.join("step.1.pid"));
            host_support::kill(record.split(' ').nth(1).unwrap().parse().unwrap());
        };
        let (lost, ()) = tokio::join!(host.run(&job, &()), killing);
        assert!(matches!(lost.unwrap_err().kind, ErrorKind::Lost { .. }), "{name}");
        assert_eq!(host.reattach(&job.id, None, MINUTE, &()).await.unwrap(), Found::Vanished, "{name}");
        // What it left is found by its marker.
        let killed = host.kill(&job.id, None).await.unwrap();
        assert_eq!((killed.survivors, killed.saw_all), (Vec::new(), true), "{name}");
        assert_eq!(processes_with(&format!("ANNEAL_JOB={}", job.id.operation), "environ"), [] as [u32; 0], "{name}");
        // The same record, written before the machine was started.
        job.id.attempt = 2;
        std::fs::write(files.join("step.2.pid"), "0b0e8f0a-0000-4000-8000-000000000000/1 77 12345 77 77 .\n").unwrap();
        assert_eq!(host.reattach(&job.id, None, MINUTE, &()).await.unwrap(), Found::Rebooted, "{name}");
        // The same process number, but another process.
        job.id.attempt = 3;
        let boot = file(files.join("step.1.pid")).split(' ').next().unwrap().to_owned();
        std::fs::write(files.join("step.3.pid"), format!("{boot} {} 999999999 1 1 .\n", std::process::id())).unwrap();
        assert_eq!(host.reattach(&job.id, None, MINUTE, &()).await.unwrap(), Found::Vanished, "{name}");
        // The same kernel, but a process 1 that is younger: a container that was restarted.
        job.id.attempt = 4;
        std::fs::write(files.join("step.4.pid"), format!("{boot} 4194304 -1 1 1 .\n")).unwrap();
        assert_eq!(host.reattach(&job.id, None, MINUTE, &()).await.unwrap(), Found::Rebooted, "{name}");
        // A record without its last mark is no record.
        job.id.attempt = 5;
        std::fs::write(files.join("step.5.pid"), format!("{boot} 12")).unwrap();
        assert_eq!(host.reattach(&job.id, None, MINUTE, &()).await.unwrap(), Found::Vanished, "{name}");
        host.sweep(job.id.operation, None).await.unwrap();
    }
}

/// A job that ignores TERM and has a grandchild in a session of its own.
fn stubborn(mark: &std::path::Path) -> Job {
    let mark = mark.display();
    shell(&format!(
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ >{mark}.pid; mv {mark}.pid {mark}; while :; do sleep 0.1; done' & \
         while :; do sleep 0.1; done"
    ))
}

fn is_gone(mark: &std::path::Path) -> bool {
    let pid = file(mark.to_owned());
    let stat = file(format!("/proc/{}/stat", pid.trim()).into());
    !pid.is_empty() && (stat.is_empty() || stat.contains(") Z "))
}

#[tokio::test]
async fn a_deadline_ends_even_what_left_its_group_and_ignores_signals() {
    let (sshd, folder) = (Sshd::start(), Folder::new("shells"));
    let mut all = Vec::new();
    for (name, sh) in shells(&folder) {
        for (place, host) in [("ssh", sshd.host().with_shell(&sh)), ("here", local().with_shell(&sh))] {
            for supervise in [Supervise::Always, Supervise::Never] {
                let name = format!("{name} {place} {supervise:?}");
                let mark = folder.path(&name.replace(' ', "-"));
                all.push(ends_at_its_deadline(host.clone(), name, mark, supervise));
            }
        }
    }
    futures::future::join_all(all).await;
}

async fn ends_at_its_deadline(host: Host, name: String, mark: PathBuf, supervise: Supervise) {
    let mut job = stubborn(&mark);
    job.timeout = Duration::from_secs(2);
    job.supervise = supervise;
    let error = host.run(&job, &()).await.unwrap_err();
    let ErrorKind::TimedOut { killed, .. } = &error.kind else { panic!("{name}: {error}") };
    assert_eq!((killed.survivors.as_slice(), killed.saw_all), (&[] as &[String], true), "{name}");
    assert!(is_gone(&mark), "{name}");
    let left = processes_with(&format!("ANNEAL_JOB={}", job.id.operation), "environ");
    assert_eq!(left, [] as [u32; 0], "{name}");
    if supervise == Supervise::Always {
        let end = ended(host.reattach(&job.id, None, MINUTE, &()).await.unwrap());
        assert_eq!(end.exit, 137, "{name}: recorded by the supervisor");
    }
    host.sweep(job.id.operation, None).await.unwrap();
}

#[tokio::test]
async fn the_host_keeps_a_deadline_when_nobody_is_attached() {
    let (sshd, folder) = (Sshd::start(), Folder::new("shells"));
    for (name, sh) in shells(&folder) {
        let host = sshd.host().with_shell(&sh).with_watchdog_over(Duration::ZERO);
        let mark = folder.path(&format!("mark-{name}"));
        let mut job = stubborn(&mark);
        job.timeout = Duration::from_secs(5);
        let cutting = async {
            eventually("the grandchild", || mark.exists()).await;
            sshd.cut();
        };
        let (lost, ()) = tokio::join!(host.run(&job, &()), cutting);
        let lost = lost.unwrap_err();
        assert!(matches!(lost.kind, ErrorKind::Lost { .. }), "{name}: {lost}");
        eventually("the watchdog to end the grandchild", || is_gone(&mark)).await;
        let found = host.reattach(&job.id, None, MINUTE, &()).await;
        let error = found.unwrap_err();
        assert!(matches!(&error.kind, ErrorKind::TimedOut { killed, .. } if killed.survivors.is_empty()), "{error}");
        host.sweep(job.id.operation, None).await.unwrap();
        // Attached all the while: the host is first, and the engine verifies.
        let mut job = stubborn(&folder.path(&format!("{name}-attached")));
        job.timeout = Duration::from_secs(1);
        let error = host.run(&job, &()).await.unwrap_err();
        assert!(matches!(&error.kind, ErrorKind::TimedOut { killed, .. } if killed.survivors.is_empty()), "{error}");
        host.sweep(job.id.operation, None).await.unwrap();
        // A watchdog of a job that ended in time is gone with it. It would sleep for as long as no other process does.
        for _ in 0..10 {
            let mut job = shell("true");
            job.timeout = Duration::from_secs(13);
            host.run(&job, &()).await.unwrap();
            host.sweep(job.id.operation, None).await.unwrap();
        }
        eventually("the watchdogs to be gone", || processes_with("sleep\x0013\0", "cmdline").is_empty()).await;
    }
}

#[tokio::test]
async fn a_deadline_holds_while_reattached() {
    let (sshd, folder) = (Sshd::start(), Folder::new("late"));
    let host = sshd.host();
    let mark = folder.path("mark");
    let job = stubborn(&mark);
    let cutting = async {
        eventually("the grandchild", || mark.exists()).await;
        sshd.cut();
    };
    let (lost, ()) = tokio::join!(host.run(&job, &()), cutting);
    assert!(lost.is_err());
    let error = host.reattach(&job.id, None, Duration::from_millis(300), &()).await.unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::TimedOut { killed, .. } if killed.survivors.is_empty()), "{error}");
    assert!(is_gone(&mark));
    host.sweep(job.id.operation, None).await.unwrap();
}

#[tokio::test]
async fn a_kill_leaves_a_recorded_end_as_it_is() {
    let (sshd, folder) = (Sshd::start(), Folder::new("kill"));
    for (name, host) in [("ssh", sshd.host()), ("here", local())] {
        let job = shell("echo done; exit 3");
        host.run(&job, &()).await.unwrap();
        for _ in 0..2 {
            assert!(host.kill(&job.id, None).await.unwrap().survivors.is_empty(), "{name}");
        }
        let end = ended(host.reattach(&job.id, None, MINUTE, &()).await.unwrap());
        assert_eq!(text(&end), (3, "done\n".into(), String::new()), "{name}");
        host.sweep(job.id.operation, None).await.unwrap();
        // One that runs is told TERM first, and who waits for it hears the end that it chose.
        let gate = folder.path(&format!("up-{name}"));
        let polite =
            shell(&format!("trap 'echo bye; exit 9' TERM; echo up >{}; while :; do sleep 0.05; done", gate.display()));
        let killing = async {
            eventually("the job to be up", || gate.exists()).await;
            host.kill(&polite.id, None).await.unwrap()
        };
        let (end, killed) = tokio::join!(host.run(&polite, &()), killing);
        assert!(killed.survivors.is_empty(), "{name}");
        // A shell says on standard error that its `sleep` was terminated.
        let (exit, out, _) = text(&end.unwrap());
        assert_eq!((exit, out.as_str()), (9, "bye\n"), "{name}");
        host.sweep(polite.id.operation, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_begins() {
    let (sshd, folder) = (Sshd::start(), Folder::new("shells"));
    for (name, sh) in shells(&folder) {
        let host = sshd.host().with_shell(&sh);
        let mut job = shell(&format!("echo ran >>{}", folder.path("ran").display()));
        let disk = Tmpfs::mount(job_folder(job.id.operation), "size=64k");
        std::fs::write(disk.0.join("filler"), vec![0; 64 << 10]).unwrap();
        for stdin in [None, Some("small".to_owned()), Some("x".repeat(40_000))] {
            job.stdin = stdin.as_deref().map(host_support::secret);
            let error = host.run(&job, &()).await.unwrap_err();
            assert!(
                matches!(&error.kind, ErrorKind::DiskFull { path, .. } if *path == disk.0.display().to_string()),
                "{name}: {error}"
            );
            assert!(error.nothing_began());
        }
        assert!(!folder.path("ran").exists(), "{name}");
        // With room again the same attempt begins: the failed claim left nothing.
        std::fs::remove_file(disk.0.join("filler")).unwrap();
        job.stdin = None;
        assert_eq!(host.run(&job, &()).await.unwrap().exit, 0, "{name}");
        std::fs::remove_file(folder.path("ran")).unwrap();
        // A job that fills the disk itself still has its end recorded, in the block that the claim has.
        let mut filling = shell(&format!("head -c 1000000 /dev/zero >{}/filler; echo out; exit 6", disk.0.display()));
        filling.id.operation = job.id.operation;
        filling.id.node = "fill".into();
        let end = host.run(&filling, &()).await.unwrap();
        assert_eq!(end.exit, 6, "{name}");
        assert_eq!(ended(host.reattach(&filling.id, None, MINUTE, &()).await.unwrap()).exit, 6, "{name}");
        drop(disk);
        host.sweep(job.id.operation, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_program_without_files_is_killed_by_its_marker() {
    let sshd = Sshd::start();
    for (name, host) in [("ssh", sshd.host()), ("here", local())] {
        let mut job = shell("setsid sleep 600 & sleep 600");
        job.supervise = Supervise::Never;
        let marker = format!("ANNEAL_JOB={}", job.id.operation);
        let killing = async {
            eventually("both to run", || processes_with(&marker, "environ").len() >= 2).await;
            host.kill(&job.id, None).await.unwrap()
        };
        let (end, killed) = tokio::join!(host.run(&job, &()), killing);
        assert!(killed.survivors.is_empty(), "{name}");
        assert_eq!(processes_with(&marker, "environ"), [] as [u32; 0], "{name}");
        assert_eq!(end.unwrap().exit, 143, "{name}");
        host.sweep(job.id.operation, None).await.unwrap();
    }
}

/// A small disk.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: PathBuf, options: &str) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).status().unwrap();
        assert!(done.success(), "mounting a tmpfs needs CAP_SYS_ADMIN");
        Self(at)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_job_is_not_held_up_by_a_server_with_few_sessions() {
    let sshd = Sshd::with("MaxSessions 2");
    let host = sshd.host();
    let started = Instant::now();
    let jobs: Vec<Job> = (0..6).map(|_| shell("sleep 0.3")).collect();
    let ends = futures::future::join_all(jobs.iter().map(|job| host.run(job, &()))).await;
    assert!(ends.iter().all(|end| matches!(end, Ok(end) if end.exit == 0)), "{ends:?}");
    // All sessions are taken by jobs that go on: a kill finds a way nevertheless.
    let long: Vec<Job> = (0..2).map(|_| shell("sleep 600")).collect();
    let killing = async {
        for job in &long {
            let record = job_folder(job.id.operation).join("step.1.pid");
            eventually("both to run", || record.exists()).await;
        }
        for job in &long {
            host.kill(&job.id, None).await.unwrap();
        }
    };
    let (ends, ()) = tokio::join!(futures::future::join_all(long.iter().map(|job| host.run(job, &()))), killing);
    assert!(ends.iter().all(|end| matches!(end, Ok(end) if end.exit == 143)), "{ends:?}");
    assert!(started.elapsed() < Duration::from_secs(30));
    for job in jobs.iter().chain(&long) {
        host.sweep(job.id.operation, None).await.unwrap();
    }
}
