//! Inventories of Ansible's through the real binary, on real SSH servers.

use std::os::unix::fs::PermissionsExt as _;

use anneal_tests::anneal::Anneal;
use anneal_tests::canary::{Canary, absent};
use anneal_tests::journal::{Event, entries_of};
use anneal_tests::sshd::Sshd;
use engine::operation::Outcome;

const WORKFLOW: &str = r#"Workflow(
    name: "say",
    roles: { "web_servers": Many(min: 2), "db": One },
    steps: [
        Step(
            id: "say", on: "web_servers", do: Run(["echo", "${{ host.name }}", "${{ host.labels['zone'] ?? 'none' }}", "${{ host.labels['weight'] ?? 'none' }}"]),
            out: { "said": Stdout(type: Text) },
        ),
        Step(id: "tell", on: "db", do: Run(["echo", "${{ join(steps.say.out.said, ', ') }}"]), out: { "told": Stdout(type: Text) }),
    ],
    outputs: { "told": "${{ steps.tell.out.told }}" },
)"#;

fn folder(anneal: &Anneal, files: &[(&str, String)]) {
    for (name, text) in files {
        let path = anneal.folder().join("work").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
}

/// What the workflow says in the end.
fn told(anneal: &Anneal, inventory: &str, more: &[&str]) -> String {
    let args = ["run", "say.ron", "--inventory", inventory, "--json"];
    let ended = anneal.expect(0, args.iter().chain(more));
    let told = entries_of(&ended.stdout).into_iter().find_map(|entry| match entry.event {
        Event::Ended { outcome: Outcome::Completed { outputs } } => Some(format!("{:?}", outputs["told"])),
        _ => None,
    });
    told.expect("an output")
}

#[test]
fn an_ini_inventory_runs_a_workflow_and_one_command() {
    let (one, two) = (Sshd::start(), Sshd::start());
    let anneal = Anneal::new();
    let hosts = format!(
        "[web-servers]\nw1 {}\nw2 {} zone=b\n\n[db]\nw1\n\n[web-servers:vars]\nzone=a\nweight=3\n\n[all:vars]\nansible_host_key_checking=False\n",
        one.ansible(),
        two.ansible()
    );
    folder(&anneal, &[("hosts", hosts), ("say.ron", WORKFLOW.to_owned())]);
    assert_eq!(told(&anneal, "hosts", &[]), r#""w1 a 3, w2 b 3""#);
    let ended = anneal.expect(0, ["exec", "web-servers", "--inventory", "hosts", "--", "id", "-un"]);
    assert_eq!(ended.stdout.matches("root").count(), 2, "{}", ended.all());
    let ended = anneal.expect(0, ["exec", "w2", "--inventory", "hosts", "--", "id"]);
    assert!(ended.stdout.contains("uid=0(root)"), "{}", ended.all());
}

#[test]
fn a_yaml_inventory_with_group_vars_runs_a_workflow() {
    let sshd = Sshd::start();
    let anneal = Anneal::new();
    let of = |name: &str| {
        let line = sshd.ansible();
        let found = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.expect("a variable").to_owned()
    };
    let (port, key) = (of("ansible_port"), of("ansible_ssh_private_key_file"));
    let hosts = "all:\n  children:\n    web_servers:\n      hosts:\n        \"w[1:2]\":\n        w2: {zone: b}\n    db: {hosts: {w1: }}\n";
    let all = format!(
        "address: 127.0.0.1\nansible_host: \"{{{{ address }}}}\"\nansible_port: {port}\nansible_user: \"{{{{ lookup('env', 'WHO') }}}}\"\n\
         ansible_ssh_private_key_file: {key}\n"
    );
    folder(
        &anneal,
        &[
            ("inv/hosts.yml", hosts.to_owned()),
            ("inv/group_vars/all.yml", all),
            ("inv/group_vars/web_servers/zone.yml", "zone: a\n".to_owned()),
            ("inv/host_vars/w1.json", "{\"weight\": 2}".to_owned()),
            ("say.ron", WORKFLOW.to_owned()),
        ],
    );
    let anneal = anneal.with_env("WHO", "root");
    for inventory in ["inv/hosts.yml", "inv"] {
        assert_eq!(told(&anneal, inventory, &["--accept-new-host-keys"]), r#""w1 a 2, w2 b none""#);
    }
}

#[test]
fn a_script_is_run_where_it_is_named_itself() {
    let sshd = Sshd::start();
    let anneal = Anneal::new();
    let vars: Vec<String> = sshd
        .ansible()
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(k, v)| format!("\"{k}\": \"{v}\""))
        .collect();
    let answer = format!(
        r#"{{"web_servers": {{"hosts": ["w1", "w2"], "vars": {{"zone": "s"}}}}, "db": ["w1"], "_meta": {{"hostvars": {{"w1": {{{0}}}, "w2": {{{0}}}}}}}}}"#,
        vars.join(", ")
    );
    let script = format!("#!/bin/sh\n[ \"$1\" = --list ] || exit 9\ncat <<'EOF'\n{answer}\nEOF\n");
    folder(&anneal, &[("inv/dynamic", script), ("say.ron", WORKFLOW.to_owned())]);
    let path = anneal.folder().join("work/inv/dynamic");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    assert_eq!(told(&anneal, "inv/dynamic", &["--accept-new-host-keys"]), r#""w1 s none, w2 s none""#);
    let refused = anneal.expect(2, ["exec", "db", "--inventory", "inv", "--", "true"]);
    refused.says(&["inv/dynamic", "those of a folder are not run", "--inventory inv/dynamic"]);
    std::fs::write(&path, "#!/bin/sh\necho '{'\n").expect("a script");
    anneal.expect(2, ["exec", "db", "--inventory", "inv/dynamic", "--", "true"]).says(&["no JSON", "inv/dynamic"]);
    std::fs::write(&path, "#!/bin/sh\nexit 3\n").expect("a script");
    anneal.expect(2, ["exec", "db", "--inventory", "inv/dynamic", "--", "true"]).says(&["--list", "exit status: 3"]);
}

#[test]
fn a_host_that_cannot_be_reached_so_is_an_error_when_it_is_used_and_no_sooner() {
    let anneal = Anneal::new();
    folder(&anneal, &[("hosts.ini", "here ansible_connection=local\nwin ansible_connection=winrm\n".to_owned())]);
    anneal.expect(0, ["exec", "here", "--inventory", "hosts.ini", "--", "true"]);
    anneal
        .expect(2, ["exec", "win", "--inventory", "hosts.ini", "--", "true"])
        .says(&["`win`", "ansible_connection is `winrm`"]);
    anneal.expect(2, ["exec", "all", "--inventory", "hosts.ini", "--", "true"]).says(&["`win`"]);
}

#[test]
fn passwords_in_an_inventory_come_to_light_nowhere() {
    let anneal = Anneal::new();
    let (login, sudo, label) =
        (Canary::new("a login password"), Canary::new("a sudo password"), Canary::new("a variable's secret"));
    let hosts = format!(
        "[web]\nw ansible_host=127.0.0.1 ansible_port=1 ansible_password='{}' ansible_become_password=\"{}\" api_token={} zone=a\n",
        login.value, sudo.value, label.value
    );
    folder(&anneal, &[("hosts.ini", hosts.clone()), ("bad.ini", format!("{hosts}[x:vars]\n{}\n", login.value))]);
    let canaries = [login, sudo, label];
    // Nobody listens there: it is journalled, and fails.
    let ended = anneal.expect(1, ["exec", "web", "--inventory", "hosts.ini", "--timeout", "1s", "--", "true"]);
    ended.says(&["warning: hosts.ini: passwords stand in it as plain text"]);
    absent(&canaries, "the output", ended.all().as_bytes());
    for (path, bytes) in anneal.data_files() {
        absent(&canaries, &path.display().to_string(), &bytes);
    }
    let ended = anneal.expect(2, ["exec", "web", "--inventory", "bad.ini", "--", "true"]);
    ended.says(&["bad.ini:4", "NAME=VALUE"]);
    absent(&canaries, "an error", ended.all().as_bytes());
}
