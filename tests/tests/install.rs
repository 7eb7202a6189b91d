//! `registry-install` on real hosts: a working registry, nothing done twice, nothing lost.

use anneal_tests::anneal::{Anneal, Ended};
use anneal_tests::testbed::{Flavour, Host, archive, sample_image};
use anneal_tests::{journal, registry};

const PASSWORD_INVENTORY: &str = r#"Inventory(
    hosts: { "reg": Ssh(address: "ADDRESS", user: "ubuntu", password: Env("REG_PASSWORD")) },
    roles: { "registry": ["reg"] },
)"#;

fn install(anneal: &Anneal, host: &Host, more: &[&str]) -> Ended {
    let inventory = anneal.file("inv.ron", PASSWORD_INVENTORY.replace("ADDRESS", host.address()));
    let image = format!("image={}", archive().display());
    let mut args = vec!["run", "registry-install", "--accept-new-host-keys", "--inventory"];
    let inventory = inventory.to_string_lossy();
    args.extend([&*inventory, "--input", &image]);
    args.extend(more);
    anneal.expect(0, args)
}

fn container(host: &Host) -> String {
    host.sh("docker container inspect --format '{{.Id}} {{.State.StartedAt}}' private_registry")
}

/// The steps that the newest operation skipped because it was so already.
fn skipped(anneal: &Anneal) -> Vec<String> {
    let id = anneal.operations().pop().expect("an operation");
    let view = anneal.json(["show", &id, "--json"]);
    let nodes = view["nodes"].as_array().expect("nodes");
    let skipped = nodes.iter().filter(|node| node["why"] == "already so");
    skipped.map(|node| node["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_bare_machine_becomes_a_registry_that_keeps_what_it_holds() {
    let host = Host::up("install", Flavour::Bare);
    let anneal = Anneal::new().with_env("REG_PASSWORD", "ubuntu");
    let server = format!("{}:5000", host.address());

    let ended = install(&anneal, &host, &[]);
    assert_eq!(ended.stdout, format!("server = {server}\n"));
    assert!(registry::answers(&server));
    registry::push(&sample_image(), &server, "sample:1");
    let digest = registry::pull(&server, "sample:1");
    let id = anneal.operations().pop().expect("an operation");
    assert!(anneal.journal(&id).iter().any(journal::succeeded("container_engine")));

    // Again: nothing changes.
    let before = container(&host);
    install(&anneal, &host, &[]);
    assert_eq!(container(&host), before, "the container was touched");
    let done = ["apt_proxy@reg", "container_engine@reg", "docker_proxy@reg", "run@reg"];
    assert_eq!(skipped(&anneal), done);

    // Another port: another container, the same content.
    let ended = install(&anneal, &host, &["--input", "port=5001"]);
    let server = format!("{}:5001", host.address());
    assert_eq!(ended.stdout, format!("server = {server}\n"));
    assert_ne!(container(&host), before, "the container was not replaced");
    assert_eq!(registry::pull(&server, "sample:1"), digest, "the pushed image is another");
    assert!(!registry::answers(&format!("{}:5000", host.address())), "the old port still answers");
}

const PROXIES: &str = r#"Inventory(
    hosts: { "reg": Ssh(address: "ADDRESS", user: "ubuntu", password: Env("REG_PASSWORD")) },
    roles: { "registry": ["reg"] },
    inputs: {
        "proxy.http": Env("PROXY"),
        "proxy.https": Env("PROXY"),
        "proxy.none": Value("localhost,10.0.0.0/8"),
    },
)"#;

#[test]
fn proxies_with_passwords_are_for_root_alone_and_are_taken_back() {
    let proxy = "http://user:pr0xy-Passw0rd@proxy.test:3128";
    let host = Host::up("proxy", Flavour::Docker);
    let anneal = Anneal::new().with_env("REG_PASSWORD", "ubuntu").with_env("PROXY", proxy);
    let inventory = anneal.file("proxies.ron", PROXIES.replace("ADDRESS", host.address()));
    let image = format!("image={}", archive().display());
    let ended = anneal.expect(
        0,
        [
            "run",
            "registry-install",
            "--accept-new-host-keys",
            "--inventory",
            &inventory.to_string_lossy(),
            "--input",
            &image,
        ],
    );
    assert!(!ended.all().contains("pr0xy-Passw0rd"));

    let holding = host.sh("grep -rl pr0xy-Passw0rd /etc /var/lib/anneal | sort");
    assert_eq!(
        holding, "/etc/apt/apt.conf.d/95anneal-proxy\n/etc/systemd/system/docker.service.d/anneal-proxy.env\n",
        "these files hold the password"
    );
    for file in holding.lines() {
        assert_eq!(host.exec(&["stat", "-c", "%a %U", file]), "600 root\n", "{file}");
        assert!(host.exec(&["cat", file]).contains(proxy), "{file} does not hold the proxy");
    }
    let told = host.sh("tr '\\0' '\\n' </proc/$(pgrep -x dockerd)/environ");
    assert!(told.contains(&format!("HTTP_PROXY={proxy}")), "dockerd runs without the proxy:\n{told}");

    install(&anneal, &host, &[]);
    assert_eq!(
        host.sh("grep -rl pr0xy-Passw0rd /etc /var/lib/anneal || :"),
        "",
        "without proxies nothing holds the password"
    );
    let told = host.sh("tr '\\0' '\\n' </proc/$(pgrep -x dockerd)/environ");
    assert!(!told.contains("proxy.test"), "dockerd still runs with the proxy:\n{told}");
    assert!(registry::answers(&format!("{}:5000", host.address())));
}
