//! Reaching a host: host keys, logging in, becoming another user, and what is said when it does not work.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod host_support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::host::{
    Auth, ErrorKind, Found, Host, HostKeyPolicy, KnownHosts, Reach, SshServer, SshSpec, Stream, Supervise,
};
use host_support::{Folder, PASSWORD, Seen, Sshd, argv, eventually, keygen, processes_with, secret, shell, text};

const MINUTE: Duration = Duration::from_secs(60);

async fn refusal(host: &Host) -> (ErrorKind, String) {
    let error = host.check().await.unwrap_err();
    let shown = error.to_string();
    assert!(!shown.contains(PASSWORD), "{shown}");
    (error.kind, shown)
}

fn public(path: &Path) -> String {
    std::fs::read_to_string(path.with_extension("pub")).unwrap().split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn fingerprint(path: &Path) -> String {
    let said = Command::new("ssh-keygen").arg("-lf").arg(path.with_extension("pub")).output().unwrap();
    String::from_utf8(said.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
}

/// A host whose own known_hosts has this text.
fn knowing(sshd: &Sshd, policy: HostKeyPolicy, generation: u32, own: &str) -> (Host, std::path::PathBuf) {
    let path = sshd.folder.path(&format!("known-{}", uuid::Uuid::now_v7()));
    if !own.is_empty() {
        std::fs::write(&path, own).unwrap();
    }
    let server = SshServer { host_key: policy, ..sshd.server() };
    (Host::new("web", generation, Reach::Ssh(server.into()), Arc::new(KnownHosts::new(path.clone(), Vec::new()))), path)
}

#[tokio::test]
async fn a_host_key_is_accepted_once_and_then_known() {
    let sshd = Sshd::start();
    let (strict, path) = knowing(&sshd, HostKeyPolicy::Strict, 1, "");
    let (kind, shown) = refusal(&strict).await;
    assert!(
        matches!(&kind, ErrorKind::HostKeyUnknown { fingerprint: f, .. } if *f == fingerprint(&sshd.folder.path("host")))
    );
    assert!(shown.contains("is not known: ssh-ed25519 SHA256:"), "{shown}");
    assert!(!path.exists(), "nothing is recorded by looking");

    let (accepting, path) = knowing(&sshd, HostKeyPolicy::AcceptNew, 1, "# kept\nelsewhere ssh-ed25519 AAAA\n");
    accepting.check().await.unwrap();
    accepting.close().await;
    accepting.check().await.unwrap();
    let key = public(&sshd.folder.path("host"));
    let line = format!("[127.0.0.1]:{} {key} anneal slot=web generation=1\n", sshd.port);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("# kept\nelsewhere ssh-ed25519 AAAA\n{line}"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let (strict, _) = knowing(&sshd, HostKeyPolicy::Strict, 1, &line);
    strict.check().await.unwrap();
    // OpenSSH reads what we write.
    let found =
        Command::new("ssh-keygen").args(["-F", &format!("[127.0.0.1]:{}", sshd.port), "-f"]).arg(&path).output();
    assert!(found.unwrap().status.success());
}

#[tokio::test]
async fn a_changed_host_key_is_refused_with_both_fingerprints() {
    let sshd = Sshd::start();
    let at = format!("[127.0.0.1]:{}", sshd.port);
    let (right, wrong) = (sshd.folder.path("host"), sshd.folder.path("other"));
    let changed = format!("{at} {}\n", public(&wrong));
    for policy in [HostKeyPolicy::Strict, HostKeyPolicy::AcceptNew] {
        let (host, path) = knowing(&sshd, policy, 1, &changed);
        let (kind, shown) = refusal(&host).await;
        let ErrorKind::HostKeyChanged { known, got } = kind else { panic!("{shown}") };
        assert_eq!(known, format!("{} ({}:1)", fingerprint(&wrong), path.display()));
        assert_eq!(got, fingerprint(&right));
        assert_eq!(std::fs::read_to_string(path).unwrap(), changed);
    }
    // Known by a key of another algorithm only: whoever shows a new one is not that host.
    let ecdsa = sshd.folder.path("ecdsa");
    keygen(&ecdsa, "ecdsa", "");
    let (host, _) = knowing(&sshd, HostKeyPolicy::AcceptNew, 1, &format!("{at} {}\n", public(&ecdsa)));
    assert!(matches!(refusal(&host).await.0, ErrorKind::HostKeyChanged { .. }));
    // One of two known keys is enough.
    let both = format!("{changed}{at} {}\n", public(&right));
    knowing(&sshd, HostKeyPolicy::Strict, 1, &both).0.check().await.unwrap();
    // Revoked outweighs known.
    let revoked = format!("{at} {key}\n@revoked * {key}\n", key = public(&right));
    let (kind, shown) = refusal(&knowing(&sshd, HostKeyPolicy::AcceptNew, 1, &revoked).0).await;
    assert!(matches!(kind, ErrorKind::HostKeyRevoked { .. }), "{shown}");
    // A pinned fingerprint needs no file, and nothing else counts.
    knowing(&sshd, HostKeyPolicy::Pinned(fingerprint(&right)), 1, &changed).0.check().await.unwrap();
    let (kind, _) = refusal(&knowing(&sshd, HostKeyPolicy::Pinned(fingerprint(&wrong)), 1, "").0).await;
    assert!(matches!(kind, ErrorKind::HostKeyChanged { known, .. } if known.ends_with("(pinned)")));
}

#[tokio::test]
async fn a_new_generation_may_have_a_new_key_once() {
    let sshd = Sshd::start();
    let at = format!("[127.0.0.1]:{}", sshd.port);
    let (right, wrong) = (sshd.folder.path("host"), sshd.folder.path("other"));
    let recorded =
        |slot: &str, generation: u32| format!("{at} {} anneal slot={slot} generation={generation}\n", public(&wrong));
    let (host, path) = knowing(&sshd, HostKeyPolicy::AcceptNew, 2, &recorded("web", 1));
    host.check().await.unwrap();
    let now = format!("{at} {} anneal slot=web generation=2\n", public(&right));
    assert_eq!(std::fs::read_to_string(path).unwrap(), now);
    for own in [recorded("web", 2), recorded("other", 1)] {
        let (host, _) = knowing(&sshd, HostKeyPolicy::AcceptNew, 2, &own);
        assert!(matches!(refusal(&host).await.0, ErrorKind::HostKeyChanged { .. }), "{own}");
    }
    // The machine is gone, and its address with it.
    let (_, path) =
        knowing(&sshd, HostKeyPolicy::AcceptNew, 1, &format!("{}by-hand ssh-ed25519 AAAA\n", recorded("other", 1)));
    KnownHosts::new(path.clone(), Vec::new()).forget(&sshd.server()).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "by-hand ssh-ed25519 AAAA\n");
}

#[tokio::test]
async fn every_way_to_log_in_works_and_is_tried_in_order() {
    let sshd = Sshd::with_users("KbdInteractiveAuthentication no");
    let keys = Folder::new("keys");
    let mut authorized = std::fs::read_to_string(sshd.folder.path("authorized")).unwrap();
    let mut ways = vec![vec![Auth::Password(secret(PASSWORD))]];
    for (kind, passphrase) in
        [("ed25519", ""), ("ecdsa", ""), ("rsa", ""), ("rsa", "open sesame"), ("ed25519", "open sesame")]
    {
        let path = keys.path(&format!("{kind}{}", passphrase.len()));
        keygen(&path, kind, passphrase);
        authorized += &format!("{}\n", public(&path));
        let passphrase = (!passphrase.is_empty()).then(|| secret(passphrase));
        ways.push(vec![Auth::Key { path, passphrase, certificate: None }]);
    }
    std::fs::write(sshd.folder.path("authorized"), authorized).unwrap();
    let missing = Auth::Key { path: keys.path("missing"), passphrase: None, certificate: None };
    let unknown = Auth::Key { path: sshd.folder.path("other"), passphrase: None, certificate: None };
    ways.push(vec![missing.clone(), unknown.clone(), Auth::Password(secret(PASSWORD))]);
    for way in ways {
        let server = SshServer { auth: way.clone(), ..sshd.as_user("plain", "").server };
        sshd.host_with(server).check().await.unwrap_or_else(|error| panic!("{way:?}: {error}"));
    }
    let encrypted = Auth::Key { path: keys.path("rsa11"), passphrase: None, certificate: None };
    let wrong = Auth::Key { path: keys.path("rsa11"), passphrase: Some(secret("close sesame")), certificate: None };
    let server = SshServer {
        auth: vec![missing, unknown, encrypted, wrong, Auth::Password(secret("guess"))],
        ..sshd.as_user("plain", "").server
    };
    let (kind, shown) = refusal(&sshd.host_with(server)).await;
    let ErrorKind::Auth { tried, offered, .. } = kind else { panic!("{shown}") };
    let said: Vec<&str> = tried.iter().map(|t| t.rsplit_once('(').unwrap().1).collect();
    let expected = [
        "cannot be read: No such file or directory (os error 2))",
        "refused)",
        "is encrypted, and no passphrase is given)",
        "cannot be opened: wrong passphrase or unknown format)",
        "refused)",
    ];
    assert!(said.iter().zip(expected).skip(1).all(|(said, expected)| *said == expected), "{tried:?}");
    assert!(tried[0].contains("cannot be read"), "{tried:?}");
    assert_eq!(offered, ["publickey", "password"]);
}

#[tokio::test]
async fn a_password_is_also_given_by_keyboard_interactive() {
    let sshd = Sshd::with_users_asking();
    sshd.host_with(sshd.as_user("plain", PASSWORD)).check().await.unwrap();
    let (kind, shown) = refusal(&sshd.host_with(sshd.as_user("plain", "guess"))).await;
    assert!(matches!(kind, ErrorKind::Auth { .. }), "{shown}");
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_told_from_one_that_hangs() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = Folder::new("unreachable");
    let host = |address: &str, port| {
        let server = SshServer {
            address: address.into(),
            port,
            user: "root".into(),
            auth: Vec::new(),
            host_key: HostKeyPolicy::AcceptNew,
            known_as: None,
            known_hosts: Vec::new(),
        };
        Host::new("web", 1, Reach::Ssh(server.into()), Arc::new(KnownHosts::new(folder.path("known"), Vec::new())))
    };
    let (kind, shown) = refusal(&host("127.0.0.1", free)).await;
    assert!(matches!(kind, ErrorKind::Unreachable { .. }) && shown.contains("refused"), "{shown}");
    let (kind, shown) = refusal(&host("no-such-host.invalid", 22)).await;
    assert!(matches!(kind, ErrorKind::Unreachable { .. }), "{shown}");
    let hung = host("127.0.0.1", hanging.local_addr().unwrap().port());
    let started = Instant::now();
    // Who waits for the same connection waits once.
    let (first, second) = tokio::join!(refusal(&hung), refusal(&hung));
    for (kind, shown) in [first, second] {
        assert!(matches!(kind, ErrorKind::Timeout { stage: "greeting us", .. }), "{shown}");
    }
    assert!(started.elapsed() < Duration::from_secs(25));
}

#[tokio::test]
async fn a_connection_that_was_lost_while_idle_is_opened_again() {
    let sshd = Sshd::start();
    let host = sshd.host();
    for _ in 0..3 {
        let job = shell("echo here");
        assert_eq!(text(&host.run(&job, &()).await.unwrap()).1, "here\n");
        sshd.cut();
        host.sweep(job.id.operation, None).await.unwrap();
        sshd.cut();
    }
}

#[tokio::test]
async fn a_half_open_connection_is_noticed() {
    let (sshd, folder) = (Sshd::start(), Folder::new("half"));
    let host = sshd.host();
    let gate = folder.path("gate");
    let job = shell(&format!("echo up >{0}.up; while [ ! -e {0} ]; do sleep 0.1; done", gate.display()));
    let stopping = async {
        eventually("the job to run", || gate.with_extension("up").exists()).await;
        for pid in sshd.sessions() {
            let stopped = Command::new("kill").args(["-STOP", &pid.to_string()]).status();
            assert!(stopped.unwrap().success());
        }
        Instant::now()
    };
    let (lost, since) = tokio::join!(host.run(&job, &()), stopping);
    let lost = lost.unwrap_err();
    assert!(matches!(lost.kind, ErrorKind::Lost { .. }), "{lost}");
    assert!(since.elapsed() < Duration::from_secs(45), "after {:?}", since.elapsed());
    std::fs::write(&gate, "").unwrap();
    assert!(matches!(host.reattach(&job.id, None, MINUTE, &()).await.unwrap(), Found::Ended(end) if end.exit == 0));
    host.sweep(job.id.operation, None).await.unwrap();
}

#[tokio::test]
async fn another_user_is_become_with_and_without_a_password() {
    let sshd = Sshd::with_users("");
    let plain = sshd.host_with(sshd.as_user("plain", PASSWORD));
    let asked = sshd.host_with(SshSpec { sudo_password: Some(secret(PASSWORD)), ..sshd.as_user("asked", PASSWORD) });
    let ptyed = sshd.host_with(sshd.as_user("ptyed", PASSWORD));
    // A password that sudo does not want is never given to it, nor to anybody else.
    let needless =
        sshd.host_with(SshSpec { sudo_password: Some(secret("touch /tmp/pwned")), ..sshd.as_user("plain", PASSWORD) });
    for (name, host) in [("plain", &plain), ("asked", &asked), ("ptyed", &ptyed), ("needless", &needless)] {
        for user in ["root", "other"] {
            for supervise in [Supervise::Always, Supervise::Never] {
                let name = format!("{name} as {user}, {supervise:?}");
                let mut job = shell("id -un; echo $HOME; read -r x; echo \"$x $V\"; echo err >&2; exit 4");
                job.env = vec![("V".into(), secret("val'ue"))];
                job.stdin = Some(secret("in put"));
                job.as_user = Some(user.into());
                job.supervise = supervise;
                let end = host.run(&job, &()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
                let home =
                    if user == "root" { "/root".into() } else { format!("{}/home/other", sshd.folder.0.display()) };
                assert_eq!(text(&end), (4, format!("{user}\n{home}\nin put val'ue\n"), "err\n".into()), "{name}");
                if supervise == Supervise::Always {
                    let found = host.reattach(&job.id, Some(user), MINUTE, &()).await.unwrap();
                    assert_eq!(found, Found::Ended(end), "{name}");
                }
                host.sweep(job.id.operation, Some(user)).await.unwrap();
            }
        }
        // The login user needs no sudo to be itself.
        let mut job = argv(&["id", "-un"]);
        job.as_user = Some(
            if name == "asked" {
                "asked"
            } else if name == "ptyed" {
                "ptyed"
            } else {
                "plain"
            }
            .into(),
        );
        assert_eq!(host.run(&job, &()).await.unwrap().exit, 0, "{name}");
    }
    assert!(!Path::new("/tmp/pwned").exists());
}

#[tokio::test]
async fn sudos_refusals_are_told_apart() {
    let sshd = Sshd::with_users("");
    let run = async |user: &str, password: Option<&str>, to: &str| {
        let spec = SshSpec { sudo_password: password.map(secret), ..sshd.as_user(user, PASSWORD) };
        let mut job = argv(&["true"]);
        job.as_user = Some(to.into());
        let error = sshd.host_with(spec).run(&job, &()).await.unwrap_err();
        assert!(error.nothing_began(), "{error}");
        (error.kind.clone(), error.to_string())
    };
    let (kind, shown) = run("asked", Some("guess"), "root").await;
    assert!(matches!(&kind, ErrorKind::Sudo { said, .. } if said == "the sudo password is wrong"), "{shown}");
    let (kind, shown) = run("asked", None, "root").await;
    assert!(matches!(&kind, ErrorKind::Sudo { said, .. } if said.contains("password is required")), "{shown}");
    for password in [None, Some(PASSWORD)] {
        let (kind, shown) = run("denied", password, "root").await;
        assert!(matches!(kind, ErrorKind::Sudo { .. }), "{shown}");
    }
    let (kind, shown) = run("plain", None, "nobody-here").await;
    assert_eq!(kind, ErrorKind::NoSuchUser { user: "nobody-here".into() }, "{shown}");
    let (kind, shown) = run("plain", Some(PASSWORD), "nobody-here").await;
    assert_eq!(kind, ErrorKind::NoSuchUser { user: "nobody-here".into() }, "{shown}");
}

#[tokio::test]
async fn no_secret_passes_through_sudos_arguments() {
    let (sshd, folder) = (Sshd::with_users(""), Folder::new("sudo"));
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    let host = sshd.host_with(SshSpec { sudo_password: Some(secret(PASSWORD)), ..sshd.as_user("asked", PASSWORD) });
    let gate = folder.path("gate");
    let mut job = shell(&format!("echo up; while [ ! -e {} ]; do sleep 0.05; done", gate.display()));
    job.as_user = Some("root".into());
    job.env = vec![("TOKEN".into(), secret("canary-of-the-environment"))];
    let seen = Seen::default();
    let looking = async {
        eventually("the job to run", || seen.text(Stream::Stdout).contains("up")).await;
        for canary in [PASSWORD, "canary-of-the-environment"] {
            assert_eq!(processes_with(canary, "cmdline"), [] as [u32; 0]);
        }
        assert_eq!(processes_with(PASSWORD, "environ"), [] as [u32; 0]);
        std::fs::write(&gate, "").unwrap();
    };
    let (end, ()) = tokio::join!(host.run(&job, &seen), looking);
    assert_eq!(end.unwrap().exit, 0);
    host.sweep(job.id.operation, Some("root")).await.unwrap();
}

#[tokio::test]
async fn a_job_under_sudo_outlives_its_connection_and_is_killed_whole() {
    let (sshd, folder) = (Sshd::with_users(""), Folder::new("sudo"));
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    for login in ["plain", "asked", "ptyed"] {
        for user in ["root", "other"] {
            let name = format!("{login} as {user}");
            let sudo_password = (login == "asked").then(|| secret(PASSWORD));
            let host = sshd.host_with(SshSpec { sudo_password, ..sshd.as_user(login, PASSWORD) });
            let gate = folder.path(&format!("{login}-{user}"));
            let mut job = shell(&format!(
                "echo up >{0}.up; while [ ! -e {0} ]; do sleep 0.05; done; id -un; exit 5",
                gate.display()
            ));
            job.as_user = Some(user.into());
            let cutting = async {
                eventually("the job to run", || gate.with_extension("up").exists()).await;
                sshd.cut();
            };
            let (lost, ()) = tokio::join!(host.run(&job, &()), cutting);
            assert!(matches!(lost.unwrap_err().kind, ErrorKind::Lost { .. }), "{name}");
            let opening = async { std::fs::write(&gate, "").unwrap() };
            let (found, ()) = tokio::join!(host.reattach(&job.id, Some(user), MINUTE, &()), opening);
            let Found::Ended(end) = found.unwrap() else { panic!("{name}") };
            assert_eq!(text(&end), (5, format!("{user}\n"), String::new()), "{name}");
            host.sweep(job.id.operation, Some(user)).await.unwrap();

            let mut job = shell(
                "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' & while :; do sleep 0.1; done",
            );
            job.as_user = Some(user.into());
            job.timeout = Duration::from_secs(1);
            let error = host.run(&job, &()).await.unwrap_err();
            let ErrorKind::TimedOut { killed, .. } = &error.kind else { panic!("{name}: {error}") };
            assert_eq!((killed.survivors.as_slice(), killed.saw_all), (&[] as &[String], user == "root"), "{name}");
            let left = processes_with(&format!("ANNEAL_JOB={}", job.id.operation), "environ");
            assert_eq!(left, [] as [u32; 0], "{name}");
            host.sweep(job.id.operation, Some(user)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_login_that_runs_no_commands_says_so() {
    let sshd = Sshd::start();
    let options = format!("command=\"echo This account is closed.\" {}\n", public(&sshd.folder.path("other")));
    std::fs::write(sshd.folder.path("authorized"), options).unwrap();
    let auth = vec![Auth::Key { path: sshd.folder.path("other"), passphrase: None, certificate: None }];
    let (kind, shown) = refusal(&sshd.host_with(SshServer { auth, ..sshd.server() })).await;
    assert!(matches!(kind, ErrorKind::NoShell { .. }) && shown.contains("This account is closed."), "{shown}");
}

#[tokio::test]
async fn what_a_login_script_writes_is_not_output() {
    let sshd = Sshd::with_users("SetEnv SHLVL=0");
    let noise = "echo noise; echo noise >&2; printf 'no newline'\n";
    std::fs::write(sshd.folder.path("home/plain/.bashrc"), noise).unwrap();
    let host = sshd.host_with(sshd.as_user("plain", PASSWORD));
    for supervise in [Supervise::Always, Supervise::Never] {
        let mut job = shell("echo out; echo err >&2");
        job.supervise = supervise;
        assert_eq!(text(&host.run(&job, &()).await.unwrap()), (0, "out\n".into(), "err\n".into()));
    }
}
