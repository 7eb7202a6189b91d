//! Where a program starts, which variables it can be given, and how long it may be silent: over SSH and here, in each of the
//! shells that a host may have as `sh`.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod host_support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use engine::host::{ErrorKind, FileContent, Found, Host, Program, Supervise};
use host_support::{Folder, Sshd, argv, job, job_folder, local, processes_with, secret, shell, shells, text};

/// Every way of running: three shells over SSH, three here.
fn everywhere(sshd: &Sshd, folder: &Folder) -> Vec<(String, Host)> {
    shells(folder)
        .into_iter()
        .flat_map(|(name, sh)| {
            [
                (format!("{name} over ssh"), sshd.host().with_shell(&sh)),
                (format!("{name} here"), local().with_shell(&sh)),
            ]
        })
        .collect()
}

/// Names of folders that a shell would read otherwise.
const FOLDERS: [&str; 12] = [
    "plain",
    "-n",
    "two words",
    "it's",
    "\"$(id)\" `id` ${HOME}",
    "new\nline",
    "trailing\n",
    "${{ inputs.x }}",
    "*",
    "é 日本 \u{1f600}",
    "\\",
    "#;&|<>",
];

#[tokio::test]
async fn a_program_starts_in_its_folder() {
    let (sshd, folder) = (Sshd::start(), Folder::new("cwd"));
    let mut names: Vec<String> = FOLDERS.map(str::to_owned).to_vec();
    names.push("n".repeat(255));
    for (name, host) in everywhere(&sshd, &folder) {
        for cwd in &names {
            let cwd = folder.path(cwd).to_str().unwrap().to_owned();
            std::fs::create_dir_all(&cwd).unwrap();
            let script = Program::Script { text: "#!/bin/sh -e\npwd -P; printf .".into(), args: Vec::new() };
            let programs = [argv(&["/bin/sh", "-c", "pwd -P; printf ."]), shell("pwd -P; : $$; printf ."), job(script)];
            for mut job in programs {
                for supervise in [Supervise::Always, Supervise::Never] {
                    (job.supervise, job.cwd, job.id) = (supervise, Some(cwd.clone()), host_support::id("step"));
                    job.stdin = Some(secret("x"));
                    let end = host.run(&job, &()).await.unwrap();
                    let at = format!("{name}, {supervise:?}, {:?} in {cwd:?}", job.program);
                    assert_eq!(text(&end), (0, format!("{cwd}\n."), String::new()), "{at}");
                    host.sweep(job.id.operation, None).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn without_its_folder_a_program_does_not_begin() {
    let (sshd, folder) = (Sshd::with_users(""), Folder::new("cwd"));
    let file = folder.path("file");
    std::fs::write(&file, "").unwrap();
    let closed = folder.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let (missing, mark) = (folder.path("missing"), folder.path("mark"));
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    for (name, host) in everywhere(&sshd, &folder) {
        let other = |user: &str| (name.contains("ssh")).then(|| user.to_owned());
        for (cwd, user) in [(&missing, None), (&file, None), (&closed, other("other"))] {
            if *cwd == closed && user.is_none() {
                continue; // Here we are root, who may enter it.
            }
            let mut job = shell(&format!("echo ran >{}; exit 1", mark.display()));
            job.cwd = Some(cwd.to_str().unwrap().to_owned());
            job.as_user = user.clone();
            // Input and script that were brought before must not stay.
            job.stdin = Some(secret(&"canary-4711".repeat(1_000)));
            let error = host.run(&job, &()).await.unwrap_err();
            assert!(
                matches!(&error.kind, ErrorKind::NoFolder { path } if cwd.to_str() == Some(path)),
                "{name}: {error}"
            );
            assert!(error.nothing_began(), "{name}");
            if user.is_none() && name.contains("ssh") {
                let left: Vec<_> = std::fs::read_dir(job_folder(job.id.operation)).unwrap().flatten().collect();
                assert!(left.is_empty(), "{name}: {left:?}");
            }
            // Nothing was claimed: the same attempt can still begin.
            let found = host.reattach(&job.id, user.as_deref(), Duration::from_secs(5), &()).await.unwrap();
            assert_eq!(found, Found::NeverBegan, "{name}");
            host.sweep(job.id.operation, user.as_deref()).await.unwrap();
            // A probe gives no answer.
            (job.supervise, job.id) = (Supervise::Never, host_support::id("probe"));
            let (exit, out, err) = text(&host.run(&job, &()).await.unwrap());
            assert_eq!((exit, out.as_str()), (97, ""), "{name}");
            assert!(err.contains("the folder of `cwd` does not exist"), "{name}: {err}");
            assert!(!mark.exists(), "{name}: it ran");
        }
        for (cwd, why) in
            [("relative", "no absolute path"), ("/a\0b", "NUL"), (&format!("/{}", "x".repeat(5_000)), "path of")]
        {
            let mut job = shell("true");
            job.cwd = Some(cwd.to_owned());
            let error = host.run(&job, &()).await.unwrap_err();
            assert!(matches!(&error.kind, ErrorKind::Invalid { why: said } if said.contains(why)), "{name}: {error}");
        }
    }
}

/// What shells, dynamic linkers and programs know, and a program can be given all the same.
const VARIABLES: [&str; 50] = [
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "PATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "CDPATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TERM",
    "COLUMNS",
    "LINES",
    "MAIL",
    "MAILPATH",
    "OPTARG",
    "OPTERR",
    "REPLY",
    "HOSTNAME",
    "HOSTTYPE",
    "MACHTYPE",
    "OSTYPE",
    "POSIXLY_CORRECT",
    "TMOUT",
    "GLOBIGNORE",
    "FIGNORE",
    "INPUTRC",
    "A_B",
    "_x",
    "x",
    "FCEDIT",
    "PROMPT_COMMAND",
    "TIMEFORMAT",
    "BASH",
    "BASH_VERSION",
    "BASH_COMPAT",
    "BASH_REMATCH",
    "COPROC",
    "MAPFILE",
    "FUNCNEST",
    "READLINE_LINE",
    "HISTFILE",
    "IGNOREEOF",
    "PS1",
    "PS2",
    "PS4",
    "http_proxy",
];

#[tokio::test]
async fn every_variable_that_is_allowed_arrives() {
    let (sshd, folder) = (Sshd::start(), Folder::new("env"));
    for (name, host) in everywhere(&sshd, &folder) {
        for supervise in [Supervise::Always, Supervise::Never] {
            let mut job = argv(&["/usr/bin/env", "-0"]);
            job.supervise = supervise;
            job.env = VARIABLES.iter().map(|name| ((*name).to_owned(), secret("0"))).collect();
            let end = host.run(&job, &()).await.unwrap();
            host.sweep(job.id.operation, None).await.unwrap();
            assert_eq!(end.exit, 0, "{name}: {}", String::from_utf8_lossy(&end.stderr.head));
            let out = String::from_utf8(end.stdout.head).unwrap();
            let got: BTreeMap<&str, &str> = out.split('\0').filter_map(|pair| pair.split_once('=')).collect();
            let missing: Vec<_> = VARIABLES.iter().filter(|name| got.get(**name) != Some(&"0")).collect();
            assert!(missing.is_empty(), "{name}, {supervise:?}: {missing:?}");
        }
    }
}

const QUIET: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_job_that_writes_nothing_for_too_long_is_ended() {
    let (sshd, folder) = (Sshd::start(), Folder::new("idle"));
    let jobs = everywhere(&sshd, &folder).into_iter().map(|(name, host)| async move {
        // Busy for longer than it may be quiet, on either stream, and then not any more.
        let mut job = shell("for i in 1 2 3 4; do echo $i; sleep 1; echo $i >&2; sleep 1; done; sleep 60");
        job.idle = Some(QUIET);
        let started = Instant::now();
        let error = host.run(&job, &()).await.unwrap_err();
        assert!(
            matches!(&error.kind, ErrorKind::Idle { after, killed } if *after == QUIET && killed.survivors.is_empty()),
            "{name}: {error}"
        );
        assert!(started.elapsed() > Duration::from_secs(8), "{name}: it was ended while it wrote");
        assert!(started.elapsed() < Duration::from_secs(30), "{name}: it was ended late");
        assert!(processes_with(&job.id.operation.to_string(), "environ").is_empty(), "{name}");
        host.sweep(job.id.operation, None).await.unwrap();
    });
    futures::future::join_all(jobs).await;
}

#[tokio::test]
async fn an_engine_that_attaches_counts_from_what_was_written_last() {
    let (sshd, folder) = (Sshd::start(), Folder::new("idle"));
    for (name, host) in everywhere(&sshd, &folder) {
        let job = shell("echo begun; sleep 60");
        let began = host_support::Seen::default();
        let run = host.run(&job, &began);
        let seen = host_support::eventually("it to begin", || !began.0.lock().unwrap().is_empty());
        tokio::select! { end = run => panic!("{name}: {end:?}"), () = seen => {} }
        // Nobody is attached now; its last word is some seconds old when another one attaches.
        let (long, short) = (Duration::from_secs(40), Duration::from_millis(1));
        let attached = host.reattach_or_idle(&job.id, None, Duration::from_secs(2), Some(long), &()).await.unwrap_err();
        assert!(matches!(attached.kind, ErrorKind::TimedOut { .. }), "{name}: not idle for so long: {attached}");
        host.sweep(job.id.operation, None).await.unwrap();

        let mut job = shell("echo begun; sleep 60");
        job.id = host_support::id("again");
        let began = host_support::Seen::default();
        let run = host.run(&job, &began);
        let seen = host_support::eventually("it to begin", || !began.0.lock().unwrap().is_empty());
        tokio::select! { end = run => panic!("{name}: {end:?}"), () = seen => {} }
        let error = host.reattach_or_idle(&job.id, None, Duration::from_secs(50), Some(short), &()).await.unwrap_err();
        assert!(
            matches!(&error.kind, ErrorKind::Idle { killed, .. } if killed.survivors.is_empty()),
            "{name}: {error}"
        );
        // Its end is on record: whoever asks again is told the same.
        let found = host.reattach_or_idle(&job.id, None, Duration::from_secs(50), Some(short), &()).await.unwrap();
        assert!(matches!(found, Found::Ended(end) if end.exit != 0), "{name}");
        host.sweep(job.id.operation, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_is_read_as_it_is_or_it_is_said_why_not() {
    let (sshd, folder) = (Sshd::with_users(""), Folder::new("read"));
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    let all: Vec<u8> = (0..65_536u32).map(|n| (n * 7919 % 256) as u8).collect();
    for (name, host) in everywhere(&sshd, &folder) {
        for called in FOLDERS {
            let path = folder.path(&format!("file {called}"));
            let text = path.to_str().unwrap();
            for content in [&b""[..], b"\0\n\xff\n\n", &all] {
                std::fs::write(&path, content).unwrap();
                let read = host.read_file(&host_support::id("read"), text, None, all.len()).await.unwrap();
                assert!(read == FileContent::Bytes(content.to_vec()), "{name}: {text:?}");
            }
            let read = host.read_file(&host_support::id("read"), text, None, all.len() - 1).await.unwrap();
            assert_eq!(read, FileContent::TooLarge, "{name}: {text:?}");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            if name.contains("ssh") {
                let read = host.read_file(&host_support::id("read"), text, Some("other"), 10).await.unwrap();
                assert_eq!(read, FileContent::Unreadable, "{name}: {text:?}");
            }
            std::fs::remove_file(&path).unwrap();
            let read = host.read_file(&host_support::id("read"), text, None, 10).await.unwrap();
            assert_eq!(read, FileContent::Missing, "{name}: {text:?}");
        }
        let read = host.read_file(&host_support::id("read"), folder.0.to_str().unwrap(), None, 10).await.unwrap();
        assert_eq!(read, FileContent::Missing, "{name}: a folder is no file");
    }
}

#[tokio::test]
async fn what_a_job_wrote_is_forgotten_and_how_it_ended_is_not() {
    let (sshd, folder) = (Sshd::start(), Folder::new("forget"));
    for (name, host) in everywhere(&sshd, &folder) {
        let job = shell("echo canary-4711; echo canary-4711 >&2; exit 3");
        assert_eq!(text(&host.run(&job, &()).await.unwrap()), (3, "canary-4711\n".into(), "canary-4711\n".into()));
        for _ in 0..2 {
            host.forget_output(&job.id, None).await.unwrap();
            if name.contains("ssh") {
                for file in std::fs::read_dir(job_folder(job.id.operation)).unwrap().flatten() {
                    let bytes = std::fs::read(file.path()).unwrap();
                    assert!(!bytes.windows(6).any(|part| part == b"canary"), "{name}: {:?}", file.path());
                }
            }
            let found = host.reattach(&job.id, None, Duration::from_secs(10), &()).await.unwrap();
            assert!(
                matches!(&found, Found::Ended(end) if text(end) == (3, String::new(), String::new())),
                "{name}: {found:?}"
            );
        }
        host.sweep(job.id.operation, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_question_is_over_when_its_program_is_and_not_when_a_child_in_the_background_is() {
    let (sshd, folder) = (Sshd::start(), Folder::new("shells"));
    for (name, host) in everywhere(&sshd, &folder) {
        let mut asked = shell("sleep 30 & echo $! >&2; seq 1 30000; exit 3");
        (asked.supervise, asked.timeout) = (Supervise::Never, Duration::from_secs(20));
        let began = Instant::now();
        let end = host.run(&asked, &()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(15), "{name}: {:?}", began.elapsed());
        let (exit, out, err) = text(&end);
        let expected: String = (1..=30000).map(|n| format!("{n}\n")).collect();
        assert!(exit == 3 && out == expected, "{name}: {exit}, {} bytes", out.len());
        host_support::kill(err.trim().parse().unwrap());
    }
}
