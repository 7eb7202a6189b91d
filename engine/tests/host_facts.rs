//! Facts of real hosts: over SSH and here, in each shell, with little installed and with programs that hang.
#![allow(clippy::unwrap_used)]

mod host_support;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use dsl::types::Type;
use dsl::value::Value;
use engine::action::facts::read;
use engine::host::Host;
use host_support::{Folder, Sshd, id, local, processes_with, shells, text};

const TIMEOUT: Duration = Duration::from_secs(50);

async fn facts(host: &Host) -> BTreeMap<String, Value> {
    let (exit, stdout, stderr) = text(&host.facts(&id("facts"), TIMEOUT).await.unwrap());
    assert_eq!(exit, 0, "{stderr}");
    match read(&Type::Record(dsl::host_facts::fields()), &stdout) {
        Ok(Value::Record(facts)) => facts,
        other => panic!("{other:?}: {stdout}"),
    }
}

/// A folder with these programs, and a server whose sessions look there first.
fn with_programs(programs: &[(&str, &str)]) -> (Folder, Sshd) {
    let folder = Folder::new("programs");
    for (name, script) in programs {
        std::fs::write(folder.path(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(folder.path(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("SetEnv PATH={}:/usr/bin:/bin", folder.0.display());
    // The first line of its kind counts, and the server has one of its own.
    let sshd = Sshd::with(&format!("{path} SHLVL=3"));
    (folder, sshd)
}

#[tokio::test]
async fn every_shell_says_the_same_over_ssh_and_here() {
    let folder = Folder::new("shells");
    let sshd = Sshd::start();
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    for (name, sh) in shells(&folder) {
        let (there, here) = (facts(&sshd.host().with_shell(&sh)).await, facts(&local().with_shell(&sh)).await);
        assert_eq!(there["boot_id"], Value::Text(boot_id.trim().to_owned()), "{name}");
        // What does not follow from where programs are looked for, and does not change while other tests run.
        let same = ["os", "os_like", "version", "codename", "kernel", "machine", "arch", "init", "hostname", "fqdn"];
        for fact in same.iter().chain(&["cpus", "memory", "root_size", "virtual"]) {
            assert_eq!(there.get(*fact), here.get(*fact), "{name}: {fact}");
        }
        assert!(matches!(&there["memory"], Value::Int(bytes) if *bytes > 1 << 20), "{name}");
    }
}

#[tokio::test]
async fn a_program_that_hangs_or_babbles_costs_seconds_and_its_own_fact() {
    let marker = "987654321";
    let hangs = format!("sleep {marker}");
    let (_folder, sshd) = with_programs(&[
        ("docker", hangs.as_str()),
        ("hostname", hangs.as_str()),
        ("podman", "while :; do echo podman version 4.9.3; done"),
        ("runc", "echo runc version 1.1.12"),
        ("containerd", "echo containerd github.com/containerd/containerd v1.7.2 0cae528d"),
        ("kubelet", "exit 1"),
    ]);
    let folder = Folder::new("shells");
    for (name, sh) in shells(&folder) {
        let began = Instant::now();
        let facts = facts(&sshd.host().with_shell(&sh)).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{name}: {:?}", began.elapsed());
        assert!(!facts.contains_key("docker") && !facts.contains_key("kubelet"), "{name}: {facts:?}");
        let says = |fact: &str, version: &str| assert_eq!(facts[fact], Value::Text(version.to_owned()), "{name}");
        says("runc", "1.1.12");
        says("containerd", "1.7.2");
        says("podman", "4.9.3");
        assert_eq!(facts["fqdn"], facts["hostname"], "{name}");
        assert_eq!(processes_with(marker, "cmdline"), Vec::<u32>::new(), "{name} leaves something at work");
    }
}

fn addresses(facts: &BTreeMap<String, Value>) -> BTreeSet<String> {
    match &facts["addresses"] {
        Value::List(list) => list.iter().filter_map(Value::to_text).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_host_with_nothing_installed_says_what_its_kernel_does() {
    let none = "exit 127";
    let names = [
        "ip",
        "hostname",
        "nproc",
        "getconf",
        "systemd-detect-virt",
        "docker",
        "containerd",
        "runc",
        "podman",
        "kubelet",
        "python3",
    ];
    let programs: Vec<(&str, &str)> = names.iter().map(|name| (*name, none)).collect();
    let (_folder, sshd) = with_programs(&programs);
    let folder = Folder::new("shells");
    for (name, sh) in shells(&folder) {
        // Other tests may add networks to this machine meanwhile, and take them away.
        let before = facts(&local()).await;
        let there = facts(&sshd.host().with_shell(&sh)).await;
        let after = facts(&local()).await;
        let (told, earlier, later) = (addresses(&there), addresses(&before), addresses(&after));
        assert!(
            told.is_superset(&(&earlier & &later)) && told.is_subset(&(&earlier | &later)),
            "{name}: {told:?}, {earlier:?}"
        );
        assert_eq!(there["cpus"], after["cpus"], "{name}");
        let absent = ["docker", "python", "default_address"];
        assert!(absent.iter().all(|fact| !there.contains_key(*fact)), "{name}: {there:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_named() {
    let (_folder, sshd) = with_programs(&[("df", "exit 1")]);
    let (exit, stdout, _) = text(&sshd.host().facts(&id("facts"), TIMEOUT).await.unwrap());
    assert_eq!(exit, 0);
    let why = read(&Type::Record(dsl::host_facts::fields()), &stdout).unwrap_err();
    assert_eq!(why, "`root_free`: the host does not say");
}
