//! `blue-green`: a release takes over without one failed request; a bad one never does, or not for long.

use std::path::PathBuf;
use std::process::Command;

use anneal_tests::testbed::{Flavour, Host};

use crate::fixture::{Example, get, meanwhile};

const PROXY: &str = "apt-get update -qq && apt-get install -y -qq nginx busybox >/dev/null 2>&1
    rm -f /etc/nginx/sites-enabled/default && systemctl restart nginx";

/// A release: its `run` is this text, and `/version` says which it is.
fn release(example: &Example, version: &str, run: &str) -> String {
    let folder = PathBuf::from(format!("release-{version}"));
    let file = |name: &str, text: &str| example.anneal.file(&folder.join(name).to_string_lossy(), text);
    let run = file("run", &format!("#!/bin/sh\n{run}\n"));
    file("www/version", version);
    file("www/healthz", "well");
    let home = run.parent().expect("a folder");
    let archive = home.with_extension("tar.gz");
    assert!(Command::new("chmod").arg("755").arg(&run).status().expect("chmod").success());
    let packed = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(home).arg(".").status();
    assert!(packed.expect("tar").success());
    format!("release={}", archive.display())
}

const SERVE: &str = "exec busybox httpd -f -p 127.0.0.1:$PORT -h www";

#[test]
fn a_good_release_takes_over_unnoticed_and_a_bad_one_is_taken_back() {
    let host = Host::up("app", Flavour::Bare);
    host.sh(PROXY);
    let example = Example::new("blue-green", &[("app", &[&host])]);
    let deploy = |code, release: &str, watch| example.run(code, &[release, &format!("watch={watch}")]);
    let version = || get(&host, "/version").expect("an answer").1;
    let running = || host.sh("for p in blue green; do systemctl is-active app@$p || :; done");

    let first = release(&example, "1", SERVE);
    assert_eq!(deploy(0, &first, "1s").stdout, "before = none\nserves = blue\n");
    assert_eq!((version(), running()), ("1".into(), "active\ninactive\n".into()));

    // Asked all the time while the next release takes over, and while one is refused.
    let (mut asked, mut failed, mut seen) = (0, Vec::new(), Vec::new());
    let ask = || {
        asked += 1;
        match get(&host, "/version") {
            Some((200, version)) if seen.last() == Some(&version) => {}
            Some((200, version)) => seen.push(version),
            other => failed.push(other),
        }
    };
    meanwhile(ask, || {
        let second = release(&example, "2", SERVE);
        assert_eq!(deploy(0, &second, "1s").stdout, "before = blue\nserves = green\n");
        assert_eq!((version(), running()), ("2".into(), "inactive\nactive\n".into()));
        let sick = release(&example, "3", "exec busybox httpd -f -p 127.0.0.1:$PORT -h /usr");
        deploy(1, &sick, "1s").says(&["healthy@app", "rolled back"]);
        assert_eq!((version(), running()), ("2".into(), "inactive\nactive\n".into()));
    });
    assert!(failed.is_empty(), "{} of {asked} requests failed: {failed:?}", failed.len());
    // While nginx is reloaded, its old and its new workers may answer in turns.
    let (first, last) = (seen.first().map(String::as_str), seen.last().map(String::as_str));
    assert_eq!((first, last), (Some("1"), Some("2")), "in {asked} requests: {seen:?}");
    assert!(seen.iter().all(|version| version == "1" || version == "2"), "{seen:?}");

    // Well when it is asked, gone when it serves: it is switched back.
    let dying = release(&example, "4", "busybox httpd -f -p 127.0.0.1:$PORT -h www & sleep 5; kill $!");
    deploy(1, &dying, "60s").says(&["watched@app", "fails with blue behind it", "rolled back"]);
    assert_eq!((version(), running()), ("2".into(), "inactive\nactive\n".into()));
}
