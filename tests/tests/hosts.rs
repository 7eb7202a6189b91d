//! `anneal hosts`, and hosts that are reached as an ssh configuration says: real servers, one of them behind another.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anneal_tests::anneal::Anneal;
use anneal_tests::snapshot::{self, Normal};
use anneal_tests::sshd::Sshd;
use anneal_tests::until::{SOON, until};

/// A server in front and one behind it, as an ssh configuration names them.
struct Lab {
    anneal: Anneal,
    gate: Sshd,
    inner: Sshd,
}

impl Lab {
    fn new() -> Lab {
        let (gate, inner) = (Sshd::start(), Sshd::start());
        let anneal = Anneal::new();
        std::fs::create_dir(anneal.folder().join("home/.ssh")).expect("a folder");
        let lab = Lab { anneal, gate, inner };
        lab.config(&format!(
            "Host gate\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {}\n\n\
             Host inner\n  Hostname localhost\n  Port {}\n  ProxyJump gate\n  IdentityFile {}\n\n\
             Host *\n  User root\n  IdentityAgent none\n  ServerAliveInterval 5\n",
            lab.gate.port(),
            lab.gate.key().display(),
            lab.inner.port(),
            lab.inner.key().display(),
        ));
        lab
    }

    fn config(&self, text: &str) {
        std::fs::write(self.anneal.folder().join("home/.ssh/config"), text).expect("a configuration");
    }

    fn normal(&self) -> Normal {
        let told = |port: u16, name: &str| (format!(r":{port}\b"), format!(":<{name}>"));
        let [gate, inner] = [told(self.gate.port(), "GATE"), told(self.inner.port(), "INNER")];
        Normal::new()
            .pattern(r"needs no sudo; .*", "needs no sudo; <OS>; login <MS>, answer <MS>")
            .text(self.gate.key().to_string_lossy(), "<GATE-KEY>")
            .text(self.inner.key().to_string_lossy(), "<INNER-KEY>")
            .text(self.anneal.folder().to_string_lossy(), "<FOLDER>")
            .pattern(&gate.0, &gate.1)
            .pattern(&inner.0, &inner.1)
    }

    fn check(&self, name: &str, code: i32, args: &[&str]) {
        let ended = self.anneal.expect(code, args);
        snapshot::check(&format!("hosts/{name}"), &self.normal().of(&ended.shown()));
    }
}

const CONFIG: [&str; 2] = ["--inventory", "../home/.ssh/config"];

#[test]
fn hosts_of_an_ssh_configuration_are_listed_trusted_and_used() {
    let lab = Lab::new();
    let with = |words: &[&'static str]| -> Vec<&'static str> { words.iter().chain(&CONFIG).copied().collect() };
    lab.check("list", 0, &with(&["hosts", "list"]));
    lab.check("check-unknown", 1, &with(&["hosts", "check"]));
    lab.check("trust-nobody-to-ask", 2, &with(&["hosts", "trust", "gate"]));
    lab.check("trust-fingerprint-of-another", 1, &with(&["hosts", "trust", "gate", "--fingerprint", "SHA256:x"]));
    lab.check("trust", 0, &with(&["hosts", "trust", "--yes"]));
    lab.check("trust-known", 0, &with(&["hosts", "trust"]));
    lab.check("check", 0, &with(&["hosts", "check"]));
    lab.check("forget", 0, &with(&["hosts", "trust", "--forget", "inner"]));
    lab.check("check-forgotten", 1, &with(&["hosts", "check", "inner"]));
}

#[test]
fn a_key_that_has_changed_is_recorded_only_where_that_is_said() {
    let lab = Lab::new();
    let print = lab.gate.fingerprint();
    let alias = |server: &Sshd| {
        lab.config(&format!(
            "Host gate\n HostName 127.0.0.1\n Port {}\n IdentityFile {}\nHost *\n User root\n IdentityAgent none\n HostKeyAlias gate\n",
            server.port(),
            server.key().display()
        ));
    };
    alias(&lab.gate);
    let trusted = lab.anneal.expect(0, ["hosts", "trust", CONFIG[0], CONFIG[1], "--fingerprint", &print]);
    trusted.says(&["gate: 1 key is recorded", &print, "not known"]);
    alias(&lab.inner);
    lab.check("check-changed", 1, &["hosts", "check", CONFIG[0], CONFIG[1]]);
    lab.check("trust-changed", 1, &["hosts", "trust", CONFIG[0], CONFIG[1], "--yes"]);
    lab.check("trust-replace", 0, &["hosts", "trust", CONFIG[0], CONFIG[1], "--yes", "--replace"]);
    lab.anneal.expect(0, ["hosts", "check", CONFIG[0], CONFIG[1]]).says(&["1 of 1 hosts can be used"]);
    alias(&lab.gate);
    lab.anneal.expect(1, ["hosts", "check", CONFIG[0], CONFIG[1]]).says(&[&print]);
}

#[test]
fn a_person_is_asked_and_only_yes_records() {
    let lab = Lab::new();
    let answered = |answer: &str| {
        let anneal = lab.anneal.command(["hosts", "trust", "gate", "-i", "../home/.ssh/config"]);
        let line = std::iter::once(anneal.get_program()).chain(anneal.get_args());
        let line = line.map(|word| word.to_str().expect("text")).collect::<Vec<_>>().join(" ");
        // A terminal of its own.
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &line, "/dev/null"]).current_dir(lab.anneal.folder().join("work")).env_clear();
        terminal.envs(anneal.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child =
            terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script starts: install bsdutils");
        child.stdin.take().expect("a pipe").write_all(answer.as_bytes()).expect("it reads");
        let ended = child.wait_with_output().expect("it ends");
        (ended.status.code(), String::from_utf8_lossy(&ended.stdout).into_owned())
    };
    let (code, said) = answered("n\n");
    assert!(code == Some(1) && said.contains("Did you compare them?") && said.contains("are not recorded"), "{said}");
    let (code, said) = answered("yes\n");
    assert!(code == Some(0) && said.contains("gate: 1 key is recorded"), "{said}");
    let (code, said) = answered("");
    assert!(code == Some(0) && !said.contains("Did you"), "{said}");
}

#[test]
fn a_run_reaches_its_host_through_the_one_that_ssh_config_names() {
    let lab = Lab::new();
    lab.anneal.file(
        "who.ron",
        r#"Workflow(
            name: "who",
            roles: { "m": One },
            steps: [Step(id: "port", on: "m", do: Shell("echo $SSH_CONNECTION"), out: { "way": Stdout(type: Text) })],
            outputs: { "way": "${{ steps.port.out.way }}" },
        )"#,
    );
    let ended = lab.anneal.expect(1, ["run", "who.ron", "--host", "m=inner"]);
    ended.says(&["the host key of the jump host is not known"]);
    lab.anneal.expect(0, ["hosts", "trust", CONFIG[0], CONFIG[1], "--yes"]);
    // `--host`, an inventory that names it, and the configuration as an inventory.
    lab.anneal.file("inv.ron", r#"(hosts: { "m": Ssh(address: "inner") })"#);
    let ways: [&[&str]; 2] = [&["--host", "m=inner"], &["-i", "inv.ron"]];
    for way in ways {
        let args: Vec<&str> = ["run", "who.ron"].iter().chain(way).copied().collect();
        let ended = lab.anneal.expect(0, args);
        // The server behind saw the one in front, at the port where it listens.
        ended.says(&[&format!("127.0.0.1 {}", lab.inner.port())]);
    }
    let ended = lab.anneal.expect(0, ["exec", "inner", "-i", "../home/.ssh/config", "--", "echo", "arrived"]);
    ended.says(&["arrived"]);
}

#[test]
fn facts_and_json_have_the_documented_fields() {
    let lab = Lab::new();
    lab.anneal.file("inv.ron", r#"(hosts: { "here": Local, "gate": Ssh(address: "gate", labels: { "zone": "a" }) }, roles: { "r": ["gate"] })"#);
    let json = |code: i32, words: &[&str]| -> serde_json::Value {
        let args: Vec<&str> = ["hosts"].iter().chain(words).chain(&["-i", "inv.ron", "--json"]).copied().collect();
        serde_json::from_str(&lab.anneal.expect(code, args).stdout).expect("JSON")
    };
    let fields = |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let list = json(0, &["list"]);
    assert_eq!(fields(&list[0]), ["at", "error", "hint", "host", "host_key", "labels", "roles", "via", "ways"]);
    assert_eq!((&list[0]["roles"], &list[0]["labels"]["zone"]), (&serde_json::json!(["r"]), &serde_json::json!("a")));
    let trust = json(1, &["trust", "r"]);
    assert_eq!(fields(&trust[0]), ["at", "error", "hint", "host", "keys", "recorded"]);
    assert_eq!(fields(&trust[0]["keys"][0]), ["algorithm", "fingerprint", "says", "standing"]);
    assert_eq!(trust[0]["keys"][0]["fingerprint"], lab.gate.fingerprint());
    assert_eq!(json(0, &["trust", "r", "--yes"])[0]["recorded"], 1);
    let check = json(0, &["check"]);
    assert_eq!(fields(&check[0]), ["at", "error", "hint", "host", "reached"]);
    assert_eq!(fields(&check[0]["reached"]), ["answer_ms", "by", "login_ms", "os", "sudo", "user"]);
    assert_eq!(check[0]["reached"]["sudo"]["can"], "root");
    let facts = json(0, &["facts"]);
    assert_eq!(fields(&facts[0]), ["at", "error", "facts", "hint", "host"]);
    assert!(facts[0]["facts"]["memory"].is_u64() && facts[0]["facts"]["addresses"].is_array(), "{facts}");
    let words = lab.anneal.expect(0, ["hosts", "facts", "here", "-i", "inv.ron"]).stdout;
    assert!(words.starts_with("here (local)\n") && words.contains("  kernel"), "{words}");
}

#[test]
fn where_no_key_is_named_those_of_the_agent_and_the_usual_files_are_tried() {
    let lab = Lab::new();
    lab.config("Host *\n User root\n StrictHostKeyChecking accept-new\n");
    let to = |port: u16| format!(r#"(hosts: {{ "gate": Ssh(address: "127.0.0.1", port: {port}) }})"#);
    lab.anneal.file("inv.ron", to(lab.gate.port()));
    let check = ["hosts", "check", "-i", "inv.ron"];
    lab.anneal.expect(1, check).says(&["there is no way to log in to `gate`"]);
    let agent = Agent::start(&lab.anneal.folder().join("agent"), &lab.gate.key());
    let with_agent = |code: i32, args: &[&str]| {
        let ended = lab.anneal.command(args).env("SSH_AUTH_SOCK", &agent.socket).output().expect("the binary starts");
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        String::from_utf8_lossy(&ended.stdout).into_owned()
    };
    assert!(with_agent(0, &["hosts", "list", "-i", "inv.ron"]).contains("login     agent\n"));
    assert!(with_agent(0, &check).contains("1 of 1 hosts can be used"));
    // The other server knows another key, which is one of the usual files.
    lab.anneal.file("inv.ron", to(lab.inner.port()));
    with_agent(1, &check);
    std::fs::copy(lab.inner.key(), lab.anneal.folder().join("home/.ssh/id_ed25519")).expect("a key");
    assert!(with_agent(0, &["hosts", "list", "-i", "inv.ron"]).contains("login     agent, key"));
    assert!(with_agent(0, &check).contains("1 of 1 hosts can be used"));
}

/// An agent with one key; it ends when it is dropped.
struct Agent {
    socket: std::path::PathBuf,
    child: Child,
}

impl Agent {
    fn start(socket: &Path, key: &Path) -> Agent {
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(socket).stdout(Stdio::null()).spawn();
        let agent = Agent { socket: socket.to_owned(), child: child.expect("ssh-agent: install openssh-client") };
        until("the agent to listen", SOON, || UnixStream::connect(socket).ok());
        let added = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", socket).status();
        assert!(added.expect("ssh-add starts").success());
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_ssh_config_says_and_is_not_done_is_said() {
    let lab = Lab::new();
    lab.config("Host lab\n HostName 127.0.0.1\n StrictHostKeyChecking no\n VerifyHostKeyDNS yes\n IdentityFile /k\n Frobnicate 1\n");
    lab.check("warnings", 0, &["hosts", "list", "-i", "../home/.ssh/config"]);
    lab.config("Match exec true\n User x\n");
    lab.anneal.file(
        "inv.ron",
        r#"(hosts: { "a": Ssh(address: "x", key: "/k"), "b": Ssh(address: "y", ssh_config: false, key: "/k") })"#,
    );
    lab.check("match-exec", 1, &["hosts", "list", "-i", "inv.ron"]);
}

#[test]
fn no_secret_is_looked_for_to_list_hosts() {
    let anneal = Anneal::new();
    anneal.file(
        "inv.ron",
        r#"(hosts: { "a": Ssh(address: "x", password: Env("NOT_SET"), sudo_password: Command(["false"])) })"#,
    );
    anneal.expect(0, ["hosts", "list", "-i", "inv.ron"]).says(&["login     password"]);
    let ended = anneal.expect(1, ["hosts", "check", "-i", "inv.ron"]);
    ended.says(&["password of host `a`: the environment variable NOT_SET is not set"]);
    anneal.expect(2, ["hosts", "list", "b", "-i", "inv.ron"]).says(&["the inventory has no role and no host `b`"]);
}
