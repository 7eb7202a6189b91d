//! The way to a host: jump hosts in a row, shared by many, programs in between, IPv6.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod host_support;

use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use engine::host::{
    Auth, ErrorKind, Hops, Host, HostKeyPolicy, Live, Reach, SshServer, SshSpec, Stream, Supervise, Via,
};
use host_support::{Sshd, eventually, processes_with, shell, text, until};

/// A host that is `target`, by jump hosts.
fn through(target: &Sshd, by: &[&Sshd]) -> Host {
    let via = by.iter().map(|sshd| Via::Hop(sshd.server())).collect();
    target.host_with(SshSpec { via, ..target.spec() })
}

fn by_program(target: &Sshd, text: String) -> Host {
    target.host_with(SshSpec { via: vec![Via::Command(text)], ..target.spec() })
}

async fn refusal(host: &Host) -> (ErrorKind, String) {
    let error = host.check().await.unwrap_err();
    (error.kind.clone(), error.to_string())
}

/// Who connects to a server's port, by what the kernel says.
fn connections_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let to = format!("0100007F:{port:04X} 01");
    table.lines().filter(|line| line.split_whitespace().skip(2).take(2).collect::<Vec<_>>().join(" ") == to).count()
}

#[tokio::test]
async fn a_host_is_reached_through_one_two_and_three_jump_hosts() {
    let [a, b, c, target] = [Sshd::start(), Sshd::start(), Sshd::start(), Sshd::start()];
    for by in [&[&a][..], &[&a, &b], &[&a, &b, &c]] {
        let host = through(&target, by);
        let end = host.run(&shell("echo there"), &()).await.unwrap();
        assert_eq!(text(&end).1, "there\n");
        // The address stays the target's, and so does what the host is called.
        assert_eq!(host.to_string(), format!("web (root@127.0.0.1:{})", target.port));
        assert_eq!(connections_to(target.port), 1, "the last jump host connects to it, and nobody else");
        drop(host);
        eventually("the connection to go", || connections_to(target.port) == 0).await;
    }
    // Each stretch is checked by itself, and what was accepted on the way is recorded without a slot.
    let known = std::fs::read_to_string(target.folder.path("known_hosts")).unwrap();
    for (sshd, comment) in
        [(&a, "anneal, a jump host"), (&b, "anneal, a jump host"), (&target, "anneal slot=web generation=1")]
    {
        let line = known.lines().find(|line| line.starts_with(&format!("[127.0.0.1]:{} ", sshd.port))).unwrap();
        assert!(line.ends_with(comment), "{line}");
    }
}

#[tokio::test]
async fn an_error_says_which_jump_host_failed() {
    let [a, b, target] = [Sshd::start(), Sshd::start(), Sshd::start()];
    let by = |hops: Vec<SshServer>| {
        let via = hops.into_iter().map(Via::Hop).collect();
        target.host_with(SshSpec { via, ..target.spec() })
    };
    let stranger = vec![Auth::Key { path: a.folder.path("other"), passphrase: None, certificate: None }];
    let (kind, shown) = refusal(&by(vec![a.server(), SshServer { auth: stranger, ..b.server() }])).await;
    let start = format!(
        "web (root@127.0.0.1:{}) cannot be reached by the jump host root@127.0.0.1:{}: the jump host refused the login; tried key ",
        target.port, b.port
    );
    assert!(shown.starts_with(&start), "{shown}");
    assert!(matches!(kind.cause(), ErrorKind::Auth { .. }), "{kind:?}");

    let strict = SshServer { host_key: HostKeyPolicy::Pinned("SHA256:x".into()), ..a.server() };
    let (kind, shown) = refusal(&by(vec![strict, b.server()])).await;
    assert!(matches!(kind.cause(), ErrorKind::HostKeyChanged { .. }), "{shown}");
    assert!(
        shown.contains(&format!("by the jump host root@127.0.0.1:{}: the host key of the jump host", a.port)),
        "{shown}"
    );

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (kind, shown) = refusal(&by(vec![SshServer { port: free, ..a.server() }])).await;
    assert!(matches!(kind.cause(), ErrorKind::Unreachable { .. }), "{shown}");
    assert!(shown.contains(&format!("jump host root@127.0.0.1:{free}: the jump host cannot be reached: ")), "{shown}");

    let (kind, shown) =
        refusal(&target.host_with(SshSpec {
            via: vec![Via::Hop(a.server())],
            ..SshServer { port: free, ..target.server() }.into()
        }))
        .await;
    let said = format!("the jump host root@127.0.0.1:{} cannot connect to 127.0.0.1:{free}", a.port);
    assert!(matches!(kind, ErrorKind::Unreachable { .. }) && shown.contains(&said), "{shown}");
}

#[tokio::test]
async fn a_jump_host_that_does_not_forward_says_so() {
    let target = Sshd::start();
    for lines in ["AllowTcpForwarding no", "PermitOpen 127.0.0.1:1"] {
        let closed = Sshd::with(lines);
        let (kind, shown) = refusal(&through(&target, &[&closed])).await;
        assert!(matches!(kind.cause(), ErrorKind::NoForward { .. }), "{shown}");
        assert!(shown.contains("the jump host does not let us through to 127.0.0.1:"), "{shown}");
        assert!(shown.contains("AllowTcpForwarding"), "{shown}");
    }
}

#[tokio::test]
async fn hosts_behind_a_jump_host_share_one_connection_to_it_and_open_it_again_together() {
    let (bastion, target) = (Sshd::start(), Sshd::with("MaxStartups 200"));
    let hops = Hops::default();
    let hosts: Vec<Host> = (0..20).map(|_| through(&target, &[&bastion]).through(&hops)).collect();
    for round in 0..2 {
        let checks = futures::future::join_all(hosts.iter().map(Host::check)).await;
        assert!(checks.iter().all(Result::is_ok), "{checks:?}");
        assert_eq!((connections_to(bastion.port), connections_to(target.port)), (1, 20), "in round {round}");
        bastion.cut();
        eventually("the connections to be gone", || connections_to(target.port) == 0).await;
    }
    // Another login is another connection.
    let same = through(&target, &[&bastion]).through(&hops);
    same.check().await.unwrap();
    let other = SshServer { host_key: HostKeyPolicy::Strict, ..bastion.server() };
    let strict = target.host_with(SshSpec { via: vec![Via::Hop(other)], ..target.spec() }).through(&hops);
    strict.check().await.unwrap();
    assert_eq!(connections_to(bastion.port), 2);
    drop((same, strict, hosts));
    eventually("the connection to go with the last host", || connections_to(bastion.port) == 0).await;
}

/// Looks at the first output until it is let go.
#[derive(Default)]
struct Slow(Mutex<(bool, bool)>, Condvar);

impl Live for Slow {
    fn output(&self, _: Stream, _: &[u8]) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        self.1.notify_all();
        drop(self.1.wait_while(state, |(_, go)| !*go).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_host_that_is_slow_to_be_read_does_not_hold_up_others_behind_the_same_jump_host() {
    let (bastion, target) = (Sshd::start(), Sshd::start());
    let hops = Hops::default();
    let [slow, quick] = [0, 1].map(|_| through(&target, &[&bastion]).through(&hops));
    quick.check().await.unwrap();
    let seen = Arc::new(Slow::default());
    let mut job = shell("yes | head -c 50000000");
    job.supervise = Supervise::Never;
    let running = {
        let (slow, seen) = (slow.clone(), Arc::clone(&seen));
        tokio::spawn(async move { slow.run(&job, &*seen).await })
    };
    until("the output to begin", || seen.0.lock().unwrap().0);
    for _ in 0..20 {
        let asked = tokio::time::timeout(Duration::from_secs(10), quick.run(&shell("echo here"), &())).await;
        assert_eq!(text(&asked.expect("the other host is held up").unwrap()).1, "here\n");
    }
    assert_eq!(connections_to(bastion.port), 1);
    seen.0.lock().unwrap().1 = true;
    seen.1.notify_all();
    let end = running.await.unwrap().unwrap();
    assert_eq!(end.stdout.head.len() as u64 + end.stdout.dropped_bytes + end.stdout.tail.len() as u64, 50_000_000);
}

#[tokio::test]
async fn an_ipv6_address_works_directly_and_through_jump_hosts() {
    let v6 = [Sshd::with("ListenAddress [::1]:$PORT"), Sshd::with("ListenAddress [::1]:$PORT")];
    let server = |sshd: &Sshd| SshServer { address: "::1".into(), ..sshd.server() };
    let direct = v6[0].host_with(server(&v6[0]));
    direct.check().await.unwrap();
    assert_eq!(direct.to_string(), format!("web (root@[::1]:{})", v6[0].port));
    let via = vec![Via::Hop(server(&v6[1]))];
    v6[0].host_with(SshSpec { via, ..server(&v6[0]).into() }).check().await.unwrap();
    let known = std::fs::read_to_string(v6[0].folder.path("known_hosts")).unwrap();
    assert!(known.contains(&format!("[::1]:{} ssh-ed25519 ", v6[0].port)), "{known}");
}

#[tokio::test]
async fn a_program_brings_the_stream_and_ends_with_it() {
    let [a, target] = [Sshd::start(), Sshd::start()];
    let mark = format!("mark-{}", uuid::Uuid::now_v7());
    // A child that does not care for TERM is ended too.
    let nc =
        |port: u16| format!("(trap '' TERM; while :; do sleep 60; done; : {mark}) & exec busybox nc 127.0.0.1 {port}");
    let direct = by_program(&target, nc(target.port));
    let behind =
        target.host_with(SshSpec { via: vec![Via::Command(nc(a.port)), Via::Hop(a.server())], ..target.spec() });
    for host in [direct, behind] {
        assert_eq!(text(&host.run(&shell("echo there"), &()).await.unwrap()).1, "there\n");
        assert!(!processes_with(&mark, "cmdline").is_empty());
        host.close().await;
        drop(host);
        eventually("the program to be gone", || processes_with(&mark, "cmdline").is_empty()).await;
    }
}

#[tokio::test]
async fn a_program_that_fails_is_quoted() {
    let target = Sshd::start();
    let said = async |text: &str| refusal(&by_program(&target, text.into())).await.1;
    let shown = said("echo first >&2; echo 'no such gateway' >&2; exit 7").await;
    let expected = "cannot be reached: the program `echo first >&2; echo 'no such gateway' >&2; exit 7` \
                    ended (exit status: 7) and said: no such gateway;";
    assert!(shown.contains(expected), "{shown}");
    let shown = said("no-such-program-here").await;
    assert!(shown.contains("ended (exit status: 127) and said: sh: 1: no-such-program-here: not found"), "{shown}");
    let shown = said("echo 'HTTP/1.1 400 Bad Request'").await;
    assert!(shown.contains("ended (exit status: 0)"), "{shown}");
    let (mark, since) = (format!("mark-{}", uuid::Uuid::now_v7()), Instant::now());
    let shown = said(&format!("echo waiting >&2; sleep 1000; : {mark}")).await;
    assert!(shown.contains("did not end by itself and said: waiting; nothing came for 15 s by it"), "{shown}");
    assert!(since.elapsed() < Duration::from_secs(25), "{:?}", since.elapsed());
    assert_eq!(processes_with(&mark, "cmdline"), [] as [u32; 0]);
}

#[tokio::test]
async fn a_way_that_no_connection_could_take_is_refused() {
    let target = Sshd::start();
    let host = |via: Vec<Via>| Host::new("web", 1, Reach::Ssh(SshSpec { via, ..target.spec() }), target.known());
    let hop = || Via::Hop(target.server());
    let (kind, shown) = refusal(&host((0..9).map(|_| hop()).collect())).await;
    assert!(
        matches!(kind, ErrorKind::Invalid { .. }) && shown.contains("9 stretches lie between; the limit is 8"),
        "{shown}"
    );
    let (kind, shown) = refusal(&host(vec![hop(), Via::Command("true".into())])).await;
    assert!(matches!(kind, ErrorKind::Invalid { .. }) && shown.contains("only be the first"), "{shown}");
}
