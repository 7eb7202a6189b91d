//! Whom we trust to be a host: certificates of hosts, names and files of known hosts, and the keys that a host shows.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod host_support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use engine::host::{ErrorKind, Host, HostKeyPolicy, KeyStanding, KnownHosts, Reach, SshServer, SshSpec, Via};
use host_support::{Folder, Sshd, keygen};

fn public(path: &Path) -> String {
    std::fs::read_to_string(path.with_extension("pub")).unwrap().split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// `ssh-keygen -s`.
fn sign(ca: &Path, arguments: &[&str], key: &Path) {
    let signed = Command::new("ssh-keygen")
        .args(["-q", "-s"])
        .arg(ca)
        .args(["-I", "the host"])
        .args(arguments)
        .arg(key)
        .status();
    assert!(signed.unwrap().success());
}

/// A server whose host key has a certificate by `ca` of its folder, made with these arguments.
fn certified(kind: &str, arguments: &[&str]) -> Sshd {
    let more = "HostKey $FOLDER/id\nHostCertificate $FOLDER/id-cert.pub";
    Sshd::prepared(more, &|folder: &Folder| {
        for (name, kind) in [("ca", "ed25519"), ("rsa-ca", "rsa"), ("stranger", "ed25519"), ("id", kind)] {
            keygen(&folder.path(name), kind, "");
        }
        if kind == "ed25519" {
            // A server has one key of each kind.
            for (from, to) in [("id", "host"), ("id.pub", "host.pub")] {
                std::fs::copy(folder.path(from), folder.path(to)).unwrap();
            }
        }
        let (ca, arguments) = match arguments.split_first() {
            Some((&"rsa-ca", rest)) => ("rsa-ca", rest),
            Some((&"stranger", rest)) => ("stranger", rest),
            _ => ("ca", arguments),
        };
        sign(&folder.path(ca), arguments, &folder.path("id.pub"));
    })
}

/// The host with only this known of it. `$CA`, `$RSA`, `$KEY` and `$STRANGER` stand for keys of its folder.
fn knowing(sshd: &Sshd, server: SshServer, text: &str) -> (Host, std::path::PathBuf) {
    let own = sshd.folder.path(&format!("known-{}", uuid::Uuid::now_v7()));
    let mut text = text.replace("$PORT", &sshd.port.to_string()) + "\n";
    for (mark, name) in [("$STRANGER", "stranger"), ("$KEY", "id"), ("$RSA", "rsa-ca"), ("$CA", "ca")] {
        text = text.replace(mark, &public(&sshd.folder.path(name)));
    }
    std::fs::write(&own, text).unwrap();
    (Host::new("web", 1, Reach::Ssh(server.into()), Arc::new(KnownHosts::new(own.clone(), Vec::new()))), own)
}

fn strict(sshd: &Sshd) -> SshServer {
    SshServer { host_key: HostKeyPolicy::Strict, ..sshd.server() }
}

async fn refusal(host: &Host) -> (ErrorKind, String) {
    let error = host.check().await.unwrap_err();
    (error.kind.clone(), error.to_string())
}

#[tokio::test]
async fn a_host_certificate_of_a_known_authority_is_enough() {
    let good = ["-h", "-n", "other,127.0.0.1", "-V", "-1h:+1h"];
    let rsa_signed = ["rsa-ca", "-h", "-n", "127.0.0.1"];
    for (kind, arguments, known) in [
        ("ed25519", &good[..], "@cert-authority * $CA"),
        ("ed25519", &good, "@cert-authority 127.0.0.1 $CA"),
        ("ed25519", &good, "@cert-authority [127.0.0.1]:$PORT $CA"),
        ("ecdsa", &good, "@cert-authority 127.0.0.? $CA\n@cert-authority * $RSA"),
        ("rsa", &good, "@cert-authority * $CA"),
        ("ed25519", &rsa_signed, "@cert-authority * $RSA"),
        // No principals: the authority means every host. A wildcard: those.
        ("ed25519", &["-h"], "@cert-authority * $CA"),
        ("ed25519", &["-h", "-n", "127.*"], "@cert-authority * $CA"),
        // Another key of it is known, but the authority vouches for this one.
        ("ed25519", &good, "[127.0.0.1]:$PORT $STRANGER\n@cert-authority * $CA"),
    ] {
        let sshd = certified(kind, arguments);
        let (host, own) = knowing(&sshd, strict(&sshd), known);
        host.check().await.unwrap_or_else(|error| panic!("{kind} {arguments:?} {known}: {error}"));
        let (accepting, path) = knowing(&sshd, sshd.server(), known);
        accepting.check().await.unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), std::fs::read_to_string(own).unwrap(), "nothing to record");
    }
}

#[tokio::test]
async fn a_host_certificate_that_does_not_hold_is_refused_and_says_why() {
    for (arguments, why) in [
        (&["-h", "-n", "127.0.0.1", "-V", "20200101000000Z:20210101000000Z"][..], "it expired at 2021-01-01T00:00:00Z"),
        (
            &["-h", "-n", "127.0.0.1", "-V", "20980101000000Z:20990101000000Z"],
            "it is valid from 2098-01-01T00:00:00Z on only",
        ),
        (&["-n", "127.0.0.1"], "it is one for users, not for hosts"),
        (&["-h", "-n", "db,other"], "it is for db, other, not for 127.0.0.1"),
        (&["-h", "-n", "127.0.0.1", "-O", "critical:x@y=z"], "it has the critical option \"x@y\", which is not known"),
        (&["stranger", "-h", "-n", "127.0.0.1"], "which is no authority for this host"),
    ] {
        let sshd = certified("ed25519", arguments);
        for server in [strict(&sshd), sshd.server()] {
            let (host, own) = knowing(&sshd, server, "@cert-authority * $CA");
            let (kind, shown) = refusal(&host).await;
            assert!(matches!(kind, ErrorKind::HostCertificate { .. }) && shown.contains(why), "{arguments:?}: {shown}");
            assert_eq!(std::fs::read_to_string(own).unwrap().lines().count(), 1, "nothing is recorded");
        }
        // Its key may be known by itself; and who names no authority for it asks for no certificate.
        for known in ["@cert-authority * $CA\n[127.0.0.1]:$PORT $KEY", "@cert-authority db $CA\n[127.0.0.1]:$PORT $KEY"]
        {
            knowing(&sshd, strict(&sshd), known).0.check().await.unwrap();
        }
        let (kind, shown) = refusal(&knowing(&sshd, strict(&sshd), "@cert-authority db $CA").0).await;
        assert!(matches!(kind, ErrorKind::HostKeyUnknown { .. }), "{shown}");
    }
    let sshd = certified("ed25519", &["-h", "-n", "127.0.0.1"]);
    for revoked in ["@revoked * $CA", "@revoked 127.0.0.1 $KEY", "@revoked [127.0.0.1]:$PORT $CA"] {
        for more in ["", "\n[127.0.0.1]:$PORT $KEY"] {
            let (host, _) = knowing(&sshd, sshd.server(), &format!("@cert-authority * $CA\n{revoked}{more}"));
            let (kind, shown) = refusal(&host).await;
            assert!(matches!(kind, ErrorKind::HostKeyRevoked { .. }), "{revoked}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_name_that_is_given_replaces_the_address() {
    let sshd = certified("ed25519", &["-h", "-n", "reg1"]);
    let named = |name: &str| SshServer { known_as: Some(name.into()), ..strict(&sshd) };
    for known in ["reg1 $KEY", "@cert-authority reg* $CA"] {
        knowing(&sshd, named("Reg1"), known).0.check().await.unwrap();
    }
    for known in ["[127.0.0.1]:$PORT $KEY", "[reg1]:$PORT $KEY"] {
        let (kind, shown) = refusal(&knowing(&sshd, named("reg1"), known).0).await;
        assert!(matches!(kind, ErrorKind::HostKeyUnknown { .. }), "{known}: {shown}");
    }
    let accepting = SshServer { known_as: Some("reg1".into()), ..sshd.server() };
    let (host, own) = knowing(&sshd, accepting, "");
    host.check().await.unwrap();
    let recorded = std::fs::read_to_string(own).unwrap();
    assert!(recorded.trim().starts_with("reg1 ssh-ed25519 "), "{recorded}");
    // One that would mean something else in the file is not written.
    let (host, own) = knowing(&sshd, SshServer { known_as: Some("reg1,*".into()), ..sshd.server() }, "");
    let (kind, shown) = refusal(&host).await;
    assert!(matches!(kind, ErrorKind::Io { .. }) && shown.contains("has no place in a file of known hosts"), "{shown}");
    assert_eq!(std::fs::read_to_string(own).unwrap(), "\n");
}

#[tokio::test]
async fn files_of_a_host_replace_those_of_the_user_and_not_the_others() {
    let sshd = Sshd::start();
    let line = format!("[127.0.0.1]:{} {}\n", sshd.port, public(&sshd.folder.path("host")));
    let file = |name: &str, text: &str| {
        let path = sshd.folder.path(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (knows, empty) = (file("knows", &line), file("empty", ""));
    let check = async |own: &Path, user: &Path, system: &Path, of_host: Vec<std::path::PathBuf>| {
        let known = KnownHosts::new(own.into(), vec![user.into()]).with_system(vec![system.into()]);
        let server = SshServer { known_hosts: of_host, ..strict(&sshd) };
        Host::new("web", 1, Reach::Ssh(server.into()), Arc::new(known)).check().await.is_ok()
    };
    assert!(check(&empty, &knows, &empty, vec![]).await);
    assert!(!check(&empty, &knows, &empty, vec![empty.clone()]).await);
    assert!(check(&empty, &empty, &empty, vec![empty.clone(), knows.clone()]).await);
    assert!(check(&knows, &empty, &empty, vec![empty.clone()]).await);
    assert!(check(&empty, &empty, &knows, vec![empty.clone()]).await);
    assert!(!check(&empty, &empty, &empty, vec![sshd.folder.path("missing")]).await);
    let large = file("large", &"x".repeat(100));
    std::fs::OpenOptions::new().write(true).open(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    assert!(!check(&knows, &empty, &empty, vec![large]).await, "a file over the limit is not the same as an empty one");
}

#[tokio::test]
async fn the_keys_that_a_host_shows_are_trusted_forgotten_and_replaced() {
    let (sshd, hop) = (certified("ecdsa", &["-h", "-n", "127.0.0.1"]), Sshd::start());
    // Nobody logs in to it.
    let server = SshServer { auth: Vec::new(), ..strict(&sshd) };
    let (host, own) = knowing(&sshd, server.clone(), "# by hand");
    let keys = host.shown_keys().await.unwrap();
    let seen: Vec<_> = keys.iter().map(|key| (key.algorithm.as_str(), &key.standing)).collect();
    assert_eq!(seen, [("ssh-ed25519", &KeyStanding::Unknown), ("ecdsa-sha2-nistp256", &KeyStanding::Unknown)]);
    assert_eq!(keys[1].certificate.as_ref().map(|(name, _)| name.as_str()), Some("the host"));
    let listed = Command::new("ssh-keygen").arg("-lf").arg(sshd.folder.path("host.pub")).output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains(&keys[0].fingerprint));
    assert_eq!(std::fs::read_to_string(&own).unwrap(), "# by hand\n", "nothing is recorded by looking");

    // Through a jump host too, which is logged in to.
    let via = SshSpec { via: vec![Via::Hop(hop.server())], ..server.clone().into() };
    let behind = Host::new("web", 1, Reach::Ssh(via), Arc::new(KnownHosts::new(hop.folder.path("known"), Vec::new())));
    assert_eq!(behind.shown_keys().await.unwrap().len(), 2);

    host.trust(&keys[..1], false).unwrap();
    host.trust(&keys[..1], false).unwrap();
    let line = |key: &str| format!("[127.0.0.1]:{} {key} anneal slot=web generation=1\n", sshd.port);
    let first = line(&public(&sshd.folder.path("host")));
    assert_eq!(std::fs::read_to_string(&own).unwrap(), format!("# by hand\n{first}"));
    let standing = |keys: &[engine::host::ShownKey]| keys.iter().map(|key| key.standing.clone()).collect::<Vec<_>>();
    let known = KeyStanding::Known(format!("{}:2", own.display()));
    assert_eq!(standing(&host.shown_keys().await.unwrap()), [known, KeyStanding::Unknown]);
    knowing(&sshd, strict(&sshd), &first).0.check().await.unwrap();

    // Another key of the same algorithm is replaced only on demand; what else the line names stays.
    let changed = format!("[127.0.0.1]:$PORT,friend $STRANGER\n{}", line("$STRANGER").trim_end());
    let (host, own) = knowing(&sshd, server.clone(), &changed);
    let keys = host.shown_keys().await.unwrap();
    // It shows none that is known: so its key of the other algorithm is not simply new either.
    assert!(matches!(&standing(&keys)[..], [KeyStanding::Changed(_), KeyStanding::Changed(_)]), "{keys:?}");
    let refused = host.trust(&keys[1..], false).unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::HostKeyChanged { .. }), "{refused}");
    let before = std::fs::read_to_string(&own).unwrap();
    let refused = host.trust(&keys, false).unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::HostKeyChanged { .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(&own).unwrap(), before);
    host.trust(&keys, true).unwrap();
    let stranger = public(&sshd.folder.path("stranger"));
    let second = line(&public(&sshd.folder.path("id")));
    assert_eq!(std::fs::read_to_string(&own).unwrap(), format!("friend {stranger}\n{first}{second}"));
    host.forget_keys().unwrap();
    assert_eq!(std::fs::read_to_string(&own).unwrap(), format!("friend {stranger}\n"));

    // A withdrawn key is not trusted, whoever says so.
    let (host, _) = knowing(&sshd, server, "@revoked * $KEY\n@cert-authority * $CA");
    let keys = host.shown_keys().await.unwrap();
    assert!(matches!(&standing(&keys)[..], [KeyStanding::Unknown, KeyStanding::Revoked(_)]), "{keys:?}");
    let refused = host.trust(&keys, true).unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::HostKeyRevoked { .. }), "{refused}");
}
