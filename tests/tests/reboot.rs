//! `Reboot` on a host of the testbed, which starts by itself after it was asked to restart; and where it must not happen.
//!
//! How often a restart was asked for is counted on the host, by a wrapper around the program that does it.

use anneal_tests::anneal::{Anneal, Ended};
use anneal_tests::journal::{Event, started};
use anneal_tests::sshd::Sshd;
use anneal_tests::testbed::{Flavour, Host};
use anneal_tests::until::{LONG, SOON, until};

/// `as_user` is put in, and how long it may take.
fn workflow(anneal: &Anneal, within: &str, as_user: &str) {
    anneal.file(
        "workflow.ron",
        format!(
            r#"Workflow(name: "restart", roles: {{ "vm": One }}, steps: [
                Step(id: "restart", on: "vm", do: Reboot(within: "{within}"){as_user}),
                Step(id: "ready", on: "vm", needs: ["restart"], cwd: "/tmp", env: {{ "FILE": "/proc/sys/kernel/random/boot_id" }},
                    do: Wait(until: Command(["sh", "-c", "test -r \"$FILE\""]), within: "30s")),
                Step(id: "boot", on: "vm", needs: ["ready"], do: Run(["cat", "/proc/sys/kernel/random/boot_id"]), out: {{ "id": Stdout(type: Text) }}),
            ], outputs: {{ "boot": "${{{{ steps.boot.out.id }}}}" }})"#
        ),
    );
}

const ROOT: &str = ", as_user: \"root\"";
const RUN: [&str; 6] = ["run", "workflow.ron", "--json", "--inventory", "inv.ron", "--accept-new-host-keys"];

/// Notes each call, then does what is said.
fn systemctl(host: &Host, then: &str) {
    let text = format!("#!/bin/sh\n[ \"$1\" = reboot ] && echo \"$ANNEAL_JOB\" >>/var/log/restarts\n{then}\n");
    host.install("/usr/local/sbin/systemctl", &text);
}

fn asked(host: &Host) -> usize {
    host.sh("cat /var/log/restarts 2>/dev/null || :").lines().count()
}

fn boot(host: &Host) -> String {
    let id = || {
        let output = host.try_exec(&["cat", "/proc/sys/kernel/random/boot_id"]);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    until("the host to run", SOON, id)
}

fn attempts(anneal: &Anneal) -> usize {
    let id = anneal.operations().pop().expect("an operation");
    let begun = |event: &Event| matches!(event, Event::Started { node, .. } if node.step == "restart");
    anneal.journal(&id).iter().filter(|entry| begun(&entry.event)).count()
}

fn failed(anneal: &Anneal, why: &str) {
    let ended: Ended = anneal.run(RUN.iter().filter(|word| **word != "--json"));
    ended.must_be(1);
    ended.says(&[why]);
}

#[test]
fn a_host_is_restarted_once_whenever_the_engine_dies() {
    let host = Host::up("reboot", Flavour::Bare);
    let anneal = Anneal::new().with_env("PASSWORD", "ubuntu");
    anneal.file(
        "inv.ron",
        format!(
            "Inventory(hosts: {{ \"vm\": Ssh(address: \"{}\", user: \"ubuntu\", password: Env(\"PASSWORD\")) }}, roles: {{ \"vm\": [\"vm\"] }})",
            host.address()
        ),
    );
    let mut before = boot(&host);
    systemctl(&host, "exit 0");
    workflow(&anneal, "1m", "");
    failed(&anneal, "only root may restart a machine");
    workflow(&anneal, "3s", ROOT);
    failed(&anneal, "the host was not restarted: after 3s its boot id is still the same");
    assert_eq!((asked(&host), boot(&host)), (1, before.clone()));

    systemctl(&host, "exec /usr/bin/systemctl \"$@\"");
    workflow(&anneal, "2m", ROOT);
    anneal.run(RUN).must_be(0);
    let mut restarted = |count: usize, attempts_are: usize| {
        let after = boot(&host);
        assert_eq!((asked(&host), attempts(&anneal)), (count, attempts_are));
        assert_ne!(after, before);
        let show = anneal.run(["show", &anneal.operations().pop().expect("an operation")]);
        show.says(&[&after]);
        before = after;
    };
    restarted(2, 1);

    // Killed when the host has been asked, and is perhaps on its way down.
    let running = anneal.start(RUN);
    until("the restart to be asked for", LONG, || {
        let output = host.try_exec(&["cat", "/var/log/restarts"]);
        (String::from_utf8_lossy(&output.stdout).lines().count() == 3).then_some(())
    });
    running.kill();
    let id = anneal.operations().pop().expect("an operation");
    anneal.expect(0, ["resume", &id]);
    restarted(3, 1);

    // Killed as it is begun: whether it began is found out on the host, and it is done once either way.
    let running = anneal.start(RUN);
    running.event("restart to start", LONG, started("restart"));
    running.kill();
    let id = anneal.operations().pop().expect("an operation");
    anneal.expect(0, ["resume", &id]);
    let more = attempts(&anneal);
    assert!(more <= 2, "{more} attempts");
    restarted(4, more);
}

#[test]
fn the_machine_of_the_engine_is_never_restarted() {
    let (anneal, sshd) = (Anneal::new(), Sshd::start());
    workflow(&anneal, "1m", "");
    for host in ["Local", &sshd.host()] {
        anneal.file("inv.ron", format!("Inventory(hosts: {{ \"vm\": {host} }}, roles: {{ \"vm\": [\"vm\"] }})"));
        failed(&anneal, "this is the machine that Anneal runs on, which it never restarts");
    }
}
