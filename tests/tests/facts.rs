//! Facts, labels and `where` through the real binary: on this machine and on ones that are reached over SSH.

use std::os::unix::fs::PermissionsExt;

use anneal_tests::anneal::Anneal;
use anneal_tests::journal::{Event, Skip, entries_of};
use anneal_tests::sshd::Sshd;
use engine::operation::Outcome;

const WORKFLOW: &str = r#"Workflow(
    name: "by-facts",
    roles: {
        "web": Many(where: "host.facts.init in ['systemd', 'openrc', 'other'] && (host.labels['zone'] ?? 'none') != 'c'"),
        "db": One,
    },
    steps: [
        Step(id: "up", on: "db", do: Wait(until: Ssh, within: "1m")),
        Step(
            id: "say", on: "web", batch: (sizes: [2], by: "host.labels['zone'] ?? 'none'"),
            do: Run(["echo", "${{ host.facts.os }}", "${{ host.labels['zone'] ?? 'none' }}"]),
            out: { "said": Stdout(type: Text) },
        ),
        Step(id: "tell", on: "db", do: Run(["echo", "${{ join(steps.say.out.said, ',') }}", "${{ host.facts.boot_id }}"]), out: { "told": Stdout(type: Text) }),
    ],
    outputs: { "told": "${{ steps.tell.out.told }}", "os": "${{ roles.db.facts.os }}" },
)"#;

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The lines of `file` that say how often the disk was asked for.
fn asked(file: &std::path::Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

#[test]
fn hosts_are_asked_once_and_those_that_do_not_fit_are_passed_over() {
    let sshd = Sshd::start();
    let anneal = Anneal::new();
    let workflow = anneal.file("by-facts.ron", WORKFLOW);
    let host = |zone: &str| {
        let ssh = sshd.host();
        format!("{}, labels: {{ \"zone\": \"{zone}\" }})", ssh.strip_suffix(')').expect("Ssh(…)"))
    };
    let (a, b, c) = (host("a"), host("b"), host("c"));
    let inventory = anneal.file(
        "inventory.ron",
        format!(
            r#"Inventory(
                hosts: {{ "a1": {a}, "b1": {b}, "c1": {c}, "a2": {a} }},
                roles: {{ "web": ["a1", "b1", "c1", "a2"], "db": ["a1"] }},
            )"#
        ),
    );
    let args = ["run", text(&workflow), "--inventory", text(&inventory), "--accept-new-host-keys", "--json"];
    let ended = anneal.expect(0, args);
    let journal = entries_of(&ended.stdout);
    let begun = journal.iter().filter_map(|entry| match &entry.event {
        Event::Started { node, .. } => Some(node.to_string()),
        _ => None,
    });
    let begun: Vec<String> = begun.collect();
    let order: Vec<&String> = begun.iter().filter(|node| node.starts_with("say@")).collect();
    assert_eq!(order.last().map(|node| node.as_str()), Some("say@b1"), "one zone after the other: {order:?}");
    assert_eq!(order.len(), 3, "the host of zone c does nothing: {order:?}");
    let place = |node: &str| begun.iter().position(|begun| begun == node);
    assert!(place("up@a1") < place("facts/db@a1"), "the login comes first: {begun:?}");
    let skipped = journal.iter().any(|entry| match &entry.event {
        Event::Skipped { node, why: Skip::WhenFalse } => node.to_string() == "say@c1",
        _ => false,
    });
    assert!(skipped, "{journal:?}");
    let told = journal.iter().find_map(|entry| match &entry.event {
        Event::Ended { outcome: Outcome::Completed { outputs } } => Some(outputs.clone()),
        _ => None,
    });
    let told = told.expect("it completes");
    let (os, boot_id) = (&told["os"], std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux"));
    assert_eq!(told["told"], format!("{os} a,{os} a,{os} b {}", boot_id.trim()));
}

#[test]
fn two_roles_of_one_host_share_the_answer() {
    let anneal = Anneal::new();
    let programs = anneal.folder().join("programs");
    std::fs::create_dir_all(&programs).expect("a folder");
    let log = anneal.folder().join("asked");
    let df = programs.join("df");
    std::fs::write(&df, format!("#!/bin/sh\n[ \"$2\" = / ] && echo x >>'{}'\nexec /bin/df \"$@\"\n", log.display()))
        .expect("df");
    std::fs::set_permissions(&df, PermissionsExt::from_mode(0o755)).expect("df");
    let anneal = anneal.with_env("PATH", &format!("{}:/usr/bin:/bin", programs.display()));
    let workflow = anneal.file(
        "twice.ron",
        r#"Workflow(name: "twice", roles: { "a": One, "b": One }, steps: [
            Step(id: "one", on: "a", do: Run(["echo", "${{ host.facts.os }}"])),
            Step(id: "two", on: "b", do: Run(["echo", "${{ host.facts.os }}"])),
        ])"#,
    );
    let inventory =
        anneal.file("inventory.ron", r#"Inventory(hosts: { "here": Local }, roles: { "a": ["here"], "b": ["here"] })"#);
    let args = ["run", text(&workflow), "--inventory", text(&inventory)];
    anneal.expect(0, args);
    assert_eq!(asked(&log), 1, "the second role is answered from what the first was told");
    let id = &anneal.operations()[0];
    anneal.expect(0, ["show", id]).says(&["facts/a@here", "facts/b@here"]);
}
