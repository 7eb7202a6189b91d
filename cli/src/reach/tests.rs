//! From inventories and ssh configurations to the records of a journal, and what is refused.

use std::path::PathBuf;

use engine::operation::{AuthRecord, HopRecord, HostKeyRecord, ReachRecord, SshRecord, ViaRecord};

use super::*;
use crate::inventory::{self, Password};

/// A folder with an inventory and an ssh configuration, `FOLDER` in both standing for itself.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("anneal-reach-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text.replace("FOLDER", self.0.to_str().unwrap())).unwrap();
        path
    }

    /// How a host is reached, a line for each stretch.
    fn of(&self, host: &str, hosts: &str, config: &str) -> Result<String, String> {
        self.write("config", config);
        let inventory =
            inventory::open(&self.write("inv.ron", &format!("(hosts: {{ {hosts} }})")), &Password::default());
        let inventory = inventory.map_err(|problem| problem.message)?;
        self.shown(host, &inventory)
    }

    fn shown(&self, host: &str, inventory: &Inventory) -> Result<String, String> {
        let reached = Reaching::new(false).host(host, &inventory.hosts[host], inventory);
        let shown = match reached.map_err(|problem| problem.message)?.reach {
            ReachRecord::Local => "local".to_owned(),
            ReachRecord::Ssh(ssh) => shown(&ssh),
        };
        Ok(shown.replace(&format!("{}/", self.0.display()), ""))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn shown(ssh: &SshRecord) -> String {
    let mut lines: Vec<String> = ssh
        .via
        .iter()
        .map(|via| match via {
            ViaRecord::Command(text) => format!("| {text}"),
            ViaRecord::Hop(hop) => server(hop),
        })
        .collect();
    let SshRecord { address, port, user, auth, host_key, known_as, known_hosts, .. } = ssh.clone();
    lines.push(server(&HopRecord { address, port, user, auth, host_key, known_as, known_hosts }));
    lines.join("\n")
}

fn server(hop: &HopRecord) -> String {
    let mut words = vec![format!("{}@{}:{}", hop.user, hop.address, hop.port)];
    words.extend(hop.auth.iter().map(|way| match way {
        AuthRecord::Password(name) => format!("password({})", name.0),
        AuthRecord::Key { path, certificate: None, .. } => format!("key({path})"),
        AuthRecord::Key { path, certificate: Some(certificate), .. } => format!("key({path} {certificate})"),
        AuthRecord::Agent { socket, only } => format!("agent({} {})", socket.as_deref().unwrap_or("-"), only.join(",")),
        AuthRecord::Interactive(answers) => format!("answers({})", answers.len()),
    }));
    match &hop.host_key {
        HostKeyRecord::Strict => {}
        HostKeyRecord::AcceptNew => words.push("accept-new".into()),
        HostKeyRecord::Pinned(fingerprint) => words.push(fingerprint.clone()),
    }
    words.extend(hop.known_as.iter().map(|name| format!("as {name}")));
    if !hop.known_hosts.is_empty() {
        words.push(format!("known in {}", hop.known_hosts.join(",")));
    }
    words.join(" ")
}

const CONFIG: &str = "Host web\n HostName 192.0.2.7\n User deploy\n Port 2222\n ProxyJump gate\n IdentityFile FOLDER/web\n IdentityAgent none\n\
    Host gate\n HostName gate.example\n User ops\n ProxyJump far\n UserKnownHostsFile FOLDER/kh /kh2\n\
    Host far\n ProxyCommand nc %h %p %r\n\
    Host lab-*\n HostName %h.lab\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n HostKeyAlias lab\n\
    Host cmd\n ProxyCommand ssh -W %h:%p gate\n\
    Host *\n User any\n IdentityAgent FOLDER/agent\n IdentityFile FOLDER/star\n";

#[test]
fn ssh_config_says_what_an_inventory_leaves_open() {
    let folder = Folder::new("config");
    let of =
        |fields: &str| folder.of("h", &format!("\"h\": Ssh({fields}, ssh_config: \"FOLDER/config\")"), CONFIG).unwrap();
    folder.write("star", "");
    let star = "agent(agent star) agent(agent ) key(star)";
    assert_eq!(
        of(r#"address: "web""#),
        format!(
            "| nc far 22 any\nany@far:22 {star}\nops@gate.example:22 {star} known in kh,/kh2\ndeploy@192.0.2.7:2222 key(web) key(star)"
        )
    );
    // What the inventory says wins.
    assert_eq!(of(r#"address: "web", user: "me", port: 1, key: "/k", via: []"#), "me@192.0.2.7:1 key(/k)");
    assert_eq!(of(r#"address: "other", agent: false"#), "any@other:22 key(star)");
    assert_eq!(of(r#"address: "other", agent: (socket: "/a", only: ["/k.pub"])"#), "any@other:22 agent(/a /k.pub)");
    assert_eq!(of(r#"address: "other", host_key: "SHA256:x", agent: false"#), "any@other:22 key(star) SHA256:x");
    assert_eq!(of(r#"address: "lab-1", key: "/k""#), "any@lab-1.lab:22 key(/k) accept-new as lab known in /dev/null");
    assert_eq!(
        of(r#"address: "lab-1", key: "/k", known_as: "x", known_hosts: ["/f"]"#),
        "any@lab-1.lab:22 key(/k) accept-new as x known in /f"
    );
    assert_eq!(of(r#"address: "cmd", key: "/k""#), "| ssh -W cmd:22 gate\nany@cmd:22 key(/k)");
    assert_eq!(of(r#"address: "cmd", key: "/k", via: [Command("nc %h %p")]"#), "| nc cmd 22\nany@cmd:22 key(/k)");
}

#[test]
fn ways_to_log_in_have_the_order_of_the_configuration() {
    let folder = Folder::new("ways");
    let of = |fields: &str, config: &str| {
        folder.of(
            "h",
            &format!("\"h\": Ssh(address: \"a\", user: \"u\", {fields} ssh_config: \"FOLDER/config\")"),
            config,
        )
    };
    folder.write("secret", "hunter22");
    folder.write("key.pub", "");
    let secrets =
        r#"password: File("FOLDER/secret"), interactive: [(question: "OTP", answer: File("FOLDER/secret"))],"#;
    let none = "IdentityAgent none\n";
    assert_eq!(
        of(secrets, none).unwrap(),
        "u@a:22 password(hosts.h.password) answers(1)",
        "the usual keys are not tried"
    );
    let keys = format!("{none}IdentityFile FOLDER/key\n");
    assert_eq!(of(secrets, &keys).unwrap(), "u@a:22 key(key) password(hosts.h.password) answers(1)");
    let first = format!("{keys}PreferredAuthentications password,publickey\n");
    assert_eq!(of(secrets, &first).unwrap(), "u@a:22 password(hosts.h.password) key(key) answers(1)");
    let no_keys = format!("PubkeyAuthentication no\n{keys}");
    assert_eq!(of(secrets, &no_keys).unwrap(), "u@a:22 password(hosts.h.password) answers(1)");
    assert!(of("", &no_keys).unwrap_err().starts_with("there is no way to log in to `h`"));
    let only = "IdentityAgent /agent\nIdentitiesOnly yes\nIdentityFile FOLDER/key\nIdentityFile FOLDER/missing\nCertificateFile /c\n";
    assert_eq!(of("", only).unwrap(), "u@a:22 agent(/agent key) key(key /c) key(missing /c)");
    let public = "IdentityAgent /agent\nIdentitiesOnly yes\nIdentityFile FOLDER/key.pub\n";
    assert_eq!(of("", public).unwrap(), "u@a:22 agent(/agent key.pub)");
    assert_eq!(of("keys: [\"/1\", (path: \"/2\", certificate: \"/c\")],", only).unwrap(), "u@a:22 key(/1) key(/2 /c)");
}

#[test]
fn the_way_is_that_of_the_first_hop_and_then_what_is_named() {
    let folder = Folder::new("way");
    let hosts = |via: &str| {
        format!(
            "\"h\": Ssh(address: \"h.lab\", user: \"u\", key: \"/k\", ssh_config: false, via: [{via}]),
             \"gate\": Ssh(address: \"g.lab\", user: \"g\", key: \"/g\", ssh_config: false, via: [Command(\"nc %h %p\")]),
             \"inner\": Ssh(address: \"i.lab\", user: \"i\", key: \"/i\", ssh_config: false, via: [\"gate\"]),
             \"round\": Ssh(address: \"r.lab\", user: \"r\", key: \"/r\", ssh_config: false, via: [\"round2\"]),
             \"round2\": Ssh(address: \"r.lab\", user: \"r\", key: \"/r\", ssh_config: false, via: [\"round\"]),
             \"here\": Local"
        )
    };
    let of = |via: &str| folder.of("h", &hosts(via), "");
    let h = "u@h.lab:22 key(/k)";
    assert_eq!(of("\"gate\"").unwrap(), format!("| nc g.lab 22\ng@g.lab:22 key(/g)\n{h}"));
    assert_eq!(of("\"inner\"").unwrap(), format!("| nc g.lab 22\ng@g.lab:22 key(/g)\ni@i.lab:22 key(/i)\n{h}"));
    let named = of(r#"Ssh(address: "x", port: 5, user: "x", key: "/x", ssh_config: false), "inner""#).unwrap();
    assert_eq!(
        named,
        format!("x@x:5 key(/x)\ni@i.lab:22 key(/i)\n{h}"),
        "the way to a later hop is what is named before it"
    );
    assert_eq!(of("\"round\"").unwrap_err(), "the way to `h` goes round in a circle: h -> round -> round2 -> round");
    assert_eq!(of("\"here\"").unwrap_err(), "host `h`: `here` is this machine, and no way to another");
    assert_eq!(
        of("\"gate\", Command(\"nc\")").unwrap_err(),
        "host `h`: a command runs on this machine, so it can only be the first of `via`"
    );
    assert_eq!(of("\"a:b\"").unwrap_err(), "host `h`: via `a:b`: `b` is no TCP port");
    let strange =
        r#""h": Ssh(address: "a; rm -rf x", user: "u", key: "/k", ssh_config: false, via: [Command("nc %h")])"#;
    assert_eq!(folder.of("h", strange, "").unwrap_err(), "\"a; rm -rf x\" has no place in the text of a proxy command");
}

#[test]
fn a_jump_that_leads_to_itself_is_refused() {
    let folder = Folder::new("loop");
    let of = |config: &str| {
        folder
            .of("h", "\"h\": Ssh(address: \"web\", user: \"u\", key: \"/k\", ssh_config: \"FOLDER/config\")", config)
            .unwrap_err()
    };
    assert_eq!(
        of("Host *\n ProxyJump gate\n IdentityFile /k\n User u"),
        "the way to `h` goes round in a circle: h -> gate -> gate"
    );
    let chain: String = (0..10).map(|n| format!("Host h{n}\n ProxyJump h{}\n", n + 1)).collect();
    let config = format!("Host web\n ProxyJump h0\n{chain}Host *\n IdentityFile /k\n User u");
    assert_eq!(of(&config), "the way to `h` has more than 8 stretches");
    let refused = of("Host web\n Match exec true\n User x");
    assert!(refused.contains("/config:2: `Match exec` would run a program"), "{refused}");
}

#[test]
fn an_ssh_configuration_is_an_inventory() {
    let folder = Folder::new("inventory");
    folder.write("more", "Host c *.x\n Port 3");
    let path = folder.write(
        "config",
        "Include FOLDER/more FOLDER/missing\nHost a b *.example !d\n User ab\n Port 2\nHost b\n Port 9\nHost *\n IdentityFile /k\n IdentityAgent none\n User any",
    );
    let inventory = inventory::open(&path, &Password::default()).unwrap();
    assert_eq!(inventory.hosts.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(folder.shown("a", &inventory).unwrap(), "ab@a:2 key(/k)");
    assert_eq!(folder.shown("c", &inventory).unwrap(), "any@c:3 key(/k)");
    let none = inventory::open(&folder.write("config", "Host *\n User x"), &Password::default()).unwrap_err();
    assert!(none.message.ends_with("names no host"), "{none:?}");
}

#[test]
fn a_secret_that_two_hosts_need_is_asked_for_once() {
    let folder = Folder::new("secrets");
    let count = folder.write("count", "");
    let hosts = r#""g": Ssh(address: "g", user: "u", ssh_config: false, password: Command(["sh", "-c", "echo x >> FOLDER/count; echo hunter22"])),
        "a": Ssh(address: "a", user: "u", ssh_config: false, key: "/k", via: ["g"]),
        "b": Ssh(address: "b", user: "u", ssh_config: false, key: "/k", via: ["g"])"#;
    let inventory =
        inventory::open(&folder.write("inv.ron", &format!("(hosts: {{ {hosts} }})")), &Password::default()).unwrap();
    let mut reaching = Reaching::new(false);
    for host in ["a", "b", "g"] {
        reaching.host(host, &inventory.hosts[host], &inventory).unwrap();
    }
    assert_eq!(std::fs::read_to_string(count).unwrap(), "x\n");
    assert_eq!(reaching.secrets.keys().collect::<Vec<_>>(), ["hosts.g.password"]);
}

#[test]
fn a_secret_goes_to_its_own_host_and_to_no_other() {
    let folder = Folder::new("own-secrets");
    let secret = |text: &str| format!("ssh_config: false, password: Command([\"echo\", \"{text}\"])");
    let hosts = format!(
        "\"a\": Ssh(address: \"a\", user: \"u\", {}, via: [Ssh(address: \"g\", user: \"u\", {})]),
         \"a.via.1\": Ssh(address: \"b\", user: \"u\", {}), \"g\": Ssh(address: \"g\", user: \"u\", {})",
        secret("of-a"),
        secret("of-the-hop"),
        secret("of-a.via.1"),
        secret("of-g")
    );
    let inventory =
        inventory::open(&folder.write("inv.ron", &format!("(hosts: {{ {hosts} }})")), &Password::default()).unwrap();
    let mut reaching = Reaching::new(false);
    for (host, expected) in [("a", "of-a"), ("a.via.1", "of-a.via.1"), ("g", "of-g")] {
        let reached = reaching.host(host, &inventory.hosts[host], &inventory).unwrap().reach;
        let ReachRecord::Ssh(SshRecord { auth, sudo_password, via, .. }) = reached else { panic!("SSH") };
        let text = |auth: &[AuthRecord]| match auth {
            [AuthRecord::Password(name)] => reaching.secrets[&name.0].to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(text(&auth), expected);
        assert_eq!(reaching.secrets[&sudo_password.unwrap().0].as_str(), expected);
        if let [ViaRecord::Hop(hop)] = via.as_slice() {
            assert_eq!(text(&hop.auth), "of-the-hop");
        }
    }
    // A password that is asked for belongs to the flag's host.
    let flag = Ssh { address: "g".into(), user: Some("u".into()), ssh_config: SshConfig::No, ..Ssh::default() };
    let asked = Zeroizing::new("asked".to_owned());
    reaching.flag("g", &flag, Some(&asked)).unwrap();
    assert_eq!(reaching.secrets["hosts.g.password"].as_str(), "of-g");
    assert_eq!(reaching.secrets["hosts.g.asked_password"].as_str(), "asked");
}

#[test]
fn what_the_inventory_calls_a_host_is_not_what_ssh_config_calls_one() {
    let folder = Folder::new("names");
    let config = "Host web\n ProxyJump gate\nHost gate\n HostName g.example\nHost two\n ProxyJump gate,web\nHost *\n User u\n IdentityAgent none\n IdentityFile /k";
    let of = |host: &str| {
        folder.of(host, "\"gate\": Ssh(address: \"web\", ssh_config: \"FOLDER/config\"), \"b\": Ssh(address: \"two\", ssh_config: \"FOLDER/config\")", config)
    };
    assert_eq!(of("gate").unwrap(), "u@g.example:22 key(/k)\nu@web:22 key(/k)");
    // The second jump host is reached through the first, whatever its own way would be.
    assert_eq!(of("b").unwrap(), "u@g.example:22 key(/k)\nu@web:22 key(/k)\nu@two:22 key(/k)");
}

#[test]
fn addresses_and_ports_are_told_apart() {
    let of = |text: &str| {
        let Ssh { address, port, user, .. } = target(text, &SshConfig::No)?;
        Ok::<_, String>(format!("{} {address} {}", user.as_deref().unwrap_or("-"), port.map_or(0, u32::from)))
    };
    assert_eq!(of("192.0.2.1"), Ok("- 192.0.2.1 0".to_owned()));
    assert_eq!(of("reg.example:2222"), Ok("- reg.example 2222".to_owned()));
    assert_eq!(of("ann@reg.example:2222"), Ok("ann reg.example 2222".to_owned()));
    assert_eq!(of("[2001:db8::1]:2222"), Ok("- 2001:db8::1 2222".to_owned()));
    assert_eq!(of("2001:db8::1"), Ok("- 2001:db8::1 0".to_owned()));
    assert_eq!(of("ann:secret@a"), Err("a password may not stand before `@`".to_owned()));
    for wrong in ["", ":22", "a:0", "a:x", "[::1", "[::1]x", "@a", "ann@"] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
}
