//! Jobs and the login sessions of a host that runs systemd, whose logind ends what a user left behind (`KillUserProcesses`).

use std::sync::Arc;
use std::time::Duration;

use anneal_tests::testbed::{Flavour, Host as Machine};
use anneal_tests::until::{SOON, until};
use engine::host::{Auth, Found, Host, HostKeyPolicy, Job, JobId, KnownHosts, Program, Reach, SshServer, Supervise};

const MINUTE: Duration = Duration::from_secs(60);

fn login(machine: &Machine, folder: &tempfile::TempDir) -> Host {
    let server = SshServer {
        address: machine.address().to_owned(),
        port: 22,
        user: "ubuntu".into(),
        auth: vec![Auth::Key { path: machine.info.key.clone(), passphrase: None, certificate: None }],
        host_key: HostKeyPolicy::AcceptNew,
        known_as: None,
        known_hosts: Vec::new(),
    };
    Host::new("vm", 1, Reach::Ssh(server.into()), Arc::new(KnownHosts::new(folder.path().join("known"), Vec::new())))
}

fn job(node: &str, as_user: Option<&str>, timeout: Duration) -> Job {
    let text =
        format!("id -un; cat; echo up >/tmp/{node}.up; until [ -e /tmp/gate ]; do sleep 0.1; done; echo end; exit 5");
    Job {
        id: JobId { operation: uuid::Uuid::now_v7(), node: node.into(), attempt: 1 },
        program: Program::Shell(text),
        env: Vec::new(),
        stdin: Some(store::Secret::from("given\n")),
        as_user: as_user.map(str::to_owned),
        cwd: None,
        timeout,
        idle: None,
        supervise: Supervise::Always,
    }
}

/// Begins a job and leaves it as a killed engine does; its session is over when this returns.
async fn left_alone(machine: &Machine, host: &Host, job: &Job) {
    let up = format!("/tmp/{}.up", job.id.node);
    tokio::select! {
        end = host.run(job, &()) => panic!("it ended: {end:?}"),
        () = async {
            while !machine.try_exec(&["test", "-e", &up]).status.success() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        } => {}
    }
    host.close().await;
    until("its session to be over", SOON, || machine.sh("pgrep -u ubuntu sshd || :").is_empty().then_some(()));
}

async fn survives(machine: &Machine, host: &Host, job: &Job, name: &str) {
    left_alone(machine, host, job).await;
    machine.sh("touch /tmp/gate");
    let as_user = job.as_user.as_deref();
    let found = host.reattach(&job.id, as_user, MINUTE, &()).await;
    let Ok(Found::Ended(end)) = found else { panic!("{name}: {found:?}") };
    let expected = format!("{}\ngiven\nend\n", as_user.unwrap_or("ubuntu"));
    assert_eq!((end.exit, String::from_utf8_lossy(&end.stdout.head).into_owned()), (5, expected), "{name}");
    host.sweep(job.id.operation, as_user).await.expect("a sweep");
    host.close().await;
    machine.sh("rm /tmp/gate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_outlives_its_login_session_wherever_the_host_lets_it() {
    let machine = Machine::up("sessions", Flavour::Bare);
    let folder = tempfile::tempdir().expect("a folder");
    let host = login(&machine, &folder);
    // As Debian and its like come: what a user began goes on after the session.
    survives(&machine, &host, &job("debian", None, MINUTE), "without KillUserProcesses").await;
    machine.sh(
        "mkdir -p /etc/systemd/logind.conf.d && printf '[Login]\\nKillUserProcesses=yes\\n' >/etc/systemd/logind.conf.d/k.conf \
         && systemctl restart systemd-logind",
    );
    for (name, timeout) in [("root", MINUTE), ("watched", 2 * MINUTE)] {
        // Asked anew by each: nothing is known yet, and then it is.
        let host = login(&machine, &folder);
        survives(&machine, &host, &job(name, Some("root"), timeout), name).await;
        survives(&machine, &host, &job(&format!("{name}-again"), Some("root"), timeout), name).await;
    }
    // A kill finds what has left the session.
    let killed = job("killed", Some("root"), MINUTE);
    left_alone(&machine, &host, &killed).await;
    assert_eq!(host.kill(&killed.id, Some("root")).await.expect("a kill").survivors, [] as [String; 0]);
    assert_eq!(machine.sh(&format!("grep -ls {} /proc/[0-9]*/environ || :", killed.id.operation)), "");
    host.close().await;
    // A user without a manager of its own has nowhere to go: the job is ended, which is on record, and it is said why.
    let host = login(&machine, &folder);
    let ended = job("ended", None, MINUTE);
    left_alone(&machine, &host, &ended).await;
    let found = host.reattach(&ended.id, None, MINUTE, &()).await;
    assert!(matches!(&found, Ok(Found::Ended(end)) if end.exit == 143), "{found:?}");
    let hint = host.ended_with_session(None).expect("a hint");
    assert!(hint.contains("loginctl enable-linger ubuntu"), "{hint}");
    assert_eq!(host.ended_with_session(Some("root")), None);
    host.close().await;
    // One who lingers has.
    machine.sh("loginctl enable-linger ubuntu");
    until("the user's manager", SOON, || {
        machine.try_exec(&["systemctl", "is-active", "user@1000.service"]).status.success().then_some(())
    });
    let host = login(&machine, &folder);
    survives(&machine, &host, &job("lingers", None, MINUTE), "lingering").await;
    survives(&machine, &host, &job("lingers-on", None, 2 * MINUTE), "lingering").await;
}
